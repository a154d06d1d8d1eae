// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The library is loaded by a thread while others run, used by threads that are
 * older and younger than it, and closed.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS	4
#define ROUNDS	1000

static int (*add)(intptr_t *v, intptr_t count, int cpu);
static int (*current_cpu)(void);
static pthread_barrier_t loaded;
static intptr_t counts[4096][16];

static void *work(void *older)
{
	if (older)
		pthread_barrier_wait(&loaded);
	for (int i = 0; i < ROUNDS; i++) {
		int cpu = current_cpu();

		if (add(&counts[cpu][0], 1, cpu))
			abort();
	}
	/* Ends after the library was closed. */
	if (older)
		pthread_barrier_wait(&loaded);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t older[THREADS], younger[THREADS];
	intptr_t sum = 0;
	void *library;

	if (argc != 2)
		return 2;
	pthread_barrier_init(&loaded, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&older[i], NULL, work, &loaded);
	library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	*(void **)&add = dlsym(library, "percpu_addv");
	*(void **)&current_cpu = dlsym(library, "percpu_current_cpu");
	if (!add || !current_cpu)
		return 1;
	pthread_barrier_wait(&loaded);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&younger[i], NULL, work, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(younger[i], NULL);
	/* All that the threads still have of it must stay. */
	dlclose(library);
	pthread_barrier_wait(&loaded);
	for (int i = 0; i < THREADS; i++)
		pthread_join(older[i], NULL);
	for (int cpu = 0; cpu < 4096; cpu++)
		sum += counts[cpu][0];
	printf("%jd of %d\n", (intmax_t)sum, 2 * THREADS * ROUNDS);
	return sum != 2 * THREADS * ROUNDS;
}
