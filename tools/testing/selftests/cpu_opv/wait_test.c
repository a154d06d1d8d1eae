// SPDX-License-Identifier: GPL-2.0
/*
 * Nobody waits for a caller that queues for its CPU.
 *
 * Busy threads keep it there for seconds.  What others do meanwhile, to it or
 * beside it, takes no longer than beside an ordinary thread of the same policy
 * that queues in the same place.  Each comparison prints both times.
 */

#include <math.h>
#include <signal.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "cpu_opv_cpus.h"

#define NR_BUSY		8
/* How long a CPU is busy: nobody is held up for longer. */
#define BUSY_SECONDS	4

/*
 * The machine can be slow at the wrong moment, so the best of some attempts
 * counts.  Who has to wait for a queued caller has to in each of them.
 */
#define NR_ATTEMPTS	2
#define MAX_RATIO	3
#define NOISE_SECONDS	0.15

/* How long to wait for what happens soon. */
#define SOON_SECONDS	60

/* What the CPUs are for. */
enum {
	OBSERVER,
	HOME,
	SPARE,
	TARGET,
	NR_ROLES,
};

static int role_cpu[NR_ROLES];
static cpu_set_t all_cpus;

static struct cpusets *cpusets;

static struct sched_attr policy;
static const char *policy_name;

/* The thread that queues on the target. */
static struct {
	/* It got there by cpu_opv(), not by its affinity. */
	bool calls;
	uint64_t count;
	pid_t tid;
	int ret;
	bool ran;
	bool may_end;
	pthread_t thread;
} queued;

static cpu_set_t all_but_target(void)
{
	cpu_set_t set = all_cpus;

	CPU_CLR(role_cpu[TARGET], &set);
	return set;
}

static int set_affinity(pid_t tid, cpu_set_t set)
{
	return sched_setaffinity(tid, sizeof(set), &set) ? -errno : 0;
}

/* Wait until it is true.  Returns whether it was soon. */
#define soon(condition) ({						\
	uint64_t end = now_ns() + SOON_SECONDS * 1000000000ULL;		\
	bool is_true;							\
									\
	while (!(is_true = (condition)) && now_ns() < end)		\
		usleep(1000);						\
	is_true;							\
})

/* A process beside this one, in no cpuset of ours, that does what it is told. */
static int helper[2];

static void be_helper(void)
{
	int (*act)(void), ret;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(helper[1], &act, sizeof(act)) == sizeof(act)) {
		ret = act();
		if (write(helper[1], &ret, sizeof(ret)) != sizeof(ret))
			break;
	}
	_exit(1);
}

static int start_helper(void)
{
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, helper))
		return -errno;
	pid = fork();
	if (!pid)
		be_helper();
	return pid < 0 ? -errno : 0;
}

static int in_helper(int (*act)(void))
{
	int ret;

	if (write(helper[0], &act, sizeof(act)) != sizeof(act) ||
	    read(helper[0], &ret, sizeof(ret)) != sizeof(ret))
		return -EPIPE;
	return ret;
}

/*
 * What keeps a CPU busy, started by the helper: a fork of this process would take
 * its memory away from its threads for a moment.
 */
struct crowd {
	int cpu;
	int nr;
	struct sched_attr attr;
	pthread_barrier_t ready;
	int nr_running;
	pid_t pid;
};

static struct crowd *crowd;

static void *be_busy(void *arg)
{
	pthread_barrier_wait(&crowd->ready);
	if (run_pinned(crowd->cpu) || set_policy(&crowd->attr))
		_exit(1);
	if (__atomic_add_fetch(&crowd->nr_running, 1, __ATOMIC_RELAXED) ==
	    crowd->nr)
		alarm(BUSY_SECONDS);
	for (;;)
		__asm__ volatile ("" : : : "memory");
	return NULL;
}

static void be_crowd(void)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(SOON_SECONDS);
	pthread_barrier_init(&crowd->ready, NULL, crowd->nr);
	for (int i = 1; i < crowd->nr; i++)
		if (pthread_create(&thread, NULL, be_busy, NULL))
			_exit(1);
	be_busy(NULL);
}

