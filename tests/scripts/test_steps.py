# SPDX-License-Identifier: GPL-2.0
"""What make says before a step, what a step leaves out, and a KDIR that is built already."""

import os
import re
import shutil

from support import ROOT, ProjectTest, load, write

series = load("series")


class Plan(ProjectTest):
    def setUp(self):
        super().setUp()
        (self.root / "patches/7.2").mkdir(parents=True)

    def plan(self, of="run", **variables):
        return self.script("plan", of, **variables)

    def names(self, result):
        return re.findall(r"^ *\d+:\d\d  (\w+) ", result.err, re.M)

    def test_first_time(self):
        result = self.plan()
        self.assert_status(0, result)
        self.assertEqual(["tools", "source", "kernel", "demo", "in"], self.names(result))
        self.assertIn("what make run is going to do, and how long it took on two idle cores", result.err)
        self.assertIn("  8:42  in all;", result.err)

    def test_check(self):
        self.assertIn("tests", self.names(self.plan("check")))

    def test_only_what_takes_long_prints_it(self):
        self.assertIn("scripts/plan check\n", self.run_command("make", "-n", "check").out)
        # The series is checked in seconds, by the tools.
        self.assertEqual("scripts/tools\nscripts/patches check \n", self.run_command("make", "-n", "patches-check").out)

    def test_what_is_done_is_left_out(self):
        write(self.root / "build/tools/env", "")
        (self.root / "build/src/linux-7.2").mkdir(parents=True)
        self.assertEqual(["kernel", "demo", "in"], self.names(self.plan()))

    def test_second_time(self):
        write(self.root / "build/tools/env", "")
        (self.root / "build/src/linux-7.2").mkdir(parents=True)
        write(self.root / "build/out/7.2-run/.built", "")
        self.assertEqual("", self.plan().err)

    def test_full_disk(self):
        self.stub("df", "printf 'Filesystem 1024-blocks Used Available\\nx 9 9 1048576\\n'")
        result = self.plan()
        self.assertIn("it needs 6 GB, and 1 GB are free\nwarning: the disk may become full\n", result.err)

    def test_times_of_another_kernel(self):
        said = "These are the times for x86_64 with FLAVOUR=run. "
        self.assertNotIn("These are", self.plan().err)
        for architecture, flavour in (("arm64", "run"), ("x86_64", "debug")):
            self.assertIn(f"{said}{architecture} with FLAVOUR={flavour} was not measured", self.plan(ARCH=architecture, FLAVOUR=flavour).err)

    def test_several_kernels(self):
        write(self.root / "build/tools/env", "")
        write(self.root / "build/out/7.2-run/.built", "")
        result = self.plan("check", BASES="7.2 6.12 7.2:arm64")
        # That the first is built says nothing of the others.
        self.assertEqual(["source", "kernel", "tests", "in"], self.names(result))
        self.assertIn("BASES names 3 kernels: all steps but the first are done for each.", result.err)
        # The demonstration knows of no BASES.
        self.assertNotIn("BASES", self.plan("run", BASES="7.2 6.12").err)


class Progress(ProjectTest):
    """How far the build of the kernel is: a rate, and what is left."""

    def progress(self, old, new, objects=None):
        out = self.root / "out"
        for number in range(old + new):
            file = write(out / f"{number}.o", "")
            if number < old:
                os.utime(file, (1, 1))
        if objects:
            write(out / ".objects", f"{objects}\n")
        text = (self.root / "scripts/kernel").read_text()
        function = text[text.index("expected=$(cat"):text.index('rm -f "$OUT/.built"\nstep')]
        (self.root / "log").write_text("  CC      x.o\n  CC      y.o\n  LD      z\n")
        return self.run_command("bash", "-c", f". scripts/lib.sh; OUT={out}\n{function}\nprogress log").out

    def test_rate_and_time_left(self):
        self.assertEqual("480 of about 1380 objects, 300 in the last minute: about 3:00 left", self.progress(180, 300))

    def test_no_rate_yet(self):
        self.assertEqual("5 of about 1380 objects", self.progress(0, 5))

    def test_later_build(self):
        self.assertEqual("3 steps", self.progress(0, 5, objects=1000))


