#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs all tests of the scripts, and writes "passed|failed|skipped NAME" of each to a file.

As many modules run at a time as there are CPUs, each in a process of its own.

Usage: run.py FILE [PATTERN...]    only tests whose names hold one of these
       run.py --module NAME FILE [PATTERN...]    only those of one module, in this process
"""

import os
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent


class Results(unittest.TextTestResult):
    """What unittest prints, and a line for each test."""

    file = None

    def note(self, kind, test, reason=""):
        """Notes one result."""
        module, name, method = test.id().rsplit(".", 2)
        name = f"{module.removeprefix('test_')} {name}: {method.removeprefix('test_').replace('_', ' ')}"
        print(kind, "script", name + (f": {reason}" if reason else ""), file=self.file)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.note("passed", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note("failed", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.note("failed", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note("skipped", test, reason)


def run_module(name, path, patterns):
    """Runs the tests of one module, and returns whether none failed."""
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{pattern}*" for pattern in patterns] or None
    tests = loader.loadTestsFromName(name)
    with open(path, "w", encoding="utf-8") as Results.file:
        return unittest.TextTestRunner(verbosity=2, resultclass=Results).run(tests).wasSuccessful()


def run_all(names, path, patterns):
    """Runs modules in processes of their own, and returns whether at least one test ran and none failed."""
    with tempfile.TemporaryDirectory(prefix="cpu_opv-") as scratch, ThreadPoolExecutor(os.cpu_count()) as pool:

        def run(name):
            command = [sys.executable, "-B", __file__, "--module", name, f"{scratch}/{name}", *patterns]
            process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            lines = Path(scratch, name).read_text(encoding="utf-8") if Path(scratch, name).exists() else ""
            if process.returncode and "failed " not in lines:
                lines += f"failed script {name.removeprefix('test_')}: ended with status {process.returncode}\n"
            if lines:
                print(process.stdout, end="", flush=True)
            return lines

        text = "".join(pool.map(run, names))
    Path(path).write_text(text, encoding="utf-8")
    return bool(text) and not any(line.startswith("failed ") for line in text.splitlines())


def main(arguments):
    """Tells by the exit status whether all passed."""
    sys.dont_write_bytecode = True
    if arguments[0] == "--module":
        passed = run_module(arguments[1], arguments[2], arguments[3:])
    else:
        # The longest first, so that none of them is left to run alone.
        files = sorted(HERE.glob("test_*.py"), key=lambda file: (-file.stat().st_size, file))
        passed = run_all([file.stem for file in files], arguments[0], arguments[1:])
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
