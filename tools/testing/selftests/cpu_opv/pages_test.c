// SPDX-License-Identifier: GPL-2.0
/*
 * Operands in every kind of page, on every path through the kernel.
 */

#include <sys/mount.h>

#include "memory_test.h"

#ifndef __NR_memfd_secret
#define __NR_memfd_secret	447
#endif
#ifndef __NR_mseal
#define __NR_mseal		462
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT		21
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#endif

/* In the first megabyte, which the kernel leaves to the firmware. */
#define FIRMWARE_PAGE		0x3000

/* Memory under test, with an ordinary page before and behind it. */
struct memory {
	char *start;
	size_t len;
	/* The word that is used, and what it holds. */
	uint64_t *p;
	uint64_t value;
	/* What the kernel lacks if it cannot be made. */
	const char *missing;
	char dir[32];
	int fd;
	bool private;
};

static void place(struct memory *m, size_t len)
{
	m->len = len;
	m->start = map_aligned(2 * HUGE_PAGE_SIZE + len, HUGE_PAGE_SIZE,
			       PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS) + HUGE_PAGE_SIZE;
	m->p = (uint64_t *)(m->start + len) - 2;
	madvise(m->start - HUGE_PAGE_SIZE, 2 * HUGE_PAGE_SIZE + len,
		MADV_NOHUGEPAGE);
}

static int map_over(struct memory *m, int prot, int flags, int fd)
{
	return mmap(m->start, m->len, prot, flags | MAP_FIXED, fd, 0) ==
	       m->start ? 0 : -errno;
}

static void set_value(struct memory *m)
{
	m->value = 0x123456789abcdef0;
	*m->p = m->value;
}

static int make_untouched(struct memory *m)
{
	place(m, page_size());
	return 0;
}

static int make_anon(struct memory *m)
{
	place(m, page_size());
	set_value(m);
	return 0;
}

static int make_thp(struct memory *m)
{
	place(m, HUGE_PAGE_SIZE);
	m->missing = "CONFIG_TRANSPARENT_HUGEPAGE";
	if (madvise(m->start, m->len, MADV_HUGEPAGE))
		return -errno;
	set_value(m);
	return page_flags(m->p) & KPF_THP_BIT ? 0 : -ENOMEM;
}

static int make_hugetlb(struct memory *m)
{
	place(m, HUGE_PAGE_SIZE);
	m->missing = "CONFIG_HUGETLBFS";
	if (set_knob("/proc/sys/vm/nr_hugepages", "4"))
		return -ENOENT;
	if (map_over(m, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		     MAP_HUGETLB, -1))
		return -ENOMEM;
	set_value(m);
	return 0;
}

static int make_hugetlb_shared(struct memory *m)
{
	place(m, HUGE_PAGE_SIZE);
	m->missing = "CONFIG_HUGETLBFS";
	if (set_knob("/proc/sys/vm/nr_hugepages", "4"))
		return -ENOENT;
	if (map_over(m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS |
		     MAP_HUGETLB, -1))
		return -ENOMEM;
	set_value(m);
	return 0;
}

static int make_shmem(struct memory *m)
{
	place(m, page_size());
	m->missing = "CONFIG_SHMEM";
	if (map_over(m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1))
		return -ENOMEM;
	set_value(m);
	return 0;
}

static int make_shmem_untouched(struct memory *m)
{
	place(m, page_size());
	m->missing = "CONFIG_SHMEM";
	return map_over(m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1);
}

/* A file whose page holds the value, mapped without having been touched. */
static int map_file(struct memory *m, int fd, int flags)
{
	off_t at = (char *)m->p - m->start;

	m->fd = fd;
	m->private = flags == MAP_PRIVATE;
	m->value = 0x0fedcba987654321;
	if (fd < 0 || ftruncate(fd, m->len) ||
	    pwrite(fd, &m->value, 8, at) != 8 || fsync(fd))
		return -errno;
	return map_over(m, PROT_READ | PROT_WRITE, flags, fd);
}

