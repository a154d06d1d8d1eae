// SPDX-License-Identifier: GPL-2.0
/*
 * Who calls: threads of all scheduling policies, and others that are special.
 */

#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "cpu_opv_cpus.h"

#define NR_CALLERS	3
#define NR_CALLS	100

static struct percpu percpu;

FIXTURE(policy)
{
	struct sched_attr attr;
};

FIXTURE_VARIANT(policy)
{
	int policy;
	int nice;
	int priority;
};

FIXTURE_VARIANT_ADD(policy, other)
{
	.policy = SCHED_OTHER,
};

FIXTURE_VARIANT_ADD(policy, nice_19)
{
	.policy = SCHED_OTHER,
	.nice = 19,
};

FIXTURE_VARIANT_ADD(policy, batch)
{
	.policy = SCHED_BATCH,
};

FIXTURE_VARIANT_ADD(policy, idle)
{
	.policy = SCHED_IDLE,
};

FIXTURE_VARIANT_ADD(policy, fifo)
{
	.policy = SCHED_FIFO,
	.priority = 1,
};

FIXTURE_VARIANT_ADD(policy, rr)
{
	.policy = SCHED_RR,
	.priority = 2,
};

FIXTURE_VARIANT_ADD(policy, deadline)
{
	.policy = SCHED_DEADLINE,
};

FIXTURE_SETUP(policy)
{
	self->attr = (struct sched_attr) {
		.size = sizeof(self->attr),
		.sched_policy = variant->policy,
		.sched_nice = variant->nice,
		.sched_priority = variant->priority,
	};
	if (variant->policy == SCHED_DEADLINE) {
		self->attr.sched_runtime = 5000000;
		self->attr.sched_deadline = 50000000;
		self->attr.sched_period = 50000000;
	}
	ASSERT_EQ(0, use_all_cpus(&percpu));
}

FIXTURE_TEARDOWN(policy)
{
}

/*
 * Each class has its own way to keep the affinity of a thread, which the move
 * to the CPU goes past, and that of the deadline class has its own exceptions.
 */
TEST_F_TIMEOUT(policy, calls, LONG_TIMEOUT)
{
	struct worker workers[NR_CALLERS];

	if (variant->policy == SCHED_DEADLINE)
		ASSERT_EQ(0, leave_isolated_cpus(&percpu));
	ASSERT_EQ(0, start_workers(workers, NR_CALLERS, (struct worker) {
		.step = increment_step,
		.percpu = &percpu,
		.limit = NR_CALLS,
		.attr = &self->attr,
	}));
	for (int i = 0; i < NR_CALLERS; i++)
		pthread_join(workers[i].thread, NULL);
	if (workers[0].error == -EPERM)
		SKIP(return, "needs the right to set the policy");
	for (int i = 0; i < NR_CALLERS; i++) {
		EXPECT_EQ(0, workers[i].error);
		EXPECT_EQ(NR_CALLS, workers[i].done);
	}
	EXPECT_EQ(NR_CALLERS * NR_CALLS, sum_counts(&percpu));
}

/* An isolated CPU is not in the root domain of a deadline thread. */
TEST_F(policy, isolated_cpu)
{
	int expected = variant->policy == SCHED_DEADLINE ? -EINVAL : 0;
	cpu_set_t isolated;
	int ret;

	ASSERT_EQ(0, read_cpus("isolated", &isolated));
	CPU_AND(&isolated, &isolated, &percpu.cpus);
	if (!CPU_COUNT(&isolated))
		SKIP(return, "needs an isolated CPU");
	ret = set_policy(&self->attr);
	if (ret == -EPERM)
		SKIP(return, "needs the right to set the policy");
	ASSERT_EQ(0, ret);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &isolated))
			EXPECT_EQ(expected, increment(&percpu, cpu));
}

FIXTURE(caller)
{
	pid_t child;
};

FIXTURE_SETUP(caller)
{
	ASSERT_EQ(0, use_all_cpus(&percpu));
}

FIXTURE_TEARDOWN(caller)
{
	if (self->child > 0) {
		kill(self->child, SIGKILL);
		waitpid(self->child, NULL, 0);
	}
}

/* Call for each CPU, some times.  Returns how many calls failed. */
static int call_for_each(int rounds)
{
	int failed = 0;

	while (rounds--)
		for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
			if (CPU_ISSET(cpu, &percpu.cpus))
				failed += !!increment(&percpu, cpu);
	return failed;
}

static int call_and_exit(void *arg)
{
	_exit(call_for_each(*(int *)arg) ? 1 : 0);
}

/* The memory is that of the parent, which waits. */
TEST_F(caller, vfork_child)
{
	static uint64_t stack[8192];
	int rounds = 10, status;
	pid_t child;

	child = clone(call_and_exit, stack + ARRAY_SIZE(stack),
		      CLONE_VM | CLONE_VFORK | SIGCHLD, &rounds);
	ASSERT_GT(child, 0);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(rounds * CPU_COUNT(&percpu.cpus), sum_counts(&percpu));
}

#define POOL_THREADS	200
#define POOL_CALLS	8

/* Many threads are on their way to the same CPU at the same time. */
TEST_F_TIMEOUT(caller, pool, LONG_TIMEOUT)
{
	static struct worker workers[POOL_THREADS];

	ASSERT_EQ(0, start_workers(workers, POOL_THREADS, (struct worker) {
		.step = increment_step,
		.percpu = &percpu,
		.limit = POOL_CALLS,
	}));
	EXPECT_EQ(POOL_THREADS * POOL_CALLS,
		  join_workers(_metadata, workers, POOL_THREADS));
	EXPECT_EQ(POOL_THREADS * POOL_CALLS, sum_counts(&percpu));
}

