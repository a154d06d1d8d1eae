// SPDX-License-Identifier: GPL-2.0
/*
 * Comparisons against the first write to a page: none succeeds on a value that
 * the process cannot see at that address any more.
 *
 * The first write to some kinds of page gives the address another page.  A
 * kernel that keeps the old one compares what is no longer there.
 */

#include "memory_test.h"

#define NR_PAGES	64
#define NR_HUGE_PAGES	8
#define KSM		"/sys/kernel/mm/ksm/"

enum kind {
	/* The page of zeroes that stands for memory which was never written. */
	ZERO_PAGE,
	HUGE_ZERO_PAGE,
	/* A page of a file in a private mapping. */
	PRIVATE_FILE,
	/* An anonymous page that a child has, too. */
	SHARED_BY_FORK,
	/* An anonymous page that was merged with others of the same content. */
	MERGED,
};

/* Memory whose pages are replaced by the first write to each, all zeroes. */
struct area {
	enum kind kind;
	char *start;
	size_t len;
	size_t stride;
	int nr;
	int fd;
	pid_t child;
};

static void area_create(struct area *area, enum kind kind)
{
	memset(area, 0, sizeof(*area));
	area->kind = kind;
	area->stride = kind == HUGE_ZERO_PAGE ? thp_size() : page_size();
	area->nr = kind == HUGE_ZERO_PAGE ? NR_HUGE_PAGES : NR_PAGES;
	area->len = area->nr * area->stride;
	area->fd = -1;
	if (kind == PRIVATE_FILE) {
		area->fd = memfd_create("cpu_opv", 0);
		if (area->fd < 0 || ftruncate(area->fd, area->len)) {
			perror("memfd_create");
			abort();
		}
		area->start = map(area->len, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE, area->fd);
	} else {
		area->start = map_aligned(area->len, area->stride,
					  PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS);
		madvise(area->start, area->len, kind == HUGE_ZERO_PAGE ?
			MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	}
}

static void area_end_child(struct area *area)
{
	if (!area->child)
		return;
	kill(area->child, SIGKILL);
	waitpid(area->child, NULL, 0);
	area->child = 0;
}

static void area_destroy(struct area *area)
{
	area_end_child(area);
	if (area->fd >= 0)
		close(area->fd);
	munmap(area->start, area->len);
}

static int nr_with_flags(struct area *area, uint64_t flags)
{
	int nr = 0;

	for (int i = 0; i < area->nr; i++)
		nr += (page_flags(area->start + i * area->stride) & flags) ==
		      flags;
	return nr;
}

/*
 * Have the pages merged.  The kernel makes a page a merged one before it knows
 * that there still is another one like it, and may take that back.  So it has
 * to stop before they stay what they are.
 */
static int area_merge(struct area *area)
{
	double end = now() + 60;

	if (madvise(area->start, area->len, MADV_MERGEABLE))
		return -1;
	do {
		if (set_knob(KSM "run", "1"))
			return -1;
		while (nr_with_flags(area, KPF_KSM) < area->nr) {
			if (now() > end)
				return -1;
			sleep_ms(1);
		}
		/* This waits for the end of what it is about. */
		if (set_knob(KSM "run", "0"))
			return -1;
	} while (nr_with_flags(area, KPF_KSM) < area->nr);
	return 0;
}

/* Make every page of the area one that the next write to it replaces. */
static int area_arm(struct area *area)
{
	area_end_child(area);
	if (area->kind != SHARED_BY_FORK && area->kind != MERGED) {
		if (madvise(area->start, area->len, MADV_DONTNEED))
			return -1;
		for (int i = 0; i < area->nr; i++)
			READ_ONCE(area->start[i * area->stride]);
		return 0;
	}
	for (int i = 0; i < area->nr; i++)
		memset(area->start + i * area->stride, 0, area->stride);
	if (area->kind == MERGED)
		return area_merge(area);
	area->child = fork();
	if (area->child == 0) {
		for (;;)
			pause();
	}
	return area->child < 0 ? -1 : 0;
}

static bool is_armed(struct area *area)
{
	switch (area->kind) {
	case ZERO_PAGE:
		return nr_with_flags(area, KPF_ZERO_PAGE) == area->nr;
	case HUGE_ZERO_PAGE:
		return nr_with_flags(area, KPF_ZERO_PAGE | KPF_THP) ==
		       area->nr;
	case PRIVATE_FILE:
		for (int i = 0; i < area->nr; i++)
			if (!(page_map(area->start + i * area->stride) &
			      PM_FILE))
				return false;
		return true;
	case MERGED:
		return nr_with_flags(area, KPF_KSM) == area->nr;
	case SHARED_BY_FORK:
		return area->child > 0;
	}
	return false;
}

FIXTURE(stale)
{
	struct area area;
	struct knob ksm[3];
};

FIXTURE_VARIANT(stale)
{
	enum kind kind;
};

FIXTURE_VARIANT_ADD(stale, zero_page)
{
	.kind = ZERO_PAGE,
};

FIXTURE_VARIANT_ADD(stale, huge_zero_page)
{
	.kind = HUGE_ZERO_PAGE,
};

FIXTURE_VARIANT_ADD(stale, private_file)
{
	.kind = PRIVATE_FILE,
};

FIXTURE_VARIANT_ADD(stale, shared_by_fork)
{
	.kind = SHARED_BY_FORK,
};

FIXTURE_VARIANT_ADD(stale, merged)
{
	.kind = MERGED,
};

FIXTURE_SETUP(stale)
{
	const struct knob ksm[] = {
		{ .path = KSM "pages_to_scan", .value = "10000" },
		{ .path = KSM "sleep_millisecs", .value = "1" },
		{ .path = KSM "run", .value = "0" },
	};

	if (geteuid())
		SKIP(return, "needs root");
	memcpy(self->ksm, ksm, sizeof(ksm));
	memset(&self->area, 0, sizeof(self->area));
	if (variant->kind == MERGED && set_knobs(self->ksm, ARRAY_SIZE(ksm)))
		SKIP(return, "needs CONFIG_KSM");
	if (variant->kind == HUGE_ZERO_PAGE &&
	    access("/sys/kernel/mm/transparent_hugepage", F_OK))
		SKIP(return, "needs CONFIG_TRANSPARENT_HUGEPAGE");
	area_create(&self->area, variant->kind);
	ASSERT_EQ(0, area_arm(&self->area));
	ASSERT_TRUE(is_armed(&self->area)) {
		TH_LOG("the first page has flags %llx", (unsigned long long)
		       page_flags(self->area.start));
	}
}

FIXTURE_TEARDOWN(stale)
{
	area_destroy(&self->area);
	restore_knobs(self->ksm, ARRAY_SIZE(self->ksm));
}

/* What the two threads of a race share. */
struct race {
	enum path path;
	struct area *area;
	int cpu;
	/* The race that each side is ready for. */
	int caller;
	int writer;
	/* How long the writer waits for its write or, below 0, the caller. */
	int delay;
	long *q;
	long seen[NR_PAGES];
};

static void wait_for(int *value, int expected)
{
	/* The other one may need this CPU. */
	for (int i = 1; READ_ONCE(*value) != expected; i++)
		if (i % 1000 == 0)
			sched_yield();
}

/* On the CPU of the vector: write, then look whether the vector has run. */
static void *write_first(void *arg)
{
	struct race *race = arg;

	allow_cpus(&race->cpu, 1);
	for (int i = 0; i < race->area->nr; i++) {
		long *p = (long *)(race->area->start + i * race->area->stride);

		WRITE_ONCE(race->writer, i + 1);
		wait_for(&race->caller, i + 1);
		spin(READ_ONCE(race->delay));
		WRITE_ONCE(*p, 1);
		race->seen[i] = READ_ONCE(race->q[i]);
	}
	return NULL;
}

#define MAX_DELAY	2000000
#define MIN_STEP	1000

/*
 * Race one vector and one first write for each page of the area.  The write is
 * made later after each vector that came too late, and earlier after each that
 * did not, so that the two come to meet.
 */
static void run_races(struct __test_metadata *_metadata, struct race *race,
		      const int *cpus, int *nr_early, int *nr_late)
{
	long zero = 0, one = 1;
	int ret[NR_PAGES];
	uint64_t random = *nr_early + *nr_late;
	int delay = race->delay, step;
	pthread_t writer;

	memset(race->q, 0, NR_PAGES * sizeof(*race->q));
	race->writer = 0;
	race->caller = 0;
	race->cpu = cpus[1];
	ASSERT_EQ(0, pthread_create(&writer, NULL, write_first, race));
	for (int i = 0; i < race->area->nr; i++) {
		struct cpu_op vec[] = {
			cpu_op_compare(CPU_COMPARE_EQ_OP,
				       race->area->start +
				       i * race->area->stride, &zero,
				       sizeof(zero)),
			cpu_op_memcpy(CPU_MEMCPY_OP, &race->q[i], &one,
				      sizeof(one)),
		};

		/* Each call starts on the other CPU. */
		allow_cpus(cpus, 1);
		allow_cpus(cpus, 2);
		wait_for(&race->writer, i + 1);
		step = abs(delay) / 2 + MIN_STEP;
		race->delay = delay + (int)(next_random(&random) % step) -
			      step / 2;
		WRITE_ONCE(race->caller, i + 1);
		spin(-race->delay);
		ret[i] = run_path_on(race->path, vec, 2, race->cpu);
		if (ret[i] == 0) {
			delay -= step;
			++*nr_early;
		} else {
			delay += step;
			++*nr_late;
		}
		if (abs(delay) > MAX_DELAY)
			delay /= 2;
	}
	pthread_join(writer, NULL);
	race->delay = delay;

	for (int i = 0; i < race->area->nr; i++) {
		EXPECT_TRUE(ret[i] == 0 || ret[i] == 1) {
			TH_LOG("page %d: the call returned %d", i, ret[i]);
		}
		EXPECT_EQ(ret[i] == 0, race->q[i]);
		EXPECT_FALSE(ret[i] == 0 && race->seen[i] == 0) {
			TH_LOG("page %d: equal to 0 after the write", i);
		}
	}
}

/* Fails if what is compared is from before the caller had its CPU. */
TEST_F_TIMEOUT(stale, comparison_against_first_write, LONG_TIMEOUT)
{
	struct race race = { .area = &self->area };
	int cpus[2];

	ASSERT_EQ(2, allowed_cpus(cpus, 2)) {
		TH_LOG("this takes two CPUs");
	}
	race.q = (long *)map_pages(1);
	for (enum path path = 0; path < NR_PATHS; path++) {
		double end = now() + race_seconds();
		int early = 0, late = 0;

		race.path = path;
		/* Neither side always wins, or it is no race. */
		do {
			ASSERT_EQ(0, area_arm(&self->area));
			run_races(_metadata, &race, cpus, &early, &late);
		} while ((now() < end || !early || !late) &&
			 __test_passed(_metadata));
		TH_LOG("%s: %d vectors before the write, %d after it",
		       path_names[path], early, late);
	}
	unmap_pages((char *)race.q, 1);
}

/*
 * One vector reads, writes and reads again what the write gives a new page.
 * Fails if the page is pinned twice, or loaded ahead although it is written.
 */
TEST_F_TIMEOUT(stale, page_read_and_written_by_one_vector, LONG_TIMEOUT)
{
	struct area *area = &self->area;
	char *other = map_pages(1);

	for (int i = 0; i < area->nr; i++) {
		uint64_t *p = (uint64_t *)(area->start + i * area->stride);
		enum path path = i % NR_PATHS;
		uint64_t zero = 0, one = 1, found = 5;
		struct cpu_op vec[] = {
			cpu_op_compare(CPU_COMPARE_EQ_OP, p, &zero, 8),
			cpu_op_compare(CPU_COMPARE_EQ_OP, other, p, 64),
			cpu_op_arithmetic(CPU_ADD_OP, p, 1, 8),
			cpu_op_compare(CPU_COMPARE_EQ_OP, p, &one, 8),
			cpu_op_memcpy(CPU_MEMCPY_OP, &found, p, 8),
		};
		/* A vector that needs no pin ends with its store. */
		int nr = path == DIRECT ? 3 : 5;

		EXPECT_EQ(0, run_path(path, vec, nr)) {
			TH_LOG("page %d", i);
		}
		EXPECT_EQ(1, *p);
		EXPECT_EQ(nr == 3 ? 5 : 1, found);
	}
	unmap_pages(other, 1);
}

/*
 * Only the second page of the operand is written, and only by the second one.
 * Fails if such an operand is loaded ahead.
 */
TEST_F_TIMEOUT(stale, operand_that_reaches_into_a_page_that_is_written,
	       LONG_TIMEOUT)
{
	struct area *area = &self->area;
	size_t page = page_size();

	for (int i = 0; i + 1 < area->nr; i += 2) {
		char *second = area->start + i * area->stride + page;
		enum path path = i / 2 % NR_PATHS;
		uint64_t before = 0, after = 0, found = 5;
		struct cpu_op vec[] = {
			cpu_op_compare(CPU_COMPARE_EQ_OP, second - 4, &before,
				       8),
			cpu_op_arithmetic(CPU_ADD_OP, second, 1, 1),
			cpu_op_compare(CPU_COMPARE_EQ_OP, second - 4, &after,
				       8),
			cpu_op_memcpy(CPU_MEMCPY_OP, &found, second - 4, 8),
		};
		int nr = path == DIRECT ? 2 : 4;

		((char *)&after)[4] = 1;
		EXPECT_EQ(0, run_path(path, vec, nr)) {
			TH_LOG("page %d", i);
		}
		EXPECT_EQ(1, *second);
		EXPECT_EQ(nr == 2 ? 5 : after, found);
	}
}

/* A file that is mapped twice: a store at one address shows at the other. */
FIXTURE(alias)
{
	char *p;
	char *q;
};

FIXTURE_VARIANT(alias)
{
	int prot;
	int flags;
};

FIXTURE_VARIANT_ADD(alias, shared)
{
	.prot = PROT_READ | PROT_WRITE,
	.flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(alias, read_only)
{
	.prot = PROT_READ,
	.flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(alias, private)
{
	.prot = PROT_READ,
	.flags = MAP_PRIVATE,
};

FIXTURE_SETUP(alias)
{
	int fd = memfd_create("cpu_opv", 0);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, page_size()));
	self->p = map(page_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	self->q = map(page_size(), variant->prot, variant->flags, fd);
	close(fd);
}

FIXTURE_TEARDOWN(alias)
{
	munmap(self->p, page_size());
	munmap(self->q, page_size());
}

/* Fails if an operand is loaded ahead although pages of a file are written. */
TEST_F(alias, operation_sees_the_stores_before_it)
{
	uint64_t *p = (uint64_t *)self->p, *q = (uint64_t *)self->q;
	uint64_t zero = 0, one = 1, found = 5;
	struct cpu_op vec[] = {
		cpu_op_compare(CPU_COMPARE_EQ_OP, q, &zero, 8),
		cpu_op_arithmetic(CPU_ADD_OP, p, 1, 8),
		cpu_op_compare(CPU_COMPARE_EQ_OP, q, &one, 8),
		cpu_op_memcpy(CPU_MEMCPY_OP, &found, q, 8),
	};

	for (int i = 0; i < 4; i++) {
		*p = 0;
		EXPECT_EQ(0, run_path(i % 2 ? AHEAD : PINNED, vec, 4));
		EXPECT_EQ(1, *p);
		EXPECT_EQ(1, *q);
		EXPECT_EQ(1, found);
		found = 5;
		/* Once more with nothing present. */
		madvise(self->p, page_size(), MADV_DONTNEED);
		madvise(self->q, page_size(), MADV_DONTNEED);
	}
}

/*
 * A private mapping that is writable shows the file until it is written.  It is
 * to show one thing in all of a vector.  Fails if its page is pinned as it is.
 */
TEST(stores_to_a_file_do_not_show_in_a_copy)
{
	for (enum path path = 0; path < NR_PATHS; path++) {
		int fd = memfd_create("cpu_opv", 0);
		uint64_t *p, *q, zero = 0, found = 5;
		struct cpu_op vec[3];

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ftruncate(fd, page_size()));
		p = (uint64_t *)map(page_size(), PROT_READ | PROT_WRITE,
				    MAP_SHARED, fd);
		q = (uint64_t *)map(page_size(), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE, fd);
		close(fd);
		/* Both are present. */
		*p = 0;
		ASSERT_EQ(0, READ_ONCE(*q));
		vec[0] = cpu_op_arithmetic(CPU_ADD_OP, p, 1, 8);
		vec[1] = cpu_op_compare(CPU_COMPARE_EQ_OP, q, &zero, 8);
		vec[2] = cpu_op_memcpy(CPU_MEMCPY_OP, &found, q, 8);
		EXPECT_EQ(0, run_path(path, vec, 3)) {
			TH_LOG("path %s", path_names[path]);
		}
		EXPECT_EQ(1, *p);
		EXPECT_EQ(0, found);
		EXPECT_EQ(0, READ_ONCE(*q));
		munmap(p, page_size());
		munmap(q, page_size());
	}
}

/* A bit of an entry in /proc/self/pagemap: of a file, or shared memory. */
#define PM_FILE		0x2000000000000000ULL

/*
 * Behind a barrier a load has to be of the page that another thread's first
 * write to the mapping gives the address.  Fails if the page that it replaces
 * is pinned instead of being replaced before.
 */
TEST(load_behind_a_barrier_is_of_a_page_that_stays)
{
	int fd = memfd_create("cpu_opv", 0);
	uint64_t *p, sum = 0, zero = 0;
	struct cpu_op vec[] = {
		cpu_op_arithmetic(CPU_ADD_OP, &sum, 1, 8),
		cpu_op_mb(),
		/* Of the page, once there is one. */
		{ 0 },
	};

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, page_size()));
	p = (uint64_t *)map(page_size(), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE, fd);
	close(fd);
	ASSERT_EQ(0, READ_ONCE(*p));
	if (!(page_map(p) & PM_FILE))
		SKIP(return, "needs CONFIG_PROC_PAGE_MONITOR");
	vec[2] = cpu_op_compare(CPU_COMPARE_EQ_OP, p, &zero, 8);
	EXPECT_EQ(0, run_path(DIRECT, vec, 3));
	EXPECT_EQ(0, page_map(p) & PM_FILE);
	EXPECT_EQ(1, sum);
	munmap(p, page_size());
}