static int make_memfd(struct memory *m)
{
	place(m, page_size());
	m->missing = "CONFIG_MEMFD_CREATE";
	return map_file(m, memfd_create("cpu_opv", 0), MAP_SHARED);
}

static int make_memfd_private(struct memory *m)
{
	place(m, page_size());
	m->missing = "CONFIG_MEMFD_CREATE";
	return map_file(m, memfd_create("cpu_opv", 0), MAP_PRIVATE);
}

static int shell(const char *format, ...)
{
	char command[300];
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	status = system(command);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

/* Mount a file system that goes away with the process. */
static int make_dir(struct memory *m)
{
	strcpy(m->dir, "/tmp/cpu_opv.XXXXXX");
	if (!mkdtemp(m->dir) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -errno;
	return mount("tmpfs", m->dir, "tmpfs", 0, NULL) ? -errno : 0;
}

static int map_file_in(struct memory *m, const char *subdir, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "%s%s/file", m->dir, subdir);
	return map_file(m, open(path, O_RDWR | O_CREAT, 0600), flags);
}

static int make_tmpfs(struct memory *m)
{
	place(m, page_size());
	m->missing = "CONFIG_TMPFS";
	return make_dir(m) ?: map_file_in(m, "", MAP_SHARED);
}

static int make_tmpfs_private(struct memory *m)
{
	place(m, page_size());
	m->missing = "CONFIG_TMPFS";
	return make_dir(m) ?: map_file_in(m, "", MAP_PRIVATE);
}

static int mount_ext4(struct memory *m)
{
	place(m, page_size());
	m->missing = "CONFIG_EXT4_FS or CONFIG_BLK_DEV_LOOP";
	return make_dir(m) ?:
	       shell("cd %s && truncate -s 8M image && mkfs.ext4 -q -O ^has_journal image && mkdir ext4 && loop=$(losetup -f --show image) && mount $loop ext4 && losetup -d $loop",
		     m->dir);
}

static int make_ext4(struct memory *m)
{
	return mount_ext4(m) ?: map_file_in(m, "/ext4", MAP_SHARED);
}

static int make_ext4_private(struct memory *m)
{
	return mount_ext4(m) ?: map_file_in(m, "/ext4", MAP_PRIVATE);
}

/* A block is allocated when the page is first written. */
static int make_ext4_hole(struct memory *m)
{
	int ret = make_ext4(m);

	if (ret || ftruncate(m->fd, 0) || ftruncate(m->fd, m->len))
		return ret ?: -errno;
	m->value = 0;
	return 0;
}

static int make_swapped(struct memory *m)
{
	double end = now() + 10;

	make_anon(m);
	m->missing = "CONFIG_ZRAM or CONFIG_SWAP";
	/* Another test may have made it. */
	shell("grep -q zram0 /proc/swaps || { echo 1 >/sys/block/zram0/reset; echo 64M >/sys/block/zram0/disksize && mkswap /dev/zram0 && swapon /dev/zram0; } >/dev/null 2>&1");
	while (!(page_map(m->p) & PM_SWAPPED)) {
		if (now() > end || madvise(m->start, m->len, MADV_PAGEOUT))
			return -EIO;
	}
	return 0;
}

static int make_freed(struct memory *m)
{
	make_anon(m);
	/* Its value is there until the memory is needed, or it is written. */
	m->missing = "CONFIG_ADVISE_SYSCALLS";
	return madvise(m->start, m->len, MADV_FREE);
}

static int make_read_only(struct memory *m)
{
	make_anon(m);
	return mprotect(m->start, m->len, PROT_READ);
}

static int make_no_access(struct memory *m)
{
	make_anon(m);
	return mprotect(m->start, m->len, PROT_NONE);
}

static int make_unmapped(struct memory *m)
{
	make_anon(m);
	return munmap(m->start, m->len);
}

static int make_locked(struct memory *m)
{
	make_anon(m);
	return mlock(m->start, m->len);
}

static int make_sealed(struct memory *m)
{
	make_anon(m);
	m->missing = "CONFIG_64BIT";
	return syscall(__NR_mseal, m->start, m->len, 0) ? -errno : 0;
}

static int make_guard(struct memory *m)
{
	make_anon(m);
	m->missing = "MADV_GUARD_INSTALL";
	return madvise(m->start, m->len, MADV_GUARD_INSTALL);
}

static int make_secret(struct memory *m)
{
	int fd = syscall(__NR_memfd_secret, 0);

	place(m, page_size());
	m->missing = "CONFIG_SECRETMEM";
	if (fd < 0 || ftruncate(fd, m->len) ||
	    map_over(m, PROT_READ | PROT_WRITE, MAP_SHARED, fd))
		return -EINVAL;
	close(fd);
	set_value(m);
	return 0;
}

static int protect_by_key(struct memory *m, int rights)
{
	int key = pkey_alloc(0, 0);

	make_anon(m);
	m->missing = "CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS or such a CPU";
	if (key < 0 || pkey_mprotect(m->start, m->len, PROT_READ | PROT_WRITE,
				     key))
		return -errno;
	return pkey_set(key, rights);
}

static int make_key_no_write(struct memory *m)
{
	return protect_by_key(m, PKEY_DISABLE_WRITE);
}

static int make_key_no_access(struct memory *m)
{
	return protect_by_key(m, PKEY_DISABLE_ACCESS);
}

static int make_firmware(struct memory *m)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC);

	place(m, page_size());
	m->missing = "CONFIG_DEVMEM";
	if (fd < 0 || mmap(m->start, m->len, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, fd, FIRMWARE_PAGE) !=
		      m->start)
		return -errno;
	close(fd);
	m->value = *m->p;
	return 0;
}

