/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of the memory that operands are in share.
 */
#ifndef MEMORY_TEST_H
#define MEMORY_TEST_H

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "cpu_opv_test.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/*
 * The ways in which the kernel gets at the memory of a vector.  The tests of
 * memory take each of them, since each has hazards of its own.
 */
enum path {
	/* Nothing is pinned, for the last operation makes the only store. */
	DIRECT,
	/* What is stored to is pinned, and the rest loaded before it runs. */
	AHEAD,
	/* All is pinned, for there is more to load than is loaded ahead. */
	PINNED,
	NR_PATHS,
};

static const char * const path_names[] = { "direct", "ahead", "pinned" };

/* More than the kernel loads ahead. */
#define PATH_READ_LEN	2048
#define PATH_PREFIX_MAX	2

/*
 * Run operations on a path.  They must not store before the last one if they
 * are to be run directly.  The other paths are taken because of operations that
 * are put in front: an addition makes the stores two, and a long comparison is
 * not loaded ahead.
 */
static inline int run_path_on(enum path path, const struct cpu_op *ops, int nr,
			      int cpu)
{
	static _Alignas(4096) char added[4096], compared[4096];
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	int prefix = 0, ret;

	if (path != DIRECT)
		vec[prefix++] = cpu_op_arithmetic(CPU_ADD_OP, added, 1, 8);
	if (path == PINNED)
		vec[prefix++] = cpu_op_compare(CPU_COMPARE_EQ_OP, compared,
					       compared + PATH_READ_LEN,
					       PATH_READ_LEN);
	memcpy(vec + prefix, ops, nr * sizeof(*ops));
	ret = run_on(vec, prefix + nr, cpu);
	return ret > 0 ? ret - prefix : ret;
}

static inline int run_path(enum path path, const struct cpu_op *ops, int nr)
{
	return run_path_on(path, ops, nr, cpu_op_get_current_cpu());
}

/* Pages that all processes together have pinned and unpinned so far. */
struct pins {
	long acquired;
	long released;
};

static inline struct pins read_pins(void)
{
	struct pins pins = { -1, -1 };
	char name[64];
	long value;
	FILE *file;
	int fd;

	/* Each CPU counts for itself, and adds up only now and then. */
	fd = open("/proc/sys/vm/stat_refresh", O_WRONLY);
	if (fd < 0 || write(fd, "1", 1) != 1) {
		perror("/proc/sys/vm/stat_refresh");
		abort();
	}
	close(fd);
	file = fopen("/proc/vmstat", "r");
	if (!file) {
		perror("/proc/vmstat");
		abort();
	}
	while (fscanf(file, "%63s %ld", name, &value) == 2) {
		if (!strcmp(name, "nr_foll_pin_acquired"))
			pins.acquired = value;
		else if (!strcmp(name, "nr_foll_pin_released"))
			pins.released = value;
	}
	fclose(file);
	if (pins.acquired < 0 || pins.released < 0) {
		fprintf(stderr, "/proc/vmstat does not count pinned pages\n");
		abort();
	}
	return pins;
}

static inline long pins_held(void)
{
	struct pins pins = read_pins();

	return pins.acquired - pins.released;
}

static inline void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("sched_setaffinity");
		abort();
	}
}

/* The CPUs that the process may run on, as an array; returns how many. */
static inline int allowed_cpus(int *cpus, int max)
{
	cpu_set_t set;
	int nr = 0;

	if (sched_getaffinity(0, sizeof(set), &set)) {
		perror("sched_getaffinity");
		abort();
	}
	for (int cpu = 0; cpu < CPU_SETSIZE && nr < max; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[nr++] = cpu;
	return nr;
}

static inline void allow_cpus(const int *cpus, int nr)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	while (nr--)
		CPU_SET(cpus[nr], &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("sched_setaffinity");
		abort();
	}
}

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/*
 * How long to try a race, in seconds.  A longer soak is asked for in the
 * environment.
 */
static inline double race_seconds(void)
{
	const char *text = getenv("CPU_OPV_TEST_SECONDS");
	double seconds = text ? atof(text) : 0;

	return seconds > 0 ? seconds : 2;
}

static inline void sleep_ms(int ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};

	nanosleep(&ts, NULL);
}

/* Write a setting of the kernel.  Returns 0, or the error. */
static inline int set_knob(const char *path, const char *format, ...)
{
	char text[100];
	va_list args;
	int fd, len, ret = 0;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != len)
		ret = -errno;
	close(fd);
	return ret;
}

static inline int get_knob(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, text, size - 1);
	close(fd);
	if (len < 0)
		return -errno;
	text[len] = '\0';
	return 0;
}

/* Bits of an entry in /proc/self/pagemap. */
#define PM_FILE		(1ULL << 61)
#define PM_SWAPPED	(1ULL << 62)
#define PM_PRESENT	(1ULL << 63)
#define PM_PFN		((1ULL << 55) - 1)

static inline uint64_t page_map(const void *p)
{
	off_t at = (unsigned long)p / page_size() * sizeof(uint64_t);
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (fd < 0 || pread(fd, &entry, sizeof(entry), at) != sizeof(entry)) {
		perror("/proc/self/pagemap");
		abort();
	}
	close(fd);
	return entry;
}

/* Bits of an entry in /proc/kpageflags, see include/uapi/linux/kernel-page-flags.h. */
#define KPF_DIRTY_BIT		(1ULL << 4)
#define KPF_HWPOISON_BIT	(1ULL << 19)
#define KPF_KSM_BIT		(1ULL << 21)
#define KPF_THP_BIT		(1ULL << 22)
#define KPF_ZERO_PAGE_BIT	(1ULL << 24)

/* The flags of the page that is mapped at an address, 0 if there is none. */
static inline uint64_t page_flags(const void *p)
{
	uint64_t entry = page_map(p), flags = 0;
	off_t at = (entry & PM_PFN) * sizeof(flags);
	int fd;

	if (!(entry & PM_PRESENT))
		return 0;
	fd = open("/proc/kpageflags", O_RDONLY);
	if (fd < 0 || pread(fd, &flags, sizeof(flags), at) != sizeof(flags)) {
		perror("/proc/kpageflags");
		abort();
	}
	close(fd);
	return flags;
}

static inline char *map(size_t len, int prot, int flags, int fd)
{
	char *p = mmap(NULL, len, prot, flags, fd, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		abort();
	}
	return p;
}

/* Map an area that starts at a multiple of a power of two. */
static inline char *map_aligned(size_t len, size_t align, int prot, int flags)
{
	char *p = map(len + align, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	char *start;

	start = (char *)(((unsigned long)p + align - 1) & ~(align - 1));
	if (start != p)
		munmap(p, start - p);
	munmap(start + len, p + align - start);
	p = mmap(start, len, prot, flags | MAP_FIXED, -1, 0);
	if (p == MAP_FAILED) {
		perror("mmap");
		abort();
	}
	return p;
}

#define HUGE_PAGE_SIZE	(2UL << 20)

#endif /* MEMORY_TEST_H */
