/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests share that resolve faults by a userfaultfd.
 */
#ifndef UFFD_TEST_H
#define UFFD_TEST_H

#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "memory_test.h"

/* Is there if the system call is. */
#define UFFD_KNOB	"/proc/sys/vm/unprivileged_userfaultfd"

static inline int uffd_open(int flags, uint64_t features)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = features,
	};
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		return -errno;
	return fd;
}

static inline int uffd_register(int fd, const void *p, size_t len,
				uint64_t mode)
{
	struct uffdio_register reg = {
		.range.start = (unsigned long)p,
		.range.len = len,
		.mode = mode,
	};

	return ioctl(fd, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

/* Have writes to a part of the memory wait, or go on. */
static inline int uffd_write_protect(int fd, uint64_t start, size_t len,
				     bool protect)
{
	struct uffdio_writeprotect arg = {
		.range.start = start,
		.range.len = len,
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(fd, UFFDIO_WRITEPROTECT, &arg) ? -errno : 0;
}

/* Returns the address of the page of a fault, or 0 if there is none now. */
static inline uint64_t next_fault(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&poll_fd, 1, 1) != 1)
		return 0;
	if (read(fd, &msg, sizeof(msg)) != sizeof(msg)) {
		if (errno == EAGAIN)
			return 0;
		perror("userfaultfd");
		abort();
	}
	return msg.arg.pagefault.address & ~(page_size() - 1ULL);
}

#endif /* UFFD_TEST_H */