/* Memory that the kernel maps: nothing of ours is next to it. */
static int find_mapping(struct memory *m, const char *name)
{
	char line[300], *end;
	FILE *file = fopen("/proc/self/maps", "r");
	int ret = -ENOENT;

	while (file && fgets(line, sizeof(line), file)) {
		end = strstr(line, name);
		if (!end)
			continue;
		m->p = (uint64_t *)strtoul(line, NULL, 16);
		ret = 0;
		break;
	}
	if (file)
		fclose(file);
	return ret;
}

static int make_vdso(struct memory *m)
{
	int ret = find_mapping(m, "[vdso]");

	m->missing = "a vDSO";
	if (!ret)
		m->value = *m->p;
	return ret;
}

static int make_vvar(struct memory *m)
{
	m->missing = "a vDSO";
	return find_mapping(m, "[vvar]");
}

FIXTURE(pages)
{
	struct memory m;
};

#define FAULTS(direct, ahead, pinned)	{ direct, ahead, pinned }
#define NEVER				FAULTS(0, 0, 0)
#define ALWAYS				FAULTS(-EFAULT, -EFAULT, -EFAULT)
/* Neither can be pinned. */
#define IF_PINNED			FAULTS(0, 0, -EFAULT)
#define IF_STORE_PINNED			FAULTS(0, -EFAULT, -EFAULT)

FIXTURE_VARIANT(pages)
{
	int (*make)(struct memory *m);
	/* What a vector that loads from it returns on each path. */
	int loads[NR_PATHS];
	/* And one that stores to it. */
	int stores[NR_PATHS];
	/* Its contents change by themselves. */
	bool changes;
	/* The test cannot load from it itself. */
	bool no_access;
};

#define PAGES(name, of_loads, of_stores, ...)				\
	FIXTURE_VARIANT_ADD(pages, name)				\
	{								\
		.make = make_##name,					\
		.loads = of_loads,					\
		.stores = of_stores,					\
		__VA_ARGS__						\
	}