static int start_crowd(void)
{
	pid_t pid;

	crowd->nr_running = 0;
	pid = fork();
	if (!pid)
		be_crowd();
	crowd->pid = pid;
	if (pid < 0)
		return -errno;
	return soon(__atomic_load_n(&crowd->nr_running, __ATOMIC_RELAXED) ==
		    crowd->nr) ? 0 : -ETIMEDOUT;
}

static int end_crowd(void)
{
	kill(crowd->pid, SIGKILL);
	return waitpid(crowd->pid, NULL, 0) == crowd->pid ? 0 : -errno;
}

static void *queue(void *arg)
{
	struct cpu_op op = count_op(&queued.count);
	int ret = set_affinity(0, CPUS(HOME)) ?: set_policy(&policy);

	__atomic_store_n(&queued.tid, syscall(__NR_gettid), __ATOMIC_RELEASE);
	if (!ret && !queued.calls)
		ret = set_affinity(0, CPUS(TARGET));
	else if (!ret)
		ret = set_affinity(0, all_cpus) ?:
		      run_as_it_is(&op, 1, role_cpu[TARGET]);
	queued.ret = ret;
	__atomic_store_n(&queued.ran, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&queued.may_end, __ATOMIC_ACQUIRE))
		usleep(1000);
	return NULL;
}

static bool has_run(void)
{
	return __atomic_load_n(&queued.ran, __ATOMIC_ACQUIRE);
}

#define STAT_STATE	3
#define STAT_PROCESSOR	39

/* Is it runnable on the target? */
static bool is_there(void)
{
	pid_t tid = __atomic_load_n(&queued.tid, __ATOMIC_ACQUIRE);
	char path[64], text[1024] = "", *at, state;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "r");
	if (!file)
		return false;
	at = fgets(text, sizeof(text), file);
	fclose(file);
	at = at ? strrchr(at, ')') : NULL;
	if (!at)
		return false;
	at += 2;
	state = *at;
	for (int field = STAT_STATE; at && field < STAT_PROCESSOR; field++)
		at = strchr(at + 1, ' ');
	return at && state == 'R' && atoi(at) == role_cpu[TARGET];
}

/* What is done while a thread queues. */
struct deed {
	const char *what;
	/* The affinity has the target all the time. */
	bool keeps;
	/* Done before the thread queues. */
	int (*prepare)(void);
	/* Done by another thread, which may be held up while it is timed. */
	int (*meanwhile)(void);
	/* Timed. */
	int (*act)(void);
	/* Done when all is over. */
	int (*restore)(void);
};

struct other {
	int (*act)(void);
	bool started;
	bool done;
	int ret;
	pthread_t thread;
};

