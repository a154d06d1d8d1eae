// SPDX-License-Identifier: GPL-2.0
/*
 * Areas of every kind of memory, and what the model thinks is in them.
 *
 * They are at fixed addresses, so that an input means the same in each run, and
 * far from each other, so that no operand reaches two of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#ifndef MADV_PAGEOUT
# define MADV_PAGEOUT	21
#endif
#ifndef MADV_GUARD_INSTALL
# define MADV_GUARD_INSTALL	102
#endif

#define ARENA		0x2000000000UL
#define SLOT		(8UL << 20)
#define HUGE		(2UL << 20)

size_t page_size;
struct content file_contents[END_PAGE - FIRST_PAGE];

struct area areas[NR_AREAS] = {
	[ANON] = { .name = "anon", .lively = true },
	[FRESH] = { .name = "fresh" },
	[ZERO] = { .name = "zero" },
	[READ_ONLY] = { .name = "read-only" },
	[READ_ONLY_FRESH] = { .name = "read-only-fresh" },
	[NO_ACCESS] = { .name = "no-access" },
	[SHARED] = { .name = "shared", .lively = true },
	[ALIAS] = { .name = "alias" },
	[SHARED_READ_ONLY] = { .name = "shared-read-only" },
	[PRIVATE] = { .name = "private" },
	[PRIVATE_READ_ONLY] = { .name = "private-read-only" },
	[PRIVATE_WRITTEN] = { .name = "private-written", .lively = true },
	[PAST_END] = { .name = "past-end" },
	[THP] = { .name = "thp" },
	[HUGETLB] = { .name = "hugetlb" },
	[GUARD] = { .name = "guard" },
	[STACK] = { .name = "stack" },
	[HOLE] = { .name = "hole" },
	[SWAPPED] = { .name = "swapped", .lively = true },
	[FORKED] = { .name = "forked" },
	[UFFD] = { .name = "uffd" },
	[SECRET] = { .name = "secret", .may_fault = true },
	[PKEY] = { .name = "pkey" },
	[VECTOR] = { .name = "vector" },
	[KERNEL] = { .name = "kernel" },
};

static int file, written_file, short_file, secret_file, uffd;
static uint8_t *file_map;
static pid_t child;

static void *must(void *address, const char *what)
{
	if (address == MAP_FAILED)
		give_up(what);
	return address;
}

/* The middle of an area, or all of it that is accessible in huge pages. */
static uint8_t *middle(enum area_kind kind)
{
	return areas[kind].base + FIRST_PAGE * page_size;
}

#define MIDDLE_SIZE	((END_PAGE - FIRST_PAGE) * page_size)

/*
 * The first half of a page is the same everywhere, so that operands can be equal;
 * the second half tells which page it is.
 */
static uint8_t pattern(enum area_kind kind, size_t page, size_t offset)
{
	uint8_t common = offset / 8 * 7;

	return offset < page_size / 2 ? common : common ^ (kind * AREA_PAGES + page + 1);
}

static void fill(struct content *content, enum area_kind kind, size_t page, bool with_zeroes)
{
	for (size_t i = 0; i < page_size; i++)
		content->bytes[i] = with_zeroes ? 0 : pattern(kind, page, i);
	if (content->has_unknown)
		memset(content->unknown, 0, page_size);
	content->has_unknown = false;
}

static int new_file(size_t size, int fd)
{
	if (fd < 0 || ftruncate(fd, size))
		give_up("memfd_create");
	return fd;
}

static void content_init(struct content *content)
{
	content->bytes = calloc(2, page_size);
	if (!content->bytes)
		give_up("calloc");
	content->unknown = content->bytes + page_size;
}

