// SPDX-License-Identifier: GPL-2.0
/*
 * What each operation of cpu_opv() does, at every length that it takes, aligned
 * and unaligned, within a page and across the end of one.
 */

#include "cpu_opv_test.h"

#define NR_PAGES	4

/* Two areas of NR_PAGES pages, and what they should contain. */
struct areas {
	size_t size;
	char *a;
	char *b;
	char *model_a;
	char *model_b;
};

FIXTURE(ops)
{
	struct areas m;
};

FIXTURE_SETUP(ops)
{
	self->m.size = NR_PAGES * page_size();
	self->m.a = map_scattered(NR_PAGES);
	self->m.b = map_scattered(NR_PAGES);
	self->m.model_a = map_pages(NR_PAGES);
	self->m.model_b = map_pages(NR_PAGES);
	fill_random(self->m.a, self->m.size, 1);
	fill_random(self->m.b, self->m.size, 2);
	memcpy(self->m.model_a, self->m.a, self->m.size);
	memcpy(self->m.model_b, self->m.b, self->m.size);
}

FIXTURE_TEARDOWN(ops)
{
	unmap_pages(self->m.a, NR_PAGES);
	unmap_pages(self->m.b, NR_PAGES);
	unmap_pages(self->m.model_a, NR_PAGES);
	unmap_pages(self->m.model_b, NR_PAGES);
}

/*
 * The places where operands are put: each alignment in the middle of a page,
 * and each way to straddle the end of a page with 8 bytes.
 */
#define NR_PLACES	(8 + 9)

static size_t place(int i)
{
	return i < 8 ? page_size() / 2 + i : page_size() - 8 + i - 8;
}

/*
 * Compare len bytes that are equal, then with the byte at each end and one in
 * between changed, then with the bytes beside them changed.
 */
static void check_compare(struct __test_metadata *_metadata, char *a, char *b,
			  uint32_t len)
{
	struct cpu_op eq = cpu_op_compare(CPU_COMPARE_EQ_OP, a, b, len);
	struct cpu_op ne = cpu_op_compare(CPU_COMPARE_NE_OP, a, b, len);
	uint32_t at[] = { 0, len / 2, len - 1 };

	memcpy(b, a, len);
	b[-1] = ~a[-1];
	b[len] = ~a[len];
	ASSERT_EQ(0, run(&eq, 1)) {
		TH_LOG("len %u", len);
	}
	ASSERT_EQ(1, run(&ne, 1)) {
		TH_LOG("len %u", len);
	}

	b[-1] = a[-1];
	b[len] = a[len];
	for (size_t i = 0; len && i < ARRAY_SIZE(at); i++) {
		char old = b[at[i]];

		/* One bit, so that all others have to be equal. */
		b[at[i]] ^= 1 << len % 8;
		ASSERT_EQ(1, run(&eq, 1)) {
			TH_LOG("len %u, byte %u", len, at[i]);
		}
		ASSERT_EQ(0, run(&ne, 1)) {
			TH_LOG("len %u, byte %u", len, at[i]);
		}
		b[at[i]] = old;
	}
}

TEST_F_TIMEOUT(ops, compare_every_length, LONG_TIMEOUT)
{
	for (uint32_t len = 0; len <= CPU_OP_DATA_LEN_MAX; len++)
		check_compare(_metadata, self->m.a + 64, self->m.b + 64, len);
}

/* The operands end, and then begin, at the end of a page. */
TEST_F_TIMEOUT(ops, compare_every_length_across_pages, LONG_TIMEOUT)
{
	const size_t page = page_size();

	for (uint32_t len = 0; len <= CPU_OP_DATA_LEN_MAX; len += 13) {
		check_compare(_metadata, self->m.a + 2 * page - len,
			      self->m.b + 2 * page - len / 2, len);
		check_compare(_metadata, self->m.a + 2 * page - len / 3,
			      self->m.b + 2 * page, len);
	}
	check_compare(_metadata, self->m.a + 2 * page - CPU_OP_DATA_LEN_MAX / 2,
		      self->m.b + page - 1, CPU_OP_DATA_LEN_MAX);
}

TEST_F_TIMEOUT(ops, compare_every_alignment, LONG_TIMEOUT)
{
	static const uint32_t lens[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 100 };

	for (size_t l = 0; l < ARRAY_SIZE(lens); l++)
		for (int i = 0; i < NR_PLACES; i++)
			for (int k = 0; k < NR_PLACES; k++)
				check_compare(_metadata, self->m.a + place(i),
					      self->m.b + place(k), lens[l]);
}

