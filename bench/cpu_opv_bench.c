// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What a call of cpu_opv() costs, beside what a program could do instead, and
 * beside the algorithm of 2017 where the kernel has it (bench/patches).
 *
 * The unit is that of CLOCK_MONOTONIC.  In a guest whose clock counts
 * instructions that is an instruction; a loop of a known number of them finds
 * out, and the first line of the output says so.
 *
 * Usage: cpu_opv_bench            measures all cases, prints CSV
 *        cpu_opv_bench profile    runs each case that has a target, and a few
 *                                 more, between marks for the profiler
 *        cpu_opv_bench vectors F  runs each vector of a file between such marks
 *
 * A vector in a file is a line such as
 *
 *   on other; mb 0; add 8 a3+4092; eq 4096 a4+1 s0+17; copy 8 a0+0 p1+8
 *
 * It is for the CPU that the thread is on, or for the "other" of the first two, or
 * for one that is "offline".  Each operand is in a page of memory of some kind, at an
 * offset; all memory is zero.  The kinds:
 *
 *   a  anonymous
 *   h  anonymous, a part of a huge page that is mapped as a whole
 *   l  anonymous, a part of a huge page that is mapped by small ones
 *   s  a file that is mapped shared
 *   m  the same, each page in a mapping of its own
 *   f  the same, and each second page is the first one in page tables of all levels
 *   p  a file that is mapped private and read-only
 *   w  a file that is mapped private and writable, of which no page is a copy yet
 *   u  anonymous and not present
 *
 * "w" and "u" are so again before each call, except where the call is measured.  The
 * process has nearly as many mappings as the kernel allows, so that to look one up
 * takes longest.  "longest.vec" is what search.py has found.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "cpu-op.h"
#include "mark.h"
#include "rseq.h"

/* The number that bench/patches gives to the algorithm of 2017. */
#define NR_CPU_OPV_2017		601

#define PAGE_LEN		4096
#define NR_PAGES		20
#define NR_VECTOR_PAGES		128
#define HUGE_LEN		(2UL << 20)
/* So many mappings are left to the C library, to threads, and to the rest of this. */
#define NR_MAPPINGS_LEFT	1000
#define ROUNDS			15
#define ROUNDS_MAX		64
/* A call that the profiler records is recorded this often. */
#define PROFILE_ROUNDS		5

/* The C library's headers may be older. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

#define ARRAY_SIZE(x)		(sizeof(x) / sizeof((x)[0]))

/* Pages of their own, none of which is next to another. */
static char *page[NR_PAGES];
/* Two pages each, in a row. */
static char *area[2];
/* Memory for vectors that are read, by its kind. */
static char *memory[128];
/* What page tables below the highest level cover, in bytes. */
static unsigned long far;

static long nr_cpu_opv;

struct bench {
	const char *group;
	const char *name;
	/* The number of operations or bytes, on which the cost depends. */
	int x;
	/* One call; returns what it should. */
	long (*call)(const struct bench *bench);
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	int cnt;
	long expected;
	/*
	 * The thread may be on the CPUs from the first to this one.  If it is not the
	 * first, each call is for the other one of two.
	 */
	int last_cpu;
	/* The call is for a CPU that is offline. */
	bool offline;
	/* The algorithm of 2017 is not measured. */
	bool only_now;
	int calls;
};