static void *act_meanwhile(void *arg)
{
	struct other *other = arg;

	__atomic_store_n(&other->started, true, __ATOMIC_RELEASE);
	other->ret = other->act();
	__atomic_store_n(&other->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void start_other(struct __test_metadata *_metadata, struct other *other)
{
	if (!other->act)
		return;
	ASSERT_EQ(0, pthread_create(&other->thread, NULL, act_meanwhile,
				    other));
	while (!__atomic_load_n(&other->started, __ATOMIC_ACQUIRE))
		usleep(1000);
	/* By now it is held up, if it is to be. */
	usleep(20000);
}

static void join_other(struct __test_metadata *_metadata, struct other *other)
{
	if (!other->act)
		return;
	pthread_join(other->thread, NULL);
	EXPECT_EQ(0, other->ret);
}

static double time_act(struct __test_metadata *_metadata, int (*act)(void))
{
	uint64_t start = now_ns();
	int ret = act();
	uint64_t end = now_ns();

	EXPECT_EQ(0, ret);
	return (end - start) / 1e9;
}

FIXTURE(queued)
{
	struct cpusets cpusets;
	cpu_set_t cpus;
};

FIXTURE_VARIANT(queued)
{
	const char *name;
	struct sched_attr attr;
	/* Priority of what keeps the CPU busy, if of the real-time class. */
	int busy_priority;
};

FIXTURE_VARIANT_ADD(queued, idle)
{
	.name = "SCHED_IDLE",
	.attr.sched_policy = SCHED_IDLE,
};

FIXTURE_VARIANT_ADD(queued, nice_19)
{
	.name = "nice 19",
	.attr.sched_policy = SCHED_OTHER,
	.attr.sched_nice = 19,
};

FIXTURE_VARIANT_ADD(queued, long_slice)
{
	.name = "SCHED_IDLE, slice of 100 ms",
	.attr.sched_policy = SCHED_IDLE,
	.attr.sched_runtime = 100000000,
};

FIXTURE_VARIANT_ADD(queued, fifo)
{
	.name = "FIFO 1 behind FIFO 2",
	.attr.sched_policy = SCHED_FIFO,
	.attr.sched_priority = 1,
	.busy_priority = 2,
};

/*
 * Give each CPU its role, and have what it takes to make one busy.  Returns what
 * is missing.
 */
static const char *set_up(struct __test_metadata *_metadata)
{
	struct percpu percpu;

	if (geteuid())
		return "root";
	ASSERT_EQ(0, use_all_cpus(&percpu));
	if (CPU_COUNT(&percpu.cpus) < NR_ROLES)
		return "four CPUs";
	all_cpus = percpu.cpus;
	for (int role = 0; role < NR_ROLES; role++)
		role_cpu[role] = nth_cpu(&all_cpus, role);
	ASSERT_EQ(0, run_pinned(role_cpu[OBSERVER]));
	crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, crowd);
	crowd->nr = NR_BUSY;
	crowd->cpu = role_cpu[TARGET];
	crowd->attr.size = sizeof(crowd->attr);
	ASSERT_EQ(0, start_helper());
	return NULL;
}

FIXTURE_SETUP(queued)
{
	const char *missing = set_up(_metadata);

	if (missing)
		SKIP(return, "needs %s", missing);
	self->cpus = all_cpus;
	policy = variant->attr;
	policy.size = sizeof(policy);
	policy_name = variant->name;
	if (variant->busy_priority) {
		crowd->nr = 1;
		crowd->attr.sched_policy = SCHED_FIFO;
		crowd->attr.sched_priority = variant->busy_priority;
	}
}

FIXTURE_TEARDOWN_PARENT(queued)
{
	set_all_online(&self->cpus);
	if (self->cpusets.root[0])
		close_cpusets(&self->cpusets);
}

/*
 * Time a deed while a thread queues.  Returns the seconds, or a negative value
 * if the thread ran before that.
 */
static double time_once(struct __test_metadata *_metadata,
			const struct deed *deed, bool calls)
{
	struct other other = { .act = deed->meanwhile };
	bool too_late;
	double seconds;

	if (deed->prepare)
		ASSERT_EQ(0, deed->prepare());
	ASSERT_EQ(0, in_helper(start_crowd));
	memset(&queued, 0, sizeof(queued));
	queued.calls = calls;
	ASSERT_EQ(0, pthread_create(&queued.thread, NULL, queue, NULL));
	ASSERT_TRUE(soon(is_there() || has_run()));
	too_late = has_run();
	start_other(_metadata, &other);
	seconds = time_act(_metadata, deed->act);
	__atomic_store_n(&queued.may_end, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, in_helper(end_crowd));
	pthread_join(queued.thread, NULL);
	join_other(_metadata, &other);
	/* The deed may have taken the CPU away from it. */
	if (deed->keeps || queued.ret != -EINVAL)
		EXPECT_EQ(0, queued.ret);
	if (deed->restore)
		ASSERT_EQ(0, deed->restore());
	return too_late ? -1 : seconds;
}

static double time_deed(struct __test_metadata *_metadata, const void *deed,
			bool calls)
{
	double seconds = -1;

	for (int i = 0; i < 10 && seconds < 0; i++)
		seconds = time_once(_metadata, deed, calls);
	ASSERT_GE(seconds, 0) {
		TH_LOG("the thread never queues");
	}
	return seconds;
}

static bool is_held_up(double ordinary, double caller)
{
	return caller > MAX_RATIO * ordinary + NOISE_SECONDS;
}

/* Times something beside ordinary threads, or beside such that call. */
typedef double timer(struct __test_metadata *_metadata, const void *arg,
		     bool calls);

static void compare(struct __test_metadata *_metadata, const char *who,
		    const char *what, timer *time, const void *arg)
{
	double ordinary = INFINITY, caller = INFINITY;

	for (int i = 0; i < NR_ATTEMPTS; i++) {
		double seconds = time(_metadata, arg, false);

		ordinary = MIN(ordinary, seconds);
		seconds = time(_metadata, arg, true);
		caller = MIN(caller, seconds);
		if (!is_held_up(ordinary, caller))
			break;
	}
	ksft_print_msg("held up: %s: %s: %.3f s by an ordinary thread, %.3f s by the caller\n",
		       who, what, ordinary, caller);
	EXPECT_FALSE(is_held_up(ordinary, caller));
}

static void compare_deed(struct __test_metadata *_metadata,
			 const struct deed *deed)
{
	compare(_metadata, policy_name, deed->what, time_deed, deed);
}

static int exclude_target(void)
{
	return set_affinity(queued.tid, CPUS(OBSERVER, HOME, SPARE));
}

static int keep_target(void)
{
	return set_affinity(queued.tid, CPUS(HOME, TARGET));
}

TEST_F_TIMEOUT(queued, affinity, LONG_TIMEOUT)
{
	compare_deed(_metadata, &(struct deed) {
		.what = "affinity without the CPU",
		.act = exclude_target,
	});
	compare_deed(_metadata, &(struct deed) {
		.what = "affinity with the CPU",
		.keeps = true,
		.act = keep_target,
	});
}

static int set_cpus(const char *name, cpu_set_t set)
{
	char text[CPU_LIST_SIZE];

	print_cpus(&set, text);
	return write_cpuset(cpusets, name, "cpuset.cpus", text);
}

static int shrink_cpuset(void)
{
	return set_cpus(CPUSET, all_but_target());
}

static int grow_cpuset(void)
{
	return set_cpus(CPUSET, all_cpus);
}

static int move_process(void)
{
	return write_cpuset(cpusets, OTHER_CPUSET, "cgroup.procs", "0");
}

static int move_thread(void)
{
	char text[20];

	snprintf(text, sizeof(text), "%d", queued.tid);
	return write_cpuset(cpusets, OTHER_CPUSET, "cgroup.threads", text);
}

static int move_back(void)
{
	return write_cpuset(cpusets, CPUSET, "cgroup.procs", "0");
}

/* From now on this is in a cpuset with all CPUs.  There is one without one. */
static void enter_cpuset(struct __test_metadata *_metadata,
			 struct cpusets *entered)
{
	cpusets = entered;
	ASSERT_EQ(0, grow_cpuset());
	ASSERT_EQ(0, set_cpus(OTHER_CPUSET, all_but_target()));
	ASSERT_EQ(0, move_back());
}

#define NO_CPUSETS	"needs CONFIG_CPUSETS, for cgroup v2"

TEST_F_TIMEOUT(queued, cpuset_write, LONG_TIMEOUT)
{
	if (open_cpusets(&self->cpusets))
		SKIP(return, NO_CPUSETS);
	enter_cpuset(_metadata, &self->cpusets);
	compare_deed(_metadata, &(struct deed) {
		.what = "write to its cpuset.cpus",
		.act = shrink_cpuset,
		.restore = grow_cpuset,
	});
}

TEST_F_TIMEOUT(queued, cpuset_move, LONG_TIMEOUT)
{
	if (open_cpusets(&self->cpusets))
		SKIP(return, NO_CPUSETS);
	enter_cpuset(_metadata, &self->cpusets);
	compare_deed(_metadata, &(struct deed) {
		.what = "move of the process to another cpuset",
		.act = move_process,
		.restore = move_back,
	});
}

TEST_F_TIMEOUT(queued, cpuset_move_of_thread, LONG_TIMEOUT)
{
	if (open_cpusets(&self->cpusets))
		SKIP(return, NO_CPUSETS);
	for (size_t i = 0; i < ARRAY_SIZE(cpuset_names); i++)
		if (write_cpuset(&self->cpusets, cpuset_names[i], "cgroup.type",
				 "threaded"))
			SKIP(return, "needs cgroups that may be threaded");
	enter_cpuset(_metadata, &self->cpusets);
	compare_deed(_metadata, &(struct deed) {
		.what = "move of the thread to another cpuset",
		.act = move_thread,
		.restore = move_back,
	});
}

/* The argument that makes this program end at once. */
#define SPAWNED	"spawned"

/* Fork, exec, and wait for the end. */
static int spawn(void)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (!pid) {
		execl("/proc/self/exe", "wait_test", SPAWNED, NULL);
		_exit(1);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return status ? -ECHILD : 0;
}

static int spawn_elsewhere(void)
{
	return in_helper(spawn);
}

TEST_F_TIMEOUT(queued, fork_and_exec, LONG_TIMEOUT)
{
	if (open_cpusets(&self->cpusets))
		SKIP(return, NO_CPUSETS);
	enter_cpuset(_metadata, &self->cpusets);
	/* Have all that it takes in memory. */
	ASSERT_EQ(0, spawn());
	ASSERT_EQ(0, spawn_elsewhere());
	compare_deed(_metadata, &(struct deed) {
		.what = "fork and exec in its process, while that moves",
		.meanwhile = move_process,
		.act = spawn,
		.restore = move_back,
	});
	compare_deed(_metadata, &(struct deed) {
		.what = "fork and exec in another process, while its own moves",
		.meanwhile = move_process,
		.act = spawn_elsewhere,
		.restore = move_back,
	});
	compare_deed(_metadata, &(struct deed) {
		.what = "fork and exec in its process, while its cpuset.cpus are written",
		.meanwhile = shrink_cpuset,
		.act = spawn,
		.restore = grow_cpuset,
	});
	compare_deed(_metadata, &(struct deed) {
		.what = "fork and exec in another process, while its cpuset.cpus are written",
		.meanwhile = shrink_cpuset,
		.act = spawn_elsewhere,
		.restore = grow_cpuset,
	});
}

/* How often the thread has been moved to another CPU, or a negative error. */
static long count_migrations(pid_t tid)
{
	char path[64], line[128];
	long nr = -ENOENT;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/sched", tid);
	file = fopen(path, "r");
	if (!file)
		return -errno;
	while (nr < 0 && fgets(line, sizeof(line), file))
		sscanf(line, "se.nr_migrations : %ld", &nr);
	fclose(file);
	return nr;
}

/*
 * A real-time thread that goes to sleep makes its CPU pull others.  Each time the
 * affinity of the queued thread has changed, and still has the CPU.  Returns how
 * often that thread is moved before it runs, or a negative error.
 */
static long migrations_while_others_pull(void)
{
	const long before = count_migrations(queued.tid);
	struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = SCHED_FIFO,
		.sched_priority = 1,
	};
	long migrations = 0;
	int ret = set_policy(&attr);

	for (int i = 0; i < 100 && !ret; i++) {
		long now;

		ret = set_affinity(queued.tid, i % 2 ? all_cpus :
				   CPUS(OBSERVER, HOME, TARGET));
		usleep(10000);
		now = count_migrations(queued.tid);
		/* After the call it may go where it likes. */
		if (has_run())
			break;
		migrations = now - before;
	}
	attr.sched_policy = SCHED_OTHER;
	attr.sched_priority = 0;
	ret = ret ?: set_policy(&attr);
	return ret ?: migrations;
}

