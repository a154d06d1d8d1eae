// SPDX-License-Identifier: GPL-2.0
/*
 * Vectors against the restartable sequences of threads on the same CPU.
 */

#include <linux/auxvec.h>
#include <linux/membarrier.h>
#include <sys/auxv.h>

#include "cpu_opv_rseq.h"

#define NR_RSEQ		4
#define NR_OPV		3
#define NR_NODES	40

/* What there has to be before a test is of any worth. */
#define MIN_CALLS	400
#define MIN_ABORTS	100
#define MIN_ROUNDS	2

static struct percpu percpu;
static struct worker rseq_workers[NR_RSEQ];
static struct worker opv_workers[NR_OPV];

/* The CPUs that come and go, if there is a thread that does it. */
static struct percpu plugged;
static struct worker plugger;

FIXTURE(rseq)
{
	cpu_set_t cpus;
};

FIXTURE_VARIANT(rseq)
{
	bool hotplug;
};

FIXTURE_VARIANT_ADD(rseq, steady)
{
	.hotplug = false,
};

FIXTURE_VARIANT_ADD(rseq, hotplug)
{
	.hotplug = true,
};

FIXTURE_SETUP(rseq)
{
	if (!have_rseq())
		SKIP(return, "needs CONFIG_RSEQ");
	ASSERT_EQ(0, use_all_cpus(&percpu));
	if (!variant->hotplug)
		return;
	self->cpus = unpluggable_cpus();
	if (!CPU_COUNT(&self->cpus))
		SKIP(return, "needs root, CONFIG_HOTPLUG_CPU and two CPUs");
	plugged.cpus = self->cpus;
}

FIXTURE_TEARDOWN_PARENT(rseq)
{
	set_all_online(&self->cpus);
}

static unsigned long steps_done(const struct worker *workers, int nr)
{
	unsigned long done = 0;

	for (int i = 0; i < nr; i++)
		done += __atomic_load_n(&workers[i].done, __ATOMIC_RELAXED);
	return done;
}

static bool any_error(const struct worker *workers, int nr)
{
	bool error = false;

	for (int i = 0; i < nr; i++)
		error |= !!__atomic_load_n(&workers[i].error, __ATOMIC_RELAXED);
	return error;
}

static void start_plugger(struct __test_metadata *_metadata, bool hotplug)
{
	if (hotplug)
		ASSERT_EQ(0, start_workers(&plugger, 1, (struct worker) {
			.step = hotplug_step,
			.percpu = &plugged,
		}));
}

static void stop_plugger(struct __test_metadata *_metadata, bool hotplug)
{
	stop_workers(&plugged);
	if (hotplug)
		join_workers(_metadata, &plugger, 1);
}

static void start_both(struct __test_metadata *_metadata,
		       int (*rseq_step)(struct worker *worker),
		       int (*opv_step)(struct worker *worker))
{
	ASSERT_EQ(0, start_workers(rseq_workers, NR_RSEQ, (struct worker) {
		.step = rseq_step,
		.percpu = &percpu,
		.start = rseq_register_current_thread,
	}));
	ASSERT_EQ(0, start_workers(opv_workers, NR_OPV, (struct worker) {
		.step = opv_step,
		.percpu = &percpu,
	}));
}

/* Whether both kinds of threads have got into each other's way. */
static bool enough(bool hotplug)
{
	if (any_error(rseq_workers, NR_RSEQ) ||
	    any_error(opv_workers, NR_OPV) || any_error(&plugger, 1))
		return true;
	return steps_done(opv_workers, NR_OPV) >= MIN_CALLS &&
	       __atomic_load_n(&nr_aborts, __ATOMIC_RELAXED) >= MIN_ABORTS &&
	       (!hotplug || steps_done(&plugger, 1) >= MIN_ROUNDS);
}

static unsigned long run_both(struct __test_metadata *_metadata, bool hotplug,
			      int (*rseq_step)(struct worker *worker),
			      int (*opv_step)(struct worker *worker))
{
	unsigned long sequences, vectors;

	start_both(_metadata, rseq_step, opv_step);
	start_plugger(_metadata, hotplug);
	while (!enough(hotplug))
		usleep(1000);
	stop_plugger(_metadata, hotplug);
	stop_workers(&percpu);
	sequences = join_workers(_metadata, rseq_workers, NR_RSEQ);
	vectors = join_workers(_metadata, opv_workers, NR_OPV);
	TH_LOG("%lu sequences, %lu were aborted; %lu vectors", sequences,
	       nr_aborts, vectors);
	return sequences + vectors;
}

/* A vector that runs on another CPU loses increments, or has them lost. */
TEST_F_TIMEOUT(rseq, counters, LONG_TIMEOUT)
{
	unsigned long done = run_both(_metadata, variant->hotplug,
				      rseq_count_step, opv_count_step);

	EXPECT_EQ(done, sum_shared(&percpu));
}

/* As counters.  Here a node is lost, or is on two lists. */
TEST_F_TIMEOUT(rseq, lists, LONG_TIMEOUT)
{
	static struct node nodes[NR_NODES];

	fill_lists(&percpu, nodes, NR_NODES);
	run_both(_metadata, variant->hotplug, rseq_list_step, opv_list_step);
	EXPECT_EQ(NR_NODES, empty_lists(&percpu, NR_NODES + 1));
}

