// SPDX-License-Identifier: GPL-2.0
/*
 * A tracing program runs in the scheduler, in the context of threads that are on
 * their way to a CPU.
 *
 * There the lock of a runqueue is held, and the program's migrate_disable()
 * section must not take it again at its end.  If it does, the CPU hangs.  And if
 * the affinity of such a thread changes during the section, the change must end.
 */

#include <linux/bpf.h>

#include "cpu_opv_cpus.h"

#define NR_CALLERS	4
#define NR_BUSY		4
#define SECONDS		2

/* Tracepoints that are under the lock of a runqueue. */
static const char * const tracepoints[] = {
	"sched_switch",
	"sched_wakeup",
	"sched_migrate_task",
	"sched_stat_runtime",
};

static struct percpu percpu, busy;
static unsigned long refused;

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	int ret = syscall(__NR_bpf, cmd, attr, sizeof(*attr));

	return ret < 0 ? -errno : ret;
}

/* A program that does nothing. */
static int load_program(void)
{
	static const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
		.insns = (uintptr_t)insns,
		.insn_cnt = ARRAY_SIZE(insns),
		.license = (uintptr_t)"GPL",
	};

	return bpf(BPF_PROG_LOAD, &attr);
}

static int attach(int program, const char *tracepoint)
{
	union bpf_attr attr = {
		.raw_tracepoint = {
			.name = (uintptr_t)tracepoint,
			.prog_fd = program,
		},
	};

	return bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
}

static int count_runs(void)
{
	union bpf_attr attr = { .enable_stats.type = BPF_STATS_RUN_TIME };

	return bpf(BPF_ENABLE_STATS, &attr);
}

static uint64_t nr_runs(int program)
{
	struct bpf_prog_info info = { 0 };
	union bpf_attr attr = {
		.info = {
			.bpf_fd = program,
			.info_len = sizeof(info),
			.info = (uintptr_t)&info,
		},
	};

	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) ? 0 : info.run_cnt;
}

/* A step: a vector for a CPU that may be taken away from the thread. */
static int increment_if_allowed_step(struct worker *worker)
{
	int ret = increment_step(worker);

	if (ret != -EINVAL)
		return ret;
	__atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
	return 0;
}

TEST(tracing_program_in_the_scheduler)
{
	struct worker callers[NR_CALLERS], others[NR_BUSY];
	unsigned long done;
	uint64_t state = 0, end;
	int program;

	ASSERT_EQ(0, use_all_cpus(&percpu));
	busy.cpus = percpu.cpus;
	program = load_program();
	if (program < 0)
		SKIP(return, "needs root and CONFIG_BPF_EVENTS");
	ASSERT_GE(count_runs(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(tracepoints); i++) {
		ASSERT_LE(0, attach(program, tracepoints[i])) {
			TH_LOG("%s", tracepoints[i]);
		}
	}

	ASSERT_EQ(0, start_workers(others, NR_BUSY, (struct worker) {
		.step = busy_step,
		.percpu = &busy,
	}));
	ASSERT_EQ(0, start_workers(callers, NR_CALLERS, (struct worker) {
		.step = increment_if_allowed_step,
		.percpu = &percpu,
	}));
	end = now_ns() + SECONDS * 1000000000ULL;
	for (int i = 0; now_ns() < end; i++) {
		cpu_set_t set = random_cpus(&percpu.cpus, &state);

		ASSERT_EQ(0, sched_setaffinity(callers[i % NR_CALLERS].tid,
					       sizeof(set), &set));
		usleep(1000);
	}
	stop_workers(&percpu);
	stop_workers(&busy);
	done = join_workers(_metadata, callers, NR_CALLERS);
	join_workers(_metadata, others, NR_BUSY);
	EXPECT_GT(done, 0);
	EXPECT_EQ(done, sum_counts(&percpu) + refused);
	EXPECT_GT(nr_runs(program), done);
	TH_LOG("%lu calls, %lu refused, %llu runs of the program", done, refused,
	       (unsigned long long)nr_runs(program));
}

int main(int argc, char **argv)
{
	return cpu_opv_test_run(argc, argv);
}
