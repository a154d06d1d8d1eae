/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The clock of a benchmark.  In a guest whose clock counts instructions, a unit of
 * CLOCK_MONOTONIC is an instruction.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <time.h>

static inline long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

/* How many units of the clock an instruction takes, by a loop of a known number of them. */
static inline double units_per_instruction(void)
{
	const long laps = 2000000;
	double best = 0;

	for (int i = 0; i < 5; i++) {
		long lap = laps, start = now(), units;

		asm volatile("1: dec %0\n\tjnz 1b" : "+r" (lap));
		units = now() - start;
		if (!best || units < best)
			best = units;
	}
	return best / (2 * laps);
}

#endif /* CLOCK_H */
