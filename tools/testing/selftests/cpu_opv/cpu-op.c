// SPDX-License-Identifier: GPL-2.0 OR MIT

#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cpu-op.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

int cpu_opv(struct cpu_op *vec, int cnt, int cpu, int flags)
{
	return syscall(__NR_cpu_opv, vec, cnt, cpu, flags);
}

int cpu_op_available(void)
{
	return cpu_opv(NULL, 0, 0, CPU_OP_NR_FLAG) >= 0;
}

int cpu_op_get_current_cpu(void)
{
	int cpu = sched_getcpu();

	if (cpu < 0) {
		perror("sched_getcpu");
		abort();
	}
	return cpu;
}

static struct cpu_op cmpeqv(const intptr_t *v, const intptr_t *expect)
{
	return cpu_op_compare(CPU_COMPARE_EQ_OP, v, expect, sizeof(*v));
}

static struct cpu_op storev(intptr_t *v, const intptr_t *newv)
{
	return cpu_op_memcpy(CPU_MEMCPY_OP, v, newv, sizeof(*v));
}

static struct cpu_op storev_release(intptr_t *v, const intptr_t *newv)
{
	return cpu_op_memcpy(CPU_MEMCPY_RELEASE_OP, v, newv, sizeof(*v));
}

int cpu_op_cmpxchg(void *v, void *expect, void *old, void *_new, size_t len,
		   int cpu)
{
	struct cpu_op vec[] = {
		cpu_op_memcpy(CPU_MEMCPY_OP, old, v, len),
		cpu_op_compare(CPU_COMPARE_EQ_OP, v, expect, len),
		cpu_op_memcpy(CPU_MEMCPY_OP, v, _new, len),
	};

	return cpu_opv(vec, ARRAY_SIZE(vec), cpu, 0);
}

int cpu_op_add(void *v, int64_t count, size_t len, int cpu)
{
	struct cpu_op op = cpu_op_arithmetic(CPU_ADD_OP, v, count, len);

	return cpu_opv(&op, 1, cpu, 0);
}

int cpu_op_add_release(void *v, int64_t count, size_t len, int cpu)
{
	struct cpu_op op = cpu_op_arithmetic(CPU_ADD_RELEASE_OP, v, count, len);

	return cpu_opv(&op, 1, cpu, 0);
}

int cpu_op_addv(intptr_t *v, int64_t count, int cpu)
{
	return cpu_op_add(v, count, sizeof(*v), cpu);
}

int cpu_op_cmpeqv_storev(intptr_t *v, intptr_t expect, intptr_t newv, int cpu)
{
	struct cpu_op vec[] = {
		cmpeqv(v, &expect),
		storev(v, &newv),
	};

	return cpu_opv(vec, ARRAY_SIZE(vec), cpu, 0);
}

int cpu_op_cmpnev_storeoffp_load(intptr_t *v, intptr_t expectnot, off_t voffp,
				 intptr_t *load, int cpu)
{
	int ret;

	do {
		intptr_t head = __atomic_load_n(v, __ATOMIC_RELAXED);
		struct cpu_op vec[] = {
			cmpeqv(v, &head),
			storev(v, (const intptr_t *)(head + voffp)),
		};

		if (head == expectnot)
			return 1;
		vec[1].u.memcpy_op.expect_fault_src = 1;
		ret = cpu_opv(vec, ARRAY_SIZE(vec), cpu, 0);
		if (!ret)
			*load = head;
	} while (ret > 0);

	return ret;
}

int cpu_op_cmpeqv_storev_storev(intptr_t *v, intptr_t expect, intptr_t *v2,
				intptr_t newv2, intptr_t newv, int cpu)
{
	struct cpu_op vec[] = {
		cmpeqv(v, &expect),
		storev(v2, &newv2),
		storev(v, &newv),
	};

	return cpu_opv(vec, ARRAY_SIZE(vec), cpu, 0);
}

int cpu_op_cmpeqv_storev_mb_storev(intptr_t *v, intptr_t expect, intptr_t *v2,
				   intptr_t newv2, intptr_t newv, int cpu)
{
	struct cpu_op vec[] = {
		cmpeqv(v, &expect),
		storev(v2, &newv2),
		cpu_op_mb(),
		storev(v, &newv),
	};

	return cpu_opv(vec, ARRAY_SIZE(vec), cpu, 0);
}

int cpu_op_cmpeqv_storev_storev_release(intptr_t *v, intptr_t expect,
					intptr_t *v2, intptr_t newv2,
					intptr_t newv, int cpu)
{
	struct cpu_op vec[] = {
		cmpeqv(v, &expect),
		storev(v2, &newv2),
		storev_release(v, &newv),
	};

	return cpu_opv(vec, ARRAY_SIZE(vec), cpu, 0);
}

int cpu_op_cmpeqv_cmpeqv_storev(intptr_t *v, intptr_t expect, intptr_t *v2,
				intptr_t expect2, intptr_t newv, int cpu)
{
	struct cpu_op vec[] = {
		cmpeqv(v, &expect),
		cmpeqv(v2, &expect2),
		storev(v, &newv),
	};

	return cpu_opv(vec, ARRAY_SIZE(vec), cpu, 0);
}

int cpu_op_cmpeqv_memcpy_storev(intptr_t *v, intptr_t expect, void *dst,
				void *src, size_t len, intptr_t newv, int cpu)
{
	struct cpu_op vec[] = {
		cmpeqv(v, &expect),
		cpu_op_memcpy(CPU_MEMCPY_OP, dst, src, len),
		storev(v, &newv),
	};

	return cpu_opv(vec, ARRAY_SIZE(vec), cpu, 0);
}

int cpu_op_cmpeqv_memcpy_mb_storev(intptr_t *v, intptr_t expect, void *dst,
				   void *src, size_t len, intptr_t newv,
				   int cpu)
{
	struct cpu_op vec[] = {
		cmpeqv(v, &expect),
		cpu_op_memcpy(CPU_MEMCPY_OP, dst, src, len),
		cpu_op_mb(),
		storev(v, &newv),
	};

	return cpu_opv(vec, ARRAY_SIZE(vec), cpu, 0);
}

int cpu_op_cmpeqv_memcpy_storev_release(intptr_t *v, intptr_t expect, void *dst,
					void *src, size_t len, intptr_t newv,
					int cpu)
{
	struct cpu_op vec[] = {
		cmpeqv(v, &expect),
		cpu_op_memcpy(CPU_MEMCPY_OP, dst, src, len),
		storev_release(v, &newv),
	};

	return cpu_opv(vec, ARRAY_SIZE(vec), cpu, 0);
}
