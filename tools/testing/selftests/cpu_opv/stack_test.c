// SPDX-License-Identifier: GPL-2.0
/*
 * Operands just below a stack: it grows for them as for read() into the same
 * place, in silence.
 */

#include "memory_test.h"

/* How far below a stack the operands are. */
#define DEPTH		(32UL << 10)
/* More than a stack grows here, and than it keeps away from other memory. */
#define ROOM		(32UL << 20)

FIXTURE(stack)
{
	/* An address in the stack. */
	char *in;
	/* Where it grows, if it is not the main one. */
	char *room;
	int pipe[2];
	int log;
};

FIXTURE_VARIANT(stack)
{
	bool main;
	/* Other memory is too near for it to grow. */
	bool stuck;
};

FIXTURE_VARIANT_ADD(stack, main)
{
	.main = true,
};

FIXTURE_VARIANT_ADD(stack, mapped)
{
	.main = false,
};

FIXTURE_VARIANT_ADD(stack, stuck)
{
	.stuck = true,
};

static void map_at(char *p, int flags)
{
	if (mmap(p, page_size(), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | flags, -1, 0) != p) {
		perror("mmap");
		abort();
	}
}

/* The lowest address of the mapping that an address is in. */
static char *bottom_of(const char *in)
{
	unsigned long start, end, addr = (unsigned long)in;
	FILE *file = fopen("/proc/self/maps", "r");
	char line[300];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    addr >= start && addr < end) {
			fclose(file);
			return (char *)start;
		}
	}
	fprintf(stderr, "nothing is mapped at %p\n", in);
	abort();
}

FIXTURE_SETUP(stack)
{
	self->room = map(ROOM, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	self->in = self->room + ROOM - page_size();
	ASSERT_EQ(0, munmap(self->room, ROOM));
	if (variant->main)
		self->in = __builtin_frame_address(0);
	else
		map_at(self->in, MAP_GROWSDOWN);
	if (variant->stuck)
		map_at(self->in - 2 * DEPTH, 0);
	ASSERT_EQ(0, pipe(self->pipe));
	self->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	if (self->log >= 0)
		lseek(self->log, 0, SEEK_END);
}

FIXTURE_TEARDOWN(stack)
{
	munmap(self->room, ROOM);
	close(self->pipe[0]);
	close(self->pipe[1]);
	if (self->log >= 0)
		close(self->log);
}

/* Read an integer into memory.  Returns how many bytes, or an error. */
static int read_into(const int pipe[2], char *p)
{
	const uint64_t value = 5;
	ssize_t ret;

	if (write(pipe[1], &value, sizeof(value)) != sizeof(value)) {
		perror("write");
		abort();
	}
	ret = read(pipe[0], p, sizeof(value));
	return ret < 0 ? -errno : ret;
}

/* Whether the kernel has written about stacks since the fixture was set up. */
static bool kernel_has_complained(int log)
{
	char record[8192];
	ssize_t len;

	for (;;) {
		len = read(log, record, sizeof(record) - 1);
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			break;
		record[len] = '\0';
		if (strstr(record, "grows the stack"))
			return true;
	}
	return false;
}

static const size_t depths[] = { 4, 8, DEPTH };

/*
 * Use a place as far below the stack, wherever it ends, for a store and another
 * one for a load.
 */
static void check_below(struct __test_metadata *_metadata, const char *in,
			size_t depth, enum path path, int expected)
{
	uint64_t zero = 0, value = 0x123456789abcdef0;
	char *p = bottom_of(in) - depth;
	struct cpu_op op = cpu_op_memcpy(CPU_MEMCPY_OP, p, &value, 8);

	EXPECT_EQ(expected, run_path(path, &op, 1)) {
		TH_LOG("store %zu bytes below, %s", depth, path_names[path]);
	}
	if (!expected)
		EXPECT_EQ(value, load_int(p, 8));

	p = bottom_of(in) - depth;
	op = cpu_op_compare(CPU_COMPARE_EQ_OP, p, &zero, depth < 8 ? depth : 8);
	EXPECT_EQ(expected, run_path(path, &op, 1)) {
		TH_LOG("load %zu bytes below, %s", depth, path_names[path]);
	}
}

/* Fails if an operand is faulted in by what does not grow a stack. */
TEST_F(stack, grows_for_operands_as_for_read)
{
	int expected = variant->stuck ? -EFAULT : 0;

	for (size_t i = 0; i < ARRAY_SIZE(depths); i++) {
		for (enum path path = 0; path < NR_PATHS; path++)
			check_below(_metadata, self->in, depths[i], path,
				    expected);
		EXPECT_EQ(expected ?: 8,
			  read_into(self->pipe,
				    bottom_of(self->in) - depths[i])) {
			TH_LOG("read(), %zu bytes below", depths[i]);
		}
	}
}

/* Fails if the kernel's log says that the stack grows. */
TEST_F(stack, grows_in_silence)
{
	int expected = variant->stuck ? -EFAULT : 0;

	if (self->log < 0)
		SKIP(return, "needs to read /dev/kmsg");
	for (size_t i = 0; i < ARRAY_SIZE(depths); i++)
		for (enum path path = 0; path < NR_PATHS; path++)
			check_below(_metadata, self->in, depths[i], path,
				    expected);
	EXPECT_FALSE(kernel_has_complained(self->log));
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
