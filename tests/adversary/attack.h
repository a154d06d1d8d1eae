/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Those who attack: threads of a process without privileges.  Each does the same again
 * and again, a lap of its attack.
 */
#ifndef ATTACK_H
#define ATTACK_H

#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "adversary.h"

#define NOBODY		65534

/* What bench/longest.vec may use of each kind of memory. */
#define NR_VECTOR_PAGES	128
/* How many of them the vector pins. */
#define NR_PINNED	62

/* Less than RLIMIT_NOFILE, and what the kernel lets everyone raise it to. */
#define NR_TIMERS	900
#define NR_FILES	4096
/* What everyone may make a pipe hold. */
#define PIPE_PAGES	256

/* What shuts others out, and how many of these there are. */
#define NR_BUSY		8
#define FLIP_US		1000

struct attacker {
	const struct attack *attack;
	int nr;
	uint64_t random;
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	int cnt;
	int pipe[2];
	char *pages;
	int timers[NR_TIMERS];
};

struct attack {
	/* What the attackers do, as it stands in the table. */
	const char *what;
	/* Makes what a lap needs. */
	void (*prepare)(struct attacker *me);
	/* Returns whether anything was done. */
	bool (*lap)(struct attacker *me);
	/* If not one for each CPU. */
	int nr;
	/*
	 * They are SCHED_IDLE, busy threads of theirs occupy the target, and one takes
	 * it away from them and gives it back all the time.
	 */
	bool queue;
};

/* An attacker has no other way to say what is wrong. */
static noreturn void fail(const char *what, int error)
{
	snprintf(report->error, sizeof(report->error), "%s: %s", what,
		 strerror(error));
	_exit(1);
}

static int some_cpu(struct attacker *me)
{
	return random_cpu(&report->cpus, &me->random);
}

/* ---- the longest vector ---- */

