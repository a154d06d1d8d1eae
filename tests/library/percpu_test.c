// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Each function of percpu.h, from C11 and from C++17: what it returns, what it
 * stores, and what it leaves.  For the CPU that the thread is on, and for every
 * other one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cpu-op.h>
#include <percpu.h>

#define CHECK(condition)						\
	do {								\
		if (!(condition)) {					\
			fprintf(stderr, "%s:%d: cpu %d: %s\n", __FILE__, \
				__LINE__, cpu, #condition);		\
			exit(1);					\
		}							\
	} while (0)

static void check_words(int cpu)
{
	intptr_t v = 40, v2 = 7, old = 0;
	int32_t word[3] = { -1, -2, -1 };

	CHECK(percpu_addv(&v, 2, cpu) == 0 && v == 42);
	CHECK(percpu_addv_release(&v, -2, cpu) == 0 && v == 40);
	CHECK(percpu_fetch_addv(&v, 1, &old, cpu) == 0 && old == 40 && v == 41);
	CHECK(percpu_swapv(&v, 5, &old, cpu) == 0 && old == 41 && v == 5);
	CHECK(percpu_cmpeqv_storev(&v, 4, 6, cpu) == 1 && v == 5);
	CHECK(percpu_cmpeqv_storev(&v, 5, 6, cpu) == 0 && v == 6);
	CHECK(percpu_cmpeqv_storev_storev(&v, 5, &v2, 8, 9, cpu) == 1);
	CHECK(v == 6 && v2 == 7);
	CHECK(percpu_cmpeqv_storev_storev(&v, 6, &v2, 8, 9, cpu) == 0);
	CHECK(v == 9 && v2 == 8);
	CHECK(percpu_cmpeqv_storev_storev_release(&v, 9, &v2, 1, 2, cpu) == 0);
	CHECK(v == 2 && v2 == 1);
	CHECK(percpu_cmpeqv_cmpeqv_storev(&v, 1, &v2, 1, 3, cpu) == 1);
	CHECK(percpu_cmpeqv_cmpeqv_storev(&v, 2, &v2, 2, 3, cpu) == 2);
	CHECK(v == 2);
	CHECK(percpu_cmpeqv_cmpeqv_storev(&v, 2, &v2, 1, 3, cpu) == 0 && v == 3);

	CHECK(percpu_add32(&word[1], 1, cpu) == 0 && word[1] == -1);
	CHECK(percpu_cmpeq_store32(&word[1], 1, 5, cpu) == 1 && word[1] == -1);
	CHECK(percpu_cmpeq_store32(&word[1], -1, 5, cpu) == 0 && word[1] == 5);
	CHECK(word[0] == -1 && word[2] == -1);
}

static void check_copies(int cpu)
{
	char src[] = "a record", dst[sizeof(src)] = "";
	intptr_t v = 1;

	CHECK(percpu_cmpeqv_memcpy_storev(&v, 0, dst, src, sizeof(src), 2,
					  cpu) == 1 && v == 1);
	CHECK(percpu_cmpeqv_memcpy_storev(&v, 1, dst, src, sizeof(src), 2,
					  cpu) == 0 && v == 2);
	CHECK(!strcmp(dst, src));
	memset(dst, 0, sizeof(dst));
	CHECK(percpu_cmpeqv_memcpy_storev_release(&v, 2, dst, src, sizeof(src),
						  3, cpu) == 0 && v == 3);
	CHECK(!strcmp(dst, src));
	errno = 0;
	CHECK(percpu_cmpeqv_memcpy_storev(&v, 3, dst, src, 4097, 4, cpu) == -1);
	CHECK(errno == EINVAL && v == 3);
}

static void check_lists(int cpu)
{
	struct percpu_list list = { NULL };
	struct percpu_list_node nodes[3], *node = NULL;
	intptr_t head, load = 0;

	/* The link is not at the start of an element. */
	struct element {
		int value;
		struct element *next;
	} second = { 2, NULL }, first = { 1, &second };

	for (int i = 0; i < 3; i++)
		CHECK(percpu_list_push(&list, &nodes[i], cpu) == 0);
	CHECK(percpu_list_pop(&list, &node, cpu) == 0 && node == &nodes[2]);
	CHECK(percpu_list_take_all(&list, &node, cpu) == 0);
	CHECK(node == &nodes[1] && node->next == &nodes[0]);
	CHECK(!node->next->next);
	CHECK(percpu_list_pop(&list, &node, cpu) == 1);
	CHECK(percpu_list_take_all(&list, &node, cpu) == 0 && !node);

	head = (intptr_t)&first;
	CHECK(percpu_cmpnev_storeoffp_load(&head, 0,
					   offsetof(struct element, next),
					   &load, cpu) == 0);
	CHECK(load == (intptr_t)&first && head == (intptr_t)&second);
	CHECK(percpu_cmpnev_storeoffp_load(&head, (intptr_t)&second, 0, &load,
					   cpu) == 1);
	CHECK(head == (intptr_t)&second);
}

static void check_errors(int cpu)
{
	intptr_t v = 1;

	errno = 0;
	CHECK(percpu_addv(&v, 1, cpu) == -1 && errno == EINVAL);
	errno = 0;
	CHECK(percpu_cmpeqv_storev(&v, 1, 2, cpu) == -1 && errno == EINVAL);
	CHECK(v == 1);
}

/* The call itself, by the builders of cpu-op.h. */
static void check_call(int cpu)
{
	uint64_t word = 0xf0, other = 0;
	struct cpu_op vec[] = {
		cpu_op_arithmetic(CPU_ADD_OP, &word, 0x10f, 8),
		cpu_op_bitwise(CPU_AND_OP, &word, 0xff, 8),
		cpu_op_shift(CPU_LSHIFT_OP, &word, 1, 8),
		cpu_op_mb(),
		cpu_op_memcpy(CPU_MEMCPY_OP, &other, &word, 8),
		cpu_op_compare(CPU_COMPARE_NE_OP, &other, &word, 8),
	};

	if (cpu_op_available()) {
		CHECK(cpu_opv(vec, 6, cpu, 0) == 6);
		CHECK(word == 0x1fe && other == 0x1fe);
		CHECK(percpu_uses_cpu_opv() || getenv("CPU_OPV_TIERS"));
	} else {
		errno = 0;
		CHECK(cpu_opv(vec, 6, cpu, 0) == -1 && errno == ENOSYS);
		CHECK(word == 0xf0 && !percpu_uses_cpu_opv());
	}
}

int main(void)
{
	struct percpu_counts counts;
	int cpu;

	for (cpu = 0; cpu < percpu_nr_cpus(); cpu++) {
		check_words(cpu);
		check_copies(cpu);
		check_lists(cpu);
	}
	check_errors(-1);
	check_errors(percpu_nr_cpus());
	cpu = percpu_current_cpu();
	check_call(cpu);
	/* An older kernel fences no sequences, so there are none. */
	errno = 0;
	CHECK(percpu_start() == 0 || (errno == ENOSYS && !percpu_uses_rseq() &&
				      !percpu_uses_cpu_opv()));
	percpu_get_counts(&counts);
	if (percpu_nr_cpus() > 1)
		CHECK(counts.vectors + counts.locked > 0);
	CHECK(percpu_uses_cpu_opv() ? !counts.locked : !counts.vectors);
	errno = 0;
	CHECK(percpu_uses_cpu_opv() ? percpu_share() == 0 :
	      percpu_share() == -1 && errno == ENOSYS);
	printf("rseq %d, cpu_opv %d, vectors: %zu, locked: %zu, aborts: %zu\n",
	       percpu_uses_rseq(), percpu_uses_cpu_opv(), counts.vectors,
	       counts.locked, counts.aborts);
	return 0;
}