/*
 * No balancer takes it away, though other CPUs are idle.  If one did, it would
 * only come back, again and again.
 */
TEST_F_TIMEOUT(queued, stays, LONG_TIMEOUT)
{
	long migrations;

	if (count_migrations(gettid()) < 0)
		SKIP(return, "needs CONFIG_SCHED_DEBUG");
	ASSERT_EQ(0, in_helper(start_crowd));
	queued.calls = true;
	ASSERT_EQ(0, pthread_create(&queued.thread, NULL, queue, NULL));
	ASSERT_TRUE(soon(is_there() || has_run()));
	migrations = migrations_while_others_pull();
	EXPECT_GE(migrations, 0);
	/* It may be preempted before it can say that it has run. */
	EXPECT_LE(migrations, 2);
	__atomic_store_n(&queued.may_end, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, in_helper(end_crowd));
	pthread_join(queued.thread, NULL);
	EXPECT_EQ(0, queued.ret);
}

static int make_deadline(void)
{
	const struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = SCHED_DEADLINE,
		.sched_runtime = 5000000,
		.sched_deadline = 50000000,
		.sched_period = 50000000,
	};

	return syscall(__NR_sched_setattr, queued.tid, &attr, 0) ? -errno : 0;
}

/*
 * A deadline thread may run on all CPUs of its root domain.  So may this one,
 * according to its affinity, though it is bound to one CPU as it queues.  An
 * ordinary thread in its place is refused.
 */
