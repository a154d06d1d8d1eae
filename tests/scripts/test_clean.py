# SPDX-License-Identifier: GPL-2.0
"""scripts/distclean and `make clean`, which delete: what they take, and what they leave."""

from support import ProjectTest, write


class Distclean(ProjectTest):
    def setUp(self):
        super().setUp()
        for name in ("AUTHOR", "COMMITTER"):
            self.environment |= {f"GIT_{name}_NAME": "x", f"GIT_{name}_EMAIL": "x@localhost"}
        self.tree = self.root / "build/src/linux-7.2"
        self.repository(self.tree)
        self.git("update-ref", "refs/worktree/cpu_opv/base", "HEAD")
        self.commit(self.tree, "series.c")
        self.git("update-ref", "refs/worktree/cpu_opv/applied", "HEAD")

    def git(self, *arguments, where=None):
        result = self.run_command("git", "-C", where or self.tree, *arguments)
        self.assert_status(0, result)
        return result.out

    def commit(self, tree, name):
        write(tree / name, "x\n")
        self.git("add", name, where=tree)
        self.git("commit", "-q", "-m", name, where=tree)

    def repository(self, tree):
        tree.mkdir(parents=True)
        self.git("init", "-q", "-b", "main", where=tree)
        write(tree / ".gitignore", "*.o\n")
        self.commit(tree, "Makefile")
        self.git("add", ".gitignore", where=tree)
        self.git("commit", "-q", "-m", "ignore", where=tree)

    def kdir(self):
        """A tree of the user, and a worktree of it in which the series is applied."""
        kdir = self.scratch / "linux"
        self.repository(kdir)
        worktree = self.root / "build/src/kdir-linux"
        self.git("worktree", "add", "-q", "-b", "cpu_opv-7.2", worktree, where=kdir)
        self.git("update-ref", "refs/worktree/cpu_opv/base", "HEAD", where=worktree)
        self.commit(worktree, "series.c")
        self.git("update-ref", "refs/worktree/cpu_opv/applied", "HEAD", where=worktree)
        write(kdir / "mine.c", "not in git\n")
        return kdir, worktree

    def branches(self, kdir):
        return self.git("branch", "--format=%(refname:short)", where=kdir).split()

    def refuses(self, tree="linux-7.2"):
        """It deletes nothing, and with FORCE=1 it does."""
        result = self.script("distclean")
        self.assert_status(1, result)
        self.assertEqual(f"error: build/src/{tree} has work that 'make patches' has not exported\n"
                         "       export it, or remove it with: make distclean FORCE=1\n", result.err)
        self.assertTrue((self.tree / "Makefile").exists())
        self.assert_status(0, self.script("distclean", FORCE=1))
        self.assertFalse((self.root / "build").exists())

    def test_only_build_is_removed(self):
        write(self.root / "README.md", "x\n")
        outside = write(self.scratch / "outside/file", "x\n")
        (self.root / "build/link").symlink_to(outside.parent)
        write(self.tree / "x.o", "ignored by git\n")
        before = sorted(path for path in self.root.rglob("*") if self.root / "build" not in [path, *path.parents])
        self.assert_status(0, self.run_command("make", "distclean"))
        self.assertEqual(before, sorted(self.root.rglob("*")))
        self.assertTrue(outside.exists())

    def test_nothing_to_remove(self):
        self.assert_status(0, self.script("distclean"))
        self.assert_status(0, self.script("distclean"))

    def test_commit(self):
        self.commit(self.tree, "new.c")
        self.refuses()

    def test_change(self):
        write(self.tree / "series.c", "changed\n")
        self.refuses()

    def test_new_file(self):
        write(self.tree / "new.c", "x\n")
        self.refuses()

    def test_worktree(self):
        kdir, _ = self.kdir()
        before = {path: path.read_bytes() for path in kdir.iterdir() if path.is_file()}
        self.assert_status(0, self.script("distclean"))
        self.assertFalse((self.root / "build").exists())
        self.assertEqual(["main"], self.branches(kdir))
        self.assertEqual(1, len(self.git("worktree", "list", where=kdir).splitlines()))
        self.assertEqual(before, {path: path.read_bytes() for path in kdir.iterdir() if path.is_file()})

    def test_all_trees_are_looked_at_first(self):
        kdir, worktree = self.kdir()
        write(self.tree / "new.c", "x\n")
        self.assert_status(1, self.script("distclean"))
        self.assertTrue((worktree / "series.c").exists())
        self.assertIn("cpu_opv-7.2", self.branches(kdir))

    def test_branch_with_more_commits_stays(self):
        kdir, worktree = self.kdir()
        self.commit(worktree, "new.c")
        self.assert_status(1, self.script("distclean"))
        result = self.script("distclean", FORCE=1)
        self.assert_status(0, result)
        self.assertIn("the branch cpu_opv-7.2 stays in KDIR", result.err)
        self.assertEqual("new.c\n", self.git("log", "-1", "--format=%s", "cpu_opv-7.2", where=kdir))

    def test_kdir_that_is_gone(self):
        kdir, _ = self.kdir()
        kdir.rename(self.scratch / "moved")
        self.assert_status(0, self.script("distclean"))
        self.assertFalse((self.root / "build").exists())


class Clean(ProjectTest):
    def test_tools_sources_and_downloads_stay(self):
        for name in ("cache", "ccache", "log", "kselftest", "out", "src", "tools"):
            write(self.root / "build" / name / "file", "x\n")
        self.assert_status(0, self.run_command("make", "clean"))
        self.assertEqual(["cache", "ccache", "src", "tools"], sorted(path.name for path in (self.root / "build").iterdir()))
