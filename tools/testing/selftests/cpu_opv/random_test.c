// SPDX-License-Identifier: GPL-2.0
/*
 * Random vectors, run by the kernel on some memory and by a plain model on a
 * copy of it.  The return values and all of the memory have to be the same.
 *
 * CPU_OPV_SEED in the environment repeats a run, CPU_OPV_ROUNDS sets how many
 * vectors there are.
 */

#include <time.h>

#include "cpu_opv_test.h"

#define NR_PAGES	4
#define DEFAULT_ROUNDS	5000

/* An operation on an area of memory that can be anywhere. */
struct abstract_op {
	int type;
	uint32_t len;
	/* Where the operands are in the area. */
	size_t at[2];
	/* The addend, mask or number of bits. */
	uint64_t arg;
	bool expect_fault[2];
};

struct abstract_vec {
	struct abstract_op ops[CPU_OP_VEC_LEN_MAX];
	int cnt;
};

/* What became of the vectors. */
struct outcomes {
	int completed;
	int stopped;
	int invalid;
	int faulted;
	int faulted_as_expected;
};

FIXTURE(random)
{
	size_t size;
	char *area;
	char *model;
	cpu_set_t cpus;
	uint64_t state;
	uint64_t seed;
	long rounds;
	struct outcomes outcomes;
};

static uint64_t number_from_env(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 0) : otherwise;
}

FIXTURE_SETUP(random)
{
	struct timespec now;

	ASSERT_EQ(0, clock_gettime(CLOCK_REALTIME, &now));
	self->seed = number_from_env("CPU_OPV_SEED",
				     now.tv_sec * 1000000000ULL + now.tv_nsec);
	self->rounds = number_from_env("CPU_OPV_ROUNDS", DEFAULT_ROUNDS);
	TH_LOG("CPU_OPV_SEED=%llu CPU_OPV_ROUNDS=%ld",
	       (unsigned long long)self->seed, self->rounds);

	ASSERT_EQ(0, sched_getaffinity(0, sizeof(self->cpus), &self->cpus));
	self->state = self->seed;
	self->size = NR_PAGES * page_size();
	self->area = map_pages(NR_PAGES);
	self->model = map_pages(NR_PAGES);
	memset(&self->outcomes, 0, sizeof(self->outcomes));
}

FIXTURE_TEARDOWN(random)
{
	unmap_pages(self->area, NR_PAGES);
	unmap_pages(self->model, NR_PAGES);
}

static uint64_t below(uint64_t *state, uint64_t limit)
{
	return next_random(state) % limit;
}

static bool one_in(uint64_t *state, int n)
{
	return below(state, n) == 0;
}

/*
 * Half of the operands are within the same few bytes on either side of the end
 * of a page, so that the operations of a vector meet.
 */
static size_t random_place(uint64_t *state, size_t size, uint32_t len)
{
	if (len <= 32 && one_in(state, 2))
		return page_size() * (1 + below(state, 2)) - 16 +
		       below(state, 33 - len);
	return below(state, size - len + 1);
}

static bool overlap(size_t a, size_t b, uint32_t len)
{
	return a < b + len && b < a + len;
}

static struct abstract_op random_op(uint64_t *state, size_t size)
{
	struct abstract_op op = {
		.type = below(state, NR_CPU_OPS),
		.arg = next_random(state) >> below(state, 64),
		.expect_fault = { one_in(state, 2), one_in(state, 2) },
	};

	switch (op_nr_operands(op.type)) {
	case 2:
		op.len = below(state, one_in(state, 16) ?
				      CPU_OP_DATA_LEN_MAX + 1 : 17);
		break;
	case 1:
		op.len = int_lens[below(state, ARRAY_SIZE(int_lens))];
		break;
	}
	if (op.type == CPU_LSHIFT_OP || op.type == CPU_RSHIFT_OP)
		op.arg %= op.len * BITS_PER_BYTE;

	op.at[0] = random_place(state, size, op.len);
	op.at[1] = random_place(state, size, op.len);
	if (op.type == CPU_MEMCPY_OP || op.type == CPU_MEMCPY_RELEASE_OP)
		while (overlap(op.at[0], op.at[1], op.len))
			op.at[1] = random_place(state, size, op.len);
	/* Random bytes are hardly ever equal, so most would stop here. */
	if (op.type == CPU_COMPARE_EQ_OP && !one_in(state, 8))
		op.at[1] = op.at[0];
	return op;
}

