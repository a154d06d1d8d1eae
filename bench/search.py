#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Searches for the vector that keeps preemption disabled for the largest number of
instructions: an evolution whose fitness is counted, not modelled.

A vector is a line of text, its operations separated by "; ". An operation is its
name, a length and one or two operands, each in memory of some kind, and a vector may
be for another CPU, or for one that is offline (cpu_opv_bench.c). The first generation
has vectors that were made by hand as the worst of their kind, regular ones of each
operation, and random ones. Each later one has mutations of the longest that are known.
Every vector is run by the guest and recorded (profile.c), and the instructions between
disabling and enabling preemption are counted (steps.py).

The longest is written as one for the thread's own CPU: the benchmark has it for the other
ones, too."""

import argparse
import random
import subprocess
import sys

import steps

PAGE = 4096
# What cpu_opv_bench.c has of each kind of memory.
PAGES = 128
KINDS = "ahlsmfpwu"
READ_ONLY = "p"
CPUS = ["own", "other", "offline"]
OPS_MAX = 16
LEN_MAX = 4096
SUM_MAX = LEN_MAX + (OPS_MAX - 1) * 8
INTEGERS = [1, 2, 4, 8]
TWO_OPERANDS = ["eq", "ne", "copy", "copyrel"]
ONE_OPERAND = ["add", "addrel", "or", "and", "xor", "shl", "shr"]
STORES_TO = {"copy": 0, "copyrel": 0, **{op: 0 for op in ONE_OPERAND}}


class Op:
    """An operation: its name, its length, and where its operands are."""

    def __init__(self, name, length=0, operands=()):
        self.name, self.length, self.operands = name, length, list(operands)

    def __str__(self):
        places = [f"{kind}{page}+{offset}" for kind, page, offset in self.operands]
        return " ".join([self.name, str(self.length), *places])

    def copy(self):
        return Op(self.name, self.length, self.operands)


class Vector(list):
    """Operations, and the CPU that they are for."""

    def __init__(self, ops=(), cpu="own"):
        super().__init__(ops)
        self.cpu = cpu


def parse(line):
    """Returns the vector of a line."""
    texts = line.strip().split("; ")
    vector = Vector(cpu=texts.pop(0).removeprefix("on ") if texts[0].startswith("on ") else "own")
    for text in texts:
        name, length, *places = text.split()
        operands = []
        for place in places:
            page, offset = place[1:].split("+")
            operands.append((place[0], int(page), int(offset)))
        vector.append(Op(name, int(length), operands))
    return vector


def text_of(vector):
    return "; ".join([f"on {vector.cpu}"] * (vector.cpu != "own") + [str(op) for op in vector])


class Maker:
    """Makes vectors. All of them are valid, and no comparison stops them: all memory is zero."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def operand(self, kind, length, page, stores):
        """Returns an operand; across the end of a page more often than chance has it."""
        if stores and kind in READ_ONLY:
            kind = "a"
        choice = self.random.random()
        if length > 1 and choice < 0.7:
            offset = PAGE - self.random.randrange(1, length)
        elif choice < 0.85:
            offset = PAGE - length
        else:
            offset = self.random.randrange(PAGE - length + 1)
        return (kind, page, offset)

    def op(self, name, length, kind, pages):
        operands = []
        for index in range(2 if name in TWO_OPERANDS else 0 if name == "mb" else 1):
            operands.append(self.operand(kind, length, next(pages), STORES_TO.get(name) == index))
        return Op(name, 0 if name == "mb" else length, operands)

    def pages(self, order):
        """Yields first pages of operands."""
        distinct = [2 * i for i in range(PAGES // 2)]
        if order == "down":
            distinct.reverse()
        elif order == "shuffled":
            self.random.shuffle(distinct)
        elif order == "few":
            distinct = [self.random.choice(distinct[:5]) for _ in distinct]
        elif order == "interleaved":
            distinct = distinct[::2] + distinct[1::2]
        while True:
            yield from distinct

    def by_hand(self):
        """What should take longest by how the call works: all operands across the ends of pages, behind
        a barrier, so that all pages are pinned, and the mappings of those that are of files are looked up.
        Integers of 8 bytes are two pieces, other lengths up to three."""
        for kind, cpu in [*[(kind, "own") for kind in KINDS], ("f", "other"), ("f", "offline")]:
            for name in ("copyrel", "eq"):
                for length in (8, 7):
                    for longest in (LEN_MAX, length):
                        pages = self.pages("up")
                        vector = Vector(cpu=cpu)
                        if name == "eq":
                            # By itself, or behind anything but a store, it would be run without a pin.
                            vector.append(self.across("addrel", 8, kind, pages))
                        vector.append(self.across(name, longest, kind, pages))
                        while len(vector) < OPS_MAX:
                            vector.append(self.across(name, length, kind, pages))
                        yield self.valid(vector)

    def across(self, name, length, kind, pages):
        """Returns an operation whose operands go from one page to the next, each after another byte."""
        op = self.op(name, length, kind, pages)
        op.operands = [(kind, page, PAGE - length // 2 - index) for index, (kind, page, _) in enumerate(op.operands)]
        return op

    def regular(self):
        """Vectors of one operation, alone or behind another one, with and without the most bytes."""
        for name in [*TWO_OPERANDS, *ONE_OPERAND]:
            for kind in KINDS:
                for first in ("mb", "addrel", None):
                    pages = self.pages("up")
                    vector = Vector([self.op(first, 8, "a", pages)] if first else [])
                    if name in TWO_OPERANDS and self.random.random() < 0.5:
                        vector.append(self.op(self.random.choice(TWO_OPERANDS), LEN_MAX, kind, pages))
                    while len(vector) < OPS_MAX:
                        vector.append(self.op(name, 8, kind, pages))
                    yield self.valid(vector)

    def anything(self):
        """A random vector."""
        pages = self.pages(self.random.choice(["up", "down", "shuffled", "few", "interleaved"]))
        names = self.random.sample([*TWO_OPERANDS, *ONE_OPERAND, "mb"], self.random.choice([1, 2, 3, 12]))
        kinds = self.random.choice([*KINDS, "as", "fm", "fp", KINDS])
        vector = Vector(cpu=self.random.choice(["own", *CPUS]))
        for _ in range(self.random.choice([OPS_MAX, OPS_MAX, self.random.randrange(1, OPS_MAX)])):
            name = self.random.choice(names)
            vector.append(self.op(name, self.length(name), self.random.choice(kinds), pages))
        return self.valid(vector)

    def length(self, name):
        if name in ONE_OPERAND or self.random.random() < 0.7:
            return self.random.choice([8, 8, *INTEGERS])
        return self.random.choice([3, 7, 9, 250, LEN_MAX - 1, LEN_MAX, self.random.randint(1, 32), self.random.randint(1, LEN_MAX)])

    def valid(self, vector):
        """Shortens what exceeds the sum of the lengths."""
        over = sum(op.length for op in vector) - SUM_MAX
        for op in sorted(vector, key=lambda op: -op.length):
            if over <= 0:
                break
            if op.name in TWO_OPERANDS:
                cut = min(over, op.length - 8)
                if cut > 0:
                    op.length -= cut
                    over -= cut
        return vector

    def mutation(self, vector):
        """Returns a vector that differs a little."""
        vector = Vector((op.copy() for op in vector), vector.cpu)
        if self.random.random() < 0.1:
            vector.cpu = self.random.choice(CPUS)
        for _ in range(self.random.choice([1, 1, 2, 3])):
            index = self.random.randrange(len(vector))
            op, choice = vector[index], self.random.random()
            if choice < 0.2 and op.operands:
                nth = self.random.randrange(len(op.operands))
                kind = self.random.choice(KINDS)
                page = self.random.randrange(PAGES - 1)
                op.operands[nth] = self.operand(kind, op.length, page, STORES_TO.get(op.name) == nth)
            elif choice < 0.4:
                pages = self.pages("shuffled")
                name = self.random.choice([*TWO_OPERANDS, *ONE_OPERAND, "mb"])
                kinds = [operand[0] for op in vector for operand in op.operands] or ["a"]
                vector[index] = self.op(name, self.length(name), self.random.choice(kinds), pages)
            elif choice < 0.55 and op.name in TWO_OPERANDS:
                op.length = self.length(op.name)
                op.operands = [self.operand(kind, op.length, page, STORES_TO.get(op.name) == nth)
                               for nth, (kind, page, _) in enumerate(op.operands)]
            elif choice < 0.7:
                other = self.random.randrange(len(vector))
                vector[index], vector[other] = vector[other], vector[index]
            elif choice < 0.85 and len(vector) < OPS_MAX:
                vector.insert(index, vector[self.random.randrange(len(vector))].copy())
            else:
                self.random.shuffle(vector)
        return self.valid(vector)


def count(args, kernel, vectors):
    """Returns how many instructions each vector runs with preemption off."""
    with open(args.vectors, "w", encoding="utf-8") as file:
        file.writelines(text_of(vector) + "\n" for vector in vectors)
    subprocess.run(args.guest, check=True, shell=True)
    counts = []
    for blocks, _ in steps.recordings(args.trace):
        kernel.learn_preempt({addr for addrs, *_ in blocks for addr in addrs})
        counts.append(kernel.preempt_off(blocks)[0])
    rounds = len(counts) // len(vectors)
    if not rounds or len(counts) % len(vectors):
        sys.exit(f"error: {len(counts)} calls were recorded of {len(vectors)} vectors")
    # A timer may interrupt one of them.
    return [min(counts[i * rounds:(i + 1) * rounds]) for i in range(len(vectors))]


def print_by_kind(best):
    """Prints the longest vector of each CPU and each kind of memory that is alone in one."""
    longest = {}
    for text in sorted(best, key=best.get):
        vector = parse(text)
        kinds = {kind for op in vector for kind, *_ in op.operands} - {"a"} or {"a"}
        if len(kinds) == 1:
            longest[vector.cpu, *kinds] = best[text]
    for (cpu, kind), instructions in sorted(longest.items(), key=lambda item: -item[1]):
        print(f"        {instructions}  on {cpu}, memory of kind {kind}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vmlinux", required=True)
    parser.add_argument("--llvm", default="", help="suffix of the names of LLVM's tools")
    parser.add_argument("--guest", required=True, help="the command that runs and records the vectors")
    parser.add_argument("--vectors", required=True, help="the file that it takes them from")
    parser.add_argument("--trace", required=True, help="the recording that it makes")
    parser.add_argument("--known", required=True, help="the longest vector so far")
    parser.add_argument("--generations", type=int, default=8)
    parser.add_argument("--size", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    kernel = steps.Kernel(args.vmlinux, args.llvm)
    maker = Maker(args.seed)
    with open(args.known, encoding="utf-8") as file:
        known = [Vector(parse(line), cpu) for line in file for cpu in CPUS]
    candidates = [*known, *maker.by_hand(), *maker.regular()]
    candidates += [maker.anything() for _ in range(max(args.size - len(candidates), args.size // 2))]

    best = {}
    for generation in range(1, args.generations + 1):
        for vector, instructions in zip(candidates, count(args, kernel, candidates)):
            best[text_of(vector)] = instructions
        if generation == 1:
            print("    the one that was known: " +
                  ", ".join(f"{best[text_of(vector)]} for {vector.cpu}" for vector in known), flush=True)
        parents = sorted(best, key=best.get, reverse=True)[:15]
        print(f"    generation {generation}, {len(best)} vectors: the longest takes {best[parents[0]]}", flush=True)
        if generation == 1:
            print_by_kind(best)
        # Whoever ends the search early has what it has found.
        longest = parse(parents[0])
        with open(args.out, "w", encoding="utf-8") as file:
            file.write(text_of(Vector(longest)) + "\n")
        candidates = [maker.mutation(parse(maker.random.choice(parents))) for _ in range(args.size)]

    print(f"The longest of {len(best)} vectors, for {longest.cpu}, takes {best[parents[0]]} instructions with preemption off:")
    print("\n".join(f"    {op}" for op in longest))
    return 0


if __name__ == "__main__":
    sys.exit(main())
