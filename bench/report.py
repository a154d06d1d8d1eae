#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes the table, the CSV file and the data of the plot from what the guest
measured, and compares it with the baseline."""

import argparse
import csv
import pathlib
import sys

# Instructions per call: the targets, by case.
TARGETS = {
    "add 8": 452,
    "compare 8 + store 8": 562,
    "compare that stops + add 8": 750,
    "2 x add 8 in one page": 1350,
    "memcpy 64 in two pages": 1600,
    "compare 8 + memcpy 64 + store 8": 3300,
    "16 x add 8 in one page": 2200,
    "compare 4096": 3106,
    "memcpy 4096": 3600,
    "the limit": 6200,
    "add 8 in 9 pages": 7500,
    "add 8 in 16 pages": 13500,
    "the longest vector": None,
    "add 8 on the other CPU": 7500,
    "2 x add 8 on the other CPU": 9500,
    "the longest vector on the other CPU": None,
    "the longest vector for an offline CPU": None,
    "add 8 for an offline CPU": None,
}
# The same for the part of a call with preemption disabled, whose rows are of a group of their own.
PREEMPT_OFF = "preemption off"
CACHE_LINES = "its cache lines"
PREEMPT_OFF_TARGETS = {"the limit": 2500, "the longest vector": 15000}

# How much worse than the baseline a row may be.
TOLERANCE = 0.03
# What these rows take is up to the scheduler, or to where the compiler puts things: they are
# shown, and not compared.
NOT_COMPARED = {"busy", "callers", CACHE_LINES}
# The tiers of the library: what they are called, with what a thread does on its own CPU first.
TIERS = ("rseq+cpu_opv", "cpu_opv", "rseq+lock", "lock")


# The bars of the picture for a reader of README: what is done, and the rows that do it.
BESIDE = [
    ("add 8", [("instead", "add 8", 0, "rseq"), ("instead", "add 8", 0, "a lock for each CPU"),
               ("target", "add 8", 0, "cpu_opv"), ("instead", "add 8", 0, "plain store + membarrier")]),
    ("list pop", [("program", "list pop", 0, "rseq"), ("program", "list pop", 0, "futex lock"),
                  ("program", "list pop", 0, "cpu_opv")]),
    ("ring push, 64 bytes", [("program", "ring push in two pages", 64, "rseq"),
                             ("program", "ring push in two pages", 64, "futex lock"),
                             ("program", "ring push in two pages", 64, "cpu_opv")]),
    ("add 8, other CPU", [("program", "counter on the other CPU", 0, "lock + membarrier"),
                          ("program", "counter on the other CPU", 0, "cpu_opv"),
                          ("program", "counter on the other CPU", 0, "2 x sched_setaffinity + rseq")]),
]


class Row:
    def __init__(self, group, name, x, way, median, low, high):
        self.group, self.name, self.x, self.way = group, name, int(x), way
        self.median, self.low, self.high = int(median), int(low), int(high)

    @property
    def key(self):
        return (self.group, self.name, self.x, self.way)

    @property
    def spread(self):
        return f"{self.low}..{self.high}"

    def __str__(self):
        group, name, x, way = self.key
        return f"{group}: {name}{f' {x}' if x else ''}, {way}"


def read(path):
    """Returns the rows of a file and how many units of the clock an instruction takes."""
    rows, clock = {}, None
    with open(path, encoding="utf-8") as file:
        for fields in csv.reader(file):
            if len(fields) == 2 and fields[0] == "clock":
                clock = float(fields[1])
            elif len(fields) >= 7 and fields[4].isdigit():
                row = Row(*fields[:7])
                rows[row.key] = row
    return rows, clock


def slope(points):
    """Returns the slope and the intercept of the line nearest to the points, and
    how far from it the farthest is."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    square = sum((x - mean_x) ** 2 for x, _ in points)
    b = sum((x - mean_x) * (y - mean_y) for x, y in points) / square
    a = mean_y - b * mean_x
    return b, a, max(abs(a + b * x - y) for x, y in points)


def table(head, lines):
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    for line in [head, ["-" * width for width in widths], *lines]:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        print("| " + " | ".join(cells) + " |")
    print()


def is_missed(row, target):
    return target is not None and row.median > target