/*
 * A tracer that stops the thread wherever it is makes it look as if a signal
 * was pending.  A call that gives up for that fails.
 */
TEST_F_TIMEOUT(caller, interrupted_by_ptrace, LONG_TIMEOUT)
{
	int rounds = 50, stops = 0, status;

	self->child = fork();
	ASSERT_GE(self->child, 0);
	if (!self->child)
		call_and_exit(&rounds);
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, self->child, NULL, NULL));
	for (;;) {
		ptrace(PTRACE_INTERRUPT, self->child, NULL, NULL);
		ASSERT_EQ(self->child, waitpid(self->child, &status, 0));
		if (!WIFSTOPPED(status))
			break;
		stops++;
		ASSERT_EQ(0, ptrace(PTRACE_CONT, self->child, NULL, NULL));
		usleep(next_random(&(uint64_t){ stops }) % 500);
	}
	self->child = 0;
	EXPECT_EQ(0, status);
	EXPECT_GT(stops, 0);
}

/* As before, but it stops at each entry to and exit of the system call. */
TEST_F_TIMEOUT(caller, traced_system_calls, LONG_TIMEOUT)
{
	int rounds = 20, stops = 0, status;

	self->child = fork();
	ASSERT_GE(self->child, 0);
	if (!self->child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		call_and_exit(&rounds);
	}
	for (;;) {
		ASSERT_EQ(self->child, waitpid(self->child, &status, 0));
		if (!WIFSTOPPED(status))
			break;
		stops++;
		ASSERT_EQ(0, ptrace(PTRACE_SYSCALL, self->child, NULL, NULL));
	}
	self->child = 0;
	EXPECT_EQ(0, status);
	EXPECT_GE(stops, 2 * rounds * CPU_COUNT(&percpu.cpus));
}

#define HOG_CALLS	2

/*
 * Is there a scheduler in BPF, which has the fair threads, and no server that
 * lets them run beside real-time threads?
 */
static bool scheduled_without_server(void)
{
	char state[20] = "";
	FILE *file = fopen("/sys/kernel/sched_ext/state", "r");

	if (!file)
		return false;
	if (fscanf(file, "%19s", state) != 1)
		state[0] = '\0';
	fclose(file);
	return !strcmp(state, "enabled") &&
	       access("/sys/kernel/debug/sched/ext_server", F_OK);
}

/*
 * A real-time thread does not let go of the CPU.  The kernel's server of fair
 * threads is to let the caller run nevertheless, with no error before that.
 */
TEST_F_TIMEOUT(caller, fair_caller_against_a_hog, LONG_TIMEOUT)
{
	const struct sched_attr fifo = {
		.size = sizeof(fifo),
		.sched_policy = SCHED_FIFO,
		.sched_priority = 50,
	};
	int cpu = nth_cpu(&percpu.cpus, CPU_COUNT(&percpu.cpus) - 1);
	static struct percpu hogged;
	struct worker hog;

	if (CPU_COUNT(&percpu.cpus) < 2)
		SKIP(return, "needs two CPUs");
	if (scheduled_without_server())
		SKIP(return, "sched_ext has no server here");

	/* It inherits the affinity, and is to run before the first call. */
	ASSERT_EQ(0, run_pinned(cpu));
	ASSERT_EQ(0, start_workers(&hog, 1, (struct worker) {
		.step = busy_step,
		.percpu = &hogged,
		.attr = &fifo,
	}));
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(percpu.cpus), &percpu.cpus));
	while (!__atomic_load_n(&hog.done, __ATOMIC_RELAXED) &&
	       !__atomic_load_n(&hog.error, __ATOMIC_RELAXED))
		usleep(1000);
	for (int i = 0; i < HOG_CALLS && !hog.error; i++) {
		cpu_set_t others = percpu.cpus;

		/* Come from another CPU each time. */
		CPU_CLR(cpu, &others);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(others), &others));
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(percpu.cpus),
					       &percpu.cpus));
		EXPECT_EQ(0, increment(&percpu, cpu));
	}
	stop_workers(&hogged);
	pthread_join(hog.thread, NULL);
	if (hog.error == -EPERM)
		SKIP(return, "needs the right to use SCHED_FIFO");
	EXPECT_EQ(0, hog.error);
	EXPECT_EQ(HOG_CALLS, sum_counts(&percpu));
}

#define COOKIES		8

/*
 * With core scheduling, threads of different cookies never run on one core at
 * the same time: a thread waits for its CPU while that CPU is idle.
 */
TEST_F_TIMEOUT(caller, core_scheduling, LONG_TIMEOUT)
{
	struct worker workers[COOKIES];

	for (int i = 0; i < COOKIES; i++) {
		/* A thread inherits the cookie of its creator. */
		if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0,
			  PR_SCHED_CORE_SCOPE_THREAD, 0)) {
			ASSERT_EQ(0, i);
			if (errno == EINVAL)
				SKIP(return, "needs CONFIG_SCHED_CORE");
			ASSERT_EQ(ENODEV, errno);
			SKIP(return, "needs CPUs that share a core");
		}
		ASSERT_EQ(0, start_workers(&workers[i], 1, (struct worker) {
			.step = increment_step,
			.percpu = &percpu,
			.limit = NR_CALLS,
		}));
	}
	EXPECT_EQ(COOKIES * NR_CALLS,
		  join_workers(_metadata, workers, COOKIES));
	EXPECT_EQ(COOKIES * NR_CALLS, sum_counts(&percpu));
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
