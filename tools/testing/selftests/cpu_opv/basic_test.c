// SPDX-License-Identifier: GPL-2.0
/*
 * The arguments of cpu_opv(): flags, limits and how they are refused.
 */

#include "cpu_opv_test.h"

FIXTURE(basic)
{
	/* Three pages between two that cannot be accessed. */
	char *mem;
	/* Counts how many operations of a vector have run. */
	uint64_t *count;
	/* Two operands of up to CPU_OP_DATA_LEN_MAX bytes each, equal. */
	char *a;
	char *b;
};

FIXTURE_SETUP(basic)
{
	self->mem = map_pages(3);
	self->count = (uint64_t *)self->mem;
	self->a = self->mem + page_size();
	self->b = self->mem + 2 * page_size();
	fill_random(self->a, CPU_OP_DATA_LEN_MAX, 1);
	memcpy(self->b, self->a, CPU_OP_DATA_LEN_MAX);
}

FIXTURE_TEARDOWN(basic)
{
	unmap_pages(self->mem, 3);
}

static struct cpu_op count_op(uint64_t *count)
{
	return cpu_op_arithmetic(CPU_ADD_OP, count, 1, sizeof(*count));
}

/*
 * Run an operation between two that count, and expect it to be refused or
 * executed together with them.
 */
static void expect_op(struct __test_metadata *_metadata, uint64_t *count,
		      struct cpu_op op, int expected)
{
	struct cpu_op vec[] = { count_op(count), op, count_op(count) };
	uint64_t before = *count;

	ASSERT_EQ(expected, run(vec, 3)) {
		TH_LOG("op %d, len %u", op.op, op.len);
	}
	ASSERT_EQ(before + (expected ? 0 : 2), *count) {
		TH_LOG("op %d, len %u", op.op, op.len);
	}
}

TEST(available)
{
	EXPECT_EQ(1, cpu_op_available());
}

TEST(nr_ops_flag)
{
	EXPECT_EQ(12, NR_CPU_OPS);
	EXPECT_EQ(NR_CPU_OPS, cpu_opv(NULL, 0, 0, CPU_OP_NR_FLAG));
}

TEST(vec_len_max_flag)
{
	EXPECT_EQ(16, CPU_OP_VEC_LEN_MAX);
	EXPECT_EQ(CPU_OP_VEC_LEN_MAX,
		  cpu_opv(NULL, 0, 0, CPU_OP_VEC_LEN_MAX_FLAG));
}

TEST_F(basic, queries_ignore_other_arguments)
{
	struct cpu_op op = count_op(self->count);
	struct cpu_op *vecs[] = { NULL, &op, (struct cpu_op *)-1L };
	int values[] = { INT_MIN, -1, 0, 1, CPU_OP_VEC_LEN_MAX + 1, INT_MAX };
	size_t v, i, k;

	for (v = 0; v < ARRAY_SIZE(vecs); v++) {
		for (i = 0; i < ARRAY_SIZE(values); i++) {
			for (k = 0; k < ARRAY_SIZE(values); k++) {
				EXPECT_EQ(NR_CPU_OPS,
					  cpu_opv(vecs[v], values[i], values[k],
						  CPU_OP_NR_FLAG));
				EXPECT_EQ(CPU_OP_VEC_LEN_MAX,
					  cpu_opv(vecs[v], values[i], values[k],
						  CPU_OP_VEC_LEN_MAX_FLAG));
			}
		}
	}
	EXPECT_EQ(0, *self->count);
}

static void expect_bad_flags(struct __test_metadata *_metadata, int flags)
{
	uint64_t count = 0;
	struct cpu_op op = count_op(&count);

	errno = 0;
	EXPECT_EQ(-1, cpu_opv(&op, 1, cpu_op_get_current_cpu(), flags)) {
		TH_LOG("flags %#x", flags);
	}
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, count);
}