TEST_F_TIMEOUT(queued, becomes_deadline, LONG_TIMEOUT)
{
	time_deed(_metadata, &(struct deed) {
		.keeps = true,
		.act = make_deadline,
	}, true);
}

/* Hotplug of another CPU while this is on its way makes it report a race. */
static int exclude_target_despite_hotplug(void)
{
	int ret = exclude_target();

	return ret == -EINVAL ? 0 : ret;
}

static int take_spare_down(void)
{
	return set_online(role_cpu[SPARE], false);
}

static int bring_spare_up(void)
{
	return set_online(role_cpu[SPARE], true);
}

static int take_target_down(void)
{
	return set_online(role_cpu[TARGET], false);
}

static int bring_target_up(void)
{
	return set_online(role_cpu[TARGET], true);
}

/*
 * A new affinity without the target that has the spare CPU: hotplug of that changes
 * what the cpuset leaves of it.
 */
TEST_F_TIMEOUT(queued, hotplug, LONG_TIMEOUT)
{
	if (bring_spare_up() || bring_target_up())
		SKIP(return, "needs CONFIG_HOTPLUG_CPU");
	if (open_cpusets(&self->cpusets))
		SKIP(return, NO_CPUSETS);
	enter_cpuset(_metadata, &self->cpusets);
	compare_deed(_metadata, &(struct deed) {
		.what = "another CPU of its cpuset goes down",
		.meanwhile = exclude_target_despite_hotplug,
		.act = take_spare_down,
		.restore = bring_spare_up,
	});
	compare_deed(_metadata, &(struct deed) {
		.what = "another CPU of its cpuset comes up",
		.prepare = take_spare_down,
		.meanwhile = exclude_target_despite_hotplug,
		.act = bring_spare_up,
	});
	/* What takes it down queues behind a real-time thread itself. */
	if (variant->busy_priority)
		return;
	compare_deed(_metadata, &(struct deed) {
		.what = "the CPU goes down",
		.act = take_target_down,
		.restore = bring_target_up,
	});
}

