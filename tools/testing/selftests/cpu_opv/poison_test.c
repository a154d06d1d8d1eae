// SPDX-License-Identifier: GPL-2.0
/*
 * Operands in memory whose contents the hardware has lost, as far as the kernel
 * is told: an error, and neither a signal nor a crash.
 */

#include <signal.h>
#include <sys/mount.h>
#include <sys/uio.h>

#include "memory_test.h"

#ifndef MADV_HWPOISON
#define MADV_HWPOISON	100
#endif

#define UNPOISON	"/sys/kernel/debug/hwpoison/unpoison-pfn"

enum kind {
	ANON,
	SHARED_FILE,
	/*
	 * A part of a huge page that is in use elsewhere, so that it cannot be
	 * taken from the others.  It stays mapped, and only its flag tells.
	 */
	PART_OF_HUGE,
	/* A huge page that is lost as a whole, by its first page or another. */
	HUGETLB,
	HUGETLB_TAIL,
};

FIXTURE(poison)
{
	char *p;
	size_t len;
	/* What of it is lost, and its frame, which is to be given back. */
	char *lost;
	uint64_t pfn;
	/* Keeps a reference of the page. */
	int pipe[2];
	/* Other memory. */
	uint64_t *other;
};

FIXTURE_VARIANT(poison)
{
	enum kind kind;
	int loads[NR_PATHS];
	int stores[NR_PATHS];
};

FIXTURE_VARIANT_ADD(poison, anon)
{
	.kind = ANON,
	.loads = { -EFAULT, -EFAULT, -EFAULT },
	.stores = { -EFAULT, -EFAULT, -EFAULT },
};

FIXTURE_VARIANT_ADD(poison, shared_file)
{
	.kind = SHARED_FILE,
	.loads = { -EFAULT, -EFAULT, -EFAULT },
	.stores = { -EFAULT, -EFAULT, -EFAULT },
};

/* What is not pinned is accessed as by user space, with the same result. */
FIXTURE_VARIANT_ADD(poison, part_of_huge)
{
	.kind = PART_OF_HUGE,
	.loads = { 0, 0, -EFAULT },
	.stores = { 0, -EFAULT, -EFAULT },
};

FIXTURE_VARIANT_ADD(poison, hugetlb)
{
	.kind = HUGETLB,
	.loads = { -EFAULT, -EFAULT, -EFAULT },
	.stores = { -EFAULT, -EFAULT, -EFAULT },
};

FIXTURE_VARIANT_ADD(poison, hugetlb_tail)
{
	.kind = HUGETLB_TAIL,
	.loads = { -EFAULT, -EFAULT, -EFAULT },
	.stores = { -EFAULT, -EFAULT, -EFAULT },
};

/* The kernel dissolves a huge page that is lost. */
static struct knob hugetlb = {
	.path = "/proc/sys/vm/nr_hugepages",
	.value = "1",
};

static int nr_signals;

static void count_signal(int signal)
{
	nr_signals++;
}

FIXTURE_SETUP(poison)
{
	struct sigaction action = { .sa_handler = count_signal };
	struct iovec iov;
	int fd = -1;

	ASSERT_EQ(0, pipe(self->pipe));
	self->len = page_size();
	self->other = (uint64_t *)map_pages(1);
	switch (variant->kind) {
	case ANON:
		self->p = map(self->len, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1);
		break;
	case SHARED_FILE:
		fd = memfd_create("cpu_opv", 0);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ftruncate(fd, self->len));
		self->p = map(self->len, PROT_READ | PROT_WRITE, MAP_SHARED,
			      fd);
		close(fd);
		break;
	case PART_OF_HUGE:
		self->len = thp_size();
		self->p = map_aligned(self->len, self->len,
				      PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS);
		if (madvise(self->p, self->len, MADV_HUGEPAGE))
			SKIP(return, "needs CONFIG_TRANSPARENT_HUGEPAGE");
		break;
	case HUGETLB:
	case HUGETLB_TAIL:
		/* Without it the page stays lost to the next test. */
		if (access(UNPOISON, W_OK))
			SKIP(return, "needs CONFIG_HWPOISON_INJECT and root");
		if (set_knobs(&hugetlb, 1))
			SKIP(return, "needs CONFIG_HUGETLBFS");
		self->len = hugetlb_size();
		self->p = map(self->len, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
		break;
	}
	memset(self->p, 0, page_size());
	self->lost = self->p;
	if (variant->kind == HUGETLB_TAIL)
		self->lost += page_size();
	if (variant->kind == PART_OF_HUGE) {
		ASSERT_TRUE(page_flags(self->p) & KPF_THP);
		iov.iov_base = self->p;
		iov.iov_len = 1;
		ASSERT_EQ(1, vmsplice(self->pipe[1], &iov, 1, 0));
	}
	self->pfn = page_map(self->lost) & PM_PFN;

	/* A signal tells the program that it has lost memory, once. */
	ASSERT_EQ(0, sigaction(SIGBUS, &action, NULL));
	if (madvise(self->lost, page_size(), MADV_HWPOISON) && errno == EINVAL)
		SKIP(return, "needs CONFIG_MEMORY_FAILURE");
	nr_signals = 0;
	ASSERT_TRUE(read_entry("/proc/kpageflags", self->pfn) & KPF_HWPOISON);
	EXPECT_EQ(variant->kind == PART_OF_HUGE,
		  !!(page_map(self->lost) & PM_PRESENT));
}

FIXTURE_TEARDOWN(poison)
{
	char pfn[24];

	munmap(self->p, self->len);
	close(self->pipe[0]);
	close(self->pipe[1]);
	/* The memory is as good as before.  Give it back. */
	snprintf(pfn, sizeof(pfn), "%llu", (unsigned long long)self->pfn);
	set_knob(UNPOISON, pfn);
	restore_knobs(&hugetlb, 1);
	unmap_pages((char *)self->other, 1);
}

/* Fails if a page is not checked once pinned, or the fault is not an error. */
TEST_F(poison, is_an_error)
{
	for (enum path path = 0; path < NR_PATHS; path++) {
		int load = variant->loads[path], store = variant->stores[path];
		uint64_t found = 5;
		struct cpu_op copy = cpu_op_memcpy(CPU_MEMCPY_OP, &found,
						   self->lost, 8);
		struct cpu_op ops[] = {
			cpu_op_arithmetic(CPU_ADD_OP, self->other, 1, 8),
			cpu_op_arithmetic(CPU_ADD_OP, self->lost, 0, 8),
		};
		int first = path == DIRECT;

		*self->other = 0;
		EXPECT_EQ(load, run_path(path, &copy, 1)) {
			TH_LOG("path %s", path_names[path]);
		}
		EXPECT_EQ(load ? 5 : 0, found);
		EXPECT_EQ(store, run_path(path, ops + first, 2 - first)) {
			TH_LOG("path %s", path_names[path]);
		}

		copy.u.memcpy_op.expect_fault_src = 1;
		ops[1].u.arithmetic_op.expect_fault_p = 1;
		EXPECT_EQ(load ? -EAGAIN : 0, run_path(path, &copy, 1));
		EXPECT_EQ(store ? -EAGAIN : 0,
			  run_path(path, ops + first, 2 - first));
		EXPECT_EQ(0, *self->other);
		EXPECT_EQ(0, nr_signals);
	}
}

int main(int argc, char **argv)
{
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	return cpu_opv_test_run(argc, argv);
}
