# SPDX-License-Identifier: GPL-2.0
"""What the tests of the scripts share: a copy of the project in which they run, with stubs.

The tests are of unittest, as Python is needed anyway: some scripts are Python programs whose
functions are tested one by one, and toy kernel trees and stubs are easier to make than in bats.
"""

import contextlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What a program of the project may take from the machine when a test says what is installed.
BASICS = """awk basename bash cat chmod cksum cmp comm cp cut date diff dirname echo env false find flock grep head id
    ln ls mkdir mktemp mv nice nproc paste printf pwd python3 readlink realpath rm sed setsid sh sha256sum sleep sort
    stat tail tar tee timeout touch tr true uname uniq wc xargs""".split()


def load(script):
    """Returns scripts/@script as a module."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader(script.replace("-", "_"), str(ROOT / "scripts" / script))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def write(path, text, executable=False):
    """Writes @text, whose common indentation does not count."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    if executable:
        path.chmod(0o755)
    return path


class Result:
    """What a command has printed, and its exit status."""

    def __init__(self, process):
        self.status, self.out, self.err = process.returncode, process.stdout, process.stderr

    def __repr__(self):
        return f"status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class ProjectTest(unittest.TestCase):
    """A test in a project of its own: self.root has the scripts, self.stubs comes first in PATH."""

    def setUp(self):
        self.scratch = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="cpu_opv-")))
        self.root = self.scratch / "project"
        self.stubs = self.scratch / "stubs"
        self.home = self.scratch / "home"
        for directory in (self.root, self.stubs, self.home):
            directory.mkdir()
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        shutil.copy(ROOT / "Makefile", self.root)
        self.environment = {"PATH": f"{self.stubs}:{os.environ['PATH']}", "HOME": str(self.home), "LC_ALL": "C.UTF-8"}

    if not hasattr(unittest.TestCase, "enterContext"):

        def enterContext(self, context):  # pylint: disable=invalid-name
            """unittest has it from Python 3.11 on."""
            stack = contextlib.ExitStack()
            self.addCleanup(stack.close)
            return stack.enter_context(context)

    def stub(self, name, text="exit 0"):
        """Puts a command into PATH, as a script of bash."""
        return write(self.stubs / name, "#!/bin/bash\n" + textwrap.dedent(text).lstrip("\n") + "\n", executable=True)

    def only(self, *commands):
        """Lets PATH have only the basics, @commands, and the stubs."""
        basics = self.scratch / "basics"
        basics.mkdir()
        for command in [*BASICS, *commands]:
            found = shutil.which(command)
            if command == "python3":
                found = sys.executable
            if found:
                (basics / command).symlink_to(found)
        self.environment["PATH"] = f"{self.stubs}:{basics}"

    def tools(self):
        """The tools have been looked for already."""
        write(self.root / "build/tools/env", "PATH=$PATH\nLLVM=-19\nLIBCLANG_PATH=/nowhere\n")

    def run_command(self, *command, cwd=None, user=None, **variables):
        """Runs @command in the project, and returns what came of it."""
        environment = self.environment | {name: str(value) for name, value in variables.items()}
        process = subprocess.run([str(word) for word in command], cwd=cwd or self.root, env=environment, text=True,
                                 stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False, user=user)
        return Result(process)

    def script(self, name, *arguments, **variables):
        """Runs scripts/@name."""
        return self.run_command(self.root / "scripts" / name, *arguments, **variables)

    def assert_status(self, status, result):
        """@result has this exit status."""
        self.assertEqual(status, result.status, result)