#define NR_LOOPERS	4
#define NR_PLUGS	2
/* How often the CPU gets busy, each time at another point of their loops. */
#define NR_TIMES	10

#define STATIC_KEY	"/proc/sys/kernel/sched_schedstats"

/* Threads that go on and on, and those that change the affinity of each. */
static struct percpu looping, flipping;
static struct worker loopers[NR_LOOPERS], flippers[NR_LOOPERS];
static bool loopers_call;

static const struct sched_attr idle = {
	.size = sizeof(idle),
	.sched_policy = SCHED_IDLE,
};

/* Whether the affinity of a looper is at times without the target. */
static bool may_be_refused;

/* A step: a vector for the target that takes its time there. */
static int call_step(struct worker *worker)
{
	static char bytes[2 * PATH_READ_LEN];
	static uint64_t count;
	struct cpu_op vec[] = {
		cpu_op_compare(CPU_COMPARE_EQ_OP, bytes, bytes + PATH_READ_LEN,
			       PATH_READ_LEN),
		cpu_op_compare(CPU_COMPARE_EQ_OP, bytes, bytes + PATH_READ_LEN,
			       PATH_READ_LEN),
		count_op(&count),
	};
	int ret = run_as_it_is(vec, ARRAY_SIZE(vec), role_cpu[TARGET]);

	return ret == -EINVAL && may_be_refused ? 0 : ret;
}

