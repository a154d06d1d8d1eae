// SPDX-License-Identifier: GPL-2.0
/*
 * Operands in every kind of page, on every path through the kernel.
 */

#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/swap.h>

#include "memory_test.h"

#ifndef __NR_memfd_secret
#define __NR_memfd_secret	447
#endif
#ifndef __NR_map_shadow_stack
#define __NR_map_shadow_stack	453
#endif
#ifndef __NR_mseal
#define __NR_mseal		462
#endif
#ifndef SHADOW_STACK_SET_TOKEN
#define SHADOW_STACK_SET_TOKEN	1
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT		21
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#endif

/* In the first megabyte, which the kernel of a PC leaves to the firmware. */
#define FIRMWARE_PAGE		0x3000

#define TMPFS_FILE		"/tmp/file"
#define EXT4_FILE		EXT4_DIR "/file"
#define SWAP_DEVICE		"/dev/zram0"

/* Memory under test, with an ordinary page before and behind it. */
struct memory {
	char *start;
	size_t len;
	/* The word that is used, and what it holds. */
	uint64_t *p;
	uint64_t value;
	/* What was there, of memory that is not the test's. */
	char *backup;
	int fd;
	bool private;
};

/* The room on either side, of the size of any page. */
static size_t margin(void)
{
	size_t thp = thp_size(), hugetlb = hugetlb_size();

	return thp > hugetlb ? thp : hugetlb;
}

static void place(struct memory *m, size_t len)
{
	size_t all = 2 * margin() + len;
	char *p = map_aligned(all, margin(), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS);

	m->len = len;
	m->start = p + margin();
	m->p = (uint64_t *)(m->start + len) - 2;
	madvise(p, all, MADV_NOHUGEPAGE);
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
	place(m, thp_size());
	if (madvise(m->start, m->len, MADV_HUGEPAGE))
		return -errno;
	set_value(m);
	return page_flags(m->p) & KPF_THP ? 0 : -ENOMEM;
}

static int make_hugetlb(struct memory *m)
{
	place(m, hugetlb_size());
	if (map_over(m, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		     MAP_HUGETLB, -1))
		return -ENOMEM;
	set_value(m);
	return 0;
}

static int make_hugetlb_shared(struct memory *m)
{
	place(m, hugetlb_size());
	if (map_over(m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS |
		     MAP_HUGETLB, -1))
		return -ENOMEM;
	set_value(m);
	return 0;
}

static int make_shmem(struct memory *m)
{
	place(m, page_size());
	if (map_over(m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1))
		return -ENOMEM;
	set_value(m);
	return 0;
}

static int make_shmem_untouched(struct memory *m)
{
	place(m, page_size());
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
	return map_file(m, memfd_create("cpu_opv", 0), MAP_SHARED);
}

static int make_memfd_private(struct memory *m)
{
	place(m, page_size());
	return map_file(m, memfd_create("cpu_opv", 0), MAP_PRIVATE);
}

/* These are in file systems of this program alone, see make_file_systems(). */
static int make_tmpfs(struct memory *m)
{
	place(m, page_size());
	return map_file(m, open(TMPFS_FILE, O_RDWR | O_CREAT, 0600),
			MAP_SHARED);
}

static int make_tmpfs_private(struct memory *m)
{
	place(m, page_size());
	return map_file(m, open(TMPFS_FILE, O_RDWR | O_CREAT, 0600),
			MAP_PRIVATE);
}

static int open_ext4(void)
{
	return open(EXT4_FILE, O_RDWR | O_CREAT, 0600);
}

static int make_ext4(struct memory *m)
{
	place(m, page_size());
	return map_file(m, open_ext4(), MAP_SHARED);
}

static int make_ext4_private(struct memory *m)
{
	place(m, page_size());
	return map_file(m, open_ext4(), MAP_PRIVATE);
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
	make_anon(m);
	for (int i = 0; i < 100 && !(page_map(m->p) & PM_SWAPPED); i++)
		if (madvise(m->start, m->len, MADV_PAGEOUT))
			break;
	return page_map(m->p) & PM_SWAPPED ? 0 : -EIO;
}

