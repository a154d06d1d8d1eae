// SPDX-License-Identifier: GPL-2.0
/*
 * Vectors when the kernel gets no memory: each allocation of a call is made to
 * fail in turn.
 */

#include <sys/mount.h>

#include "memory_test.h"

#define NR_PAGES	CPU_OP_VEC_LEN_MAX
/* Vectors of that many pages need no memory. */
#define NR_FEW		8
#define MAX_ALLOCATIONS	1000
#define DEBUGFS		"/sys/kernel/debug/"

static int set_fail_nth(int fd, unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	return pwrite(fd, text, len, 0) == len ? 0 : -errno;
}

/* Returns how many allocations are left until one fails, or 0. */
static unsigned int get_fail_nth(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) < 0) {
		perror("fail-nth");
		abort();
	}
	return strtoul(text, NULL, 10);
}

/*
 * Run operations on a path with an allocation of the call made to fail.  Tells
 * how many more it would have taken until one failed, 0 if one did.
 */
static int run_failing(int fd, unsigned int nth, enum path path,
		       const struct cpu_op *ops, int nr, unsigned int *left)
{
	int ret;

	if (set_fail_nth(fd, nth)) {
		perror("fail-nth");
		abort();
	}
	ret = run_path(path, ops, nr);
	*left = get_fail_nth(fd);
	set_fail_nth(fd, 0);
	return ret;
}

FIXTURE(nomem)
{
	struct knob knobs[6];
	char *pages;
	size_t page;
	/* Where the thread sets which of its next allocations fails. */
	int fail_nth;
};

FIXTURE_SETUP(nomem)
{
	const struct knob knobs[] = {
		{ .path = DEBUGFS "failslab/ignore-gfp-wait", .value = "N" },
		{ .path = DEBUGFS "failslab/verbose", .value = "0" },
		{ .path = DEBUGFS "fail_page_alloc/ignore-gfp-wait",
		  .value = "N" },
		{ .path = DEBUGFS "fail_page_alloc/ignore-gfp-highmem",
		  .value = "N" },
		{ .path = DEBUGFS "fail_page_alloc/min-order", .value = "0" },
		{ .path = DEBUGFS "fail_page_alloc/verbose", .value = "0" },
	};

	memcpy(self->knobs, knobs, sizeof(knobs));
	self->page = page_size();
	self->pages = map_pages(NR_PAGES);
	memset(self->pages, 0, NR_PAGES * self->page);
	self->fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (self->fail_nth < 0 || set_knobs(self->knobs, ARRAY_SIZE(knobs)))
		SKIP(return, "needs CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC");
	/* What the test itself needs is present after this. */
	for (enum path path = 0; path < NR_PATHS; path++) {
		struct cpu_op op = cpu_op_mb();
		unsigned int left;

		ASSERT_EQ(0, run_failing(self->fail_nth, 0, path, &op, 1,
					 &left));
	}
}

FIXTURE_TEARDOWN(nomem)
{
	restore_knobs(self->knobs, ARRAY_SIZE(self->knobs));
	close(self->fail_nth);
	unmap_pages(self->pages, NR_PAGES);
}

/* Fails if the room for so many pages is allocated. */
TEST_F(nomem, few_pages_need_none)
{
	char *p = self->pages;
	unsigned int left;

	/* All that are stored to. */
	for (int nr = 1; nr <= NR_FEW; nr++) {
		struct cpu_op ops[NR_FEW];

		for (int i = 0; i < nr; i++)
			ops[i] = cpu_op_arithmetic(CPU_ADD_OP,
						   p + i * self->page, 1, 8);
		EXPECT_EQ(0, run_failing(self->fail_nth, 1, DIRECT, ops, nr,
					 &left)) {
			TH_LOG("%d pages", nr);
		}
		EXPECT_EQ(1, left);
	}
	/* Each path takes three pages at most. */
	for (enum path path = 0; path < NR_PATHS; path++) {
		struct cpu_op ops[NR_FEW - 3];
		const int nr = ARRAY_SIZE(ops);

		memset(p, 0, NR_PAGES * self->page);
		for (int i = 0; i < nr; i++)
			ops[i] = cpu_op_compare(CPU_COMPARE_EQ_OP,
						p + i * self->page,
						p + i * self->page + 8, 8);
		EXPECT_EQ(0, run_failing(self->fail_nth, 1, path, ops, nr,
					 &left)) {
			TH_LOG("path %s", path_names[path]);
		}
		EXPECT_EQ(1, left);
	}
}

/* Fails if the allocation is not checked, or comes after a pin or a store. */
TEST_F(nomem, many_pages_need_one_allocation)
{
	/* What looks for leaks allocates for each allocation. */
	unsigned int extra = access("/sys/kernel/debug/kmemleak", F_OK) ? 0 : 1;
	struct cpu_op ops[NR_PAGES];
	unsigned int left;
	long acquired;

	for (int i = 0; i < NR_PAGES; i++)
		ops[i] = cpu_op_arithmetic(CPU_ADD_OP,
					   self->pages + i * self->page, 1, 8);
	/* Have the allocator itself get its memory before. */
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, run(ops, NR_PAGES));
	for (int nr = NR_FEW + 1; nr <= NR_PAGES; nr++) {
		memset(self->pages, 0, NR_PAGES * self->page);
		acquired = pins_acquired();
		EXPECT_EQ(-ENOMEM, run_failing(self->fail_nth, 1, DIRECT, ops,
					       nr, &left)) {
			TH_LOG("%d pages", nr);
		}
		EXPECT_EQ(0, left);
		EXPECT_EQ(acquired, pins_acquired());
		for (int i = 0; i < nr; i++)
			EXPECT_EQ(0, self->pages[i * self->page]);

		/* Other checks of the kernel may allocate, but not always. */
		left = 0;
		for (int tries = 10; tries && !left; tries--) {
			memset(self->pages, 0, NR_PAGES * self->page);
			EXPECT_EQ(0, run_failing(self->fail_nth, 2 + extra,
						 DIRECT, ops, nr, &left));
			for (int i = 0; i < nr; i++)
				EXPECT_EQ(1, self->pages[i * self->page]);
		}
		EXPECT_LE(1, left);
		EXPECT_GE(1 + extra, left);
	}
}

