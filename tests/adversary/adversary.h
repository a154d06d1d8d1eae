/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the parts of the adversary share: those who attack, without privileges, and
 * those who measure what others suffer.
 */
#ifndef ADVERSARY_H
#define ADVERSARY_H

#include <stdnoreturn.h>

#include "cpu_opv_cpus.h"

#define PAGE_LEN	4096

/* What the CPUs are for. */
enum role {
	/* No attacker may run here. */
	OBSERVER,
	HOME,
	/* Goes down and comes up. */
	SPARE,
	TARGET,
	NR_ROLES,
};

static int role_cpu[NR_ROLES];

#define MAX_ATTACKERS	128

/* How many values a measurement has at most. */
#define NR_VALUES	3

/* What the attackers tell those who measure. */
static struct report {
	pid_t pid;
	/* The CPUs that they are on. */
	cpu_set_t cpus;
	pid_t tids[MAX_ATTACKERS];
	int nr_attackers;
	int nr_ready;
	unsigned long laps;
	/* Pages that they have the kernel keep. */
	long pages;
	/* What went wrong. */
	char error[200];
	/* What has been measured, in their own process maybe. */
	double values[NR_VALUES];
	bool has_measured;
} *report;

static noreturn __attribute__((format(printf, 1, 2)))
void die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "adversary: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

static void set_affinity(pid_t tid, cpu_set_t set)
{
	if (sched_setaffinity(tid, sizeof(set), &set))
		die("sched_setaffinity: %s", strerror(errno));
}

#endif /* ADVERSARY_H */
