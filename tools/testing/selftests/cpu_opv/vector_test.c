// SPDX-License-Identifier: GPL-2.0
/*
 * How the operations of one vector work together.
 */

#include "cpu_opv_test.h"

#define NR_OPS	CPU_OP_VEC_LEN_MAX

FIXTURE(vector)
{
	/* As many integers as a page holds, all zero. */
	uint64_t *v;
	uint64_t zero;
	uint64_t one;
	struct cpu_op ops[NR_OPS];
};

FIXTURE_SETUP(vector)
{
	self->v = (uint64_t *)map_pages(1);
	self->zero = 0;
	self->one = 1;
}

FIXTURE_TEARDOWN(vector)
{
	unmap_pages((char *)self->v, 1);
}

static struct cpu_op add(uint64_t *p, int64_t count)
{
	return cpu_op_arithmetic(CPU_ADD_OP, p, count, sizeof(*p));
}

static struct cpu_op copy(void *dst, const void *src, uint32_t len)
{
	return cpu_op_memcpy(CPU_MEMCPY_OP, dst, src, len);
}

static struct cpu_op equal(const void *a, const void *b, uint32_t len)
{
	return cpu_op_compare(CPU_COMPARE_EQ_OP, a, b, len);
}

static struct cpu_op differ(const void *a, const void *b, uint32_t len)
{
	return cpu_op_compare(CPU_COMPARE_NE_OP, a, b, len);
}

/* The operations before the comparison take effect, those after it do not. */
TEST_F(vector, stops_at_each_index)
{
	struct cpu_op stop[] = {
		equal(&self->zero, &self->one, 8),
		differ(&self->zero, &self->zero, 8),
	};

	for (size_t s = 0; s < ARRAY_SIZE(stop); s++) {
		for (int at = 0; at < NR_OPS; at++) {
			memset(self->v, 0, NR_OPS * sizeof(*self->v));
			for (int i = 0; i < NR_OPS; i++)
				self->ops[i] = add(&self->v[i], i + 1);
			self->ops[at] = stop[s];
			EXPECT_EQ(1 + at, run(self->ops, NR_OPS));
			for (int i = 0; i < NR_OPS; i++)
				EXPECT_EQ(i < at ? i + 1 : 0, self->v[i]) {
					TH_LOG("stopped at %d", at);
				}
			/* As the last operation. */
			EXPECT_EQ(1 + at, run(self->ops, at + 1));
			for (int i = 0; i < NR_OPS; i++)
				EXPECT_EQ(i < at ? 2 * (i + 1) : 0, self->v[i]);
		}
	}
}

TEST_F(vector, goes_on_at_each_index)
{
	struct cpu_op go_on[] = {
		equal(&self->zero, &self->zero, 8),
		differ(&self->zero, &self->one, 8),
	};

	for (size_t s = 0; s < ARRAY_SIZE(go_on); s++) {
		for (int at = 0; at < NR_OPS; at++) {
			memset(self->v, 0, NR_OPS * sizeof(*self->v));
			for (int i = 0; i < NR_OPS; i++)
				self->ops[i] = add(&self->v[i], i + 1);
			self->ops[at] = go_on[s];
			EXPECT_EQ(0, run(self->ops, NR_OPS));
			for (int i = 0; i < NR_OPS; i++)
				EXPECT_EQ(i == at ? 0 : i + 1, self->v[i]);
		}
	}
}

TEST_F(vector, first_of_two_stops)
{
	for (int first = 0; first < NR_OPS; first++) {
		for (int second = first + 1; second < NR_OPS; second++) {
			for (int i = 0; i < NR_OPS; i++)
				self->ops[i] = equal(self->v, &self->zero, 8);
			self->ops[first] = equal(self->v, &self->one, 8);
			self->ops[second] = differ(self->v, &self->zero, 8);
			EXPECT_EQ(1 + first, run(self->ops, NR_OPS));
		}
	}
}

TEST_F(vector, comparisons_only)
{
	for (int i = 0; i < NR_OPS; i++)
		self->ops[i] = i % 2 ? equal(self->v, &self->zero, 8) :
				       differ(self->v, &self->one, 8);
	ASSERT_EQ(0, mprotect(self->v, page_size(), PROT_READ));
	EXPECT_EQ(0, run(self->ops, NR_OPS));
	self->ops[NR_OPS - 1] = differ(self->v, self->v + 1, 8);
	EXPECT_EQ(NR_OPS, run(self->ops, NR_OPS));
}