void areas_init(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_SIGBUS };

	page_size = sysconf(_SC_PAGESIZE);
	for (enum area_kind kind = 0; kind < NR_AREAS; kind++) {
		struct area *area = &areas[kind];

		area->base = (uint8_t *)ARENA + kind * SLOT;
		/* The window is at the end of a huge page. */
		if (kind == THP || kind == HUGETLB)
			area->base += HUGE - HALF_PAGE * page_size;
		for (size_t i = 0; i < AREA_PAGES; i++)
			content_init(&area->pages[i].own);
	}
	for (size_t i = 0; i < END_PAGE - FIRST_PAGE; i++)
		content_init(&file_contents[i]);

	file = new_file(MIDDLE_SIZE, memfd_create("file", 0));
	written_file = new_file(MIDDLE_SIZE, memfd_create("written", 0));
	short_file = new_file(MIDDLE_SIZE / 2, memfd_create("short", 0));
	file_map = must(mmap(NULL, MIDDLE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), "mmap");
	secret_file = new_file(MIDDLE_SIZE, syscall(SYS_memfd_secret, 0));
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api))
		give_up("userfaultfd");
}

/* ---- building ---------------------------------------------------------------- */

static uint8_t *map_middle(enum area_kind kind, int prot, int flags, int fd)
{
	return must(mmap(middle(kind), MIDDLE_SIZE, prot, flags | MAP_FIXED, fd, 0), areas[kind].name);
}

static void allow(enum area_kind kind, size_t from, size_t to, bool readable, bool writable)
{
	for (size_t i = from; i < to; i++) {
		areas[kind].pages[i].readable = readable;
		areas[kind].pages[i].writable = writable;
	}
}

/* Sets what the model thinks is in the pages, and if it can be written puts it there. */
static void put(enum area_kind kind, size_t from, size_t to, bool with_zeroes, bool write)
{
	for (size_t i = from; i < to; i++) {
		struct page *page = &areas[kind].pages[i];

		fill(&page->own, kind, i, with_zeroes);
		page->content = &page->own;
		page->shares_file = page->unchecked = false;
		if (write)
			memcpy(areas[kind].base + i * page_size, page->own.bytes, page_size);
	}
}

static void put_file(enum area_kind kind, bool shares)
{
	for (size_t i = 0; i < END_PAGE - FIRST_PAGE; i++) {
		struct page *page = &areas[kind].pages[FIRST_PAGE + i];

		fill(&file_contents[i], SHARED, FIRST_PAGE + i, false);
		memcpy(file_map + i * page_size, file_contents[i].bytes, page_size);
		page->content = &file_contents[i];
		page->shares_file = shares;
		page->unchecked = false;
	}
}

