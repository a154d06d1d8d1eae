// SPDX-License-Identifier: GPL-2.0
/*
 * Makes a call of the bytes of an input, and compares what it does to the model.
 *
 * An input is four bytes about the call, then a record of eight bytes for each
 * operation: a change of one byte changes one property. Zeroes are what is usual.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define HEADER		4
#define RECORD		8
#define MAX_RECORDS	18

#define ALL_CPUS	((1ULL << OFFLINE_CPU) - 1)

struct call {
	struct cpu_op ops[MAX_RECORDS];
	int nr_ops;
	uint8_t *vec;
	int count, cpu, flags;
	uint64_t mask;
	enum disturbance disturbance;
};

static struct call call;

/* ---- messages ------------------------------------------------------------------ */

void give_up(const char *what)
{
	fprintf(stderr, "fuzz: cannot run here: %s: %s\n", what, strerror(errno));
	_exit(2);
}

static void describe_address(uint64_t address)
{
	enum area_kind kind;
	size_t index, offset;

	if (model_page(address, &kind, &index, &offset))
		fprintf(stderr, " %s:%zu+%#zx", areas[kind].name, index, offset);
	else
		fprintf(stderr, " %#llx", (unsigned long long)address);
}

static void describe(void)
{
	static const char * const names[] = {
		"compare_eq", "compare_ne", "memcpy", "add", "or", "and", "xor", "lshift", "rshift", "mb",
		"memcpy_release", "add_release"
	};
	uint64_t words[4];

	fprintf(stderr, "fuzz: cpu_opv(vec =");
	describe_address((uint64_t)call.vec);
	fprintf(stderr, ", cnt = %d, cpu = %d, flags = %#x), affinity %#llx, disturbance %d\n", call.count, call.cpu,
		call.flags, (unsigned long long)call.mask, call.disturbance);
	for (int i = 0; i < call.nr_ops; i++) {
		struct cpu_op *op = &call.ops[i];

		memcpy(words, op, sizeof(words));
		if (op->op >= 0 && op->op < NR_CPU_OPS)
			fprintf(stderr, "fuzz:   %s", names[op->op]);
		else
			fprintf(stderr, "fuzz:   type %d", op->op);
		fprintf(stderr, " len %u", op->len);
		describe_address(words[1]);
		describe_address(words[2]);
		fprintf(stderr, " %#llx\n", (unsigned long long)words[3]);
	}
}

void fail(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "fuzz: FOUND: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	describe();
	abort();
}

/* ---- from bytes to a call -------------------------------------------------------- */

static const uint32_t odd_lengths[] = {
	0, 3, 5, 6, 7, 9, 16, 4096, 4097, 8192, 65536, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff8, 24
};

static uint32_t decode_length(int type, uint8_t byte)
{
	if (byte >= 0xf0)
		return odd_lengths[byte & 15];
	switch (type) {
	case CPU_MB_OP:
		return 0;
	case CPU_COMPARE_EQ_OP:
	case CPU_COMPARE_NE_OP:
	case CPU_MEMCPY_OP:
	case CPU_MEMCPY_RELEASE_OP:
		if (byte < 0x60)
			return 1 << byte % 4;
		if (byte < 0x80)
			return byte % 32;
		if (byte < 0xc0)
			return byte % 64 * 8;
		if (byte < 0xe0)
			return byte % 32 * 128;
		return 4096 - byte % 16;
	}
	return 1 << byte % 4;
}

static uint64_t decode_address(uint8_t area, uint8_t page, uint8_t offset)
{
	/* What most operations can be done on. */
	static const uint8_t usual[] = {
		ANON, SHARED, FRESH, PRIVATE, THP, PRIVATE_WRITTEN, ALIAS, ZERO, HUGETLB, STACK, VECTOR, ANON,
		SWAPPED, PRIVATE_READ_ONLY, SHARED_READ_ONLY, READ_ONLY
	};
	enum area_kind kind = area < 0xa0 ? usual[area % 16] : area % NR_AREAS;

	area_use(kind);
	return (uint64_t)area_address(kind, page, (int8_t)offset);
}

