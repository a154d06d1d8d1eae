# SPDX-License-Identifier: GPL-2.0
"""bench/steps.py and bench/report.py: sections with preemption off, and what becomes of the rows."""

import contextlib
import io
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path
from unittest import mock

from support import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import report  # noqa: E402  pylint: disable=wrong-import-position
import steps  # noqa: E402  pylint: disable=wrong-import-position

USER = 0x1000
# Functions of a kernel: instructions that disable and enable preemption, and others.
KERNEL = 0xffff_ffff_8100_0000
DISABLE, ENABLE, OTHER, OURS = (KERNEL + 0x100 * i for i in range(4))


class PreemptOff(unittest.TestCase):
    """The section that counts is the one in which the call's own code runs."""

    def setUp(self):
        with mock.patch.object(steps.Kernel, "run", return_value=""):
            self.kernel = steps.Kernel("vmlinux", "")
        self.kernel.starts = [DISABLE, ENABLE, OTHER, OURS]
        self.kernel.names = ["preempt_disable", "preempt_enable", "schedule", "<kernel::cpu_opv::pin::Pinned>::pin"]
        self.kernel.preempt = {DISABLE: 1, ENABLE: -1}

    def blocks(self, *parts, cpu="0"):
        return [(list(addrs), accessed, cpu) for addrs, accessed in parts]

    def run_of(self, start, length, *lines):
        """Instructions of a function, on one cache line. The first of them accesses some lines."""
        return [start + i for i in range(length)], {start: set(lines)}

    def test_section_of_the_call(self):
        blocks = self.blocks(([USER], {}), ([DISABLE], {}), self.run_of(OURS, 20, 7), ([ENABLE], {}), self.run_of(OURS, 50))
        # That which disables counts, and that which enables does not. Two lines of code and one of data.
        self.assertEqual((21, 3), self.kernel.preempt_off(blocks))

    def test_other_sections_do_not_count(self):
        blocks = self.blocks(([DISABLE], {}), self.run_of(OTHER, 90), ([ENABLE, DISABLE], {}), self.run_of(OURS, 5), ([ENABLE], {}))
        self.assertEqual(6, self.kernel.preempt_off(blocks)[0])

    def test_nested(self):
        blocks = self.blocks(([DISABLE, DISABLE, ENABLE], {}), self.run_of(OURS, 5), ([ENABLE], {}))
        self.assertEqual(8, self.kernel.preempt_off(blocks)[0])

    def test_user_space_does_not_count(self):
        blocks = self.blocks(([DISABLE], {}), self.run_of(OURS, 5), ([USER] * 9, {}), ([ENABLE], {}))
        self.assertEqual(6, self.kernel.preempt_off(blocks)[0])

    def test_another_cpu(self):
        """An idle task enables what the recording has not seen it disable. The task that arrives starts from zero."""
        idle = self.blocks(([ENABLE, ENABLE], {}), self.run_of(OTHER, 9), cpu="1")
        here = self.blocks(([DISABLE], {}), self.run_of(OURS, 2), ([ENABLE], {}))
        there = self.blocks(([DISABLE], {}), self.run_of(OTHER, 3), self.run_of(OURS, 30), cpu="1")
        end = self.blocks(([ENABLE], {}), cpu="1")
        interleaved = [block for pair in zip(there, here) for block in pair]
        self.assertEqual(34, self.kernel.preempt_off([*idle, *interleaved, *end])[0])

    def test_none(self):
        self.assertEqual((0, 0), self.kernel.preempt_off(self.blocks(self.run_of(OURS, 5))))

    def test_changes_of_the_count(self):
        """They are found in the code, once for each function."""
        self.kernel.preempt, self.kernel.symbols = {}, ["a", "b", "c", "d"]
        self.kernel.starts_of_data = {"__preempt_count": 0xffff_ffff_8200_0000}
        code = f"""
            {DISABLE:x}:\tincl\t%gs:0xfffff9(%rip)
            {DISABLE + 7:x}:\tnop
            {DISABLE + 8:x}:\tsubl\t$0x200, %gs:0xffffee(%rip)
            {DISABLE + 18:x}:\tincl\t%gs:0x7(%rip)
            {DISABLE + 25:x}:\tretq
            """
        with mock.patch.object(self.kernel, "run", return_value=code) as run:
            self.kernel.learn_preempt({DISABLE + 1, DISABLE + 7, USER})
            self.kernel.learn_preempt({DISABLE + 25})
        self.assertEqual({DISABLE: 1, DISABLE + 8: -0x200}, self.kernel.preempt)
        run.assert_called_once()
        self.assertIn("--disassemble-symbols=a", run.call_args.args)


class Recordings(unittest.TestCase):
    def test_blocks_with_what_they_access_and_their_cpu(self):
        trace = """\
            T 0 ff00 ff04
            S 0
            T 1 ff10
            X 0 0
            A ff04 7
            X 1 1
            M 10 20
            E
            X 0 0
            S 1
            X 1 1
            E
            """
        with tempfile.TemporaryDirectory(prefix="cpu_opv-") as scratch:
            path = Path(scratch, "trace")
            path.write_text(textwrap.dedent(trace))
            recorded = list(steps.recordings(path))
        self.assertEqual([([([0xff00, 0xff04], {0xff04: {7}}, "0"), ([0xff10], {}, "1")], [(0x10, 0x20)]),
                          ([([0xff10], {}, "1")], [])], recorded)