static void die(const char *what)
{
	fprintf(stderr, "cpu_opv_bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *mapped(void *p)
{
	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void run_on(int first, int last)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

/* What is measured. */

/* The first words of page[0] are compared, and stay what they are. */
static intptr_t *counter(void)
{
	return (intptr_t *)(page[0] + 64);
}

static long call_vector(const struct bench *bench)
{
	return syscall(nr_cpu_opv, bench->vec, bench->cnt, 0, 0);
}

/* The CPU to go to next. */
static int other_cpu;

/* The algorithm of 2017 gives up when it is moved away: its user calls again. */
static long call_vector_other(const struct bench *bench)
{
	long ret;

	other_cpu ^= 1;
	do {
		ret = syscall(nr_cpu_opv, bench->vec, bench->cnt, other_cpu, 0);
	} while (ret < 0 && errno == EAGAIN && nr_cpu_opv == NR_CPU_OPV_2017);
	return ret;
}

/* A CPU that may come online and is not, or -1. */
static int offline_cpu(void)
{
	int nr = sysconf(_SC_NPROCESSORS_CONF);

	return nr > sysconf(_SC_NPROCESSORS_ONLN) ? nr - 1 : -1;
}

static long call_vector_offline(const struct bench *bench)
{
	return syscall(nr_cpu_opv, bench->vec, bench->cnt, offline_cpu(), 0);
}

static long call_getppid(const struct bench *bench)
{
	(void)bench;
	return syscall(SYS_getppid) < 0;
}

static long call_futex(const struct bench *bench)
{
	uint32_t *word = (uint32_t *)page[4] + 16;

	(void)bench;
	return syscall(SYS_futex, word, FUTEX_WAKE_OP_PRIVATE, 0, 0, word + 1,
		       FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_LT, 0));
}

static long call_rseq_add(const struct bench *bench)
{
	(void)bench;
	return rseq_addv(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID, counter(), 1,
			 rseq_cpu_start());
}

static long call_rseq_compare_store(const struct bench *bench)
{
	(void)bench;
	return rseq_cmpeqv_storev(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID,
				  (intptr_t *)page[0], 0, 0, rseq_cpu_start());
}

static long call_rseq_compare_memcpy_store(const struct bench *bench)
{
	(void)bench;
	return rseq_cmpeqv_trymemcpy_storev(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID,
					    (intptr_t *)page[0], 0, page[2],
					    page[3], 64, 0, rseq_cpu_start());
}

/* A lock for each CPU: anyone may take it, for any CPU. */
static long call_lock(const struct bench *bench)
{
	uint32_t *lock = (uint32_t *)page[4] + rseq_cpu_start();

	(void)bench;
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
		continue;
	++*(volatile intptr_t *)counter();
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
	return 0;
}

static long call_membarrier(const struct bench *bench)
{
	(void)bench;
	++*(volatile intptr_t *)counter();
	return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/* Goes to the other CPU, works there on its data, and goes back. */
static long call_setaffinity(const struct bench *bench)
{
	(void)bench;
	run_on(1, 1);
	rseq_addv(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID, counter(), 1, 1);
	run_on(0, 0);
	return 0;
}

/* As above, without the way back. */
static long call_setaffinity_once(const struct bench *bench)
{
	(void)bench;
	other_cpu ^= 1;
	run_on(other_cpu, other_cpu);
	return 0;
}

/* How it is measured. */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void call_checked(const struct bench *bench)
{
	long ret = bench->call(bench);

	if (ret != bench->expected) {
		fprintf(stderr, "cpu_opv_bench: %s, %s, %d: returned %ld, errno %d, not %ld\n",
			bench->group, bench->name, bench->x, ret, errno,
			bench->expected);
		exit(1);
	}
}

static void place(const struct bench *bench)
{
	run_on(0, 0);
	other_cpu = 0;
	run_on(0, bench->last_cpu);
}

static void measure(const struct bench *bench, const char *way)
{
	int calls = bench->calls ? bench->calls : 200;
	double cost[ROUNDS_MAX];

	place(bench);
	for (int i = 0; i < 20; i++)
		call_checked(bench);
	for (int round = 0; round < ROUNDS; round++) {
		long start = now();

		for (int i = 0; i < calls; i++)
			call_checked(bench);
		cost[round] = (double)(now() - start) / calls;
	}
	qsort(cost, ROUNDS, sizeof(cost[0]), by_value);
	printf("%s,%s,%d,%s,%.0f,%.0f,%.0f\n", bench->group, bench->name, bench->x,
	       way, cost[ROUNDS / 2], cost[0], cost[ROUNDS - 1]);
	fflush(stdout);
}

static bool profiling;

static void profile(const struct bench *bench, const char *way)
{
	/* The vectors of the other groups have the same steps. */
	if (strcmp(bench->group, "target"))
		return;

	place(bench);
	for (int i = 0; i < 50; i++)
		call_checked(bench);
	for (int round = 0; round < PROFILE_ROUNDS; round++) {
		mark_start();
		call_checked(bench);
		mark_stop();
		printf("%s,%s\n", bench->name, way);
	}
	fflush(stdout);
}

static bool has_2017;

static void set_call(struct bench *bench)
{
	bench->call = bench->offline ? call_vector_offline :
		      bench->last_cpu ? call_vector_other : call_vector;
}

static void vector(struct bench *bench)
{
	void (*one)(const struct bench *bench, const char *way) =
		profiling ? profile : measure;

	set_call(bench);
	nr_cpu_opv = __NR_cpu_opv;
	one(bench, "cpu_opv");
	if (has_2017 && !bench->only_now) {
		nr_cpu_opv = NR_CPU_OPV_2017;
		one(bench, "2017");
	}
}

static void alternative(const char *name, const char *way,
			long (*call)(const struct bench *bench), int calls)
{
	struct bench bench = {
		.group = "instead", .name = name, .call = call, .calls = calls,
		.last_cpu = call == call_setaffinity_once,
	};

	if (!profiling)
		measure(&bench, way);
}

/* The vectors. */

static struct cpu_op add(void *p)
{
	return cpu_op_arithmetic(CPU_ADD_OP, p, 1, 8);
}

/* The expected value and the new one are in a page of the caller's. */
static struct cpu_op compare_8(void)
{
	return cpu_op_compare(CPU_COMPARE_EQ_OP, page[0], page[1], 8);
}

static struct cpu_op store_8(void)
{
	return cpu_op_memcpy(CPU_MEMCPY_OP, page[0], page[1] + 8, 8);
}

static struct bench many_adds(const char *group, const char *name, int n, bool one_page)
{
	struct bench bench = { .group = group, .name = name, .x = n, .cnt = n };

	for (int i = 0; i < n; i++)
		bench.vec[i] = add(one_page ? page[0] + 1024 + 8 * i : page[4 + i] + 256);
	return bench;
}

static void malformed(const char *line)
{
	fprintf(stderr, "cpu_opv_bench: this is no vector: %s\n", line);
	exit(1);
}

/*
 * Memory of the kind "f": the second of two pages is the first one of new page tables
 * of all levels but the highest.
 */
static char *far_page(unsigned int nr)
{
	return (char *)((nr / 2 + 1) * far - PAGE_LEN) + nr % 2 * PAGE_LEN;
}

static void *operand(const char *text, const char *line)
{
	unsigned int page, offset;
	char kind;

	if (sscanf(text, "%c%u+%u", &kind, &page, &offset) != 3 ||
	    !memory[kind & 127] || page >= NR_VECTOR_PAGES || offset >= PAGE_LEN)
		malformed(line);
	return (kind == 'f' ? far_page(page) : memory[kind & 127] + page * PAGE_LEN) + offset;
}

static struct cpu_op operation(const char *text, const char *line)
{
	static const struct {
		const char *name;
		int op;
	} names[] = {
		{ "eq", CPU_COMPARE_EQ_OP }, { "ne", CPU_COMPARE_NE_OP },
		{ "copy", CPU_MEMCPY_OP }, { "copyrel", CPU_MEMCPY_RELEASE_OP },
		{ "add", CPU_ADD_OP }, { "addrel", CPU_ADD_RELEASE_OP },
		{ "or", CPU_OR_OP }, { "and", CPU_AND_OP }, { "xor", CPU_XOR_OP },
		{ "shl", CPU_LSHIFT_OP }, { "shr", CPU_RSHIFT_OP },
	};
	char name[16], first[32] = "", second[32] = "";
	unsigned int len;
	int nr = sscanf(text, "%15s %u %31s %31s", name, &len, first, second);

	if (nr == 2 && !strcmp(name, "mb"))
		return cpu_op_mb();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int op = names[i].op;

		if (strcmp(name, names[i].name) || nr < 3)
			continue;
		/* All memory is zero, and stays so. */
		switch (op) {
		case CPU_COMPARE_EQ_OP:
		case CPU_COMPARE_NE_OP:
			return cpu_op_compare(op, operand(first, line),
					      operand(second, line), len);
		case CPU_MEMCPY_OP:
		case CPU_MEMCPY_RELEASE_OP:
			return cpu_op_memcpy(op, operand(first, line),
					     operand(second, line), len);
		case CPU_ADD_OP:
		case CPU_ADD_RELEASE_OP:
			return cpu_op_arithmetic(op, operand(first, line), 0, len);
		case CPU_LSHIFT_OP:
		case CPU_RSHIFT_OP:
			return cpu_op_shift(op, operand(first, line), 0, len);
		default:
			return cpu_op_bitwise(op, operand(first, line), 0, len);
		}
	}
	malformed(line);
	exit(1);
}

/* Read a vector.  Where a comparison stops it is where it stops. */
static struct bench vector_of(const char *line)
{
	struct bench bench = { "target", "the longest vector", .only_now = true };
	char *copy = strdup(line), *rest = copy, *text;
	char where[16];

	while ((text = strsep(&rest, ";"))) {
		if (text == copy && sscanf(text, "on %15s", where) == 1) {
			bench.last_cpu = !strcmp(where, "other");
			bench.offline = !strcmp(where, "offline");
			if (!bench.last_cpu && !bench.offline)
				malformed(line);
			continue;
		}
		if (bench.cnt == CPU_OP_VEC_LEN_MAX)
			malformed(line);
		bench.vec[bench.cnt++] = operation(text, line);
	}
	free(copy);
	for (int i = bench.cnt - 1; i >= 0; i--)
		if (bench.vec[i].op == CPU_COMPARE_NE_OP && bench.vec[i].len)
			bench.expected = 1 + i;
	return bench;
}

/* What search.py has found: the longest with preemption disabled. */
static struct bench longest(void)
{
	return vector_of(
#include "longest.inc"
	);
}

/* The same vector for each CPU that there can be. */
static void on_other_cpus(struct bench bench)
{
	bench.last_cpu = 1;
	bench.name = "the longest vector on the other CPU";
	vector(&bench);
	bench.last_cpu = 0;
	bench.offline = true;
	bench.name = "the longest vector for an offline CPU";
	if (offline_cpu() >= 0)
		vector(&bench);
}

static void targets(void)
{
	struct bench bench;

	vector(&(struct bench){ "target", "add 8", .vec = { add(counter()) }, .cnt = 1 });
	vector(&(struct bench){ "target", "compare 8 + store 8",
				.vec = { compare_8(), store_8() }, .cnt = 2 });
	vector(&(struct bench){ "target", "compare that stops + add 8", .cnt = 2, .expected = 1,
				.vec = { cpu_op_compare(CPU_COMPARE_NE_OP, page[0], page[1], 8),
					 add(counter()) } });
	bench = many_adds("target", "2 x add 8 in one page", 2, true);
	vector(&bench);
	vector(&(struct bench){ "target", "memcpy 64 in two pages", .cnt = 1, .vec = {
				cpu_op_memcpy(CPU_MEMCPY_OP, page[2], page[3], 64) } });
	vector(&(struct bench){ "target", "compare 8 + memcpy 64 + store 8", .cnt = 3, .vec = {
				compare_8(),
				cpu_op_memcpy(CPU_MEMCPY_OP, page[2], page[3], 64),
				store_8() } });
	bench = many_adds("target", "16 x add 8 in one page", 16, true);
	vector(&bench);
	vector(&(struct bench){ "target", "compare 4096", .cnt = 1, .vec = {
				cpu_op_compare(CPU_COMPARE_EQ_OP, page[2], page[3], 4096) } });
	vector(&(struct bench){ "target", "memcpy 4096", .cnt = 1, .vec = {
				cpu_op_memcpy(CPU_MEMCPY_OP, page[2], page[3], 4096) } });
	bench = many_adds("target", "the limit", 16, true);
	bench.vec[0] = cpu_op_memcpy(CPU_MEMCPY_OP, area[0] + 1, area[1] + 3, 4096);
	vector(&bench);
	bench = many_adds("target", "add 8 in 9 pages", 9, false);
	vector(&bench);
	bench = many_adds("target", "add 8 in 16 pages", 16, false);
	vector(&bench);
	bench = longest();
	vector(&bench);
	vector(&(struct bench){ "target", "add 8 on the other CPU", .vec = { add(counter()) },
				.cnt = 1, .last_cpu = 1, .calls = 100 });
	bench = many_adds("target", "2 x add 8 on the other CPU", 2, true);
	bench.last_cpu = 1;
	bench.calls = 100;
	vector(&bench);
	on_other_cpus(longest());
	if (offline_cpu() >= 0)
		vector(&(struct bench){ "target", "add 8 for an offline CPU", .cnt = 1, .offline = true,
					.only_now = true, .vec = { add(counter()) } });
}

/*
 * What programs do.  The head of a list is page[5], its first node is page[7],
 * and the node behind that one is the same, so that a list stays as it is.  A
 * ring has its tail and its first elements in page[8].
 */

static struct cpu_op compare_head(void)
{
	return cpu_op_compare(CPU_COMPARE_EQ_OP, page[5], page[1] + 64, 8);
}

static struct bench ring_push(const char *name, int len, bool one_page)
{
	char *tail = page[8], *element = one_page ? tail + 64 : page[9] + 64;

	return (struct bench){ "program", name, len, .cnt = 3, .vec = {
		cpu_op_compare(CPU_COMPARE_EQ_OP, tail, page[1] + 128, 8),
		cpu_op_memcpy(CPU_MEMCPY_OP, element, page[1] + 256, len),
		cpu_op_memcpy(CPU_MEMCPY_RELEASE_OP, tail, page[1] + 136, 8),
	} };
}

/*
 * What a program would do instead.  Either it has a lock that sleeps for the data of
 * each CPU, which everyone takes.  Or threads run sequences on their own CPU, and who
 * works on the data of another one takes the lock, and aborts what runs there: the
 * sequences ask for the lock.  Or a thread goes to the other CPU, and comes back.
 */

#define MAX_CPUS	64

static pthread_mutex_t locks[MAX_CPUS] = { [0 ... MAX_CPUS - 1] = PTHREAD_MUTEX_INITIALIZER };

static int last_online_cpu(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) - 1;
}

static intptr_t *counter_of(int cpu)
{
	return (intptr_t *)(page[10] + 1024) + 8 * cpu;
}

static void plain_add(int cpu)
{
	++*(volatile intptr_t *)counter_of(cpu);
}

static void add_by_call(int cpu)
{
	struct cpu_op op = add(counter_of(cpu));

	if (syscall(__NR_cpu_opv, &op, 1, cpu, 0))
		die("cpu_opv");
}

/* The thread is on that CPU. */
static void add_by_rseq(int cpu)
{
	while (rseq_addv(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID, counter_of(cpu), 1, cpu))
		continue;
}

static void add_by_setaffinity(int cpu)
{
	run_on(cpu, cpu);
	add_by_rseq(cpu);
	run_on(0, last_online_cpu());
}

/* Aborts the sequences of a CPU, or those of all CPUs. */
static void fence(int cpu)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ,
		    cpu < 0 ? 0 : MEMBARRIER_CMD_FLAG_CPU, cpu))
		die("membarrier");
}