static void decode_op(const uint8_t *record, struct cpu_op *op)
{
	static const int32_t odd_types[] = { 12, 13, -1, 256, INT32_MAX, INT32_MIN, 0x10000, 1 << 24 };
	static const uint8_t often[] = { CPU_COMPARE_EQ_OP, CPU_MEMCPY_OP, CPU_ADD_OP };
	uint8_t *bytes = (uint8_t *)op, set = record[0] & 0x80 ? 0x80 : 1;
	int type = record[0] % 16;
	uint64_t words[4];

	if (type == 12)
		type = odd_types[record[5] % 8];
	else if (type > 12)
		type = often[type - 13];

	/* Bytes that are not used may be anything. */
	memset(words, record[0] & 0x40 ? 0xff : 0, sizeof(words));
	words[1] = decode_address(record[2], record[3], record[4]);
	switch (type) {
	case CPU_COMPARE_EQ_OP:
	case CPU_COMPARE_NE_OP:
	case CPU_MEMCPY_OP:
	case CPU_MEMCPY_RELEASE_OP:
		words[2] = decode_address(record[5], record[6], record[7]);
		break;
	default:
		words[2] = (int8_t)record[5] + ((uint64_t)record[6] << record[7] % 8 * 8);
	}
	memcpy(op, words, sizeof(*op));
	op->op = type;
	op->len = decode_length(type, record[1]);

	switch (type) {
	case CPU_LSHIFT_OP:
	case CPU_RSHIFT_OP:
		if (op->len && op->len <= 8 && record[5] < 0xf0)
			op->u.shift_op.bits = record[5] % (8 * op->len);
		bytes[20] = record[0] & 0x10 ? set : 0;
		break;
	default:
		bytes[24] = record[0] & 0x10 ? set : 0;
		bytes[25] = record[0] & 0x20 ? set : 0;
	}
}

static int decode_cpu(uint8_t byte)
{
	static const int odd[] = { -1, INT32_MAX, INT32_MIN, NR_CPUS, 63, 64, 8192, -2 };

	if (byte % 16 < 4)
		return byte % 16;
	if (byte % 16 == 15)
		return odd[byte / 16 % 8];
	return byte % 16 < 12 ? sched_getcpu() : OFFLINE_CPU;
}

/* Puts the vector into memory, where most of it is accessible. */
static void place(uint8_t where)
{
	uint8_t *start = areas[VECTOR].base + FIRST_PAGE * page_size;
	uint8_t *end = areas[VECTOR].base + END_PAGE * page_size;
	size_t size = call.nr_ops * sizeof(struct cpu_op), len = size;
	enum area_kind kind;
	size_t index, offset;

	call.vec = start;
	switch (where) {
	case 8:
		/* The second operation crosses the start of a page. */
		call.vec = start + page_size - sizeof(struct cpu_op) - 8;
		break;
	case 9:
		call.vec = end - size;
		break;
	case 10:
		call.vec = end - size + 1;
		len = size ? size - 1 : 0;
		break;
	case 11:
		call.vec = NULL;
		return;
	case 12:
		call.vec = (uint8_t *)0xffff888000000000;
		return;
	case 13:
		call.vec = start + 1;
		break;
	case 14:
		area_use(NO_ACCESS);
		call.vec = areas[NO_ACCESS].base + FIRST_PAGE * page_size;
		return;
	case 15:
		area_use(FRESH);
		call.vec = areas[FRESH].base + FIRST_PAGE * page_size;
		return;
	}
	memcpy(call.vec, call.ops, len);
	for (size_t i = 0; i < len; i++)
		model_page((uint64_t)call.vec + i, &kind, &index, &offset)->content->bytes[offset] =
			((uint8_t *)call.ops)[i];
}