/* A comparison of nothing finds it equal, whatever the addresses are. */
TEST_F(vector, empty_operands)
{
	for (int at = 0; at < NR_OPS; at++) {
		memset(self->v, 0, NR_OPS * sizeof(*self->v));
		for (int i = 0; i < NR_OPS; i++)
			self->ops[i] = add(&self->v[i], 1);
		self->ops[at] = equal(&self->zero, &self->one, 0);
		EXPECT_EQ(0, run(self->ops, NR_OPS));
		self->ops[at] = differ(&self->zero, &self->one, 0);
		EXPECT_EQ(1 + at, run(self->ops, NR_OPS));
		self->ops[at] = copy(&self->v[at], &self->one, 0);
		EXPECT_EQ(0, run(self->ops, NR_OPS));
		for (int i = 0; i < NR_OPS; i++)
			EXPECT_EQ(i < at ? 3 : i == at ? 0 : 2, self->v[i]);
	}
}

TEST_F(vector, copies_in_a_row)
{
	self->v[0] = 0x0123456789abcdef;
	for (int i = 0; i < NR_OPS; i++)
		self->ops[i] = copy(&self->v[i + 1], &self->v[i], 8);
	EXPECT_EQ(0, run(self->ops, NR_OPS));
	for (int i = 0; i <= NR_OPS; i++)
		EXPECT_EQ(0x0123456789abcdef, self->v[i]);
}

TEST_F(vector, all_operations_on_one_integer)
{
	struct cpu_op vec[] = {
		add(self->v, 0x1234),
		cpu_op_shift(CPU_LSHIFT_OP, self->v, 48, 8),
		cpu_op_bitwise(CPU_OR_OP, self->v, 0xff0, 8),
		cpu_op_shift(CPU_RSHIFT_OP, self->v, 4, 8),
		cpu_op_bitwise(CPU_AND_OP, self->v, 0x01200000000000f0, 8),
		cpu_op_bitwise(CPU_XOR_OP, self->v, 0x0100000000000001, 8),
		cpu_op_arithmetic(CPU_ADD_RELEASE_OP, self->v, -1, 8),
		copy(&self->v[1], self->v, 8),
		cpu_op_mb(),
		cpu_op_memcpy(CPU_MEMCPY_RELEASE_OP, &self->v[2], &self->v[1],
			      8),
		equal(self->v, &self->v[2], 8),
		differ(self->v, &self->zero, 8),
		add(self->v, 1),
	};

	EXPECT_EQ(0, run(vec, ARRAY_SIZE(vec)));
	EXPECT_EQ(0x00200000000000f0, self->v[1]);
	EXPECT_EQ(0x00200000000000f0, self->v[2]);
	EXPECT_EQ(0x00200000000000f1, self->v[0]);
}

TEST_F(vector, comparison_sees_each_store)
{
	for (int i = 0; i < NR_OPS; i += 2) {
		self->v[8 + i] = i / 2;
		self->ops[i] = equal(self->v, &self->v[8 + i], 8);
		self->ops[i + 1] = add(self->v, 1);
	}
	EXPECT_EQ(0, run(self->ops, NR_OPS));
	EXPECT_EQ(NR_OPS / 2, self->v[0]);
	EXPECT_EQ(1, run(self->ops, NR_OPS));
	EXPECT_EQ(NR_OPS / 2, self->v[0]);
}

TEST_F(vector, swap)
{
	struct cpu_op vec[] = {
		copy(&self->v[2], &self->v[0], 8),
		copy(&self->v[0], &self->v[1], 8),
		copy(&self->v[1], &self->v[2], 8),
	};

	self->v[0] = 11;
	self->v[1] = 22;
	EXPECT_EQ(0, run(vec, 3));
	EXPECT_EQ(22, self->v[0]);
	EXPECT_EQ(11, self->v[1]);
}

/* Operands of different sizes and alignments that share bytes. */
TEST_F(vector, operands_that_share_bytes)
{
	unsigned char *c = (unsigned char *)self->v;
	unsigned char *found = c + 64;
	struct cpu_op vec[] = {
		cpu_op_bitwise(CPU_OR_OP, c, ~0ULL, 8),
		cpu_op_bitwise(CPU_AND_OP, c + 3, 0, 2),
		copy(found, c, 16),
		cpu_op_bitwise(CPU_XOR_OP, c + 7, 0x0ff0, 2),
		copy(found + 16, c, 16),
		cpu_op_arithmetic(CPU_ADD_OP, c + 4, 1, 1),
		copy(c + 9, c + 1, 5),
		copy(found + 32, c, 16),
	};
	unsigned char expected[48] = {
		0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0,
	};
	uint16_t x;

	memcpy(expected + 16, expected, 16);
	memcpy(&x, expected + 16 + 7, 2);
	x ^= 0x0ff0;
	memcpy(expected + 16 + 7, &x, 2);
	memcpy(expected + 32, expected + 16, 16);
	expected[32 + 4]++;
	memcpy(expected + 32 + 9, expected + 32 + 1, 5);

	EXPECT_EQ(0, run(vec, ARRAY_SIZE(vec)));
	EXPECT_EQ(0, memcmp(expected, found, sizeof(expected)));
}

