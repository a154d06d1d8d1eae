// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses with a tag in the top byte, which arm64 ignores when it accesses memory
 * and, with the memory tagging extension, compares with a tag of the memory.
 */

#include <sys/auxv.h>
#include <sys/prctl.h>

#include "memory_test.h"

#ifndef HWCAP2_MTE
#define HWCAP2_MTE	0x40000UL
#endif
#ifndef PROT_MTE
#define PROT_MTE	0x20
#endif

/* What a tag of the memory is of. */
#define GRANULE		16

static void *with_tag(void *p, unsigned long tag)
{
	return (void *)((unsigned long)p | tag << 56);
}

static int use_tags(unsigned long more)
{
	return prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE | more, 0, 0,
		     0);
}

/* Without the consent of the process such an address is not one. */
TEST(not_asked_for)
{
	char *p = map_pages(1);

	for (int path = 0; path < NR_PATHS; path++) {
		struct cpu_op op = cpu_op_arithmetic(CPU_ADD_OP,
						     with_tag(p, 0x2a), 1, 8);

		EXPECT_EQ(-EFAULT, run_path(path, &op, 1))
			TH_LOG("path %s", path_names[path]);
	}
	EXPECT_EQ(0, *(uint64_t *)p);
	unmap_pages(p, 1);
}

FIXTURE(tag) {
	size_t page;
	char *p;
};

FIXTURE_VARIANT(tag) {
	enum path path;
};

FIXTURE_VARIANT_ADD(tag, direct) { .path = DIRECT };
FIXTURE_VARIANT_ADD(tag, ahead) { .path = AHEAD };
FIXTURE_VARIANT_ADD(tag, pinned) { .path = PINNED };

FIXTURE_SETUP(tag)
{
	if (use_tags(0))
		SKIP(return, "needs CONFIG_ARM64_TAGGED_ADDR_ABI");
	self->page = page_size();
	self->p = map_pages(2);
}

FIXTURE_TEARDOWN(tag)
{
	unmap_pages(self->p, 2);
}

/* Each type, with tags on all its operands. */
TEST_F(tag, each_type)
{
	for (int type = 0; type < NR_CPU_OPS; type++) {
		uint64_t *a = with_tag(self->p, 0x11);
		uint64_t *b = with_tag(self->p + self->page, 0xee);
		struct cpu_op op = op_any(type, a, b, 8);
		int expected = type == CPU_COMPARE_NE_OP;

		EXPECT_EQ(expected, run_path(variant->path, &op, 1))
			TH_LOG("type %d", type);
	}
}

/* What is no integer is not loaded as one, wherever that is done. */
TEST_F(tag, areas)
{
	const uint32_t len = 24;
	char *a = with_tag(self->p + 8, 0x33);
	char *b = with_tag(self->p + self->page - 5, 0x44);
	struct cpu_op op = cpu_op_compare(CPU_COMPARE_EQ_OP, a, b, len);

	memset(self->p + 8, 7, len);
	memset(self->p + self->page - 5, 7, len);
	EXPECT_EQ(0, run_path(variant->path, &op, 1));
	self->p[self->page - 5 + len - 1] = 8;
	EXPECT_EQ(1, run_path(variant->path, &op, 1));
}

/* What was stored is there, also across the end of a page. */
TEST_F(tag, stored)
{
	char *p = with_tag(self->p + self->page - 3, 0x80);
	struct cpu_op op = cpu_op_arithmetic(CPU_ADD_OP, p,
					     0x0102030405060708, 8);
	uint64_t found;

	ASSERT_EQ(0, run_path(variant->path, &op, 1));
	memcpy(&found, self->p + self->page - 3, sizeof(found));
	EXPECT_EQ(0x0102030405060708, found);
}