/* What a comparison must leave alone. */
FIXTURE(only_read)
{
	char *p;
	int fd;
};

FIXTURE_VARIANT(only_read)
{
	int prot;
	int flags;
};

FIXTURE_VARIANT_ADD(only_read, shared)
{
	.prot = PROT_READ | PROT_WRITE,
	.flags = MAP_SHARED,
};

FIXTURE_VARIANT_ADD(only_read, private)
{
	.prot = PROT_READ,
	.flags = MAP_PRIVATE,
};

FIXTURE_SETUP(only_read)
{
	if (geteuid())
		SKIP(return, "needs root");
}

FIXTURE_TEARDOWN(only_read)
{
}

static void map_new_file(struct __test_metadata *_metadata, int prot, int flags,
			 char **p, int *fd)
{
	*fd = memfd_create("cpu_opv", 0);
	ASSERT_LE(0, *fd);
	ASSERT_EQ(0, ftruncate(*fd, page_size()));
	*p = map(page_size(), prot, flags, *fd);
}

/* Fails if all pages are pinned for writing. */
TEST_F(only_read, file_is_neither_dirtied_nor_copied)
{
	for (enum path path = 0; path < NR_PATHS; path++) {
		uint64_t zero = 0, found;
		char *p;

		map_new_file(_metadata, variant->prot, variant->flags,
			     &self->p, &self->fd);
		p = self->p;

		struct cpu_op vec[] = {
			cpu_op_compare(CPU_COMPARE_EQ_OP, p, &zero, 8),
			cpu_op_compare(CPU_COMPARE_EQ_OP, p, p + 64, 64),
			cpu_op_memcpy(CPU_MEMCPY_OP, &found, p, 8),
		};

		/* First with the page not present, then with it present. */
		for (int i = 0; i < 2; i++) {
			found = 5;
			EXPECT_EQ(0, run_path(path, vec, 3));
			EXPECT_EQ(0, found);
			EXPECT_TRUE(page_map(p) & PM_PRESENT);
			EXPECT_TRUE(page_map(p) & PM_FILE);
			EXPECT_FALSE(page_flags(p) & KPF_DIRTY);
		}
		/* A store would have been noticed. */
		if (variant->flags == MAP_SHARED) {
			vec[0] = cpu_op_arithmetic(CPU_ADD_OP, p, 1, 8);
			EXPECT_EQ(0, run_path(path, vec, 1));
			munmap(p, page_size());
			self->p = map(page_size(), variant->prot,
				      variant->flags, self->fd);
			EXPECT_EQ(1, self->p[0]);
			EXPECT_TRUE(page_flags(self->p) & KPF_DIRTY);
		}
		munmap(self->p, page_size());
		close(self->fd);
	}
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
