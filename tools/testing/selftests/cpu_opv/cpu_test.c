// SPDX-License-Identifier: GPL-2.0
/*
 * Where vectors run: on each CPU, from each CPU, and on none that they may not.
 */

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include "cpu_opv_test.h"

static struct cpu_op count_op(uint64_t *count)
{
	return cpu_op_arithmetic(CPU_ADD_OP, count, 1, sizeof(*count));
}

/* Read a list of CPUs such as 0-3,8 into a set. */
static int read_cpus(const char *name, cpu_set_t *set)
{
	char path[100];
	int first, last, ret;
	FILE *file;

	CPU_ZERO(set);
	snprintf(path, sizeof(path), "/sys/devices/system/cpu/%s", name);
	file = fopen(path, "r");
	if (!file)
		return -1;
	while ((ret = fscanf(file, "%d-%d", &first, &last)) >= 1) {
		if (ret == 1)
			last = first;
		for (; first <= last; first++)
			CPU_SET(first, set);
		if (fgetc(file) != ',')
			break;
	}
	fclose(file);
	return CPU_COUNT(set) ? 0 : -1;
}

static int run_pinned(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

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

struct counters {
	/* One for each CPU, in a cache line of its own. */
	struct {
		uint64_t count;
		char pad[120];
	} of[CPU_SETSIZE];
	cpu_set_t cpus;
};

struct worker {
	struct counters *counters;
	pthread_t thread;
	int seed;
	int failed;
};

/*
 * Increment by three operations that are one only if no other vector runs
 * between them.
 */
static int increment(struct counters *counters, int cpu)
{
	uint64_t *count = &counters->of[cpu].count;
	uint64_t tmp;
	struct cpu_op vec[] = {
		cpu_op_memcpy(CPU_MEMCPY_OP, &tmp, count, sizeof(tmp)),
		count_op(&tmp),
		cpu_op_memcpy(CPU_MEMCPY_OP, count, &tmp, sizeof(tmp)),
	};

	return run_on(vec, 3, cpu);
}

static int nth_cpu(const cpu_set_t *cpus, int nth)
{
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, cpus) && nth-- == 0)
			break;
	return cpu;
}

static void *worker_run(void *arg)
{
	struct worker *worker = arg;
	const cpu_set_t *cpus = &worker->counters->cpus;
	uint64_t state = worker->seed;

	for (int i = 0; i < NR_CALLS; i++) {
		int nth = next_random(&state) % CPU_COUNT(cpus);

		worker->failed += !!increment(worker->counters,
					      nth_cpu(cpus, nth));
	}
	return NULL;
}

/* Vectors for one CPU do not run at the same time, wherever they come from. */
TEST_F_TIMEOUT(cpu, vectors_exclude_each_other, LONG_TIMEOUT)
{
	static struct counters counters;
	struct worker workers[NR_THREADS];
	uint64_t sum = 0;

	counters.cpus = self->allowed;
	for (int i = 0; i < NR_THREADS; i++) {
		workers[i] = (struct worker) {
			.counters = &counters,
			.seed = i,
		};
		ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL,
					    worker_run, &workers[i]));
	}
	for (int i = 0; i < NR_THREADS; i++) {
		ASSERT_EQ(0, pthread_join(workers[i].thread, NULL));
		EXPECT_EQ(0, workers[i].failed);
	}
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		sum += counters.of[cpu].count;
	EXPECT_EQ(NR_THREADS * NR_CALLS, sum);
}

#define MIN_SLICES	100
#define MIN_CALLS	200
#define SLICE_NS	100000

struct hog {
	unsigned long *count;
	int cpu;
	int error;
	/* All slices, those that were not interrupted, and of these the bad. */
	unsigned long slices;
	unsigned long whole;
	unsigned long disturbed;
	bool stop;
	bool stopped;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static long context_switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw + usage.ru_nivcsw;
}

/*
 * Have the CPU for a while, in which no vector may run on it, and then store.
 * The fair server may give the CPU to another thread meanwhile, but not without
 * a context switch: such a slice tells nothing.
 */
static void hog_slice(struct hog *hog)
{
	long switches = context_switches();
	unsigned long count = __atomic_load_n(hog->count, __ATOMIC_RELAXED);
	uint64_t end = now_ns() + SLICE_NS;
	bool changed;

	while (now_ns() < end)
		;
	changed = __atomic_load_n(hog->count, __ATOMIC_RELAXED) != count;
	if (context_switches() == switches) {
		hog->disturbed += changed;
		__atomic_fetch_add(&hog->whole, 1, __ATOMIC_RELAXED);
	}
	__atomic_fetch_add(hog->count, 1, __ATOMIC_RELAXED);
	hog->slices++;
}

static void hog_cpu(struct hog *hog)
{
	struct sched_param param = { .sched_priority = 1 };

	hog->error = run_pinned(hog->cpu) ? errno : 0;
	if (!hog->error)
		hog->error = pthread_setschedparam(pthread_self(), SCHED_FIFO,
						   &param);
	while (!hog->error && !__atomic_load_n(&hog->stop, __ATOMIC_ACQUIRE)) {
		hog_slice(hog);
		usleep(500);
	}
}

static void *hog_run(void *arg)
{
	struct hog *hog = arg;

	hog_cpu(hog);
	__atomic_store_n(&hog->stopped, true, __ATOMIC_RELEASE);
	return NULL;
}

/*
 * A vector for a CPU runs on that CPU, so not while a real-time thread runs
 * there.  Preemption is disabled, so that this thread, which takes the CPU from
 * all others, does not store in the middle of a vector.
 */
TEST_F_TIMEOUT(cpu, vectors_wait_for_the_cpu, LONG_TIMEOUT)
{
	int cpu = nth_cpu(&self->allowed, CPU_COUNT(&self->allowed) - 1);
	unsigned long count = 0, calls = 0;
	struct hog hog = { .count = &count, .cpu = cpu };
	struct cpu_op op = cpu_op_arithmetic(CPU_ADD_OP, &count, 1,
					     sizeof(count));
	pthread_t thread;

	if (CPU_COUNT(&self->allowed) < 2)
		SKIP(return, "needs two CPUs");

	ASSERT_EQ(0, pthread_create(&thread, NULL, hog_run, &hog));
	while (!__atomic_load_n(&hog.stopped, __ATOMIC_ACQUIRE) &&
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
	__atomic_store_n(&hog.stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	if (hog.error == EPERM)
		SKIP(return, "needs the right to use SCHED_FIFO");
	ASSERT_EQ(0, hog.error);
	TH_LOG("%lu calls, %lu slices, %lu of them whole", calls, hog.slices,
	       hog.whole);
	EXPECT_EQ(0, hog.disturbed);
	EXPECT_EQ(calls + hog.slices, count);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
