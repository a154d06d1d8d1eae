# SPDX-License-Identifier: GPL-2.0
"""scripts/each-patch and scripts/patches: what they go through, and what they make of failures."""

from support import ProjectTest, write


class EachPatch(ProjectTest):
    """A series of two patches, the second of which has CPU_OPV, and a kernel that a stub builds."""

    def setUp(self):
        super().setUp()
        self.tree = self.root / "build/src/linux-7.2"
        self.environment |= {"BASE": "7.2", "GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@localhost", "GIT_COMMITTER_NAME": "x",
                             "GIT_COMMITTER_EMAIL": "x@localhost"}
        self.run_command("git", "init", "-q", self.tree)
        for title, text in (("plain", "config A\n"), ("one", "config B\n"), ("two", "config CPU_OPV\n")):
            write(self.tree / "init/Kconfig", text)
            self.git("add", "-A")
            self.git("commit", "-q", "-m", title)
            if title == "plain":
                self.git("update-ref", "refs/worktree/cpu_opv/base", "HEAD")
        self.calls = self.scratch / "calls"
        self.calls.touch()
        self.kernel("exit 0")

    def git(self, *arguments):
        self.assert_status(0, self.run_command("git", "-C", self.tree, *arguments))

    def kernel(self, text):
        """A stand-in for scripts/kernel."""
        write(self.root / "scripts/kernel", f"""
            #!/bin/bash
            log={self.root}/build/log/kernel-7.2-$FLAVOUR.log
            title=$(git -C {self.tree}-each log -1 --format=%s)
            echo "$title $FLAVOUR $*" >>{self.calls}
            : >$log
            {text}
            """, executable=True)

    def built(self):
        lines = [line.strip() for line in self.calls.read_text().splitlines()]
        self.calls.write_text("")
        return lines

    def test_with_and_without_the_option(self):
        result = self.script("each-patch")
        self.assert_status(0, result)
        self.assertEqual(["one each", "two each", "two each-off"], self.built())
        self.assertIn("==> done: each of 2 patches for Linux 7.2 builds, without a warning", result.err)

    def test_what_was_built_is_not_built_again(self):
        self.script("each-patch")
        self.built()
        self.assert_status(0, self.script("each-patch"))
        self.assertEqual([], self.built())
        # Other targets are another matter.
        self.script("each-patch", "kernel/")
        self.assertEqual(["one each kernel/", "two each kernel/", "two each-off kernel/"], self.built())

    def test_failure(self):
        self.kernel('[ "$title" != one ]')
        result = self.script("each-patch")
        self.assert_status(1, result)
        self.assertIn("NOT OK: one\n", result.err)
        self.assertIn("error: 1 builds failed", result.err)
        # The others are built nevertheless, and it alone the next time.
        self.assertEqual(["one each", "two each", "two each-off"], self.built())
        self.script("each-patch")
        self.assertEqual(["one each"], self.built())

    def test_warning(self):
        self.kernel('[ "$FLAVOUR" != each-off ] || echo "x.c:1: warning: unused" >$log')
        result = self.script("each-patch")
        self.assert_status(1, result)
        self.assertIn("x.c:1: warning: unused\nNOT OK: two, without CPU_OPV: the compiler warns\n", result.err)

    def test_parallel_make(self):
        # make tells its children of jobs that they cannot have.
        for name in ("tools", "source", "series"):
            write(self.root / "scripts" / name, "#!/bin/bash\n", executable=True)
        self.kernel(f'make -f /dev/stdin <<<"all:; @true" >$log 2>&1; echo "JOBS=$JOBS" >>{self.calls}')
        result = self.run_command("make", "-j8", "each-patch")
        self.assert_status(0, result)
        self.assertIn("JOBS=8", self.built())

    def test_series_that_is_not_applied(self):
        self.git("reset", "-q", "--hard", "refs/worktree/cpu_opv/base")
        self.assertIn("error: the series is not applied: run 'make series BASE=7.2' first", self.script("each-patch").err)


class Patches(ProjectTest):
    """All bases in turn."""

    def setUp(self):
        super().setUp()
        for base in ("7.2", "6.12"):
            (self.root / "patches" / base).mkdir(parents=True)
        # It is no base.
        (self.root / "patches/notes").mkdir()
        self.stand_in("source", "exit 0")
        self.stand_in("series", 'echo "$BASE $*"')

    def stand_in(self, name, text):
        write(self.root / "scripts" / name, f"#!/bin/bash\n{text}\n", executable=True)

    def test_newest_first(self):
        self.assertEqual("7.2 check\n6.12 check\n", self.script("patches", "check").out)
        self.assertEqual("7.2 check upstream\n6.12 check upstream\n", self.script("patches", "check", "upstream").out)

    def test_one_base(self):
        self.assertEqual("6.12 export\n", self.script("patches", "export", BASE="6.12").out)

    def test_source_that_cannot_be_had(self):
        self.stand_in("source", '[ "$BASE" = 6.12 ]')
        result = self.script("patches", "check")
        self.assert_status(0, result)
        self.assertIn("warning: the series for 7.2 was not checked or reprinted: its kernel source is not available", result.err)
        self.assertEqual("6.12 check\n", result.out)
        self.stand_in("source", "exit 1")
        self.assert_status(1, self.script("patches", "check"))

    def test_failure_of_one_base(self):
        self.stand_in("series", 'echo "$BASE"; [ "$BASE" = 6.12 ]')
        result = self.script("patches", "check")
        self.assertEqual((1, "7.2\n6.12\n"), (result.status, result.out))
