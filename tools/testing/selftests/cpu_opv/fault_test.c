// SPDX-License-Identifier: GPL-2.0
/*
 * Operands and vectors at addresses that cannot be accessed.
 */

#include "cpu_opv_test.h"

#define NR_PAGES	3

enum place {
	/* This is the address, or what is added to that of accessible memory. */
	ABSOLUTE,
	RELATIVE,
	/* These are the middle one of three pages. */
	UNMAPPED,
	NO_ACCESS,
	END_OF_FILE,
};

FIXTURE(fault)
{
	uint64_t count;
	char *good;
	char *pages;
	uint64_t bad;
};

FIXTURE_VARIANT(fault)
{
	enum place place;
	uint64_t value;
};

FIXTURE_VARIANT_ADD(fault, null)
{
	.place = ABSOLUTE,
	.value = 0,
};

FIXTURE_VARIANT_ADD(fault, null_plus_8)
{
	.place = ABSOLUTE,
	.value = 8,
};

FIXTURE_VARIANT_ADD(fault, unmapped)
{
	.place = UNMAPPED,
};

FIXTURE_VARIANT_ADD(fault, no_access)
{
	.place = NO_ACCESS,
};

FIXTURE_VARIANT_ADD(fault, beyond_end_of_file)
{
	.place = END_OF_FILE,
};

FIXTURE_VARIANT_ADD(fault, last_page_of_user_space)
{
	.place = ABSOLUTE,
	.value = 0x00007ffffffff000,
};

FIXTURE_VARIANT_ADD(fault, not_canonical)
{
	.place = ABSOLUTE,
	.value = 0x8000000000000000,
};

FIXTURE_VARIANT_ADD(fault, kernel)
{
	.place = ABSOLUTE,
	.value = 0xffff888000000000,
};

FIXTURE_VARIANT_ADD(fault, kernel_text)
{
	.place = ABSOLUTE,
	.value = 0xffffffff81000000,
};

FIXTURE_VARIANT_ADD(fault, end_of_32_bit_space)
{
	.place = ABSOLUTE,
	.value = 0xfffffff8,
};

FIXTURE_VARIANT_ADD(fault, wraps_round_32_bit_space)
{
	.place = ABSOLUTE,
	.value = 0xfffffffc,
};

FIXTURE_VARIANT_ADD(fault, end_of_64_bit_space)
{
	.place = ABSOLUTE,
	.value = 0xfffffffffffffff8,
};

FIXTURE_VARIANT_ADD(fault, wraps_round_64_bit_space)
{
	.place = ABSOLUTE,
	.value = 0xfffffffffffffffc,
};

FIXTURE_VARIANT_ADD(fault, last_byte)
{
	.place = ABSOLUTE,
	.value = 0xffffffffffffffff,
};

/* On a 32-bit ABI these are in the padding of the field. */
FIXTURE_VARIANT_ADD(fault, top_bit_set)
{
	.place = RELATIVE,
	.value = 0x8000000000000000,
};

#ifndef __LP64__
FIXTURE_VARIANT_ADD(fault, lowest_bit_of_padding_set)
{
	.place = RELATIVE,
	.value = 0x0000000100000000,
};

FIXTURE_VARIANT_ADD(fault, padding_set)
{
	.place = RELATIVE,
	.value = 0xffffffff00000000,
};
#endif

/* Replace the last two pages of three by the only one of a file. */
static void map_file_of_one_page(char *p)
{
	size_t page = page_size();
	int fd = memfd_create("cpu_opv", 0);

	if (fd < 0 || ftruncate(fd, page) ||
	    mmap(p, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 fd, 0) == MAP_FAILED) {
		perror("mmap of a file");
		abort();
	}
	close(fd);
}

FIXTURE_SETUP(fault)
{
	size_t page = page_size();

	self->count = 0;
	self->good = map_pages(2);
	self->pages = map_pages(NR_PAGES);
	fill_random(self->good, 2 * page, 1);

	self->bad = (unsigned long)(self->pages + page);
	switch (variant->place) {
	case ABSOLUTE:
		self->bad = variant->value;
		break;
	case RELATIVE:
		self->bad = (unsigned long)self->good + variant->value;
		break;
	case UNMAPPED:
		ASSERT_EQ(0, munmap(self->pages + page, page));
		break;
	case NO_ACCESS:
		ASSERT_EQ(0, mprotect(self->pages + page, page, PROT_NONE));
		break;
	case END_OF_FILE:
		map_file_of_one_page(self->pages);
		break;
	}
}

