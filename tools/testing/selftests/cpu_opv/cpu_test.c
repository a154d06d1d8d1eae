// SPDX-License-Identifier: GPL-2.0
/*
 * Where vectors run: on each CPU, from each CPU, and on none that they may not.
 */

#include <sys/resource.h>

#include "cpu_opv_cpus.h"

FIXTURE(cpu)
{
	cpu_set_t allowed;
	cpu_set_t possible;
	uint64_t count;
};

FIXTURE_SETUP(cpu)
{
	self->count = 0;
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(self->allowed),
				       &self->allowed));
	ASSERT_EQ(0, read_cpus("possible", &self->possible));
	ASSERT_GT(CPU_COUNT(&self->possible), 0);
}

FIXTURE_TEARDOWN(cpu)
{
}

static void expect_refused(struct __test_metadata *_metadata, int cpu)
{
	uint64_t count = 0;
	struct cpu_op op = count_op(&count);

	EXPECT_EQ(-EINVAL, run_on(&op, 1, cpu)) {
		TH_LOG("cpu %d", cpu);
	}
	EXPECT_EQ(-EINVAL, run_on(&op, 0, cpu)) {
		TH_LOG("cpu %d, empty vector", cpu);
	}
	EXPECT_EQ(-EINVAL, run_on(NULL, 0, cpu)) {
		TH_LOG("cpu %d, empty vector", cpu);
	}
	EXPECT_EQ(0, count);
}

TEST_F(cpu, negative)
{
	static const int cpus[] = { -1, -2, -1024, INT_MIN, INT_MIN + 1 };

	for (size_t i = 0; i < ARRAY_SIZE(cpus); i++)
		expect_refused(_metadata, cpus[i]);
}

TEST_F(cpu, huge)
{
	static const int cpus[] = { 1 << 16, 1 << 20, (1 << 30) + 1, INT_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(cpus); i++)
		expect_refused(_metadata, cpus[i]);
}

TEST_F(cpu, not_possible)
{
	int refused = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &self->possible))
			continue;
		expect_refused(_metadata, cpu);
		refused++;
	}
	EXPECT_GT(refused, 0);
}

TEST_F(cpu, each_from_each)
{
	struct cpu_op vec[] = { count_op(&self->count),
				count_op(&self->count) };
	uint64_t expected = 0;

	for (int from = 0; from < CPU_SETSIZE; from++) {
		if (!CPU_ISSET(from, &self->allowed))
			continue;
		for (int to = 0; to < CPU_SETSIZE; to++) {
			cpu_set_t after;

			if (!CPU_ISSET(to, &self->allowed))
				continue;
			ASSERT_EQ(0, run_pinned(from));
			ASSERT_EQ(0, sched_setaffinity(0,
						       sizeof(self->allowed),
						       &self->allowed));
			ASSERT_EQ(0, run_on(vec, 2, to)) {
				TH_LOG("from %d to %d", from, to);
			}
			expected += 2;
			ASSERT_EQ(expected, self->count);
			ASSERT_EQ(0, run_on(vec, 0, to));

			/* The call is not to change what its caller may do. */
			ASSERT_EQ(0, sched_getaffinity(0, sizeof(after),
						       &after));
			ASSERT_TRUE(CPU_EQUAL(&self->allowed, &after));
		}
	}
	EXPECT_GT(expected, 0);
}

TEST_F(cpu, outside_the_affinity)
{
	if (CPU_COUNT(&self->allowed) < 2)
		SKIP(return, "needs two CPUs");

	for (int only = 0; only < CPU_SETSIZE; only++) {
		struct cpu_op op = count_op(&self->count);

		if (!CPU_ISSET(only, &self->allowed))
			continue;
		ASSERT_EQ(0, run_pinned(only));
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (cpu != only && CPU_ISSET(cpu, &self->allowed))
				expect_refused(_metadata, cpu);
		self->count = 0;
		EXPECT_EQ(0, run_on(&op, 1, only));
		EXPECT_EQ(1, self->count);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(self->allowed),
					       &self->allowed));
	}
}

