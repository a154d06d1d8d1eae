/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of the memory that operands are in share.
 */
#ifndef MEMORY_TEST_H
#define MEMORY_TEST_H

#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "cpu_opv_test.h"

/* Memory that another thread, or the kernel, accesses meanwhile. */
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define WRITE_ONCE(x, value)	__atomic_store_n(&(x), value, __ATOMIC_SEQ_CST)

/* The first word behind a name in a file of such pairs, or -1. */
static inline long read_pair(const char *path, const char *name)
{
	char word[64], line[200];
	long value, found = -1;
	FILE *file = fopen(path, "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s %ld", word, &value) == 2 &&
		    !strcmp(word, name))
			found = value;
	if (file)
		fclose(file);
	return found;
}

/* Write a setting of the kernel.  Returns 0, or the error. */
static inline int set_knob(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t len = strlen(text);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != len)
		ret = -errno;
	close(fd);
	return ret;
}

static inline int get_knob(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, text, size - 1);
	close(fd);
	if (len < 0)
		return -errno;
	text[len] = '\0';
	return 0;
}

/* The size of a transparent huge page, or of any page if there are none. */
static inline size_t thp_size(void)
{
	char text[32];

	if (get_knob("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", text,
		     sizeof(text)))
		return page_size();
	return strtoul(text, NULL, 10);
}

/* The same of the pages that MAP_HUGETLB gives. */
static inline size_t hugetlb_size(void)
{
	long kilobytes = read_pair("/proc/meminfo", "Hugepagesize:");

	return kilobytes > 0 ? kilobytes << 10 : page_size();
}

/* A setting that is put back in the end. */
struct knob {
	const char *path;
	const char *value;
	char saved[32];
};

static inline int set_knobs(struct knob *knobs, int nr)
{
	for (int i = 0; i < nr; i++) {
		int ret = get_knob(knobs[i].path, knobs[i].saved,
				   sizeof(knobs[i].saved));

		if (!ret)
			ret = set_knob(knobs[i].path, knobs[i].value);
		if (ret)
			return ret;
	}
	return 0;
}

static inline void restore_knobs(struct knob *knobs, int nr)
{
	while (nr--)
		if (knobs[nr].saved[0])
			set_knob(knobs[nr].path, knobs[nr].saved);
}

#define EXT4_DIR		"/tmp/ext4"
/* The size of a block there, of which a page has several. */
#define EXT4_BLOCK		1024

static inline bool has_ext4(void)
{
	return !geteuid() && !access("/dev/loop-control", F_OK) &&
	       !system("grep -qw ext4 /proc/filesystems && command -v mkfs.ext4 >/dev/null");
}

/*
 * Mount a tmpfs, and in it ext4 if there is one.  They go away with the process
 * and its children.
 */
static inline void make_file_systems(void)
{
	static const char * const commands[] = {
		"mount --make-rprivate /",
		"mount -t tmpfs none /tmp",
		"truncate -s 8M /tmp/image",
		"mkfs.ext4 -q -b 1024 -O ^has_journal /tmp/image",
		"mkdir /tmp/ext4",
		/* The kernel may refuse -o loop: that has the device open. */
		"device=$(losetup -f) && losetup $device /tmp/image && mount $device /tmp/ext4 && losetup -d $device",
	};

	if (unshare(CLONE_NEWNS))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (system(commands[i]))
			return;
}

/* How many pages are pinned, by all processes together. */
static inline long pins_held(void)
{
	const char *vmstat = "/proc/vmstat";

	/* Each CPU counts for itself, and adds up only now and then. */
	if (set_knob("/proc/sys/vm/stat_refresh", "1") ||
	    read_pair(vmstat, "nr_foll_pin_acquired") < 0) {
		fprintf(stderr, "cannot count the pinned pages\n");
		abort();
	}
	return read_pair(vmstat, "nr_foll_pin_acquired") -
	       read_pair(vmstat, "nr_foll_pin_released");
}

/* How many pages have been pinned so far, by all processes together. */
static inline long pins_acquired(void)
{
	pins_held();
	return read_pair("/proc/vmstat", "nr_foll_pin_acquired");
}

static inline void allow_cpus(const int *cpus, int nr)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	while (nr--)
		CPU_SET(cpus[nr], &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("sched_setaffinity");
		abort();
	}
}

/* The CPUs that the thread may run on, as an array; returns how many. */
static inline int allowed_cpus(int *cpus, int max)
{
	cpu_set_t set;
	int nr = 0;

	if (sched_getaffinity(0, sizeof(set), &set)) {
		perror("sched_getaffinity");
		abort();
	}
	for (int cpu = 0; cpu < CPU_SETSIZE && nr < max; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[nr++] = cpu;
	return nr;
}

static inline void sleep_ms(int ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * 1000000L,
	};

	nanosleep(&ts, NULL);
}

/*
 * Whether no more and no less pages are pinned.  Others may be for a moment, to
 * read a file, or those of a process that has just been killed.
 */
static inline bool pins_are(long expected)
{
	for (int i = 0; i < 200; i++) {
		if (pins_held() == expected)
			return true;
		sleep_ms(10);
	}
	return false;
}

static inline void spin(int turns)
{
	while (turns-- > 0)
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Bits of an entry in /proc/self/pagemap. */
#define PM_FILE		0x2000000000000000ULL
#define PM_SWAPPED	0x4000000000000000ULL
#define PM_PRESENT	0x8000000000000000ULL
#define PM_PFN		0x7fffffffffffffULL

/* One of the 64-bit entries of a file of the kernel. */
static inline uint64_t read_entry(const char *path, uint64_t index)
{
	int fd = open(path, O_RDONLY);
	uint64_t entry = 0;

	if (fd < 0 || pread(fd, &entry, sizeof(entry),
			    index * sizeof(entry)) != sizeof(entry)) {
		perror(path);
		abort();
	}
	close(fd);
	return entry;
}

static inline uint64_t page_map(const void *p)
{
	return read_entry("/proc/self/pagemap",
			  (unsigned long)p / page_size());
}

/* Bits of an entry in /proc/kpageflags. */
#define KPF_DIRTY	0x10ULL
#define KPF_HWPOISON	0x80000ULL
#define KPF_KSM		0x200000ULL
#define KPF_THP		0x400000ULL
#define KPF_ZERO_PAGE	0x1000000ULL

/* The flags of the page that is mapped at an address, 0 if there is none. */
static inline uint64_t page_flags(const void *p)
{
	uint64_t entry = page_map(p);

	if (!(entry & PM_PRESENT))
		return 0;
	return read_entry("/proc/kpageflags", entry & PM_PFN);
}

static inline char *map(size_t len, int prot, int flags, int fd)
{
	char *p = mmap(NULL, len, prot, flags, fd, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		abort();
	}
	return p;
}

/* Map an area that starts at a multiple of a power of two. */
static inline char *map_aligned(size_t len, size_t align, int prot, int flags)
{
	char *p = map(len + align, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	char *start;

	start = (char *)(((unsigned long)p + align - 1) & ~(align - 1));
	if (start != p)
		munmap(p, start - p);
	munmap(start + len, p + align - start);
	p = mmap(start, len, prot, flags | MAP_FIXED, -1, 0);
	if (p == MAP_FAILED) {
		perror("mmap");
		abort();
	}
	return p;
}

#endif /* MEMORY_TEST_H */
