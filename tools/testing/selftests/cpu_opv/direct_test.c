// SPDX-License-Identifier: GPL-2.0
/*
 * Vectors on a file that another process writes to by direct I/O, which goes to
 * the device and then drops from the cache what it has written.
 *
 * A store is not lost in pages that the other process does not write.  In one that
 * it does write, a store may be lost, and every value is one that either side has
 * written.
 */

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "memory_test.h"

#define TMPFS_FILE		"/tmp/file"
#define EXT4_FILE		EXT4_DIR "/file"

/* The kernel drops a folio as a whole, and the largest one has 2048 blocks. */
#define FAR			(2048UL * EXT4_BLOCK)
#define FILE_LEN		(2 * FAR)

#define FILL			0x55

/* How many writes, and how many times that the page was dropped, are enough. */
#define MIN_WRITES		50
#define MIN_DROPS		10

#define MAX_DELAY		20000

/*
 * What the other process writes to each word of its block: a mark, and a few bits
 * of a number.  Vectors add to the low half.
 */
static uint64_t mark(unsigned long number)
{
	return (uint64_t)(0xc0 | (number & 0xf)) << 56;
}

static bool is_written(uint64_t value, uint64_t max_added)
{
	return (value >> 60) == 0xc && !(value >> 32 & 0xffffff) &&
	       (value & UINT32_MAX) <= max_added;
}

/* What the other process is told, and tells. */
struct shared {
	bool stop;
	unsigned long writes;
	int error;
};

static int write_directly(struct shared *shared, const char *name, off_t at,
			  uint64_t (*word)(unsigned long number))
{
	int fd = open(name, O_WRONLY | O_DIRECT);
	/* It has the alignment that such a write needs. */
	uint64_t *block = (uint64_t *)map_pages(1);

	for (unsigned long i = 1; !READ_ONCE(shared->stop); i++) {
		for (size_t j = 0; j < EXT4_BLOCK / 8; j++)
			block[j] = word(i);
		if (pwrite(fd, block, EXT4_BLOCK, at) != EXT4_BLOCK) {
			WRITE_ONCE(shared->error, errno);
			break;
		}
		WRITE_ONCE(shared->writes, i);
	}
	close(fd);
	return 0;
}

/* The number in each byte, so that a word of which a part is new is one as well. */
static uint64_t number_in_bytes(unsigned long number)
{
	return (number & 0xff) * 0x0101010101010101ULL;
}

FIXTURE(direct)
{
	int fd;
	char *p;
	/* In the first block. */
	uint64_t *words;
	struct shared *shared;
	pid_t child;
	long pins;
};

FIXTURE_VARIANT(direct)
{
	const char *file;
	/* Where the other process writes. */
	off_t at;
	/* Direct I/O is what its name says. */
	bool drops;
};

FIXTURE_VARIANT_ADD(direct, ext4_other_page)
{
	.file = EXT4_FILE,
	.at = FAR,
};

FIXTURE_VARIANT_ADD(direct, ext4_other_block)
{
	.file = EXT4_FILE,
	.at = EXT4_BLOCK,
	.drops = true,
};

FIXTURE_VARIANT_ADD(direct, ext4_same_block)
{
	.file = EXT4_FILE,
	.at = 0,
	.drops = true,
};

FIXTURE_VARIANT_ADD(direct, tmpfs_other_page)
{
	.file = TMPFS_FILE,
	.at = FAR,
};

/* This is written through the cache, whatever it was opened for. */
FIXTURE_VARIANT_ADD(direct, tmpfs_other_block)
{
	.file = TMPFS_FILE,
	.at = EXT4_BLOCK,
};

FIXTURE_VARIANT_ADD(direct, tmpfs_same_block)
{
	.file = TMPFS_FILE,
	.at = 0,
};