PAGES(untouched, NEVER, NEVER);
PAGES(anon, NEVER, NEVER);
PAGES(thp, NEVER, NEVER);
PAGES(hugetlb, NEVER, NEVER);
PAGES(hugetlb_shared, NEVER, NEVER);
PAGES(shmem, NEVER, NEVER);
PAGES(shmem_untouched, NEVER, NEVER);
PAGES(memfd, NEVER, NEVER);
PAGES(memfd_private, NEVER, NEVER);
PAGES(tmpfs, NEVER, NEVER);
PAGES(tmpfs_private, NEVER, NEVER);
PAGES(ext4, NEVER, NEVER);
PAGES(ext4_private, NEVER, NEVER);
PAGES(ext4_hole, NEVER, NEVER);
PAGES(swapped, NEVER, NEVER);
PAGES(freed, NEVER, NEVER);
PAGES(read_only, NEVER, ALWAYS);
PAGES(no_access, ALWAYS, ALWAYS, .no_access = true);
PAGES(unmapped, ALWAYS, ALWAYS, .no_access = true);
PAGES(locked, NEVER, NEVER);
PAGES(sealed, NEVER, NEVER);
PAGES(guard, ALWAYS, ALWAYS, .no_access = true);
PAGES(secret, IF_PINNED, IF_STORE_PINNED);
PAGES(key_no_write, NEVER, ALWAYS);
PAGES(key_no_access, ALWAYS, ALWAYS, .no_access = true);
PAGES(firmware, IF_PINNED, IF_STORE_PINNED);
PAGES(vdso, NEVER, ALWAYS);
PAGES(vvar, IF_PINNED, ALWAYS, .changes = true);

FIXTURE_SETUP(pages)
{
	memset(&self->m, 0, sizeof(self->m));
	self->m.fd = -1;
}

static void destroy(struct memory *m)
{
	if (m->len)
		munmap(m->start - HUGE_PAGE_SIZE, 2 * HUGE_PAGE_SIZE + m->len);
	if (m->fd >= 0)
		close(m->fd);
	if (m->dir[0])
		shell("umount %s/ext4 2>/dev/null; umount %s; rmdir %s",
		      m->dir, m->dir, m->dir);
	memset(m, 0, sizeof(*m));
	m->fd = -1;
}

FIXTURE_TEARDOWN(pages)
{
	destroy(&self->m);
}

/* What was stored is still there when the page has been taken away. */
static void page_out(struct memory *m)
{
	for (int i = 0; i < 10 && page_map(m->p) & PM_PRESENT; i++)
		madvise(m->start, m->len, MADV_PAGEOUT);
}

static void check_load(struct __test_metadata *_metadata, struct memory *m,
		       enum path path, int expected, bool changes)
{
	uint64_t found = 5;
	struct cpu_op vec[] = {
		changes ? cpu_op_mb() :
			  cpu_op_compare(CPU_COMPARE_EQ_OP, m->p, &m->value, 8),
		cpu_op_memcpy(CPU_MEMCPY_OP, &found, m->p, 8),
	};

	EXPECT_EQ(expected, run_path(path, vec, 2));
	if (expected || !changes) {
		EXPECT_EQ(expected ? 5 : m->value, found);
	}
}

static void check_store(struct __test_metadata *_metadata, struct memory *m,
			enum path path, int expected, bool no_access)
{
	uint64_t before = m->value, after = expected ? before : before + 3;
	struct cpu_op op = cpu_op_arithmetic(CPU_ADD_OP, m->p, 3, 8);

	EXPECT_EQ(expected, run_path(path, &op, 1));
	if (no_access)
		return;
	EXPECT_EQ(after, *m->p);
	if (!m->len)
		return;
	page_out(m);
	EXPECT_EQ(after, *m->p);
	if (m->fd >= 0) {
		uint64_t in_file = 5;

		EXPECT_EQ(8, pread(m->fd, &in_file, 8,
				   (char *)m->p - m->start));
		EXPECT_EQ(m->private ? before : after, in_file);
	}
}