static void add_by_fence(int cpu)
{
	pthread_mutex_lock(&locks[cpu]);
	fence(cpu);
	plain_add(cpu);
	pthread_mutex_unlock(&locks[cpu]);
}

static void add_by_lock(int cpu)
{
	pthread_mutex_lock(&locks[cpu]);
	plain_add(cpu);
	pthread_mutex_unlock(&locks[cpu]);
}

static long call_other_fence(const struct bench *bench)
{
	(void)bench;
	add_by_fence(1);
	return 0;
}

static long call_other_lock(const struct bench *bench)
{
	(void)bench;
	add_by_lock(1);
	return 0;
}

/* Takes the counter of each CPU, and leaves zero, a CPU a call. */
static long call_drain(const struct bench *bench)
{
	for (int cpu = 0; cpu < bench->x; cpu++) {
		long ret = syscall(nr_cpu_opv, bench->vec, bench->cnt, cpu, 0);

		if (ret)
			return ret;
	}
	return 0;
}

static volatile intptr_t sum;

static long call_drain_setaffinity(const struct bench *bench)
{
	for (int cpu = 0; cpu < bench->x; cpu++) {
		intptr_t *p = counter_of(cpu), count;

		run_on(cpu, cpu);
		do {
			count = *(volatile intptr_t *)p;
		} while (rseq_cmpeqv_storev(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID, p,
					    count, 0, cpu));
		sum += count;
	}
	run_on(0, bench->last_cpu);
	return 0;
}

