// SPDX-License-Identifier: GPL-2.0
/*
 * Stores of vectors against fork(): none is lost, and none is seen by a child
 * that was there before it.
 *
 * fork() shares each page of anonymous memory between parent and child, and the
 * next store copies it.  A kernel that keeps a page while that happens stores to
 * the wrong one of the two.
 */

#include "memory_test.h"

#define NR_ADDERS	2
#define NR_FORKERS	2
#define MAX_CPUS	4

/* One writer each.  The words of all writers are in the same two pages. */
struct words {
	uint64_t adder[NR_ADDERS];
	uint64_t dirtier;
};

struct race {
	enum path path;
	bool huge;
	size_t len;
	volatile struct words *first;
	volatile struct words *second;
	atomic_bool stop;
	uint64_t calls[NR_ADDERS];
	uint64_t stores;
	atomic_int failed_calls;
	atomic_int error;
	atomic_int forks;
	atomic_int failed_forks;
	atomic_int changed_children;
};

struct thread {
	pthread_t id;
	struct race *race;
	int index;
};

/*
 * Add to the words of the thread, in turn on each CPU: the way to another one
 * makes the time long that pages are pinned for.
 */
static void *add(void *arg)
{
	struct thread *thread = arg;
	struct race *race = thread->race;
	void *first = (void *)&race->first->adder[thread->index];
	void *second = (void *)&race->second->adder[thread->index];
	int cpus[MAX_CPUS], nr_cpus = allowed_cpus(cpus, MAX_CPUS);
	/* What is only read is in no page that is stored to. */
	uint64_t *calls = (uint64_t *)map_pages(1);
	struct cpu_op vec[] = {
		cpu_op_compare(CPU_COMPARE_EQ_OP, first, calls, 8),
		cpu_op_arithmetic(CPU_ADD_OP, first, 1, 8),
		cpu_op_arithmetic(CPU_ADD_OP, second, 1, 8),
	};
	int nr = race->path == DIRECT ? 2 : 3;

	while (!race->stop) {
		int ret = run_path_on(race->path, vec, nr,
				      cpus[*calls % nr_cpus]);

		if (ret) {
			race->error = ret;
			race->failed_calls++;
			break;
		}
		++*calls;
	}
	race->calls[thread->index] = *calls;
	unmap_pages((char *)calls, 1);
	return NULL;
}

/* Make the process copy the pages that a fork has left shared. */
static void *dirty(void *arg)
{
	struct race *race = ((struct thread *)arg)->race;

	while (!race->stop) {
		race->first->dirtier++;
		race->second->dirtier++;
		race->stores++;
		if (race->stores % 64 == 0)
			sched_yield();
#ifdef MADV_COLLAPSE
		if (race->huge && race->stores % 4096 == 0)
			madvise((void *)race->first, race->len, MADV_COLLAPSE);
#endif
	}
	return NULL;
}

static int child(const struct race *race)
{
	struct words first = *race->first, second = *race->second;

	sleep_ms(1);
	return memcmp(&first, (void *)race->first, sizeof(first)) ||
	       memcmp(&second, (void *)race->second, sizeof(second));
}

static void *fork_children(void *arg)
{
	struct race *race = ((struct thread *)arg)->race;

	while (!race->stop) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(child(race));
		if (pid < 0 || waitpid(pid, &status, 0) != pid ||
		    !WIFEXITED(status)) {
			race->failed_forks++;
			break;
		}
		race->forks++;
		if (WEXITSTATUS(status))
			race->changed_children++;
	}
	return NULL;
}

FIXTURE(fork)
{
	struct race race;
	char *area;
};

FIXTURE_VARIANT(fork)
{
	enum path path;
	bool huge;
};

FIXTURE_VARIANT_ADD(fork, direct)
{
	.path = DIRECT,
};

FIXTURE_VARIANT_ADD(fork, ahead)
{
	.path = AHEAD,
};

FIXTURE_VARIANT_ADD(fork, pinned)
{
	.path = PINNED,
};

FIXTURE_VARIANT_ADD(fork, huge_direct)
{
	.path = DIRECT,
	.huge = true,
};

FIXTURE_VARIANT_ADD(fork, huge_ahead)
{
	.path = AHEAD,
	.huge = true,
};

FIXTURE_VARIANT_ADD(fork, huge_pinned)
{
	.path = PINNED,
	.huge = true,
};

FIXTURE_SETUP(fork)
{
	size_t page = page_size();

	memset(&self->race, 0, sizeof(self->race));
	self->race.path = variant->path;
	self->race.huge = variant->huge;
	self->race.len = variant->huge ? HUGE_PAGE_SIZE : 2 * page;
	self->area = map_aligned(self->race.len, HUGE_PAGE_SIZE,
				 PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS);
	ASSERT_EQ(0, madvise(self->area, self->race.len,
			     variant->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE)) {
		TH_LOG("CONFIG_TRANSPARENT_HUGEPAGE is missing");
	}
	self->race.first = (struct words *)self->area;
	self->race.second = (struct words *)(self->area + page);
}

FIXTURE_TEARDOWN(fork)
{
	munmap(self->area, self->race.len);
}

TEST_F_TIMEOUT(fork, stores_are_exact, LONG_TIMEOUT)
{
	struct thread adders[NR_ADDERS], forkers[NR_FORKERS];
	struct thread dirtier = { .race = &self->race };
	struct race *race = &self->race;
	double end;

	for (int i = 0; i < NR_ADDERS; i++) {
		adders[i] = (struct thread) { .race = race, .index = i };
		ASSERT_EQ(0, pthread_create(&adders[i].id, NULL, add,
					    &adders[i]));
	}
	for (int i = 0; i < NR_FORKERS; i++) {
		forkers[i] = (struct thread) { .race = race, .index = i };
		ASSERT_EQ(0, pthread_create(&forkers[i].id, NULL, fork_children,
					    &forkers[i]));
	}
	ASSERT_EQ(0, pthread_create(&dirtier.id, NULL, dirty, &dirtier));

	end = now() + race_seconds();
	while (now() < end || (race->forks < 20 && !race->failed_forks))
		sleep_ms(10);
	race->stop = true;
	for (int i = 0; i < NR_ADDERS; i++)
		pthread_join(adders[i].id, NULL);
	for (int i = 0; i < NR_FORKERS; i++)
		pthread_join(forkers[i].id, NULL);
	pthread_join(dirtier.id, NULL);

	EXPECT_EQ(0, race->failed_calls) {
		TH_LOG("a call returned %d", race->error);
	}
	EXPECT_EQ(0, race->failed_forks);
	EXPECT_EQ(0, race->changed_children) {
		TH_LOG("of %d children", race->forks);
	}
	for (int i = 0; i < NR_ADDERS; i++) {
		EXPECT_GT(race->calls[i], 0);
		EXPECT_EQ(race->calls[i], race->first->adder[i]);
		EXPECT_EQ(race->path == DIRECT ? 0 : race->calls[i],
			  race->second->adder[i]);
	}
	EXPECT_EQ(race->stores, race->first->dirtier);
	EXPECT_EQ(race->stores, race->second->dirtier);
	TH_LOG("%d forks, %llu calls", race->forks,
	       (unsigned long long)race->calls[0]);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
