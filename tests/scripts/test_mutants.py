# SPDX-License-Identifier: GPL-2.0
"""scripts/mutants, on a kernel of one file with two guards. The build and the guest are stubs."""

from support import ProjectTest, write

KERNEL = "/* A toy. */\nif (!valid)\n\treturn -EINVAL;\n/* Between. */\nif (!allowed)\n\treturn -EPERM;\n/* End. */\n"
DIFF = """What is not {guard} is refused.
Test: one_test
--- a/toy.c
+++ b/toy.c
@@ -{line},4 +{line},2 @@
 {before}
-if (!{guard})
-\treturn -{error};
 {after}
"""


class MutantsTest(ProjectTest):
    def setUp(self):
        super().setUp()
        self.tools()
        self.environment |= {"BASE": "7.2"}
        for name in ("AUTHOR", "COMMITTER"):
            self.environment |= {f"GIT_{name}_NAME": "x", f"GIT_{name}_EMAIL": "x@localhost"}
        self.tree = self.root / "build/src/linux-7.2"
        self.toy = write(self.tree / "toy.c", KERNEL)
        self.out = self.root / "build/out/7.2-run"
        (self.root / "build/kselftest/7.2-run/cpu_opv").mkdir(parents=True)
        self.assert_status(0, self.run_command("bash", "-ec", "git init -q; git add -A; git commit -q -m base", cwd=self.tree))
        self.mutant("allowed", line=4, before="/* Between. */", error="EPERM", after="/* End. */")
        self.mutant("valid", line=1, before="/* A toy. */", error="EINVAL", after="/* Between. */")
        self.calls = self.scratch / "calls"
        self.stand_in("kselftest")
        self.stand_in("kernel", f"""
            mkdir -p {self.out}/arch/x86/boot
            touch {self.out}/.built {self.out}/arch/x86/boot/bzImage
            """)
        self.guest()

    def mutant(self, guard, **parts):
        write(self.root / f"tests/mutants/{guard}.diff", DIFF.format(guard=guard, **parts))

    def stand_in(self, name, text=""):
        write(self.root / "scripts" / name, f'#!/bin/bash\necho "{name} $*" >>{self.calls}\n{text}\n', executable=True)

    def guest(self, fails="! grep -q valid {toy} || ! grep -q allowed {toy}", before="", status=0):
        """The program in the guest fails if the condition is true of the tree."""
        self.stand_in("vm", f"""
            echo '[ 1.0] cpu_opv: the log ends here' >"$2"
            {before.format(toy=self.toy)}
            word=ok
            if {fails.format(toy=self.toy)}; then word='not ok'; fi
            printf '%s\\n' '##tainted boot 0' '##program one_test' 'TAP version 13' 1..1 "$word 1 refuses" \\
                "##status one_test $([ "$word" = ok ]; echo $?) 1" '##pins one_test 0' '##tainted one_test 0' '##done'
            exit {status}
            """)

    def mutants(self, *names, **variables):
        return self.script("mutants", *names, **variables)

    def results(self):
        return (self.root / "build/log/mutants-7.2-run.results").read_text().splitlines()

    def assert_as_it_was(self):
        self.assertEqual(KERNEL, self.toy.read_text())
        self.assertFalse((self.root / "build/mutant-linux-7.2.diff").exists())

    def called(self, name):
        return sum(line.split()[0] == name for line in self.calls.read_text().splitlines())