/* Every single bit of an integer decides. */
TEST_F(ops, compare_every_bit)
{
	for (size_t l = 0; l < ARRAY_SIZE(int_lens); l++) {
		uint32_t len = int_lens[l];
		struct cpu_op eq = cpu_op_compare(CPU_COMPARE_EQ_OP, self->m.a,
						  self->m.b, len);
		struct cpu_op ne = cpu_op_compare(CPU_COMPARE_NE_OP, self->m.a,
						  self->m.b, len);

		memcpy(self->m.b, self->m.a, len);
		for (uint32_t bit = 0; bit < len * BITS_PER_BYTE; bit++) {
			self->m.b[bit / 8] ^= 1 << bit % 8;
			EXPECT_EQ(1, run(&eq, 1));
			EXPECT_EQ(0, run(&ne, 1));
			self->m.b[bit / 8] ^= 1 << bit % 8;
		}
		EXPECT_EQ(0, run(&eq, 1));
	}
}

/* Something is equal to itself, and comparing does not store. */
TEST_F(ops, compare_with_itself_in_read_only_memory)
{
	ASSERT_EQ(0, mprotect(self->m.a, self->m.size, PROT_READ));
	for (uint32_t len = 0; len <= 64; len++) {
		char *p = self->m.a + page_size() - 32;
		struct cpu_op eq = cpu_op_compare(CPU_COMPARE_EQ_OP, p, p, len);
		struct cpu_op ne = cpu_op_compare(CPU_COMPARE_NE_OP, p, p, len);

		EXPECT_EQ(0, run(&eq, 1));
		EXPECT_EQ(1, run(&ne, 1));
	}
}

static void check_memcpy(struct __test_metadata *_metadata,
			 struct areas *m, int type, size_t dst,
			 size_t src, uint32_t len)
{
	struct cpu_op op = cpu_op_memcpy(type, m->a + dst, m->b + src,
					 len);
	size_t from = dst < 64 ? 0 : dst - 64;

	/* Make sure that there is something to copy. */
	for (uint32_t i = 0; i < len; i++)
		m->a[dst + i] = ~m->b[src + i];
	ASSERT_EQ(0, run(&op, 1)) {
		TH_LOG("op %d, dst %#zx, src %#zx, len %u", type, dst, src, len);
	}
	memcpy(m->model_a + dst, m->model_b + src, len);
	ASSERT_EQ(0, memcmp(m->model_a + from, m->a + from,
			    dst - from + len + 64)) {
		TH_LOG("op %d, dst %#zx, src %#zx, len %u", type, dst, src, len);
	}
}

TEST_F_TIMEOUT(ops, memcpy_every_length, LONG_TIMEOUT)
{
	for (size_t t = 0; t < ARRAY_SIZE(memcpy_types); t++) {
		uint32_t len;

		for (len = 0; len <= CPU_OP_DATA_LEN_MAX; len++)
			check_memcpy(_metadata, &self->m, memcpy_types[t], 64, 128,
				     len);
	}
	EXPECT_EQ(0, memcmp(self->m.model_a, self->m.a, self->m.size));
	EXPECT_EQ(0, memcmp(self->m.model_b, self->m.b, self->m.size));
}

TEST_F_TIMEOUT(ops, memcpy_every_length_across_pages, LONG_TIMEOUT)
{
	const size_t page = page_size();

	for (size_t t = 0; t < ARRAY_SIZE(memcpy_types); t++) {
		int type = memcpy_types[t];
		uint32_t len;

		for (len = 0; len <= CPU_OP_DATA_LEN_MAX; len += 13) {
			check_memcpy(_metadata, &self->m, type, 2 * page - len,
				     2 * page - len / 2, len);
			check_memcpy(_metadata, &self->m, type, 2 * page - len / 3,
				     2 * page, len);
		}
		check_memcpy(_metadata, &self->m, type,
			     2 * page - CPU_OP_DATA_LEN_MAX / 2, page - 1,
			     CPU_OP_DATA_LEN_MAX);
	}
	EXPECT_EQ(0, memcmp(self->m.model_a, self->m.a, self->m.size));
	EXPECT_EQ(0, memcmp(self->m.model_b, self->m.b, self->m.size));
}

