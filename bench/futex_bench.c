// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What calls of futex() cost on the paths that access user memory with page faults
 * disabled.
 *
 * The unit is that of CLOCK_MONOTONIC, which in a guest whose clock counts
 * instructions is an instruction: the first line of the output says how many of the
 * one are one of the other.  A case is a number of calls in a row, and the lowest of
 * some rounds is printed: what disturbs a round makes it longer.
 *
 * Usage: futex_bench    prints CSV: name,instructions
 */

#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define ROUNDS		25
#define CALLS		200
#define ARRAY_SIZE(x)	(sizeof(x) / sizeof((x)[0]))

/* As many as the kernel looks at when a thread ends. */
#define NR_ROBUST	2048

static uint32_t word[2] __attribute__((aligned(64)));
static pid_t tid;

static void die(const char *what)
{
	fprintf(stderr, "futex_bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long futex(uint32_t *addr, int op, uint32_t val, uintptr_t val2, uint32_t *addr2, uint32_t val3)
{
	return syscall(SYS_futex, addr, op | FUTEX_PRIVATE_FLAG, val, val2, addr2, val3);
}

static void expect(bool as_expected, const char *what)
{
	if (!as_expected)
		die(what);
}

/* One call of each. */

static void nothing(void)
{
	syscall(SYS_getppid);
}

static void wake_op(void)
{
	expect(futex(&word[0], FUTEX_WAKE_OP, 1, 1, &word[1], FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0)) >= 0,
	       "FUTEX_WAKE_OP");
}

static void wait_for_other(void)
{
	expect(futex(&word[0], FUTEX_WAIT, word[0] + 1, 0, NULL, 0) < 0 && errno == EAGAIN, "FUTEX_WAIT");
}

static void cmp_requeue(void)
{
	expect(futex(&word[0], FUTEX_CMP_REQUEUE, 1, 1, &word[1], word[0] + 1) < 0 && errno == EAGAIN,
	       "FUTEX_CMP_REQUEUE");
}

static void lock_unlock_pi(void)
{
	expect(!futex(&word[0], FUTEX_LOCK_PI, 0, 0, NULL, 0), "FUTEX_LOCK_PI");
	expect(!futex(&word[0], FUTEX_UNLOCK_PI, 0, 0, NULL, 0), "FUTEX_UNLOCK_PI");
}

static void lock_pi(void)
{
	word[0] = 0;
	expect(!futex(&word[0], FUTEX_LOCK_PI, 0, 0, NULL, 0), "FUTEX_LOCK_PI");
	word[0] = 0;
}

static void trylock_unlock_pi(void)
{
	expect(!futex(&word[0], FUTEX_TRYLOCK_PI, 0, 0, NULL, 0), "FUTEX_TRYLOCK_PI");
	expect(!futex(&word[0], FUTEX_UNLOCK_PI, 0, 0, NULL, 0), "FUTEX_UNLOCK_PI");
}

static void deadlock_pi(void)
{
	word[0] = tid;
	expect(futex(&word[0], FUTEX_LOCK_PI, 0, 0, NULL, 0) < 0 && errno == EDEADLK, "FUTEX_LOCK_PI of its own");
	word[0] = 0;
}

/*
 * Two threads on one CPU, each of which has the lock by turns while the other waits for
 * it: the next owner runs when this one waits for the lock again.
 */
static uint32_t turn_word __attribute__((aligned(64)));
static volatile bool turns_end;

static void turn(void)
{
	expect(!futex(&turn_word, FUTEX_LOCK_PI, 0, 0, NULL, 0), "FUTEX_LOCK_PI");
	/* The other one has to be waiting before the lock is handed on. */
	while (!turns_end && !(__atomic_load_n(&turn_word, __ATOMIC_RELAXED) & FUTEX_WAITERS))
		sched_yield();
	expect(!futex(&turn_word, FUTEX_UNLOCK_PI, 0, 0, NULL, 0), "FUTEX_UNLOCK_PI");
}

static void *turns(void *unused)
{
	while (!turns_end)
		turn();
	return unused;
}

/* A thread that ends while it has that many robust futexes. */
struct robust {
	struct robust_list list;
	uint32_t word;
};
static struct robust *robust;
static struct robust_list_head robust_head;
static long robust_count;

static int robust_child(void *unused)
{
	struct robust_list *last = &robust_head.list;
	pid_t self = syscall(SYS_gettid);

	(void)unused;
	robust_head.futex_offset = offsetof(struct robust, word);
	for (long i = 0; i < robust_count; i++) {
		robust[i].word = self;
		last->next = &robust[i].list;
		last = &robust[i].list;
	}
	last->next = &robust_head.list;
	if (syscall(SYS_set_robust_list, &robust_head, sizeof(robust_head)))
		return 1;
	return 0;
}

static long robust_units(long count)
{
	static char stack[65536] __attribute__((aligned(16)));
	long start;
	int status;
	pid_t child;

	robust_count = count;
	start = now();
	child = clone(robust_child, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		die("a child with robust futexes");
	start = now() - start;
	for (long i = 0; i < count; i++)
		if (!(robust[i].word & FUTEX_OWNER_DIED))
			die("a robust futex was not handed over");
	return start;
}

/* What is reported. */

static double unit;

static void report(const char *name, double units)
{
	printf("%s,%.1f\n", name, units / unit);
}

static double lowest(void (*call)(void), int calls)
{
	double best = 0;

	for (int round = 0; round < ROUNDS; round++) {
		long start = now(), units;

		for (int i = 0; i < calls; i++)
			call();
		units = now() - start;
		if (!best || units < best)
			best = units;
	}
	return best / calls;
}

static const struct {
	const char *name;
	void (*call)(void);
} cases[] = {
	{ "getppid()", nothing },
	{ "FUTEX_WAKE_OP", wake_op },
	{ "FUTEX_WAIT that does not wait", wait_for_other },
	{ "FUTEX_CMP_REQUEUE of another value", cmp_requeue },
	{ "FUTEX_LOCK_PI, uncontended", lock_pi },
	{ "FUTEX_LOCK_PI of one's own", deadlock_pi },
	{ "FUTEX_LOCK_PI + FUTEX_UNLOCK_PI, uncontended", lock_unlock_pi },
	{ "FUTEX_TRYLOCK_PI + FUTEX_UNLOCK_PI", trylock_unlock_pi },
};

int main(void)
{
	cpu_set_t set;
	pthread_t other;
	double few = 0, many = 0;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
	tid = syscall(SYS_gettid);
	unit = units_per_instruction();
	printf("unit,%.4f\n", unit);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		report(cases[i].name, lowest(cases[i].call, CALLS));

	if (pthread_create(&other, NULL, turns, NULL))
		die("pthread_create");
	report("FUTEX_LOCK_PI + FUTEX_UNLOCK_PI, contended", lowest(turn, CALLS));
	turns_end = true;
	pthread_join(other, NULL);

	robust = mmap(NULL, NR_ROBUST * sizeof(*robust), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (robust == MAP_FAILED)
		die("mmap");
	for (int round = 0; round < ROUNDS; round++) {
		double units = robust_units(NR_ROBUST / 2 - 1);

		if (!few || units < few)
			few = units;
		units = robust_units(NR_ROBUST - 1);
		if (!many || units < many)
			many = units;
	}
	report("a robust futex whose owner dies", (many - few) / (NR_ROBUST / 2));
	return 0;
}
