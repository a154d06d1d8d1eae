// SPDX-License-Identifier: GPL-2.0
/*
 * Operands in memory whose faults the program itself resolves, by userfaultfd,
 * and signals to a task that waits for this.
 */

#include <sys/ptrace.h>

#include "uffd_test.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY	1
#endif
#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP	128
#endif

/* All pages hold the same bytes, so that an operand may be anywhere. */
#define FILL			0x11
#define VALUE			0x1111111111111111ULL
#define NR_PAGES		2

enum mode {
	/* There is no page. */
	MISSING,
	/* There is one that must not be written yet. */
	WRITE_PROTECTED,
	/* The same, of a file in a private mapping: the write replaces it. */
	WRITE_PROTECTED_FILE,
	/* There is one in the file, which is not mapped yet. */
	MINOR,
};

struct memory {
	enum mode mode;
	char *pages;
	char *fill;
	int fd;
};

static int memory_register(struct memory *m)
{
	static const uint64_t modes[] = {
		UFFDIO_REGISTER_MODE_MISSING,
		UFFDIO_REGISTER_MODE_WP,
		UFFDIO_REGISTER_MODE_WP,
		UFFDIO_REGISTER_MODE_MINOR,
	};
	size_t len = NR_PAGES * page_size();
	int ret = uffd_register(m->fd, m->pages, len, modes[m->mode]);

	if (!ret && modes[m->mode] == UFFDIO_REGISTER_MODE_WP)
		ret = uffd_write_protect(m->fd, (unsigned long)m->pages, len,
					 true);
	return ret;
}

