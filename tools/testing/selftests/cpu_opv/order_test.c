// SPDX-License-Identifier: GPL-2.0
/*
 * The order in which a vector loads, as another CPU sees it.
 *
 * Another thread stores a number to one word, and then to a second one.  If a
 * vector finds the number in the second word and then looks at the first, it
 * has to find it there.
 */

#include "memory_test.h"

/* Additions between the start of a vector and its loads, to take some time. */
#define NR_ADDITIONS	8
#define MAX_LEN		64

/* About as many turns of a loop as a call takes. */
#define MAX_DELAY	10000

/*
 * How many calls are to find other numbers than those before.  Where the two
 * CPUs do not run at the same time there are few of these, and less will do.
 */
#define NR_CHANGES	200

struct race {
	int cpus[2];
	pthread_t thread;
	bool stop;
	/* Up to which number the other thread stores, and how soon. */
	uint64_t limit;
	int max_delay;
	uint64_t *first;
	uint64_t *second;
	/* What the vector stores, in a page for all of it. */
	uint64_t *count;
	uint64_t *found_first;
	uint64_t *found_second;
};

static void *store_numbers(void *arg)
{
	struct race *race = arg;
	uint64_t random = 0;

	allow_cpus(&race->cpus[1], 1);
	for (uint64_t i = 1; !READ_ONCE(race->stop); i++) {
		while (i > READ_ONCE(race->limit) && !READ_ONCE(race->stop))
			;
		if (race->max_delay)
			spin(next_random(&random) % race->max_delay);
		WRITE_ONCE(*race->first, i);
		WRITE_ONCE(*race->second, i);
	}
	return NULL;
}

static void start_storing(struct race *race, uint64_t limit, int max_delay)
{
	*race->first = 0;
	*race->second = 0;
	race->stop = false;
	race->limit = limit;
	race->max_delay = max_delay;
	errno = pthread_create(&race->thread, NULL, store_numbers, race);
	if (errno) {
		perror("pthread_create");
		abort();
	}
}

static void stop_storing(struct race *race)
{
	WRITE_ONCE(race->stop, true);
	pthread_join(race->thread, NULL);
}

FIXTURE(order)
{
	struct race race;
	char *pages;
};

FIXTURE_VARIANT(order)
{
	/* Which of the words are in the page that the vector stores to. */
	bool first_written;
	bool second_written;
	int flags;
};

FIXTURE_VARIANT_ADD(order, neither_written)
{
	.flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(order, first_written)
{
	.first_written = true,
	.flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(order, second_written)
{
	.second_written = true,
	.flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(order, both_written)
{
	.first_written = true,
	.second_written = true,
	.flags = MAP_PRIVATE,
};

FIXTURE_VARIANT_ADD(order, neither_written_shared)
{
	.flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(order, first_written_shared)
{
	.first_written = true,
	.flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(order, second_written_shared)
{
	.second_written = true,
	.flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(order, both_written_shared)
{
	.first_written = true,
	.second_written = true,
	.flags = MAP_SHARED,
};

FIXTURE_SETUP(order)
{
	const size_t page = page_size();
	struct race *race = &self->race;
	char *p;

	ASSERT_EQ(2, allowed_cpus(race->cpus, 2)) {
		TH_LOG("this takes two CPUs");
	}
	allow_cpus(race->cpus, 1);
	p = map(3 * page, PROT_READ | PROT_WRITE,
		variant->flags | MAP_ANONYMOUS, -1);
	memset(p, 0, 3 * page);
	self->pages = p;
	race->count = (uint64_t *)p;
	race->found_first = (uint64_t *)(p + 2 * MAX_LEN);
	race->found_second = (uint64_t *)(p + 4 * MAX_LEN);
	race->first = (uint64_t *)(p + !variant->first_written * page +
				   6 * MAX_LEN);
	race->second = (uint64_t *)(p + 2 * !variant->second_written * page +
				    8 * MAX_LEN);
}

FIXTURE_TEARDOWN(order)
{
	munmap(self->pages, 3 * page_size());
}

/* Whether to go on with what was begun at this time. */
static bool go_on(double start, long nr_changes)
{
	double seconds = now() - start;

	return seconds < race_seconds() / 4 ||
	       (nr_changes < NR_CHANGES && seconds < 2 * race_seconds()) ||
	       !nr_changes;
}

/* These fail if a load is made before one of an operation in front of it. */
TEST_F_TIMEOUT(order, copies, LONG_TIMEOUT)
{
	static const uint32_t lens[] = { 8, MAX_LEN };
	struct race *race = &self->race;

	for (int i = 0; i < 2 * (int)ARRAY_SIZE(lens); i++) {
		enum path path = i % 2 ? PINNED : AHEAD;
		struct cpu_op vec[NR_ADDITIONS + 2];
		double start = now();
		long nr_calls = 0, nr_changes = 0;
		uint64_t last = 0;
		int nr = 0;

		while (nr < NR_ADDITIONS)
			vec[nr++] = cpu_op_arithmetic(CPU_ADD_OP, race->count,
						      1, 8);
		vec[nr++] = cpu_op_memcpy(CPU_MEMCPY_OP, race->found_second,
					  race->second, lens[i / 2]);
		vec[nr++] = cpu_op_memcpy(CPU_MEMCPY_OP, race->found_first,
					  race->first, lens[i / 2]);
		start_storing(race, UINT64_MAX, 0);
		do {
			EXPECT_EQ(0, run_path(path, vec, nr));
			EXPECT_GE(*race->found_first, *race->found_second) {
				TH_LOG("%s, len %u, call %ld", path_names[path],
				       lens[i / 2], nr_calls);
			}
			nr_calls++;
			nr_changes += *race->found_second != last;
			last = *race->found_second;
		} while (go_on(start, nr_changes) && __test_passed(_metadata));
		stop_storing(race);
	}
}

TEST_F_TIMEOUT(order, comparisons, LONG_TIMEOUT)
{
	struct race *race = &self->race;

	for (enum path path = 0; path < NR_PATHS; path++) {
		double start = now();
		uint64_t before = 0, after = 1;
		struct cpu_op vec[NR_ADDITIONS + 2];
		int nr = 0, ret = 2;

		/* A vector that is to run directly stores nothing in front. */
		while (path != DIRECT && nr < NR_ADDITIONS)
			vec[nr++] = cpu_op_arithmetic(CPU_ADD_OP, race->count,
						      1, 8);
		vec[nr++] = cpu_op_compare(CPU_COMPARE_EQ_OP, race->second,
					   &after, 8);
		vec[nr++] = cpu_op_compare(CPU_COMPARE_EQ_OP, race->first,
					   &before, 8);
		start_storing(race, 0, MAX_DELAY);
		do {
			WRITE_ONCE(race->limit, after);
			do
				ret = run_path(path, vec, nr);
			while (ret == nr - 1);
			EXPECT_EQ(nr, ret) {
				TH_LOG("%s, number %llu", path_names[path],
				       (unsigned long long)after);
			}
			before = after++;
		} while (go_on(start, before) && __test_passed(_metadata));
		stop_storing(race);
	}
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
