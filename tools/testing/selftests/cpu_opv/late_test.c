// SPDX-License-Identifier: GPL-2.0
/*
 * A caller that queues for its CPU holds no page, and its vector has not begun:
 * what another thread does to the memory meanwhile comes before it.
 */

#include <linux/fs.h>
#include <sys/resource.h>

#include "uffd_test.h"

#define NR_BUSY		8
#define NR_OPS		3

/* How long to wait for a thread that is to run by itself, in milliseconds. */
#define PATIENCE	20000

/*
 * How often a test may start over because the call has had its turn too early,
 * which depends on how fast the machine is.
 */
#define MAX_EARLY	20

/* A bit of an entry in /proc/self/pagemap. */
#define PM_SOFT_DIRTY	0x80000000000000ULL

/* A call that queues for a CPU behind threads of a far greater weight. */
struct queued {
	enum path path;
	struct cpu_op ops[NR_OPS];
	int nr;
	/* Where it comes from, and the CPU that it is for. */
	int cpus[2];
	pthread_t busy[NR_BUSY];
	pthread_barrier_t all_busy;
	bool stop;
	pthread_t caller;
	pid_t tid;
	int ret;
	bool done;
};

static void *keep_busy(void *arg)
{
	struct queued *queued = arg;

	allow_cpus(&queued->cpus[1], 1);
	/* If it is allowed: the caller then queues for longer. */
	setpriority(PRIO_PROCESS, 0, -20);
	pthread_barrier_wait(&queued->all_busy);
	while (!READ_ONCE(queued->stop))
		;
	return NULL;
}

static void burn_ms(int ms)
{
	double end = now() + ms / 1e3;

	while (now() < end)
		;
}

static void *call(void *arg)
{
	const struct sched_param param = { 0 };
	struct queued *queued = arg;

	allow_cpus(&queued->cpus[0], 1);
	allow_cpus(queued->cpus, 2);
	if (sched_setscheduler(0, SCHED_IDLE, &param)) {
		perror("SCHED_IDLE");
		abort();
	}
	/* What this policy owes it would be paid on the other CPU. */
	burn_ms(5);
	WRITE_ONCE(queued->tid, syscall(__NR_gettid));
	queued->ret = run_path_on(queued->path, queued->ops, queued->nr,
				  queued->cpus[1]);
	WRITE_ONCE(queued->done, true);
	return NULL;
}

/* The CPU that a thread is on or queues for, or -1. */
static int cpu_of(pid_t tid)
{
	char path[64], text[512], *rest;
	int cpu = -1;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	if (get_knob(path, text, sizeof(text)))
		return -1;
	/* The 39th field.  The name in the second may hold anything. */
	rest = strrchr(text, ')');
	for (int field = 2; rest && field < 39; field++)
		rest = strchr(rest + 1, ' ');
	if (rest)
		sscanf(rest, "%d", &cpu);
	return cpu;
}

/* Leave one CPU to the busy threads alone.  Returns -1 if there is only one. */
static int choose_cpus(struct queued *queued)
{
	if (allowed_cpus(queued->cpus, 2) != 2)
		return -1;
	allow_cpus(queued->cpus, 1);
	return 0;
}

/* Start the call, and return when it queues. */
static void start_queued(struct queued *queued)
{
	pthread_barrier_init(&queued->all_busy, NULL, NR_BUSY + 1);
	queued->stop = false;
	queued->done = false;
	queued->tid = 0;
	for (int i = 0; i < NR_BUSY; i++) {
		errno = pthread_create(&queued->busy[i], NULL, keep_busy,
				       queued);
		if (errno) {
			perror("pthread_create");
			abort();
		}
	}
	pthread_barrier_wait(&queued->all_busy);
	errno = pthread_create(&queued->caller, NULL, call, queued);
	if (errno) {
		perror("pthread_create");
		abort();
	}
	while (!READ_ONCE(queued->tid) ||
	       (cpu_of(queued->tid) != queued->cpus[1] &&
		!READ_ONCE(queued->done)))
		sleep_ms(1);
	/* Whatever is done on the way there has been done. */
	sleep_ms(20);
}

static bool is_queued(struct queued *queued)
{
	return !READ_ONCE(queued->done) &&
	       cpu_of(queued->tid) == queued->cpus[1];
}