TEST_F_TIMEOUT(ops, memcpy_every_alignment, LONG_TIMEOUT)
{
	static const uint32_t lens[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 100 };

	for (size_t l = 0; l < ARRAY_SIZE(lens); l++)
		for (int i = 0; i < NR_PLACES; i++)
			for (int k = 0; k < NR_PLACES; k++)
				check_memcpy(_metadata, &self->m,
					     memcpy_types[(i + k) % 2],
					     place(i), place(k), lens[l]);
	EXPECT_EQ(0, memcmp(self->m.model_a, self->m.a, self->m.size));
	EXPECT_EQ(0, memcmp(self->m.model_b, self->m.b, self->m.size));
}

/*
 * What a copy between operands that overlap leaves in the destination is not
 * specified.  All else must stay as it is.
 */
TEST_F_TIMEOUT(ops, memcpy_overlapping, LONG_TIMEOUT)
{
	static const uint32_t lens[] = { 2, 3, 4, 8, 9, 64, 1000,
					 CPU_OP_DATA_LEN_MAX };

	for (size_t l = 0; l < ARRAY_SIZE(lens); l++) {
		uint32_t len = lens[l];
		int distances[] = { 1 - (int)len, -(int)len / 2, -1, 0, 1,
				    len / 2, len - 1 };

		for (size_t d = 0; d < ARRAY_SIZE(distances); d++) {
			char *src = self->m.a + 2 * page_size() - 3;
			char *dst = src + distances[d];
			uint64_t count = 0;
			struct cpu_op vec[] = {
				cpu_op_memcpy(memcpy_types[d % 2], dst, src,
					      len),
				cpu_op_arithmetic(CPU_ADD_OP, &count, 1, 8),
			};

			ASSERT_EQ(0, run(vec, 2));
			ASSERT_EQ(1, count);
			memcpy(self->m.model_a + (dst - self->m.a), dst, len);
			ASSERT_EQ(0, memcmp(self->m.model_a, self->m.a,
					    self->m.size)) {
				TH_LOG("len %u, distance %d", len,
				       distances[d]);
			}
		}
	}
}

static uint64_t apply(int type, uint64_t v, uint64_t arg)
{
	switch (type) {
	case CPU_ADD_OP:
	case CPU_ADD_RELEASE_OP:
		return v + arg;
	case CPU_OR_OP:
		return v | arg;
	case CPU_AND_OP:
		return v & arg;
	case CPU_XOR_OP:
		return v ^ arg;
	case CPU_LSHIFT_OP:
		return v << arg;
	default:
		return v >> arg;
	}
}

static struct cpu_op int_op(int type, void *p, uint64_t arg, uint32_t len)
{
	switch (type) {
	case CPU_ADD_OP:
	case CPU_ADD_RELEASE_OP:
		return cpu_op_arithmetic(type, p, arg, len);
	case CPU_LSHIFT_OP:
	case CPU_RSHIFT_OP:
		return cpu_op_shift(type, p, arg, len);
	default:
		return cpu_op_bitwise(type, p, arg, len);
	}
}

/* Change the integer at p from v by an operation, and nothing beside it. */
static void check_int(struct __test_metadata *_metadata, char *p, int type,
		      uint64_t v, uint64_t arg, uint32_t len)
{
	struct cpu_op op = int_op(type, p, arg, len);
	char expected[8 + 8 + 8];

	store_int(p, v, len);
	memcpy(expected, p - 8, sizeof(expected));
	store_int(expected + 8, apply(type, load_int(p, len), arg), len);
	ASSERT_EQ(0, run(&op, 1)) {
		TH_LOG("op %d, %#llx, %#llx, len %u", type,
		       (unsigned long long)v, (unsigned long long)arg, len);
	}
	ASSERT_EQ(0, memcmp(expected, p - 8, sizeof(expected))) {
		TH_LOG("op %d, %#llx, %#llx, len %u gives %#llx", type,
		       (unsigned long long)v, (unsigned long long)arg, len,
		       (unsigned long long)load_int(p, len));
	}
}

/* Values around each limit of each size. */
static const uint64_t values[] = {
	0, 1, 2, 0x55, 0x7f, 0x80, 0xff, 0x100, 0x5555, 0x7fff, 0x8000, 0xffff,
	0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
	0x0123456789abcdef, 0x7fffffffffffffff, 0x8000000000000000,
	0xaaaaaaaaaaaaaaaa, 0xfffffffffffffffe, 0xffffffffffffffff,
};

