/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of cpu_opv() share.
 */
#ifndef CPU_OPV_TEST_H
#define CPU_OPV_TEST_H

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "cpu-op.h"

/*
 * The harness gives a test 30 seconds.  An emulated machine with all debugging
 * options on needs more for the tests that make many thousand calls.
 */
#define LONG_TIMEOUT	600

#define BITS_PER_BYTE	8

static const int compare_types[] = { CPU_COMPARE_EQ_OP, CPU_COMPARE_NE_OP };
static const int memcpy_types[] = { CPU_MEMCPY_OP, CPU_MEMCPY_RELEASE_OP };
static const int add_types[] = { CPU_ADD_OP, CPU_ADD_RELEASE_OP };
static const int bitwise_types[] = { CPU_OR_OP, CPU_AND_OP, CPU_XOR_OP };
static const int shift_types[] = { CPU_LSHIFT_OP, CPU_RSHIFT_OP };
static const uint32_t int_lens[] = { 1, 2, 4, 8 };

/* Number of operands of an operation that are in memory. */
static inline int op_nr_operands(int type)
{
	switch (type) {
	case CPU_COMPARE_EQ_OP:
	case CPU_COMPARE_NE_OP:
	case CPU_MEMCPY_OP:
	case CPU_MEMCPY_RELEASE_OP:
		return 2;
	case CPU_MB_OP:
		return 0;
	default:
		return 1;
	}
}

/* Whether an operation stores to its first operand.  None stores to another. */
static inline bool op_stores(int type)
{
	return type != CPU_COMPARE_EQ_OP && type != CPU_COMPARE_NE_OP &&
	       type != CPU_MB_OP;
}

/*
 * An operation of any type, with the operands it has out of a and b.  It leaves
 * memory alone when *a and *b are equal: adds 0, shifts by 0 and so on.
 */
static inline struct cpu_op op_any(int type, void *a, void *b, uint32_t len)
{
	switch (type) {
	case CPU_COMPARE_EQ_OP:
	case CPU_COMPARE_NE_OP:
		return cpu_op_compare(type, a, b, len);
	case CPU_MEMCPY_OP:
	case CPU_MEMCPY_RELEASE_OP:
		return cpu_op_memcpy(type, a, b, len);
	case CPU_ADD_OP:
	case CPU_ADD_RELEASE_OP:
		return cpu_op_arithmetic(type, a, 0, len);
	case CPU_AND_OP:
		return cpu_op_bitwise(type, a, ~0ULL, len);
	case CPU_OR_OP:
	case CPU_XOR_OP:
		return cpu_op_bitwise(type, a, 0, len);
	case CPU_LSHIFT_OP:
	case CPU_RSHIFT_OP:
		return cpu_op_shift(type, a, 0, len);
	default:
		return cpu_op_mb();
	}
}

/*
 * The longest vector there is: a copy that is not aligned, and additions.  Where
 * pages are of 4096 bytes, each side of the copy is in two of them.
 */
#define LIMIT_DST	1
#define LIMIT_SRC	3
#define LIMIT_DST_LEN	(LIMIT_DST + CPU_OP_MEMCPY_EXPECT_LEN)
#define LIMIT_SRC_LEN	(LIMIT_SRC + CPU_OP_MEMCPY_EXPECT_LEN)

static inline void limit_vector(struct cpu_op vec[CPU_OP_VEC_LEN_MAX],
				char *dst, const char *src, uint64_t *count)
{
	vec[0] = cpu_op_memcpy(CPU_MEMCPY_OP, dst + LIMIT_DST, src + LIMIT_SRC,
			       CPU_OP_MEMCPY_EXPECT_LEN);
	for (int i = 1; i < CPU_OP_VEC_LEN_MAX; i++)
		vec[i] = cpu_op_arithmetic(CPU_ADD_OP, count, 1,
					   CPU_OP_EXPECT_LEN);
}

/*
 * Set an operand to an address that need not fit a pointer: the operands are
 * 64-bit integers at the start of the arguments in every ABI.
 */
static inline void op_set_operand(struct cpu_op *op, int operand, uint64_t addr)
{
	memcpy(op->u.__padding + operand * sizeof(addr), &addr, sizeof(addr));
}

static inline void op_set_expect_fault(struct cpu_op *op, int operand,
				       uint8_t value)
{
	switch (op->op) {
	case CPU_COMPARE_EQ_OP:
	case CPU_COMPARE_NE_OP:
		if (operand == 0)
			op->u.compare_op.expect_fault_a = value;
		else
			op->u.compare_op.expect_fault_b = value;
		break;
	case CPU_MEMCPY_OP:
	case CPU_MEMCPY_RELEASE_OP:
		if (operand == 0)
			op->u.memcpy_op.expect_fault_dst = value;
		else
			op->u.memcpy_op.expect_fault_src = value;
		break;
	case CPU_ADD_OP:
	case CPU_ADD_RELEASE_OP:
		op->u.arithmetic_op.expect_fault_p = value;
		break;
	case CPU_OR_OP:
	case CPU_AND_OP:
	case CPU_XOR_OP:
		op->u.bitwise_op.expect_fault_p = value;
		break;
	case CPU_LSHIFT_OP:
	case CPU_RSHIFT_OP:
		op->u.shift_op.expect_fault_p = value;
		break;
	}
}

#define PAGE_SIZE_MAX		(64UL << 10)

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

/* As cpu_opv(), but with the error in the return value. */
static inline int run_as_it_is(struct cpu_op *vec, int cnt, int cpu)
{
	int ret = cpu_opv(vec, cnt, cpu, 0);

	return ret == -1 ? -errno : ret;
}

