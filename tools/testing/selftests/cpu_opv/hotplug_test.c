// SPDX-License-Identifier: GPL-2.0
/*
 * Vectors for CPUs that are offline, or that come and go.
 */

#include "cpu_opv_cpus.h"

#define NR_THREADS	6
#define NR_CALLS	1000
#define NR_ROUNDS	10

static struct percpu percpu;

FIXTURE(hotplug)
{
	/* The CPUs that can go down. */
	cpu_set_t cpus;
	struct cpusets cpusets;
};

FIXTURE_SETUP(hotplug)
{
	ASSERT_EQ(0, use_all_cpus(&percpu));
	self->cpus = unpluggable_cpus();
	if (!CPU_COUNT(&self->cpus))
		SKIP(return, "needs root, CONFIG_HOTPLUG_CPU and two CPUs");
}

FIXTURE_TEARDOWN_PARENT(hotplug)
{
	set_all_online(&self->cpus);
	if (self->cpusets.root[0])
		close_cpusets(&self->cpusets);
}

/*
 * Moving the thread to an offline CPU fails.  A call that takes this for the
 * answer, or that looks at the affinity first, fails as well.
 */
TEST_F(hotplug, offline)
{
	int cpu = nth_cpu(&self->cpus, 0);
	uint64_t expected = 0;

	ASSERT_EQ(0, set_online(cpu, false));
	for (int from = 0; from < CPU_SETSIZE; from++) {
		if (from == cpu || !CPU_ISSET(from, &percpu.cpus))
			continue;
		/* Whether the affinity has the CPU or not. */
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(percpu.cpus),
					       &percpu.cpus));
		EXPECT_EQ(0, increment(&percpu, cpu));
		ASSERT_EQ(0, run_pinned(from));
		EXPECT_EQ(0, increment(&percpu, cpu));
		expected += 2;
		EXPECT_EQ(expected, percpu.of[cpu].count);
		EXPECT_EQ(0, run_on(NULL, 0, cpu));
	}
	EXPECT_GT(expected, 0);

	/* It is the affinity again that tells. */
	ASSERT_EQ(0, set_online(cpu, true));
	EXPECT_EQ(-EINVAL, increment(&percpu, cpu));
	ASSERT_EQ(0, use_all_cpus(&percpu));
	EXPECT_EQ(0, increment(&percpu, cpu));
	EXPECT_EQ(expected + 1, percpu.of[cpu].count);
}

/*
 * These vectors run on several CPUs at the same time.  Without the lock for
 * offline CPUs they see each other's work half done.
 */
TEST_F_TIMEOUT(hotplug, offline_vectors_exclude_each_other, LONG_TIMEOUT)
{
	struct worker workers[NR_THREADS];
	int cpu = nth_cpu(&self->cpus, 0);

	if (CPU_COUNT(&percpu.cpus) < 3)
		SKIP(return, "needs three CPUs");

	ASSERT_EQ(0, set_online(cpu, false));
	CPU_ZERO(&percpu.cpus);
	CPU_SET(cpu, &percpu.cpus);
	ASSERT_EQ(0, start_workers(workers, NR_THREADS, (struct worker) {
		.step = increment_step,
		.percpu = &percpu,
		.limit = NR_CALLS,
	}));
	EXPECT_EQ(NR_THREADS * NR_CALLS,
		  join_workers(_metadata, workers, NR_THREADS));
	EXPECT_EQ(NR_THREADS * NR_CALLS, sum_counts(&percpu));
}

/* It soon uses up its runtime. */
static const struct sched_attr deadline = {
	.size = sizeof(deadline),
	.sched_policy = SCHED_DEADLINE,
	.sched_runtime = 1000000,
	.sched_deadline = 50000000,
	.sched_period = 50000000,
};

/* Threads of a policy run vectors for all CPUs while these go down and up. */
static void run_while_plugging(struct __test_metadata *_metadata,
			       const cpu_set_t *cpus,
			       const struct sched_attr *attr)
{
	static struct percpu plugged;
	struct worker workers[NR_THREADS], plugger;
	unsigned long done;

	plugged.cpus = *cpus;
	ASSERT_EQ(0, start_workers(workers, NR_THREADS, (struct worker) {
		.step = increment_step,
		.percpu = &percpu,
		.attr = attr,
	}));
	ASSERT_EQ(0, start_workers(&plugger, 1, (struct worker) {
		.step = hotplug_step,
		.percpu = &plugged,
		.limit = NR_ROUNDS,
	}));
	EXPECT_EQ(NR_ROUNDS, join_workers(_metadata, &plugger, 1));
	stop_workers(&percpu);
	done = join_workers(_metadata, workers, NR_THREADS);
	EXPECT_GT(done, 0);
	EXPECT_EQ(done, sum_counts(&percpu));
	TH_LOG("%lu calls", done);
}

/*
 * A CPU that comes online while vectors run elsewhere for it, or that goes down
 * while one runs there, breaks the exclusion; one that is in between for both
 * ways makes a call fail.
 */
TEST_F_TIMEOUT(hotplug, come_and_go, LONG_TIMEOUT)
{
	run_while_plugging(_metadata, &self->cpus, NULL);
}

/*
 * A deadline thread that has used up its runtime when it is moved waits for the
 * next period on the CPU that it was moved to.  If this goes down, and the thread
 * is sent to another one then, the CPU waits for ever for the thread to leave.
 */
TEST_F_TIMEOUT(hotplug, throttled_callers, LONG_TIMEOUT)
{
	ASSERT_EQ(0, leave_isolated_cpus(&percpu));
	run_while_plugging(_metadata, &self->cpus, &deadline);
}

#define NR_PARTITIONS	100

/*
 * While another CPU gets a root domain of its own, the others are for a moment in
 * none that has them all.  A deadline thread must not take this for the answer.
 */
TEST_F_TIMEOUT(hotplug, partitions, LONG_TIMEOUT)
{
	struct worker workers[NR_THREADS];
	int cpu = nth_cpu(&self->cpus, 0);
	char text[CPU_LIST_SIZE];
	unsigned long done;
	cpu_set_t set;

	if (CPU_COUNT(&percpu.cpus) < 3)
		SKIP(return, "needs three CPUs");
	if (open_cpusets(&self->cpusets))
		SKIP(return, "needs CONFIG_CPUSETS, for cgroup v2");
	ASSERT_EQ(0, leave_isolated_cpus(&percpu));
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	print_cpus(&set, text);
	ASSERT_EQ(0, write_cpuset(&self->cpusets, CPUSET, "cpuset.cpus", text));
	CPU_CLR(cpu, &percpu.cpus);
	ASSERT_EQ(0, start_workers(workers, NR_THREADS, (struct worker) {
		.step = increment_step,
		.percpu = &percpu,
		.attr = &deadline,
	}));
	for (int i = 0; i < NR_PARTITIONS; i++)
		EXPECT_EQ(0, write_cpuset(&self->cpusets, CPUSET,
					  "cpuset.cpus.partition",
					  i % 2 ? "member" : "root"));
	stop_workers(&percpu);
	done = join_workers(_metadata, workers, NR_THREADS);
	EXPECT_GT(done, 0);
	EXPECT_EQ(done, sum_counts(&percpu));
	TH_LOG("%lu calls", done);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