static char *map_vector_pages(int prot, int flags, int fd)
{
	size_t len = NR_VECTOR_PAGES * PAGE_LEN;
	char *p = mmap(NULL, len, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		fail("mmap", errno);
	madvise(p, len, MADV_NOHUGEPAGE);
	return p;
}

static const char longest[] =
#include "longest.inc"
;

static char *operand(char *const memory[128], const char *text)
{
	unsigned int page, offset;
	char kind;

	if (sscanf(text, "%c%u+%u", &kind, &page, &offset) != 3 ||
	    !memory[kind & 127] || page >= NR_VECTOR_PAGES || offset >= PAGE_LEN)
		fail(text, EINVAL);
	return memory[kind & 127] + page * PAGE_LEN + offset;
}

static struct cpu_op operation(char *const memory[128], const char *text)
{
	char name[16], first[32], second[32], *a, *b;
	unsigned int len;

	if (sscanf(text, "%15s %u %31s %31s", name, &len, first, second) != 4)
		fail(text, EINVAL);
	a = operand(memory, first);
	b = operand(memory, second);
	if (!strcmp(name, "eq"))
		return cpu_op_compare(CPU_COMPARE_EQ_OP, a, b, len);
	if (!strcmp(name, "copy"))
		return cpu_op_memcpy(CPU_MEMCPY_OP, a, b, len);
	if (!strcmp(name, "copyrel"))
		return cpu_op_memcpy(CPU_MEMCPY_RELEASE_OP, a, b, len);
	fail(text, EINVAL);
}

/* The notation is that of bench/cpu_opv_bench.c.  All memory is and stays zero. */
static void prepare_vector(struct attacker *me)
{
	int fd = memfd_create("vector", MFD_CLOEXEC);
	char text[sizeof(longest)], *rest = text, *op;
	char *memory[128] = {};

	if (fd < 0 || ftruncate(fd, NR_VECTOR_PAGES * PAGE_LEN))
		fail("memfd_create", errno);
	memory['a'] = map_vector_pages(PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memory['s'] = map_vector_pages(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	memory['p'] = map_vector_pages(PROT_READ, MAP_PRIVATE, fd);
	close(fd);

	strcpy(text, longest);
	while ((op = strsep(&rest, ";"))) {
		if (me->cnt == CPU_OP_VEC_LEN_MAX)
			fail("bench/longest.vec", E2BIG);
		me->vec[me->cnt++] = operation(memory, op);
	}
}

static bool run_vector(struct attacker *me, int cpu)
{
	int ret = cpu_opv(me->vec, me->cnt, cpu, 0);

	/* Who measures may take the CPU away. */
	if (ret && (ret > 0 || errno != EINVAL))
		fail("cpu_opv", ret > 0 ? EPROTO : errno);
	return !ret;
}

static bool run_vector_there(struct attacker *me)
{
	return run_vector(me, role_cpu[TARGET]);
}

static bool run_vector_around(struct attacker *me)
{
	return run_vector(me, some_cpu(me));
}

/* ---- what else a program can do ---- */

static bool move(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* The CPU may be down, or not in the cpuset. */
	if (!sched_setaffinity(0, sizeof(set), &set))
		return true;
	if (errno != EINVAL)
		fail("sched_setaffinity", errno);
	return false;
}

static bool move_around(struct attacker *me)
{
	return move(some_cpu(me));
}

static bool be_busy(struct attacker *me)
{
	for (int i = 0; i < 1000; i++)
		next_random(&me->random);
	return true;
}

static void prepare_timers(struct attacker *me)
{
	for (int i = 0; i < NR_TIMERS; i++) {
		me->timers[i] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
		if (me->timers[i] < 0)
			fail("timerfd_create", errno);
	}
}

/* All expire at the same moment, and their handlers run in one interrupt. */
static bool expire_timers(struct attacker *me)
{
	uint64_t at = now_ns() + 4000000;
	struct itimerspec when = {
		.it_value = { at / 1000000000, at % 1000000000 },
	};

	for (int i = 0; i < NR_TIMERS; i++)
		if (timerfd_settime(me->timers[i], TFD_TIMER_ABSTIME, &when, NULL))
			fail("timerfd_settime", errno);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when.it_value, NULL);
	return true;
}

static void prepare_files(struct attacker *me)
{
	const struct rlimit limit = { NR_FILES, NR_FILES };

	if (setrlimit(RLIMIT_NOFILE, &limit))
		fail("setrlimit", errno);
	while (dup(0) >= 0)
		;
}

/* The table of open files is copied under a spinlock. */
static bool copy_files(struct attacker *me)
{
	pid_t pid = vfork();

	if (!pid)
		_exit(0);
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		fail("vfork", errno);
	return true;
}

static void prepare_splices(struct attacker *me)
{
	if (pipe2(me->pipe, O_CLOEXEC) ||
	    fcntl(me->pipe[0], F_SETPIPE_SZ, PIPE_PAGES * PAGE_LEN) < 0)
		fail("pipe2", errno);
	me->pages = map_vector_pages(PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(me->pages, 1, NR_VECTOR_PAGES * PAGE_LEN);
}

/* The kernel takes references to as many pages as the vector pins, and drops them. */
static bool splice_around(struct attacker *me)
{
	static char sink[NR_PINNED * PAGE_LEN];
	const struct iovec pages = { me->pages, sizeof(sink) };

	move_around(me);
	if (vmsplice(me->pipe[1], &pages, 1, 0) != sizeof(sink) ||
	    read(me->pipe[0], sink, sizeof(sink)) != sizeof(sink))
		fail("vmsplice", errno);
	return true;
}

/* The kernel keeps references to pages for as long as nobody reads the pipe. */
static void fill_pipe(struct attacker *me)
{
	struct iovec pages;
	int ret;

	if (pipe2(me->pipe, O_CLOEXEC))
		fail("pipe2", errno);
	fcntl(me->pipe[0], F_SETPIPE_SZ, PIPE_PAGES * PAGE_LEN);
	pages.iov_len = fcntl(me->pipe[0], F_GETPIPE_SZ);
	pages.iov_base = mmap(NULL, pages.iov_len, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (pages.iov_base == MAP_FAILED)
		fail("mmap", errno);
	ret = vmsplice(me->pipe[1], &pages, 1, SPLICE_F_NONBLOCK);
	if (ret <= 0)
		fail("vmsplice", errno);
	__atomic_fetch_add(&report->pages, ret / PAGE_LEN, __ATOMIC_RELAXED);
}

static bool wait_for_the_end(struct attacker *me)
{
	usleep(10000);
	return true;
}

/* ---- the attacks ---- */

#define NR_MANY		64

static const struct attack
	vectors_there = {
		"run vectors there", prepare_vector, run_vector_there,
	},
	vectors_around = {
		"run vectors here and there", prepare_vector, run_vector_around,
	},
	vectors_queued = {
		"queue", prepare_vector, run_vector_around, .queue = true,
	},
	many_vectors = {
		"run vectors there", prepare_vector, run_vector_there, NR_MANY,
	},
	busy_there = {
		"are busy", NULL, be_busy,
	},
	moves_around = {
		"go to and fro by sched_setaffinity()", NULL, move_around,
	},
	moves_queued = {
		"queue after sched_setaffinity()", NULL, move_around, .queue = true,
	},
	timers_there = {
		"let 900 timers each expire at once", prepare_timers, expire_timers, 1,
	},
	files_there = {
		"copy tables of 4,096 files by vfork()", prepare_files, copy_files,
	},
	splices_around = {
		"vmsplice() as many pages here and there", prepare_splices, splice_around,
	},
	many_pipes = {
		"fill pipes by vmsplice()", fill_pipe, wait_for_the_end, NR_MANY,
	};

static void drop_privileges(void)
{
	struct sched_attr fifo = {
		.sched_policy = SCHED_FIFO,
		.sched_priority = 1,
	};

	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		fail("setresuid", errno);
	if (set_policy(&fifo) != -EPERM)
		fail("the attackers have privileges", EPERM);
}

static pthread_barrier_t all_are_there;

static void count(int *nr)
{
	__atomic_fetch_add(nr, 1, __ATOMIC_RELEASE);
}

static void *attack_run(void *arg)
{
	struct sched_attr idle = { .sched_policy = SCHED_IDLE };
	struct attacker *me = arg;
	bool is_ready = false;

	report->tids[me->nr] = gettid();
	if (me->attack->prepare)
		me->attack->prepare(me);
	if (me->attack->queue && set_policy(&idle))
		fail("sched_setattr", errno);
	pthread_barrier_wait(&all_are_there);
	/* Who queues may take long for a lap. */
	if (me->attack->queue) {
		count(&report->nr_ready);
		is_ready = true;
	}
	for (;;) {
		if (!me->attack->lap(me))
			continue;
		__atomic_fetch_add(&report->laps, 1, __ATOMIC_RELAXED);
		if (!is_ready)
			count(&report->nr_ready);
		is_ready = true;
	}
	return NULL;
}

static void *busy_run(void *arg)
{
	struct attacker *me = arg;

	move(role_cpu[TARGET]);
	pthread_barrier_wait(&all_are_there);
	for (;;)
		be_busy(me);
	return NULL;
}

static void *flip_run(void *arg)
{
	cpu_set_t set = report->cpus, flipped = CPUS(TARGET);

	pthread_barrier_wait(&all_are_there);
	for (;;) {
		CPU_XOR(&set, &set, &flipped);
		/* They may just have ended, or have a cpuset without these. */
		for (int i = 0; i < report->nr_attackers; i++)
			sched_setaffinity(report->tids[i], sizeof(set), &set);
		usleep(FLIP_US);
	}
	return NULL;
}

static void start_thread(const struct attack *attack, int nr, void *(*run)(void *))
{
	struct attacker *me = calloc(1, sizeof(*me));
	pthread_t thread;

	if (!me)
		fail("calloc", errno);
	me->attack = attack;
	me->nr = nr;
	me->random = nr;
	errno = pthread_create(&thread, NULL, run, me);
	if (errno)
		fail("pthread_create", errno);
}

static bool all_are_ready(void)
{
	return __atomic_load_n(&report->nr_ready, __ATOMIC_ACQUIRE) ==
	       report->nr_attackers;
}

static noreturn void be_attackers(const struct attack *attack,
				  void (*measure)(void))
{
	int others = attack->queue ? NR_BUSY + 1 : 0;

	report->pid = getpid();
	set_affinity(0, report->cpus);
	drop_privileges();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pthread_barrier_init(&all_are_there, NULL,
			     report->nr_attackers + others + 1);
	for (int i = 0; i < report->nr_attackers; i++)
		start_thread(attack, i, attack_run);
	for (int i = 0; i < others; i++)
		start_thread(attack, i, i ? busy_run : flip_run);
	pthread_barrier_wait(&all_are_there);
	if (measure) {
		while (!all_are_ready())
			usleep(1000);
		measure();
		__atomic_store_n(&report->has_measured, true, __ATOMIC_RELEASE);
	}
	for (;;)
		pause();
}

static void expect_attackers(void)
{
	if (waitpid(report->pid, NULL, WNOHANG))
		die("the attackers have ended: %s",
		    report->error[0] ? report->error : "killed");
}

/*
 * Start attackers on some CPUs and wait until each of them attacks.  What is to be
 * measured in their own process has been measured by then.
 */
static void start_attack(const struct attack *attack, cpu_set_t cpus,
			 void (*measure)(void))
{
	memset(report, 0, sizeof(*report));
	report->cpus = cpus;
	report->nr_attackers = attack->nr ?: NR_ROLES;
	report->pid = fork();
	if (report->pid < 0)
		die("fork: %s", strerror(errno));
	if (!report->pid)
		be_attackers(attack, measure);
	do {
		usleep(1000);
		expect_attackers();
	} while (!all_are_ready() ||
		 (measure && !__atomic_load_n(&report->has_measured,
					      __ATOMIC_ACQUIRE)));
}

static void end_attack(void)
{
	expect_attackers();
	if (!__atomic_load_n(&report->laps, __ATOMIC_RELAXED))
		die("the attackers have done nothing");
	kill(report->pid, SIGKILL);
	if (waitpid(report->pid, NULL, 0) != report->pid)
		die("waitpid: %s", strerror(errno));
}

#endif /* ATTACK_H */
