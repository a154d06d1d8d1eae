// SPDX-License-Identifier: GPL-2.0
/*
 * Vectors reach their CPU when all CPUs are busy, and whatever happens to the
 * affinity of their thread meanwhile.
 */

#include "cpu_opv_cpus.h"

#define BUSY_PER_CPU	4
#define NR_CALLERS	2
#define NR_CALLS	60
#define NR_CHANGES	300
#define NR_CHANGERS	3

static struct percpu percpu;

FIXTURE(load)
{
	int nr_cpus;
};

FIXTURE_SETUP(load)
{
	ASSERT_EQ(0, use_all_cpus(&percpu));
	self->nr_cpus = CPU_COUNT(&percpu.cpus);
	if (self->nr_cpus < 2)
		SKIP(return, "needs two CPUs");
}

FIXTURE_TEARDOWN(load)
{
}

/* A step: a vector for a CPU that the thread is not on. */
static int increment_elsewhere_step(struct worker *worker)
{
	cpu_set_t others = worker->percpu->cpus;

	CPU_CLR(sched_getcpu(), &others);
	return increment(worker->percpu,
			 random_cpu(&others, &worker->random));
}

/*
 * A thread that is moved without being kept there is taken away by the load
 * balancer before it runs: then a call fails, or runs its vector elsewhere.
 */
TEST_F_TIMEOUT(load, all_cpus_are_busy, LONG_TIMEOUT)
{
	int nr_busy = BUSY_PER_CPU * self->nr_cpus;
	struct worker *busy = calloc(nr_busy, sizeof(*busy));
	struct worker callers[NR_CALLERS];

	ASSERT_TRUE(!!busy);
	ASSERT_EQ(0, start_workers(busy, nr_busy, (struct worker) {
		.step = busy_step,
		.percpu = &percpu,
	}));
	ASSERT_EQ(0, start_workers(callers, NR_CALLERS, (struct worker) {
		.step = increment_elsewhere_step,
		.percpu = &percpu,
		.limit = NR_CALLS,
	}));
	EXPECT_EQ(NR_CALLERS * NR_CALLS,
		  join_workers(_metadata, callers, NR_CALLERS));
	EXPECT_EQ(NR_CALLERS * NR_CALLS, sum_counts(&percpu));
	stop_workers(&percpu);
	EXPECT_GT(join_workers(_metadata, busy, nr_busy), 0);
	free(busy);
}

static struct {
	/* What the last change of the affinity has left. */
	cpu_set_t final;
	bool is_final;
	unsigned long ran;
	unsigned long refused;
	/* Whose affinity several threads change at once. */
	pid_t caller;
} affinity;

/* A step: a vector for a CPU that may be taken away from the thread. */
static int increment_if_allowed_step(struct worker *worker)
{
	int ret = increment_step(worker);

	if (ret == -EINVAL)
		__atomic_fetch_add(&affinity.refused, 1, __ATOMIC_RELAXED);
	else if (!ret)
		__atomic_fetch_add(&affinity.ran, 1, __ATOMIC_RELAXED);
	else
		return ret;
	return 0;
}

/* A step: a vector for each CPU, of a thread whose affinity stays as it is. */
static int increment_exactly_if_allowed_step(struct worker *worker)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		int ret;

		if (!CPU_ISSET(cpu, &worker->percpu->cpus))
			continue;
		ret = increment(worker->percpu, cpu);
		if (ret != (CPU_ISSET(cpu, &affinity.final) ? 0 : -EINVAL))
			return ret ?: -EPROTO;
		affinity.ran += !ret;
		if (!CPU_ISSET(sched_getcpu(), &affinity.final))
			return -ENOTUNIQ;
	}
	return 0;
}

static int changing_step(struct worker *worker)
{
	if (!__atomic_load_n(&affinity.is_final, __ATOMIC_ACQUIRE))
		return increment_if_allowed_step(worker);
	return increment_exactly_if_allowed_step(worker);
}

/* Wait until a thread has done some more steps, or has failed. */
static void wait_for_steps(struct worker *worker, unsigned long steps)
{
	steps += __atomic_load_n(&worker->done, __ATOMIC_RELAXED);
	while (__atomic_load_n(&worker->done, __ATOMIC_RELAXED) < steps &&
	       !__atomic_load_n(&worker->error, __ATOMIC_RELAXED))
		usleep(1000);
}

static void start_caller(struct __test_metadata *_metadata,
			 struct worker *caller)
{
	ASSERT_EQ(0, start_workers(caller, 1, (struct worker) {
		.step = changing_step,
		.percpu = &percpu,
	}));
	wait_for_steps(caller, 1);
}

/* The last change has been made: the affinity is that, and is obeyed. */
static void expect_final(struct __test_metadata *_metadata,
			 struct worker *caller, cpu_set_t final)
{
	cpu_set_t now;

