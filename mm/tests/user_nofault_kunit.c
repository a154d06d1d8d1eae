// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tests of the accessors of user memory that do not fault, on memory of which
 * each test knows whether it is there.
 *
 * What memory holds is always compared by its bytes: an integer is made of
 * bytes, or bytes of an integer, by a copy.  So what is expected is right for
 * both byte orders.
 */
#include <kunit/test.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/sched/task.h>
#include <linux/string.h>
#include <linux/uaccess.h>

/* What is in the way if an access has the wrong place, size or byte order. */
static const u8 pattern[] __aligned(8) = {
	0x81, 0x92, 0xa3, 0xb4, 0xc5, 0xd6, 0xe7, 0xf8,
	0x19, 0x2a, 0x3b, 0x4c, 0x5d, 0x6e, 0x7f, 0x80,
	0x91, 0xa2, 0xb3, 0xc4, 0xd5, 0xe6, 0xf7, 0x08,
	0x1a, 0x2b, 0x3c, 0x4d, 0x5e, 0x6f, 0x70, 0x8f,
};

static const size_t sizes[] = { 1, 2, 4, 8 };
static const size_t no_sizes[] = { 0, 3, 5, 6, 7, 16, 32 };

/* The integer that these bytes are on this machine, zero-extended. */
static u64 integer(const void *bytes, size_t size)
{
	u16 v16;
	u32 v32;
	u64 v64;

	switch (size) {
	case 1:
		return *(const u8 *)bytes;
	case 2:
		memcpy(&v16, bytes, size);
		return v16;
	case 4:
		memcpy(&v32, bytes, size);
		return v32;
	default:
		memcpy(&v64, bytes, size);
		return v64;
	}
}

/* The bytes of an integer on this machine. */
static void bytes_of(void *bytes, u64 val, size_t size)
{
	u8 v8 = val;
	u16 v16 = val;
	u32 v32 = val;

	switch (size) {
	case 1:
		memcpy(bytes, &v8, size);
		break;
	case 2:
		memcpy(bytes, &v16, size);
		break;
	case 4:
		memcpy(bytes, &v32, size);
		break;
	default:
		memcpy(bytes, &val, size);
	}
}

/* Two pages, neither of which is present. */
static u8 __user *map(struct kunit *test, unsigned long prot)
{
	unsigned long addr;

	addr = kunit_vm_mmap(test, NULL, 0, 2 * PAGE_SIZE, prot,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE_MSG(test, addr, 0, "no mm, or no memory");
	KUNIT_ASSERT_LT_MSG(test, addr, (unsigned long)TASK_SIZE,
			    "vm_mmap() failed");
	return (u8 __user *)addr;
}

static void fill(struct kunit *test, u8 __user *ptr)
{
	KUNIT_ASSERT_EQ(test, 0, copy_to_user(ptr, pattern, sizeof(pattern)));
}

/* Both pages present, with a pattern at the start and around their border. */
static u8 __user *map_present(struct kunit *test)
{
	u8 __user *ptr = map(test, PROT_READ | PROT_WRITE);

	fill(test, ptr);
	fill(test, ptr + PAGE_SIZE - sizeof(pattern) / 2);
	return ptr;
}

/* The first page present, with a pattern at its end; no second page. */
static u8 __user *map_end(struct kunit *test)
{
	u8 __user *ptr = map(test, PROT_READ | PROT_WRITE);

	KUNIT_ASSERT_EQ(test, 0, vm_munmap((unsigned long)ptr + PAGE_SIZE,
					   PAGE_SIZE));
	fill(test, ptr + PAGE_SIZE - sizeof(pattern));
	return ptr + PAGE_SIZE;
}

/* No way out of an accessor forgets to enable page faults again. */
static void expect_faults(struct kunit *test)
{
	KUNIT_ASSERT_FALSE(test, pagefault_disabled());
}

static void expect_bytes(struct kunit *test, const u8 __user *ptr,
			 const void *expected, size_t size)
{
	u8 found[sizeof(pattern)] = {};

	KUNIT_ASSERT_LE(test, size, sizeof(found));
	KUNIT_ASSERT_EQ(test, 0, copy_from_user(found, ptr, size));
	KUNIT_EXPECT_MEMEQ(test, found, expected, size);
	expect_faults(test);
}

static void expect_unchanged(struct kunit *test, const u8 __user *ptr)
{
	expect_bytes(test, ptr, pattern, sizeof(pattern));
}

static void expect_load(struct kunit *test, const u8 __user *src, size_t size,
			int ret, u64 expected)
{
	unsigned long val = ~0UL;

	KUNIT_EXPECT_EQ_MSG(test, ret, load_user_nofault(&val, src, size),
			    "%zu bytes", size);
	KUNIT_EXPECT_EQ_MSG(test, expected, val, "%zu bytes", size);

	/* The form in line does the same. */
	if (size == sizeof(u32) && IS_ALIGNED((unsigned long)src, size)) {
		const u32 __user *src32 = (const u32 __user *)src;
		u32 val32;

		KUNIT_EXPECT_EQ(test, ret, get_user_nofault(val32, src32));
		if (!ret)
			KUNIT_EXPECT_EQ(test, expected, val32);
	}
	expect_faults(test);
}

/*
 * All of them fail at that address, which is aligned: by @ret those that would
 * write, and those that only read by -EFAULT, too, unless @readable.
 */
static void expect_fault(struct kunit *test, u8 __user *ptr, bool readable)
{
	u32 prev32;
	u64 prev64;
	int ret;

	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (sizes[i] > sizeof(long))
			continue;
		if (!readable)
			expect_load(test, ptr, sizes[i], -EFAULT, 0);
		KUNIT_EXPECT_EQ_MSG(test, -EFAULT,
				    store_user_nofault(ptr, 1, sizes[i]),
				    "%zu bytes", sizes[i]);
	}
	KUNIT_EXPECT_EQ(test, -EFAULT,
			cmpxchg_user_nofault(&prev32, (u32 __user *)ptr, 0, 1));
	ret = cmpxchg64_user_nofault(&prev64, (u64 __user *)ptr, 0, 1);
	if (ret != -EOPNOTSUPP)
		KUNIT_EXPECT_EQ(test, -EFAULT, ret);
	KUNIT_EXPECT_EQ(test, -EFAULT, probe_user_writeable_nofault(ptr));
	expect_faults(test);
}