static void take_plainly(int cpu)
{
	sum += *(volatile intptr_t *)counter_of(cpu);
	*(volatile intptr_t *)counter_of(cpu) = 0;
}

static long call_drain_fence(const struct bench *bench)
{
	for (int cpu = 0; cpu < bench->x; cpu++)
		pthread_mutex_lock(&locks[cpu]);
	fence(-1);
	for (int cpu = 0; cpu < bench->x; cpu++) {
		take_plainly(cpu);
		pthread_mutex_unlock(&locks[cpu]);
	}
	return 0;
}

static long call_drain_lock(const struct bench *bench)
{
	for (int cpu = 0; cpu < bench->x; cpu++) {
		pthread_mutex_lock(&locks[cpu]);
		take_plainly(cpu);
		pthread_mutex_unlock(&locks[cpu]);
	}
	return 0;
}

/* A list.  Its first node is the one behind it, too, so that it stays as it is. */

static intptr_t *head(void)
{
	return (intptr_t *)page[5];
}

static long call_rseq_push(const struct bench *bench)
{
	(void)bench;
	return rseq_cmpeqv_storev(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID, head(),
				  (intptr_t)page[7], (intptr_t)page[7],
				  rseq_cpu_start());
}

static long call_rseq_pop(const struct bench *bench)
{
	long *load;

	(void)bench;
	return rseq_cmpnev_storeoffp_load(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID, head(),
					  0, 0, (intptr_t *)&load, rseq_cpu_start());
}

