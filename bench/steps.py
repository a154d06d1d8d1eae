#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tells where the instructions of a call go, from the recording that profile.c
makes: by step of the call, by function, and how many run with preemption off, on
how many cache lines.

A recording is the exact sequence of instructions. Calls and returns are told by
where the sequence enters functions, and inlined functions by the line tables."""

import argparse
import bisect
import collections
import csv
import json
import re
import subprocess
import sys

# The innermost function of a stack that is listed here names the step. What is
# in none, and below the system call's body, is `rest`.
STEPS = [
    ("copy in", r"cpu_opv::user::(RawVec>?::)?copy_in|^__x64_sys_cpu_opv_2017#copy|_copy_from_user$"),
    ("validate", r"cpu_opv::op::(Vector>?::)?new\b|^check_vector$"),
    ("plan", r"cpu_opv::plan(::(Plan>?::)?new\b|$)|cpu_opv::plan::List\b|cpu_opv::op::(Vector>?::)?stores_last"),
    ("pin", r"cpu_opv::pin::(.*::)?(pin|pin_list|check|is_replaceable)$|gup::(PinnedPages>?::)?(pin|pin_by)\b"
            r"|^pin_vector$|^pin_operand$|(get|pin)_user_pages_fast(_only)?$"),
    ("preload", r"cpu_opv::pin::(Pinned>?::)?preload\b|cpu_opv::preload::(Preloaded>?::)?load\b"),
    ("reach", r"cpu_opv::reach::|drop_(in_place|glue)<.*reach::Reached|^push_current_to_cpu$"),
    ("run", r"cpu_opv::interpret::|cpu_opv::pin_and_run$|cpu_opv::view::|cpu_opv::unpinned::(run_reached|probe)\b"
            r"|^run_vector$|^run_on_cpu$"),
    ("unpin", r"gup::(PinnedPages>?::)?clear$|drop_(in_place|glue)<.*(PinnedPages|pin::Pinned)|^unpin$|put_page|unpin_user_page"),
]
BODY = re.compile(r"^rust_cpu_opv$|cpu_opv::|^__(x64|do|se)_sys_cpu_opv(_2017)?$")
# What runs in the section with preemption off that a call is about: its body, or what 2017 had.
SECTION = re.compile(BODY.pattern + "|^run_vector$|^run_on_cpu$")
ORDER = ["user", "entry", *[name for name, _ in STEPS], "rest", "interrupt"]
STEPS = [(name, re.compile(pattern)) for name, pattern in STEPS]
INSTRUCTION = re.compile(r"\s*([0-9a-f]+):\s+(.*)")
SOURCE = re.compile(r"/rust/(kernel/[^.]*)\.rs$")
LINE_SIZE = 64
PREEMPT_COUNT = re.compile(r"(inc|dec|add|sub)l\s+(?:\$(\S+), )?%gs:(-?0x[0-9a-f]+)\(%rip\)")


class Kernel:
    """The functions of a kernel image."""

    def __init__(self, vmlinux, suffix):
        self.vmlinux, self.suffix = vmlinux, suffix
        self.starts, self.symbols, self.names = [], [], []
        self.starts_of_data = {}
        nm = self.run("llvm-nm", "-n", "--defined-only", vmlinux)
        readable = self.run("llvm-cxxfilt", input=nm)
        for line, shown in zip(nm.splitlines(), readable.splitlines()):
            addr, kind, name = line.split(maxsplit=2)
            addr = int(addr, 16)
            if kind in "dD":
                self.starts_of_data[name] = addr
            if kind not in "tTW" or name.startswith("__pfx_"):
                continue
            if self.starts and self.starts[-1] == addr:
                continue
            self.starts.append(addr)
            self.symbols.append(name)
            self.names.append(shown.split(maxsplit=2)[2])
        self.frames = {}
        self.preempt = {}
        # The starts of functions whose code has been searched for changes of the preemption count.
        self.searched = set()
        # The steps of instructions, by the stack that they were met with.
        self.known = {}
        self.ours = {}

    def run(self, tool, *args, **kwargs):
        return subprocess.run([tool + self.suffix, *args], check=True, text=True,
                              stdout=subprocess.PIPE, **kwargs).stdout

    def function(self, addr):
        """Returns the start of the function that an instruction is in."""
        i = bisect.bisect_right(self.starts, addr) - 1
        return self.starts[i] if i >= 0 else 0

    def name(self, start):
        i = bisect.bisect_left(self.starts, start)
        return self.names[i] if i < len(self.starts) and self.starts[i] == start else "?"

    def learn(self, addrs):
        """Looks up inlined functions, innermost first, for these instructions."""
        addrs = sorted(addr for addr in addrs if addr >> 63)
        text = self.run("llvm-symbolizer", "--obj=" + self.vmlinux, "--demangle", "--inlines",
                        "--functions=linkage", "--output-style=JSON",
                        input="\n".join(hex(addr) for addr in addrs))

        for line in text.splitlines():
            entry = json.loads(line)
            self.frames[int(entry["Address"], 16)] = [self.path_of(frame) for frame in entry.get("Symbol", [])]

    def learn_preempt(self, addrs):
        """Looks up which instructions of the functions that these are in disable and enable preemption."""
        starts = {self.function(addr) for addr in addrs if addr >> 63} - self.searched
        self.searched |= starts
        symbols = {self.symbols[bisect.bisect_left(self.starts, start)] for start in starts}
        if not symbols:
            return
        code = self.run("llvm-objdump", "-d", "--no-show-raw-insn",
                        "--disassemble-symbols=" + ",".join(sorted(symbols)), self.vmlinux)
        count = self.starts_of_data["__preempt_count"]
        lines = [match for match in map(INSTRUCTION.match, code.splitlines()) if match]
        for line, following in zip(lines, lines[1:]):
            match = PREEMPT_COUNT.match(line[2])
            if match and int(following[1], 16) + int(match[3], 16) == count:
                value = int(match[2], 0) if match[2] else 1
                self.preempt[int(line[1], 16)] = value if match[1] in ("inc", "add") else -value

    def preempt_off(self, blocks):
        """Returns how many instructions the longest section with preemption off has in which the
        call's own code runs, and on how many cache lines, on whatever CPU that is.

        The count of a CPU on which an idle task runs is not known at first. It is once the count
        has been zero there, and it has before a task arrives and disables preemption."""
        sections = {}
        longest = (0, 0)
        for addrs, accessed, cpu in blocks:
            section = sections.setdefault(cpu, Section())
            for addr in addrs:
                if addr in self.preempt:
                    section.depth = max(section.depth + self.preempt[addr], 0)
                    if not section.depth:
                        if section.is_ours:
                            longest = max(longest, (section.length, len(section.data) + len(section.code)))
                        sections[cpu] = section = Section()
                if section.depth and addr >> 63:
                    section.length += 1
                    section.code.add(addr // LINE_SIZE)
                    section.data.update(accessed.get(addr, ()))
                    section.is_ours = section.is_ours or self.is_ours(self.function(addr))
        return longest

    def is_ours(self, start):
        """Returns whether a function is a part of the call that a section is about."""
        if start not in self.ours:
            self.ours[start] = bool(SECTION.search(self.name(start)))
        return self.ours[start]

    @staticmethod
    def path_of(frame):
        """Returns the name of a function. That of an inlined one has no path: its source has."""
        name = frame["FunctionName"]
        source = SOURCE.search(frame.get("FileName", ""))
        if source and "::" not in name.partition("<")[0]:
            name = source[1].replace("/", "::") + "::" + name
        return name

    def stack_names(self, addr, start):
        """Returns the names of the functions at an instruction, innermost first."""
        outer = self.name(start)
        names = self.frames.get(addr) or []
        names = [name for name in names if name and name != "??"]
        return names if names else [outer]


class Section:
    """What has been executed on a CPU since preemption was disabled there."""

    def __init__(self):
        self.depth = self.length = 0
        self.data, self.code = set(), set()
        self.is_ours = False


def recordings(path):
    """Yields the executed blocks of each recording, as lists of instructions with the
    cache lines that they access and the CPU, and the ranges of stores."""
    blocks, current, stores = {}, None, []
    with open(path, encoding="ascii") as file:
        for line in file:
            kind, *fields = line.split()
            if kind == "T":
                blocks[fields[0]] = [int(addr, 16) for addr in fields[1:]]
            elif kind == "S":
                current, stores = [], []
            elif kind == "X" and current is not None:
                current.append((blocks[fields[0]], collections.defaultdict(set), fields[1]))
            elif kind == "A" and current:
                current[-1][1][int(fields[0], 16)].add(int(fields[1], 16))
            elif kind == "M":
                stores.append(tuple(int(addr, 16) for addr in fields))
            elif kind == "E" and current is not None:
                yield current, stores
                current = None


class Call:
    """One recorded call."""

    def __init__(self, kernel, blocks, stores):
        self.steps = collections.Counter()
        self.functions = collections.Counter()
        self.total = 0
        self.preempt_off, self.lines = kernel.preempt_off(blocks)
        self.walk(kernel, blocks)
        # The entry of the system call is the first to store to the top of a stack.
        self.stack = next(((high | 0x3fff) + 1 - low for low, high in stores
                           if (high | 0x3fff) - high < 32), 0)

    def walk(self, kernel, blocks):
        stack = []
        for addrs, *_ in blocks:
            for addr in addrs:
                self.total += 1
                if not addr >> 63:
                    self.steps["user"] += 1
                    stack = []
                    continue
                start = kernel.function(addr)
                if addr == start:
                    if not stack or stack[-1] != start:
                        stack.append(start)
                elif not stack or stack[-1] != start:
                    if start in stack:
                        while stack[-1] != start:
                            stack.pop()
                    else:
                        stack.append(start)
                key = (addr, *stack)
                if key not in kernel.known:
                    kernel.known[key] = self.step(kernel, addr, stack)
                step, name = kernel.known[key]
                self.steps[step] += 1
                self.functions[step, name] += 1

    @staticmethod
    def step(kernel, addr, stack):
        inner = kernel.stack_names(addr, stack[-1])
        name = inner[0]
        in_body = in_access = False
        for depth, start in enumerate(reversed(stack)):
            names = inner if depth == 0 else [kernel.name(start)]
            for frame in names:
                for step, pattern in STEPS:
                    if pattern.search(frame):
                        return step, name
                in_body = in_body or bool(BODY.search(frame))
                in_access = in_access or frame.endswith("_user_nofault")
                if "sysvec_" in frame or frame.startswith("asm_"):
                    return "interrupt", name
        # Only loads ahead, above, are not made by an operation.
        if in_body and in_access:
            return "run", name
        return ("rest" if in_body else "entry"), name


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmlinux", required=True)
    parser.add_argument("--llvm", default="", help="suffix of the names of LLVM's tools")
    parser.add_argument("--names", required=True)
    parser.add_argument("--trace", required=True)
    parser.add_argument("--csv", required=True)
    parser.add_argument("--functions", type=int, default=14)
    args = parser.parse_args()

    kernel = Kernel(args.vmlinux, args.llvm)
    recorded = list(recordings(args.trace))
    with open(args.names, encoding="utf-8") as file:
        names = [tuple(fields) for fields in csv.reader(file) if len(fields) == 2]
    if not recorded or len(recorded) != len(names):
        sys.exit(f"error: {len(recorded)} calls were recorded, of {len(names)} that were made")
    addrs = {addr for blocks, _ in recorded for addrs, *_ in blocks for addr in addrs}
    kernel.learn(addrs)
    kernel.learn_preempt(addrs)

    cases = collections.OrderedDict()
    for name, (blocks, stores) in zip(names, recorded):
        cases.setdefault(name, []).append(Call(kernel, blocks, stores))
    # The call whose count is the median stands for its case: a timer may interrupt others.
    typical = {name: sorted(calls, key=lambda call: call.total)[len(calls) // 2]
               for name, calls in cases.items()}

    print("Where the instructions go, in one call each:")
    print()
    steps = [step for step in ORDER if any(call.steps[step] for call in typical.values())]
    head = ["call", "way", *steps, "all", "preemption off", "its cache lines", "stack"]
    lines = []
    with open(args.csv, "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        for (name, way), call in typical.items():
            counts = {step: call.steps[step] for step in steps}
            counts |= {"all": call.total, "preemption off": call.preempt_off,
                       "its cache lines": call.lines, "stack": call.stack}
            for step, count in counts.items():
                out.writerow([name, way, step, count])
            lines.append([name, way, *[str(counts[step]) for step in head[2:]]])
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    for line in [head, *lines]:
        print("  ".join([line[0].ljust(widths[0]), line[1].ljust(widths[1]),
                         *[cell.rjust(width) for cell, width in zip(line[2:], widths[2:])]]))
    print()
    print("The functions that take most:")
    for (name, way), call in typical.items():
        print()
        print(f"{name}, {way}: {call.total}")
        for (step, function), count in call.functions.most_common(args.functions):
            print(f"  {count:6d}  {step:<10}  {function}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