/* One page by two addresses is still one: it was shared until the store. */
TEST_F(tag, two_tags_of_one_page)
{
	uint64_t *word = (uint64_t *)self->p, one = 1, seen = 7;
	/* The direct path has but one store, which is the last operation. */
	int nr = variant->path == DIRECT ? 2 : 3;
	struct cpu_op vec[] = {
		cpu_op_compare(CPU_COMPARE_EQ_OP, with_tag(word, 1),
			       with_tag(word + 1, 2), 8),
		cpu_op_memcpy(CPU_MEMCPY_OP, with_tag(word, 3), &one, 8),
		cpu_op_memcpy(CPU_MEMCPY_OP, &seen, with_tag(word, 1), 8),
	};

	/* The first access is a load, of the page of zeroes. */
	EXPECT_EQ(0, READ_ONCE(*word));
	ASSERT_EQ(0, run_path(variant->path, vec, nr));
	EXPECT_EQ(1, *word);
	EXPECT_EQ(nr == 2 ? 7 : 1, seen);
}

/* What is not there is an error at any address. */
TEST_F(tag, fault)
{
	char *end = with_tag(self->p + 2 * self->page - 4, 0x55);
	struct cpu_op op = cpu_op_arithmetic(CPU_ADD_OP, end, 1, 8);

	EXPECT_EQ(-EFAULT, run_path(variant->path, &op, 1));
}

static void set_tag(void *p)
{
	asm volatile(".arch armv8.5-a+memtag\n\tstg %0, [%0]"
		     : : "r"(p) : "memory");
}

FIXTURE(memory_tag) {
	size_t page;
	char *untagged;
	char *p;
};

FIXTURE_VARIANT(memory_tag) {
	enum path path;
};

FIXTURE_VARIANT_ADD(memory_tag, direct) { .path = DIRECT };
FIXTURE_VARIANT_ADD(memory_tag, ahead) { .path = AHEAD };
FIXTURE_VARIANT_ADD(memory_tag, pinned) { .path = PINNED };

FIXTURE_SETUP(memory_tag)
{
	if (!(getauxval(AT_HWCAP2) & HWCAP2_MTE))
		SKIP(return, "needs CONFIG_ARM64_MTE, and a CPU that has it");
	ASSERT_EQ(0, use_tags(PR_MTE_TCF_SYNC | 0xfffeUL << PR_MTE_TAG_SHIFT));
	self->page = page_size();
	self->untagged = map(self->page, PROT_READ | PROT_WRITE | PROT_MTE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1);
	self->p = with_tag(self->untagged, 5);
	for (size_t i = 0; i < self->page; i += GRANULE)
		set_tag(self->p + i);
}

FIXTURE_TEARDOWN(memory_tag)
{
	munmap(self->untagged, self->page);
}

/* Memory that has the tag is accessed as any other. */
TEST_F(memory_tag, right)
{
	uint64_t *word = (uint64_t *)self->p;
	struct cpu_op add = cpu_op_arithmetic(CPU_ADD_OP, word, 3, 8);

	for (int type = 0; type < NR_CPU_OPS; type++) {
		struct cpu_op op = op_any(type, word, word + 8, 8);
		int expected = type == CPU_COMPARE_NE_OP;

		EXPECT_EQ(expected, run_path(variant->path, &op, 1))
			TH_LOG("type %d", type);
	}
	EXPECT_EQ(0, run_path(variant->path, &add, 1));
	EXPECT_EQ(3, *word);
}

/*
 * With another tag it is either an error, or what is stored is whole: pages that are
 * pinned are accessed by addresses of the kernel, which have no tag.
 */
TEST_F(memory_tag, wrong)
{
	uint64_t *word = with_tag(self->untagged, 9);
	struct cpu_op op = cpu_op_arithmetic(CPU_ADD_OP, word, 3, 8);
	int ret = run_path(variant->path, &op, 1);

	if (ret)
		EXPECT_EQ(-EFAULT, ret);
	EXPECT_EQ(ret ? 0 : 3, *(uint64_t *)self->p);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