/* Errors are the same when the vector has to go to another CPU. */
TEST_F(cpu, errors_on_each)
{
	char *page = map_pages(1);
	void *bad = page + page_size();

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		struct cpu_op vec[] = {
			count_op(&self->count),
			cpu_op_memcpy(CPU_MEMCPY_OP, page, bad, 8),
		};

		if (!CPU_ISSET(cpu, &self->allowed))
			continue;
		EXPECT_EQ(-EFAULT, run_on(vec, 2, cpu));
		vec[1].u.memcpy_op.expect_fault_src = 1;
		EXPECT_EQ(-EAGAIN, run_on(vec, 2, cpu));
		vec[1].len = CPU_OP_DATA_LEN_MAX + 1;
		EXPECT_EQ(-EINVAL, run_on(vec, 2, cpu));
		vec[1] = cpu_op_compare(CPU_COMPARE_NE_OP, page, page, 8);
		EXPECT_EQ(0, self->count);
		EXPECT_EQ(2, run_on(vec, 2, cpu));
		EXPECT_EQ(1, self->count);
		self->count = 0;
	}
	unmap_pages(page, 1);
}

#define NR_THREADS	4
#define NR_CALLS	2000

/* Vectors for one CPU do not run at the same time, wherever they come from. */
TEST_F_TIMEOUT(cpu, vectors_exclude_each_other, LONG_TIMEOUT)
{
	static struct percpu percpu;
	struct worker workers[NR_THREADS];

	percpu.cpus = self->allowed;
	ASSERT_EQ(0, start_workers(workers, NR_THREADS, (struct worker) {
		.step = increment_step,
		.percpu = &percpu,
		.limit = NR_CALLS,
	}));
	EXPECT_EQ(NR_THREADS * NR_CALLS,
		  join_workers(_metadata, workers, NR_THREADS));
	EXPECT_EQ(NR_THREADS * NR_CALLS, sum_counts(&percpu));
}

/* A thread that takes the CPU from all that are not real-time threads. */
static const struct sched_attr fifo = {
	.size = sizeof(fifo),
	.sched_policy = SCHED_FIFO,
	.sched_priority = 1,
};

#define MIN_SLICES	100
#define MIN_CALLS	200
#define SLICE_NS	100000

/* A counter that vectors and a real-time thread on the CPU increment. */
static struct {
	uint64_t count;
	/* Times that the thread had the CPU, and those without interruption. */
	unsigned long slices;
	unsigned long whole;
	/* Of these, the ones in which a vector ran nevertheless. */
	unsigned long disturbed;
} hog;

static long context_switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw + usage.ru_nivcsw;
}

/*
 * A step: have the CPU for a while, in which no vector may run on it, and then
 * store.  The kernel's server of fair threads may give the CPU to another one
 * meanwhile, but not without a context switch: such a slice tells nothing.
 */
static int hog_step(struct worker *worker)
{
	long switches = context_switches();
	uint64_t count = __atomic_load_n(&hog.count, __ATOMIC_RELAXED);
	uint64_t end = now_ns() + SLICE_NS;
	bool changed;

	while (now_ns() < end)
		;
	changed = __atomic_load_n(&hog.count, __ATOMIC_RELAXED) != count;
	if (context_switches() == switches) {
		hog.disturbed += changed;
		__atomic_fetch_add(&hog.whole, 1, __ATOMIC_RELAXED);
	}
	__atomic_fetch_add(&hog.count, 1, __ATOMIC_RELAXED);
	hog.slices++;
	usleep(500);
	return 0;
}

/*
 * A vector for a CPU runs on that CPU, so not while a real-time thread runs
 * there.  Preemption is disabled, so that this thread, which takes the CPU from
 * all others, does not store in the middle of a vector.
 */