/* Leave the CPU to the caller. */
static void let_run(struct queued *queued)
{
	WRITE_ONCE(queued->stop, true);
	for (int i = 0; i < NR_BUSY; i++)
		pthread_join(queued->busy[i], NULL);
	pthread_barrier_destroy(&queued->all_busy);
}

/* Returns what the call returns. */
static int join_queued(struct queued *queued)
{
	pthread_join(queued->caller, NULL);
	return queued->ret;
}

/* Wait for a fault of the call.  Returns whether there is one. */
static bool wait_for_fault(struct queued *queued, int fd, uint64_t page)
{
	for (int i = 0; i < PATIENCE; i++) {
		uint64_t found = next_fault(fd);

		if (found || READ_ONCE(queued->done))
			return found == page;
	}
	return false;
}

/* What the word holds, and another one that takes its place. */
#define VALUE		40
#define OTHER_VALUE	50

/* A word in a page of its own. */
struct memory {
	uint64_t *p;
	/* Where the word is in the end, if it is anywhere. */
	uint64_t *now;
	/* What it was in, and may not be in any more. */
	int file;
	int uffd;
	/* What a call has loaded. */
	uint64_t found;
};

static int map_anon(struct memory *m)
{
	m->p = (uint64_t *)map(page_size(), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1);
	*m->p = VALUE;
	return 0;
}

static int new_file(uint64_t value)
{
	int fd = memfd_create("cpu_opv", 0);

	if (fd < 0 || ftruncate(fd, page_size()) ||
	    pwrite(fd, &value, sizeof(value), 0) != sizeof(value)) {
		perror("memfd_create");
		abort();
	}
	return fd;
}

static int map_file(struct memory *m)
{
	m->file = new_file(VALUE);
	m->p = (uint64_t *)map(page_size(), PROT_READ | PROT_WRITE, MAP_SHARED,
			       m->file);
	/* Present and dirty. */
	*m->p = VALUE;
	return 0;
}

/* The same of a file that can be written without the cache. */
static int map_ext4(struct memory *m)
{
	const uint64_t value = VALUE;

	m->file = open(EXT4_DIR "/late", O_RDWR | O_CREAT, 0600);
	if (m->file < 0 || ftruncate(m->file, page_size()) ||
	    pwrite(m->file, &value, sizeof(value), 0) != sizeof(value) ||
	    fsync(m->file))
		return -errno;
	m->p = (uint64_t *)map(page_size(), PROT_READ | PROT_WRITE, MAP_SHARED,
			       m->file);
	*m->p = VALUE;
	return 0;
}

static int map_with_uffd(struct memory *m, uint64_t features)
{
	map_anon(m);
	m->uffd = uffd_open(0, features);
	if (m->uffd < 0)
		return m->uffd;
	return uffd_register(m->uffd, m->p, page_size(),
			     UFFDIO_REGISTER_MODE_WP);
}

