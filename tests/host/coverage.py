#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""
Tells how many lines of the pure modules the tests run, and fails if one of the others is not in
tests/host/uncovered, which has "PATH: LINE -- REASON" of each.

Usage: coverage.py LCOV-FILE ROOT
"""

import re
import sys
from pathlib import Path


def lines_of(lcov, root):
    """Yields (path, number, count) of each line of the kernel's Rust code."""
    path = None
    for record in lcov.splitlines():
        if record.startswith("SF:"):
            path = Path(record[3:]).resolve()
            path = path.relative_to(root) if path.is_relative_to(root / "rust") else None
        elif path and (match := re.match(r"DA:(\d+),(\d+)", record)):
            yield path, int(match[1]), int(match[2])


def expected(text):
    """Returns the lines that no test runs, by path, as they are written."""
    entries = (line.split(" -- ")[0].split(": ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {(path, source.strip()) for path, source in entries}


def main(lcov, root):
    """Prints a table of the modules, and the lines."""
    root = Path(root).resolve()
    uncovered = root / "tests/host/uncovered"
    known = expected(uncovered.read_text(encoding="utf-8")) if uncovered.exists() else set()
    total, ran, missed = {}, {}, []
    for path, number, count in lines_of(Path(lcov).read_text(encoding="utf-8"), root):
        total[path] = total.get(path, 0) + 1
        ran[path] = ran.get(path, 0) + (count > 0)
        if not count:
            source = (root / path).read_text(encoding="utf-8").splitlines()[number - 1].strip()
            missed.append((str(path), source, number))
    for path in sorted(total):
        print(f"{path}: {ran[path]} of {total[path]} lines")
    new = [(path, source, number) for path, source, number in missed if (path, source) not in known]
    stale = known - {(path, source) for path, source, _ in missed}
    for path, source, number in new:
        print(f"{path}:{number}: no test runs this: {source}", file=sys.stderr)
    for path, source in sorted(stale):
        print(f"tests/host/uncovered names a line that a test runs, or that is not there: {path}: {source}", file=sys.stderr)
    if not total:
        print("no line of the kernel's Rust code was found", file=sys.stderr)
    return 1 if new or stale or not total else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