static void decode(const uint8_t *data, size_t size)
{
	static const uint8_t masks[] = { 7, 7, 7, 7, 7, 7, 7, 7, 1, 2, 4, 3, 5, 6, 7, 7 };
	static const int counts[] = { -1, 17, INT32_MAX, INT32_MIN, 0, 1, 16, 18 };
	static const int flags[] = { 1, 2, 3, 4, -1, 1 << 16, INT32_MIN, 8 };
	uint8_t header[HEADER] = { 0 };

	memset(&call, 0, sizeof(call));
	for (enum area_kind kind = 0; kind < NR_AREAS; kind++)
		areas[kind].used = false;
	memcpy(header, data, size < HEADER ? size : HEADER);
	area_use(VECTOR);
	for (size_t at = HEADER; at + RECORD <= size && call.nr_ops < MAX_RECORDS; at += RECORD)
		decode_op(data + at, &call.ops[call.nr_ops++]);

	call.mask = masks[header[0] / 16];
	call.disturbance = header[1] < 0xc0 ? QUIET : header[1] % NR_DISTURBANCES;
	if (call.disturbance == HOTPLUG)
		call.mask = ALL_CPUS;
	call.flags = header[2] % 16 < 12 ? 0 : flags[header[2] / 16 % 8];
	call.count = header[3] < 0xe0 ? call.nr_ops : counts[header[3] % 8];
	place(header[2] % 16 < 12 ? header[2] / 16 : 0);
	if (set_affinity(0, call.mask))
		give_up("sched_setaffinity");
	call.cpu = decode_cpu(header[0]);
}

/* ---- the call ---------------------------------------------------------------------- */

static bool is_online(int cpu)
{
	return cpu >= 0 && cpu < OFFLINE_CPU;
}

/* What may happen: these errors, no error, or whatever the call can return. */
struct expectation {
	bool invalid, fault, again;
	bool success;
	bool anything;
	struct cpu_op ops[CPU_OP_VEC_LEN_MAX];
	struct model model;
};

static void expect(struct expectation *expected)
{
	size_t size = (size_t)(call.count > 0 ? call.count : 0) * sizeof(struct cpu_op);
	bool lively = false;

	memset(expected, 0, sizeof(*expected));
	for (enum area_kind kind = 0; kind < NR_AREAS; kind++)
		lively |= areas[kind].used && areas[kind].lively;

	if (call.count < 0 || call.count > CPU_OP_VEC_LEN_MAX || call.flags)
		expected->invalid = true;
	else if (!model_is_accessible((uint64_t)call.vec, size, false))
		expected->fault = true;
	else
		model_read((uint64_t)call.vec, expected->ops, size);
	if (call.cpu < 0 || call.cpu >= NR_CPUS || (is_online(call.cpu) && !(call.mask >> call.cpu & 1)))
		expected->invalid = true;
	if (expected->invalid || expected->fault) {
		/* One error does not hide another. */
		expected->fault |= call.count > 0 && call.count <= CPU_OP_VEC_LEN_MAX && !call.flags;
		expected->again = expected->fault;
	} else {
		model_examine(expected->ops, call.count, &expected->model);
		expected->invalid = expected->model.is_invalid;
		expected->fault = expected->model.faults;
		expected->again = expected->model.faults_expected;
	}
	expected->success = !expected->invalid && !expected->fault && !expected->again;

	switch (call.disturbance) {
	case AFFINITY_OUT:
		expected->invalid = true;
		expected->success |= call.cpu >= 0 && call.cpu < NR_CPUS && !expected->fault && !expected->again;
		break;
	case PROTECTION:
	case PLACE:
		if (lively)
			expected->fault = expected->again = true;
		break;
	case DISCARD:
	case PUNCH:
	case REWRITE:
		expected->anything = true;
		break;
	default:
		break;
	}
	if (expected->model.may_fault)
		expected->fault = expected->again = true;
}

/* Compares the result. Returns whether the memory can be compared. */
static bool check_result(int result, struct expectation *expected)
{
	int correct;

	if (call.flags == CPU_OP_NR_FLAG || call.flags == CPU_OP_VEC_LEN_MAX_FLAG) {
		correct = call.flags == CPU_OP_NR_FLAG ? NR_CPU_OPS : CPU_OP_VEC_LEN_MAX;
		if (result != correct)
			fail("flag %d returned %d", call.flags, result);
		return true;
	}
	if (expected->anything) {
		if (result > CPU_OP_VEC_LEN_MAX ||
		    (result < 0 && result != -EINVAL && result != -EFAULT && result != -EAGAIN))
			fail("the call returned %d", result);
		return false;
	}
	if (result == -EINVAL ? expected->invalid : result == -EFAULT ? expected->fault : result == -EAGAIN && expected->again)
		return true;
	if (!expected->success)
		fail("the call returned %d, but has to fail with%s%s%s", result, expected->invalid ? " EINVAL" : "",
		     expected->fault ? " EFAULT" : "", expected->again ? " EAGAIN" : "");
	if (result < 0)
		fail("the call returned %d, but has to succeed", result);

	correct = model_run(expected->ops, call.count, &expected->model);
	if (expected->model.uncertain) {
		if (result > call.count)
			fail("the call returned %d", result);
		return false;
	}
	if (result != correct)
		fail("the call returned %d, and should return %d", result, correct);
	return true;
}