/* Writes are to be waited for. */
static int map_for_protection(struct memory *m)
{
	return map_with_uffd(m, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
}

/* Writes are to be found by a scan. */
static int map_for_scan(struct memory *m)
{
	return map_with_uffd(m, UFFD_FEATURE_WP_UNPOPULATED |
				UFFD_FEATURE_WP_ASYNC);
}

static int memory_create(struct memory *m, int (*map)(struct memory *m))
{
	int ret;

	*m = (struct memory) { .file = -1, .uffd = -1 };
	ret = map(m);
	m->now = m->p;
	return ret;
}

static void memory_destroy(struct memory *m)
{
	if (m->now)
		munmap(m->now, page_size());
	if (m->file >= 0)
		close(m->file);
	if (m->uffd >= 0)
		close(m->uffd);
}

/* What is done to the memory.  All of these return 0, or an error. */

static int protect(struct memory *m)
{
	return mprotect(m->p, page_size(), PROT_READ) ? -errno : 0;
}

static int protect_wholly(struct memory *m)
{
	return mprotect(m->p, page_size(), PROT_NONE) ? -errno : 0;
}

static int move(struct memory *m)
{
	m->now = mremap(m->p, page_size(), page_size(),
			MREMAP_MAYMOVE | MREMAP_FIXED,
			map(page_size(), PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1));
	return m->now == MAP_FAILED ? -errno : 0;
}

static int discard(struct memory *m)
{
	return madvise(m->p, page_size(), MADV_DONTNEED) ? -errno : 0;
}

static int unmap_only(struct memory *m)
{
	if (munmap(m->p, page_size()))
		return -errno;
	m->now = NULL;
	return 0;
}

static int truncate_file(struct memory *m)
{
	return ftruncate(m->file, 0) ? -errno : 0;
}

/* This drops the page from the cache, whoever may have it pinned. */
static int write_directly(struct memory *m)
{
	size_t page = page_size();
	int fd = open(EXT4_DIR "/late", O_WRONLY | O_DIRECT);
	uint64_t *block = (uint64_t *)map(page, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ssize_t ret;

	*block = OTHER_VALUE;
	ret = pwrite(fd, block, page, 0);
	close(fd);
	munmap(block, page);
	return ret == page ? 0 : -EIO;
}

static int replace(struct memory *m)
{
	int fd = new_file(OTHER_VALUE);
	void *p = mmap(m->p, page_size(), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, fd, 0);

	close(fd);
	return p == MAP_FAILED ? -errno : 0;
}

/* A word that is in no mapping any more, but in the file. */
static uint64_t word_in_file(struct memory *m)
{
	uint64_t value = 0;

	if (pread(m->file, &value, sizeof(value), 0) < 0)
		perror("pread");
	return value;
}

FIXTURE(late)
{
	struct queued queued;
	struct memory m;
};

FIXTURE_VARIANT(late)
{
	int (*map)(struct memory *m);
	int (*change)(struct memory *m);
	/* What a call that loads the word, or adds to it, returns. */
	int load;
	int store;
	/* What the word is after the change, unless there is none. */
	uint64_t value;
	/* The file keeps what it had. */
	bool file_stays;
	bool needs_ext4;
};

FIXTURE_VARIANT_ADD(late, mprotect_read)
{
	.map = map_anon,
	.change = protect,
	.store = -EFAULT,
	.value = VALUE,
};

FIXTURE_VARIANT_ADD(late, mprotect_read_file)
{
	.map = map_file,
	.change = protect,
	.store = -EFAULT,
	.value = VALUE,
	.file_stays = true,
};

FIXTURE_VARIANT_ADD(late, mprotect_none)
{
	.map = map_file,
	.change = protect_wholly,
	.load = -EFAULT,
	.store = -EFAULT,
	.file_stays = true,
};

FIXTURE_VARIANT_ADD(late, mremap)
{
	.map = map_anon,
	.change = move,
	.load = -EFAULT,
	.store = -EFAULT,
	.value = VALUE,
};

FIXTURE_VARIANT_ADD(late, munmap)
{
	.map = map_file,
	.change = unmap_only,
	.load = -EFAULT,
	.store = -EFAULT,
	.file_stays = true,
};

FIXTURE_VARIANT_ADD(late, mmap_over)
{
	.map = map_file,
	.change = replace,
	.value = OTHER_VALUE,
	.file_stays = true,
};

FIXTURE_VARIANT_ADD(late, ftruncate)
{
	.map = map_file,
	.change = truncate_file,
	.load = -EFAULT,
	.store = -EFAULT,
};

FIXTURE_VARIANT_ADD(late, madvise_dontneed)
{
	.map = map_anon,
	.change = discard,
	.value = 0,
};

FIXTURE_VARIANT_ADD(late, direct_io)
{
	.map = map_ext4,
	.change = write_directly,
	.value = OTHER_VALUE,
	.needs_ext4 = true,
};

FIXTURE_SETUP(late)
{
	if (variant->needs_ext4 && !has_ext4())
		SKIP(return, "needs CONFIG_EXT4_FS, CONFIG_BLK_DEV_LOOP, mkfs.ext4 and root");
	if (choose_cpus(&self->queued))
		SKIP(return, "needs two CPUs");
}

FIXTURE_TEARDOWN(late)
{
}

static void start_one(struct queued *queued, enum path path, struct cpu_op op)
{
	queued->path = path;
	queued->ops[0] = op;
	queued->nr = 1;
	start_queued(queued);
}

static struct cpu_op load_word(struct memory *m)
{
	return cpu_op_memcpy(CPU_MEMCPY_OP, &m->found, m->p, 8);
}

static struct cpu_op add_to_word(struct memory *m)
{
	return cpu_op_arithmetic(CPU_ADD_OP, m->p, 1, 8);
}

/* Make memory, and change it while an operation on it queues. */
static void check_change(struct __test_metadata *_metadata,
			 struct queued *queued, struct memory *m,
			 int (*map)(struct memory *m),
			 int (*change)(struct memory *m), enum path way,
			 struct cpu_op (*op)(struct memory *m), int expected)
{
	for (int nr_early = 0; ; nr_early++) {
		bool was_queued;

		ASSERT_GT(MAX_EARLY, nr_early) {
			TH_LOG("it never queues for long enough");
		}
		ASSERT_EQ(0, memory_create(m, map));
		start_one(queued, way, op(m));
		EXPECT_EQ(0, change(m));
		was_queued = is_queued(queued);
		let_run(queued);
		join_queued(queued);
		if (was_queued)
			break;
		memory_destroy(m);
	}
	EXPECT_EQ(expected, queued->ret) {
		TH_LOG("path %s", path_names[way]);
	}
}

/* These fail if what is used is what was there when the call was made. */
TEST_F_TIMEOUT(late, change_comes_before_load, LONG_TIMEOUT)
{
	struct memory *m = &self->m;

	for (enum path path = 0; path < NR_PATHS; path++) {
		check_change(_metadata, &self->queued, m, variant->map,
			     variant->change, path, load_word, variant->load);
		EXPECT_EQ(variant->load ? 0 : variant->value, m->found) {
			TH_LOG("path %s", path_names[path]);
		}
		memory_destroy(m);
	}
}

TEST_F_TIMEOUT(late, change_comes_before_store, LONG_TIMEOUT)
{
	struct memory *m = &self->m;

	for (enum path path = 0; path < NR_PATHS; path++) {
		uint64_t expected = variant->value + !variant->store;

		check_change(_metadata, &self->queued, m, variant->map,
			     variant->change, path, add_to_word,
			     variant->store);
		if (variant->value || !variant->store) {
			EXPECT_EQ(expected, *m->now) {
				TH_LOG("path %s", path_names[path]);
			}
		}
		if (variant->file_stays) {
			EXPECT_EQ(VALUE, word_in_file(m)) {
				TH_LOG("path %s", path_names[path]);
			}
		}
		memory_destroy(m);
	}
}

FIXTURE(late_event)
{
	struct queued queued;
	struct memory m;
};

FIXTURE_SETUP(late_event)
{
	if (choose_cpus(&self->queued))
		SKIP(return, "needs two CPUs");
}

FIXTURE_TEARDOWN(late_event)
{
}

/* Fails if a store is made to a protected page, and nobody is told. */
TEST_F_TIMEOUT(late_event, userfaultfd_write_protection, LONG_TIMEOUT)
{
	struct memory *m = &self->m;

	if (geteuid())
		SKIP(return, "needs root");
	if (access(UFFD_KNOB, F_OK))
		SKIP(return, "needs CONFIG_USERFAULTFD");
	for (int path = 0, nr_early = 0; path < NR_PATHS; path++) {
		long pins = pins_held();
		uint64_t page;
		bool is_early;

		ASSERT_EQ(0, memory_create(m, map_for_protection));
		page = (unsigned long)m->p;
		start_one(&self->queued, path, add_to_word(m));
		EXPECT_EQ(0, uffd_write_protect(m->uffd, page, page_size(),
						true));
		is_early = !is_queued(&self->queued);
		let_run(&self->queued);
		if (is_early) {
			ASSERT_GT(MAX_EARLY, ++nr_early);
			uffd_write_protect(m->uffd, page, page_size(), false);
			join_queued(&self->queued);
			memory_destroy(m);
			path--;
			continue;
		}
		EXPECT_TRUE(wait_for_fault(&self->queued, m->uffd, page)) {
			TH_LOG("path %s", path_names[path]);
		}
		EXPECT_TRUE(pins_are(pins));
		EXPECT_EQ(VALUE, *m->p);
		EXPECT_EQ(0, uffd_write_protect(m->uffd, page, page_size(),
						false));
		EXPECT_EQ(0, join_queued(&self->queued));
		EXPECT_EQ(VALUE + 1, *m->p);
		memory_destroy(m);
	}
}

/*
 * Returns whether the page has been written since the last time that it was
 * asked for, or an error.
 */
static int scan_written(const void *p)
{
	struct page_region region;
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = (unsigned long)p,
		.end = (unsigned long)p + page_size(),
		.vec = (unsigned long)&region,
		.vec_len = 1,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY);
	int ret = ioctl(fd, PAGEMAP_SCAN, &arg);

	if (ret < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* These fail if a page is written that then seems not to have been. */
TEST_F_TIMEOUT(late_event, pagemap_scan, LONG_TIMEOUT)
{
	struct memory *m = &self->m;

	if (geteuid())
		SKIP(return, "needs root");
	for (int path = 0, nr_early = 0; path < NR_PATHS; path++) {
		int ret = memory_create(m, map_for_scan);
		bool is_early;

		if (ret == -EINVAL)
			SKIP(return, "needs CONFIG_PTE_MARKER_UFFD_WP");
		ASSERT_EQ(0, ret);
		*m->p = VALUE;
		start_one(&self->queued, path, add_to_word(m));
		EXPECT_EQ(1, scan_written(m->p));
		ret = scan_written(m->p);
		is_early = *m->p != VALUE || !is_queued(&self->queued);
		let_run(&self->queued);
		EXPECT_EQ(0, join_queued(&self->queued));
		if (is_early) {
			ASSERT_GT(MAX_EARLY, ++nr_early);
			memory_destroy(m);
			path--;
			continue;
		}
		EXPECT_EQ(0, ret);
		EXPECT_EQ(VALUE + 1, *m->p);
		EXPECT_EQ(1, scan_written(m->p)) {
			TH_LOG("path %s", path_names[path]);
		}
		memory_destroy(m);
	}
}

TEST_F_TIMEOUT(late_event, soft_dirty, LONG_TIMEOUT)
{
	const char *clear_refs = "/proc/self/clear_refs";
	struct memory *m = &self->m;
	int path = 0, nr_early = 0;

	while (path < NR_PATHS) {
		bool was_queued;

		ASSERT_EQ(0, memory_create(m, map_anon));
		if (!(page_map(m->p) & PM_SOFT_DIRTY))
			SKIP(return, "needs CONFIG_MEM_SOFT_DIRTY");
		/* Else a new mapping is merged with it, which makes it dirty. */
		ASSERT_EQ(0, madvise(m->p, page_size(), MADV_DONTDUMP));
		start_one(&self->queued, path, add_to_word(m));
		EXPECT_EQ(0, set_knob(clear_refs, "4"));
		/*
		 * That looks at all memory, which can take long.  If the call
		 * has had its turn meanwhile, it may have faulted the page in.
		 */
		was_queued = !(page_map(m->p) & PM_SOFT_DIRTY) &&
			     is_queued(&self->queued);
		if (was_queued)
			EXPECT_EQ(VALUE, *m->p);
		let_run(&self->queued);
		EXPECT_EQ(0, join_queued(&self->queued));
		if (was_queued) {
			EXPECT_EQ(VALUE + 1, *m->p);
			EXPECT_TRUE(page_map(m->p) & PM_SOFT_DIRTY) {
				TH_LOG("path %s", path_names[path]);
			}
			path++;
		} else {
			ASSERT_GT(MAX_EARLY, ++nr_early) {
				TH_LOG("it never queues for long enough");
			}
		}
		memory_destroy(m);
	}
}

/* Two words, in pages of their own. */
FIXTURE(pins)
{
	struct queued queued;
	uint64_t *p;
	uint64_t *q;
};

FIXTURE_VARIANT(pins)
{
	enum path path;
	bool copies;
};

FIXTURE_VARIANT_ADD(pins, two_additions)
{
	.path = DIRECT,
};

FIXTURE_VARIANT_ADD(pins, two_additions_pinned)
{
	.path = PINNED,
};

FIXTURE_VARIANT_ADD(pins, copies)
{
	.path = DIRECT,
	.copies = true,
};

FIXTURE_VARIANT_ADD(pins, copies_ahead)
{
	.path = AHEAD,
	.copies = true,
};

FIXTURE_VARIANT_ADD(pins, copies_pinned)
{
	.path = PINNED,
	.copies = true,
};

FIXTURE_SETUP(pins)
{
	size_t page = page_size();
	char *p;

	if (geteuid())
		SKIP(return, "needs root");
	if (choose_cpus(&self->queued))
		SKIP(return, "needs two CPUs");
	p = map(2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1);
	self->p = (uint64_t *)p;
	self->q = (uint64_t *)(p + page);
	*self->p = VALUE;
	*self->q = VALUE;
	self->queued.path = variant->path;
	if (variant->copies) {
		self->queued.ops[0] = cpu_op_compare(CPU_COMPARE_EQ_OP,
						     self->p, self->q, 8);
		self->queued.ops[1] = cpu_op_memcpy(CPU_MEMCPY_OP, self->p + 1,
						    self->q, 8);
		self->queued.ops[2] = cpu_op_memcpy(CPU_MEMCPY_OP, self->q + 1,
						    self->p, 8);
		self->queued.nr = 3;
	} else {
		self->queued.ops[0] = cpu_op_arithmetic(CPU_ADD_OP, self->p, 1,
							8);
		self->queued.ops[1] = cpu_op_arithmetic(CPU_ADD_OP, self->q, 1,
							8);
		self->queued.nr = 2;
	}
}

FIXTURE_TEARDOWN(pins)
{
	munmap(self->p, 2 * page_size());
}

static void expect_done_once(struct __test_metadata *_metadata, bool copies,
			     const uint64_t *p, const uint64_t *q)
{
	uint64_t expected = copies ? VALUE : VALUE + 1;

	EXPECT_EQ(expected, p[0]);
	EXPECT_EQ(expected, q[0]);
	EXPECT_EQ(copies ? VALUE : 0, p[1]);
	EXPECT_EQ(copies ? VALUE : 0, q[1]);
}

/*
 * Whether no page is pinned while a call queues.  Others may pin some for a
 * moment, but not at each of several times.
 */
static bool no_pins_while_queued(struct queued *queued, long before)
{
	for (int i = 0; i < 10; i++) {
		long held = pins_held();

		if (held <= before)
			return is_queued(queued);
		sleep_ms(5);
	}
	return false;
}

/* These fail if a caller has pins before it has its CPU. */
TEST_F_TIMEOUT(pins, none_is_held_in_the_queue, LONG_TIMEOUT)
{
	long before = pins_held();

	start_queued(&self->queued);
	EXPECT_TRUE(is_queued(&self->queued));
	EXPECT_TRUE(no_pins_while_queued(&self->queued, before));
	let_run(&self->queued);
	EXPECT_EQ(0, join_queued(&self->queued));
	expect_done_once(_metadata, variant->copies, self->p, self->q);
	EXPECT_TRUE(pins_are(before));
}

/*
 * One page is gone when the caller has its CPU, and comes back as it was only
 * after a while.
 */
TEST_F_TIMEOUT(pins, none_is_held_behind_the_queue, LONG_TIMEOUT)
{
	const size_t page = page_size();
	char *content = map(page, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct uffdio_copy copy = {
		.dst = (unsigned long)self->q,
		.src = (unsigned long)content,
		.len = page,
	};
	long before;
	int fd;

	if (access(UFFD_KNOB, F_OK))
		SKIP(return, "needs CONFIG_USERFAULTFD");
	memcpy(content, self->q, page);
	fd = uffd_open(0, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, uffd_register(fd, self->q, page,
				   UFFDIO_REGISTER_MODE_MISSING));
	before = pins_held();
	start_queued(&self->queued);
	ASSERT_EQ(0, madvise(self->q, page, MADV_DONTNEED));
	EXPECT_TRUE(is_queued(&self->queued));
	let_run(&self->queued);
	EXPECT_TRUE(wait_for_fault(&self->queued, fd, copy.dst));
	EXPECT_TRUE(pins_are(before));
	EXPECT_FALSE(READ_ONCE(self->queued.done));
	EXPECT_EQ(VALUE, READ_ONCE(*self->p));
	EXPECT_EQ(0, READ_ONCE(self->p[1]));
	EXPECT_EQ(0, ioctl(fd, UFFDIO_COPY, &copy));
	EXPECT_EQ(0, join_queued(&self->queued));
	expect_done_once(_metadata, variant->copies, self->p, self->q);
	EXPECT_TRUE(pins_are(before));
	close(fd);
	munmap(content, page);
}

int main(int argc, char **argv)
{
	make_file_systems();
	return cpu_opv_test_run(argc, argv);
}
