// SPDX-License-Identifier: GPL-2.0
/*
 * The ways in which the kernel gets at the memory of a vector: which one a
 * vector takes, by the pages that are pinned.
 */

#include "memory_test.h"

#define NR_CALLS	500

/*
 * How many pages a call pins.  Others may pin a page now and then, but not one
 * for each call.
 */
static long pinned_by_call(enum path path, const struct cpu_op *op)
{
	long before = pins_acquired();

	for (int i = 0; i < NR_CALLS; i++)
		if (run_path(path, op, 1))
			return -1;
	return (pins_acquired() - before) / NR_CALLS;
}

/* Fails if a page is pinned needlessly, or not pinned where that is needed. */
TEST(no_more_is_pinned_than_has_to_be)
{
	char *p = map_pages(2);
	struct cpu_op compare = cpu_op_compare(CPU_COMPARE_EQ_OP, p,
					       p + page_size(), 8);
	struct cpu_op add = cpu_op_arithmetic(CPU_ADD_OP, p, 1, 8);

	if (geteuid())
		SKIP(return, "needs root");
	memset(p, 0, 2 * page_size());
	/* In front of it are an addition, and a comparison in one page. */
	EXPECT_EQ(0, pinned_by_call(DIRECT, &compare));
	EXPECT_EQ(1, pinned_by_call(AHEAD, &compare));
	EXPECT_EQ(4, pinned_by_call(PINNED, &compare));

	EXPECT_EQ(0, pinned_by_call(DIRECT, &add));
	EXPECT_EQ(2, pinned_by_call(AHEAD, &add));
	EXPECT_EQ(3, pinned_by_call(PINNED, &add));

	EXPECT_EQ(3 * NR_CALLS, *(uint64_t *)p);
	unmap_pages(p, 2);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