static void test_load(struct kunit *test)
{
	u8 __user *ptr = map_present(test);
	u8 __user *border = ptr + PAGE_SIZE - sizeof(pattern) / 2;

	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i];

		if (size > sizeof(long)) {
			expect_load(test, ptr, size, -EINVAL, 0);
			continue;
		}
		/* At all alignments, and across the border of the pages. */
		for (int at = 0; at + size <= sizeof(pattern); at++) {
			expect_load(test, ptr + at, size, 0,
				    integer(pattern + at, size));
			expect_load(test, border + at, size, 0,
				    integer(pattern + at, size));
		}
	}
	for (int i = 0; i < ARRAY_SIZE(no_sizes); i++) {
		expect_load(test, ptr, no_sizes[i], -EINVAL, 0);
		expect_load(test, ptr + 1, no_sizes[i], -EINVAL, 0);
	}
}

/* The second half of an integer is not there. */
static void test_load_end(struct kunit *test)
{
	u8 __user *end = map_end(test);
	const u8 *bytes = pattern + sizeof(pattern);

	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		int size = sizes[i];

		if (size > sizeof(long))
			continue;
		expect_load(test, end - size, size, 0,
			    integer(bytes - size, size));
		for (int inside = 0; inside < size; inside++)
			expect_load(test, end - inside, size, -EFAULT, 0);
	}
}

static void test_store(struct kunit *test)
{
	u8 __user *ptr = map_present(test);
	const u64 val = 0x0123456789abcdefULL;

	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i];

		for (int at = 0; at + size <= sizeof(pattern); at++) {
			u8 expected[sizeof(pattern)];
			int ret = size > sizeof(long) || at % size ? -EINVAL : 0;

			fill(test, ptr);
			memcpy(expected, pattern, sizeof(pattern));
			if (!ret)
				bytes_of(expected + at, val, size);
			/* What does not fit into the integer is ignored. */
			KUNIT_EXPECT_EQ_MSG(test, ret,
					    store_user_nofault(ptr + at, val,
							       size),
					    "%zu bytes at %d", size, at);
			expect_bytes(test, ptr, expected, sizeof(expected));
		}
	}

	fill(test, ptr);
	for (int i = 0; i < ARRAY_SIZE(no_sizes); i++)
		KUNIT_EXPECT_EQ_MSG(test, -EINVAL,
				    store_user_nofault(ptr, 1, no_sizes[i]),
				    "%zu bytes", no_sizes[i]);
	expect_unchanged(test, ptr);
}