class Report(unittest.TestCase):
    """What is printed of the rows that a guest has measured, and what is compared."""

    LIBRARY = [f"library,add,0,{way},84,84,84" for way in (*report.TIERS, "instead")]
    PREEMPT_OFF = {"the limit": 4798, "the longest vector": 36876, "add 8": 81}

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="cpu_opv-")
        self.addCleanup(scratch.cleanup)
        self.results = Path(scratch.name)
        (self.results / "sizes.txt").write_text("sizes\n")
        (self.results / "profile.txt").write_text("where they go\n")

    def report(self, *arguments, extra=(), preempt_off=None):
        rows = [f"target,{name},0,cpu_opv,{target or 9000},{target or 9000},{target or 9000}" for name, target in report.TARGETS.items()]
        rows += ["op,add,8,cpu_opv,435,435,435", "target,add 8,0,2017,1107,1107,1107"]
        (self.results / "instructions.csv").write_text("\n".join(["clock,1.0001", *rows, *self.LIBRARY, *extra]) + "\n")
        (self.results / "profile.csv").write_text("".join(
            f"{name},cpu_opv,run,1\n{name},cpu_opv,preemption off,{count}\n{name},cpu_opv,its cache lines,21\n"
            for name, count in (preempt_off or self.PREEMPT_OFF).items()))
        out = io.StringIO()
        argv = ["report.py", "--results", str(self.results), "--baseline", str(self.results / "before.csv"), "--kernel", "7.2", *arguments]
        with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(out):
            status = report.main()
        return status, out.getvalue()

    def keep_as_baseline(self, **arguments):
        self.report(**arguments)
        (self.results / "before.csv").write_bytes((self.results / "baseline.csv").read_bytes())

    def test_preempt_off(self):
        status, out = self.report()
        self.assertEqual(0, status)
        self.assertRegex(out, r"\n\| the limit +\| +4798 \| +21 \| +2500 \| +\+92 % \|")
        self.assertRegex(out, r"\n\| add 8 +\| +81 \| +21 \| +\| +\|")
        self.assertRegex(out, r"\n16 targets, 2 missed\n")
        self.assertIn("all 16 targets met\n", self.report(preempt_off=self.PREEMPT_OFF | {"the limit": 2500, "the longest vector": 15000})[1])

    def test_preempt_off_is_compared(self):
        self.keep_as_baseline()
        self.assertIn("preemption off,the longest vector,0,cpu_opv,36876,36876,36876\n", (self.results / "before.csv").read_text())
        # That is not.
        self.assertNotIn("cache lines", (self.results / "before.csv").read_text())
        self.assertEqual(0, self.report("--check")[0])
        status, out = self.report("--check", preempt_off=self.PREEMPT_OFF | {"add 8": 84})
        self.assertEqual(1, status)
        self.assertIn("worse: preemption off: add 8, cpu_opv: 84, was 81 (+3.7 %)\n", out)
        self.assertIn(" rows compared with the baseline, 1 worse\n", out)

    def test_row_that_is_missing(self):
        self.keep_as_baseline()
        status, out = self.report("--check", preempt_off={"add 8": 81})
        self.assertEqual(1, status)
        self.assertIn("missing: preemption off: the limit, cpu_opv\n", out)

    def test_ways_stand_beside_each_other(self):
        out = self.report(extra=["program,list push,0,cpu_opv,522,522,522", "program,list push,0,rseq,21,21,21",
                                 "program,drain,4,cpu_opv,9,9,9", "program,drain,4,a lock,8,8,8",
                                 "callers,add 8,2,cpu_opv,500,500,500", "callers,add 8,2,a lock,30,30,30"])[1]
        self.assertRegex(out, r"\n\| call +\| +x \| +cpu_opv \| +rseq \| +a lock \|\n")
        self.assertRegex(out, r"\n\| list push +\| +\| +522 \| +21 \| +\|\n")
        self.assertRegex(out, r"\n\| drain +\| +4 \| +9 \| +\| +8 \|\n")
        self.assertRegex(out, r"\n\| call +\| callers \| +cpu_opv \| +a lock \|\n")
        self.assertRegex(out, r"\n\| add 8 +\| +2 \| +500 \| +30 \|\n")

    def test_profile_is_printed_if_asked_for(self):
        self.assertNotIn("where they go", self.report()[1])
        self.assertIn("where they go", self.report("--profile")[1])

    def test_clock_of_time(self):
        (self.results / "instructions.csv").write_text("clock,0.4\n")
        with self.assertRaisesRegex(SystemExit, "the guest's clock does not count instructions"):
            with mock.patch.object(sys, "argv", ["report.py", "--results", str(self.results), "--baseline", "x", "--kernel", "x"]):
                report.main()

    def test_each_target_has_a_row(self):
        text = (ROOT / "bench/cpu_opv_bench.c").read_text()
        for name in [*report.TARGETS, *report.PREEMPT_OFF_TARGETS]:
            self.assertIn(f'"{name}"', text)
            # The guest prints CSV without quotes.
            self.assertNotIn(",", name)