static int loop_step(struct worker *worker)
{
	return loopers_call ? call_step(worker) : busy_step(worker);
}

/* A step: have a looper leave the target, and let it go, or put it, there. */
static int flip_step(struct worker *worker)
{
	pid_t tid = __atomic_load_n(&loopers[worker - flippers].tid,
				    __ATOMIC_ACQUIRE);

	/* Leave the time of the CPU to what is timed. */
	usleep(100);
	return set_affinity(tid, CPUS(OBSERVER, HOME)) ?:
	       set_affinity(tid, loopers_call ? CPUS(OBSERVER, HOME, TARGET) :
						CPUS(TARGET));
}

static void wait_for_workers(struct __test_metadata *_metadata,
			     struct worker *workers, int nr)
{
	for (int i = 0; i < nr; i++)
		ASSERT_TRUE(soon(__atomic_load_n(&workers[i].done,
						 __ATOMIC_RELAXED)));
}

static void start_loopers(struct __test_metadata *_metadata, bool call,
			  bool flip)
{
	looping.stop = false;
	flipping.stop = false;
	loopers_call = call;
	may_be_refused = flip;
	ASSERT_EQ(0, run_pinned(role_cpu[HOME]));
	ASSERT_EQ(0, start_workers(loopers, NR_LOOPERS, (struct worker) {
		.step = loop_step,
		.percpu = &looping,
		.attr = &idle,
	}));
	ASSERT_EQ(0, run_pinned(role_cpu[OBSERVER]));
	wait_for_workers(_metadata, loopers, NR_LOOPERS);
	if (!flip)
		return;
	ASSERT_EQ(0, start_workers(flippers, NR_LOOPERS, (struct worker) {
		.step = flip_step,
		.percpu = &flipping,
	}));
	wait_for_workers(_metadata, flippers, NR_LOOPERS);
}

static void stop_loopers(struct __test_metadata *_metadata)
{
	stop_workers(&flipping);
	if (may_be_refused)
		join_workers(_metadata, flippers, NR_LOOPERS);
	stop_workers(&looping);
	join_workers(_metadata, loopers, NR_LOOPERS);
}

/* What is done while threads loop. */
struct loop {
	const char *who;
	const char *what;
	/* Their affinity is changed all the time. */
	bool flip;
	/* The CPU that is busy. */
	int busy;
	/* What another thread has begun before it is. */
	int (*begun)(void);
	double (*time)(struct __test_metadata *_metadata);
};

static struct other begun;

/* The longest that it takes. */
static double time_loop(struct __test_metadata *_metadata, const void *arg,
			bool calls)
{
	const struct loop *loop = arg;
	double worst = 0;

	start_loopers(_metadata, calls, loop->flip);
	crowd->cpu = role_cpu[loop->busy];
	/* One that is held up tells enough. */
	for (int i = 0; i < NR_TIMES && worst < BUSY_SECONDS / 2; i++) {
		double seconds;

		begun = (struct other) { .act = loop->begun };
		start_other(_metadata, &begun);
		ASSERT_EQ(0, in_helper(start_crowd));
		seconds = loop->time(_metadata);
		worst = MAX(worst, seconds);
		ASSERT_EQ(0, in_helper(end_crowd));
	}
	stop_loopers(_metadata);
	return worst;
}

static void compare_loop(struct __test_metadata *_metadata,
			 const struct loop *loop)
{
	compare(_metadata, loop->who, loop->what, time_loop, loop);
}

static int plug_spare(void)
{
	int ret = take_spare_down();

	return bring_spare_up() ?: ret;
}