/* It is empty if its head is what is asked for. */
static long call_rseq_pop_miss(const struct bench *bench)
{
	long *load;

	(void)bench;
	return rseq_cmpnev_storeoffp_load(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID, head(),
					  (intptr_t)page[7], 0, (intptr_t *)&load,
					  rseq_cpu_start()) - 1;
}

static long call_rseq_take_all(const struct bench *bench)
{
	intptr_t first = *(volatile intptr_t *)head();

	(void)bench;
	return rseq_cmpeqv_storev(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID, head(), first,
				  (intptr_t)page[7], rseq_cpu_start());
}

static long call_lock_push(const struct bench *bench)
{
	(void)bench;
	pthread_mutex_lock(&locks[0]);
	*(volatile intptr_t *)head() = (intptr_t)page[7];
	pthread_mutex_unlock(&locks[0]);
	return 0;
}

static long call_lock_pop(const struct bench *bench)
{
	(void)bench;
	pthread_mutex_lock(&locks[0]);
	*(volatile intptr_t *)head() = *(intptr_t *)*(volatile intptr_t *)head();
	pthread_mutex_unlock(&locks[0]);
	return 0;
}

static long call_lock_pop_miss(const struct bench *bench)
{
	bool empty;

	(void)bench;
	pthread_mutex_lock(&locks[0]);
	empty = *(volatile intptr_t *)head() == (intptr_t)page[7];
	pthread_mutex_unlock(&locks[0]);
	return !empty;
}

static long call_lock_take_all(const struct bench *bench)
{
	(void)bench;
	pthread_mutex_lock(&locks[0]);
	sum += *(volatile intptr_t *)head();
	*(volatile intptr_t *)head() = (intptr_t)page[7];
	pthread_mutex_unlock(&locks[0]);
	return 0;
}

/* A ring: "cnt" says in how many pages its tail and its element are. */

static char *ring_element(const struct bench *bench)
{
	return bench->cnt == 1 ? page[8] + 64 : page[9] + 64;
}

static long call_rseq_ring(const struct bench *bench)
{
	return rseq_cmpeqv_trymemcpy_storev(RSEQ_MO_RELEASE, RSEQ_PERCPU_CPU_ID,
					    (intptr_t *)page[8], 0, ring_element(bench),
					    page[1] + 256, bench->x, 0,
					    rseq_cpu_start());
}

static long call_lock_ring(const struct bench *bench)
{
	pthread_mutex_lock(&locks[0]);
	memcpy(ring_element(bench), page[1] + 256, bench->x);
	__atomic_store_n((long *)page[8], 0, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&locks[0]);
	return 0;
}

static void instead_of(const struct bench *bench, const char *way,
		       long (*call)(const struct bench *bench))
{
	struct bench other = *bench;

	other.call = call;
	if (!profiling)
		measure(&other, way);
}

