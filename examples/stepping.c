// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What happens under a debugger: a parent single-steps its child through
 * operations.  Every restartable sequence is aborted, yet each operation is
 * done, in a bounded number of steps.
 *
 *	cc stepping.c $(pkg-config --cflags --libs libcpu_opv)
 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <percpu.h>

#define OPERATIONS	3
#define MAX_STEPS	100000

/* Both processes see it.  Only the child runs operations on it. */
static struct {
	intptr_t counter;
	volatile int done;
	struct percpu_counts counts;
} *shared;

static void add(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	while (!percpu_addv(&shared->counter, 1, percpu_current_cpu())) {
		percpu_get_counts(&shared->counts);
		shared->done++;
	}
}

int main(void)
{
	int status, steps = 0;
	pid_t child;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	/* Choose the tier here, so that the child need not be stepped through it. */
	percpu_current_cpu();
	child = fork();
	if (!child) {
		add();
		_exit(1);
	}
	waitpid(child, &status, 0);
	while (shared->done < OPERATIONS && steps < MAX_STEPS) {
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL)) {
			perror("ptrace");
			break;
		}
		waitpid(child, &status, 0);
		if (!WIFSTOPPED(status))
			break;
		steps++;
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);

	printf("%d operations in %d steps\n", shared->done, steps);
	printf("vectors: %zu, locked: %zu, aborts: %zu\n",
	       shared->counts.vectors, shared->counts.locked,
	       shared->counts.aborts);
	return shared->done != OPERATIONS || shared->counter != OPERATIONS;
}