class Lint(ProjectTest):
    """What needs the kernel's source, or a built kernel, is left out by name."""

    def setUp(self):
        super().setUp()
        self.tools()
        (self.root / "patches/7.2").mkdir(parents=True)
        write(self.root / "rust/kernel/toy.rs", "//! A toy.\n")
        for tool in ("rustfmt", "shellcheck"):
            self.stub(tool)
        self.results = self.root / "build/log/lint-linux-7.2.results"

    def test_without_source(self):
        result = self.script("lint", BASE="7.2")
        self.assert_status(0, result)
        self.assertIn("    left out, because the kernel's source is missing (make source): kernel-doc, checkpatch, MAINTAINERS\n", result.err)
        self.assertIn("    left out, because there is no up-to-date built kernel (make kernel): clippy, no path to a panic, rustdoc\n",
                      result.err)
        self.assertEqual(["passed lint shellcheck", "passed lint python", "passed lint rustfmt"], self.results.read_text().splitlines()[:3])

    def test_failure(self):
        self.stub("rustfmt", "echo 'Diff in toy.rs'; exit 1")
        result = self.script("lint", BASE="7.2")
        self.assert_status(1, result)
        self.assertIn("    NOT OK: rustfmt\n        Diff in toy.rs\n", result.err)

    def test_python_that_cannot_be_read(self):
        write(self.root / "scripts/broken", "#!/usr/bin/env python3\nif\n")
        self.assertIn("    NOT OK: python\n", self.script("lint", BASE="7.2").err)

    def test_as_a_hook(self):
        # git tells a hook which index and repository it is of.
        self.run_command("git", "init", "-q")
        self.run_command("git", "add", "-A")
        result = self.script("lint", BASE="7.2", GIT_INDEX_FILE=self.root / ".git/index", GIT_DIR=self.root / ".git")
        self.assert_status(0, result)


class BuiltKdir(ProjectTest):
    """A tree that has the series, and in which the kernel was built, is used as it is."""

    OPTIONS = "CPU_OPV VIRTIO_PCI VIRTIO_CONSOLE NET_9P_VIRTIO 9P_FS OVERLAY_FS SERIAL_8250_CONSOLE DEVTMPFS TMPFS UNIX".split()

    def setUp(self):
        super().setUp()
        self.tools()
        (self.root / "patches/7.2").mkdir(parents=True)
        for directory in ("demo", "include/uapi", "tools/testing/selftests/cpu_opv"):
            shutil.copytree(ROOT / directory, self.root / directory)
        self.kdir = self.scratch / "linux"
        write(self.kdir / "arch/x86/boot/bzImage", "")
        self.configure(self.OPTIONS)
        self.calls = self.scratch / "calls"
        self.stub("vng", f"""
            printf "%s\\n" "$@" >>{self.calls}
            log=$(printf "%s\\n" "$@" | sed -n 's/^--qemu-opts=.*path=\\([^ ]*\\).*/\\1/p')
            echo "cpu_opv: the log ends here" >"$log"
            """)

    def configure(self, options):
        write(self.kdir / ".config", "".join(f"CONFIG_{option}=y\n" for option in options))

    def run_all(self):
        return self.run_command("bash", "-ec", "scripts/source; scripts/series apply; scripts/kernel; scripts/demo", KDIR=self.kdir, KVM="off")

    def test_demonstration(self):
        before = sorted(self.kdir.rglob("*"))
        result = self.run_all()
        self.assert_status(0, result)
        self.assertIn("KDIR has cpu_opv, and a kernel is built there: it is used as it is\n", result.err)
        self.assertIn(f"--run\n{self.kdir}/arch/x86/boot/bzImage\n", self.calls.read_text())
        self.assertEqual(before, sorted(self.kdir.rglob("*")))

    def test_configuration_that_no_guest_boots_with(self):
        self.configure(option for option in self.OPTIONS if not option.startswith("9P"))
        result = self.run_all()
        self.assert_status(1, result)
        self.assertIn("error: a guest cannot be booted with it. Its configuration lacks:\n       CONFIG_9P_FS=y\n", result.err)

    def test_tests_are_not_built_there(self):
        self.assertIn("error: KDIR is built already: only make run, make vm and make shell use it as it is",
                      self.script("kselftest", KDIR=self.kdir).err)
