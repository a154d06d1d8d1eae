// SPDX-License-Identifier: GPL-2.0
/*
 * Vectors against a thread that takes their memory away and brings it back.
 */

#include "memory_test.h"

/* Pages that are allocated when the memory of a vector has been freed. */
#define NR_REUSED	8
#define FILL		0x55
#define MIN_CHANGES	5

struct race {
	enum path path;
	void (*change)(struct race *race);
	char *area;
	char *elsewhere;
	char *reused;
	/* A file, and the memory that it is mapped at if it is to be shared. */
	int fd;
	bool stop;
	unsigned long changes;
	unsigned long overwritten;
	int error;
};

static void map_area(struct race *race, char *p)
{
	int flags = race->fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;

	if (mmap(p, page_size(), PROT_READ | PROT_WRITE, flags | MAP_FIXED,
		 race->fd, 0) != p)
		race->error = errno;
}

/* Have pages that were just freed used for something else. */
static void reuse(struct race *race)
{
	size_t page = page_size();

	/* A store of a vector would be to the first byte of a page. */
	for (size_t i = 0; i < NR_REUSED; i++)
		race->reused[i * page] = FILL;
	sched_yield();
	for (size_t i = 0; i < NR_REUSED; i++)
		if (READ_ONCE(race->reused[i * page]) != FILL)
			race->overwritten++;
	if (madvise(race->reused, NR_REUSED * page, MADV_DONTNEED))
		race->error = errno;
}

static void unmap(struct race *race)
{
	if (munmap(race->area, page_size()))
		race->error = errno;
	reuse(race);
	map_area(race, race->area);
}

static void move(struct race *race)
{
	size_t page = page_size();

	if (mremap(race->area, page, page, MREMAP_MAYMOVE | MREMAP_FIXED,
		   race->elsewhere) != race->elsewhere)
		race->error = errno;
	reuse(race);
	if (mremap(race->elsewhere, page, page, MREMAP_MAYMOVE | MREMAP_FIXED,
		   race->area) != race->area)
		race->error = errno;
}

static void discard(struct race *race)
{
	if (madvise(race->area, page_size(), MADV_DONTNEED))
		race->error = errno;
	reuse(race);
}

static void truncate_file(struct race *race)
{
	if (ftruncate(race->fd, 0))
		race->error = errno;
	reuse(race);
	if (ftruncate(race->fd, page_size()))
		race->error = errno;
}

static void punch_hole(struct race *race)
{
	if (fallocate(race->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      page_size()))
		race->error = errno;
	reuse(race);
}

static void protect(struct race *race)
{
	if (mprotect(race->area, page_size(), PROT_NONE))
		race->error = errno;
	sched_yield();
	if (mprotect(race->area, page_size(), PROT_READ | PROT_WRITE))
		race->error = errno;
}

/* What is mapped in its place may be read but not written. */
static void replace(struct race *race)
{
	size_t page = page_size();
	int fd = memfd_create("cpu_opv", 0);
	char *p;

	if (fd < 0 || ftruncate(fd, page) ||
	    mmap(race->area, page, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) !=
	    race->area) {
		race->error = errno;
		return;
	}
	sched_yield();
	p = map(page, PROT_READ, MAP_SHARED, fd);
	if (READ_ONCE(*p))
		race->overwritten++;
	munmap(p, page);
	close(fd);
	map_area(race, race->area);
}

static void *change(void *arg)
{
	struct race *race = arg;

	while (!READ_ONCE(race->stop) && !race->error) {
		race->change(race);
		__atomic_fetch_add(&race->changes, 1, __ATOMIC_SEQ_CST);
		/* Let some vectors find the memory there. */
		sched_yield();
	}
	return NULL;
}

FIXTURE(race)
{
	struct race race;
	unsigned long *stored;
	long pins;
};

FIXTURE_VARIANT(race)
{
	void (*change)(struct race *race);
	bool is_file;
	/* The memory is not accessible meanwhile. */
	bool faults;
};

FIXTURE_VARIANT_ADD(race, unmap)
{
	.change = unmap,
	.faults = true,
};

FIXTURE_VARIANT_ADD(race, move)
{
	.change = move,
	.faults = true,
};

FIXTURE_VARIANT_ADD(race, discard)
{
	.change = discard,
};

FIXTURE_VARIANT_ADD(race, truncate_file)
{
	.change = truncate_file,
	.is_file = true,
	.faults = true,
};

FIXTURE_VARIANT_ADD(race, punch_hole)
{
	.change = punch_hole,
	.is_file = true,
};

FIXTURE_VARIANT_ADD(race, protect)
{
	.change = protect,
	.faults = true,
};

FIXTURE_VARIANT_ADD(race, replace)
{
	.change = replace,
	.faults = true,
};

