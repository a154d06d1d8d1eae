/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A fuzzer of the cpu_opv() system call.  Bytes become a call (call.c), on areas
 * of every kind of memory (areas.c), while other threads may disturb it
 * (disturb.c).  A model says what the call has to do (model.c), and KCOV what it
 * reached in the kernel (coverage.c).  The bytes come from libFuzzer, or from
 * files (replay.c).
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/cpu_opv.h>

#define NR_CPU_OPV	600

/* The last CPU is taken offline at the start, and stays so. */
#define NR_CPUS		4
#define OFFLINE_CPU	(NR_CPUS - 1)
#define HOTPLUG_CPU	(NR_CPUS - 2)

#define MAX_BYTES	256

/* Prints why, and the input, and ends the program. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Ends the program because it cannot do its work here. */
void give_up(const char *what) __attribute__((noreturn));

enum disturbance {
	QUIET,
	/* The mask changes, and always has the CPU, or not always. */
	AFFINITY,
	AFFINITY_OUT,
	FORK,
	/* Memory is locked, swapped out and read in; made read-only; moved; discarded. */
	ADVICE,
	PROTECTION,
	PLACE,
	DISCARD,
	/* Pages of the file are discarded. */
	PUNCH,
	/* Others run vectors on the same CPU. */
	CALLS,
	/* A CPU goes offline and comes back. */
	HOTPLUG,
	/* The vector is overwritten. */
	REWRITE,
	SIGNALS,
	NR_DISTURBANCES
};

/* ---- areas.c: the memory of operands ------------------------------------- */

enum area_kind {
	/* Private memory, present and writable. */
	ANON,
	/* Private memory that was never touched, or only read, which maps the zero page. */
	FRESH,
	ZERO,
	READ_ONLY,
	READ_ONLY_FRESH,
	NO_ACCESS,
	/* All of these map one file, the private ones without a copy of it. */
	SHARED,
	ALIAS,
	SHARED_READ_ONLY,
	PRIVATE,
	PRIVATE_READ_ONLY,
	/* A private mapping of another file, with a copy of each page. */
	PRIVATE_WRITTEN,
	/* The second half is past the end of a file. */
	PAST_END,
	/* The first half is the end of a huge page.  Behind that of THP are small pages. */
	THP,
	HUGETLB,
	/* The second page is a guard. */
	GUARD,
	/* The second half is mapped, and grows downwards. */
	STACK,
	/* Not mapped. */
	HOLE,
	SWAPPED,
	/* Shared with a child until it is written. */
	FORKED,
	/* The second half is missing, which userfaultfd makes a fault. */
	UFFD,
	/* Of memfd_secret(), which cannot be pinned. */
	SECRET,
	/* The protection key denies stores. */
	PKEY,
	/* Where the vector itself is. */
	VECTOR,
	/* Addresses that no process has. */
	KERNEL,
	NR_AREAS
};

/* An area is a window of pages, of which most kinds map those in the middle. */
#define AREA_PAGES	8
#define FIRST_PAGE	2
#define END_PAGE	6
/* Where the second half of those in the middle starts. */
#define HALF_PAGE	4

/* What the model thinks that is in a page. */
struct content {
	uint8_t *bytes;
	/* A byte that is not zero marks one that may be anything. */
	uint8_t *unknown;
	bool has_unknown;
};

struct page {
	/* What is seen there, and what will be once it is not shared. */
	struct content *content;
	struct content own;
	bool readable, writable;
	/* It shows the file until it is written. */
	bool shares_file;
	/* It may show the file before or after the vector. */
	bool unchecked;
};

struct area {
	const char *name;
	uint8_t *base;
	/* By this input. */
	bool used;
	bool built;
	/* The kernel may refuse to pin it. */
	bool may_fault;
	/* Other threads may change its mapping. */
	bool lively;
	struct page pages[AREA_PAGES];
};

extern struct area areas[NR_AREAS];
extern size_t page_size;
extern struct content file_contents[END_PAGE - FIRST_PAGE];

void areas_init(void);
void area_use(enum area_kind kind);
/* Compares the memory of the areas that are used to the model. */
void areas_check(void);
/* Other threads have changed the mapping or the contents: build them anew. */
void areas_forget(void);
uint8_t *area_address(enum area_kind kind, uint8_t page, int8_t offset);
/* One of the changes of ADVICE to PUNCH, and another one at the next turn. */
void area_change(enum area_kind kind, enum disturbance change, unsigned int turn);
void area_restore(enum area_kind kind);

/* ---- model.c: what a call has to do --------------------------------------- */

struct model {
	/* If it is any of these, nothing happens. */
	bool is_invalid, faults, faults_expected;
	bool may_fault;
	/* The result depends on bytes that may be anything. */
	bool uncertain;
	/* It reads what it stores through another mapping. */
	bool rereads;
};

/* Finds the page of an address, NULL if it is in no area. */
struct page *model_page(uint64_t address, enum area_kind *kind, size_t *index, size_t *offset);
bool model_is_accessible(uint64_t address, size_t len, bool write);
/* Reads @len bytes of accessible memory. */
void model_read(uint64_t address, void *to, size_t len);
void model_examine(const struct cpu_op *ops, int count, struct model *model);
int model_run(const struct cpu_op *ops, int count, struct model *model);

/* ---- disturb.c: what other threads do meanwhile --------------------------- */

void disturb_init(void);
void disturb_start(enum disturbance kind, int cpu, uint64_t mask);
void disturb_stop(void);
/* One vector of those that CALLS runs, by the caller. */
void disturb_call(void);

int call_opv(const void *vec, int count, int cpu, int flags);
int set_affinity(int tid, uint64_t mask);

/* ---- coverage.c: what a call reached --------------------------------------- */

void coverage_init(void);
void coverage_begin(void);
void coverage_end(void);
/* Keeps an input where the host finds it when the kernel has died. */
void coverage_record(const uint8_t *data, size_t size);

/* ---- call.c ---------------------------------------------------------------- */

/* Checks what takes too long to do after each call: pins, and lockdep. */
void check_kernel(void);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* FUZZ_H */
