#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs all tests of the scripts, and writes "passed|failed|skipped NAME" of each to a file.

Usage: run.py FILE [PATTERN...]    only tests whose names hold one of these
"""

import sys
import unittest
from pathlib import Path


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


def main(path, patterns):
    """Runs them, and tells by the exit status whether all passed."""
    sys.dont_write_bytecode = True
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{pattern}*" for pattern in patterns] or None
    tests = loader.discover(str(Path(__file__).parent))
    with open(path, "w", encoding="utf-8") as Results.file:
        result = unittest.TextTestRunner(verbosity=2, resultclass=Results).run(tests)
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