static double time_plug(struct __test_metadata *_metadata)
{
	return time_act(_metadata, plug_spare);
}

/* Change code of the kernel, for which no CPU may go down or come up. */
static int write_static_key(void)
{
	return write_file(STATIC_KEY, "1") ?: write_file(STATIC_KEY, "0");
}

/* The longest that it takes while one does. */
static double time_static_key(struct __test_metadata *_metadata)
{
	struct other other = { .act = plug_spare };
	double worst = 0, seconds;

	start_other(_metadata, &other);
	do {
		seconds = time_act(_metadata, write_static_key);
		worst = MAX(worst, seconds);
	} while (!__atomic_load_n(&other.done, __ATOMIC_ACQUIRE));
	join_other(_metadata, &other);
	return worst;
}

/* So often that it is not over when the CPU is busy. */
static int plug_often(void)
{
	int ret = 0;

	for (int i = 0; i < NR_PLUGS && !ret; i++)
		ret = plug_spare();
	return ret;
}

static double time_rest(struct __test_metadata *_metadata)
{
	uint64_t start = now_ns();

	join_other(_metadata, &begun);
	return (now_ns() - start) / 1e9;
}

FIXTURE(looping)
{
	cpu_set_t cpus;
};

FIXTURE_SETUP(looping)
{
	const char *missing = set_up(_metadata);

	if (missing)
		SKIP(return, "needs %s", missing);
	self->cpus = all_cpus;
	if (bring_spare_up() || bring_target_up())
		SKIP(return, "needs CONFIG_HOTPLUG_CPU");
}

FIXTURE_TEARDOWN_PARENT(looping)
{
	set_all_online(&self->cpus);
}

TEST_F_TIMEOUT(looping, hotplug, LONG_TIMEOUT)
{
	compare_loop(_metadata, &(struct loop) {
		.who = "SCHED_IDLE, with new affinities",
		.what = "another CPU goes down and comes up",
		.flip = true,
		.busy = TARGET,
		.time = time_plug,
	});
}

TEST_F_TIMEOUT(looping, static_key, LONG_TIMEOUT)
{
	if (access(STATIC_KEY, W_OK))
		SKIP(return, "needs CONFIG_SCHEDSTATS");
	compare_loop(_metadata, &(struct loop) {
		.who = "SCHED_IDLE, with new affinities",
		.what = "write to " STATIC_KEY ", while another CPU goes down and comes up",
		.flip = true,
		.busy = TARGET,
		.time = time_static_key,
	});
}

#define NR_CALLS	20

static int call_often(void)
{
	int ret = 0;

	for (int i = 0; i < NR_CALLS && !ret; i++)
		ret = call_step(NULL);
	return ret;
}

static double time_calls(struct __test_metadata *_metadata)
{
	return time_act(_metadata, call_often);
}

/* Here it is the CPU of the callers that is busy, and the other is offline. */
TEST_F_TIMEOUT(looping, offline, LONG_TIMEOUT)
{
	ASSERT_EQ(0, take_target_down());
	compare_loop(_metadata, &(struct loop) {
		.who = "SCHED_IDLE, for an offline CPU",
		.what = "calls of another thread for it",
		.busy = HOME,
		.time = time_calls,
	});
	compare_loop(_metadata, &(struct loop) {
		.who = "SCHED_IDLE, for an offline CPU",
		.what = "another CPU goes down and comes up",
		.busy = HOME,
		.time = time_plug,
	});
}

/*
 * The kernel hands the hotplug lock to those who wait for it, whether they get to
 * run or not.  So a caller must not wait for it in that way.
 */
TEST_F_TIMEOUT(looping, offline_meanwhile, LONG_TIMEOUT)
{
	ASSERT_EQ(0, take_target_down());
	compare_loop(_metadata, &(struct loop) {
		.who = "SCHED_IDLE, for an offline CPU",
		.what = "another CPU has begun to go down and come up",
		.busy = HOME,
		.begun = plug_often,
		.time = time_rest,
	});
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], SPAWNED))
		return 0;
	return cpu_opv_test_run(argc, argv);
}
