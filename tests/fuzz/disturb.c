// SPDX-License-Identifier: GPL-2.0
/*
 * What other threads do while a call is made.
 *
 * Two threads wait until there is something to do. They do it over and over until
 * they are told to stop.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define NR_THREADS	2

static struct {
	enum disturbance kind;
	int cpu;
	uint64_t mask;
} now;

static pid_t fuzzer;
static pthread_barrier_t start_barrier, end_barrier;
static bool stopping;

/* What CALLS adds to, and how often it did. */
static uint64_t counters[2] __attribute__((aligned(64))), calls;

int call_opv(const void *vec, int count, int cpu, int flags)
{
	long ret = syscall(NR_CPU_OPV, vec, count, cpu, flags);

	return ret < 0 ? -errno : ret;
}

int set_affinity(int tid, uint64_t mask)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int cpu = 0; cpu < 64; cpu++)
		if (mask >> cpu & 1)
			CPU_SET(cpu, &set);
	return sched_setaffinity(tid, sizeof(set), &set);
}

static void set_online(const char *online)
{
	static int fd = -1;

	if (fd < 0) {
		char path[64];

		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", HOTPLUG_CPU);
		fd = open(path, O_WRONLY);
	}
	if (fd < 0 || pwrite(fd, online, 1, 0) != 1)
		if (errno != EBUSY)
			give_up("a CPU cannot be taken offline");
}

/* Both counters are incremented, each time by an addition that is no atomic instruction. */
static bool call_once(int cpu)
{
	struct cpu_op ops[2] = { { .op = CPU_ADD_OP, .len = 8 }, { .op = CPU_ADD_OP, .len = 8 } };
	int ret;

	for (int i = 0; i < 2; i++) {
		LINUX_FIELD_u32_u64_INIT_ONSTACK(ops[i].u.arithmetic_op.p, &counters[i]);
		ops[i].u.arithmetic_op.count = 1;
	}
	ret = call_opv(ops, 2, cpu, 0);
	if (ret && ret != -EINVAL)
		fail("a vector of two additions on CPU %d returned %d", cpu, ret);
	return ret == 0;
}

void disturb_call(void)
{
	if (call_once(now.cpu))
		__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
}

static void fork_once(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}

static void change_areas(unsigned int turn)
{
	for (enum area_kind kind = 0; kind < NR_AREAS; kind++)
		if (areas[kind].used && areas[kind].lively)
			area_change(kind, now.kind, turn);
}

static void disturb_once(unsigned int turn)
{
	static const uint64_t others[] = { 7, 1, 3, 2, 5, 4, 6 };
	uint64_t mask = others[turn % (sizeof(others) / sizeof(*others))];

	switch (now.kind) {
	case AFFINITY:
		set_affinity(fuzzer, mask | 1ULL << now.cpu);
		break;
	case AFFINITY_OUT:
		set_affinity(fuzzer, mask);
		break;
	case FORK:
		fork_once();
		break;
	case ADVICE:
	case PROTECTION:
	case PLACE:
	case DISCARD:
	case PUNCH:
		change_areas(turn);
		break;
	case CALLS:
		disturb_call();
		break;
	case HOTPLUG:
		set_online(turn % 2 ? "1" : "0");
		break;
	case REWRITE:
		for (size_t i = 0; i < page_size; i += 8)
			areas[VECTOR].base[FIRST_PAGE * page_size + i + turn % 8] ^= turn;
		break;
	case SIGNALS:
		syscall(SYS_tgkill, getpid(), fuzzer, SIGRTMIN);
		sched_yield();
		break;
	case QUIET:
	case NR_DISTURBANCES:
		break;
	}
}

static void *run(void *number)
{
	for (;;) {
		pthread_barrier_wait(&start_barrier);
		/* All but the calls are the work of one. */
		for (unsigned int turn = 0; !__atomic_load_n(&stopping, __ATOMIC_ACQUIRE); turn++) {
			if (number && now.kind != CALLS)
				break;
			disturb_once(turn);
		}
		if (!number && now.kind == HOTPLUG)
			set_online("1");
		pthread_barrier_wait(&end_barrier);
	}
	return NULL;
}

static void ignore(int signal)
{
	(void)signal;
}

void disturb_init(void)
{
	struct sigaction action = { .sa_handler = ignore, .sa_flags = SA_RESTART };
	pthread_t thread;

	fuzzer = syscall(SYS_gettid);
	sigaction(SIGRTMIN, &action, NULL);
	pthread_barrier_init(&start_barrier, NULL, NR_THREADS + 1);
	pthread_barrier_init(&end_barrier, NULL, NR_THREADS + 1);
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		if (pthread_create(&thread, NULL, run, (void *)i))
			give_up("pthread_create");
}

void disturb_start(enum disturbance kind, int cpu, uint64_t mask)
{
	now.kind = kind;
	now.cpu = cpu;
	now.mask = mask;
	if (kind == QUIET)
		return;
	memset(counters, 0, sizeof(counters));
	calls = 0;
	__atomic_store_n(&stopping, false, __ATOMIC_RELEASE);
	pthread_barrier_wait(&start_barrier);
}

void disturb_stop(void)
{
	if (now.kind == QUIET)
		return;
	__atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
	pthread_barrier_wait(&end_barrier);

	if (now.kind == AFFINITY || now.kind == AFFINITY_OUT)
		set_affinity(fuzzer, now.mask);
	for (enum area_kind kind = 0; kind < NR_AREAS; kind++)
		if (areas[kind].used && areas[kind].lively)
			area_restore(kind);
	if (counters[0] != calls || counters[1] != calls)
		fail("%lu vectors have run, and the counters are %lu and %lu", (unsigned long)calls,
		     (unsigned long)counters[0], (unsigned long)counters[1]);
}