TEST_F_TIMEOUT(cpu, vectors_wait_for_the_cpu, LONG_TIMEOUT)
{
	int cpu = nth_cpu(&self->allowed, CPU_COUNT(&self->allowed) - 1);
	struct cpu_op op = count_op(&hog.count);
	static struct percpu percpu;
	unsigned long calls = 0;
	struct worker worker;

	if (CPU_COUNT(&self->allowed) < 2)
		SKIP(return, "needs two CPUs");

	/* The thread inherits the affinity. */
	ASSERT_EQ(0, run_pinned(cpu));
	ASSERT_EQ(0, start_workers(&worker, 1, (struct worker) {
		.step = hog_step,
		.percpu = &percpu,
		.attr = &fifo,
	}));
	while (!__atomic_load_n(&worker.error, __ATOMIC_RELAXED) &&
	       (calls < MIN_CALLS ||
		__atomic_load_n(&hog.whole, __ATOMIC_RELAXED) < MIN_SLICES)) {
		/* Come from another CPU each time. */
		CPU_CLR(cpu, &self->allowed);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(self->allowed),
					       &self->allowed));
		CPU_SET(cpu, &self->allowed);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(self->allowed),
					       &self->allowed));
		ASSERT_EQ(0, run_on(&op, 1, cpu));
		calls++;
	}
	stop_workers(&percpu);
	pthread_join(worker.thread, NULL);
	if (worker.error == -EPERM)
		SKIP(return, "needs the right to use SCHED_FIFO");
	ASSERT_EQ(0, worker.error);
	TH_LOG("%lu calls, %lu slices, %lu of them whole", calls, hog.slices,
	       hog.whole);
	EXPECT_EQ(0, hog.disturbed);
	EXPECT_EQ(calls + hog.slices, hog.count);
}

#define MIN_CHECKS	300

/* Two counters that a long vector increments, at its start and at its end. */
static struct {
	uint64_t first;
	uint64_t last;
	unsigned long checks;
	unsigned long apart;
} ends;

/* A step: take the CPU from the thread that calls, wherever that is. */
static int compare_ends_step(struct worker *worker)
{
	uint64_t first = __atomic_load_n(&ends.first, __ATOMIC_RELAXED);

	ends.apart += first != __atomic_load_n(&ends.last, __ATOMIC_RELAXED);
	__atomic_fetch_add(&ends.checks, 1, __ATOMIC_RELAXED);
	usleep(200);
	return 0;
}

/* Fails if preemption is not disabled: the vector is long enough to be hit. */
TEST_F_TIMEOUT(cpu, vectors_are_not_preempted, LONG_TIMEOUT)
{
	char *dst = map_pages(1), *src = map_pages(1);
	struct cpu_op vec[] = {
		count_op(&ends.first),
		cpu_op_memcpy(CPU_MEMCPY_OP, dst, src, CPU_OP_DATA_LEN_MAX),
		count_op(&ends.last),
	};
	int cpu = nth_cpu(&self->allowed, 0);
	static struct percpu percpu;
	unsigned long calls = 0;
	struct worker worker;

	/* The thread inherits the affinity. */
	ASSERT_EQ(0, run_pinned(cpu));
	ASSERT_EQ(0, start_workers(&worker, 1, (struct worker) {
		.step = compare_ends_step,
		.percpu = &percpu,
		.attr = &fifo,
	}));
	while (!__atomic_load_n(&worker.error, __ATOMIC_RELAXED) &&
	       __atomic_load_n(&ends.checks, __ATOMIC_RELAXED) < MIN_CHECKS) {
		ASSERT_EQ(0, run_on(vec, ARRAY_SIZE(vec), cpu));
		calls++;
	}
	stop_workers(&percpu);
	pthread_join(worker.thread, NULL);
	if (worker.error == -EPERM)
		SKIP(return, "needs the right to use SCHED_FIFO");
	ASSERT_EQ(0, worker.error);
	TH_LOG("%lu calls, %lu checks", calls, ends.checks);
	EXPECT_EQ(0, ends.apart);
	EXPECT_EQ(calls, ends.first);
	EXPECT_EQ(calls, ends.last);
	unmap_pages(dst, 1);
	unmap_pages(src, 1);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
