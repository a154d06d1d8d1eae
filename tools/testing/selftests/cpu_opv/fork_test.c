// SPDX-License-Identifier: GPL-2.0
/*
 * Stores of vectors against fork(): none is lost, and none is seen by a child
 * that was there before it.
 *
 * fork() shares each page of anonymous memory between parent and child, and the
 * next store copies it.  A kernel that keeps a page while that happens stores
 * to the wrong one of the two.
 */

#include "memory_test.h"

#define NR_ADDERS	2
#define NR_FORKERS	2
#define MAX_CPUS	4
#define MIN_FORKS	16

/* One writer each.  The words of all writers are in the same two pages. */
struct words {
	unsigned long adder[NR_ADDERS];
	unsigned long dirtier;
};

struct race {
	enum path path;
	bool huge;
	size_t len;
	struct words *first;
	struct words *second;
	bool stop;
	unsigned long calls[NR_ADDERS];
	unsigned long stores;
	int error;
	int forks;
	int failed_forks;
	int changed_children;
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
	unsigned long *first = &race->first->adder[thread->index];
	unsigned long *second = &race->second->adder[thread->index];
	int cpus[MAX_CPUS], nr_cpus = allowed_cpus(cpus, MAX_CPUS);
	/* What is only read is in no page that is stored to. */
	unsigned long *calls = (unsigned long *)map_pages(1);
	struct cpu_op vec[] = {
		cpu_op_compare(CPU_COMPARE_EQ_OP, first, calls, sizeof(long)),
		cpu_op_arithmetic(CPU_ADD_OP, first, 1, sizeof(long)),
		cpu_op_arithmetic(CPU_ADD_OP, second, 1, sizeof(long)),
	};
	int nr = race->path == DIRECT ? 2 : 3;

	while (!READ_ONCE(race->stop)) {
		int ret = run_path_on(race->path, vec, nr,
				      cpus[*calls % nr_cpus]);

		if (ret) {
			WRITE_ONCE(race->error, ret);
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

	while (!READ_ONCE(race->stop)) {
		race->stores++;
		WRITE_ONCE(race->first->dirtier, race->stores);
		WRITE_ONCE(race->second->dirtier, race->stores);
		if (race->stores % 64 == 0)
			sched_yield();
#ifdef MADV_COLLAPSE
		if (race->huge && race->stores % 4096 == 0)
			madvise(race->first, race->len, MADV_COLLAPSE);
#endif
	}
	return NULL;
}

static int child(const struct race *race)
{
	struct words first = *race->first, second = *race->second;

	sleep_ms(1);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return memcmp(&first, race->first, sizeof(first)) ||
	       memcmp(&second, race->second, sizeof(second));
}

static void *fork_children(void *arg)
{
	struct race *race = ((struct thread *)arg)->race;

	while (!READ_ONCE(race->stop)) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(child(race));
		if (pid < 0 || waitpid(pid, &status, 0) != pid ||
		    !WIFEXITED(status)) {
			WRITE_ONCE(race->failed_forks, 1);
			break;
		}
		__atomic_fetch_add(&race->forks, 1, __ATOMIC_SEQ_CST);
		if (WEXITSTATUS(status))
			WRITE_ONCE(race->changed_children, 1);
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
	size_t page = page_size(), huge = thp_size();

	self->race = (struct race) {
		.path = variant->path,
		.huge = variant->huge,
		.len = variant->huge ? huge : 2 * page,
	};
	self->area = map_aligned(self->race.len, huge, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS);
	if (madvise(self->area, self->race.len,
		    variant->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) &&
	    variant->huge)
		SKIP(return, "needs CONFIG_TRANSPARENT_HUGEPAGE");
	self->race.first = (struct words *)self->area;
	self->race.second = (struct words *)(self->area + page);
}

FIXTURE_TEARDOWN(fork)
{
	munmap(self->area, self->race.len);
}

/* Fails if pages are referenced and not pinned, or not pinned for writing. */
TEST_F_TIMEOUT(fork, stores_are_exact, LONG_TIMEOUT)
{
	struct thread adders[NR_ADDERS], forkers[NR_FORKERS];
	struct race *race = &self->race;
	struct thread dirtier = { .race = race };
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
	while ((now() < end || READ_ONCE(race->forks) < MIN_FORKS) &&
	       !READ_ONCE(race->failed_forks))
		sleep_ms(10);
	WRITE_ONCE(race->stop, true);
	for (int i = 0; i < NR_ADDERS; i++)
		pthread_join(adders[i].id, NULL);
	for (int i = 0; i < NR_FORKERS; i++)
		pthread_join(forkers[i].id, NULL);
	pthread_join(dirtier.id, NULL);

	EXPECT_EQ(0, race->error);
	EXPECT_EQ(0, race->failed_forks);
	EXPECT_EQ(0, race->changed_children);
	for (int i = 0; i < NR_ADDERS; i++) {
		EXPECT_GT(race->calls[i], 0);
		EXPECT_EQ(race->calls[i], race->first->adder[i]);
		EXPECT_EQ(race->path == DIRECT ? 0 : race->calls[i],
			  race->second->adder[i]);
	}
	EXPECT_EQ(race->stores, race->first->dirtier);
	EXPECT_EQ(race->stores, race->second->dirtier);
	TH_LOG("%d forks, %lu calls", race->forks, race->calls[0]);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