/*
 * Run operations on a path.  They must not store before the last one if they
 * are to be run directly.  The other paths are taken because of operations that
 * are put in front: an addition makes the stores two, and a long comparison is
 * not loaded ahead.
 */
static inline int run_path_on(enum path path, const struct cpu_op *ops, int nr,
			      int cpu)
{
	/* What is used is in pages that no operand is in, one each. */
	static char room[3 * PAGE_SIZE_MAX];
	char *added = room + PAGE_SIZE_MAX -
		      (unsigned long)room % PAGE_SIZE_MAX;
	char *compared = added + PAGE_SIZE_MAX;
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	int prefix = 0, ret;

	/* What was never written would be pinned for writing, and not count. */
	__atomic_store_n(&compared[0], 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&compared[2 * PATH_READ_LEN - 1], 0, __ATOMIC_SEQ_CST);
	if (path != DIRECT)
		vec[prefix++] = cpu_op_arithmetic(CPU_ADD_OP, added, 1, 8);
	if (path == PINNED)
		vec[prefix++] = cpu_op_compare(CPU_COMPARE_EQ_OP, compared,
					       compared + PATH_READ_LEN,
					       PATH_READ_LEN);
	memcpy(vec + prefix, ops, nr * sizeof(*ops));
	ret = run_as_it_is(vec, prefix + nr, cpu);
	return ret > 0 ? ret - prefix : ret;
}

/*
 * A program is also built with a path that all its vectors take as long as what
 * is put in front of them leaves them valid.
 */
#ifndef TEST_PATH
#define TEST_PATH	DIRECT
#endif
static const enum path test_path = TEST_PATH;

static inline bool can_take_path(const struct cpu_op *vec, int cnt)
{
	uint64_t sum = 8 + PATH_READ_LEN;

	if (cnt < 1 || cnt + 2 > CPU_OP_VEC_LEN_MAX)
		return false;
	while (cnt--)
		sum += vec[cnt].len;
	return sum <= CPU_OP_VEC_DATA_LEN_MAX;
}

static inline int run_on(struct cpu_op *vec, int cnt, int cpu)
{
	if (test_path == DIRECT || !can_take_path(vec, cnt))
		return run_as_it_is(vec, cnt, cpu);
	return run_path_on(test_path, vec, cnt, cpu);
}

static inline int run_path(enum path path, const struct cpu_op *ops, int nr)
{
	return run_path_on(path, ops, nr, cpu_op_get_current_cpu());
}

static inline int run(struct cpu_op *vec, int cnt)
{
	return run_on(vec, cnt, cpu_op_get_current_cpu());
}

static inline size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

/*
 * How long to try a race, in seconds.  A longer soak is asked for in the
 * environment.
 */
static inline double race_seconds(void)
{
	const char *text = getenv("CPU_OPV_TEST_SECONDS");
	double seconds = text ? atof(text) : 0;

	return seconds > 0 ? seconds : 0.4;
}

/* Map pages of zeroes between two pages that cannot be accessed. */
static inline char *map_pages(size_t nr)
{
	size_t page = page_size();
	char *p = mmap(NULL, (nr + 2) * page, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED ||
	    mprotect(p + page, nr * page, PROT_READ | PROT_WRITE)) {
		perror("mmap");
		abort();
	}
	return p + page;
}

static inline void unmap_pages(char *p, size_t nr)
{
	size_t page = page_size();

	munmap(p - page, (nr + 2) * page);
}

/*
 * The same, but what follows a page here does not follow it in the memory of the
 * machine.  An access that runs over the end of one finds something else there.
 */
static inline char *map_scattered(size_t nr)
{
	size_t page = page_size();
	char *from = map_pages(2 * nr), *to = map_pages(nr);

	for (size_t i = 0; i < 2 * nr; i++)
		__atomic_store_n(&from[i * page], 0, __ATOMIC_SEQ_CST);
	for (size_t i = 0; i < nr; i++) {
		if (mremap(from + 2 * i * page, page, page,
			   MREMAP_MAYMOVE | MREMAP_FIXED,
			   to + i * page) == MAP_FAILED) {
			perror("mremap");
			abort();
		}
	}
	unmap_pages(from, 2 * nr);
	return to;
}

/* A sequence of bytes without short cycles, the same for the same seed. */
static inline uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline void fill_random(void *p, size_t len, uint64_t seed)
{
	unsigned char *c = p;

	while (len--)
		*c++ = next_random(&seed) >> 56;
}

/* Load or store an integer of 1, 2, 4 or 8 bytes at any alignment. */
static inline uint64_t load_int(const void *p, uint32_t len)
{
	uint8_t v8;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (len) {
	case 1:
		memcpy(&v8, p, len);
		return v8;
	case 2:
		memcpy(&v16, p, len);
		return v16;
	case 4:
		memcpy(&v32, p, len);
		return v32;
	default:
		memcpy(&v64, p, len);
		return v64;
	}
}

static inline void store_int(void *p, uint64_t v, uint32_t len)
{
	uint8_t v8 = v;
	uint16_t v16 = v;
	uint32_t v32 = v;

	switch (len) {
	case 1:
		memcpy(p, &v8, len);
		break;
	case 2:
		memcpy(p, &v16, len);
		break;
	case 4:
		memcpy(p, &v32, len);
		break;
	default:
		memcpy(p, &v, len);
		break;
	}
}

/*
 * Without the system call all tests of a program are skipped.  Every other
 * answer to the question whether it is there lets them run, and fail.
 */
static inline int cpu_opv_test_run(int argc, char **argv)
{
	if (!cpu_op_available() && errno != EPERM) {
		ksft_print_header();
		ksft_exit_skip("the kernel has no cpu_opv()\n");
	}
	return test_harness_run(argc, argv);
}

#endif /* CPU_OPV_TEST_H */
