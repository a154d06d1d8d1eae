# SPDX-License-Identifier: GPL-2.0
"""scripts/fuzz-host: what it makes of what the fuzzer says. The compiler and the fuzzer are stubs."""

import re

from support import ProjectTest, write

LOG = r"""
    echo 'INFO: Loaded 1 modules   (300 inline 8-bit counters): 300 [0x1, 0x2),'
    printf '#2\tINITED cov: 5 ft: 6 corp: 2/10b exec/s: 0 rss: 28Mb\n#40\tNEW    cov: 70 ft: 80 corp: 9/90b lim: 4\n'
    echo 'tried 900'
"""
PREFIX = r"""
    for word; do case $word in -artifact_prefix=*) prefix=${word#*=} ;; esac; done
"""
FINDING = LOG + PREFIX + r"""
    printf 'A\0' >"${prefix}crash-1"
    echo "thread panicked: valid or not"
    echo "artifact_prefix='$prefix'; Test unit written to ${prefix}crash-1"
    exit 77
"""


class FuzzHostTest(ProjectTest):
    def setUp(self):
        super().setUp()
        self.tools()
        for tool in ("g++", "patch"):
            self.stub(tool)
        self.stub("rustc", "echo 'host: toy'")
        self.fuzzer(LOG)
        self.corpus = write(self.root / "tests/corpus/pure", "# A finding.\n0102\n# The rest.\n00ff\n41\n")

    def fuzzer(self, text, run="exit 0"):
        """What cargo builds is a script."""
        write(self.scratch / "fuzzer", "#!/bin/bash\n" + text, executable=True)
        self.stub("cargo", f"""
            case $1 in
            build) mkdir -p "$CARGO_TARGET_DIR/toy/fuzz" && cp {self.scratch}/fuzzer "$CARGO_TARGET_DIR/toy/fuzz/fuzz" ;;
            run) {run} ;;
            esac
            """)


class Runs(FuzzHostTest):
    """What a run ends with."""

    def test_nothing_found(self):
        result = self.script("fuzz-host", MINUTES=3)
        self.assert_status(0, result)
        self.assertIn("fuzzing the pure modules for 3 minutes, from 3 known inputs\n", result.err)
        self.assertIn("    900 executions, 70 of 300 edges covered, 9 inputs\n", result.err)
        self.assertIn("==> done: 3 minutes, and no difference\n", result.err)
        known = sorted(file.read_bytes() for file in (self.root / "build/fuzz-host/known").iterdir())
        self.assertEqual([b"\x00\xff", b"\x01\x02", b"A"], known)

    def test_finding(self):
        self.fuzzer(FINDING)
        result = self.script("fuzz-host")
        self.assert_status(1, result)
        self.assertIn("thread panicked: valid or not\n", result.err)
        self.assertIn("""
error: on an input the modules panic, take too long, or differ from the models
       the input: build/fuzz-host/findings/crash-1
       what it means, and the same again: make fuzz-host INPUT=build/fuzz-host/findings/crash-1
""", result.err)

    def test_failure_without_a_finding(self):
        self.fuzzer("echo 'no such option' >&2; exit 1\n")
        result = self.script("fuzz-host")
        self.assert_status(1, result)
        self.assertIn("error: the fuzzer failed: see build/log/fuzz-host.log\n", result.err)

    def test_it_cannot_be_built(self):
        self.stub("cargo", "echo 'error: no such crate' >&2; exit 101")
        result = self.script("fuzz-host")
        self.assert_status(1, result)
        self.assertIn("error: no such crate\n", result.err)
        self.assertNotIn("==> fuzzing", result.err)

    def test_corpus_that_is_not_hexadecimal(self):
        self.corpus.write_text("00\n0g\n")
        result = self.script("fuzz-host")
        self.assert_status(1, result)
        self.assertIn("error: a line of tests/corpus/pure is not hexadecimal: 0g\n", result.err)
        self.corpus.write_text("00f\n")
        self.assertIn("error: a line of tests/corpus/pure is not hexadecimal: 00f\n", self.script("fuzz-host").err)

    def test_update(self):
        self.fuzzer(LOG + r"""
            case $* in *-set_cover_merge=1*) printf '\0\2' >build/fuzz-host/merged/b; printf '\0\1' >build/fuzz-host/merged/a ;; esac
        """)
        result = self.script("fuzz-host", UPDATE=1)
        self.assert_status(0, result)
        self.assertEqual("# A finding.\n0102\n# The rest.\n0001\n0002\n", self.corpus.read_text())
        self.assertIn("    tests/corpus/pure has 3 inputs\n", result.err)

    def test_minutes_that_are_none(self):
        for minutes in ("0", "ten", "1.5", "-1"):
            result = self.script("fuzz-host", MINUTES=minutes)
            self.assert_status(1, result)
            self.assertEqual(f"error: MINUTES={minutes} is not a number of minutes\n", result.err)

    def test_missing_compiler(self):
        (self.stubs / "g++").unlink()
        self.only()
        result = self.script("fuzz-host")
        self.assert_status(1, result)
        self.assertEqual("error: g++ is missing: 'scripts/tools fuzz' installs it\n", result.err)

    def test_one_input(self):
        file = write(self.scratch / "input", "AB")
        self.fuzzer("exit 9\n", run="shift; echo \"ran $*\"")
        result = self.script("fuzz-host", INPUT=file)
        self.assert_status(0, result)
        self.assertIn("as a line of tests/corpus/pure: 4142\n", result.err)
        self.assertRegex(result.out, f"ran .* --bin replay -- {re.escape(str(file))}\n")

        self.fuzzer("exit 9\n", run="exit 101")
        result = self.script("fuzz-host", INPUT=file)
        self.assert_status(1, result)
        self.assertIn("error: the modules panic on this input, or differ from the models\n", result.err)

    def test_input_that_is_not_there(self):
        result = self.script("fuzz-host", INPUT="nowhere")
        self.assert_status(1, result)
        self.assertEqual("error: there is no file INPUT=nowhere\n", result.err)