static void register_uffd(void)
{
	struct uffdio_register range = {
		.range = { .start = (uint64_t)middle(UFFD), .len = MIDDLE_SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (ioctl(uffd, UFFDIO_REGISTER, &range))
		give_up("UFFDIO_REGISTER");
}

static void deny_stores(uint8_t *address)
{
	static int key = -2;

	if (key == -2)
		key = pkey_alloc(0, PKEY_DISABLE_WRITE);
	if (key < 0 || pkey_mprotect(address, MIDDLE_SIZE, PROT_READ | PROT_WRITE, key))
		mprotect(address, MIDDLE_SIZE, PROT_READ);
}

/* Maps an area. */
static void build(enum area_kind kind)
{
	const int rw = PROT_READ | PROT_WRITE, anon = MAP_PRIVATE | MAP_ANONYMOUS;
	struct area *area = &areas[kind];
	uint8_t *huge = area->base + HALF_PAGE * page_size - HUGE;

	munmap((uint8_t *)ARENA + kind * SLOT, SLOT / 2);
	allow(kind, 0, AREA_PAGES, false, false);

	switch (kind) {
	case ANON:
	case FRESH:
	case ZERO:
	case SWAPPED:
	case FORKED:
	case VECTOR:
		map_middle(kind, rw, anon, -1);
		allow(kind, FIRST_PAGE, END_PAGE, true, true);
		break;
	case READ_ONLY:
	case PKEY:
		map_middle(kind, rw, anon, -1);
		put(kind, FIRST_PAGE, END_PAGE, false, true);
		if (kind == PKEY)
			deny_stores(middle(kind));
		else
			mprotect(middle(kind), MIDDLE_SIZE, PROT_READ);
		allow(kind, FIRST_PAGE, END_PAGE, true, false);
		break;
	case READ_ONLY_FRESH:
		map_middle(kind, PROT_READ, anon, -1);
		allow(kind, FIRST_PAGE, END_PAGE, true, false);
		break;
	case NO_ACCESS:
		map_middle(kind, rw, anon, -1);
		put(kind, FIRST_PAGE, END_PAGE, false, true);
		mprotect(middle(kind), MIDDLE_SIZE, PROT_NONE);
		break;
	case SHARED:
	case ALIAS:
		map_middle(kind, rw, MAP_SHARED, file);
		allow(kind, FIRST_PAGE, END_PAGE, true, true);
		break;
	case SHARED_READ_ONLY:
		map_middle(kind, PROT_READ, MAP_SHARED, file);
		allow(kind, FIRST_PAGE, END_PAGE, true, false);
		break;
	case PRIVATE:
		map_middle(kind, rw, MAP_PRIVATE, file);
		allow(kind, FIRST_PAGE, END_PAGE, true, true);
		break;
	case PRIVATE_READ_ONLY:
		map_middle(kind, PROT_READ, MAP_PRIVATE, file);
		allow(kind, FIRST_PAGE, END_PAGE, true, false);
		break;
	case PRIVATE_WRITTEN:
		map_middle(kind, rw, MAP_PRIVATE, written_file);
		allow(kind, FIRST_PAGE, END_PAGE, true, true);
		break;
	case PAST_END:
		map_middle(kind, rw, MAP_SHARED, short_file);
		allow(kind, FIRST_PAGE, HALF_PAGE, true, true);
		break;
	case THP:
		must(mmap(huge, HUGE + 2 * page_size, rw, anon | MAP_FIXED, -1, 0), "mmap");
		madvise(huge, HUGE, MADV_HUGEPAGE);
		allow(kind, 0, END_PAGE, true, true);
		break;
	case HUGETLB:
		must(mmap(huge, HUGE, rw, anon | MAP_FIXED | MAP_HUGETLB, -1, 0), "a page of hugetlbfs");
		allow(kind, 0, HALF_PAGE, true, true);
		break;
	case GUARD:
		map_middle(kind, rw, anon, -1);
		put(kind, FIRST_PAGE, END_PAGE, false, true);
		/* Linux 6.13 has guard pages. */
		if (madvise(middle(kind) + page_size, page_size, MADV_GUARD_INSTALL))
			mprotect(middle(kind) + page_size, page_size, PROT_NONE);
		allow(kind, FIRST_PAGE, END_PAGE, true, true);
		allow(kind, FIRST_PAGE + 1, FIRST_PAGE + 2, false, false);
		break;
	case STACK:
		must(mmap(middle(kind) + 2 * page_size, 2 * page_size, rw,
			  anon | MAP_FIXED | MAP_GROWSDOWN, -1, 0), "mmap");
		allow(kind, 0, END_PAGE, true, true);
		break;
	case UFFD:
		map_middle(kind, rw, anon, -1);
		register_uffd();
		allow(kind, FIRST_PAGE, HALF_PAGE, true, true);
		break;
	case SECRET:
		map_middle(kind, rw, MAP_SHARED, secret_file);
		allow(kind, FIRST_PAGE, END_PAGE, true, true);
		break;
	case HOLE:
	case KERNEL:
	case NR_AREAS:
		break;
	}
	area->built = true;
}

static void end_child(void)
{
	if (child <= 0)
		return;
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	child = 0;
}

/* Gives the memory to a child as well, which waits until it is killed. */
static void share_with_child(void)
{
	end_child();
	child = fork();
	if (child < 0)
		give_up("fork");
	if (child)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static void copy_uffd(void)
{
	for (size_t i = FIRST_PAGE; i < HALF_PAGE; i++) {
		struct uffdio_copy copy = {
			.dst = (uint64_t)areas[UFFD].base + i * page_size,
			.src = (uint64_t)areas[UFFD].pages[i].own.bytes,
			.len = page_size,
		};

		if (ioctl(uffd, UFFDIO_COPY, &copy))
			give_up("UFFDIO_COPY");
	}
}

/* Brings an area into the state that it has before each call that uses it. */
void area_use(enum area_kind kind)
{
	struct area *area = &areas[kind];

	if (area->used)
		return;
	area->used = true;
	/* It has grown, or was copied or locked. */
	if (kind == STACK || kind == FORKED || !area->built)
		build(kind);

	switch (kind) {
	case ANON:
	case PRIVATE_WRITTEN:
	case SECRET:
		put(kind, FIRST_PAGE, END_PAGE, false, true);
		break;
	case VECTOR:
		put(kind, FIRST_PAGE, END_PAGE, true, true);
		break;
	case FRESH:
	case READ_ONLY_FRESH:
	case ZERO:
		madvise(middle(kind), MIDDLE_SIZE, MADV_DONTNEED);
		put(kind, FIRST_PAGE, END_PAGE, true, false);
		for (size_t i = FIRST_PAGE; kind == ZERO && i < END_PAGE; i++)
			(void)*(volatile uint8_t *)(area->base + i * page_size);
		break;
	case SHARED:
	case ALIAS:
	case SHARED_READ_ONLY:
		put_file(kind, false);
		break;
	case PRIVATE:
	case PRIVATE_READ_ONLY:
		madvise(middle(kind), MIDDLE_SIZE, MADV_DONTNEED);
		put_file(kind, kind == PRIVATE);
		break;
	case PAST_END:
		put(kind, FIRST_PAGE, HALF_PAGE, false, true);
		break;
	case THP:
		put(kind, 0, END_PAGE, false, true);
		break;
	case HUGETLB:
		put(kind, 0, HALF_PAGE, false, true);
		break;
	case GUARD:
		put(kind, FIRST_PAGE, FIRST_PAGE + 1, false, true);
		put(kind, FIRST_PAGE + 2, END_PAGE, false, true);
		break;
	case STACK:
		put(kind, 0, HALF_PAGE, true, false);
		put(kind, HALF_PAGE, END_PAGE, false, true);
		break;
	case SWAPPED:
		put(kind, FIRST_PAGE, END_PAGE, false, true);
		madvise(middle(kind), MIDDLE_SIZE, MADV_PAGEOUT);
		break;
	case FORKED:
		put(kind, FIRST_PAGE, END_PAGE, false, true);
		share_with_child();
		break;
	case UFFD:
		madvise(middle(kind), MIDDLE_SIZE, MADV_DONTNEED);
		put(kind, FIRST_PAGE, HALF_PAGE, false, false);
		copy_uffd();
		break;
	/* Their contents cannot change. */
	case READ_ONLY:
	case PKEY:
	case NO_ACCESS:
	case HOLE:
	case KERNEL:
	case NR_AREAS:
		break;
	}
}

void areas_forget(void)
{
	for (enum area_kind kind = 0; kind < NR_AREAS; kind++)
		if (areas[kind].used)
			areas[kind].built = false;
}

/* ---- addresses ------------------------------------------------------------------ */

/* Addresses that are nobody's, at the edges of what the kernel checks. */
static const uint64_t nowhere[] = {
	0, 0xffffffffffffff00, 0xffff888000000000, 0xffffffff81000000, 0x7ffffffff000, 0x800000000000,
	0x8000000000000000, 0x7fffffffffffff00, 0xffffffffff600000, 0x100, 0xfffffffff000, 0x10000000000000,
};

uint8_t *area_address(enum area_kind kind, uint8_t page, int8_t offset)
{
	static const uint8_t boundaries[] = { 2, 3, 4, 5, 3, 4, 2, 5, 3, 4, 5, 2, 3, 1, 6, 7 };
	size_t start = boundaries[page % 16] * page_size;
	long distance = page & 0x40 ? offset : (uint8_t)offset;

	if (kind == KERNEL)
		return (uint8_t *)nowhere[page % (sizeof(nowhere) / sizeof(*nowhere))] + (uint8_t)offset;
	/* Near the start of a page, or anywhere in its first half. */
	return areas[kind].base + start + (page & 0x80 ? 8 * distance : distance);
}

/* ---- checks --------------------------------------------------------------------- */

static void check_bytes(const char *where, size_t page, const uint8_t *real, const struct content *content)
{
	if (!content->has_unknown && !memcmp(real, content->bytes, page_size))
		return;
	for (size_t i = 0; i < page_size; i++)
		if (real[i] != content->bytes[i] && !content->unknown[i])
			fail("%s: byte %#zx of page %zu is %#x and should be %#x", where, i, page,
			     real[i], content->bytes[i]);
}

static void check_child(void)
{
	static uint8_t *copy;
	char path[32];
	int memory;

	snprintf(path, sizeof(path), "/proc/%d/mem", child);
	memory = open(path, O_RDONLY | O_CLOEXEC);
	if (!copy)
		copy = malloc(page_size);
	for (size_t i = FIRST_PAGE; i < END_PAGE; i++) {
		if (!copy || pread(memory, copy, page_size, (off_t)areas[FORKED].base + i * page_size) != (ssize_t)page_size)
			give_up(path);
		for (size_t k = 0; k < page_size; k++)
			if (copy[k] != pattern(FORKED, i, k))
				fail("a store has landed in the memory of another process: byte %#zx of page %zu", k, i);
	}
	close(memory);
}

void areas_check(void)
{
	bool uses_file = false;

	for (enum area_kind kind = 0; kind < NR_AREAS; kind++) {
		struct area *area = &areas[kind];

		if (!area->used)
			continue;
		for (size_t i = 0; i < AREA_PAGES; i++) {
			struct page *page = &area->pages[i];

			if (page->readable && !page->unchecked)
				check_bytes(area->name, i, area->base + i * page_size, page->content);
		}
		uses_file |= kind >= SHARED && kind <= PRIVATE_READ_ONLY;
	}
	for (size_t i = 0; uses_file && i < END_PAGE - FIRST_PAGE; i++)
		check_bytes("the file", i, file_map + i * page_size, &file_contents[i]);
	if (areas[FORKED].used)
		check_child();
}

/* ---- changes by other threads ---------------------------------------------------- */

static bool is_away[NR_AREAS];

/* Moves an area away, or back. */
static void move_area(enum area_kind kind)
{
	uint8_t *here = middle(kind), *there = here + SLOT / 4;
	uint8_t *from = is_away[kind] ? there : here, *to = is_away[kind] ? here : there;

	if (mremap(from, MIDDLE_SIZE, MIDDLE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED)
		is_away[kind] = !is_away[kind];
}

void area_change(enum area_kind kind, enum disturbance change, unsigned int turn)
{
	static const int advice[] = { MADV_PAGEOUT, MADV_WILLNEED, MADV_COLD, MADV_HUGEPAGE, MADV_NOHUGEPAGE };
	uint8_t *start = middle(kind);

	switch (change) {
	case ADVICE:
		if (turn % 4 == 0)
			mlock(start, MIDDLE_SIZE);
		else if (turn % 4 == 1)
			munlock(start, MIDDLE_SIZE);
		else
			madvise(start, MIDDLE_SIZE, advice[turn / 4 % (sizeof(advice) / sizeof(*advice))]);
		break;
	case PROTECTION:
		mprotect(start, MIDDLE_SIZE, turn % 4 == 0 ? PROT_NONE : turn % 2 ? PROT_READ | PROT_WRITE : PROT_READ);
		break;
	case PLACE:
		move_area(kind);
		break;
	case DISCARD:
		madvise(start, MIDDLE_SIZE, MADV_DONTNEED);
		break;
	case PUNCH:
		fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, turn % 4 * page_size, page_size);
		break;
	default:
		break;
	}
}

/* Puts an area back to its place, with its contents. */
void area_restore(enum area_kind kind)
{
	uint8_t *start = middle(kind);

	if (is_away[kind])
		move_area(kind);
	munlock(start, MIDDLE_SIZE);
	mprotect(start, MIDDLE_SIZE, PROT_READ | PROT_WRITE);
}