#define NR_SWITCHES	15

/* There are two sets of counters.  The active one is worked on. */
static struct percpu sets[2];
static intptr_t active;

/* A step: a sequence works on what it has read to be active. */
static int rseq_active_step(struct worker *worker)
{
	int ret;

	do {
		int cpu = rseq_cpu_start();
		intptr_t now = RSEQ_READ_ONCE(active);
		intptr_t *count = &sets[now].of[cpu].shared;
		intptr_t old = RSEQ_READ_ONCE(*count);

		ret = rseq_cmpeqv_cmpeqv_storev(RSEQ_MO_RELAXED,
						RSEQ_PERCPU_CPU_ID, count, old,
						&active, now, old + 1, cpu);
	} while (aborted(ret) || ret);
	return 0;
}

/* A step: the same by a vector, for any CPU. */
static int opv_active_step(struct worker *worker)
{
	int cpu = random_cpu(&percpu.cpus, &worker->random);
	int ret;

	do {
		intptr_t now = RSEQ_READ_ONCE(active);
		intptr_t *count = &sets[now].of[cpu].shared;
		intptr_t old = RSEQ_READ_ONCE(*count);
		intptr_t new = old + 1;
		struct cpu_op vec[] = {
			cmpeqv(count, &old),
			cmpeqv(&active, &now),
			storev(count, &new),
		};

		ret = run_on(vec, ARRAY_SIZE(vec), cpu);
	} while (ret > 0);
	return ret;
}

static int membarrier(int cmd)
{
	return syscall(__NR_membarrier, cmd, 0, 0);
}

static int wait_by_empty_vectors(void)
{
	int ret = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE && !ret; cpu++)
		if (CPU_ISSET(cpu, &percpu.cpus))
			ret = run_on(NULL, 0, cpu);
	return ret;
}

static int wait_by_membarrier(void)
{
	return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
}

/* Nobody works on a set that was active before wait() was called. */
static void switch_sets(struct __test_metadata *_metadata, int (*wait)(void))
{
	for (int i = 0; i < NR_SWITCHES; i++) {
		intptr_t old = active;
		unsigned long sum, done;

		__atomic_store_n(&active, !old, __ATOMIC_SEQ_CST);
		ASSERT_EQ(0, wait());
		sum = sum_shared(&sets[old]);
		done = steps_done(rseq_workers, NR_RSEQ);
		while (!any_error(opv_workers, NR_OPV) &&
		       steps_done(rseq_workers, NR_RSEQ) < done + 100)
			usleep(100);
		ASSERT_EQ(sum, sum_shared(&sets[old]));
	}
}

/*
 * An empty vector that does not go to its CPU returns while a sequence or a
 * vector is halfway there.
 */
TEST_F_TIMEOUT(rseq, empty_vector_waits_for_both, LONG_TIMEOUT)
{
	unsigned long done;

	start_both(_metadata, rseq_active_step, opv_active_step);
	start_plugger(_metadata, variant->hotplug);
	switch_sets(_metadata, wait_by_empty_vectors);
	stop_plugger(_metadata, variant->hotplug);
	stop_workers(&percpu);
	done = join_workers(_metadata, rseq_workers, NR_RSEQ);
	done += join_workers(_metadata, opv_workers, NR_OPV);
	EXPECT_EQ(done, sum_shared(&sets[0]) + sum_shared(&sets[1]));
}

/* Vectors in flight do not keep membarrier() from what it does to sequences. */
TEST_F_TIMEOUT(rseq, membarrier_waits_for_sequences, LONG_TIMEOUT)
{
	unsigned long done;

	if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ))
		SKIP(return, "needs CONFIG_MEMBARRIER and CONFIG_RSEQ");

	start_both(_metadata, rseq_active_step, increment_step);
	start_plugger(_metadata, variant->hotplug);
	switch_sets(_metadata, wait_by_membarrier);
	stop_plugger(_metadata, variant->hotplug);
	stop_workers(&percpu);
	done = join_workers(_metadata, rseq_workers, NR_RSEQ);
	EXPECT_EQ(done, sum_shared(&sets[0]) + sum_shared(&sets[1]));
	done = join_workers(_metadata, opv_workers, NR_OPV);
	EXPECT_EQ(done, sum_counts(&percpu));
}

/*
 * All tests here are for a thread that the C library has registered, and for one
 * that has registered itself.  With these tunables the C library must not have.
 */
TEST(registered_in_full)
{
	const char *tunables = getenv("GLIBC_TUNABLES");

	if (!tunables || !strstr(tunables, "glibc.pthread.rseq=0"))
		SKIP(return, "needs GLIBC_TUNABLES=glibc.pthread.rseq=0");
	ASSERT_TRUE(have_rseq());
	EXPECT_EQ(getauxval(AT_RSEQ_FEATURE_SIZE), rseq_size);
	/* It is this program that has registered, so it can undo that. */
	EXPECT_EQ(0, rseq_unregister_current_thread());
	EXPECT_EQ(RSEQ_ABI_CPU_ID_UNINITIALIZED, rseq_current_cpu_raw());
	EXPECT_EQ(0, rseq_register_current_thread());
	EXPECT_LE(0, rseq_current_cpu_raw());
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