class Verdicts(MutantsTest):
    def test_caught(self):
        result = self.mutants()
        self.assert_status(0, result)
        self.assertEqual(["passed mutant allowed", "passed mutant valid"], self.results())
        self.assertRegex(result.out, r"(?m)^valid +\| What is not valid is refused\. +\| one_test refuses +\| ok$")
        self.assertTrue(result.out.endswith("2 caught, 0 not caught, 0 not applied, built or run\n"), result)
        self.assert_as_it_was()
        # The kernel with all guards is built first and last.
        self.assertEqual(4, self.called("kernel"))

    def test_not_caught(self):
        self.guest(fails="! grep -q allowed {toy}")
        result = self.mutants()
        self.assert_status(1, result)
        self.assertEqual(["passed mutant allowed", "failed mutant valid: NOT CAUGHT"], self.results())
        self.assertIn("1 caught, 1 not caught", result.out)
        # A race may need more time, so it is tried twice.
        self.assertEqual(3, self.called("vm"))
        self.assertIn("CPU_OPV_TEST_SECONDS=4 ", self.calls.read_text())
        self.assert_as_it_was()

    def test_only_those_that_are_named(self):
        self.assert_status(0, self.mutants("tests/mutants/valid.diff"))
        self.assertEqual(["passed mutant valid"], self.results())

    def test_guest_that_dies(self):
        self.guest(fails="false", status=255)
        result = self.mutants("valid")
        self.assert_status(0, result)
        self.assertIn("the guest died, with status 255", result.out)

    def test_guest_that_does_not_reach_the_tests(self):
        self.guest(before='! grep -L valid {toy} | grep -q . || exit 1')
        self.assert_status(1, self.mutants("valid"))
        self.assertEqual(["failed mutant valid: DID NOT RUN"], self.results())

    def test_does_not_build(self):
        self.stand_in("kernel", f"""
            . "$(dirname "$0")/lib.sh"
            echo error >"$LOGDIR/kernel-7.2-run.log"
            grep -q valid {self.toy}
            """)
        self.assert_status(1, self.mutants("valid"))
        self.assertEqual(["failed mutant valid: DOES NOT BUILD"], self.results())
        self.assert_as_it_was()

    def test_does_not_apply(self):
        diff = self.root / "tests/mutants/valid.diff"
        diff.write_text(diff.read_text().replace("if (!valid)", "if (!good)"))
        result = self.mutants()
        self.assert_status(1, result)
        self.assertEqual(["passed mutant allowed", "failed mutant valid: DOES NOT APPLY"], self.results())
        self.assertIn("error: tests/mutants/valid.diff does not apply to build/src/linux-7.2\n", result.err)


class Refuses(MutantsTest):
    def refuses(self, text, *names):
        result = self.mutants(*names)
        self.assert_status(1, result)
        self.assertIn(text, result.err)
        self.assertFalse(self.calls.exists() and self.called("vm"))

    def test_unknown_name(self):
        self.refuses("error: there is no tests/mutants/other.diff", "other")

    def test_diff_without_a_test(self):
        write(self.root / "tests/mutants/x.diff", "What.\n--- a/toy.c\n")
        self.refuses("error: tests/mutants/x.diff has no line 'Test: PROGRAM...'")

    def test_tests_that_fail_anyway(self):
        self.stand_in("kselftest", "exit 1")
        self.refuses("error: the tests fail with all checks in place")


class Tree(MutantsTest):
    """A kernel without a guard does not stay behind."""

    def test_interrupted(self):
        self.guest(before='kill -INT $PPID; sleep 2')
        self.assert_status(130, self.mutants("valid"))
        self.assert_as_it_was()
        self.assertFalse((self.out / ".built").exists())
        self.assertFalse((self.out / "arch/x86/boot/bzImage").exists())

    def test_after_a_run_that_was_killed(self):
        self.guest(before='kill -KILL $PPID')
        self.assertEqual(-9, self.mutants("valid").status)
        self.assertNotEqual(KERNEL, self.toy.read_text())
        self.guest()
        self.assert_status(0, self.mutants("allowed"))
        self.assert_as_it_was()

    def test_removal_that_cannot_be_undone(self):
        write(self.root / "build/mutant-linux-7.2.diff", DIFF.format(guard="lost", line=1, before="/* Gone. */", error="EIO", after=""))
        result = self.mutants("valid")
        self.assert_status(1, result)
        self.assertIn("cannot be undone", result.err)
