// SPDX-License-Identifier: GPL-2.0
/*
 * What a thread that a debugger single-steps gets done: nothing by restartable
 * sequences, everything by vectors.
 */

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "cpu_opv_rseq.h"

#define NR_STEPS	1500
#define MIN_PROGRESS	3

/* Shared with the thread that is stepped. */
static struct {
	struct percpu percpu;
	unsigned long attempts;
	unsigned long completed;
	int cpus[2];
} *progress;

static pid_t child;

FIXTURE(step)
{
};

FIXTURE_SETUP(step)
{
	if (!have_rseq())
		SKIP(return, "needs CONFIG_RSEQ");
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(progress != MAP_FAILED);
	ASSERT_EQ(0, use_all_cpus(&progress->percpu));
	progress->cpus[0] = nth_cpu(&progress->percpu.cpus, 0);
	progress->cpus[1] = nth_cpu(&progress->percpu.cpus,
				    CPU_COUNT(&progress->percpu.cpus) - 1);
}

FIXTURE_TEARDOWN(step)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	munmap(progress, sizeof(*progress));
}

static bool add_by_sequence(int cpu)
{
	return !rseq_addv(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID,
			  &progress->percpu.of[cpu].shared, 1, cpu);
}

static bool add_by_vector(int cpu)
{
	return !opv_addv(&progress->percpu.of[cpu].shared, 1, cpu);
}

static bool add_by_either(int cpu)
{
	return add_by_sequence(cpu) || add_by_vector(cpu);
}

/* Each vector goes to another CPU than the one before. */
static bool add_elsewhere(int cpu)
{
	return add_by_vector(progress->cpus[progress->attempts % 2]);
}

/* Start a child that does the same again and again, and stop it. */
static void start_child(struct __test_metadata *_metadata,
			bool (*add)(int cpu))
{
	int status;

	child = fork();
	ASSERT_GE(child, 0);
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		for (;;) {
			progress->attempts++;
			if (add(rseq_cpu_start()))
				progress->completed++;
			rseq_barrier();
		}
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
}

static void step_child(struct __test_metadata *_metadata)
{
	int status;

	ASSERT_EQ(0, ptrace(PTRACE_SINGLESTEP, child, NULL, NULL)) {
		TH_LOG("needs CONFIG_HAVE_ARCH_TRACEHOOK: %m");
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(SIGTRAP, WSTOPSIG(status));
}

/* A vector that the trap after its system call undoes gets nowhere either. */
static void expect_progress(struct __test_metadata *_metadata)
{
	unsigned long steps = 0;

	while (progress->completed < MIN_PROGRESS &&
	       progress->attempts < 10 * MIN_PROGRESS) {
		step_child(_metadata);
		steps++;
	}
	EXPECT_EQ(MIN_PROGRESS, progress->completed);
	EXPECT_EQ(progress->completed, sum_shared(&progress->percpu));
	TH_LOG("%lu steps, %lu attempts, %lu additions", steps,
	       progress->attempts, progress->completed);
}

/* That sequences get nowhere is what makes the other tests worth something. */
TEST_F_TIMEOUT(step, sequences_make_no_progress, LONG_TIMEOUT)
{
	start_child(_metadata, add_by_sequence);
	for (int i = 0; i < NR_STEPS; i++)
		step_child(_metadata);
	EXPECT_GT(progress->attempts, MIN_PROGRESS);
	EXPECT_EQ(0, progress->completed);
	EXPECT_EQ(0, sum_shared(&progress->percpu));
	TH_LOG("%d steps, %lu attempts", NR_STEPS, progress->attempts);
}

TEST_F_TIMEOUT(step, sequences_with_vectors_make_progress, LONG_TIMEOUT)
{
	start_child(_metadata, add_by_either);
	expect_progress(_metadata);
}

TEST_F_TIMEOUT(step, vectors_elsewhere_make_progress, LONG_TIMEOUT)
{
	start_child(_metadata, add_elsewhere);
	expect_progress(_metadata);
	EXPECT_EQ(progress->attempts, progress->completed);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
