# SPDX-License-Identifier: GPL-2.0
"""scripts/check: what it counts, its table, its last line, and its exit status. All that it runs are stubs."""

import re
import time

from support import ProjectTest, write


class CheckTest(ProjectTest):
    def setUp(self):
        super().setUp()
        self.tools()
        self.calls = self.scratch / "calls"
        write(self.root / "tests/expected-skips", "# A comment.\n\n.*: kselftest two: no such CPU.* -- there is one elsewhere\n")
        for base in ("7.2", "6.12"):
            (self.root / "patches" / base).mkdir(parents=True)
        for name in ("tools", "source", "series", "kernel", "demo", "fuzz"):
            self.stand_in(name)
        self.stand_in("script-test", results="script-test", lines="passed script a")
        self.stand_in("host-test", results="host-test", lines="passed host a")
        self.stand_in("model", results="model", lines="passed model a")
        self.crate_test()
        self.stand_in("order-test", results="order-$BASE-$ARCH-$FLAVOUR", lines="passed order a")
        self.stand_in("abi-test", results="abi-test-linux-$BASE", lines="passed ABI a")
        self.stand_in("lint", results="lint-linux-$BASE", lines="passed lint a")
        self.kselftest()

    def stand_in(self, name, text="", results=None, lines=""):
        """A script that notes that it was called, and leaves results."""
        if results:
            text = f"cat >{self.root}/build/log/{results}.results <<END\n{lines}\nEND\n! grep -q ^failed {self.root}/build/log/{results}.results"
        write(self.root / "scripts" / name, f'#!/bin/bash\necho "{name} $BASE $FLAVOUR" >>{self.calls}\n{text}\n', executable=True)

    def kselftest(self, *more):
        lines = "\n".join(["passed kselftest one", "passed kselftest three", *more])
        self.stand_in("kselftest", results="kselftest-$BASE-$FLAVOUR", lines=lines)

    def crate_test(self, lines="passed crate a", guest_lines="passed library a"):
        """The library, which is tested on the host and, with --guest, in the guest."""
        self.stand_in("crate-test", f"""
            case $1 in
            --guest) echo "{guest_lines}" >{self.root}/build/log/crate-guest-$BASE$([ $ARCH = x86_64 ] || echo -$ARCH)-$FLAVOUR.results ;;
            --all) echo "{lines}" >{self.root}/build/log/crate-test.results ;;
            esac
            """)

    def check(self, **variables):
        (self.root / "build/log").mkdir(parents=True, exist_ok=True)
        return self.script("check", **variables)

    def called(self, name):
        return [line for line in self.calls.read_text().splitlines() if line.startswith(name + " ")]