FIXTURE_SETUP(race)
{
	size_t page = page_size();

	if (geteuid())
		SKIP(return, "needs root");
	self->race = (struct race) {
		.change = variant->change,
		.area = map_pages(1),
		.elsewhere = map_pages(1),
		.reused = map_pages(NR_REUSED),
		.fd = -1,
	};
	self->stored = (unsigned long *)map_pages(1);
	self->pins = pins_held();
	if (variant->is_file) {
		self->race.fd = memfd_create("cpu_opv", 0);
		ASSERT_LE(0, self->race.fd);
		ASSERT_EQ(0, ftruncate(self->race.fd, page));
		map_area(&self->race, self->race.area);
		ASSERT_EQ(0, self->race.error);
	}
}

FIXTURE_TEARDOWN(race)
{
	if (self->race.fd >= 0)
		close(self->race.fd);
	unmap_pages(self->race.area, 1);
	unmap_pages(self->race.elsewhere, 1);
	unmap_pages(self->race.reused, NR_REUSED);
	unmap_pages((char *)self->stored, 1);
}

/* What vectors have returned, and how often. */
struct results {
	unsigned long done;
	unsigned long refused;
	unsigned long others;
	int other;
};

/*
 * Load from the memory and store to it.  The first store is to other memory: it
 * tells how often vectors were executed.
 */
static void run_once(struct race *race, unsigned long *stored,
		     struct results *results, bool expect_fault)
{
	char *p = race->area;
	struct cpu_op ops[] = {
		cpu_op_arithmetic(CPU_ADD_OP, stored, 1, sizeof(*stored)),
		cpu_op_compare(CPU_COMPARE_EQ_OP, p + 64, p + 128, 8),
		cpu_op_arithmetic(CPU_ADD_OP, p, 1, 8),
	};
	int first = race->path == DIRECT, ret;

	ops[1].u.compare_op.expect_fault_a = expect_fault;
	ops[1].u.compare_op.expect_fault_b = expect_fault;
	ops[2].u.arithmetic_op.expect_fault_p = expect_fault;
	ret = run_path(race->path, ops + first, 3 - first);
	if (ret == 0) {
		results->done++;
	} else if (ret == (expect_fault ? -EAGAIN : -EFAULT)) {
		results->refused++;
	} else {
		results->others++;
		results->other = ret;
	}
}

/* Fails if pages are not held, not all checked, or not released. */
TEST_F_TIMEOUT(race, change_while_vectors_run, LONG_TIMEOUT)
{
	struct race *race = &self->race;

	for (enum path path = 0; path < NR_PATHS; path++) {
		struct results results = { 0 };
		pthread_t thread;
		double end = now() + race_seconds() / NR_PATHS;

		*self->stored = 0;
		race->path = path;
		race->stop = false;
		race->changes = 0;
		ASSERT_EQ(0, pthread_create(&thread, NULL, change, race));
		do {
			run_once(race, self->stored, &results,
				 results.refused % 2);
		} while (!results.others && !READ_ONCE(race->error) &&
			 (now() < end || !results.done ||
			  READ_ONCE(race->changes) < MIN_CHANGES ||
			  (variant->faults && results.refused < 2)));
		WRITE_ONCE(race->stop, true);
		pthread_join(thread, NULL);

		EXPECT_EQ(0, race->error);
		EXPECT_EQ(0, results.others) {
			TH_LOG("a vector returned %d", results.other);
		}
		EXPECT_EQ(0, race->overwritten);
		EXPECT_EQ(path == DIRECT ? 0 : results.done, *self->stored);
		EXPECT_TRUE(variant->faults || results.refused == 0);
		TH_LOG("%s: %lu done, %lu refused, %lu changes",
		       path_names[path], results.done, results.refused,
		       race->changes);
	}
	EXPECT_TRUE(pins_are(self->pins));
}

#define MIN_ACCESSES	2000

/* An integer of which all bits are the same, if it is accessed at once. */
struct word {
	void *p;
	uint32_t len;
	/* The thread stores to it, and does not load it. */
	bool stores;
	bool stop;
	unsigned long accesses;
	unsigned long torn;
};

static uint64_t load_at_once(const void *p, uint32_t len)
{
	switch (len) {
	case 2:
		return READ_ONCE(*(const uint16_t *)p);
	case 4:
		return READ_ONCE(*(const uint32_t *)p);
	default:
		return READ_ONCE(*(const unsigned long *)p);
	}
}

static void store_at_once(void *p, uint64_t value, uint32_t len)
{
	switch (len) {
	case 2:
		WRITE_ONCE(*(uint16_t *)p, value);
		break;
	case 4:
		WRITE_ONCE(*(uint32_t *)p, value);
		break;
	default:
		WRITE_ONCE(*(unsigned long *)p, value);
		break;
	}
}

static bool is_torn(const void *p, uint32_t len)
{
	uint64_t value = load_at_once(p, len);

	return value && value != UINT64_MAX >> (64 - BITS_PER_BYTE * len);
}

