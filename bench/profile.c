// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A plugin of QEMU's TCG, which writes down each instruction that the guest
 * executes between two marks (mark.h), what the kernel accesses, and how deep its
 * stack gets.
 *
 * Usage: qemu-system-x86_64 -plugin profile.so,out=FILE[,blocks=on]
 *
 * With "blocks=on" it leaves out what is accessed, which is most of the recording.
 *
 * The file is a list of lines:
 *   T ID ADDRESS...     a translated block and the instructions in it
 *   S CPU               a recording starts
 *   X ID CPU            a block is executed
 *   A ADDRESS LINE      this instruction of it accesses this cache line
 *   M LOW HIGH          all stores to one block of memory of the size of a
 *                       kernel stack were in this range
 *   E                   the recording ends
 *
 * The kernel's steps are found afterwards, by scripts that know its symbols.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mark.h"

/*
 * The part of QEMU's plugin interface that is used here.  Distributions ship
 * QEMU without the header.
 */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_info;
enum { QEMU_PLUGIN_CB_NO_REGS };
enum { QEMU_PLUGIN_MEM_R = 1, QEMU_PLUGIN_MEM_W };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
		void (*cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
		void (*cb)(unsigned int cpu, void *data), int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
		void (*cb)(unsigned int cpu, void *data), int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
		void (*cb)(unsigned int cpu, uint32_t info, uint64_t addr, void *data),
		int flags, int rw, void *data);
void qemu_plugin_reset(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t id));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
						 size_t idx);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
bool qemu_plugin_mem_is_store(uint32_t info);

#define EXPORT		__attribute__((visibility("default")))

/* The last version whose interface is as above. */
EXPORT int qemu_plugin_version = 1;

#define LINE_SIZE	64
#define STACK_SIZE	0x4000
#define NR_STACKS	256
#define IN_KERNEL(addr)	((addr) >> 63)

static FILE *out;
static qemu_plugin_id_t plugin;
/* Blocks are watched from the first mark on, so that the guest boots fast. */
static bool watching;
static bool recording;
static bool only_blocks;
static uintptr_t nr_blocks;

static struct stack {
	uint64_t low, high;
} stacks[NR_STACKS];
static int nr_stacks;

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);

static void watch(qemu_plugin_id_t id)
{
	watching = true;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
}

static void start(unsigned int cpu, void *data)
{
	(void)data;
	if (!watching) {
		qemu_plugin_reset(plugin, watch);
		return;
	}
	recording = true;
	nr_stacks = 0;
	fprintf(out, "S %u\n", cpu);
}

static void stop(unsigned int cpu, void *data)
{
	(void)cpu;
	(void)data;
	if (!recording)
		return;
	recording = false;
	for (int i = 0; i < nr_stacks; i++)
		fprintf(out, "M %lx %lx\n", stacks[i].low, stacks[i].high);
	fprintf(out, "E\n");
	fflush(out);
}

static void executed(unsigned int cpu, void *data)
{
	if (recording)
		fprintf(out, "X %lu %u\n", (uintptr_t)data, cpu);
}

static void accessed(unsigned int cpu, uint32_t info, uint64_t addr, void *data)
{
	int i;

	(void)cpu;
	if (!recording)
		return;
	fprintf(out, "A %lx %lx\n", (uintptr_t)data, addr / LINE_SIZE);
	if (!qemu_plugin_mem_is_store(info))
		return;
	for (i = 0; i < nr_stacks; i++)
		if (stacks[i].low / STACK_SIZE == addr / STACK_SIZE)
			break;
	if (i == NR_STACKS)
		return;
	if (i == nr_stacks)
		stacks[nr_stacks++] = (struct stack){ addr, addr };
	if (addr < stacks[i].low)
		stacks[i].low = addr;
	if (addr > stacks[i].high)
		stacks[i].high = addr;
}

static bool is_mark(const struct qemu_plugin_insn *insn, const char *mark)
{
	return qemu_plugin_insn_size(insn) == MARK_LEN &&
	       !memcmp(qemu_plugin_insn_data(insn), mark, MARK_LEN);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb);

	(void)id;
	if (watching) {
		fprintf(out, "T %lu", nr_blocks);
		for (size_t i = 0; i < n; i++)
			fprintf(out, " %lx", qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, i)));
		fprintf(out, "\n");
		qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, QEMU_PLUGIN_CB_NO_REGS,
						     (void *)nr_blocks++);
	}
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		if (is_mark(insn, MARK_START))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, start,
							       QEMU_PLUGIN_CB_NO_REGS, NULL);
		else if (is_mark(insn, MARK_STOP))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, stop,
							       QEMU_PLUGIN_CB_NO_REGS, NULL);
		if (watching && !only_blocks &&
		    IN_KERNEL(qemu_plugin_insn_vaddr(insn)))
			qemu_plugin_register_vcpu_mem_cb(insn, accessed, QEMU_PLUGIN_CB_NO_REGS,
							 QEMU_PLUGIN_MEM_R | QEMU_PLUGIN_MEM_W,
							 (void *)qemu_plugin_insn_vaddr(insn));
	}
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info *info,
			       int argc, char **argv)
{
	(void)info;
	plugin = id;
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "w");
		else if (!strcmp(argv[i], "blocks=on"))
			only_blocks = true;
	}
	if (!out) {
		fprintf(stderr, "profile: out=FILE must name a file that can be written\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
