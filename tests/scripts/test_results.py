# SPDX-License-Identifier: GPL-2.0
"""What scripts/host-test, abi-test, model, coverage and preemptoff make of what they run. That is stubs."""

import os
import shutil

from support import ROOT, ProjectTest, write


class ResultsTest(ProjectTest):
    def setUp(self):
        super().setUp()
        self.tools()
        self.environment |= {"BASE": "7.2", "KVM": "off"}

    def results(self, name):
        return sorted((self.root / f"build/log/{name}.results").read_text().splitlines())


class HostTest(ResultsTest):
    def host_test(self, output, status=0):
        write(self.scratch / "output", output)
        self.stub("cargo", f"cat {self.scratch}/output; exit {status}")
        result = self.script("host-test")
        return result.status, self.results("host-test")

    def test_each_test_is_a_result(self):
        self.assertEqual((0, ["passed host op::adds", "skipped host op::slow"]),
                         self.host_test("test op::adds ... ok\ntest op::slow ... ignored, takes long\n"))

    def test_failure(self):
        self.assertEqual((1, ["failed host op::wraps", "passed host op::adds"]),
                         self.host_test("test op::adds ... ok\ntest op::wraps ... FAILED\n", 101))

    def test_what_does_not_compile(self):
        self.assertEqual((1, ["failed host tests: cargo test ended with status 101", "failed host tests: none ran"]),
                         self.host_test("error[E0425]\n", 101))

    def test_abort_after_a_test(self):
        self.assertEqual((1, ["failed host tests: cargo test ended with status 134", "passed host op::adds"]),
                         self.host_test("test op::adds ... ok\n", 134))

    def test_none_ran(self):
        self.assertEqual((1, ["failed host tests: none ran"]), self.host_test("running 0 tests\n"))


class AbiTest(ResultsTest):
    def abi_test(self, output, status=0):
        write(self.scratch / "output", output)
        write(self.root / "tests/abi/run", f"#!/bin/bash\ncat {self.scratch}/output\nexit {status}\n", executable=True)
        result = self.script("abi-test")
        return result.status, self.results("abi-test-linux-7.2")

    def test_each_line_is_a_result(self):
        self.assertEqual((0, ["passed ABI x86_64", "skipped ABI mips: clang does not have it"]),
                         self.abi_test("1..2\nok 1 - x86_64\nok 2 - mips # SKIP clang does not have it\n"))

    def test_failure(self):
        self.assertEqual((1, ["failed ABI mips", "passed ABI x86_64"]), self.abi_test("1..2\nok 1 - x86_64\nnot ok 2 - mips\n", 1))

    def test_fewer_than_planned(self):
        self.assertEqual((1, ["failed ABI: planned 3 tests, 1 gave a result", "passed ABI x86_64"]), self.abi_test("1..3\nok 1 - x86_64\n"))

    def test_no_result(self):
        self.assertEqual((1, ["failed ABI: planned no tests, 0 gave a result"]), self.abi_test("Bail out! no kernel\n", 1))
        self.assertEqual((1, ["failed ABI: planned 0 tests, 0 gave a result"]), self.abi_test("1..0\n"))

    def test_status(self):
        self.assertEqual((1, ["failed ABI: tests/abi/run ended with status 2", "passed ABI x86_64"]), self.abi_test("1..1\nok 1 - x86_64\n", 2))


class Model(ResultsTest):
    """spin makes a checker of the model; here it prints what a test says, by the hook that is left out."""

    def setUp(self):
        super().setUp()
        write(self.root / "tests/model/arrival.pml", "#define HOOK_PUSH 1\n#define HOOK_LOOK 2\n")
        self.stub("spin", """
            case " $* " in
            *" -a "*) all=$*; hook=base; [[ $all != *-DWITHOUT=* ]] || hook=${all##*-DWITHOUT=}; echo "${hook%% *}" >pan.c ;;
            *) echo "step by step" ;;
            esac
            """)
        self.stub("gcc", f"""
            printf '#!/bin/sh\\ncat {self.scratch}/%s\\n' "$(cat pan.c)" >pan
            chmod +x pan
            """)
        self.says(base="errors: 0", PUSH="pan:1: assertion violated\nerrors: 1", LOOK="pan:1: assertion violated\nerrors: 1")

    def says(self, **texts):
        for name, text in texts.items():
            write(self.scratch / name, text + "\n")

    def model(self):
        result = self.script("model")
        return result.status, self.results("model")

    PASSED = ["passed model: a change and hotplug", "passed model: two changes", "passed model: without LOOK: noticed",
              "passed model: without PUSH: noticed"]

    def test_all_is_well(self):
        self.assertEqual((0, self.PASSED), self.model())
        self.assertEqual("step by step\n", (self.root / "build/log/model-PUSH.trail").read_text())

    def test_error_in_the_model(self):
        self.says(base="pan:1: assertion violated\nerrors: 1")
        status, results = self.model()
        self.assertEqual(1, status)
        self.assertIn("failed model: two changes: see build/log/model-two-changes.{log,trail}", results)

    def test_hook_that_is_not_missed(self):
        self.says(LOOK="errors: 0")
        status, results = self.model()
        self.assertEqual(1, status)
        self.assertEqual(["failed model: without LOOK: not noticed", *self.PASSED[:2], self.PASSED[3]], results)

    def test_search_that_was_cut_short(self):
        self.says(base="error: max search depth too small\nerrors: 0")
        self.assertEqual(1, self.model()[0])

    def test_checker_that_does_not_run(self):
        self.says(LOOK="Segmentation fault")
        status, results = self.model()
        self.assertEqual(1, status)
        self.assertIn("failed model: without LOOK: see build/log/model-LOOK.log", results)