/* Memory whose faults take allocations. */
enum kind {
	/* No page was ever there. */
	UNTOUCHED,
	/* A page of a file in a private mapping. */
	PRIVATE_FILE,
	/* No page is in the file. */
	FILE_HOLE,
	NR_KINDS,
};

static const char * const kind_names[] = {
	"untouched", "private file", "hole in a file",
};

static char *map_kind(enum kind kind)
{
	char *p = map_pages(1);
	int fd;

	if (kind == UNTOUCHED)
		return p;
	fd = memfd_create("cpu_opv", 0);
	if (fd < 0 || ftruncate(fd, page_size()) ||
	    mmap(p, page_size(), PROT_READ | PROT_WRITE,
		 MAP_FIXED | (kind == FILE_HOLE ? MAP_SHARED : MAP_PRIVATE),
		 fd, 0) != p) {
		perror("mmap of a file");
		abort();
	}
	close(fd);
	/* This has the page in the file, but not in the mapping. */
	if (kind == PRIVATE_FILE) {
		READ_ONCE(*p);
		madvise(p, page_size(), MADV_DONTNEED);
	}
	return p;
}

/*
 * Fails if something is executed before all pages are there, or an error of the
 * allocation is taken for success.
 *
 * The operands are faulted in by an access as of user space first, which does
 * not tell a lack of memory from one of access, and then by a pin.  Only one
 * allocation fails, so mostly the second attempt succeeds.  Never is a lack of
 * memory taken for a bad address.
 */
TEST_F_TIMEOUT(nomem, each_allocation_of_a_fault, LONG_TIMEOUT)
{
	char *stored = self->pages;

	for (int i = 0; i < NR_KINDS * NR_PATHS; i++) {
		enum kind kind = i / NR_PATHS;
		enum path path = i % NR_PATHS;
		unsigned int nth, left = 0, nomem = 0;
		uint64_t zero = 0;

		for (nth = 1; nth < MAX_ALLOCATIONS && !left; nth++) {
			char *p = map_kind(kind);
			struct cpu_op ops[] = {
				cpu_op_arithmetic(CPU_ADD_OP, stored, 1, 8),
				cpu_op_compare(CPU_COMPARE_EQ_OP, p, &zero, 8),
				cpu_op_arithmetic(CPU_ADD_OP, p, 1, 8),
			};
			int first = path == DIRECT;
			int ret;

			memset(stored, 0, 8);
			ret = run_failing(self->fail_nth, nth, path,
					  ops + first, 3 - first, &left);
			ASSERT_TRUE(ret == 0 || (!left && ret == -ENOMEM)) {
				TH_LOG("%s, %s: %d at allocation %u",
				       kind_names[kind], path_names[path], ret,
				       nth);
			}
			nomem += ret == -ENOMEM;
			EXPECT_EQ(ret == 0 && path != DIRECT, *stored);
			EXPECT_EQ(ret == 0, *p);
			unmap_pages(p, 1);
		}
		EXPECT_GT(left, 0);
		EXPECT_GT(nth, 2);
		TH_LOG("%s, %s: %u allocations failed, %u times -ENOMEM",
		       kind_names[kind], path_names[path], nth - 2, nomem);
	}
}

/*
 * Fails if an error of a pin is not told.  The operand can be read without an
 * allocation, and only the pin replaces its page, which does tell.
 */
TEST_F(nomem, each_allocation_of_a_pin)
{
	unsigned int left = 0, failed = 0;

	for (int nth = 1; nth < MAX_ALLOCATIONS && !left; nth++) {
		char *p = map_kind(PRIVATE_FILE);
		struct cpu_op ops[] = {
			cpu_op_arithmetic(CPU_ADD_OP, self->pages, 1, 8),
			/* Behind a barrier the page is replaced. */
			cpu_op_mb(),
			cpu_op_compare(CPU_COMPARE_EQ_OP, p, self->pages + 8,
				       8),
		};
		int ret;

		READ_ONCE(*p);
		memset(self->pages, 0, 8);
		ret = run_failing(self->fail_nth, nth, PINNED, ops, 3, &left);
		ASSERT_TRUE(ret == 0 || (!left && ret == -ENOMEM)) {
			TH_LOG("%d at allocation %d", ret, nth);
		}
		failed += ret != 0;
		EXPECT_EQ(ret == 0, *self->pages);
		unmap_pages(p, 1);
	}
	EXPECT_GT(left, 0);
	EXPECT_GT(failed, 0);
}

int main(int argc, char **argv)
{
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	return cpu_opv_test_run(argc, argv);
}