/* The other threads of a program, which sleep. A fence costs less if there is none. */
static void *sleep_until_cancelled(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void lists(void)
{
	struct bench bench;

	*(char **)page[5] = page[7];
	*(char **)(page[1] + 64) = page[7];
	*(char **)page[7] = page[7];
	*(char **)(page[1] + 72) = page[7];

	bench = (struct bench){ "program", "list push", .cnt = 2, .only_now = true, .vec = {
			compare_head(),
			cpu_op_memcpy(CPU_MEMCPY_OP, page[5], page[1] + 72, 8) } };
	vector(&bench);
	instead_of(&bench, "rseq", call_rseq_push);
	instead_of(&bench, "futex lock", call_lock_push);

	bench = (struct bench){ "program", "list pop", .cnt = 2, .only_now = true, .vec = {
			compare_head(),
			cpu_op_memcpy(CPU_MEMCPY_OP, page[5], page[7], 8) } };
	vector(&bench);
	instead_of(&bench, "rseq", call_rseq_pop);
	instead_of(&bench, "futex lock", call_lock_pop);

	bench = (struct bench){ "program", "list pop that misses", .cnt = 2, .expected = 1,
			.only_now = true, .vec = {
			cpu_op_compare(CPU_COMPARE_EQ_OP, page[5], page[1], 8),
			cpu_op_memcpy(CPU_MEMCPY_OP, page[5], page[7], 8) } };
	vector(&bench);
	bench.expected = 0;
	instead_of(&bench, "rseq", call_rseq_pop_miss);
	instead_of(&bench, "futex lock", call_lock_pop_miss);

	bench = (struct bench){ "program", "list take all", .cnt = 2, .only_now = true, .vec = {
			cpu_op_memcpy(CPU_MEMCPY_OP, page[1] + 80, page[5], 8),
			cpu_op_memcpy(CPU_MEMCPY_OP, page[5], page[1] + 72, 8) } };
	vector(&bench);
	instead_of(&bench, "rseq", call_rseq_take_all);
	instead_of(&bench, "futex lock", call_lock_take_all);
}

static void rings(void)
{
	for (int len = 16; len <= 64; len *= 4) {
		for (int pages = 1; pages <= 2; pages++) {
			struct bench bench = ring_push(pages == 1 ? "ring push in one page" :
						       "ring push in two pages",
						       len, pages == 1);

			vector(&bench);
			bench.cnt = pages;
			instead_of(&bench, "rseq", call_rseq_ring);
			instead_of(&bench, "futex lock", call_lock_ring);
		}
	}
}

static void other_cpus(void)
{
	struct bench bench = { "program", "counter on the other CPU", .cnt = 1, .only_now = true,
			       .vec = { add(counter_of(1)) }, .last_cpu = 1, .calls = 100 };

	vector(&bench);
	bench.last_cpu = 0;
	instead_of(&bench, "2 x sched_setaffinity + rseq", call_setaffinity);
	instead_of(&bench, "lock + membarrier", call_other_fence);
	instead_of(&bench, "futex lock", call_other_lock);

	bench = (struct bench){ "program", "drain of all CPUs", last_online_cpu() + 1, .vec = {
			cpu_op_memcpy(CPU_MEMCPY_OP, page[1] + 80, counter(), 8),
			cpu_op_memcpy(CPU_MEMCPY_OP, counter(), page[1] + 88, 8) },
		.cnt = 2, .only_now = true, .calls = 25, .last_cpu = last_online_cpu() };
	nr_cpu_opv = __NR_cpu_opv;
	instead_of(&bench, "cpu_opv", call_drain);
	instead_of(&bench, "2 x sched_setaffinity + rseq", call_drain_setaffinity);
	instead_of(&bench, "lock + membarrier", call_drain_fence);
	instead_of(&bench, "futex lock", call_drain_lock);
}

static void programs(void)
{
	pthread_t sleeper;

	if (pthread_create(&sleeper, NULL, sleep_until_cancelled, NULL))
		die("pthread_create");
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0))
		die("membarrier");
	lists();
	rings();
	other_cpus();
	pthread_cancel(sleeper);
	pthread_join(sleeper, NULL);
}

/* Several threads call at once, all for one CPU or each for a CPU of its own. */

#define MAX_CALLERS	4

static struct callers {
	void (*add)(int cpu);
	bool own_cpu;
	int calls;
	pthread_barrier_t start;
	long begin[MAX_CALLERS], end[MAX_CALLERS];
} callers;

static void *call_repeatedly(void *arg)
{
	long me = (long)arg;
	int cpu = callers.own_cpu ? me % (last_online_cpu() + 1) : 0;

	if (rseq_register_current_thread())
		die("rseq");
	if (callers.add == add_by_rseq)
		run_on(cpu, cpu);
	pthread_barrier_wait(&callers.start);
	callers.begin[me] = now();
	for (int i = 0; i < callers.calls; i++)
		callers.add(cpu);
	callers.end[me] = now();
	return NULL;
}

static void concurrent(const char *name, int nr, const char *way)
{
	pthread_t thread[MAX_CALLERS];
	double cost[ROUNDS_MAX];

	callers.calls = 500;
	for (int round = 0; round < ROUNDS; round++) {
		long begin = LONG_MAX, end = 0;

		pthread_barrier_init(&callers.start, NULL, nr);
		for (long i = 0; i < nr; i++)
			if (pthread_create(&thread[i], NULL, call_repeatedly, (void *)i))
				die("pthread_create");
		for (int i = 0; i < nr; i++) {
			pthread_join(thread[i], NULL);
			begin = callers.begin[i] < begin ? callers.begin[i] : begin;
			end = callers.end[i] > end ? callers.end[i] : end;
		}
		pthread_barrier_destroy(&callers.start);
		cost[round] = (double)(end - begin) / (nr * callers.calls);
	}
	qsort(cost, ROUNDS, sizeof(cost[0]), by_value);
	printf("callers,%s,%d,%s,%.0f,%.0f,%.0f\n", name, nr, way,
	       cost[ROUNDS / 2], cost[0], cost[ROUNDS - 1]);
	fflush(stdout);
}

static void growth_with_callers(void)
{
	/* By what a thread can do for a CPU that it need not be on, and on its own. */
	static const struct {
		const char *way;
		void (*add)(int cpu);
		bool one_cpu, own_cpu;
	} ways[] = {
		{ "cpu_opv", add_by_call, true, true },
		{ "rseq", add_by_rseq, false, true },
		{ "2 x sched_setaffinity + rseq", add_by_setaffinity, true, false },
		{ "lock + membarrier", add_by_fence, true, false },
		{ "futex lock", add_by_lock, true, true },
	};

	run_on(0, last_online_cpu());
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		callers.add = ways[i].add;
		callers.own_cpu = false;
		for (int nr = 1; ways[i].one_cpu && nr <= MAX_CALLERS; nr *= 2)
			concurrent("add 8 on one CPU", nr, ways[i].way);
		callers.own_cpu = true;
		for (int nr = 1; ways[i].own_cpu && nr <= MAX_CALLERS; nr *= 2)
			concurrent("add 8 on a CPU each", nr, ways[i].way);
	}
}

