# SPDX-License-Identifier: GPL-2.0
"""scripts/upstream-tests: which results of several runs count, and what it compares with what."""

from support import ProjectTest, write


class UpstreamTest(ProjectTest):
    """A suite of two programs, whose results are those that a test says, one text for each run."""

    def setUp(self):
        super().setUp()
        self.tools()
        self.tree = self.root / "build/src/linux-7.2"
        (self.tree / "tools/testing/selftests/futex").mkdir(parents=True)
        self.list = self.root / "tests/upstream/7.2-futex"
        self.ran = self.scratch / "ran"
        self.ran.touch()
        self.environment |= {"BASE": "7.2", "ARCH": "x86_64"}
        for name in ("vm", "kernel"):
            write(self.root / "scripts" / name, "#!/bin/bash\n", executable=True)
        with open(self.root / "scripts/lib.sh", "a", encoding="utf-8") as lib:
            lib.write(f"""
build_selftests() {{
	mkdir -p "$INSTALL/futex"
	install -m 755 /dev/null "$INSTALL/futex/one"
	install -m 755 /dev/null "$INSTALL/futex/two"
}}
guest_results() {{
	shift 2
	echo "$*" >>{self.ran}
	cat {self.scratch}/run-$(wc -l <{self.ran})
}}
""")

    def runs(self, *texts):
        for number, text in enumerate(texts, 1):
            write(self.scratch / f"run-{number}", text)

    def upstream(self, *results, listed=None):
        """What each run prints, and what there is in the list."""
        self.runs(*results)
        if listed is not None:
            write(self.list, listed)
        return self.script("upstream-tests", "futex")

    def programs(self):
        return self.ran.read_text().splitlines()


class Compare(UpstreamTest):
    """With the series, beside a list."""

    def test_all_pass(self):
        result = self.upstream("passed kselftest one a\npassed kselftest two b\n", listed="passed futex one a\npassed futex two b\n")
        self.assert_status(0, result)
        self.assertIn("2 passed, 0 failed, 0 skipped", result.err)
        self.assertEqual(["one two"], self.programs())

    def test_what_failed_is_run_again(self):
        result = self.upstream("failed kselftest one a\npassed kselftest two b\n", "passed kselftest one a\n",
                               listed="passed futex one a\npassed futex two b\n")
        self.assert_status(0, result)
        self.assertIn("2 passed, 0 failed, 0 skipped", result.err)
        self.assertEqual(["one two", "one"], self.programs())

    def test_what_fails_each_time_has_failed(self):
        result = self.upstream("failed kselftest one a\npassed kselftest two b\n", *["failed kselftest one a\n"] * 2,
                               listed="passed futex one a\npassed futex two b\n")
        self.assert_status(1, result)
        self.assertIn("failed futex one a: passed 1 times without the series, and 0 with it", result.err)
        self.assertEqual(["one two", "one", "one"], self.programs())

    def test_each_test_has_to_pass_once(self):
        result = self.upstream("failed kselftest one a\npassed kselftest one b\n", "passed kselftest one a\nfailed kselftest one b\n",
                               "passed kselftest one a\npassed kselftest one b\n", listed="passed futex one a\npassed futex one b\n")
        self.assert_status(0, result)
        self.assertIn("2 passed, 0 failed, 0 skipped", result.err)

    def test_result_is_missing(self):
        result = self.upstream("passed kselftest one a\n", listed="passed futex one a\npassed futex two b\n")
        self.assert_status(1, result)
        self.assertIn("failed futex two b", result.err)

    def test_what_failed_before_may_fail(self):
        result = self.upstream(*["failed kselftest one a\npassed kselftest two b\n"] * 3,
                               listed="failed futex one a\npassed futex two b\n")
        self.assert_status(0, result)
        self.assertIn("skipped futex one a: does not pass without the series", result.err)

    def test_what_is_unsteady_may_fail(self):
        write(self.list.with_name("unsteady"), "# A comment.\n\nfutex one a -- for a reason\nfutex one new -- as above\n")
        result = self.upstream(*["failed kselftest one a\nfailed kselftest one new: text\npassed kselftest two b\n"] * 3,
                               listed="passed futex one a\npassed futex two b\n")
        self.assert_status(0, result)
        self.assertIn("skipped futex one a: depends on how fast the machine is\n"
                      "skipped futex one new: depends on how fast the machine is\n"
                      "    1 passed, 0 failed, 2 skipped", result.err)

    def test_new_failure(self):
        result = self.upstream(*["failed kselftest one new\npassed kselftest two b\n"] * 3, listed="passed futex two b\n")
        self.assert_status(1, result)
        self.assertIn("failed futex one new", result.err)

    def test_complaint_of_the_kernel_stays(self):
        result = self.upstream("failed kselftest one a\nfailed kernel log clean after one: BUG: x\n", "passed kselftest one a\n",
                               listed="passed futex one a\n")
        self.assert_status(1, result)
        self.assertIn("failed futex: kernel log clean after one: BUG: x", result.err)

    def test_no_list(self):
        result = self.upstream("passed kselftest one a\n")
        self.assert_status(1, result)
        self.assertIn("make it by --plain", result.err)


class Plain(UpstreamTest):
    """The list of what comes out without the series."""

    def test_only_what_passes_each_time(self):
        self.assert_status(0, self.run_command("git", "init", "-q", self.tree))
        self.assert_status(0, self.run_command("git", "-C", self.tree, "-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "-q",
                                               "--allow-empty", "-m", "base"))
        self.assert_status(0, self.run_command("git", "-C", self.tree, "update-ref", "refs/worktree/cpu_opv/base", "HEAD"))
        plain = self.root / "build/src/linux-7.2-plain"
        self.assert_status(0, self.run_command("git", "-C", self.tree, "worktree", "add", "-q", "--detach", plain))
        (plain / "tools/testing/selftests/futex").mkdir(parents=True)
        steady = "passed kselftest one a\npassed kselftest one a\n"
        self.runs(steady + "passed kselftest two b\n", steady + "failed kselftest two b\n", steady + "passed kselftest two b\n")
        self.assert_status(0, self.script("upstream-tests", "--plain", "futex"))
        self.assertEqual(["one two"] * 3, self.programs())
        lines = self.list.read_text().splitlines()
        self.assertEqual(["failed futex two b", "passed futex one a", "passed futex one a"], lines[2:])
