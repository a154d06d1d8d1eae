// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's atomic operations on futexes against those of the program, on
 * the same words at the same time.
 *
 * If one of the two is not atomic against the other, a change gets lost: then a
 * total is wrong, or two threads have a lock.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "futextest.h"
#include "kselftest_harness.h"

#define NR_THREADS	4
/* How long each test runs: an emulated machine makes few rounds in that time. */
#define SECONDS		3

struct thread {
	pthread_t thread;
	unsigned int seed;
	/* Who did it how often, to see that both took part. */
	unsigned long user, kernel;
	const char *failure;
	int error;
};

static pthread_barrier_t start;
static bool stop;
static futex_t word;
/* Only who has the lock adds to it, so it need not be atomic. */
static unsigned long counter;
static bool held;

static bool goes_on(void)
{
	return !__atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static bool coin(struct thread *self)
{
	self->seed = self->seed * 1103515245 + 12345;
	return self->seed >> 30 & 1;
}

static bool user_exchange(u_int32_t old, u_int32_t new)
{
	return __atomic_compare_exchange_n(&word, &old, new, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static int fail(struct thread *self, const char *failure)
{
	self->failure = failure;
	self->error = errno;
	return -1;
}

/*
 * FUTEX_TRYLOCK_PI exchanges 0 for the thread's ID.  If another thread has the
 * lock, it sets a bit in what that thread is about to exchange for 0, and fails.
 * FUTEX_LOCK_PI makes the same exchanges, but would hand the lock from one
 * sleeping thread to the next, where no thread finds it free.
 */
static int lock(struct thread *self, pid_t tid)
{
	for (;;) {
		if (coin(self)) {
			if (user_exchange(0, tid)) {
				self->user++;
				return 0;
			}
		} else if (!futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0,
				  FUTEX_PRIVATE_FLAG)) {
			self->kernel++;
			return 0;
		} else if (errno != EAGAIN) {
			return fail(self, "FUTEX_TRYLOCK_PI");
		}
		/* Who has the lock may wait for this CPU. */
		sched_yield();
	}
}

/*
 * FUTEX_UNLOCK_PI fails with EAGAIN if FUTEX_TRYLOCK_PI of another thread has
 * set its bit between the kernel's look at the word and its exchange.
 */
static int unlock(struct thread *self, pid_t tid)
{
	if (coin(self) && user_exchange(tid, 0)) {
		self->user++;
		return 0;
	}
	while (futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0,
		     FUTEX_PRIVATE_FLAG)) {
		if (errno != EAGAIN)
			return fail(self, "FUTEX_UNLOCK_PI");
	}
	self->kernel++;
	return 0;
}

static void *lock_thread(void *arg)
{
	struct thread *self = arg;
	pid_t tid = syscall(SYS_gettid);

	pthread_barrier_wait(&start);
	while (goes_on()) {
		bool other;

		if (lock(self, tid))
			break;
		other = __atomic_exchange_n(&held, true, __ATOMIC_RELAXED);
		counter++;
		__atomic_store_n(&held, false, __ATOMIC_RELAXED);
		if (other) {
			self->failure = "another thread had the lock";
			break;
		}
		if (unlock(self, tid))
			break;
	}
	/* Others try until who has the lock gives it back. */
	if (self->failure) {
		printf("# %s: %s\n", self->failure, strerror(self->error));
		fflush(stdout);
		_exit(KSFT_FAIL);
	}
	return NULL;
}

static void *add_thread(void *arg)
{
	struct thread *self = arg;
	futex_t unused = 0;

	pthread_barrier_wait(&start);
	while (goes_on()) {
		if (coin(self)) {
			__atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
			self->user++;
			continue;
		}
		if (futex(&unused, FUTEX_WAKE_OP, 0, NULL, &word,
			  FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0),
			  FUTEX_PRIVATE_FLAG) < 0) {
			fail(self, "FUTEX_WAKE_OP");
			return NULL;
		}
		self->kernel++;
	}
	return NULL;
}

static void run(struct __test_metadata *_metadata, void *(*function)(void *),
		struct thread *sum)
{
	struct thread thread[NR_THREADS] = {};

	word = 0;
	stop = false;
	ASSERT_EQ(0, pthread_barrier_init(&start, NULL, NR_THREADS));
	for (int i = 0; i < NR_THREADS; i++) {
		thread[i].seed = i + 1;
		ASSERT_EQ(0, pthread_create(&thread[i].thread, NULL, function,
					    &thread[i]));
	}
	sleep(SECONDS);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < NR_THREADS; i++) {
		ASSERT_EQ(0, pthread_join(thread[i].thread, NULL));
		EXPECT_TRUE(!thread[i].failure) {
			TH_LOG("%s: %s", thread[i].failure,
			       strerror(thread[i].error));
		}
		sum->user += thread[i].user;
		sum->kernel += thread[i].kernel;
	}
	pthread_barrier_destroy(&start);
	TH_LOG("%lu by the program, %lu by the kernel", sum->user, sum->kernel);
	EXPECT_NE(0, sum->user);
	EXPECT_NE(0, sum->kernel);
}

TEST(compare_and_exchange)
{
	struct thread sum = {};

	run(_metadata, lock_thread, &sum);
	EXPECT_EQ(2 * counter, sum.user + sum.kernel);
	EXPECT_EQ(0, word);
}

TEST(add)
{
	struct thread sum = {};

	run(_metadata, add_thread, &sum);
	EXPECT_EQ((futex_t)(sum.user + sum.kernel), word);
}

TEST_HARNESS_MAIN
