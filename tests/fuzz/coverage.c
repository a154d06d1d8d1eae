// SPDX-License-Identifier: GPL-2.0
/*
 * What a call reached in the kernel: KCOV lists the points that a thread passes.
 * Those of our own code have a counter each, which libFuzzer looks at.
 *
 * scripts/fuzz passes
 *
 *   FUZZ_POINTS   a file with the addresses of these points, one a line, ascending
 *   FUZZ_MEMORY   memory that the host sees, as a file: what is in it is there even
 *                 if the kernel dies
 *
 * Without the first, nothing is measured.
 */
#include <fcntl.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define KCOV_INIT_TRACE	_IOR('c', 1, unsigned long)
#define KCOV_ENABLE	_IO('c', 100)
#define KCOV_TRACE_PC	0
#define KCOV_ENTRIES	(256UL << 10)

#define MAX_POINTS	8192

/* libFuzzer takes the counters in this section for its own. */
__attribute__((used, section("__libfuzzer_extra_counters"))) static uint8_t counters[MAX_POINTS];

static uint64_t points[MAX_POINTS];
static size_t nr_points;
static uint64_t *trace;

/* The memory that the host sees; scripts/fuzz-report reads it. */
#define NR_INPUTS	64

static struct memory {
	uint64_t nr_executions;
	uint32_t nr_points, nr_reached;
	uint8_t reached[MAX_POINTS / 8];
	struct {
		/* Of the execution, from 1 on. */
		uint32_t number;
		uint32_t size;
		uint8_t data[MAX_BYTES];
	} inputs[NR_INPUTS];
} own_memory, *memory = &own_memory;

static void read_points(const char *path)
{
	FILE *list = fopen(path, "r");
	unsigned long point;

	if (!list)
		give_up(path);
	while (fscanf(list, "%lx%*[^\n]", &point) == 1) {
		if (nr_points == MAX_POINTS)
			give_up("there are too many points: raise MAX_POINTS");
		if (nr_points && point <= points[nr_points - 1])
			give_up("the points are not in ascending order");
		points[nr_points++] = point;
	}
	fclose(list);
	if (!nr_points)
		give_up("there are no points to reach");
}

static void map_memory(const char *path)
{
	int fd = open(path, O_RDWR);
	void *address;

	if (fd < 0)
		give_up(path);
	address = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (address == MAP_FAILED)
		give_up(path);
	close(fd);
	memory = address;
}

static void open_kcov(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR);

	if (fd < 0 || ioctl(fd, KCOV_INIT_TRACE, KCOV_ENTRIES))
		give_up("KCOV");
	trace = mmap(NULL, KCOV_ENTRIES * sizeof(*trace), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (trace == MAP_FAILED || ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		give_up("KCOV");
}

void coverage_init(void)
{
	if (getenv("FUZZ_MEMORY"))
		map_memory(getenv("FUZZ_MEMORY"));
	if (!getenv("FUZZ_POINTS"))
		return;
	read_points(getenv("FUZZ_POINTS"));
	memory->nr_points = nr_points;
	open_kcov();
}

void coverage_begin(void)
{
	if (trace)
		__atomic_store_n(&trace[0], 0, __ATOMIC_RELAXED);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void coverage_end(void)
{
	uint64_t count = trace ? __atomic_load_n(&trace[0], __ATOMIC_RELAXED) : 0;

	for (uint64_t i = 1; i <= count; i++) {
		uint64_t *point = bsearch(&trace[i], points, nr_points, sizeof(*points), compare);
		size_t index = point - points;

		if (!point)
			continue;
		if (counters[index] < UINT8_MAX)
			counters[index]++;
		if (memory->reached[index / 8] >> index % 8 & 1)
			continue;
		memory->reached[index / 8] |= 1 << index % 8;
		memory->nr_reached++;
	}
}

void coverage_record(const uint8_t *data, size_t size)
{
	size_t index = memory->nr_executions++ % NR_INPUTS;

	memory->inputs[index].number = 0;
	memcpy(memory->inputs[index].data, data, size);
	memory->inputs[index].size = size;
	memory->inputs[index].number = memory->nr_executions;
}