static void operations(void)
{
	char *p = page[0] + 128, *other = page[1] + 128;
	struct cpu_op ops[] = {
		cpu_op_compare(CPU_COMPARE_EQ_OP, p, other, 8),
		cpu_op_compare(CPU_COMPARE_NE_OP, p, page[1] + 256, 8),
		cpu_op_memcpy(CPU_MEMCPY_OP, p, other, 8),
		cpu_op_arithmetic(CPU_ADD_OP, p, 0, 8),
		cpu_op_bitwise(CPU_OR_OP, p, 0, 8),
		cpu_op_bitwise(CPU_AND_OP, p, -1, 8),
		cpu_op_bitwise(CPU_XOR_OP, p, 0, 8),
		cpu_op_shift(CPU_LSHIFT_OP, p, 0, 8),
		cpu_op_shift(CPU_RSHIFT_OP, p, 0, 8),
		cpu_op_mb(),
		cpu_op_memcpy(CPU_MEMCPY_RELEASE_OP, p, other, 8),
		cpu_op_arithmetic(CPU_ADD_RELEASE_OP, p, 0, 8),
	};
	static const char * const names[] = {
		"compare_eq", "compare_ne", "memcpy", "add", "or", "and", "xor",
		"lshift", "rshift", "mb", "memcpy_release", "add_release",
	};

	*(uint64_t *)(page[1] + 256) = 1;
	_Static_assert(ARRAY_SIZE(ops) == NR_CPU_OPS, "every operation is measured");
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		vector(&(struct bench){ "op", names[i], ops[i].len, .vec = { ops[i] }, .cnt = 1 });

	vector(&(struct bench){ .group = "op", .name = "no operation" });
}

static void growth(void)
{
	for (int n = 1; n <= CPU_OP_VEC_LEN_MAX; n++) {
		struct bench bench = many_adds("ops", "add 8 in one page", n, true);

		vector(&bench);
	}
	for (int n = 1; n <= CPU_OP_VEC_LEN_MAX; n++) {
		struct bench bench = many_adds("ops", "add 8 in n pages", n, false);

		vector(&bench);
	}
	for (int len = 8; len <= CPU_OP_DATA_LEN_MAX; len *= 2)
		vector(&(struct bench){ "bytes", "compare", len, .cnt = 1, .vec = {
					cpu_op_compare(CPU_COMPARE_EQ_OP, page[2], page[3], len) } });
	for (int len = 8; len <= CPU_OP_DATA_LEN_MAX; len *= 2)
		vector(&(struct bench){ "bytes", "memcpy", len, .cnt = 1, .vec = {
					cpu_op_memcpy(CPU_MEMCPY_OP, page[2], page[3], len) } });
}

