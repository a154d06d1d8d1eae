// SPDX-License-Identifier: GPL-2.0
/*
 * The ways in which the kernel gets at the memory of a vector: which one a
 * vector takes, and that the results are the same on each of them.
 *
 * The accessors that do not fault are made to fail, as if the memory were never
 * present, so that vectors have to take another way than they would.
 */

#include "memory_test.h"

#define NR_CALLS	500
#define INJECT		"/sys/kernel/debug/fail_function/"

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

FIXTURE(failing)
{
	struct knob knobs[5];
};

FIXTURE_VARIANT(failing)
{
	/* The accessors that fail, and what is pinned for an addition then. */
	const char *functions[5];
	int pinned;
};

/* Whatever is stored to is pinned. */
FIXTURE_VARIANT_ADD(failing, stores)
{
	.functions = { "store_user_nofault", "memcmp_user_nofault" },
	.pinned = 1,
};

/* All is pinned. */
FIXTURE_VARIANT_ADD(failing, loads)
{
	.functions = { "store_user_nofault", "memcmp_user_nofault",
		       "load_user_nofault", "copy_from_user_nofault" },
	.pinned = 1,
};

FIXTURE_SETUP(failing)
{
	const struct knob knobs[] = {
		{ .path = INJECT "probability", .value = "100" },
		{ .path = INJECT "interval", .value = "1" },
		{ .path = INJECT "times", .value = "-1" },
		{ .path = INJECT "verbose", .value = "0" },
		/* A breakpoint does not count as running in a task. */
		{ .path = INJECT "task-filter", .value = "N" },
	};

	memcpy(self->knobs, knobs, sizeof(knobs));
	if (set_knobs(self->knobs, ARRAY_SIZE(knobs)))
		SKIP(return, "needs CONFIG_FAIL_FUNCTION");
	for (int i = 0; variant->functions[i]; i++) {
		char path[100];

		ASSERT_EQ(0, set_knob(INJECT "inject", variant->functions[i]));
		snprintf(path, sizeof(path), INJECT "%s/retval",
			 variant->functions[i]);
		ASSERT_EQ(0, set_knob(path, "0xfffffffffffffff2"));
	}
}

FIXTURE_TEARDOWN(failing)
{
	/* No name at all stands for all of them. */
	set_knob(INJECT "inject", "\n");
	restore_knobs(self->knobs, ARRAY_SIZE(self->knobs));
}

/* Fails if a vector gives up where another way would do. */
TEST_F(failing, vectors_take_the_way_with_pins)
{
	char *p = map_pages(1);
	struct cpu_op add = cpu_op_arithmetic(CPU_ADD_OP, p, 1, 8);

	memset(p, 0, page_size());
	EXPECT_EQ(variant->pinned, pinned_by_call(DIRECT, &add));
	EXPECT_EQ(NR_CALLS, *(uint64_t *)p);
	unmap_pages(p, 1);
}

/* Run another program of these tests.  Returns its status. */
static int run_program(const char *name)
{
	const char *suffix = sizeof(long) == 8 ? "" : "_32";
	char path[100];
	int status;
	pid_t pid;

	snprintf(path, sizeof(path), "./%s%s", name, suffix);
	pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		setenv("CPU_OPV_ROUNDS", "500", 1);
		execl(path, path, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/* Fails if the ways differ in anything that those tests look at. */
TEST_F_TIMEOUT(failing, results_are_the_same, 240)
{
	const char * const programs[] = {
		"ops_test", "vector_test", "fault_test", "random_test",
	};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		EXPECT_EQ(0, run_program(programs[i])) {
			TH_LOG("%s", programs[i]);
		}
	}
}

TEST_HARNESS_MAIN