static int memory_create(struct memory *m, enum mode kind, int flags,
			 uint64_t features)
{
	static const uint64_t mode_features[] = {
		0,
		UFFD_FEATURE_PAGEFAULT_FLAG_WP,
		UFFD_FEATURE_PAGEFAULT_FLAG_WP |
		UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
		UFFD_FEATURE_MINOR_SHMEM,
	};
	size_t len = NR_PAGES * page_size();
	int fd;

	m->mode = kind;
	m->pages = map_pages(NR_PAGES);
	m->fill = map_pages(NR_PAGES);
	if (kind == MINOR || kind == WRITE_PROTECTED_FILE) {
		fd = memfd_create("cpu_opv", 0);
		if (fd < 0 || ftruncate(fd, len) ||
		    mmap(m->pages, len, PROT_READ | PROT_WRITE,
			 (kind == MINOR ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED,
			 fd, 0) == MAP_FAILED ||
		    mmap(m->fill, len, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			return -errno;
		close(fd);
	}
	memset(m->fill, FILL, len);
	if (kind == WRITE_PROTECTED)
		memset(m->pages, FILL, len);
	for (int i = 0; kind == WRITE_PROTECTED_FILE && i < NR_PAGES; i++)
		READ_ONCE(m->pages[i * page_size()]);
	m->fd = uffd_open(flags, features | mode_features[kind]);
	return m->fd < 0 ? m->fd : memory_register(m);
}

static void memory_destroy(struct memory *m)
{
	close(m->fd);
	unmap_pages(m->pages, NR_PAGES);
	unmap_pages(m->fill, NR_PAGES);
}

/* Resolve a fault of the process that the memory is of. */
static void resolve(const struct memory *m, int fd, uint64_t page)
{
	struct uffdio_copy copy = {
		.dst = page,
		.src = (unsigned long)m->fill,
		.len = page_size(),
	};
	struct uffdio_continue cont = {
		.range.start = page,
		.range.len = page_size(),
	};
	int ret = -1;

	switch (m->mode) {
	case MISSING:
		ret = ioctl(fd, UFFDIO_COPY, &copy);
		break;
	case WRITE_PROTECTED:
	case WRITE_PROTECTED_FILE:
		ret = uffd_write_protect(fd, page, page_size(), false);
		break;
	case MINOR:
		ret = ioctl(fd, UFFDIO_CONTINUE, &cont);
		break;
	}
	/* It may have been resolved before, if it was reported twice. */
	if (ret && errno != EEXIST) {
		perror("resolving a fault");
		abort();
	}
}

struct handler {
	pthread_t thread;
	const struct memory *m;
	bool stop;
	int faults;
	/* Pages that were pinned before the call, and whether more were. */
	long pins;
	bool pinned;
};

static void *handle(void *arg)
{
	struct handler *handler = arg;
	uint64_t page;

	while (!READ_ONCE(handler->stop)) {
		page = next_fault(handler->m->fd);
		if (!page)
			continue;
		/* The call waits, and must not hold a pin for as long. */
		handler->pinned |= !pins_are(handler->pins);
		handler->faults++;
		resolve(handler->m, handler->m->fd, page);
	}
	return NULL;
}

/* Run operations while another thread resolves the faults. */
static int run_handled(struct handler *handler, enum path path,
		       const struct cpu_op *ops, int nr)
{
	int ret;

	handler->pins = pins_held();
	if (pthread_create(&handler->thread, NULL, handle, handler)) {
		perror("pthread_create");
		abort();
	}
	ret = run_path(path, ops, nr);
	WRITE_ONCE(handler->stop, true);
	pthread_join(handler->thread, NULL);
	return ret;
}

FIXTURE(uffd)
{
	struct memory m;
};

FIXTURE_VARIANT(uffd)
{
	enum mode mode;
};

FIXTURE_VARIANT_ADD(uffd, missing)
{
	.mode = MISSING,
};

FIXTURE_VARIANT_ADD(uffd, write_protected)
{
	.mode = WRITE_PROTECTED,
};

FIXTURE_VARIANT_ADD(uffd, write_protected_file)
{
	.mode = WRITE_PROTECTED_FILE,
};

FIXTURE_VARIANT_ADD(uffd, minor)
{
	.mode = MINOR,
};

FIXTURE_SETUP(uffd)
{
	int ret;

	if (geteuid())
		SKIP(return, "needs root");
	if (access(UFFD_KNOB, F_OK))
		SKIP(return, "needs CONFIG_USERFAULTFD");
	ret = memory_create(&self->m, variant->mode, 0, 0);
	if (variant->mode == WRITE_PROTECTED_FILE && ret == -EINVAL)
		SKIP(return, "needs CONFIG_PTE_MARKER_UFFD_WP");
	ASSERT_EQ(0, ret);
	memory_destroy(&self->m);
}

FIXTURE_TEARDOWN(uffd)
{
}

/* How many faults the loads from a number of pages give. */
static int nr_load_faults(enum mode mode, int pages)
{
	switch (mode) {
	case WRITE_PROTECTED:
	case WRITE_PROTECTED_FILE:
		return 0;
	default:
		return pages;
	}
}

/*
 * Fails if memory that is only read is pinned for writing without need, or if
 * what it is faulted in for is not what it is pinned for.
 */
TEST_F_TIMEOUT(uffd, load_is_resolved, LONG_TIMEOUT)
{
	for (int i = 0; i < 2 * NR_PATHS; i++) {
		enum path path = i / 2;
		int faults = nr_load_faults(variant->mode, 1 + i % 2);
		uint64_t value = VALUE, found = 5;
		struct handler handler = { .m = &self->m };
		char *p;

		ASSERT_EQ(0, memory_create(&self->m, variant->mode, 0, 0));
		/* At the end of the first page, or across to the second. */
		p = self->m.pages + page_size() - (i % 2 ? 4 : 8);

		struct cpu_op ops[] = {
			cpu_op_compare(CPU_COMPARE_EQ_OP, p, &value, 8),
			cpu_op_memcpy(CPU_MEMCPY_OP, &found, p, 8),
		};

		EXPECT_EQ(0, run_handled(&handler, path, ops, 2));
		EXPECT_EQ(VALUE, found);
		EXPECT_EQ(faults, handler.faults) {
			TH_LOG("path %s", path_names[path]);
		}
		EXPECT_FALSE(handler.pinned);
		memory_destroy(&self->m);
	}
}

/* Fails if a page is pinned before all others have been faulted in. */
TEST_F_TIMEOUT(uffd, store_is_resolved, LONG_TIMEOUT)
{
	for (int i = 0; i < 2 * NR_PATHS; i++) {
		enum path path = i / 2;
		uint64_t found, value = VALUE;
		struct handler handler = { .m = &self->m };
		struct cpu_op op;
		char *p;

		ASSERT_EQ(0, memory_create(&self->m, variant->mode, 0, 0));
		p = self->m.pages + page_size() - (i % 2 ? 4 : 8);
		op = cpu_op_arithmetic(CPU_ADD_OP, p, 1, 8);
		EXPECT_EQ(0, run_handled(&handler, path, &op, 1));
		memcpy(&found, p, 8);
		EXPECT_EQ(value + 1, found);
		EXPECT_EQ(1 + i % 2, handler.faults) {
			TH_LOG("path %s", path_names[path]);
		}
		EXPECT_FALSE(handler.pinned);
		memory_destroy(&self->m);
	}
}

FIXTURE(refused)
{
	struct memory m;
};

FIXTURE_VARIANT(refused)
{
	int flags;
	uint64_t features;
};

FIXTURE_VARIANT_ADD(refused, sigbus)
{
	.features = UFFD_FEATURE_SIGBUS,
};

FIXTURE_VARIANT_ADD(refused, user_mode_only)
{
	.flags = UFFD_USER_MODE_ONLY,
};

FIXTURE_SETUP(refused)
{
	if (geteuid())
		SKIP(return, "needs root");
	if (access(UFFD_KNOB, F_OK))
		SKIP(return, "needs CONFIG_USERFAULTFD");
	ASSERT_EQ(0, memory_create(&self->m, MISSING, variant->flags,
				   variant->features));
}

FIXTURE_TEARDOWN(refused)
{
	memory_destroy(&self->m);
}

/* Fails if the call waits, or sends a signal, for what will not be resolved. */
TEST_F(refused, fault_is_an_error)
{
	for (enum path path = 0; path < NR_PATHS; path++) {
		uint64_t found = 5;
		struct cpu_op load = cpu_op_memcpy(CPU_MEMCPY_OP, &found,
						   self->m.pages, 8);
		struct cpu_op store = cpu_op_arithmetic(CPU_ADD_OP,
							self->m.pages, 1, 8);

		EXPECT_EQ(-EFAULT, run_path(path, &load, 1));
		EXPECT_EQ(-EFAULT, run_path(path, &store, 1));
		load.u.memcpy_op.expect_fault_src = 1;
		EXPECT_EQ(-EAGAIN, run_path(path, &load, 1));
		store.u.arithmetic_op.expect_fault_p = 1;
		EXPECT_EQ(-EAGAIN, run_path(path, &store, 1));
		EXPECT_EQ(5, found);
		EXPECT_EQ(0, next_fault(self->m.fd));
	}
}

/* What a child that waits for a fault, and its parent, share. */
struct shared {
	struct memory m;
	bool ready;
	int ret;
	int handled;
	uint64_t stored;
	uint64_t value;
};

FIXTURE(waiting)
{
	struct shared *shared;
	pid_t child;
	/* The parent's descriptor of the child's userfaultfd. */
	int fd;
	uint64_t page;
	long pins;
};

FIXTURE_VARIANT(waiting)
{
	enum path path;
};

FIXTURE_VARIANT_ADD(waiting, direct)
{
	.path = DIRECT,
};

FIXTURE_VARIANT_ADD(waiting, ahead)
{
	.path = AHEAD,
};

FIXTURE_VARIANT_ADD(waiting, pinned)
{
	.path = PINNED,
};

static struct shared *child_shared;

static void count_signal(int signal)
{
	child_shared->handled++;
}

/* Store to a word that the parent sees, unless run directly, and then wait. */
static void child(struct shared *shared, enum path path)
{
	struct sigaction action = { .sa_handler = count_signal };

	child_shared = shared;
	sigaction(SIGUSR1, &action, NULL);
	if (memory_create(&shared->m, MISSING, 0, 0))
		_exit(1);

	struct cpu_op ops[] = {
		cpu_op_arithmetic(CPU_ADD_OP, &shared->stored, 1, 8),
		cpu_op_arithmetic(CPU_ADD_OP, shared->m.pages, 1, 8),
	};
	int first = path == DIRECT;

	WRITE_ONCE(shared->ready, true);
	shared->ret = run_path(path, ops + first, 2 - first);
	memcpy(&shared->value, shared->m.pages, 8);
	_exit(0);
}

FIXTURE_SETUP(waiting)
{
	struct shared *shared;
	int pidfd;

	if (geteuid())
		SKIP(return, "needs root");
	if (access(UFFD_KNOB, F_OK))
		SKIP(return, "needs CONFIG_USERFAULTFD");
	shared = (struct shared *)map(sizeof(*shared), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1);
	shared->ret = INT_MIN;
	self->shared = shared;
	self->pins = pins_held();
	self->child = fork();
	ASSERT_LE(0, self->child);
	if (self->child == 0)
		child(shared, variant->path);

	while (!READ_ONCE(shared->ready)) {
		ASSERT_EQ(0, waitpid(self->child, NULL, WNOHANG));
		sleep_ms(1);
	}
	pidfd = syscall(__NR_pidfd_open, self->child, 0);
	self->fd = syscall(__NR_pidfd_getfd, pidfd, shared->m.fd, 0);
	ASSERT_LE(0, self->fd);
	close(pidfd);
	do
		self->page = next_fault(self->fd);
	while (!self->page);
}

FIXTURE_TEARDOWN(waiting)
{
	close(self->fd);
	munmap(self->shared, sizeof(*self->shared));
}

/* The parent has no memory at the address that the child copies from. */
static void resolve_for_child(struct memory m, int fd, uint64_t page)
{
	m.fill = map_pages(1);
	memset(m.fill, FILL, page_size());
	resolve(&m, fd, page);
	unmap_pages(m.fill, 1);
}

static void expect_done_once(struct __test_metadata *_metadata, pid_t child,
			     struct shared *shared, enum path path)
{
	int status;

	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	EXPECT_EQ(0, shared->ret);
	EXPECT_EQ(path != DIRECT, shared->stored);
	EXPECT_EQ(VALUE + 1, shared->value);
}

/* Fails if the call goes on waiting, or keeps its pins. */
TEST_F(waiting, fatal_signal_ends_it)
{
	int status;

	ASSERT_EQ(0, kill(self->child, SIGKILL));
	ASSERT_EQ(self->child, waitpid(self->child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	EXPECT_EQ(INT_MIN, self->shared->ret);
	EXPECT_EQ(0, self->shared->stored);
	EXPECT_TRUE(pins_are(self->pins));
}

/* These fail if a signal is an error, or has the call start over too late. */
TEST_F(waiting, handled_signal_does_not_matter)
{
	ASSERT_EQ(0, kill(self->child, SIGUSR1));
	sleep_ms(20);
	resolve_for_child(self->shared->m, self->fd, self->page);
	expect_done_once(_metadata, self->child, self->shared, variant->path);
	EXPECT_EQ(1, self->shared->handled);
}

TEST_F(waiting, stop_does_not_matter)
{
	int status;

	ASSERT_EQ(0, kill(self->child, SIGSTOP));
	sleep_ms(20);
	resolve_for_child(self->shared->m, self->fd, self->page);
	ASSERT_EQ(self->child, waitpid(self->child, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(0, kill(self->child, SIGCONT));
	expect_done_once(_metadata, self->child, self->shared, variant->path);
}

TEST_F(waiting, tracer_does_not_matter)
{
	int status;

	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, self->child, 0, 0));
	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, self->child, 0, 0));
	sleep_ms(20);
	resolve_for_child(self->shared->m, self->fd, self->page);
	ASSERT_EQ(self->child, waitpid(self->child, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_STOP);
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, self->child, 0, 0));
	expect_done_once(_metadata, self->child, self->shared, variant->path);
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