FIXTURE_TEARDOWN(fault)
{
	unmap_pages(self->good, 2);
	unmap_pages(self->pages, NR_PAGES);
}

static struct cpu_op count_op(uint64_t *count)
{
	return cpu_op_arithmetic(CPU_ADD_OP, count, 1, sizeof(*count));
}

/* Expect that a vector around an operation fails, and that nothing is stored. */
static void expect_fault(struct __test_metadata *_metadata, struct cpu_op op,
			 int expected)
{
	uint64_t count = 0;
	struct cpu_op vec[] = { count_op(&count), op, count_op(&count) };

	ASSERT_EQ(expected, run(vec, 3)) {
		TH_LOG("op %d, len %u", op.op, op.len);
	}
	ASSERT_EQ(expected, run(&op, 1)) {
		TH_LOG("op %d, len %u, alone", op.op, op.len);
	}
	ASSERT_EQ(0, count);
}

/* Try an operation with one bad operand, with and without the flags. */
static void check_operand(struct __test_metadata *_metadata, struct cpu_op op,
			  int operand, uint64_t bad)
{
	static const uint8_t flags[] = { 1, 2, 0x80, 0xff };

	op_set_operand(&op, operand, bad);
	expect_fault(_metadata, op, -EFAULT);
	if (op_nr_operands(op.op) == 2) {
		op_set_expect_fault(&op, !operand, 1);
		expect_fault(_metadata, op, -EFAULT);
		op_set_expect_fault(&op, !operand, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		op_set_expect_fault(&op, operand, flags[i]);
		expect_fault(_metadata, op, -EAGAIN);
	}
	op_set_expect_fault(&op, operand, 0);
}

TEST_F(fault, each_operand)
{
	size_t page = page_size();
	char *copy = map_pages(2);

	memcpy(copy, self->good, 2 * page);
	for (int type = 0; type < NR_CPU_OPS; type++) {
		for (int i = 0; i < op_nr_operands(type); i++) {
			struct cpu_op op = op_any(type, self->good,
						  self->good + page, 8);

			check_operand(_metadata, op, i, self->bad);
			if (op_nr_operands(type) == 2) {
				op.len = CPU_OP_DATA_LEN_MAX;
				check_operand(_metadata, op, i, self->bad);
			}
		}
	}
	EXPECT_EQ(0, memcmp(copy, self->good, 2 * page));
	unmap_pages(copy, 2);
}

TEST_F(fault, both_operands)
{
	for (int type = 0; type < NR_CPU_OPS; type++) {
		struct cpu_op op = op_any(type, NULL, NULL, 8);

		if (op_nr_operands(type) != 2)
			continue;
		op_set_operand(&op, 0, self->bad);
		op_set_operand(&op, 1, self->bad);
		expect_fault(_metadata, op, -EFAULT);
		op_set_expect_fault(&op, 0, 1);
		op_set_expect_fault(&op, 1, 1);
		expect_fault(_metadata, op, -EAGAIN);
	}
}

TEST_F(fault, at_each_index)
{
	for (int type = 0; type < NR_CPU_OPS; type++) {
		for (int i = 0; i < op_nr_operands(type); i++) {
			struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
			struct cpu_op op = op_any(type, self->good,
						  self->good, 8);

			op_set_operand(&op, i, self->bad);
			for (int at = 0; at < CPU_OP_VEC_LEN_MAX; at++) {
				for (int k = 0; k < CPU_OP_VEC_LEN_MAX; k++)
					vec[k] = count_op(&self->count);
				vec[at] = op;
				ASSERT_EQ(-EFAULT,
					  run(vec, CPU_OP_VEC_LEN_MAX)) {
					TH_LOG("op %d at %d", type, at);
				}
				op_set_expect_fault(&vec[at], i, 1);
				ASSERT_EQ(-EAGAIN,
					  run(vec, CPU_OP_VEC_LEN_MAX)) {
					TH_LOG("op %d at %d", type, at);
				}
				ASSERT_EQ(0, self->count);
			}
		}
	}
}

/* What stops a vector does not make the operands behind it accessible. */
TEST_F(fault, operands_behind_a_comparison_that_stops)
{
	for (int type = 0; type < NR_CPU_OPS; type++) {
		for (int i = 0; i < op_nr_operands(type); i++) {
			struct cpu_op vec[] = {
				op_any(CPU_COMPARE_NE_OP, self->good,
				       self->good, 8),
				op_any(type, self->good, self->good, 8),
			};

			op_set_operand(&vec[1], i, self->bad);
			EXPECT_EQ(-EFAULT, run(vec, 2)) {
				TH_LOG("op %d", type);
			}
			op_set_expect_fault(&vec[1], i, 1);
			EXPECT_EQ(-EAGAIN, run(vec, 2)) {
				TH_LOG("op %d", type);
			}
		}
	}
}

/* Nothing is accessed, so any address will do. */
TEST_F(fault, operands_of_no_length)
{
	struct cpu_op op;

	for (int type = 0; type < NR_CPU_OPS; type++) {
		if (op_nr_operands(type) != 2)
			continue;
		for (int mask = 1; mask < 4; mask++) {
			struct cpu_op vec[] = {
				count_op(&self->count),
				op_any(type, self->good, self->good, 0),
				count_op(&self->count),
			};
			bool stops = type == CPU_COMPARE_NE_OP;

			if (mask & 1)
				op_set_operand(&vec[1], 0, self->bad);
			if (mask & 2)
				op_set_operand(&vec[1], 1, self->bad);
			EXPECT_EQ(stops ? 2 : 0, run(vec, 3)) {
				TH_LOG("op %d", type);
			}
			EXPECT_EQ(stops ? 1 : 2, self->count);
			self->count = 0;
			op = vec[1];
			EXPECT_EQ(stops ? 1 : 0, run(&op, 1));
		}
	}
}

/* What is wrong with the vector is found before its operands are looked at. */
TEST_F(fault, invalid_operation_comes_first)
{
	struct cpu_op vec[] = {
		count_op(&self->count),
		count_op(&self->count),
		count_op(&self->count),
	};

	op_set_operand(&vec[0], 0, self->bad);
	EXPECT_EQ(-EFAULT, run(vec, 3));
	vec[2].op = NR_CPU_OPS;
	EXPECT_EQ(-EINVAL, run(vec, 3));
	vec[2] = count_op(&self->count);
	vec[1].len = 3;
	EXPECT_EQ(-EINVAL, run(vec, 3));
	EXPECT_EQ(0, self->count);
}

/* Of a vector that cannot be read nothing is copied here. */
static int run_unread(struct cpu_op *vec, int cnt)
{
	return run_as_it_is(vec, cnt, cpu_op_get_current_cpu());
}

TEST_F(fault, vector)
{
	struct cpu_op *vec = (struct cpu_op *)(unsigned long)self->bad;

	/* A program cannot even name a vector beyond its own pointers. */
	if (variant->place == RELATIVE && sizeof(vec) < sizeof(self->bad)) {
		EXPECT_NE((unsigned long)vec, self->bad);
		return;
	}
	EXPECT_EQ(-EFAULT, run_unread(vec, 1));
	EXPECT_EQ(-EFAULT, run_unread(vec, CPU_OP_VEC_LEN_MAX));
}

FIXTURE(edge)
{
	char *good;
	char *pages;
	size_t page;
};

/* The middle one of three pages is not like the others. */
FIXTURE_VARIANT(edge)
{
	bool mapped;
	int prot;
};

FIXTURE_VARIANT_ADD(edge, unmapped)
{
	.mapped = false,
};

FIXTURE_VARIANT_ADD(edge, no_access)
{
	.mapped = true,
	.prot = PROT_NONE,
};

FIXTURE_VARIANT_ADD(edge, read_only)
{
	.mapped = true,
	.prot = PROT_READ,
};

FIXTURE_SETUP(edge)
{
	self->page = page_size();
	self->good = map_pages(2);
	self->pages = map_pages(NR_PAGES);
	fill_random(self->good, 2 * self->page, 1);
	fill_random(self->pages, NR_PAGES * self->page, 2);
	if (variant->mapped) {
		ASSERT_EQ(0, mprotect(self->pages + self->page, self->page,
				      variant->prot));
	} else {
		ASSERT_EQ(0, munmap(self->pages + self->page, self->page));
	}
}

FIXTURE_TEARDOWN(edge)
{
	unmap_pages(self->good, 2);
	unmap_pages(self->pages, NR_PAGES);
}

/* Whether the page is not good enough for an operand. */
static bool refused(int prot, int type, int operand)
{
	return prot == PROT_NONE || (op_stores(type) && operand == 0);
}

/* The first or the last bytes of the page are the last or first of an operand. */
TEST_F_TIMEOUT(edge, operands_that_touch_the_page, LONG_TIMEOUT)
{
	const unsigned long start = (unsigned long)self->pages + self->page;
	const unsigned long end = start + self->page;
	char *copy = map_pages(NR_PAGES);

	memcpy(copy, self->pages, self->page);
	memcpy(copy + 2 * self->page, (char *)end, self->page);
	for (int type = 0; type < NR_CPU_OPS; type++) {
		struct cpu_op op = op_any(type, self->good,
					  self->good + self->page, 8);

		for (int i = 0; i < op_nr_operands(type); i++) {
			if (!refused(variant->prot, type, i))
				continue;
			for (int bytes = 1; bytes <= 8; bytes++) {
				struct cpu_op bad = op;

				check_operand(_metadata, bad, i,
					      start - 8 + bytes);
				check_operand(_metadata, bad, i, end - bytes);
			}
		}
	}
	EXPECT_EQ(0, memcmp(copy, self->pages, self->page));
	EXPECT_EQ(0, memcmp(copy + 2 * self->page, (char *)end, self->page));
	unmap_pages(copy, NR_PAGES);
}

TEST_F(edge, operands_beside_the_page)
{
	const size_t at[] = { self->page - 8, 2 * self->page };

	for (int type = 0; type < NR_CPU_OPS; type++) {
		for (size_t k = 0; k < ARRAY_SIZE(at); k++) {
			char *p = self->pages + at[k];
			struct cpu_op op = op_any(type, p, self->good, 8);

			EXPECT_EQ(type == CPU_COMPARE_EQ_OP, run(&op, 1)) {
				TH_LOG("op %d", type);
			}
			if (op_nr_operands(type) != 2)
				continue;
			fill_random(p, 8, 100 + type);
			op = op_any(type, self->good, p, 8);
			EXPECT_EQ(type == CPU_COMPARE_EQ_OP, run(&op, 1)) {
				TH_LOG("op %d", type);
			}
		}
	}
}

TEST_F(edge, long_copies_into_the_page)
{
	char *dst = self->pages + self->page - CPU_OP_DATA_LEN_MAX / 2;
	char *copy = map_pages(NR_PAGES);

	memcpy(copy, self->pages, self->page);
	for (size_t t = 0; t < ARRAY_SIZE(memcpy_types); t++) {
		struct cpu_op op = op_any(memcpy_types[t], self->good,
					  self->good, CPU_OP_DATA_LEN_MAX);

		check_operand(_metadata, op, 0, (unsigned long)dst);
		check_operand(_metadata, op, 0, (unsigned long)dst +
			      self->page);
	}
	EXPECT_EQ(0, memcmp(copy, self->pages, self->page));
	unmap_pages(copy, NR_PAGES);
}

/*
 * A difference in the bytes that can be accessed decides a comparison, but does
 * not make the others accessible.
 */
TEST_F(edge, long_comparisons_into_the_page)
{
	static const uint32_t lens[] = { 9, 16, 17, 64, 1000,
					 CPU_OP_DATA_LEN_MAX };
	const unsigned long start = (unsigned long)self->pages + self->page;

	for (size_t t = 0; t < ARRAY_SIZE(compare_types); t++) {
		int type = compare_types[t];

		for (size_t l = 0; l < ARRAY_SIZE(lens); l++) {
			const unsigned long at[] = {
				start - lens[l] + 1,
				start - lens[l] / 2,
				start + self->page - 1,
			};

			for (size_t k = 0; k < ARRAY_SIZE(at); k++) {
				struct cpu_op op = op_any(type, self->good,
							  (void *)at[k],
							  lens[l]);

				if (!refused(variant->prot, type, 1)) {
					EXPECT_EQ(type == CPU_COMPARE_EQ_OP,
						  run(&op, 1));
					continue;
				}
				check_operand(_metadata, op, 1, at[k]);
				op = op_any(type, (void *)at[k], self->good,
					    lens[l]);
				check_operand(_metadata, op, 0, at[k]);
			}
		}
	}
}

TEST_F(edge, vector_ends_in_the_page)
{
	const int expected = variant->prot == PROT_READ ? 0 : -EFAULT;
	char *start = self->pages + self->page;
	uint64_t count = 0, before;
	struct cpu_op op = count_op(&count);
	struct cpu_op vec[] = { op, op };

	for (size_t inside = 0; inside <= sizeof(op); inside += 8) {
		char *p = start + inside - sizeof(vec);

		if (variant->prot == PROT_READ)
			mprotect(start, self->page, PROT_READ | PROT_WRITE);
		memcpy(p, vec, variant->prot == PROT_READ ?
				sizeof(vec) : sizeof(vec) - inside);
		mprotect(start, self->page, variant->prot);
		before = count;
		EXPECT_EQ(0, run_unread((struct cpu_op *)p, 1));
		EXPECT_EQ(before + 1, count);
		EXPECT_EQ(inside ? expected : 0,
			  run_unread((struct cpu_op *)p, 2)) {
			TH_LOG("%zu bytes in the page", inside);
		}
		EXPECT_EQ(before + (inside && expected ? 1 : 3), count);
	}
}

/*
 * On x86 the kernel has its interrupt descriptors at this address, and these
 * bytes in the first one.  A comparison must not tell that the guess is right.
 */
TEST(kernel_memory_is_not_compared)
{
	const uint64_t addr = 0xfffffe0000000002;
	unsigned char guess[] = { 0x10, 0, 0, 0x8e };

	for (uint32_t len = 1; len <= sizeof(guess); len++) {
		for (size_t t = 0; t < ARRAY_SIZE(compare_types); t++) {
			for (int i = 0; i < 2; i++) {
				struct cpu_op op = op_any(compare_types[t],
							  guess, guess, len);

				op_set_operand(&op, i, addr);
				expect_fault(_metadata, op, -EFAULT);
			}
		}
	}
}

/* Protection counts, not what the page would allow if it were mapped anew. */
TEST(read_only_memory_can_be_read)
{
	const size_t page = page_size();
	char *good = map_pages(1), *file = map_pages(2), *shared = file;
	char *anon = map_pages(1);

	map_file_of_one_page(shared);
	fill_random(good, page, 1);
	memcpy(shared, good, page);
	memcpy(anon, good, page);
	ASSERT_EQ(0, mprotect(shared, page, PROT_READ));
	ASSERT_EQ(0, mprotect(anon, page, PROT_READ));

	for (int i = 0; i < 2; i++) {
		char *p = i ? shared : anon;
		char found[8] = { 0 };
		struct cpu_op vec[] = {
			cpu_op_compare(CPU_COMPARE_EQ_OP, p, good, 8),
			cpu_op_compare(CPU_COMPARE_NE_OP, p, good + 8, 8),
			cpu_op_memcpy(CPU_MEMCPY_OP, found, p, 8),
		};
		struct cpu_op store = cpu_op_memcpy(CPU_MEMCPY_OP, p, good + 8,
						    8);

		EXPECT_EQ(0, run(vec, 3));
		EXPECT_EQ(0, memcmp(good, found, 8));
		EXPECT_EQ(-EFAULT, run(&store, 1));
		EXPECT_EQ(0, memcmp(good, p, page));
	}
	unmap_pages(good, 1);
	unmap_pages(file, 2);
	unmap_pages(anon, 1);
}

/*
 * A page that can be read, and that another operation stores to: only the
 * operand that is stored to is not accessible, and its expect_fault counts.
 */
TEST(operand_in_a_page_that_another_one_stores_to)
{
	const size_t page = page_size();
	char *good = map_pages(1), *p = map_pages(1);

	memcpy(good, p, page);
	ASSERT_EQ(0, mprotect(p, page, PROT_READ));

	for (int i = 0; i < 2; i++) {
		for (int expect = 0; expect < 4; expect++) {
			struct cpu_op load = cpu_op_compare(CPU_COMPARE_EQ_OP,
							    p, good, 8);
			struct cpu_op store = cpu_op_arithmetic(CPU_ADD_OP,
								p + 8, 1, 8);
			struct cpu_op vec[] = {
				i ? store : load,
				i ? load : store,
				cpu_op_mb(),
			};

			op_set_expect_fault(&vec[i], 0, expect & 1);
			op_set_expect_fault(&vec[!i], 0, expect >> 1);
			EXPECT_EQ(expect >> 1 ? -EAGAIN : -EFAULT, run(vec, 3));
		}
	}
	EXPECT_EQ(0, memcmp(good, p, page));
	unmap_pages(good, 1);
	unmap_pages(p, 1);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