/* Make an operation invalid. */
static void spoil(uint64_t *state, struct abstract_op *op)
{
	switch (below(state, 3)) {
	case 0:
		op->type = NR_CPU_OPS + below(state, 100);
		break;
	case 1:
		op->len = CPU_OP_DATA_LEN_MAX + 1 + below(state, 100);
		break;
	default:
		op->type = CPU_LSHIFT_OP + below(state, 2);
		op->len = int_lens[below(state, ARRAY_SIZE(int_lens))];
		op->arg = op->len * BITS_PER_BYTE + below(state, 4);
		break;
	}
}

/* Move an operand so that it reaches out of the area at one of its ends. */
static void misplace(uint64_t *state, struct abstract_op *op, size_t size)
{
	int nr = op_nr_operands(op->type);
	size_t out;

	if (!nr || !op->len)
		return;
	out = 1 + below(state, op->len);
	op->at[below(state, nr)] = one_in(state, 2) ? -out :
						       size - op->len + out;
}

static struct abstract_vec random_vec(uint64_t *state, size_t size)
{
	struct abstract_vec vec = {
		.cnt = below(state, CPU_OP_VEC_LEN_MAX + 1),
	};

	for (int i = 0; i < vec.cnt; i++)
		vec.ops[i] = random_op(state, size);
	if (vec.cnt && one_in(state, 32))
		spoil(state, &vec.ops[below(state, vec.cnt)]);
	if (vec.cnt && one_in(state, 16))
		misplace(state, &vec.ops[below(state, vec.cnt)], size);
	return vec;
}

static struct cpu_op concrete_op(const struct abstract_op *op, char *area)
{
	void *a = area + op->at[0], *b = area + op->at[1];
	struct cpu_op result;

	switch (op->type) {
	case CPU_COMPARE_EQ_OP:
	case CPU_COMPARE_NE_OP:
		result = cpu_op_compare(op->type, a, b, op->len);
		break;
	case CPU_MEMCPY_OP:
	case CPU_MEMCPY_RELEASE_OP:
		result = cpu_op_memcpy(op->type, a, b, op->len);
		break;
	case CPU_ADD_OP:
	case CPU_ADD_RELEASE_OP:
		result = cpu_op_arithmetic(op->type, a, op->arg, op->len);
		break;
	case CPU_LSHIFT_OP:
	case CPU_RSHIFT_OP:
		result = cpu_op_shift(op->type, a, op->arg, op->len);
		break;
	default:
		/* An unknown operation, or a barrier, uses none of it. */
		result = cpu_op_bitwise(op->type, a, op->arg, op->len);
		break;
	}
	for (int i = 0; i < op_nr_operands(op->type); i++)
		op_set_expect_fault(&result, i, op->expect_fault[i]);
	return result;
}

static bool op_is_valid(const struct abstract_op *op)
{
	bool int_len = op->len == 1 || op->len == 2 || op->len == 4 ||
		       op->len == 8;

	switch (op->type) {
	case CPU_COMPARE_EQ_OP:
	case CPU_COMPARE_NE_OP:
	case CPU_MEMCPY_OP:
	case CPU_MEMCPY_RELEASE_OP:
		return op->len <= CPU_OP_DATA_LEN_MAX;
	case CPU_ADD_OP:
	case CPU_ADD_RELEASE_OP:
	case CPU_OR_OP:
	case CPU_AND_OP:
	case CPU_XOR_OP:
		return int_len;
	case CPU_LSHIFT_OP:
	case CPU_RSHIFT_OP:
		return int_len && op->arg < op->len * BITS_PER_BYTE;
	case CPU_MB_OP:
		return op->len == 0;
	default:
		return false;
	}
}

static bool vec_is_valid(const struct abstract_vec *vec)
{
	uint64_t sum = 0;

	for (int i = 0; i < vec->cnt; i++) {
		if (!op_is_valid(&vec->ops[i]))
			return false;
		sum += vec->ops[i].len;
	}
	return sum <= CPU_OP_VEC_DATA_LEN_MAX;
}

/* The error of the operand that is out of the area, or 0. */
static int vec_fault(const struct abstract_vec *vec, size_t size)
{
	for (int i = 0; i < vec->cnt; i++) {
		const struct abstract_op *op = &vec->ops[i];

		for (int k = 0; k < op_nr_operands(op->type); k++)
			if (op->len && (op->at[k] > size ||
					op->at[k] + op->len > size))
				return op->expect_fault[k] ? -EAGAIN : -EFAULT;
	}
	return 0;
}