static void alternatives(void)
{
	alternative("an empty system call", "getppid", call_getppid, 0);
	alternative("add 4", "futex(FUTEX_WAKE_OP)", call_futex, 0);
	alternative("add 8", "rseq", call_rseq_add, 0);
	alternative("compare 8 + store 8", "rseq", call_rseq_compare_store, 0);
	alternative("compare 8 + memcpy 64 + store 8", "rseq", call_rseq_compare_memcpy_store, 0);
	alternative("add 8", "a lock for each CPU", call_lock, 0);
	if (!syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		alternative("add 8", "plain store + membarrier", call_membarrier, 0);
	alternative("add 8 on the other CPU", "2 x sched_setaffinity + rseq", call_setaffinity, 50);
	alternative("going to the other CPU", "sched_setaffinity", call_setaffinity_once, 100);
}

/* The same with a thread on each CPU that never sleeps. */

static volatile bool stop;

static void *spin(void *cpu)
{
	run_on((long)cpu, (long)cpu);
	while (!stop)
		continue;
	return NULL;
}

static void busy(void)
{
	pthread_t thread[2];

	for (long cpu = 0; cpu < 2; cpu++)
		if (pthread_create(&thread[cpu], NULL, spin, (void *)cpu))
			die("pthread_create");
	vector(&(struct bench){ "busy", "add 8 on the other CPU", .vec = { add(counter()) },
				.cnt = 1, .last_cpu = 1, .calls = 20 });
	if (!profiling) {
		struct bench bench = { "busy", "add 8 on the other CPU",
				       .call = call_setaffinity, .calls = 10 };

		measure(&bench, "2 x sched_setaffinity + rseq");
	}
	stop = true;
	for (int cpu = 0; cpu < 2; cpu++)
		pthread_join(thread[cpu], NULL);
}

/* Makes memory present, all of which is zero. */
static void touch(char *p, size_t pages, bool writable)
{
	for (size_t i = 0; i < pages; i++)
		if (writable)
			p[i * PAGE_LEN] = 0;
		else
			*(volatile char *)(p + i * PAGE_LEN);
}

static void *map_zeros(int prot, int flags, int fd, size_t pages)
{
	char *p = mapped(mmap(NULL, pages * PAGE_LEN, prot, flags, fd, 0));

	madvise(p, pages * PAGE_LEN, MADV_NOHUGEPAGE);
	touch(p, pages, prot & PROT_WRITE);
	return p;
}

static char *map_huge(void)
{
	char *p = mapped(mmap(NULL, 2 * HUGE_LEN, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	p += -(unsigned long)p % HUGE_LEN;
	touch(p, HUGE_LEN / PAGE_LEN, true);
	if (madvise(p, HUGE_LEN, MADV_COLLAPSE))
		die("madvise(MADV_COLLAPSE)");
	return p;
}

/* Maps a page of a file, but not the one that follows the page of the mapping before. */
static void map_alone(char *p, int fd, size_t nr)
{
	mapped(mmap(p, PAGE_LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		    2 * nr * PAGE_LEN));
	touch(p, 1, true);
}

/* Makes so many mappings that only a few more are allowed. */
static void map_many(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "r");
	long nr = 0;
	char *p;

	if (!file || fscanf(file, "%ld", &nr) != 1 || nr <= NR_MAPPINGS_LEFT)
		die("/proc/sys/vm/max_map_count");
	fclose(file);
	nr -= NR_MAPPINGS_LEFT;
	p = mapped(mmap(NULL, nr * PAGE_LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (long i = 1; i < nr; i += 2)
		if (mprotect(p + i * PAGE_LEN, PAGE_LEN, PROT_READ))
			die("mprotect");
}

/* A page more than asked for: an operand in the last one may go on there. */
static void map_memory_of_vectors(void)
{
	const size_t pages = NR_VECTOR_PAGES + 1;
	int fd = memfd_create("cpu_opv_bench", 0);

	if (fd < 0 || ftruncate(fd, 4 * pages * PAGE_LEN))
		die("memfd_create");
	memory['a'] = map_zeros(PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, pages);
	memory['u'] = map_zeros(PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, pages);
	memory['s'] = map_zeros(PROT_READ | PROT_WRITE, MAP_SHARED, fd, pages);
	memory['p'] = map_zeros(PROT_READ, MAP_PRIVATE, fd, pages);
	memory['w'] = map_zeros(PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, pages);

	memory['m'] = map_zeros(PROT_READ, MAP_PRIVATE, fd, pages);
	for (size_t i = 0; i < pages; i++)
		map_alone(memory['m'] + i * PAGE_LEN, fd, i);

	/* With page tables of five levels if there are. */
	far = 1UL << 48;
	if (mmap((void *)far, PAGE_LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != (void *)far)
		far = 1UL << 39;
	memory['f'] = far_page(0);
	for (size_t i = 0; i < NR_VECTOR_PAGES; i++)
		map_alone(far_page(i), fd, i);
	/* What goes on behind the second of two goes on here. */
	for (size_t i = 1; i < NR_VECTOR_PAGES; i += 2)
		map_alone(far_page(i) + PAGE_LEN, fd, i);

	memory['h'] = map_huge();
	memory['l'] = map_huge();
	/* A mapping ends within it, so that it can no longer be mapped as a whole. */
	if (mprotect(memory['l'] + HUGE_LEN - PAGE_LEN, PAGE_LEN, PROT_READ))
		die("mprotect");
	map_many();
	close(fd);
}

/* Takes away what calls have made present, or have copied. */
static void renew_memory(void)
{
	for (const char *kind = "uw"; *kind; kind++)
		if (madvise(memory[(int)*kind], NR_VECTOR_PAGES * PAGE_LEN, MADV_DONTNEED))
			die("madvise(MADV_DONTNEED)");
	touch(memory['w'], NR_VECTOR_PAGES, false);
}

static void run_vectors(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[4096];

	if (!file)
		die(path);
	nr_cpu_opv = __NR_cpu_opv;
	while (fgets(line, sizeof(line), file)) {
		struct bench bench = vector_of(line);
		/* No operation begins with these letters. */
		bool renews = strstr(line, " u") || strstr(line, " w");

		set_call(&bench);
		place(&bench);
		for (int round = 0; round < 5; round++) {
			if (renews)
				renew_memory();
			if (round >= 3)
				mark_start();
			call_checked(&bench);
			if (round >= 3)
				mark_stop();
		}
	}
	fclose(file);
}

static void map_memory(void)
{
	const size_t len = (2 * NR_PAGES + 8) * PAGE_LEN;
	char *mem = mapped(mmap(NULL, len, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	madvise(mem, len, MADV_NOHUGEPAGE);
	for (int i = 0; i < NR_PAGES; i++)
		page[i] = mem + 2 * i * PAGE_LEN;
	area[0] = mem + 2 * NR_PAGES * PAGE_LEN;
	area[1] = area[0] + 3 * PAGE_LEN;
	memset(mem, 0, len);
	map_memory_of_vectors();
}

int main(int argc, char **argv)
{
	bool only_vectors = argc > 2 && !strcmp(argv[1], "vectors");

	profiling = only_vectors || (argc > 1 && !strcmp(argv[1], "profile"));
	if (!only_vectors && sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		fprintf(stderr, "cpu_opv_bench: two CPUs are needed\n");
		return 1;
	}
	if (cpu_opv(NULL, 0, 0, CPU_OP_NR_FLAG) != NR_CPU_OPS)
		die("cpu_opv");
	if (rseq_register_current_thread())
		die("rseq");
	has_2017 = !syscall(NR_CPU_OPV_2017, NULL, 0, 0, 0);
	map_memory();
	run_on(0, 0);
	if (profiling) {
		/* The profiler gets ready at the first mark. */
		mark_start();
		mark_stop();
	} else {
		printf("clock,%.4f\n", units_per_instruction());
	}

	if (only_vectors) {
		run_vectors(argv[2]);
		return 0;
	}
	targets();
	if (profiling)
		return 0;
	operations();
	growth();
	alternatives();
	programs();
	growth_with_callers();
	busy();
	return 0;
}
