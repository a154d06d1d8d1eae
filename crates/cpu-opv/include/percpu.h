/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Per-CPU operations: libcpu_opv(3).
 *
 * Each works on the data of the CPU that it is given, whichever one the thread runs on, and is
 * atomic against all other operations for that CPU. Each returns 0 when it is done, a positive
 * number if a comparison failed, and -1 with errno set if it could not be done; only in the first
 * case has anything been stored.
 */

#ifndef CPU_OPV_PERCPU_H
#define CPU_OPV_PERCPU_H

#include <stddef.h>
#include <stdint.h>

/**
 * How often operations of the process were not done by one sequence.
 */
struct percpu_counts {
        /**
         * Vectors that were run by cpu_opv().
         */
        size_t vectors;
        /**
         * Operations that were done under the lock.
         */
        size_t locked;
        /**
         * Sequences that were begun on the CPU and did not get to their end.
         */
        size_t aborts;
};

/**
 * The link of an element of a list.
 */
struct percpu_list_node {
        /**
         * The next element, of a list that nobody else has.
         */
        struct percpu_list_node *next;
};

/**
 * The list of one CPU. All zeroes are an empty one.
 */
struct percpu_list {
        /**
         * The first element.
         */
        struct percpu_list_node *head;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Returns the number of the CPU that the thread runs on. It may run on another one by now.
 */
int percpu_current_cpu(void);

/**
 * Returns one more than the highest number that a CPU can have.
 */
int percpu_nr_cpus(void);

/**
 * Finds out what the process uses, as the first operation does. Returns 0, or -1 with errno set to
 * ENOSYS: the kernel has neither cpu_opv() nor the membarrier() that fences restartable sequences
 * (since Linux 5.10). Then each operation takes the lock.
 */
int percpu_start(void);

/**
 * Returns 1 if the process uses restartable sequences, else 0.
 */
int percpu_uses_rseq(void);

/**
 * Returns 1 if the process uses cpu_opv(), else 0: then the lock stands in for it.
 */
int percpu_uses_cpu_opv(void);

/**
 * Tells how often operations of the process were not done by one sequence.
 */
void percpu_get_counts(struct percpu_counts *counts);

/**
 * Declares that data is shared with other processes: from now on nothing is done under the lock,
 * which excludes the threads of this process only. Call it before anything else. Returns 0, or -1
 * with errno set to ENOSYS if the kernel does not have cpu_opv().
 */
int percpu_share(void);

/**
 * *v += count.
 */
int percpu_addv(intptr_t *v, intptr_t count, int cpu);

/**
 * *v += count, ordered after all loads and stores before it.
 */
int percpu_addv_release(intptr_t *v, intptr_t count, int cpu);

/**
 * *v += count, for 32 bits.
 */
int percpu_add32(int32_t *v, int32_t count, int cpu);

/**
 * *old = *v; *v += count.
 */
int percpu_fetch_addv(intptr_t *v, intptr_t count, intptr_t *old, int cpu);

/**
 * *old = *v; *v = newv.
 */
int percpu_swapv(intptr_t *v, intptr_t newv, intptr_t *old, int cpu);

/**
 * if (*v != expect) return 1; *v = newv.
 */
int percpu_cmpeqv_storev(intptr_t *v, intptr_t expect, intptr_t newv, int cpu);

/**
 * if (*v != expect) return 1; *v = newv, for 32 bits.
 */
int percpu_cmpeq_store32(int32_t *v,
                         int32_t expect,
                         int32_t new_value,
                         int cpu);

/**
 * if (*v == expectnot) return 1; *load = *v; *v = *(*v + voffp): takes the first element of a list
 * whose link is voffp bytes into an element.
 */
int percpu_cmpnev_storeoffp_load(intptr_t *v,
                                 intptr_t expectnot,
                                 intptr_t voffp,
                                 intptr_t *load,
                                 int cpu);

/**
 * if (*v != expect) return 1; *v2 = newv2; *v = newv.
 */
int percpu_cmpeqv_storev_storev(intptr_t *v,
                                intptr_t expect,
                                intptr_t *v2,
                                intptr_t newv2,
                                intptr_t newv,
                                int cpu);

/**
 * As percpu_cmpeqv_storev_storev(), and the last store is ordered after all loads and stores before
 * it.
 */
int percpu_cmpeqv_storev_storev_release(intptr_t *v,
                                        intptr_t expect,
                                        intptr_t *v2,
                                        intptr_t newv2,
                                        intptr_t newv,
                                        int cpu);

/**
 * if (*v != expect) return 1; if (*v2 != expect2) return 2; *v = newv.
 */
int percpu_cmpeqv_cmpeqv_storev(intptr_t *v,
                                intptr_t expect,
                                intptr_t *v2,
                                intptr_t expect2,
                                intptr_t newv,
                                int cpu);

/**
 * if (*v != expect) return 1; memcpy(dst, src, len); *v = newv. At most 4096 bytes; dst may have
 * been written to also if nothing was stored in v.
 */
int percpu_cmpeqv_memcpy_storev(intptr_t *v,
                                intptr_t expect,
                                void *dst,
                                const void *src,
                                size_t len,
                                intptr_t newv,
                                int cpu);

/**
 * As percpu_cmpeqv_memcpy_storev(), and the store is ordered after all loads and stores before it.
 */
int percpu_cmpeqv_memcpy_storev_release(intptr_t *v,
                                        intptr_t expect,
                                        void *dst,
                                        const void *src,
                                        size_t len,
                                        intptr_t newv,
                                        int cpu);

/**
 * Puts an element, which is on no list, at the head of the list of a CPU.
 */
int percpu_list_push(struct percpu_list *list,
                     struct percpu_list_node *node,
                     int cpu);

/**
 * Takes the element at the head of the list of a CPU. Returns 1 if there is none.
 */
int percpu_list_pop(struct percpu_list *list,
                    struct percpu_list_node **node,
                    int cpu);

/**
 * Takes all elements of the list of a CPU. *first is NULL if there is none.
 */
int percpu_list_take_all(struct percpu_list *list,
                         struct percpu_list_node **first,
                         int cpu);

#ifdef __cplusplus
} // extern "C"
#endif // __cplusplus

#endif /* CPU_OPV_PERCPU_H */
