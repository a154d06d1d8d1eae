/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Restartable sequences that work on the same data as vectors.
 */
#ifndef CPU_OPV_RSEQ_H
#define CPU_OPV_RSEQ_H

#include "cpu_opv_cpus.h"
#include "rseq.h"

/* How many sequences were aborted. */
static unsigned long nr_aborts;

static inline bool aborted(int ret)
{
	if (ret >= 0)
		return false;
	__atomic_fetch_add(&nr_aborts, 1, __ATOMIC_RELAXED);
	return true;
}

/*
 * Whether this thread has restartable sequences.  The C library registers each
 * thread for them, with the least size.  If it is told not to, by GLIBC_TUNABLES,
 * then each thread has to register itself, with the size that the kernel supports.
 */
static inline bool have_rseq(void)
{
	return rseq_available() && !rseq_register_current_thread();
}

/*
 * Store a value by a sequence that takes its time between the comparison and
 * that, so that what comes in between is likely to come there.
 */
static inline int rseq_store(intptr_t *v, intptr_t expect, intptr_t newv,
			     int cpu)
{
	char src[256] = { 0 }, dst[256];

	return rseq_cmpeqv_trymemcpy_storev(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID,
					    v, expect, dst, src, sizeof(src),
					    newv, cpu);
}

/* A step: a sequence increments the counter of the current CPU. */
static inline int rseq_count_step(struct worker *worker)
{
	int ret;

	do {
		int cpu = rseq_cpu_start();
		intptr_t *count = &worker->percpu->of[cpu].shared;
		intptr_t old = RSEQ_READ_ONCE(*count);

		ret = rseq_store(count, old, old + 1, cpu);
	} while (aborted(ret) || ret);
	return 0;
}

/* A step: a vector increments the counter of any CPU. */
static inline int opv_count_step(struct worker *worker)
{
	int cpu = random_cpu(&worker->percpu->cpus, &worker->random);
	intptr_t *count = &worker->percpu->of[cpu].shared;
	intptr_t tmp;
	struct cpu_op vec[] = {
		cpu_op_memcpy(CPU_MEMCPY_OP, &tmp, count, sizeof(tmp)),
		cpu_op_arithmetic(CPU_ADD_OP, &tmp, 1, sizeof(tmp)),
		cpu_op_memcpy(CPU_MEMCPY_OP, count, &tmp, sizeof(tmp)),
	};

	return run_on(vec, ARRAY_SIZE(vec), cpu);
}

static inline unsigned long sum_shared(const struct percpu *percpu)
{
	unsigned long sum = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		sum += percpu->of[cpu].shared;
	return sum;
}

/* Take a node that was popped.  No other thread has it at the same time. */
static inline int take_node(struct node *node)
{
	return __atomic_exchange_n(&node->taken, true, __ATOMIC_RELAXED) ?
	       -EEXIST : 0;
}

static inline void release_node(struct node *node)
{
	__atomic_store_n(&node->taken, false, __ATOMIC_RELAXED);
}

/* A step: sequences pop a node from the list of the CPU and push it again. */
static inline int rseq_list_step(struct worker *worker)
{
	intptr_t node;
	int ret;

	do {
		int cpu = rseq_cpu_start();

		ret = rseq_cmpnev_storeoffp_load(RSEQ_MO_RELAXED,
						 RSEQ_PERCPU_CPU_ID,
						 &worker->percpu->of[cpu].head,
						 0, offsetof(struct node, next),
						 &node, cpu);
	} while (aborted(ret));
	if (ret)
		return 0;

	ret = take_node((struct node *)node);
	if (ret)
		return ret;
	release_node((struct node *)node);

	do {
		int cpu = rseq_cpu_start();
		intptr_t *head = &worker->percpu->of[cpu].head;
		intptr_t old = RSEQ_READ_ONCE(*head);

		((struct node *)node)->next = (struct node *)old;
		ret = rseq_store(head, old, node, cpu);
	} while (aborted(ret) || ret);
	return 0;
}

/* The parts of vectors, by the names that the sequences have for the same. */
static inline struct cpu_op cmpeqv(const intptr_t *v, const intptr_t *expect)
{
	return cpu_op_compare(CPU_COMPARE_EQ_OP, v, expect, sizeof(*v));
}

static inline struct cpu_op storev(intptr_t *v, const intptr_t *newv)
{
	return cpu_op_memcpy(CPU_MEMCPY_OP, v, newv, sizeof(*v));
}

static inline int opv_addv(intptr_t *v, int64_t count, int cpu)
{
	struct cpu_op op = cpu_op_arithmetic(CPU_ADD_OP, v, count, sizeof(*v));

	return run_on(&op, 1, cpu);
}

static inline int opv_push(struct percpu *percpu, struct node *node, int cpu)
{
	intptr_t *head = &percpu->of[cpu].head;
	intptr_t new = (intptr_t)node;
	int ret;

	do {
		intptr_t old = RSEQ_READ_ONCE(*head);
		struct cpu_op vec[] = { cmpeqv(head, &old), storev(head, &new) };

		node->next = (struct node *)old;
		ret = run_on(vec, ARRAY_SIZE(vec), cpu);
	} while (ret > 0);
	return ret;
}

/* Returns 1 if the list is empty. */
static inline int opv_pop(struct percpu *percpu, intptr_t *node, int cpu)
{
	intptr_t *head = &percpu->of[cpu].head;
	int ret;

	do {
		*node = RSEQ_READ_ONCE(*head);
		if (!*node)
			return 1;

		struct cpu_op vec[] = {
			cmpeqv(head, node),
			storev(head, (intptr_t *)&((struct node *)*node)->next),
		};

		ret = run_on(vec, ARRAY_SIZE(vec), cpu);
	} while (ret > 0);
	return ret;
}

/* A step: vectors pop a node from the list of any CPU and push it to any. */
static inline int opv_list_step(struct worker *worker)
{
	struct percpu *percpu = worker->percpu;
	int cpu = random_cpu(&percpu->cpus, &worker->random);
	intptr_t node;
	int ret;

	ret = opv_pop(percpu, &node, cpu);
	if (ret)
		return ret < 0 ? ret : 0;

	ret = take_node((struct node *)node);
	if (ret)
		return ret;
	release_node((struct node *)node);

	return opv_push(percpu, (struct node *)node,
			random_cpu(&percpu->cpus, &worker->random));
}

/* Put each node on a list. */
static inline void fill_lists(struct percpu *percpu, struct node *nodes, int nr)
{
	for (int i = 0; i < nr; i++) {
		intptr_t *head = &percpu->of[nth_cpu(&percpu->cpus,
				i % CPU_COUNT(&percpu->cpus))].head;

		nodes[i].next = (struct node *)*head;
		*head = (intptr_t)&nodes[i];
	}
}

/* Take each node off its list.  Returns how many there were, at most limit. */
static inline int empty_lists(struct percpu *percpu, int limit)
{
	int nr = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		struct node *node = (struct node *)percpu->of[cpu].head;

		for (; node && nr < limit && !take_node(node); nr++)
			node = node->next;
		if (node)
			break;
	}
	return nr;
}

#endif /* CPU_OPV_RSEQ_H */