static void test_memcmp(struct kunit *test)
{
	u8 __user *a = map_present(test);
	u8 __user *b = map_present(test);
	/* So that both areas are in two pages each. */
	u8 __user *border = b + PAGE_SIZE - sizeof(pattern) / 2;

	KUNIT_EXPECT_EQ(test, 0, memcmp_user_nofault(a, border, 0));
	for (size_t at = 0; at < 9; at++) {
		for (size_t size = 1; at + size <= sizeof(pattern); size++) {
			u8 __user *last = border + at + size - 1;
			u8 byte = pattern[at + size - 1];

			KUNIT_EXPECT_EQ(test, 0,
					memcmp_user_nofault(a + at, border + at,
							    size));
			/* It is the last byte that differs, then the first. */
			KUNIT_ASSERT_EQ(test, 0, put_user(byte ^ 0x80, last));
			KUNIT_EXPECT_EQ_MSG(test, 1,
					    memcmp_user_nofault(a + at,
								border + at,
								size),
					    "%zu bytes at %zu", size, at);
			KUNIT_EXPECT_EQ(test, 0,
					memcmp_user_nofault(a + at, border + at,
							    size - 1));
			KUNIT_ASSERT_EQ(test, 0, put_user(byte, last));

			byte = pattern[at];
			KUNIT_ASSERT_EQ(test, 0,
					put_user(byte ^ 1, border + at));
			KUNIT_EXPECT_EQ(test, 1,
					memcmp_user_nofault(border + at, a + at,
							    size));
			KUNIT_ASSERT_EQ(test, 0, put_user(byte, border + at));
		}
	}
}

static void test_memcmp_fault(struct kunit *test)
{
	u8 __user *a = map_present(test);
	u8 __user *end = map_end(test);
	u8 kernel[8] = {};

	fill(test, end - sizeof(pattern));
	KUNIT_EXPECT_EQ(test, 0, memcmp_user_nofault(a, end - sizeof(pattern),
						     sizeof(pattern)));
	/* All that is there is equal. */
	KUNIT_EXPECT_EQ(test, -EFAULT,
			memcmp_user_nofault(a, end - sizeof(pattern),
					    sizeof(pattern) + 1));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			memcmp_user_nofault(end - sizeof(pattern), a,
					    sizeof(pattern) + 1));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			memcmp_user_nofault(a, (u8 __force __user *)kernel, 8));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			memcmp_user_nofault((u8 __force __user *)kernel, a, 8));
	expect_faults(test);
}

static void test_cmpxchg(struct kunit *test)
{
	u8 __user *ptr = map_present(test);
	u32 __user *word = (u32 __user *)(ptr + 4);
	u32 found = integer(pattern + 4, 4), prev;
	u8 expected[sizeof(pattern)];

	/* Any bit can be what differs; the highest is a sign to some. */
	for (int bit = 0; bit < 32; bit++) {
		prev = 0;
		KUNIT_EXPECT_EQ(test, 0,
				cmpxchg_user_nofault(&prev, word,
						     found ^ BIT(bit), 0));
		KUNIT_EXPECT_EQ(test, found, prev);
	}
	expect_unchanged(test, ptr);

	memcpy(expected, pattern, sizeof(pattern));
	for (int bit = 0; bit < 32; bit++) {
		prev = 0;
		KUNIT_EXPECT_EQ(test, 0,
				cmpxchg_user_nofault(&prev, word, found,
						     found ^ BIT(bit)));
		KUNIT_EXPECT_EQ(test, found, prev);
		found ^= BIT(bit);
		bytes_of(expected + 4, found, 4);
		expect_bytes(test, ptr, expected, sizeof(expected));
	}

	fill(test, ptr);
	for (int at = 1; at < 4; at++) {
		found = integer(pattern + at, 4);
		KUNIT_EXPECT_EQ(test, -EINVAL,
				cmpxchg_user_nofault(&prev,
						     (u32 __user *)(ptr + at),
						     found, ~found));
	}
	/* That is known before the address is looked at. */
	KUNIT_EXPECT_EQ(test, -EINVAL,
			cmpxchg_user_nofault(&prev, (u32 __user *)-1UL, 0, 1));
	expect_unchanged(test, ptr);
}