TEST(unknown_flags)
{
	const int both = CPU_OP_NR_FLAG | CPU_OP_VEC_LEN_MAX_FLAG;
	int bit;

	expect_bad_flags(_metadata, both);
	expect_bad_flags(_metadata, -1);
	for (bit = 2; bit < 32; bit++) {
		int flag = 1U << bit;

		expect_bad_flags(_metadata, flag);
		expect_bad_flags(_metadata, flag | CPU_OP_NR_FLAG);
		expect_bad_flags(_metadata, flag | CPU_OP_VEC_LEN_MAX_FLAG);
		expect_bad_flags(_metadata, flag | both);
	}
}

TEST(flags_are_checked_first)
{
	errno = 0;
	EXPECT_EQ(-1, cpu_opv((struct cpu_op *)-1L, 1, 0, 4));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(basic, empty_vector)
{
	struct cpu_op op = count_op(self->count);

	EXPECT_EQ(0, run(&op, 0));
	EXPECT_EQ(0, run(NULL, 0));
	EXPECT_EQ(0, run((struct cpu_op *)-1L, 0));
	EXPECT_EQ(0, *self->count);
}

TEST_F(basic, vector_length)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX + 1];
	int bad[] = { INT_MIN, -CPU_OP_VEC_LEN_MAX, -1, CPU_OP_VEC_LEN_MAX + 1,
		      INT_MAX };
	uint64_t expected = 0;
	size_t i;
	int cnt;

	for (i = 0; i < ARRAY_SIZE(vec); i++)
		vec[i] = count_op(self->count);

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, run(vec, bad[i])) {
			TH_LOG("cnt %d", bad[i]);
		}
		EXPECT_EQ(0, *self->count);
	}
	for (cnt = 0; cnt <= CPU_OP_VEC_LEN_MAX; cnt++) {
		EXPECT_EQ(0, run(vec, cnt));
		expected += cnt;
		EXPECT_EQ(expected, *self->count);
	}
}

TEST(length_is_checked_before_the_vector_is_read)
{
	EXPECT_EQ(-EINVAL, run(NULL, -1));
	EXPECT_EQ(-EINVAL, run(NULL, CPU_OP_VEC_LEN_MAX + 1));
}

TEST_F(basic, unknown_operation)
{
	int bad[] = { INT_MIN, -1, NR_CPU_OPS, NR_CPU_OPS + 1, 0x100,
		      0x10000, INT_MAX };
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	size_t i;
	int at;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		for (at = 0; at < CPU_OP_VEC_LEN_MAX; at++) {
			for (int k = 0; k < CPU_OP_VEC_LEN_MAX; k++)
				vec[k] = count_op(self->count);
			vec[at].op = bad[i];
			EXPECT_EQ(-EINVAL, run(vec, CPU_OP_VEC_LEN_MAX)) {
				TH_LOG("op %d at %d", bad[i], at);
			}
			EXPECT_EQ(0, *self->count);
		}
	}
}

TEST_F(basic, every_known_operation_is_accepted)
{
	for (int type = 0; type < NR_CPU_OPS; type++) {
		struct cpu_op op = op_any(type, self->a, self->b, 8);

		if (type == CPU_COMPARE_NE_OP)
			op = cpu_op_compare(type, self->a, self->b + 1, 8);
		expect_op(_metadata, self->count, op, 0);
	}
}