static void *access_word(void *arg)
{
	struct word *word = arg;
	uint64_t value = 0;

	while (!READ_ONCE(word->stop)) {
		if (word->stores) {
			value = ~value;
			store_at_once(word->p, value, word->len);
		} else {
			word->torn += is_torn(word->p, word->len);
		}
		__atomic_fetch_add(&word->accesses, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void race_for_word(struct __test_metadata *_metadata, enum path path,
			  struct word *word)
{
	uint64_t found;
	struct cpu_op load = cpu_op_memcpy(CPU_MEMCPY_OP, &found, word->p,
					   word->len);
	struct cpu_op flip = cpu_op_bitwise(CPU_XOR_OP, word->p, UINT64_MAX,
					    word->len);
	unsigned long calls = 0;
	pthread_t thread;

	memset(word->p, 0, 8);
	ASSERT_EQ(0, pthread_create(&thread, NULL, access_word, word));
	do {
		/* What is not loaded looks torn. */
		memset(&found, 5, sizeof(found));
		ASSERT_EQ(0, run_path(path, word->stores ? &load : &flip, 1));
		word->torn += word->stores && is_torn(&found, word->len);
	} while (++calls < MIN_ACCESSES ||
		 __atomic_load_n(&word->accesses, __ATOMIC_RELAXED) <
		 MIN_ACCESSES);
	WRITE_ONCE(word->stop, true);
	pthread_join(thread, NULL);
	if (!word->stores)
		EXPECT_EQ(calls % 2, load_at_once(word->p, word->len) & 1);
	EXPECT_EQ(0, word->torn) {
		TH_LOG("path %s, %u bytes", path_names[path], word->len);
	}
}

/* Fails if an integer that is naturally aligned is accessed in parts. */
TEST(aligned_integers_are_accessed_at_once)
{
	char *p = map_pages(1);

	for (enum path path = 0; path < NR_PATHS; path++) {
		for (uint32_t len = 2; len <= sizeof(long); len *= 2) {
			for (int stores = 0; stores < 2; stores++) {
				struct word word = {
					.p = p + 64,
					.len = len,
					.stores = stores,
				};

				race_for_word(_metadata, path, &word);
			}
		}
	}
	unmap_pages(p, 1);
}

#define NR_ROUNDS	2000

/* One thread stores to x and loads y, the other stores to y and loads x. */
struct dekker {
	unsigned long *x;
	unsigned long *y;
	unsigned long found_x;
	int round;
	int done;
	int delay;
};

static void *store_y_and_load_x(void *arg)
{
	struct dekker *dekker = arg;

	for (int i = 1; i <= NR_ROUNDS; i++) {
		while (READ_ONCE(dekker->round) != i)
			;
		for (int delay = dekker->delay; delay > 0; delay--)
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
		WRITE_ONCE(*dekker->y, 1);
		dekker->found_x = READ_ONCE(*dekker->x);
		WRITE_ONCE(dekker->done, i);
	}
	return NULL;
}

/*
 * With a full barrier between its store and its load, one of the two sees the
 * store of the other.  Fails if what is loaded behind the barrier is loaded
 * before the vector stores anything.
 */
TEST(barrier_orders_what_is_behind_it)
{
	unsigned long one = 1, found_y;
	struct dekker dekker = {
		.x = (unsigned long *)map_pages(1),
		.y = (unsigned long *)map_pages(1),
	};
	struct cpu_op vec[] = {
		cpu_op_memcpy(CPU_MEMCPY_OP, dekker.x, &one, sizeof(one)),
		cpu_op_mb(),
		cpu_op_memcpy(CPU_MEMCPY_OP, &found_y, dekker.y,
			      sizeof(found_y)),
	};
	int neither[NR_PATHS] = { 0 };
	uint64_t random = 0;

	/* Without a store before the last operation there is no such order. */
	for (enum path path = AHEAD; path < NR_PATHS; path++) {
		pthread_t thread;

		WRITE_ONCE(dekker.round, 0);
		ASSERT_EQ(0, pthread_create(&thread, NULL, store_y_and_load_x,
					    &dekker));
		for (int i = 1; i <= NR_ROUNDS; i++) {
			WRITE_ONCE(*dekker.x, 0);
			WRITE_ONCE(*dekker.y, 0);
			dekker.delay = next_random(&random) % 20000;
			found_y = 5;
			WRITE_ONCE(dekker.round, i);
			ASSERT_EQ(0, run_path(path, vec, ARRAY_SIZE(vec)));
			ASSERT_EQ(1, READ_ONCE(*dekker.x));
			ASSERT_LE(found_y, 1);
			while (READ_ONCE(dekker.done) != i)
				;
			neither[path] += !found_y && !dekker.found_x;
		}
		pthread_join(thread, NULL);
		EXPECT_EQ(0, neither[path]) {
			TH_LOG("path %s", path_names[path]);
		}
	}
	unmap_pages((char *)dekker.x, 1);
	unmap_pages((char *)dekker.y, 1);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