static int make_freed(struct memory *m)
{
	make_anon(m);
	/* Its value is there until the memory is needed, or it is written. */
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
	return syscall(__NR_mseal, m->start, m->len, 0) ? -errno : 0;
}

static int make_guard(struct memory *m)
{
	make_anon(m);
	return madvise(m->start, m->len, MADV_GUARD_INSTALL);
}

static int make_secret(struct memory *m)
{
	int fd = syscall(__NR_memfd_secret, 0);

	place(m, page_size());
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

/*
 * A stack of return addresses, which only calls and returns store to.  It need not
 * be in use.  The kernel puts a token at its end.
 */
static int make_shadow_stack(struct memory *m)
{
	place(m, page_size());
	munmap(m->start, m->len);
	if (syscall(__NR_map_shadow_stack, m->start, m->len,
		    SHADOW_STACK_SET_TOKEN) != (long)m->start)
		return -errno;
	/* The last word of all. */
	m->p++;
	m->value = *m->p;
	return m->value ? 0 : -EINVAL;
}

static int make_firmware(struct memory *m)
{
	int fd = open("/dev/mem", O_RDWR);

	place(m, page_size());
	if (fd < 0 || mmap(m->start, m->len, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, fd, FIRMWARE_PAGE) !=
		      m->start)
		return -errno;
	close(fd);
	m->backup = malloc(m->len);
	memcpy(m->backup, m->start, m->len);
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

	if (!ret)
		m->value = *m->p;
	return ret;
}

static int make_vvar(struct memory *m)
{
	return find_mapping(m, "[vvar]");
}

static void destroy(struct memory *m)
{
	if (m->backup)
		memcpy(m->start, m->backup, m->len);
	free(m->backup);
	if (m->len)
		munmap(m->start - margin(), 2 * margin() + m->len);
	if (m->fd >= 0)
		close(m->fd);
	memset(m, 0, sizeof(*m));
	m->fd = -1;
}

static int remake(struct memory *m, int (*make)(struct memory *m))
{
	destroy(m);
	return make(m);
}

/* What a kind of memory takes that is not everywhere. */
struct feature {
	const char *name;
	bool (*is_there)(void);
};

static bool has_advice(int advice)
{
	char *p = map_pages(1);
	bool has = !madvise(p, page_size(), advice);

	unmap_pages(p, 1);
	return has;
}

static bool has_thp(void)
{
	return !geteuid() &&
	       !access("/sys/kernel/mm/transparent_hugepage", F_OK);
}

static bool has_hugetlb(void)
{
	return !access("/proc/sys/vm/nr_hugepages", W_OK);
}

static bool has_swap(void)
{
	return !access("/proc/swaps", F_OK) &&
	       !access("/sys/block/zram0/disksize", W_OK);
}

static bool has_freed(void)
{
	return has_advice(MADV_FREE);
}

static bool has_guard(void)
{
	return has_advice(MADV_GUARD_INSTALL);
}

static bool has_seal(void)
{
	/* What is there has no such flag. */
	return syscall(__NR_mseal, NULL, 0, -1L) && errno == EINVAL;
}

static bool has_secret(void)
{
	return syscall(__NR_memfd_secret, -1) && errno == EINVAL;
}

static bool has_keys(void)
{
	return !system("grep -qw ospke /proc/cpuinfo");
}

static bool has_shadow_stack(void)
{
	/* Where there are some, the flags are unknown. */
	return syscall(__NR_map_shadow_stack, 0, page_size(), ~0U) == -1 &&
	       errno == EINVAL;
}

static bool has_firmware(void)
{
	return !access("/dev/mem", W_OK) &&
	       !system("grep -q '^00001000-.* : System RAM' /proc/iomem");
}

static bool has_vdso(void)
{
	return getauxval(AT_SYSINFO_EHDR);
}

static const struct feature thp_feature = {
	.name = "CONFIG_TRANSPARENT_HUGEPAGE and root",
	.is_there = has_thp,
};

static const struct feature hugetlb_feature = {
	.name = "CONFIG_HUGETLBFS and root",
	.is_there = has_hugetlb,
};

static const struct feature ext4_feature = {
	.name = "CONFIG_EXT4_FS, CONFIG_BLK_DEV_LOOP, mkfs.ext4 and root",
	.is_there = has_ext4,
};

static const struct feature swap_feature = {
	.name = "CONFIG_SWAP, CONFIG_ZRAM and root",
	.is_there = has_swap,
};

static const struct feature freed_feature = {
	.name = "CONFIG_ADVISE_SYSCALLS",
	.is_there = has_freed,
};

static const struct feature guard_feature = {
	.name = "Linux 6.13",
	.is_there = has_guard,
};

static const struct feature seal_feature = {
	.name = "CONFIG_64BIT",
	.is_there = has_seal,
};

static const struct feature secret_feature = {
	.name = "CONFIG_SECRETMEM",
	.is_there = has_secret,
};

static const struct feature keys_feature = {
	.name = "CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS or such a CPU",
	.is_there = has_keys,
};

static const struct feature shadow_stack_feature = {
	.name = "ARCH_HAS_USER_SHADOW_STACK, and a CPU that has it",
	.is_there = has_shadow_stack,
};

static const struct feature firmware_feature = {
	.name = "the memory of a PC, CONFIG_DEVMEM and root",
	.is_there = has_firmware,
};

static const struct feature vdso_feature = {
	.name = "a vDSO",
	.is_there = has_vdso,
};

FIXTURE(pages)
{
	struct memory m;
};

#define ALWAYS		{ -EFAULT, -EFAULT, -EFAULT }
/* On the paths that pin what is loaded from, or stored to. */
#define IF_PINNED	{ 0, 0, -EFAULT }
#define IF_STORE_PINNED	{ 0, -EFAULT, -EFAULT }

/*
 * What stores to a shadow stack, for which there are no rights.  The page tables
 * of some architectures grant a pin for writing nevertheless.
 */
#define MAY_FAULT	1
#ifdef __x86_64__
#define TO_SHADOW_STACK	ALWAYS
#else
#define TO_SHADOW_STACK	{ -EFAULT, MAY_FAULT, MAY_FAULT }
#endif

FIXTURE_VARIANT(pages)
{
	int (*make)(struct memory *m);
	const struct feature *needs;
	/* What a vector that loads from it, or stores to it, returns. */
	int loads[NR_PATHS];
	int stores[NR_PATHS];
	/* Its contents change by themselves. */
	bool changes;
	/* The test cannot load from it itself. */
	bool no_access;
};

FIXTURE_VARIANT_ADD(pages, untouched)
{
	.make = make_untouched,
};

FIXTURE_VARIANT_ADD(pages, anon)
{
	.make = make_anon,
};

FIXTURE_VARIANT_ADD(pages, thp)
{
	.make = make_thp,
	.needs = &thp_feature,
};

FIXTURE_VARIANT_ADD(pages, hugetlb)
{
	.make = make_hugetlb,
	.needs = &hugetlb_feature,
};

FIXTURE_VARIANT_ADD(pages, hugetlb_shared)
{
	.make = make_hugetlb_shared,
	.needs = &hugetlb_feature,
};

FIXTURE_VARIANT_ADD(pages, shmem)
{
	.make = make_shmem,
};

FIXTURE_VARIANT_ADD(pages, shmem_untouched)
{
	.make = make_shmem_untouched,
};

FIXTURE_VARIANT_ADD(pages, memfd)
{
	.make = make_memfd,
};

FIXTURE_VARIANT_ADD(pages, memfd_private)
{
	.make = make_memfd_private,
};

FIXTURE_VARIANT_ADD(pages, tmpfs)
{
	.make = make_tmpfs,
};

FIXTURE_VARIANT_ADD(pages, tmpfs_private)
{
	.make = make_tmpfs_private,
};

FIXTURE_VARIANT_ADD(pages, ext4)
{
	.make = make_ext4,
	.needs = &ext4_feature,
};

FIXTURE_VARIANT_ADD(pages, ext4_private)
{
	.make = make_ext4_private,
	.needs = &ext4_feature,
};

FIXTURE_VARIANT_ADD(pages, ext4_hole)
{
	.make = make_ext4_hole,
	.needs = &ext4_feature,
};

FIXTURE_VARIANT_ADD(pages, swapped)
{
	.make = make_swapped,
	.needs = &swap_feature,
};

FIXTURE_VARIANT_ADD(pages, freed)
{
	.make = make_freed,
	.needs = &freed_feature,
};

FIXTURE_VARIANT_ADD(pages, read_only)
{
	.make = make_read_only,
	.stores = ALWAYS,
};

FIXTURE_VARIANT_ADD(pages, no_access)
{
	.make = make_no_access,
	.loads = ALWAYS,
	.stores = ALWAYS,
	.no_access = true,
};

FIXTURE_VARIANT_ADD(pages, unmapped)
{
	.make = make_unmapped,
	.loads = ALWAYS,
	.stores = ALWAYS,
	.no_access = true,
};

FIXTURE_VARIANT_ADD(pages, locked)
{
	.make = make_locked,
};

FIXTURE_VARIANT_ADD(pages, sealed)
{
	.make = make_sealed,
	.needs = &seal_feature,
};

FIXTURE_VARIANT_ADD(pages, guard)
{
	.make = make_guard,
	.needs = &guard_feature,
	.loads = ALWAYS,
	.stores = ALWAYS,
	.no_access = true,
};

FIXTURE_VARIANT_ADD(pages, secret)
{
	.make = make_secret,
	.needs = &secret_feature,
	.loads = IF_PINNED,
	.stores = IF_STORE_PINNED,
};

FIXTURE_VARIANT_ADD(pages, key_no_write)
{
	.make = make_key_no_write,
	.needs = &keys_feature,
	.stores = ALWAYS,
};

FIXTURE_VARIANT_ADD(pages, key_no_access)
{
	.make = make_key_no_access,
	.needs = &keys_feature,
	.loads = ALWAYS,
	.stores = ALWAYS,
	.no_access = true,
};

FIXTURE_VARIANT_ADD(pages, firmware)
{
	.make = make_firmware,
	.needs = &firmware_feature,
	.loads = IF_PINNED,
	.stores = IF_STORE_PINNED,
};

FIXTURE_VARIANT_ADD(pages, vdso)
{
	.make = make_vdso,
	.needs = &vdso_feature,
	.loads = IF_PINNED,
	.stores = ALWAYS,
};

FIXTURE_VARIANT_ADD(pages, vvar)
{
	.make = make_vvar,
	.needs = &vdso_feature,
	.loads = IF_PINNED,
	.stores = ALWAYS,
	.changes = true,
};

FIXTURE_VARIANT_ADD(pages, shadow_stack)
{
	.make = make_shadow_stack,
	.needs = &shadow_stack_feature,
	.stores = TO_SHADOW_STACK,
};

FIXTURE_SETUP(pages)
{
	int cpu = sched_getcpu();

	/*
	 * A page that was just touched waits in a list of the CPU that it was
	 * touched on, where MADV_PAGEOUT on another does not find it.
	 */
	allow_cpus(&cpu, 1);
	self->m = (struct memory) { .fd = -1 };
	if (variant->needs && !variant->needs->is_there())
		SKIP(return, "needs %s", variant->needs->name);
	ASSERT_EQ(0, variant->make(&self->m));
}

FIXTURE_TEARDOWN(pages)
{
	destroy(&self->m);
}

/* What was stored is still there when the page has been taken away. */
static void page_out(struct memory *m)
{
	for (int i = 0; i < 10 && page_map(m->p) & PM_PRESENT; i++)
		if (madvise(m->start, m->len, MADV_PAGEOUT))
			break;
}

static void check_load(struct __test_metadata *_metadata, struct memory *m,
		       enum path path, int expected, bool changes)
{
	void *known = changes ? &m->value : m->p;
	uint64_t found = 5;
	struct cpu_op vec[] = {
		cpu_op_compare(CPU_COMPARE_EQ_OP, known, &m->value, 8),
		cpu_op_memcpy(CPU_MEMCPY_OP, &found, m->p, 8),
	};

	EXPECT_EQ(expected, run_path(path, vec, 2)) {
		TH_LOG("load, %s", path_names[path]);
	}
	EXPECT_TRUE(found == (expected ? 5 : m->value) ||
		    (changes && !expected));
}

/* Where a vector may fault, what it has returned is what is expected. */
static int decide(int expected, int ret)
{
	if (expected != MAY_FAULT)
		return expected;
	return ret ? -EFAULT : 0;
}

static void check_store(struct __test_metadata *_metadata, struct memory *m,
			enum path path, int expected, bool no_access)
{
	struct cpu_op op = cpu_op_arithmetic(CPU_ADD_OP, m->p, 3, 8);
	uint64_t after, in_file = 5;
	int ret = run_path(path, &op, 1);

	expected = decide(expected, ret);
	after = expected ? m->value : m->value + 3;
	EXPECT_EQ(expected, ret) {
		TH_LOG("store, %s", path_names[path]);
	}
	if (no_access)
		return;
	EXPECT_EQ(after, *m->p);
	if (!m->len)
		return;
	page_out(m);
	EXPECT_EQ(after, *m->p);
	if (m->fd >= 0) {
		EXPECT_EQ(8, pread(m->fd, &in_file, 8,
				   (char *)m->p - m->start));
		EXPECT_EQ(m->private ? m->value : after, in_file);
	}
}

/* Whether the test can look at a half of an operand. */
static bool can_look(struct memory *m, char *p, bool no_access)
{
	return !no_access || p < m->start || p >= m->start + m->len;
}

/*
 * An operand of which one half is in the memory and the other in the ordinary
 * page beside it.  If either cannot be accessed then nothing is done to both.
 */
static void check_across(struct __test_metadata *_metadata, struct memory *m,
			 char *p, enum path path, int load, int store,
			 bool no_access)
{
	const uint32_t count = 0x01010101;
	uint32_t before[2] = { 0 }, found[2] = { 5, 5 };
	struct cpu_op op = cpu_op_memcpy(CPU_MEMCPY_OP, found, p, 8);
	int ret;

	for (int i = 0; i < 2; i++)
		if (can_look(m, p + 4 * i, no_access))
			memcpy(&before[i], p + 4 * i, 4);
	EXPECT_EQ(load, run_path(path, &op, 1)) {
		TH_LOG("load across, %s", path_names[path]);
	}
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(load ? 5 : before[i], found[i]);

	op = cpu_op_arithmetic(CPU_ADD_OP, p, (uint64_t)count << 32 | count, 8);
	ret = run_path(path, &op, 1);
	store = decide(store, ret);
	EXPECT_EQ(store, ret) {
		TH_LOG("store across, %s", path_names[path]);
	}
	for (int i = 0; i < 2; i++) {
		if (!can_look(m, p + 4 * i, no_access))
			continue;
		memcpy(&found[0], p + 4 * i, 4);
		EXPECT_EQ(store ? before[i] : before[i] + count, found[0]);
	}
}

/* Fails for one kind or another without each of the steps before a vector. */
TEST_F_TIMEOUT(pages, load_and_store, LONG_TIMEOUT)
{
	struct memory *m = &self->m;

	for (enum path path = 0; path < NR_PATHS; path++) {
		/* No store to two pages is made directly. */
		int across = variant->stores[path == DIRECT ? AHEAD : path];

		ASSERT_EQ(0, remake(m, variant->make));
		check_load(_metadata, m, path, variant->loads[path],
			   variant->changes);
		ASSERT_EQ(0, remake(m, variant->make));
		check_store(_metadata, m, path, variant->stores[path],
			    variant->no_access || variant->changes);
		for (int end = 0; m->len && end < 2; end++) {
			ASSERT_EQ(0, remake(m, variant->make));
			check_across(_metadata, m, m->start + end * m->len - 4,
				     path, variant->loads[path], across,
				     variant->no_access);
		}
	}
}

/* The page that all programs share, beyond the memory of each. */
TEST(vsyscall)
{
	uint64_t found = 5;
	struct cpu_op op = cpu_op_memcpy(CPU_MEMCPY_OP, &found, NULL, 8);

	op_set_operand(&op, 1, 0xffffffffff600000);
	for (enum path path = 0; path < NR_PATHS; path++)
		EXPECT_EQ(-EFAULT, run_path(path, &op, 1));
	EXPECT_EQ(5, found);
}

/*
 * The kernel has an address of its own for each page: the physical one, added to
 * one of these unless that is random.  The argument nokaslr makes it not random.
 */
TEST(kernel_memory_is_not_stored_to)
{
	const uint64_t bases[] = { 0xffff888000000000, 0xff11000000000000 };
	uint64_t *p = (uint64_t *)map_pages(1), value = 1, frame;
	struct cpu_op op = cpu_op_memcpy(CPU_MEMCPY_OP, NULL, &value, 8);

	ASSERT_EQ(0, mlock(p, sizeof(*p)));
	frame = page_map(p) & PM_PFN;
	if (!frame)
		SKIP(return, "needs root");
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
		op_set_operand(&op, 0, bases[i] + frame * page_size());
		for (enum path path = 0; path < NR_PATHS; path++)
			EXPECT_EQ(-EFAULT, run_path(path, &op, 1));
		EXPECT_EQ(0, *p);
	}
	unmap_pages((char *)p, 1);
}