TEST_F(basic, data_length)
{
	uint32_t good[] = { 0, 1, CPU_OP_DATA_LEN_MAX - 1,
			    CPU_OP_DATA_LEN_MAX };
	uint32_t bad[] = { CPU_OP_DATA_LEN_MAX + 1, 2 * CPU_OP_DATA_LEN_MAX,
			   0x10000, 0x80000000, UINT32_MAX - 15, UINT32_MAX };
	int types[] = { CPU_COMPARE_EQ_OP, CPU_MEMCPY_OP,
			CPU_MEMCPY_RELEASE_OP };
	struct cpu_op op;
	size_t t, i;

	for (t = 0; t < ARRAY_SIZE(types); t++) {
		for (i = 0; i < ARRAY_SIZE(good); i++) {
			op = op_any(types[t], self->a, self->b, good[i]);
			expect_op(_metadata, self->count, op, 0);
		}
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			op = op_any(types[t], self->a, self->b, bad[i]);
			expect_op(_metadata, self->count, op, -EINVAL);
		}
	}

	/* A comparison for inequality needs operands that differ. */
	for (i = 1; i < ARRAY_SIZE(good); i++) {
		*self->b = ~*self->a;
		op = op_any(CPU_COMPARE_NE_OP, self->a, self->b, good[i]);
		expect_op(_metadata, self->count, op, 0);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		op = op_any(CPU_COMPARE_NE_OP, self->a, self->b, bad[i]);
		expect_op(_metadata, self->count, op, -EINVAL);
	}
}

TEST_F(basic, integer_length)
{
	for (int type = CPU_ADD_OP; type < NR_CPU_OPS; type++) {
		uint32_t large[] = { 64, 256, CPU_OP_DATA_LEN_MAX, 0x10001,
				     0x80000008, UINT32_MAX };
		uint32_t len;

		if (op_nr_operands(type) != 1)
			continue;
		for (len = 0; len <= 33; len++) {
			bool good = len == 1 || len == 2 || len == 4 ||
				    len == 8;

			expect_op(_metadata, self->count,
				  op_any(type, self->a, NULL, len),
				  good ? 0 : -EINVAL);
		}
		for (size_t i = 0; i < ARRAY_SIZE(large); i++)
			expect_op(_metadata, self->count,
				  op_any(type, self->a, NULL, large[i]),
				  -EINVAL);
	}
}

TEST_F(basic, barrier_length)
{
	uint32_t bad[] = { 1, 2, 4, 8, CPU_OP_DATA_LEN_MAX, UINT32_MAX };
	struct cpu_op op = cpu_op_mb();

	expect_op(_metadata, self->count, op, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		op.len = bad[i];
		expect_op(_metadata, self->count, op, -EINVAL);
	}
}

TEST_F(basic, shift_count)
{
	for (size_t t = 0; t < ARRAY_SIZE(shift_types); t++) {
		for (size_t i = 0; i < ARRAY_SIZE(int_lens); i++) {
			uint32_t len = int_lens[i];
			uint32_t width = len * BITS_PER_BYTE;
			uint32_t bits[] = { 0, width - 1, width, width + 1,
					    64, 256, 0x10000, 0x80000000,
					    UINT32_MAX };

			for (size_t k = 0; k < ARRAY_SIZE(bits); k++)
				expect_op(_metadata, self->count,
					  cpu_op_shift(shift_types[t], self->a,
						       bits[k], len),
					  bits[k] < width ? 0 : -EINVAL);
		}
	}
}

/*
 * Run 16 operations of one type whose lengths add up to sum: a first one that
 * is as long as it can be, a second one for what is left, and 8 bytes each.
 */
static int run_sum(int type, char *a, char *b, uint32_t sum)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	uint32_t len = CPU_OP_DATA_LEN_MAX;
	int i;

	for (i = 0; i < CPU_OP_VEC_LEN_MAX; i++) {
		if (i)
			len = CPU_OP_EXPECT_LEN;
		if (i == CPU_OP_VEC_LEN_MAX - 1)
			len = sum;
		vec[i] = op_any(type, a, b, len);
		sum -= len;
	}
	return run(vec, CPU_OP_VEC_LEN_MAX);
}