def verdict(row, target):
    """Returns what a table says of a row and its target."""
    if target is None:
        return ""
    return f"+{100 * row.median / target - 100:.0f} %" if is_missed(row, target) else "met"


def preempt_off(path):
    """Returns rows for what each recorded call runs with preemption off, and on how many cache lines."""
    with open(path, encoding="utf-8") as file:
        rows = [Row(step, name, 0, way, count, count, count) for name, way, step, count in csv.reader(file)
                if step in (PREEMPT_OFF, CACHE_LINES)]
    return {row.key: row for row in rows}


def by_way(rows, group, first):
    """Prints the rows of a group, with a column for each way."""
    ways = list(dict.fromkeys(row.way for row in rows.values() if row.group == group))
    cases = dict.fromkeys((row.name, row.x) for row in rows.values() if row.group == group)
    found = [[rows.get((group, *case, way)) for way in ways] for case in cases]
    table(["call", first, *ways], [[name, str(x or ""), *[str(row.median) if row else "" for row in of]]
                               for (name, x), of in zip(cases, found)])


def ratio(row, other):
    return f"{other.median / row.median:.1f}x" if other and row.median else ""


def library(rows, results):
    """Prints the rows of the library, and writes those of its picture."""
    names = list(dict.fromkeys(row.name for row in rows.values()
                               if row.group == "library" and row.way in TIERS))
    missing = [f"{name}, {way}" for name in names for way in TIERS
               if ("library", name, 0, way) not in rows]
    if not names or missing:
        sys.exit(f"error: rows of the library are missing: {missing or 'all'}")
    lines = [[name, *(str(rows["library", name, 0, way].median) for way in TIERS)]
             for name in names]
    table(["operation", *TIERS], lines)
    print("What a program could do instead of add:")
    print()
    instead = [[row.name, str(row.median), row.spread] for row in rows.values()
               if row.group == "library" and row.way == "instead"]
    table(["", "instructions", "spread"], instead)
    with open(results / "library.dat", "w", encoding="utf-8") as file:
        bars = [[*line, "0"] for line in lines]
        bars += [[name, *("0" for _ in TIERS), count] for name, count, _ in instead]
        file.writelines("\t".join(f'"{cell}"' if i == 0 else cell for i, cell in enumerate(bar)) + "\n"
                        for bar in [["operation", *TIERS, "instead"], *bars])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=pathlib.Path, required=True)
    parser.add_argument("--baseline", type=pathlib.Path, required=True)
    parser.add_argument("--kernel", required=True)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--profile", action="store_true", help="print where the instructions go, too")
    args = parser.parse_args()

    rows, clock = read(args.results / "instructions.csv")
    if not clock or abs(clock - 1) > 0.01:
        sys.exit(f"error: the guest's clock does not count instructions: {clock} units for each")
    times = {}
    if (args.results / "time.csv").exists():
        times, _ = read(args.results / "time.csv")
    rows |= preempt_off(args.results / "profile.csv")

    with open(args.results / "bench.csv", "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["group", "case", "x", "way", "instructions", "min", "max", "ns"])
        for row in rows.values():
            ns = times[row.key].median if row.key in times else ""
            out.writerow([*row.key, row.median, row.low, row.high, ns])

    # What to commit as bench/baseline.csv when the numbers have changed for a reason.
    with open(args.results / "baseline.csv", "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["group", "case", "x", "way", "instructions", "min", "max"])
        for row in rows.values():
            ours = row.way in TIERS if row.group == "library" else row.way == "cpu_opv"
            if ours and row.group not in NOT_COMPARED:
                out.writerow([*row.key, row.median, row.low, row.high])

    def of(group):
        """The cases of a group: the row of cpu_opv and that of 2017."""
        for row in rows.values():
            if row.group == group and row.way == "cpu_opv":
                yield row, rows.get((*row.key[:3], "2017"))

    print(f"Linux {args.kernel}")
    print("Instructions per call, the median of 15 rounds, with the lowest and the highest.")
    print()

    missed = 0
    lines = []
    for row, old in of("target"):
        target = TARGETS[row.name]
        missed += is_missed(row, target)
        lines.append([row.name, str(row.median), row.spread, str(target or ""), verdict(row, target),
                      str(old.median) if old else "", ratio(row, old)]
                     + ([f"{times[row.key].median} ns"] if times else []))
    table(["call", "cpu_opv", "spread", "target", "", "2017", "ratio"] + (["time"] if times else []), lines)

    print("Of these, with preemption off; a cache line has 64 bytes, and those of the code are counted, too:")
    print()
    lines = []
    for row, old in of(PREEMPT_OFF):
        target = PREEMPT_OFF_TARGETS.get(row.name)
        missed += is_missed(row, target)
        lines.append([row.name, str(row.median), str(rows[CACHE_LINES, *row.key[1:]].median),
                      str(target or ""), verdict(row, target), str(old.median) if old else ""])
    table(["call", "instructions", "cache lines", "target", "", "2017"], lines)

    print("What a program could do instead:")
    print()
    lines = []
    for row in rows.values():
        if row.group == "instead":
            own = rows.get(("target", row.name, 0, "cpu_opv")) or rows.get(("op", "add", 8, "cpu_opv"))
            same = row.name in TARGETS
            lines.append([row.name, row.way, str(row.median), row.spread,
                          f"{row.median / own.median:.2f}x" if own and same else ""])
    table(["for", "way", "instructions", "spread", "of cpu_opv"], lines)

    print("What programs do. A ring has a compare, a copy of x bytes and a store with release semantics;")
    print("the drain is one of x CPUs, a CPU a call:")
    print()
    by_way(rows, "program", "x")

    print("Several callers at once, on four CPUs; instructions of all of them, by the number of calls:")
    print()
    by_way(rows, "callers", "callers")

    print("Each operation on 8 bytes:")
    print()
    table(["operation", "cpu_opv", "2017", "ratio"],
          [[row.name, str(row.median), str(old.median) if old else "", ratio(row, old)]
           for row, old in of("op")])

    print("For another CPU whose threads never sleep. What they execute meanwhile is counted,")
    print("and so is the wait for the scheduler:")
    print()
    table(["call", "way", "instructions", "spread"],
          [[row.name, row.way, str(row.median), row.spread]
           for row in rows.values() if row.group == "busy"])

    print("The library, by what it may use (restartable sequences, the call, the lock):")
    print()
    library(rows, args.results)

    print("Growth:")
    print()
    lines = []
    for group, unit in (("ops", "operation"), ("bytes", "byte")):
        curves = {}
        for row in rows.values():
            if row.group == group:
                curves.setdefault((row.name, row.way), []).append((row.x, row.median))
        for (name, way), points in curves.items():
            b, a, off = slope(points)
            lines.append([f"{name}, {way}", f"{b:.2f} per {unit}", f"{a:.0f}", f"{off:.0f}"])
            with open(args.results / f"{group}-{name.replace(' ', '-')}-{way}.dat", "w",
                      encoding="utf-8") as file:
                file.writelines(f"{x} {y}\n" for x, y in points)
    table(["", "slope", "at zero", "farthest from the line"], lines)

    bars = [(what, key[3], rows[key].median) for what, keys in BESIDE for key in keys if key in rows]
    with open(args.results / "beside.dat", "w", encoding="utf-8") as file:
        file.writelines(f"{index}\t{way}\t{value}\t{what}: {way}\n" for index, (what, way, value) in enumerate(bars))

    print((args.results / "sizes.txt").read_text(encoding="utf-8"))
    if args.profile:
        print((args.results / "profile.txt").read_text(encoding="utf-8"))

    targets = [target for target in [*TARGETS.values(), *PREEMPT_OFF_TARGETS.values()] if target]
    print(f"{len(targets)} targets, {missed} missed" if missed else f"all {len(targets)} targets met")
    if not args.check:
        return 0

    baseline, _ = read(args.baseline)
    if not baseline:
        sys.exit(f"error: {args.baseline} has no rows")
    compared = worse = 0
    for key, was in baseline.items():
        compared += 1
        if key not in rows:
            print(f"missing: {was}")
            worse += 1
        elif rows[key].median > was.median * (1 + TOLERANCE):
            print(f"worse: {was}: {rows[key].median}, was {was.median} "
                  f"(+{100 * rows[key].median / was.median - 100:.1f} %)")
            worse += 1
    print(f"{compared} rows compared with the baseline, {worse} worse")
    return 1 if worse or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
