# SPDX-License-Identifier: GPL-2.0
"""scripts/fuzz and scripts/fuzz-report: what is built, what ends them, what is kept of a finding. The guest is a stub."""

import contextlib
import io
import unittest

from support import ROOT, ProjectTest, load, write

report = load("fuzz-report")


def memory(reached=(), inputs=(), nr_points=3, executions=7):
    """What the fuzzer leaves, see struct memory in tests/fuzz/coverage.c."""
    bits = bytearray(report.MAX_POINTS // 8)
    for index in reached:
        bits[index // 8] |= 1 << index % 8
    data = report.HEADER.pack(executions, nr_points, len(reached)) + bytes(bits)
    for number, text in inputs:
        data += report.INPUT.pack(number, len(text)) + text.ljust(report.MAX_BYTES, b"\0")
    size = report.HEADER.size + report.MAX_POINTS // 8 + report.NR_INPUTS * (report.INPUT.size + report.MAX_BYTES)
    return data.ljust(size, b"\0")


class Points(unittest.TestCase):
    def test_layout_is_that_of_the_program(self):
        text = (ROOT / "tests/fuzz/coverage.c").read_text() + (ROOT / "tests/fuzz/fuzz.h").read_text()
        for name, value in (("MAX_POINTS", report.MAX_POINTS), ("NR_INPUTS", report.NR_INPUTS), ("MAX_BYTES", report.MAX_BYTES)):
            self.assertRegex(text, rf"#define {name}\s+{value}\n")

    def test_functions_of_ours(self):
        for name in ("preempt_disable_on_cpu", "gup_fast_pgd_range", "load_user_nofault.cold", "rust_cpu_opv",
                     "_RNvNtCsl7L7n58I0Vr_6kernel7cpu_opv10run_pinned", "_RNvNtNtCsl7L7n58I0Vr_6kernel2mm3gup8fault_in"):
            self.assertTrue(report.is_ours(name), name)
        for name in ("schedule", "gup_fast_fallback", "_RNvNtNtNtCsl7L7n58I0Vr_6kernel7cpu_opv2op5tests7decoded",
                     "_RNvNtCsl7L7n58I0Vr_6kernel5print6format"):
            self.assertFalse(report.is_ours(name), name)

    def test_addresses_behind_calls(self):
        text = """
ffffffff81000010 <f>:
ffffffff81000010:      \tpushq\t%rbx
ffffffff81000011:      \tcallq\t0xffffffff81000100 <__sanitizer_cov_trace_pc>
ffffffff81000016:      \tcallq\t0xffffffff81000200 <__sanitizer_cov_trace_pc_other>
ffffffff8100001b:      \tcallq\t0xffffffff81000100 <__sanitizer_cov_trace_pc>

ffffffff81000020 <g>:
ffffffff81000020:      \tretq
"""
        self.assertEqual([0xffffffff81000016, 0xffffffff81000020], list(report.calls(text)))

    def test_frame_is_the_innermost_of_ours(self):
        core = {"FunctionName": "next", "FileName": "/usr/lib/core/src/iter.rs", "Line": 1}
        plan = {"FunctionName": "find", "FileName": "/x/rust/kernel/cpu_opv/plan.rs", "Line": 2}
        run = {"FunctionName": "run", "FileName": "/x/rust/kernel/cpu_opv/unpinned.rs", "Line": 3}
        self.assertEqual(plan, report.frame_of([core, plan, run]))
        self.assertIsNone(report.frame_of([core]))

    def test_names(self):
        self.assertEqual("run_pinned", report.name_of("kernel::cpu_opv::run_pinned"))
        self.assertEqual("fault_in", report.name_of("kernel::cpu_opv::fault::fault_in<kernel::x::{closure_env#0}, u8>"))
        self.assertEqual("gup_fast_list", report.name_of("gup_fast_list"))
        self.assertEqual("rust/kernel/cpu_opv/op.rs", report.short("/a/rust/kernel/cpu_opv/op.rs"))
        self.assertEqual("mm/gup.c", report.short("/a/kernels/mm/gup.c"))


class Left(ProjectTest):
    """What is made of the fuzzer's memory."""

    def run_report(self, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            report.main(*map(str, arguments))
        return out.getvalue()

    def test_coverage(self):
        points = write(self.scratch / "points", "10 f a.rs 1\n20 f a.rs 2\n30 g b.rs 3\n40 g b.rs 3\n")
        (self.scratch / "memory").write_bytes(memory(reached=[0, 2]))
        reasons = write(self.scratch / "unreached", "# A comment.\n\nf a\\.rs:2$ -- it needs another machine\n")
        out = self.run_report("coverage", points, self.scratch / "memory", reasons)
        self.assertIn("   1/2     a.rs: f\n   1/2     b.rs: g\n", out)
        self.assertIn("   1  f a.rs:2  it needs another machine\n   1  g b.rs:3  ?\n", out)
        self.assertTrue(out.endswith("2 of 4 points reached; of the others 1 have a reason, 1 have none\n"), out)

    def test_last_inputs_come_first(self):
        (self.scratch / "memory").write_bytes(memory(inputs=[(65, b"new"), (2, b"old"), (64, b"before"), (0, b"half")]))
        out = self.run_report("inputs", self.scratch / "memory", self.scratch / "last")
        self.assertEqual(f"{self.scratch}/last/00\n", out)
        self.assertEqual([b"new", b"before", b"old"], [file.read_bytes() for file in sorted((self.scratch / "last").iterdir())])

    def test_runs_add_up(self):
        for reached in ([1], [2, 9]):
            (self.scratch / "memory").write_bytes(memory(reached=reached))
            self.run_report("merge", self.scratch / "memory", self.scratch / "total")
        total = report.Memory(self.scratch / "total")
        self.assertEqual([1, 2, 9], [index for index in range(16) if total.reached(index)])


class Fuzz(ProjectTest):
    def setUp(self):
        super().setUp()
        self.tools()
        (self.root / "patches/7.2").mkdir(parents=True)
        self.fuzz_directory = self.root / "build/fuzz-call"
        write(self.root / "tests/corpus/call/one", "x")
        write(self.root / "tests/fuzz/call.c", "")
        write(self.root / "build/out/7.2-fuzz/vmlinux", "")
        # A compiler that makes a program of nothing.
        for compiler in ("clang-19", "gcc"):
            self.stub(compiler, 'while [ $# -gt 0 ]; do [ "$1" != -o ] || touch "$2"; shift; done')
        self.fake_report()
        self.guest()

    def fake_report(self):
        write(self.root / "scripts/fuzz-report", """
            #!/bin/bash
            case $1 in
            points) echo "10 f a.rs 1" ;;
            inputs) mkdir -p "$3"; echo x >"$3/00"; echo "$3/00" ;;
            esac
            """, executable=True)

    def guest(self, text="", status=0, log="fine"):
        """A stub of scripts/vm."""
        write(self.root / "scripts/vm", f"""
            #!/bin/bash
            echo "$@" >>{self.scratch}/guests
            echo '{log}' >"$2"
            {text}
            exit {status}
            """, executable=True)

    def fuzz(self, *arguments, **variables):
        return self.script("fuzz", *arguments, **({"BASE": "7.2"} | variables))

    def test_a_run_without_a_finding(self):
        result = self.fuzz(MINUTES=2)
        self.assert_status(0, result)
        self.assertIn("==> done: ", result.err)
        guest = (self.scratch / "guests").read_text()
        self.assertIn("-max_total_time=120 ", guest)
        self.assertIn("-a panic_on_taint=0x2a0 ", guest)

    def test_minutes_are_a_number(self):
        result = self.fuzz(MINUTES="soon")
        self.assert_status(1, result)
        self.assertIn("error: MINUTES=soon is not a number of minutes\n", result.err)

    def test_a_finding_of_the_program(self):
        self.guest(text=f"echo 'fuzz: FOUND: byte 3'; echo x >{self.fuzz_directory}/findings/crash-1", status=77)
        result = self.fuzz()
        self.assert_status(1, result)
        self.assertIn("fuzz: FOUND: byte 3\nerror: the fuzzer ended with status 77\n", result.err)
        self.assertIn("to run it again: BASE=7.2 FLAVOUR=fuzz scripts/fuzz run build/fuzz-call/findings/crash-1\n", result.err)

    def test_a_complaint_of_the_kernel(self):
        self.guest(log="BUG: KASAN: use-after-free")
        result = self.fuzz()
        self.assert_status(1, result)
        self.assertIn("BUG: KASAN: use-after-free\nerror: the kernel complained\n", result.err)
        # The program has kept nothing, but the guest's memory has the last input.
        self.assertIn("to run it again: BASE=7.2 FLAVOUR=fuzz scripts/fuzz run build/fuzz-call/findings/last/00\n", result.err)

    def test_an_older_finding_is_not_this_one(self):
        write(self.fuzz_directory / "findings/crash-old", "x")
        self.run_command("touch", "-d", "2020-01-01", self.fuzz_directory / "findings/crash-old")
        self.guest(status=255)
        self.assertIn("scripts/fuzz run build/fuzz-call/findings/last/00\n", self.fuzz().err)

    def test_a_kernel_that_is_not_built(self):
        (self.root / "build/out/7.2-fuzz/vmlinux").unlink()
        result = self.fuzz()
        self.assert_status(1, result)
        self.assertIn("run 'make kernel BASE=7.2 FLAVOUR=fuzz'", result.err)

    def test_replay_is_of_the_corpus_on_any_kernel(self):
        result = self.fuzz("replay", FLAVOUR="run")
        self.assert_status(0, result)
        self.assertIn(f"{self.root}/build/fuzz-call/replay {self.root}/tests/corpus/call\n", (self.scratch / "guests").read_text())

    def test_a_replay_that_fails(self):
        self.guest(text="echo 'input tests/corpus/call/one'; echo 'fuzz: FOUND: x'", status=134)
        result = self.fuzz("replay", FLAVOUR="run")
        self.assert_status(1, result)
        self.assertIn("error: the program ended with status 134\n", result.err)

    def test_input_that_is_not_there(self):
        result = self.fuzz("run", "nothing")
        self.assert_status(1, result)
        self.assertIn("error: there is no input nothing\n", result.err)

    def test_minimise_keeps_the_corpus_if_nothing_is_left(self):
        result = self.fuzz("minimise")
        self.assert_status(1, result)
        self.assertIn("error: no input was left: the corpus was not changed\n", result.err)
        self.assertTrue((self.root / "tests/corpus/call/one").exists())

    def test_minimise(self):
        self.guest(text=f"echo y >{self.fuzz_directory}/minimal/two")
        self.assert_status(0, self.fuzz("minimise"))
        self.assertEqual(["two"], [file.name for file in (self.root / "tests/corpus/call").iterdir()])

    def test_another_architecture(self):
        self.stub("uname", "echo x86_64")
        result = self.fuzz("replay", ARCH="arm64")
        self.assert_status(1, result)
        self.assertIn("error: the fuzzer runs on kernels of this machine's own architecture: unset ARCH\n", result.err)

    def test_a_base_without_kcov_for_rust(self):
        write(self.root / "build/src/linux-6.12/Makefile", "")
        result = self.script("kernel", BASE="6.12", FLAVOUR="fuzz")
        self.assert_status(1, result)
        self.assertIn("error: FLAVOUR=fuzz: Linux 6.12 does not let KCOV instrument Rust: use BASE=7.2\n", result.err)