TEST_F(basic, sum_of_lengths)
{
	const uint32_t max = CPU_OP_VEC_DATA_LEN_MAX;
	int types[] = { CPU_COMPARE_EQ_OP, CPU_MEMCPY_OP,
			CPU_MEMCPY_RELEASE_OP };
	char *a = self->a, *b = self->b;

	EXPECT_EQ(4096 + 15 * 8, max);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		EXPECT_EQ(0, run_sum(types[i], a, b, max - 1));
		EXPECT_EQ(0, run_sum(types[i], a, b, max));
		fill_random(a, CPU_OP_DATA_LEN_MAX, 2);
		EXPECT_EQ(-EINVAL, run_sum(types[i], a, b, max + 1));
		EXPECT_NE(0, memcmp(a, b, CPU_OP_DATA_LEN_MAX));
		memcpy(a, b, CPU_OP_DATA_LEN_MAX);
	}
}

/* Every type counts towards the sum, also when it comes first. */
TEST_F(basic, sum_of_lengths_of_every_type)
{
	for (int type = 0; type < NR_CPU_OPS; type++) {
		const uint32_t rest = CPU_OP_VEC_DATA_LEN_MAX -
				      CPU_OP_DATA_LEN_MAX - 8;
		struct cpu_op vec[] = {
			op_any(type, self->a, self->b, 8),
			cpu_op_memcpy(CPU_MEMCPY_OP, self->a, self->b,
				      CPU_OP_DATA_LEN_MAX),
			cpu_op_memcpy(CPU_MEMCPY_OP, self->a, self->b, rest),
			count_op(self->count),
		};

		if (type == CPU_MB_OP)
			continue;
		if (type == CPU_COMPARE_NE_OP)
			vec[0] = cpu_op_compare(type, self->a, self->b + 1, 8);
		vec[2].len = rest - 8;
		EXPECT_EQ(0, run(vec, 4)) {
			TH_LOG("op %d", type);
		}
		EXPECT_EQ(1, *self->count);
		vec[2].len++;
		EXPECT_EQ(-EINVAL, run(vec, 4)) {
			TH_LOG("op %d", type);
		}
		EXPECT_EQ(1, *self->count);
		*self->count = 0;
	}
}

/* The sum must not be computed in so few bits that it wraps. */
TEST_F(basic, sum_of_lengths_does_not_wrap)
{
	uint32_t lens[] = { 0x10000000, 0x80000000, 0x1000, 0xf0000000 };

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		struct cpu_op vec[CPU_OP_VEC_LEN_MAX];

		for (int k = 0; k < CPU_OP_VEC_LEN_MAX; k++)
			vec[k] = op_any(CPU_MEMCPY_OP, self->a, self->b,
					lens[i]);
		vec[0] = count_op(self->count);
		EXPECT_EQ(-EINVAL, run(vec, CPU_OP_VEC_LEN_MAX));
		EXPECT_EQ(0, *self->count);
	}
}

/*
 * What an operation does not define is ignored, even if it has all bits set.
 * The values that it does define are written over the bits.
 */
TEST_F(basic, unused_argument_bytes_are_ignored)
{
	for (int type = 0; type < NR_CPU_OPS; type++) {
		struct cpu_op plain = op_any(type, self->a, self->b, 8);
		struct cpu_op op = plain;

		memset(&op.u, 0xff, sizeof(op.u));
		for (int i = 0; i < op_nr_operands(type); i++) {
			uint64_t addr = (unsigned long)(i ? self->b : self->a);

			op_set_operand(&op, i, addr);
			op_set_expect_fault(&op, i, 0);
		}
		switch (type) {
		case CPU_COMPARE_NE_OP:
			op_set_operand(&op, 1, (unsigned long)self->b + 1);
			break;
		case CPU_ADD_OP:
		case CPU_ADD_RELEASE_OP:
			op.u.arithmetic_op.count = 0;
			break;
		case CPU_OR_OP:
		case CPU_AND_OP:
		case CPU_XOR_OP:
			op.u.bitwise_op.mask = plain.u.bitwise_op.mask;
			break;
		case CPU_LSHIFT_OP:
		case CPU_RSHIFT_OP:
			op.u.shift_op.bits = 0;
			break;
		}
		expect_op(_metadata, self->count, op, 0);
		EXPECT_EQ(0, memcmp(self->a, self->b, 8)) {
			TH_LOG("op %d", type);
		}
	}
}