/* An operand of which one half is in the memory, the other in another page. */
static void check_load_across(struct __test_metadata *_metadata,
			      struct memory *m, char *p, enum path path,
			      int expected)
{
	uint64_t found = 5, there;
	struct cpu_op op = cpu_op_memcpy(CPU_MEMCPY_OP, &found, p, 8);

	EXPECT_EQ(expected, run_path(path, &op, 1));
	if (expected) {
		EXPECT_EQ(5, found);
	} else {
		memcpy(&there, p, 8);
		EXPECT_EQ(there, found);
	}
}

static void check_store_across(struct __test_metadata *_metadata,
			       struct memory *m, char *p, enum path path,
			       const int *expected, bool no_access)
{
	/* No such store is made by one access. */
	int error = expected[path == DIRECT ? AHEAD : path];
	const uint32_t count = 0x01010101;
	uint32_t half[2] = { 0 }, found;
	struct cpu_op op = cpu_op_arithmetic(CPU_ADD_OP, p,
					     (uint64_t)count << 32 | count, 8);

	for (int i = 0; i < 2; i++)
		if (!no_access || (p + 4 * i - m->start) >= (long)m->len ||
		    p + 4 * i < m->start)
			memcpy(&half[i], p + 4 * i, 4);
	EXPECT_EQ(error, run_path(path, &op, 1));
	for (int i = 0; i < 2; i++) {
		if (no_access && (p + 4 * i - m->start) < (long)m->len &&
		    p + 4 * i >= m->start)
			continue;
		memcpy(&found, p + 4 * i, 4);
		EXPECT_EQ(error ? half[i] : half[i] + count, found) {
			TH_LOG("half %d", i);
		}
	}
}

static bool make(struct __test_metadata *_metadata, struct memory *m,
		 int (*make)(struct memory *m))
{
	int ret;

	destroy(m);
	ret = make(m);
	if (ret)
		TH_LOG("error %d", ret);
	return ret == 0;
}

#define MAKE()								\
	do {								\
		if (!make(_metadata, &self->m, variant->make))		\
			SKIP(return, "needs %s", self->m.missing);	\
	} while (0)

#define TEST_ON_PATH(name, path)					\
TEST_F_TIMEOUT(pages, name, LONG_TIMEOUT)				\
{									\
	struct memory *m = &self->m;					\
									\
	MAKE();								\
	check_load(_metadata, m, path, variant->loads[path],		\
		   variant->changes);					\
	MAKE();								\
	check_store(_metadata, m, path, variant->stores[path],		\
		    variant->no_access || variant->changes);		\
	for (int end = 0; m->len && end < 2; end++) {			\
		MAKE();							\
		check_load_across(_metadata, m,				\
				  m->start + end * m->len - 4, path,	\
				  variant->loads[path]);		\
		MAKE();							\
		check_store_across(_metadata, m,			\
				   m->start + end * m->len - 4, path,	\
				   variant->stores, variant->no_access); \
	}								\
}

TEST_ON_PATH(direct, DIRECT)
TEST_ON_PATH(ahead, AHEAD)
TEST_ON_PATH(pinned, PINNED)

/* The page that all programs share, and that no pointer of the range reaches. */
TEST(vsyscall)
{
	uint64_t found = 5;
	struct cpu_op op = cpu_op_memcpy(CPU_MEMCPY_OP, &found, NULL, 8);

	op_set_operand(&op, 1, 0xffffffffff600000);
	for (enum path path = 0; path < NR_PATHS; path++)
		EXPECT_EQ(-EFAULT, run_path(path, &op, 1));
	EXPECT_EQ(5, found);
}