/* Run a vector on the model as far as its first operand out of the area. */
static int model_run(const struct abstract_vec *vec, char *area, size_t size)
{
	for (int i = 0; i < vec->cnt; i++) {
		const struct abstract_op *op = &vec->ops[i];
		const struct abstract_vec one = { .ops = { *op }, .cnt = 1 };
		char *a = area + op->at[0], *b = area + op->at[1];
		uint64_t v;
		int error = vec_fault(&one, size);

		if (error)
			return error;
		switch (op->type) {
		case CPU_COMPARE_EQ_OP:
			if (memcmp(a, b, op->len))
				return 1 + i;
			continue;
		case CPU_COMPARE_NE_OP:
			if (!memcmp(a, b, op->len))
				return 1 + i;
			continue;
		case CPU_MEMCPY_OP:
		case CPU_MEMCPY_RELEASE_OP:
			memcpy(a, b, op->len);
			continue;
		case CPU_MB_OP:
			continue;
		}
		v = load_int(a, op->len);
		switch (op->type) {
		case CPU_ADD_OP:
		case CPU_ADD_RELEASE_OP:
			v += op->arg;
			break;
		case CPU_OR_OP:
			v |= op->arg;
			break;
		case CPU_AND_OP:
			v &= op->arg;
			break;
		case CPU_XOR_OP:
			v ^= op->arg;
			break;
		case CPU_LSHIFT_OP:
			v <<= op->arg;
			break;
		case CPU_RSHIFT_OP:
			v >>= op->arg;
			break;
		}
		store_int(a, v, op->len);
	}
	return 0;
}

static int random_cpu(uint64_t *state, const cpu_set_t *cpus)
{
	int nth;

	if (one_in(state, 2))
		return cpu_op_get_current_cpu();
	nth = below(state, CPU_COUNT(cpus));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, cpus) && nth-- == 0)
			return cpu;
	return 0;
}

static void log_vec(struct __test_metadata *_metadata,
		    const struct abstract_vec *vec)
{
	for (int i = 0; i < vec->cnt; i++) {
		const struct abstract_op *op = &vec->ops[i];

		TH_LOG("%2d: op %d, len %u, at %#zx %#zx, arg %#llx", i,
		       op->type, op->len, op->at[0], op->at[1],
		       (unsigned long long)op->arg);
	}
}

static void count_outcome(struct outcomes *outcomes, int ret)
{
	switch (ret) {
	case 0:
		outcomes->completed++;
		break;
	case -EINVAL:
		outcomes->invalid++;
		break;
	case -EFAULT:
		outcomes->faulted++;
		break;
	case -EAGAIN:
		outcomes->faulted_as_expected++;
		break;
	default:
		outcomes->stopped++;
		break;
	}
}

TEST_F_TIMEOUT(random, vectors, LONG_TIMEOUT)
{
	struct outcomes *outcomes = &self->outcomes;
	long round;

	for (round = 0; round < self->rounds; round++) {
		struct abstract_vec vec = random_vec(&self->state, self->size);
		struct cpu_op ops[CPU_OP_VEC_LEN_MAX];
		int cpu = random_cpu(&self->state, &self->cpus);
		int fault = vec_fault(&vec, self->size);
		int expected, ret;

		/* Bytes that many operations have mixed are mostly alike. */
		if (round % 64 == 0) {
			fill_random(self->area, self->size,
				    next_random(&self->state));
			memcpy(self->model, self->area, self->size);
		}
		for (int i = 0; i < vec.cnt; i++)
			ops[i] = concrete_op(&vec.ops[i], self->area);
		ret = run_on(ops, vec.cnt, cpu);
		count_outcome(outcomes, ret);

		/*
		 * A comparison may stop the vector before it comes to an operand
		 * that cannot be accessed.  Either answer is right then, as long
		 * as the memory agrees with it.
		 */
		if (!vec_is_valid(&vec))
			expected = -EINVAL;
		else if (fault && ret == fault)
			expected = fault;
		else
			expected = model_run(&vec, self->model, self->size);

		ASSERT_EQ(expected, ret) {
			TH_LOG("round %ld, cpu %d", round, cpu);
			log_vec(_metadata, &vec);
		}
		ASSERT_EQ(0, memcmp(self->model, self->area, self->size)) {
			TH_LOG("round %ld, cpu %d, returned %d", round, cpu,
			       ret);
			log_vec(_metadata, &vec);
		}
	}

	TH_LOG("%d completed, %d stopped, %d invalid, %d + %d faulted",
	       outcomes->completed, outcomes->stopped, outcomes->invalid,
	       outcomes->faulted, outcomes->faulted_as_expected);
	if (self->rounds >= DEFAULT_ROUNDS) {
		EXPECT_GT(outcomes->completed, self->rounds / 2);
		EXPECT_GT(outcomes->stopped, self->rounds / 16);
		EXPECT_GT(outcomes->invalid, self->rounds / 64);
		EXPECT_GT(outcomes->faulted, self->rounds / 256);
		EXPECT_GT(outcomes->faulted_as_expected, self->rounds / 256);
	}
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
