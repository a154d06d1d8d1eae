// SPDX-License-Identifier: GPL-2.0
/*
 * The helpers of cpu-op.h.
 */

#include <stddef.h>

#include "cpu_opv_test.h"

struct node {
	intptr_t value;
	struct node *next;
};

static int here(void)
{
	return cpu_op_get_current_cpu();
}

TEST(available)
{
	EXPECT_EQ(1, cpu_op_available());
}

TEST(errors_are_in_errno)
{
	uint64_t v = 1;

	errno = 0;
	EXPECT_EQ(-1, cpu_op_add(&v, 1, 3, here()));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, cpu_op_add(NULL, 1, 8, here()));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(1, v);
}

TEST(cmpxchg)
{
	uint64_t v = 1, expect = 1, old = 0, new = 3;

	EXPECT_EQ(0, cpu_op_cmpxchg(&v, &expect, &old, &new, 8, here()));
	EXPECT_EQ(1, old);
	EXPECT_EQ(3, v);
	EXPECT_GT(cpu_op_cmpxchg(&v, &expect, &old, &new, 8, here()), 0);
	EXPECT_EQ(3, old);
	EXPECT_EQ(3, v);
}

TEST(adds)
{
	uint64_t v = 1;
	intptr_t p = 5;

	EXPECT_EQ(0, cpu_op_add(&v, 41, sizeof(v), here()));
	EXPECT_EQ(42, v);
	EXPECT_EQ(0, cpu_op_add_release(&v, -2, sizeof(v), here()));
	EXPECT_EQ(40, v);
	EXPECT_EQ(0, cpu_op_addv(&p, -6, here()));
	EXPECT_EQ(-1, p);
}

TEST(cmpeqv_storev)
{
	intptr_t v = 1;

	EXPECT_EQ(1, cpu_op_cmpeqv_storev(&v, 2, 3, here()));
	EXPECT_EQ(1, v);
	EXPECT_EQ(0, cpu_op_cmpeqv_storev(&v, 1, 3, here()));
	EXPECT_EQ(3, v);
}

TEST(cmpeqv_storev_storev)
{
	int (*variants[])(intptr_t *v, intptr_t expect, intptr_t *v2,
			  intptr_t newv2, intptr_t newv, int cpu) = {
		cpu_op_cmpeqv_storev_storev,
		cpu_op_cmpeqv_storev_mb_storev,
		cpu_op_cmpeqv_storev_storev_release,
	};

	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		intptr_t v = 1, v2 = 2;

		EXPECT_EQ(1, variants[i](&v, 7, &v2, 8, 9, here()));
		EXPECT_EQ(1, v);
		EXPECT_EQ(2, v2);
		EXPECT_EQ(0, variants[i](&v, 1, &v2, 8, 9, here()));
		EXPECT_EQ(9, v);
		EXPECT_EQ(8, v2);
	}
}

TEST(cmpeqv_cmpeqv_storev)
{
	intptr_t v = 1, v2 = 2;

	EXPECT_EQ(1, cpu_op_cmpeqv_cmpeqv_storev(&v, 7, &v2, 2, 9, here()));
	EXPECT_EQ(2, cpu_op_cmpeqv_cmpeqv_storev(&v, 1, &v2, 7, 9, here()));
	EXPECT_EQ(1, v);
	EXPECT_EQ(0, cpu_op_cmpeqv_cmpeqv_storev(&v, 1, &v2, 2, 9, here()));
	EXPECT_EQ(9, v);
	EXPECT_EQ(2, v2);
}

TEST(cmpeqv_memcpy_storev)
{
	int (*variants[])(intptr_t *v, intptr_t expect, void *dst, void *src,
			  size_t len, intptr_t newv, int cpu) = {
		cpu_op_cmpeqv_memcpy_storev,
		cpu_op_cmpeqv_memcpy_mb_storev,
		cpu_op_cmpeqv_memcpy_storev_release,
	};

	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		char src[100], dst[100] = { 0 }, old[100] = { 0 };
		intptr_t v = 1;

		fill_random(src, sizeof(src), i);
		EXPECT_EQ(1, variants[i](&v, 7, dst, src, sizeof(src), 9,
					 here()));
		EXPECT_EQ(1, v);
		EXPECT_EQ(0, memcmp(old, dst, sizeof(dst)));
		EXPECT_EQ(0, variants[i](&v, 1, dst, src, sizeof(src), 9,
					 here()));
		EXPECT_EQ(9, v);
		EXPECT_EQ(0, memcmp(src, dst, sizeof(dst)));
	}
}

TEST(list_pop)
{
	struct node second = { 2, NULL }, first = { 1, &second };
	struct node *head = &first;
	intptr_t popped = 0;
	intptr_t *v = (intptr_t *)&head;
	const off_t next = offsetof(struct node, next);

	EXPECT_EQ(0, cpu_op_cmpnev_storeoffp_load(v, 0, next, &popped, here()));
	EXPECT_EQ((intptr_t)&first, popped);
	EXPECT_TRUE(head == &second);
	EXPECT_EQ(0, cpu_op_cmpnev_storeoffp_load(v, 0, next, &popped, here()));
	EXPECT_EQ((intptr_t)&second, popped);
	EXPECT_TRUE(!head);
	popped = 5;
	EXPECT_EQ(1, cpu_op_cmpnev_storeoffp_load(v, 0, next, &popped, here()));
	EXPECT_EQ(5, popped);
	EXPECT_TRUE(!head);
}

/* The head may have been freed, and its page unmapped, by another thread. */
TEST(list_pop_of_freed_head)
{
	char *page = map_pages(1);
	intptr_t v = (intptr_t)(page + page_size());
	intptr_t head = v, popped = 5;

	errno = 0;
	EXPECT_EQ(-1, cpu_op_cmpnev_storeoffp_load(&v, 0, 0, &popped, here()));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(5, popped);
	EXPECT_EQ(head, v);
	unmap_pages(page, 1);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