/* Memory that was given up is kept from being so by a store of a vector alone. */
TEST(store_takes_freed_memory_back)
{
	struct memory m = { .fd = -1 };

	ASSERT_EQ(0, make_freed(&m));
	page_out(&m);
	ASSERT_FALSE(page_map(m.p) & PM_PRESENT);
	EXPECT_EQ(0, *m.p) {
		TH_LOG("memory that nothing was stored to was kept");
	}
	for (enum path path = 0; path < NR_PATHS; path++) {
		struct cpu_op op = cpu_op_arithmetic(CPU_ADD_OP, m.p, 1, 8);

		destroy(&m);
		ASSERT_EQ(0, make_freed(&m));
		EXPECT_TRUE(page_map(m.p) & PM_PRESENT);
		op = cpu_op_arithmetic(CPU_ADD_OP, m.p, 1, 8);
		EXPECT_EQ(0, run_path(path, &op, 1));
		page_out(&m);
		EXPECT_EQ(m.value + 1, *m.p) {
			TH_LOG("path %s", path_names[path]);
		}
	}
	destroy(&m);
}

static long vm_event(const char *wanted)
{
	char name[64];
	long value, found = -1;
	FILE *file = fopen("/proc/vmstat", "r");

	while (file && fscanf(file, "%63s %ld", name, &value) == 2)
		if (!strcmp(name, wanted))
			found = value;
	if (file)
		fclose(file);
	return found;
}

static void *burn(void *stop)
{
	while (!*(atomic_bool *)stop)
		;
	return NULL;
}

FIXTURE(numa)
{
	char balancing[16];
};

FIXTURE_SETUP(numa)
{
	if (get_knob("/proc/sys/kernel/numa_balancing", self->balancing,
		     sizeof(self->balancing)))
		SKIP(return, "needs CONFIG_NUMA_BALANCING");
}

FIXTURE_TEARDOWN(numa)
{
	set_knob("/proc/sys/kernel/numa_balancing", "%s", self->balancing);
}

/* Page table entries that are made to fault, to see which node uses the page. */
TEST_F_TIMEOUT(numa, hinting_faults, LONG_TIMEOUT)
{
	const char *scan = "/sys/kernel/debug/sched/numa_balancing";
	size_t page = page_size(), nr = 1024;
	char path[100];
	atomic_bool stop = false;
	uint64_t rounds = 0;
	pthread_t thread;
	long before, end;
	double limit;
	char *p;

	shell("mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug");
	snprintf(path, sizeof(path), "%s/scan_delay_ms", scan);
	set_knob(path, "1");
	snprintf(path, sizeof(path), "%s/scan_period_min_ms", scan);
	set_knob(path, "10");
	snprintf(path, sizeof(path), "%s/scan_period_max_ms", scan);
	set_knob(path, "20");
	ASSERT_EQ(0, set_knob("/proc/sys/kernel/numa_balancing", "1"));

	/* The pages of a process with one thread are left alone. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, burn, &stop));
	p = map(nr * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1);
	memset(p, 0, nr * page);
	before = vm_event("numa_hint_faults");
	limit = now() + 60;
	do {
		for (size_t i = 0; i < nr; i++) {
			struct cpu_op vec[] = {
				cpu_op_compare(CPU_COMPARE_EQ_OP, p + i * page,
					       &rounds, 8),
				cpu_op_arithmetic(CPU_ADD_OP, p + i * page, 1,
						  8),
			};

			ASSERT_EQ(0, run_path(i % NR_PATHS, vec, 2));
		}
		rounds++;
		end = vm_event("numa_hint_faults");
	} while (end < before + 3 * (long)nr && now() < limit);
	EXPECT_GE(end, before + 3 * (long)nr);
	stop = true;
	pthread_join(thread, NULL);
	for (size_t i = 0; i < nr; i++)
		EXPECT_EQ(rounds, *(uint64_t *)(p + i * page));
	munmap(p, nr * page);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
