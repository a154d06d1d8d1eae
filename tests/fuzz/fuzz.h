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

/* ---- areas.c: the memory of operands ------------------------------------- */

enum area_kind {
	ANON,			/* private, present, writable */
	FRESH,			/* never touched */
	ZERO,			/* the zero page */
	READ_ONLY,
	READ_ONLY_FRESH,
	NO_ACCESS,
	SHARED,			/* a file */
	ALIAS,			/* the same file once more */
	SHARED_READ_ONLY,	/* the same file once more */
	PRIVATE,		/* the same file, private, never written */
	PRIVATE_READ_ONLY,	/* the same file, private, cannot be written */
	PRIVATE_WRITTEN,	/* a file, private, written */
	PAST_END,		/* half of it is past the end of a file */
	THP,			/* the end of a transparent huge page, small pages after it */
	HUGETLB,		/* the end of a page of hugetlbfs */
	GUARD,			/* the second page is a guard */
	STACK,			/* grows downwards */
	HOLE,			/* not mapped */
	SWAPPED,
	FORKED,			/* shared with a child until it is written */
	UFFD,			/* half of it is missing, which userfaultfd makes a fault */
	SECRET,			/* memfd_secret(), which cannot be pinned */
	PKEY,			/* the protection key denies stores */
	VECTOR,			/* where the vector itself is */
	KERNEL,			/* addresses that no process has */
	NR_AREAS
};

/* An area is a window of pages, of which most kinds map those in the middle. */
#define AREA_PAGES	8
#define FIRST_PAGE	2
#define END_PAGE	6

/* What the model thinks that is in a page. */
struct content {
	uint8_t *bytes;
	uint8_t *unknown;	/* a byte that is not zero marks one that may be anything */
	bool has_unknown;
};

struct page {
	struct content *content;	/* what is seen there */
	struct content own;		/* what is seen once it is not shared */
	bool readable, writable;
	bool shares_file;		/* until it is written */
	bool unchecked;			/* may show the file before or after the vector */
};

struct area {
	const char *name;
	uint8_t *base;
	bool used;		/* by this input */
	bool built;
	bool may_fault;		/* the kernel may refuse to pin it */
	bool lively;		/* other threads may change its mapping */
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
/* Changes the mapping of an area in one way after the other, for ever. */
enum change { CHANGE_ADVICE, CHANGE_PROTECTION, CHANGE_PLACE, CHANGE_DISCARD, CHANGE_FILE };
void area_change(enum area_kind kind, enum change change, unsigned int turn);
void area_restore(enum area_kind kind);

/* ---- model.c: what a call has to do --------------------------------------- */

struct model {
	bool is_invalid, faults, faults_expected;	/* any of them: nothing happens */
	bool may_fault;
	bool uncertain;		/* the result depends on bytes that may be anything */
	bool rereads;		/* it reads what it stores through another mapping */
};

/* Finds the page of an address, NULL if it is in no area. */
struct page *model_page(uint64_t address, enum area_kind *kind, size_t *index, size_t *offset);
bool model_is_accessible(uint64_t address, size_t len, bool write);
/* Reads @len bytes of accessible memory. */
void model_read(uint64_t address, void *to, size_t len);
void model_examine(const struct cpu_op *ops, int count, struct model *model);
int model_run(const struct cpu_op *ops, int count, struct model *model);

/* ---- disturb.c: what other threads do meanwhile --------------------------- */

enum disturbance {
	QUIET,
	AFFINITY,		/* the mask changes, and always has the CPU */
	AFFINITY_OUT,		/* the mask changes, and does not always have the CPU */
	FORK,
	ADVICE,			/* memory is locked, swapped out, read in */
	PROTECTION,		/* memory becomes read-only and writable */
	PLACE,			/* memory is moved away and back */
	DISCARD,		/* memory is discarded */
	PUNCH,			/* pages of the file are discarded */
	CALLS,			/* others run vectors on the same CPU */
	HOTPLUG,		/* a CPU goes and comes */
	REWRITE,		/* the vector is overwritten */
	SIGNALS,
	NR_DISTURBANCES
};

void disturb_init(void);
void disturb_start(enum disturbance kind, int cpu, const uint64_t mask);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* FUZZ_H */