static void test_cmpxchg64(struct kunit *test)
{
	u8 __user *ptr = map_present(test);
	u64 __user *word = (u64 __user *)(ptr + 8);
	u64 found = integer(pattern + 8, 8), prev;
	u8 expected[sizeof(pattern)];
	int ret;

	for (int at = 1; at < 8; at++)
		KUNIT_EXPECT_EQ(test, -EINVAL,
				cmpxchg64_user_nofault(&prev,
						       (u64 __user *)(ptr + at),
						       0, 1));

	ret = cmpxchg64_user_nofault(&prev, word, ~found, 0);
	if (ret == -EOPNOTSUPP) {
		KUNIT_EXPECT_FALSE(test, IS_ENABLED(CONFIG_X86_64) ||
				   IS_ENABLED(CONFIG_ARM64) ||
				   (IS_ENABLED(CONFIG_RISCV) &&
				    IS_ENABLED(CONFIG_64BIT)));
		expect_unchanged(test, ptr);
		kunit_skip(test, "this architecture has none of 64 bits");
	}

	for (int bit = 0; bit < 64; bit++) {
		prev = 0;
		KUNIT_EXPECT_EQ(test, 0,
				cmpxchg64_user_nofault(&prev, word,
						       found ^ BIT_ULL(bit), 0));
		KUNIT_EXPECT_EQ(test, found, prev);
	}
	expect_unchanged(test, ptr);

	memcpy(expected, pattern, sizeof(pattern));
	for (int bit = 0; bit < 64; bit++) {
		prev = 0;
		KUNIT_EXPECT_EQ(test, 0,
				cmpxchg64_user_nofault(&prev, word, found,
						       found ^ BIT_ULL(bit)));
		KUNIT_EXPECT_EQ(test, found, prev);
		found ^= BIT_ULL(bit);
		bytes_of(expected + 8, found, 8);
		expect_bytes(test, ptr, expected, sizeof(expected));
	}
}

static void test_probe(struct kunit *test)
{
	u8 __user *ptr = map_present(test);

	for (int at = 0; at < 16; at++)
		KUNIT_EXPECT_EQ(test, 0, probe_user_writeable_nofault(ptr + at));
	expect_unchanged(test, ptr);
}

/* Nothing is faulted in but by the function that says so. */
static void test_absent(struct kunit *test)
{
	u8 __user *ptr = map(test, PROT_READ | PROT_WRITE);
	u32 prev = 1;

	expect_fault(test, ptr, false);
	/* What was tried did not make it present. */
	expect_fault(test, ptr, false);
	KUNIT_EXPECT_EQ(test, -EFAULT, memcmp_user_nofault(ptr, ptr, 8));

	KUNIT_EXPECT_EQ(test, 0, fault_in_user_writeable(ptr));
	KUNIT_EXPECT_EQ(test, 0, probe_user_writeable_nofault(ptr));
	KUNIT_EXPECT_EQ(test, 0,
			cmpxchg_user_nofault(&prev, (u32 __user *)ptr, 0, 1));
	KUNIT_EXPECT_EQ(test, 0, prev);
	expect_load(test, ptr, 4, 0, 1);
}

/* The zero page may be read, and a store to it gets a page of its own. */
static void test_zero_page(struct kunit *test)
{
	u8 __user *ptr = map(test, PROT_READ | PROT_WRITE);
	u8 byte = 1;

	KUNIT_ASSERT_EQ(test, 0, get_user(byte, ptr));
	KUNIT_EXPECT_EQ(test, 0, byte);
	expect_load(test, ptr, 4, 0, 0);
	expect_fault(test, ptr, true);
	KUNIT_EXPECT_EQ(test, 0, fault_in_user_writeable(ptr));
	KUNIT_EXPECT_EQ(test, 0, store_user_nofault(ptr, 1, 4));
	expect_load(test, ptr, 4, 0, 1);
}

static void test_read_only(struct kunit *test)
{
	u8 __user *ptr = map(test, PROT_READ);
	u8 byte = 1;

	KUNIT_ASSERT_EQ(test, 0, get_user(byte, ptr));
	KUNIT_EXPECT_EQ(test, 0, byte);
	for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (sizes[i] <= sizeof(long))
			expect_load(test, ptr, sizes[i], 0, 0);
	}
	KUNIT_EXPECT_EQ(test, 0, memcmp_user_nofault(ptr, ptr + 64, 64));
	expect_fault(test, ptr, true);
	KUNIT_EXPECT_EQ(test, -EFAULT, fault_in_user_writeable(ptr));
	expect_fault(test, ptr, true);
	expect_load(test, ptr, sizeof(long), 0, 0);
}