/* Fails if pages that were stored to are unpinned without being made dirty. */
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
		struct cpu_op op;

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

#define NR_NUMA_PAGES	64
#define NUMA		"/sys/kernel/debug/sched/numa_balancing/"

static void *burn(void *stop)
{
	while (!READ_ONCE(*(bool *)stop))
		;
	return NULL;
}

FIXTURE(numa)
{
	struct knob knobs[4];
};

FIXTURE_SETUP(numa)
{
	const struct knob knobs[] = {
		{ .path = NUMA "scan_delay_ms", .value = "1" },
		{ .path = NUMA "scan_period_min_ms", .value = "10" },
		{ .path = NUMA "scan_period_max_ms", .value = "20" },
		{ .path = "/proc/sys/kernel/numa_balancing", .value = "1" },
	};

	memcpy(self->knobs, knobs, sizeof(knobs));
	if (set_knobs(self->knobs, ARRAY_SIZE(knobs)))
		SKIP(return, "needs CONFIG_NUMA_BALANCING, DEBUG_FS and SCHED_DEBUG");
}

FIXTURE_TEARDOWN(numa)
{
	restore_knobs(self->knobs, ARRAY_SIZE(self->knobs));
}

/* Page table entries that are made to fault, to see which node uses a page. */
TEST_F_TIMEOUT(numa, hinting_faults, LONG_TIMEOUT)
{
	const char *vmstat = "/proc/vmstat", *faults = "numa_hint_faults";
	size_t page = page_size();
	uint64_t rounds = 0;
	bool stop = false;
	pthread_t thread;
	long end;
	char *p;

	/* The pages of a process with one thread are left alone. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, burn, &stop));
	p = map(NR_NUMA_PAGES * page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(p, 0, NR_NUMA_PAGES * page);
	end = read_pair(vmstat, faults) + 2 * NR_NUMA_PAGES;
	do {
		for (size_t i = 0; i < NR_NUMA_PAGES; i++) {
			struct cpu_op vec[] = {
				cpu_op_compare(CPU_COMPARE_EQ_OP, p + i * page,
					       &rounds, 8),
				cpu_op_arithmetic(CPU_ADD_OP, p + i * page, 1,
						  8),
			};

			ASSERT_EQ(0, run_path(i % NR_PATHS, vec, 2));
		}
		rounds++;
	} while (read_pair(vmstat, faults) < end);
	WRITE_ONCE(stop, true);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < NR_NUMA_PAGES; i++)
		EXPECT_EQ(rounds, *(uint64_t *)(p + i * page));
	munmap(p, NR_NUMA_PAGES * page);
}

static struct knob hugetlb = {
	.path = "/proc/sys/vm/nr_hugepages",
	.value = "4",
};

/* Returns whether there is swap space now that was not there before. */
static bool make_swap(void)
{
	return set_knob("/sys/block/zram0/disksize", "64M") == 0 &&
	       system("mkswap " SWAP_DEVICE " >/dev/null") == 0 &&
	       swapon(SWAP_DEVICE, 0) == 0;
}

static void remove_swap(void)
{
	swapoff(SWAP_DEVICE);
	set_knob("/sys/block/zram0/reset", "1");
}

static void restore_hugetlb(void)
{
	restore_knobs(&hugetlb, 1);
}

int main(int argc, char **argv)
{
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	make_file_systems();
	if (make_swap())
		atexit(remove_swap);
	set_knobs(&hugetlb, 1);
	atexit(restore_hugetlb);
	return cpu_opv_test_run(argc, argv);
}