static void check_values(struct __test_metadata *_metadata, char *p,
			 const int *types, size_t nr_types)
{
	for (size_t t = 0; t < nr_types; t++)
		for (size_t l = 0; l < ARRAY_SIZE(int_lens); l++)
			for (size_t v = 0; v < ARRAY_SIZE(values); v++)
				for (size_t k = 0; k < ARRAY_SIZE(values); k++)
					check_int(_metadata, p, types[t],
						  values[v], values[k],
						  int_lens[l]);
}

TEST_F_TIMEOUT(ops, add_values, LONG_TIMEOUT)
{
	check_values(_metadata, self->m.a + 64, add_types, ARRAY_SIZE(add_types));
}

TEST_F_TIMEOUT(ops, bitwise_values, LONG_TIMEOUT)
{
	check_values(_metadata, self->m.a + 64, bitwise_types,
		     ARRAY_SIZE(bitwise_types));
}

TEST_F_TIMEOUT(ops, shift_by_every_count, LONG_TIMEOUT)
{
	for (size_t t = 0; t < ARRAY_SIZE(shift_types); t++) {
		for (size_t l = 0; l < ARRAY_SIZE(int_lens); l++) {
			uint32_t len = int_lens[l];
			uint32_t bits;

			for (bits = 0; bits < len * BITS_PER_BYTE; bits++)
				for (size_t v = 0; v < ARRAY_SIZE(values); v++)
					check_int(_metadata, self->m.a + 64,
						  shift_types[t], values[v],
						  bits, len);
		}
	}
}

TEST_F_TIMEOUT(ops, integers_at_every_alignment, LONG_TIMEOUT)
{
	for (int type = CPU_ADD_OP; type < NR_CPU_OPS; type++) {
		if (op_nr_operands(type) != 1)
			continue;
		for (size_t l = 0; l < ARRAY_SIZE(int_lens); l++) {
			for (int i = 0; i < NR_PLACES; i++) {
				char *p = self->m.a + place(i);

				/* The argument is a valid shift count too. */
				check_int(_metadata, p, type,
					  0x8182838485868788, 5, int_lens[l]);
				check_int(_metadata, p, type, UINT64_MAX, 1,
					  int_lens[l]);
			}
		}
	}
	memset(self->m.a + page_size() / 2 - 8, 0, 64);
	memset(self->m.model_a + page_size() / 2 - 8, 0, 64);
	memset(self->m.a + page_size() - 16, 0, 64);
	memset(self->m.model_a + page_size() - 16, 0, 64);
	EXPECT_EQ(0, memcmp(self->m.model_a, self->m.a, self->m.size));
}

/* Pages that have never been touched read as zero and can be stored to. */
TEST_F(ops, untouched_pages)
{
	for (int type = 0; type < NR_CPU_OPS; type++) {
		char *a = map_pages(1), *b = map_pages(1);
		struct cpu_op op = op_any(type, a, b, 8);

		switch (type) {
		case CPU_MB_OP:
			break;
		case CPU_COMPARE_EQ_OP:
			EXPECT_EQ(0, run(&op, 1));
			break;
		case CPU_COMPARE_NE_OP:
			EXPECT_EQ(1, run(&op, 1));
			break;
		case CPU_MEMCPY_OP:
		case CPU_MEMCPY_RELEASE_OP:
			EXPECT_EQ(0, run(&op, 1));
			EXPECT_EQ(0, load_int(a, 8));
			op = op_any(type, b, self->m.a, 8);
			EXPECT_EQ(0, run(&op, 1));
			EXPECT_EQ(load_int(self->m.a, 8), load_int(b, 8));
			break;
		default:
			op = int_op(type, a, 1, 8);
			EXPECT_EQ(0, run(&op, 1));
			EXPECT_EQ(apply(type, 0, 1), load_int(a, 8));
			break;
		}
		unmap_pages(a, 1);
		unmap_pages(b, 1);
	}
}

TEST_F(ops, barrier)
{
	struct cpu_op vec[] = {
		cpu_op_arithmetic(CPU_ADD_OP, self->m.a, 1, 8),
		cpu_op_mb(),
		cpu_op_memcpy(CPU_MEMCPY_OP, self->m.b, self->m.a, 8),
	};
	uint64_t v = load_int(self->m.a, 8);

	EXPECT_EQ(0, run(&vec[1], 1));
	EXPECT_EQ(0, run(vec, 3));
	EXPECT_EQ(v + 1, load_int(self->m.b, 8));
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