static void test_unmapped(struct kunit *test)
{
	u8 __user *end = map_end(test);

	expect_fault(test, end, false);
	KUNIT_EXPECT_EQ(test, -EFAULT, fault_in_user_writeable(end));
	expect_fault(test, NULL, false);
}

/* Memory of the kernel is neither read nor written. */
static void test_kernel_address(struct kunit *test)
{
	u8 *kernel = kunit_kzalloc(test, sizeof(pattern), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, kernel);
	/* A process has to exist, or it would fail for want of one. */
	map(test, PROT_READ | PROT_WRITE);

	expect_fault(test, (u8 __force __user *)kernel, false);
	expect_fault(test, (u8 __force __user *)&pattern[0], false);
	/* The last word of all. */
	expect_fault(test, (u8 __user *)-8UL, false);
	KUNIT_EXPECT_TRUE(test, !memchr_inv(kernel, 0, sizeof(pattern)));
}

/* A tag is for the machine to ignore: where it does not, it is no address. */
static void test_tagged(struct kunit *test)
{
	u8 __user *ptr = map_present(test);
	unsigned long addr = (unsigned long)ptr;
	u64 found = integer(pattern, 4);
	u8 __user *tagged;
	u32 prev = 0;

	if (!IS_ENABLED(CONFIG_64BIT))
		kunit_skip(test, "an address of 32 bits has no room for a tag");

	tagged = (u8 __user *)(addr | 1UL << (BITS_PER_LONG - 4));
	if (untagged_addr((unsigned long)tagged) != addr) {
		expect_fault(test, tagged, false);
		return;
	}
	for (int i = 0; i < ARRAY_SIZE(sizes); i++)
		expect_load(test, tagged, sizes[i], 0,
			    integer(pattern, sizes[i]));
	KUNIT_EXPECT_EQ(test, 0, memcmp_user_nofault(tagged, ptr,
						     sizeof(pattern)));
	KUNIT_EXPECT_EQ(test, 0, probe_user_writeable_nofault(tagged));
	expect_unchanged(test, ptr);
	KUNIT_EXPECT_EQ(test, 0, cmpxchg_user_nofault(&prev,
						      (u32 __user *)tagged,
						      found, ~found));
	KUNIT_EXPECT_EQ(test, found, prev);
	expect_load(test, ptr, 4, 0, (u32)~found);
	KUNIT_EXPECT_EQ(test, 0, store_user_nofault(tagged, found, 4));
	expect_unchanged(test, ptr);
	KUNIT_EXPECT_EQ(test, 0, fault_in_user_writeable(tagged + PAGE_SIZE));
}

/*
 * Several threads add to a word of user memory, the even ones through the user's
 * address by exchanges that do not fault, the odd ones as a program would, by an
 * atomic addition to the same memory, which the kernel has mapped.
 */
#define RACERS		4
#define RACE_ROUNDS	50000

struct race {
	struct mm_struct *mm;
	struct completion go;
	struct completion done;
	void __user *user;
	void *alias;
	bool wide;
};

struct racer {
	struct race *race;
	struct task_struct *task;
	bool exchanges;
};

/* Both add 1 to each half, if it is wide. */
#define WIDE_ONE	(BIT_ULL(32) | 1)

static int race_exchange(struct race *race)
{
	u32 __user *word = race->user;
	u64 __user *wide = race->user;
	u64 old64 = 0, prev64;
	u32 old = 0, prev;
	int ret;

	for (;;) {
		if (race->wide) {
			ret = cmpxchg64_user_nofault(&prev64, wide, old64,
						     old64 + WIDE_ONE);
			if (!ret && prev64 == old64)
				return 0;
			if (!ret)
				old64 = prev64;
		} else {
			ret = cmpxchg_user_nofault(&prev, word, old, old + 1);
			if (!ret && prev == old)
				return 0;
			if (!ret)
				old = prev;
		}
		if (ret == -EAGAIN)
			cond_resched();
		else if (ret)
			return ret;
	}
}