static void run(void)
{
	struct expectation expected;
	int repetitions = call.disturbance == QUIET ? 1 : call.disturbance == FORK ? 6 : 16;
	struct timespec pause = { .tv_nsec = 1000000 };
	bool comparable = true;

	expect(&expected);
	disturb_start(call.disturbance, call.cpu >= 0 && call.cpu < NR_CPUS ? call.cpu : 0, call.mask);
	while (repetitions-- && comparable && !expected.model.rereads) {
		int result;

		coverage_begin();
		result = call_opv(call.vec, call.count, call.cpu, call.flags);
		coverage_end();
		comparable = check_result(result, &expected);
		if (call.disturbance == CALLS)
			disturb_call();
		else if (call.disturbance == HOTPLUG)
			nanosleep(&pause, NULL);
		comparable |= expected.anything;
	}
	disturb_stop();

	if (comparable && !expected.anything)
		areas_check();
	if (call.disturbance >= ADVICE && call.disturbance <= PUNCH)
		areas_forget();
}

static void check_affinity(void)
{
	cpu_set_t set;
	uint64_t mask = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		give_up("sched_getaffinity");
	for (int cpu = 0; cpu < 64; cpu++)
		mask |= (uint64_t)CPU_ISSET(cpu, &set) << cpu;
	if (mask != call.mask)
		fail("the affinity mask is %#llx afterwards", (unsigned long long)mask);
}

/* ---- the kernel's own view ----------------------------------------------------------- */

static bool read_number(const char *path, const char *name, long *value)
{
	char line[256];
	FILE *file = fopen(path, "r");
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		char *at = strstr(line, name);

		found = at && sscanf(at + strlen(name), "%*[: ]%ld", value) == 1;
	}
	if (file)
		fclose(file);
	return found;
}

static void check_pins(void)
{
	long acquired, released;

	/* The pages of a moment ago may be released by another thread. */
	for (int i = 0; i < 100; i++) {
		FILE *refresh = fopen("/proc/sys/vm/stat_refresh", "w");

		if (refresh) {
			fputs("1", refresh);
			fclose(refresh);
		}
		if (!read_number("/proc/vmstat", "nr_foll_pin_acquired", &acquired) ||
		    !read_number("/proc/vmstat", "nr_foll_pin_released", &released))
			give_up("/proc/vmstat");
		if (acquired == released)
			return;
		usleep(10000);
	}
	fail("%ld pages stay pinned", acquired - released);
}

static void check_lockdep(void)
{
	long on;

	if (read_number("/proc/lockdep_stats", "debug_locks", &on) && !on)
		fail("lockdep has complained: see the kernel's log");
}

/* ---- for libFuzzer -------------------------------------------------------------------- */

static void init(void)
{
	static char path[64];
	FILE *online;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", OFFLINE_CPU);
	online = fopen(path, "r+");
	if (!online || fputs("0", online) < 0 || fclose(online))
		give_up("four CPUs are needed, of which the last can be taken offline");
	if (call_opv(NULL, 0, 0, CPU_OP_NR_FLAG) != NR_CPU_OPS)
		give_up("this kernel does not have cpu_opv()");
	areas_init();
	coverage_init();
	disturb_init();
}

void check_kernel(void)
{
	check_pins();
	check_lockdep();
}

/* Once a minute, from the first call on. */
static void check_kernel_at_times(void)
{
	static time_t last;
	time_t now = time(NULL);

	if (now < last + 60)
		return;
	if (last)
		check_kernel();
	last = now;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned long executions;

	if (!executions++)
		init();
	if (size > MAX_BYTES)
		size = MAX_BYTES;
	coverage_record(data, size);
	decode(data, size);
	run();
	check_affinity();
	check_kernel_at_times();
	return 0;
}