class Bugs(FuzzHostTest):
    """CHECK=1: a bug that is not found is a failure."""

    def setUp(self):
        super().setUp()
        (self.stubs / "patch").unlink()
        for directory in ("include/uapi", "tests/host"):
            (self.root / directory).mkdir(parents=True)
        for name in ("op", "user"):
            write(self.root / f"rust/kernel/cpu_opv/{name}.rs", "guard\n")
            self.mutant(name, f"The guard of {name}.")

    def mutant(self, name, about):
        path = f"rust/kernel/cpu_opv/{name}.rs"
        write(self.root / f"tests/mutants/{name}.diff", f"{about}\nTest: x\n\n--- a/{path}\n+++ b/{path}\n@@ -1,1 +1,1 @@\n-guard\n+none\n")

    def test_found(self):
        self.fuzzer(FINDING)
        result = self.script("fuzz-host", CHECK=1)
        self.assert_status(0, result)
        self.assertRegex(result.err, r"==> op: The guard of op\.\n    found in \d+\.\d s, after 900 executions\n1 found, 0 not found\n\Z")
        self.assertEqual("none\n", (self.root / "build/fuzz-host/mutant/rust/kernel/cpu_opv/op.rs").read_text())
        self.assertEqual("guard\n", (self.root / "rust/kernel/cpu_opv/op.rs").read_text())

    def test_not_found(self):
        result = self.script("fuzz-host", CHECK=1, MINUTES=1)
        self.assert_status(1, result)
        self.assertIn("    NOT FOUND in 1 minutes\n0 found, 1 not found\n", result.err)

    def test_failure_is_no_finding(self):
        self.fuzzer("exit 1\n")
        result = self.script("fuzz-host", CHECK=1)
        self.assert_status(1, result)
        self.assertIn("error: the fuzzer failed without a finding: see build/log/fuzz-host.log\n", result.err)

    def test_by_name_and_by_file(self):
        self.fuzzer(FINDING)
        result = self.script("fuzz-host", "user", "tests/mutants/op.diff", CHECK=1)
        self.assert_status(0, result)
        self.assertIn("==> user: ", result.err)
        self.assertIn("2 found, 0 not found\n", result.err)

    def test_unknown_name(self):
        result = self.script("fuzz-host", "nothing", CHECK=1)
        self.assert_status(1, result)
        self.assertEqual("error: there is no tests/mutants/nothing.diff\n", result.err)

    def test_one_that_does_not_apply(self):
        write(self.root / "rust/kernel/cpu_opv/op.rs", "other\n")
        result = self.script("fuzz-host", CHECK=1)
        self.assert_status(1, result)
        self.assertIn("op.diff does not apply\n", result.err)