/* An accessible operand is accessible whether or not a fault is expected. */
TEST_F(basic, expect_fault_alone_changes_nothing)
{
	for (int type = 0; type < NR_CPU_OPS; type++) {
		struct cpu_op op = op_any(type, self->a, self->b, 8);

		if (type == CPU_COMPARE_NE_OP)
			op = cpu_op_compare(type, self->a, self->b + 1, 8);
		for (int i = 0; i < op_nr_operands(type); i++)
			op_set_expect_fault(&op, i, 1);
		expect_op(_metadata, self->count, op, 0);
	}
}

TEST_F(basic, vector_in_read_only_memory)
{
	struct cpu_op *vec = (struct cpu_op *)self->a;

	*vec = count_op(self->count);
	ASSERT_EQ(0, mprotect(self->a, page_size(), PROT_READ));
	EXPECT_EQ(0, run(vec, 1));
	EXPECT_EQ(1, *self->count);
}

TEST_F(basic, vector_at_any_alignment)
{
	const struct cpu_op op = count_op(self->count);
	uint64_t expected = 0;

	/* The largest of the addresses are across the end of a page. */
	for (size_t i = 0; i < 2 * sizeof(op); i++) {
		char *at = self->b - sizeof(op) + i - sizeof(op) / 2;
		struct cpu_op *vec = (struct cpu_op *)at;

		memcpy(at, &op, sizeof(op));
		memcpy(at + sizeof(op), &op, sizeof(op));
		EXPECT_EQ(0, run(vec, 2)) {
			TH_LOG("offset %zu", i);
		}
		expected += 2;
		EXPECT_EQ(expected, *self->count);
	}
}

/* What a vector stores in itself does not change what it does. */
TEST_F(basic, vector_is_read_once)
{
	struct cpu_op *vec = (struct cpu_op *)self->a;
	struct cpu_op other = count_op(self->count);

	other.u.arithmetic_op.count = 1000;
	vec[0] = cpu_op_memcpy(CPU_MEMCPY_OP, &vec[1], &other, sizeof(other));
	vec[1] = count_op(self->count);
	EXPECT_EQ(0, run(vec, 2));
	EXPECT_EQ(1, *self->count);
	EXPECT_EQ(0, memcmp(&vec[1], &other, sizeof(other)));

	/* Each operation spoils the next one. */
	for (int i = 0; i < CPU_OP_VEC_LEN_MAX; i++)
		vec[i] = cpu_op_bitwise(CPU_OR_OP, &vec[i + 1].op, 0x40, 4);
	EXPECT_EQ(0, run(vec, CPU_OP_VEC_LEN_MAX));
	for (int i = 1; i < CPU_OP_VEC_LEN_MAX; i++)
		EXPECT_EQ(CPU_OR_OP | 0x40, vec[i].op);
}

/* The kernel does not write to the vector. */
TEST_F(basic, vector_is_left_alone)
{
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX], copy[CPU_OP_VEC_LEN_MAX];
	int cnt = 0;

	for (int type = 0; type < NR_CPU_OPS; type++) {
		vec[cnt] = op_any(type, self->a, self->b, 4);
		if (type == CPU_COMPARE_NE_OP)
			vec[cnt] = op_any(type, self->a, self->b + 1, 4);
		if (type == CPU_MB_OP)
			vec[cnt].len = 0;
		cnt++;
	}
	memcpy(copy, vec, cnt * sizeof(*vec));
	EXPECT_EQ(0, run(vec, cnt));
	EXPECT_EQ(0, memcmp(copy, vec, cnt * sizeof(*vec)));
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