class Summary(CheckTest):
    def test_all_passed(self):
        result = self.check(BASE="7.2")
        self.assert_status(0, result)
        self.assertEqual("14 passed, 0 failed, 0 skipped", result.out.splitlines()[-1])

    def test_table(self):
        result = self.check(BASES="7.2 6.12 7.2:debug")
        self.assert_status(0, result)
        self.assertRegex(result.out, re.compile(r"""
base     architecture  flavour   passed  failed  skipped  minutes
-        host          -              4       0        0     \d:\d\d
7\.2      x86_64        run           10       0        0     \d:\d\d
6\.12     x86_64        run           10       0        0     \d:\d\d
7\.2      x86_64        debug          6       0        0     \d:\d\d
30 passed, 0 failed, 0 skipped
""".lstrip("\n") + r"\Z"))

    def test_architectures(self):
        self.stub("uname", "echo x86_64")
        (self.root / "build").mkdir(exist_ok=True)
        write(self.root / "tests/expected-skips", ".*: the (library in the guest|corpus of the fuzzer): .* -- a reason\n")
        for name in ("kernel", "kselftest"):
            script = self.root / "scripts" / name
            script.write_text(script.read_text().replace("$BASE $FLAVOUR\"", "$BASE $ARCH $FLAVOUR $*\"").replace(
                "kselftest-$BASE-", 'kselftest-$BASE$([ $ARCH = x86_64 ] || echo -$ARCH)-'))
        result = self.check(BASES="7.2 7.2:arm64 7.2:arm64:64k 6.12:riscv64")
        self.assert_status(0, result)
        short = "basic_test ops_test vector_test fault_test random_test cpu_test hotplug_test"
        self.assertEqual(["kselftest 7.2 x86_64 run ", "kselftest 7.2 arm64 run ", f"kselftest 7.2 arm64 64k {short}",
                          f"kselftest 6.12 riscv64 run {short}"], self.called("kselftest"))
        self.assertEqual(3, len(self.called("order-test")))
        self.assertIn("    of the self-tests only these, for time: " + short, result.err)
        self.assertRegex(result.out, r"(?m)^7\.2 +arm64 +64k +6 +0 +1 ")
        self.assertIn("skipped: 6.12 riscv64: the library in the guest: it is tried on x86_64 and arm64\n", result.out)

    def test_architecture_whose_tools_are_missing(self):
        self.stub("uname", "echo x86_64")
        self.stand_in("tools", '[ "$ARCH" = x86_64 ]')
        result = self.check(BASES="7.2 7.2:arm64")
        self.assert_status(1, result)
        self.assertIn("failed: 7.2:arm64: tools\n", result.out)

    def test_failure_of_a_program(self):
        self.kselftest("failed kselftest two: ended with status 1")
        result = self.check(BASE="7.2")
        self.assert_status(1, result)
        self.assertIn("failed: 7.2: kselftest two: ended with status 1\n", result.out)
        self.assertEqual("14 passed, 1 failed, 0 skipped", result.out.splitlines()[-1])

    def test_failure_of_a_step(self):
        self.stand_in("demo", "exit 1")
        result = self.check(BASE="7.2")
        self.assert_status(1, result)
        self.assertIn("failed: 7.2: demonstration\n", result.out)

    def test_expected_skip(self):
        self.kselftest("skipped kselftest two: no such CPU here")
        result = self.check(BASE="7.2")
        self.assert_status(0, result)
        self.assertIn("skipped: 7.2: kselftest two: no such CPU here\n", result.out)
        self.assertEqual("14 passed, 0 failed, 1 skipped", result.out.splitlines()[-1])

    def test_skip_that_is_not_expected(self):
        for skip in ("kselftest two: no memory", "kselftest two"):
            self.kselftest(f"skipped {skip}")
            result = self.check(BASE="7.2")
            self.assert_status(1, result)
            self.assertIn(f"failed: 7.2: {skip} (skipped, which tests/expected-skips does not expect)\n", result.out)
            # It is counted once, in the table as in the last line.
            self.assertNotIn("\nskipped: ", "\n" + result.out)
            self.assertRegex(result.out, r"(?m)^7\.2 +x86_64 +run +10 +1 +0 ")
            self.assertEqual("14 passed, 1 failed, 0 skipped", result.out.splitlines()[-1])

    def test_kernel_that_does_not_build(self):
        self.stand_in("kernel", "exit 2")
        result = self.check(BASE="7.2")
        self.assert_status(1, result)
        self.assertIn("failed: 7.2: kernel built\n", result.out)
        self.assertIn("failed: no base could be tested\n", result.out)
        self.assertEqual([], self.called("kselftest"))

    def test_series_that_does_not_apply(self):
        self.stand_in("series", '[ "$1" != apply ]')
        result = self.check(BASE="7.2")
        self.assertIn("failed: 7.2: series applied\n", result.out)
        self.assertEqual([], self.called("kernel"))

    def test_no_results(self):
        for name in ("script-test", "host-test", "crate-test", "model", "abi-test", "lint", "kselftest"):
            self.stand_in(name, results="none", lines="")
        result = self.check(BASE="7.2")
        self.assert_status(1, result)
        self.assertIn("failed: 7.2: kselftest-7.2-run.results: there are no results\n", result.out)
        self.assertEqual("5 passed, 8 failed, 0 skipped", result.out.splitlines()[-1])


class Bases(CheckTest):
    def test_source_that_cannot_be_had(self):
        self.stand_in("source", '[ "$BASE" != 6.12 ]')
        write(self.root / "tests/expected-skips", ".*: its kernel source is not available -- x\n")
        result = self.check(BASES="7.2 6.12")
        self.assert_status(0, result)
        self.assertIn("skipped: 6.12: its kernel source is not available\n", result.out)

    def test_order(self):
        self.check(BASES="7.2 6.12 7.2:debug")
        self.assertEqual(["kselftest 7.2 run", "kselftest 6.12 run", "kselftest 7.2 debug"], self.called("kselftest"))
        # What does not depend on the flavour is done once.
        self.assertEqual(["lint 7.2 run", "lint 6.12 run"], self.called("lint"))
        # What needs no kernel comes first, then the tests in the guest.
        order = [line.split()[0] for line in self.calls.read_text().splitlines()]
        self.assertLess(order.index("host-test"), order.index("kernel"))
        self.assertLess(order.index("kselftest"), order.index("lint"))

    def test_no_time_left(self):
        self.stand_in("kernel", '[ "$BASE" = 7.2 ] || exec sleep 20')
        write(self.root / "tests/expected-skips", ".*: no time is left for it -- x\n")
        result = self.check(BASES="7.2 6.12", CHECK_UNTIL=int(time.time()) + 6)
        self.assert_status(0, result)
        self.assertIn("skipped: 6.12: no time is left for it\n", result.out)
        self.assertRegex(result.out, r"6\.12 +x86_64 +run +3 +0 +1 ")