	affinity.final = final;
	__atomic_store_n(&affinity.is_final, true, __ATOMIC_RELEASE);
	wait_for_steps(caller, 10);
	EXPECT_EQ(0, sched_getaffinity(caller->tid, sizeof(now), &now));
	EXPECT_TRUE(CPU_EQUAL(&final, &now));
	stop_workers(&percpu);
	join_workers(_metadata, caller, 1);
	EXPECT_EQ(affinity.ran, sum_counts(&percpu));
	TH_LOG("%lu ran, %lu were refused", affinity.ran, affinity.refused);
}

/*
 * A call that narrows the affinity and restores it, or that moves the thread
 * without regard to a change in flight, leaves it with another one.
 */
TEST_F_TIMEOUT(load, affinity_changes, LONG_TIMEOUT)
{
	struct worker caller;
	uint64_t state = 0;
	cpu_set_t set;

	start_caller(_metadata, &caller);
	for (int i = 0; i < NR_CHANGES; i++) {
		set = random_cpus(&percpu.cpus, &state);
		ASSERT_EQ(0, sched_setaffinity(caller.tid, sizeof(set), &set));
		if (i % 8 == 0)
			wait_for_steps(&caller, 1);
	}
	/* The last one is to refuse some. */
	CPU_ZERO(&set);
	CPU_SET(random_cpu(&percpu.cpus, &state), &set);
	ASSERT_EQ(0, sched_setaffinity(caller.tid, sizeof(set), &set));
	expect_final(_metadata, &caller, set);
}

/* A step: give another thread some other CPUs. */
static int change_affinity_step(struct worker *worker)
{
	cpu_set_t set = random_cpus(&percpu.cpus, &worker->random);

	return sched_setaffinity(affinity.caller, sizeof(set), &set) ? -errno :
								       0;
}

/* A bit of /proc/sys/kernel/tainted. */
#define TAINT_WARN	0x200UL

/* Whether the kernel has complained since it was booted. */
static bool kernel_has_warned(void)
{
	FILE *file = fopen("/proc/sys/kernel/tainted", "r");
	unsigned long taint = 0;

	if (file) {
		if (fscanf(file, "%lu", &taint) != 1)
			taint = 0;
		fclose(file);
	}
	return taint & TAINT_WARN;
}

/*
 * A change that is overtaken by the move of a vector's thread is taken to have
 * been made, and one more change then leaves the thread where it may not be.
 * The kernel complains of that.
 */
TEST_F_TIMEOUT(load, affinity_changes_at_once, LONG_TIMEOUT)
{
	static struct percpu changing;
	struct worker caller, changers[NR_CHANGERS];
	bool had_warned = kernel_has_warned();
	uint64_t state = 0;
	cpu_set_t set;

	start_caller(_metadata, &caller);
	affinity.caller = caller.tid;
	changing.cpus = percpu.cpus;
	ASSERT_EQ(0, start_workers(changers, NR_CHANGERS, (struct worker) {
		.step = change_affinity_step,
		.percpu = &changing,
	}));
	usleep(10e6 * race_seconds());
	stop_workers(&changing);
	EXPECT_GT(join_workers(_metadata, changers, NR_CHANGERS), 0);
	/* The last one is to refuse some. */
	CPU_ZERO(&set);
	CPU_SET(random_cpu(&percpu.cpus, &state), &set);
	ASSERT_EQ(0, sched_setaffinity(caller.tid, sizeof(set), &set));
	expect_final(_metadata, &caller, set);
	EXPECT_EQ(had_warned, kernel_has_warned());
}

FIXTURE(cpuset)
{
	struct cpusets cpusets;
};

FIXTURE_SETUP(cpuset)
{
	ASSERT_EQ(0, use_all_cpus(&percpu));
	if (CPU_COUNT(&percpu.cpus) < 2)
		SKIP(return, "needs two CPUs");
	if (open_cpusets(&self->cpusets))
		SKIP(return, "needs root, and CONFIG_CPUSETS for cgroup v2");
}

FIXTURE_TEARDOWN_PARENT(cpuset)
{
	close_cpusets(&self->cpusets);
}

/* As affinity_changes, but from above. */
TEST_F_TIMEOUT(cpuset, cpuset_changes, LONG_TIMEOUT)
{
	struct worker caller;
	uint64_t state = 0;
	char text[CPU_LIST_SIZE];
	cpu_set_t set;

	ASSERT_EQ(0, write_cpuset(&self->cpusets, CPUSET, "cgroup.procs", "0"));

	start_caller(_metadata, &caller);
	for (int i = 0; i < NR_CHANGES; i++) {
		set = random_cpus(&percpu.cpus, &state);
		/* The last one is to refuse some. */
		if (i == NR_CHANGES - 1) {
			CPU_ZERO(&set);
			CPU_SET(random_cpu(&percpu.cpus, &state), &set);
		}
		print_cpus(&set, text);
		ASSERT_EQ(0, write_cpuset(&self->cpusets, CPUSET, "cpuset.cpus",
					  text));
		if (i % 8 == 0)
			wait_for_steps(&caller, 1);
	}
	expect_final(_metadata, &caller, set);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
