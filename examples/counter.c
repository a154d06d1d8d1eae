// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A counter with a part for every CPU.  Many threads add to it, and another one
 * drains it.
 *
 *	cc counter.c $(pkg-config --cflags --libs libcpu_opv) -lpthread
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <percpu.h>

#define THREADS	4
#define ROUNDS	5000

/* No two CPUs write to the same cache line. */
struct part {
	_Alignas(128) intptr_t count;
};

static struct part *parts;
static atomic_bool stop;

static void check(int ret, const char *what)
{
	if (ret < 0) {
		perror(what);
		exit(1);
	}
}

static void *work(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		int cpu = percpu_current_cpu();

		check(percpu_addv(&parts[cpu].count, 1, cpu), "percpu_addv");
	}
	return NULL;
}

static intptr_t drain(void)
{
	intptr_t sum = 0, old;

	for (int cpu = 0; cpu < percpu_nr_cpus(); cpu++) {
		check(percpu_swapv(&parts[cpu].count, 0, &old, cpu),
		      "percpu_swapv");
		sum += old;
	}
	return sum;
}

static void *report(void *arg)
{
	intptr_t *sum = arg;

	while (!stop)
		*sum += drain();
	return NULL;
}

int main(void)
{
	size_t size = percpu_nr_cpus() * sizeof(*parts);
	pthread_t workers[THREADS], reporter;
	struct percpu_counts counts;
	intptr_t sum = 0;

	parts = aligned_alloc(_Alignof(struct part), size);
	if (!parts)
		return 1;
	for (int cpu = 0; cpu < percpu_nr_cpus(); cpu++)
		parts[cpu].count = 0;

	pthread_create(&reporter, NULL, report, &sum);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&workers[i], NULL, work, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i], NULL);
	stop = true;
	pthread_join(reporter, NULL);
	sum += drain();

	percpu_get_counts(&counts);
	printf("counted %jd of %d\n", (intmax_t)sum, THREADS * ROUNDS);
	printf("vectors: %zu, locked: %zu, aborts: %zu\n", counts.vectors,
	       counts.locked, counts.aborts);
	free(parts);
	return sum != THREADS * ROUNDS;
}