static int race_thread(void *data)
{
	struct racer *racer = data;
	struct race *race = racer->race;
	int ret = 0;

	kthread_use_mm(race->mm);
	wait_for_completion(&race->go);
	for (int i = 0; i < RACE_ROUNDS && !ret; i++) {
		if (racer->exchanges)
			ret = race_exchange(race);
		else if (race->wide)
			atomic64_add(WIDE_ONE, race->alias);
		else
			atomic_inc(race->alias);
		if (!(i % 256))
			cond_resched();
	}
	kthread_unuse_mm(race->mm);
	complete(&race->done);
	return ret;
}

static void run_race(struct kunit *test, bool wide)
{
	struct racer racers[RACERS] = {};
	u8 __user *ptr = map(test, PROT_READ | PROT_WRITE);
	struct race race = { .user = ptr, .wide = wide };
	unsigned int cpu = cpumask_first(cpu_online_mask);
	u64 expected = (u64)RACERS * RACE_ROUNDS;
	struct page *page;
	int started;

	if (IS_ENABLED(CONFIG_ARCH_HAS_CPU_CACHE_ALIASING))
		kunit_skip(test, "the kernel may see other data than the user");

	race.mm = current->mm;
	init_completion(&race.go);
	init_completion(&race.done);
	KUNIT_ASSERT_EQ(test, 1, pin_user_pages_fast((unsigned long)ptr, 1,
						     FOLL_WRITE, &page));
	race.alias = kmap_local_page(page);

	for (started = 0; started < RACERS; started++) {
		struct racer *racer = &racers[started];

		racer->race = &race;
		racer->exchanges = !(started % 2);
		racer->task = kthread_create(race_thread, racer,
					     "user_nofault/%d", started);
		if (IS_ERR(racer->task))
			break;
		kthread_bind(racer->task, cpu);
		get_task_struct(racer->task);
		wake_up_process(racer->task);
		cpu = cpumask_next(cpu, cpu_online_mask);
		if (cpu >= nr_cpu_ids)
			cpu = cpumask_first(cpu_online_mask);
	}
	complete_all(&race.go);
	/* A thread that is stopped before it runs does not run. */
	for (int i = 0; i < started; i++)
		wait_for_completion(&race.done);
	while (started-- > 0)
		KUNIT_EXPECT_EQ(test, 0, kthread_stop_put(racers[started].task));

	KUNIT_EXPECT_EQ_MSG(test, wide ? expected << 32 | expected : expected,
			    wide ? *(u64 *)race.alias : *(u32 *)race.alias,
			    "an addition was lost");
	kunmap_local(race.alias);
	unpin_user_page(page);
	KUNIT_EXPECT_FALSE(test, IS_ERR(racers[RACERS - 1].task));
}

static void test_cmpxchg_race(struct kunit *test)
{
	run_race(test, false);
}

static void test_cmpxchg64_race(struct kunit *test)
{
	u64 prev;

	if (cmpxchg64_user_nofault(&prev, NULL, 0, 0) == -EOPNOTSUPP)
		kunit_skip(test, "this architecture has none of 64 bits");
	run_race(test, true);
}

static int user_nofault_init(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_MMU))
		kunit_skip(test, "without an MMU all memory is everyone's");
	return kunit_attach_mm();
}

static struct kunit_case user_nofault_cases[] = {
	KUNIT_CASE(test_load),
	KUNIT_CASE(test_load_end),
	KUNIT_CASE(test_store),
	KUNIT_CASE(test_memcmp),
	KUNIT_CASE(test_memcmp_fault),
	KUNIT_CASE(test_cmpxchg),
	KUNIT_CASE(test_cmpxchg64),
	KUNIT_CASE(test_probe),
	KUNIT_CASE(test_absent),
	KUNIT_CASE(test_zero_page),
	KUNIT_CASE(test_read_only),
	KUNIT_CASE(test_unmapped),
	KUNIT_CASE(test_kernel_address),
	KUNIT_CASE(test_tagged),
	KUNIT_CASE_SLOW(test_cmpxchg_race),
	KUNIT_CASE_SLOW(test_cmpxchg64_race),
	{}
};

static struct kunit_suite user_nofault_suite = {
	.name = "user_nofault",
	.init = user_nofault_init,
	.test_cases = user_nofault_cases,
};

kunit_test_suite(user_nofault_suite);