TEST_F(vector, store_across_pages_is_seen)
{
	const size_t page = page_size();
	char *mem = map_pages(3);

	for (int i = 1; i < 8; i++) {
		char *p = mem + page - i;
		char *q = mem + 2 * page - (8 - i);
		struct cpu_op vec[] = {
			copy(p, &self->v[0], 8),
			equal(p, &self->v[0], 8),
			equal(mem + page, (char *)&self->v[0] + i, 8 - i),
			copy(q, p, 8),
			equal(q, &self->v[0], 8),
			cpu_op_arithmetic(CPU_ADD_OP, q, 1, 8),
			differ(q, &self->v[0], 8),
			copy(&self->v[1], q, 8),
		};

		self->v[0] = 0x0102030405060708 * i;
		memset(mem, 0, 3 * page);
		EXPECT_EQ(0, run(vec, ARRAY_SIZE(vec))) {
			TH_LOG("%d bytes in the first page", i);
		}
		EXPECT_EQ(self->v[0] + 1, self->v[1]);
	}
	unmap_pages(mem, 3);
}

/* As many pages as a vector can touch, in an order that is not theirs. */
TEST_F(vector, four_pages_for_each_operation)
{
	const size_t page = page_size();
	const size_t nr = 2 * NR_OPS;
	char *dst = map_pages(nr), *src = map_pages(nr);

	fill_random(src, nr * page, 3);
	for (int i = 0; i < NR_OPS; i++) {
		size_t at = (2 * (i * 7 % NR_OPS) + 1) * page - 1 - i % 7;

		self->ops[i] = copy(dst + at, src + at, 8);
	}
	EXPECT_EQ(0, run(self->ops, NR_OPS));
	for (int i = 0; i < NR_OPS; i++) {
		size_t at = (2 * (i * 7 % NR_OPS) + 1) * page - 1 - i % 7;

		EXPECT_EQ(0, memcmp(dst + at, src + at, 8));
		memset(dst + at, 0, 8);
	}
	for (size_t i = 0; i < nr * page; i++)
		ASSERT_EQ(0, dst[i]);
	unmap_pages(dst, nr);
	unmap_pages(src, nr);
}

/* Where the operands of the vector below are: each across the end of a page. */
#define NR_ACROSS	(2 * NR_OPS - 1)

static char *across(char *mem, int i)
{
	return mem + (2 * i + 1) * page_size() - 1 - i % 7;
}

/*
 * The vector with the most work between two comparisons that do not stop it: an
 * addition and comparisons, all of them across the end of a page of their own.
 */
TEST_F_TIMEOUT(vector, every_operand_across_pages, LONG_TIMEOUT)
{
	const uint64_t value = 0x0102030405060708;
	const size_t nr = 2 * NR_ACROSS;
	char *mem = map_scattered(nr);
	uint64_t sum = value;

	for (int i = 0; i < NR_ACROSS; i++)
		store_int(across(mem, i), value, 8);
	self->ops[0] = cpu_op_arithmetic(CPU_ADD_OP, across(mem, 0), 1, 8);
	for (int i = 1; i < NR_OPS; i++)
		self->ops[i] = equal(across(mem, 2 * i - 1), across(mem, 2 * i),
				     8);
	EXPECT_EQ(0, run(self->ops, NR_OPS));
	EXPECT_EQ(++sum, load_int(across(mem, 0), 8));

	/* Each byte of each operand counts. */
	for (int i = 1; i < NR_ACROSS; i++) {
		for (int byte = 0; byte < 8; byte++) {
			across(mem, i)[byte] ^= 0x80;
			EXPECT_EQ(1 + (i + 1) / 2, run(self->ops, NR_OPS)) {
				TH_LOG("operand %d, byte %d", i, byte);
			}
			across(mem, i)[byte] ^= 0x80;
			sum++;
		}
	}
	EXPECT_EQ(sum, load_int(across(mem, 0), 8));
	for (int i = 1; i < NR_ACROSS; i++)
		EXPECT_EQ(value, load_int(across(mem, i), 8));
	unmap_pages(mem, nr);
}