class Coverage(ResultsTest):
    """A module of three lines, the last of which no test runs."""

    def setUp(self):
        super().setUp()
        write(self.root / "rust/kernel/toy.rs", "one\ntwo\n    three\n")
        (self.root / "tests/host").mkdir(parents=True)
        shutil.copy(ROOT / "tests/host/coverage.py", self.root / "tests/host")
        self.covered(3, 1, 0)

    def covered(self, *counts, library_status=0):
        """How often each line was run. In the library, of two lines one was run."""
        lines = "".join(f"DA:{number},{count}\n" for number, count in enumerate(counts, 1))
        write(self.scratch / "lcov-host", f"SF:{self.root}/rust/kernel/toy.rs\n{lines}end_of_record\nSF:/elsewhere/x.rs\nDA:1,0\n")
        write(self.scratch / "lcov-cpu-opv", f"SF:{self.root}/crates/cpu-opv/src/lib.rs\nDA:1,5\nDA:2,0\nSF:/elsewhere/x.rs\nDA:1,0\n")
        self.stub("cargo", f"""
            while [ $# -gt 0 ]; do
                case $1 in
                --manifest-path) crate=$(basename "$(dirname "$2")") ;;
                --output-path) cp {self.scratch}/lcov-$crate "$2" ;;
                esac
                shift
            done
            [ $crate = host ] || exit {library_status}
            """)

    def test_library(self):
        self.known("rust/kernel/toy.rs: three -- a reason\n")
        result = self.script("coverage")
        self.assertEqual("rust/kernel/toy.rs: 2 of 3 lines\ncrates/cpu-opv/src/lib.rs: 1 of 2 lines\n", result.out)
        # Its lines are shown, and are no condition.
        self.covered(3, 1, 0, library_status=1)
        result = self.script("coverage")
        self.assert_status(0, result)
        self.assertIn("warning: the library was not measured\n", result.err)

    def known(self, text):
        write(self.root / "tests/host/uncovered", text)

    def test_line_that_is_not_run(self):
        result = self.script("coverage")
        self.assert_status(1, result)
        self.assertIn("rust/kernel/toy.rs: 2 of 3 lines\n", result.out)
        self.assertIn("rust/kernel/toy.rs:3: no test runs this: three\n", result.err)

    def test_line_that_is_listed(self):
        self.known("# A comment.\nrust/kernel/toy.rs: three -- a reason\n")
        self.assert_status(0, self.script("coverage"))

    def test_listed_line_that_is_run(self):
        self.known("rust/kernel/toy.rs: three -- a reason\n")
        self.covered(1, 1, 1)
        result = self.script("coverage")
        self.assert_status(1, result)
        self.assertIn("names a line that a test runs, or that is not there: rust/kernel/toy.rs: three\n", result.err)

    def test_all_lines_are_run(self):
        self.covered(1, 1, 1)
        self.assert_status(0, self.script("coverage"))

    def test_nothing_was_measured(self):
        self.covered()
        self.assert_status(1, self.script("coverage"))

    def test_tests_that_fail(self):
        self.stub("cargo", "exit 101")
        self.assert_status(1, self.script("coverage"))


class Preemptoff(ResultsTest):
    def setUp(self):
        super().setUp()
        self.stub("make")
        write(self.root / "scripts/kernel", "#!/bin/bash\n", executable=True)
        self.calls = self.scratch / "calls"
        self.guest()

    def guest(self, status=0):
        write(self.root / "scripts/vm", f"""
            #!/bin/bash
            echo "$KVM $CPUS $FLAVOUR $*" >>{self.calls}
            [ "$1" != -d ] || : >"$2"
            echo "limit vector 1234"
            exit {status}
            """, executable=True)

    def test_table(self):
        result = self.script("preemptoff", "3")
        self.assert_status(0, result)
        self.assertEqual("limit vector 1234\n", result.out)
        self.assertEqual("limit vector 1234\n", (self.root / "build/log/7.2-preemptoff-instructions.txt").read_text())
        call = self.calls.read_text()
        # The guest's clock counts the instructions of all CPUs.
        self.assertTrue(call.startswith("off 1 preemptoff "), call)
        self.assertIn("./preemptoff ./soak 3 && ", call)
        # What the search has found gets a row, too: the last one.
        self.assertIn(f"/preemptoff ./longest-vector vectors {self.root}/bench/longest.vec | tail -n 1\n", call)
        self.assertEqual("cpu_opv_bench", os.readlink(self.root / "build/preemptoff/longest-vector"))
        self.assertIn("nanoseconds are not measured", result.err)

    def test_time_with_kvm(self):
        result = self.script("preemptoff", KVM="auto")
        self.assert_status(0, result)
        self.assertEqual(["off", "on", "on"], [line.split()[0] for line in self.calls.read_text().splitlines()])
        self.assertTrue((self.root / "build/log/7.2-preemptoff-time.txt").exists())

    def test_program_that_fails(self):
        self.guest(status=4)
        result = self.script("preemptoff")
        self.assert_status(1, result)
        self.assertIn("error: the guest ended with status 4\n", result.err)

    def test_minutes(self):
        result = self.script("preemptoff", MINUTES="1h")
        self.assert_status(1, result)
        self.assertEqual("error: MINUTES=1h is not a number of minutes\n", result.err)
        self.assertFalse(self.calls.exists())