FIXTURE_SETUP(direct)
{
	char *content;

	if (geteuid())
		SKIP(return, "needs root");
	if (!strcmp(variant->file, EXT4_FILE) && !has_ext4())
		SKIP(return, "needs CONFIG_EXT4_FS, CONFIG_BLK_DEV_LOOP and mkfs.ext4");
	self->fd = open(variant->file, O_RDWR | O_CREAT, 0600);
	ASSERT_LE(0, self->fd);
	/* All of its blocks are allocated. */
	content = map(FILE_LEN, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(content, FILL, FILE_LEN);
	ASSERT_EQ(FILE_LEN, pwrite(self->fd, content, FILE_LEN, 0));
	munmap(content, FILE_LEN);
	ASSERT_EQ(0, fsync(self->fd));
	posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED);
	self->p = map(FILE_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd);
	self->words = (uint64_t *)self->p;
	self->shared = (struct shared *)map(page_size(), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1);
	self->child = 0;
	self->pins = pins_held();
}

static int end_child(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

FIXTURE_TEARDOWN(direct)
{
	if (self->child > 0) {
		WRITE_ONCE(self->shared->stop, true);
		end_child(self->child);
	}
	munmap(self->p, FILE_LEN);
	munmap(self->shared, page_size());
	close(self->fd);
	/* It keeps the error of a write that found the page stored to. */
	unlink(variant->file);
}

static pid_t start_child(struct shared *shared, const char *name, off_t at,
			 uint64_t (*word)(unsigned long number))
{
	pid_t child;

	memset(shared, 0, sizeof(*shared));
	child = fork();
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(write_directly(shared, name, at, word));
}

/* How often the thread has read memory from a device. */
static long drops_seen(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_majflt;
}

/* Set the words, and what is around them, as if they had been written so. */
static void reset_page(char *page, off_t at)
{
	uint64_t *words = (uint64_t *)page;

	memset(page, FILL, page_size());
	words[0] = mark(0);
	words[1] = mark(0);
	for (size_t i = 0; at == EXT4_BLOCK && i < EXT4_BLOCK / 8; i++)
		words[at / 8 + i] = mark(0);
}

/* What is in the page in the end, apart from the words. */
static int nr_damaged(const char *page, off_t at)
{
	const uint64_t *words = (const uint64_t *)page;
	uint64_t fill;
	int nr = 0;

	memset(&fill, FILL, sizeof(fill));
	for (off_t i = 2; i < page_size() / 8; i++) {
		bool is_others = 8 * i >= at && 8 * i < at + EXT4_BLOCK;

		/* The block that both write is as it was until the first write. */
		if (words[i] != fill || (is_others && at))
			nr += !is_others || !is_written(words[i], 0);
	}
	return nr;
}

/* Add to both words, and copy them.  A vector without a pin adds to one alone. */
static int add_and_copy(enum path path, uint64_t *words, uint64_t *found)
{
	struct cpu_op vec[] = {
		cpu_op_arithmetic(CPU_ADD_OP, &words[0], 1, 8),
		cpu_op_arithmetic(CPU_ADD_OP, &words[1], 1, 8),
		cpu_op_memcpy(CPU_MEMCPY_OP, &found[0], &words[0], 8),
		cpu_op_memcpy(CPU_MEMCPY_OP, &found[1], &words[1], 8),
	};
	int ret;

	if (path != DIRECT)
		return run_path(path, vec, 4);
	ret = run_path(path, vec, 1);
	found[0] = READ_ONCE(words[0]);
	found[1] = found[0];
	return ret;
}

/*
 * Fails if an addition is lost or made twice where that must not be, or if memory
 * has what nobody wrote.
 */
TEST_F_TIMEOUT(direct, additions_beside_writes, LONG_TIMEOUT)
{
	/* User space itself loses no store that it makes at the address. */
	const bool is_same = variant->at == 0;

	for (enum path path = 0; path < NR_PATHS; path++) {
		const bool is_exact = !is_same &&
				      (!variant->drops || path == DIRECT);
		uint64_t calls = 0, lost = 0, last = mark(0), random = path;
		uint64_t found[2];
		double end = now() + race_seconds() / NR_PATHS;
		long drops = drops_seen();

		reset_page(self->p, variant->at);
		self->child = start_child(self->shared, variant->file,
					  variant->at, mark);
		ASSERT_LE(0, self->child);
		do {
			spin(next_random(&random) % MAX_DELAY);
			ASSERT_EQ(0, add_and_copy(path, self->words, found));
			calls++;
			if (is_same) {
				ASSERT_TRUE(is_written(found[0], calls) &&
					    is_written(found[1], calls)) {
					TH_LOG("%llx and %llx after %llu calls",
					       (unsigned long long)found[0],
					       (unsigned long long)found[1],
					       (unsigned long long)calls);
				}
				continue;
			}
			ASSERT_EQ(found[0], found[1]);
			/* What is lost is no more than the addition before. */
			ASSERT_LE(is_exact ? last + 1 : last, found[0]);
			ASSERT_LE(found[0], last + 1);
			lost += last + 1 - found[0];
			last = found[0];
		} while (!READ_ONCE(self->shared->error) &&
			 (now() < end ||
			  READ_ONCE(self->shared->writes) < MIN_WRITES ||
			  (variant->drops && drops_seen() < drops + MIN_DROPS)));
		WRITE_ONCE(self->shared->stop, true);
		ASSERT_EQ(0, end_child(self->child));
		self->child = 0;
		EXPECT_EQ(0, self->shared->error);

		/* What is in the file is what is in memory. */
		ASSERT_EQ(sizeof(found), pread(self->fd, found, sizeof(found), 0));
		EXPECT_EQ(self->words[0], found[0]);
		EXPECT_EQ(self->words[1], found[1]);
		if (is_exact)
			EXPECT_EQ(mark(0) + calls, found[0]);
		EXPECT_EQ(0, nr_damaged(self->p, variant->at));
		TH_LOG("%s: %llu calls, %lu writes, %ld drops, %llu additions lost",
		       path_names[path], (unsigned long long)calls,
		       self->shared->writes, drops_seen() - drops,
		       (unsigned long long)lost);
	}
	EXPECT_TRUE(pins_are(self->pins));
}

/*
 * A vector that only loads from the page.  Fails if it finds what was there before
 * a write that had ended when the call was made.
 */
TEST_F_TIMEOUT(direct, loads_beside_writes, LONG_TIMEOUT)
{
	uint64_t *written = self->words + variant->at / 8;

	for (enum path path = 0; path < NR_PATHS; path++) {
		double end = now() + race_seconds() / NR_PATHS;
		uint64_t calls = 0, random = path, found;
		struct cpu_op op = cpu_op_memcpy(CPU_MEMCPY_OP, &found, written,
						 8);

		memset(written, 0, EXT4_BLOCK);
		ASSERT_EQ(0, msync(self->p, FILE_LEN, MS_SYNC));
		self->child = start_child(self->shared, variant->file,
					  variant->at, number_in_bytes);
		ASSERT_LE(0, self->child);
		do {
			unsigned long before, after;

			spin(next_random(&random) % MAX_DELAY);
			before = READ_ONCE(self->shared->writes);
			ASSERT_EQ(0, run_path(path, &op, 1));
			/* One more may have been written already. */
			after = READ_ONCE(self->shared->writes) + 1;
			calls++;
			for (int i = 0; i < 64 && after - before < 200; i += 8) {
				uint8_t newer = (found >> i) - before;

				ASSERT_LE(newer, after - before) {
					TH_LOG("%llx in the writes from %lx to %lx",
					       (unsigned long long)found,
					       before, after);
				}
			}
		} while (!READ_ONCE(self->shared->error) &&
			 (now() < end ||
			  READ_ONCE(self->shared->writes) < MIN_WRITES));
		WRITE_ONCE(self->shared->stop, true);
		ASSERT_EQ(0, end_child(self->child));
		self->child = 0;
		EXPECT_EQ(0, self->shared->error);
		TH_LOG("%s: %llu calls, %lu writes", path_names[path],
		       (unsigned long long)calls, self->shared->writes);
	}
	EXPECT_TRUE(pins_are(self->pins));
}

int main(int argc, char **argv)
{
	make_file_systems();
	return cpu_opv_test_run(argc, argv);
}