/* The same, with the last comparison stopping the vector. */
TEST_F(vector, stops_after_many_pages)
{
	const size_t page = page_size();
	char *mem = map_pages(NR_OPS);

	for (int i = 0; i < NR_OPS - 1; i++)
		self->ops[i] = cpu_op_arithmetic(CPU_ADD_OP, mem + i * page,
						 i + 1, 8);
	self->ops[NR_OPS - 1] = differ(mem + (NR_OPS - 1) * page, &self->zero,
				       8);
	EXPECT_EQ(NR_OPS, run(self->ops, NR_OPS));
	for (int i = 0; i < NR_OPS - 1; i++)
		EXPECT_EQ(i + 1, load_int(mem + i * page, 8));
	unmap_pages(mem, NR_OPS);
}

/* The longest vector there is: all limits at once. */
TEST_F(vector, longest)
{
	const size_t page = page_size();
	char *dst = map_pages(3), *src = map_pages(3);

	fill_random(src, 3 * page, 4);
	self->ops[0] = copy(dst + page - 5, src + page - 3,
			    CPU_OP_DATA_LEN_MAX);
	for (int i = 1; i < NR_OPS; i++)
		self->ops[i] = cpu_op_arithmetic(CPU_ADD_OP,
						 dst + page - 5 + 200 * i,
						 i, 8);
	EXPECT_EQ(0, run(self->ops, NR_OPS));
	for (int i = 1; i < NR_OPS; i++) {
		char *p = dst + page - 5 + 200 * i;

		store_int(p, load_int(p, 8) - i, 8);
	}
	EXPECT_EQ(0, memcmp(dst + page - 5, src + page - 3,
			    CPU_OP_DATA_LEN_MAX));
	EXPECT_EQ(0, dst[page - 6]);
	EXPECT_EQ(0, dst[page - 5 + CPU_OP_DATA_LEN_MAX]);
	unmap_pages(dst, 3);
	unmap_pages(src, 3);
}

/* Comparisons, then one store: what a program does most of the time. */
TEST_F(vector, compare_and_store)
{
	for (size_t l = 0; l < ARRAY_SIZE(int_lens); l++) {
		uint32_t len = int_lens[l];

		for (int offset = 0; offset < 8; offset++) {
			char *p = (char *)self->v + page_size() / 2 + offset;
			struct cpu_op vec[] = {
				equal(p, &self->zero, len),
				differ(p, &self->v[2], len),
				copy(p, &self->v[2], len),
			};

			memset(p - offset, 0, 16);
			self->v[2] = 0x1122334455667788;
			EXPECT_EQ(0, run(vec, 3));
			EXPECT_EQ(0, memcmp(p, &self->v[2], len));
			EXPECT_EQ(0, p[len]);
			EXPECT_EQ(1, run(vec, 3));
			EXPECT_EQ(1, run(vec + 1, 2));
			EXPECT_EQ(0, memcmp(p, &self->v[2], len));
		}
	}
}

/* What was loaded before a fault is not taken for what is loaded after it. */
TEST_F(vector, fault_between_two_loads)
{
	const size_t page = page_size();
	uint64_t *known = (uint64_t *)map_pages(1);
	char *mem = map_pages(4);

	/* In a page that no operation stores to. */
	*known = 7;
	for (int i = 0; i < 4; i++) {
		uint64_t found = 5;
		struct cpu_op vec[] = {
			add(&self->v[0], 1),
			equal(known, known, 8),
			copy(&found, mem + i * page, 8),
			add(&self->v[1], 1),
		};

		EXPECT_EQ(0, run(vec, ARRAY_SIZE(vec)));
		EXPECT_EQ(0, found);
		EXPECT_EQ(i + 1, self->v[0]);
		EXPECT_EQ(i + 1, self->v[1]);
	}
	unmap_pages((char *)known, 1);
	unmap_pages(mem, 4);
}

/* A page that is mapped at two addresses is one page. */
TEST_F(vector, store_is_seen_through_another_mapping)
{
	const size_t page = page_size();
	int fd = memfd_create("cpu_opv", 0);
	uint64_t *a, *b;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(fd, page));
	a = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_TRUE(a != MAP_FAILED);
	b = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_TRUE(b != MAP_FAILED);

	/* Once with the page not mapped yet, then with it. */
	for (int i = 0; i < 2; i++) {
		struct cpu_op vec[] = {
			copy(a, &self->one, 8),
			equal(b, &self->one, 8),
			add(b, 5),
			differ(a, b + 1, 8),
			copy(&self->v[1], a, 8),
			add(a, 1),
			copy(&self->v[2], b, 8),
		};

		EXPECT_EQ(0, run(vec, ARRAY_SIZE(vec)));
		EXPECT_EQ(6, self->v[1]);
		EXPECT_EQ(7, self->v[2]);
		EXPECT_EQ(7, *a);
		EXPECT_EQ(7, *b);
		memset(&self->v[1], 0, 16);
	}
	munmap(a, page);
	munmap(b, page);
	close(fd);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
