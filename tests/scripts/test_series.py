# SPDX-License-Identifier: GPL-2.0
"""scripts/series, on a kernel of two files and a series of two patches."""

import os
import shutil
import tempfile
import unittest
from pathlib import Path

from support import ProjectTest, load, write

series = load("series")

MAKEFILE = "VERSION = 7\nPATCHLEVEL = 2\n"
KCONFIG = "".join(f"config OLD{number}\n" for number in range(20))
COVER = """\
From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: Author <author@localhost>
Date: Thu, 1 Jan 2026 00:00:00 +0000
Subject: [PATCH 0/9] A toy series, the subject of which is so long that it is
 folded

What it is.

Author (9):
  what was printed before
"""


class Functions(unittest.TestCase):
    def test_version_of(self):
        self.assertEqual("7.2", series.version_of("# x\nVERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 3\n"))

    def test_candidate_of(self):
        self.assertEqual("7.3-rc7", series.candidate_of("VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 0\nEXTRAVERSION = -rc7\n"))
        self.assertIsNone(series.candidate_of("VERSION = 7\nPATCHLEVEL = 3\nEXTRAVERSION =\n"))
        self.assertIsNone(series.candidate_of("VERSION = 7\nPATCHLEVEL = 3\nEXTRAVERSION = -mine\n"))

    def test_subject_of(self):
        self.assertEqual("A toy series, the subject of which is so long that it is folded", series.subject_of(COVER))

    def test_numbers_do_not_count(self):
        one = "index 0123abc..4567def 100644\n@@ -1,2 +3,4 @@ heading\n+x\n"
        other = "index 89abcde..0000000 100644\n@@ -9,2 +8,4 @@ other\n+x\n"
        self.assertEqual(series.anywhere(one), series.anywhere(other))
        self.assertNotEqual(series.anywhere(one), series.anywhere(one.replace("+3,4", "+3,5")))
        self.assertNotEqual(series.anywhere(one), series.anywhere(one.replace("+x", "+y")))

    def test_cover_letter(self):
        printed = "Date: now\nSubject: [PATCH 0/2] *** SUBJECT HERE ***\n\n*** BLURB HERE ***\n\nAuthor (2):\n  a\n"
        self.assertEqual("Date: then\nSubject: [PATCH 0/2] A toy series, the subject of which is so long that it is folded\n\n"
                         "What it is.\n\nAuthor (2):\n  a\n", series.cover_letter(printed, COVER, "then"))
        self.assertTrue(series.has_no_text(series.cover_letter(printed, "", "then")))


class SeriesTest(ProjectTest):
    """A project with its series applied, which is made once and copied."""

    made = None

    def setUp(self):
        super().setUp()
        self.tree = self.root / "build/src/linux-7.2"
        self.patches = self.root / "patches/7.2"
        if SeriesTest.made:
            self.as_author("Author")
            shutil.rmtree(self.root)
            shutil.copytree(SeriesTest.made, self.root, symlinks=True)
            return
        self.make()
        SeriesTest.made = Path(tempfile.mkdtemp(prefix="cpu_opv-")) / "project"
        unittest.addModuleCleanup(shutil.rmtree, SeriesTest.made.parent)
        shutil.copytree(self.root, SeriesTest.made, symlinks=True)

    def make(self):
        """Makes the project, as CONTRIBUTING tells to."""
        self.plain(self.tree)
        write(self.root / "rust/kernel/toy.rs", "//! A toy.\n")
        write(self.root / "kernel/toy.c", "/* A toy. */\n")
        write(self.root / "kernel/run.sh", "#!/bin/sh\n", executable=True)
        write(self.patches / "0000-cover-letter.txt", COVER)
        self.git("tag", "base")
        self.add("rust: add a toy", "rust/kernel/toy.rs")
        self.change("init/Kconfig", "config OLD9\n", "config OLD9\n\nconfig TOY\n")
        self.add("kernel: use the toy\n\nWhat for.", "kernel/toy.c", "kernel/run.sh", "init/Kconfig")
        result = self.series("export")
        self.assert_status(0, result)

    def plain(self, tree, name="Author"):
        """Makes a plain kernel, as scripts/source does."""
        write(tree / "Makefile", MAKEFILE)
        write(tree / "init/Kconfig", KCONFIG)
        self.as_author(name)
        self.git("init", "-q", "-b", "cpu_opv", tree, where=self.root)
        self.git("add", "-A", where=tree)
        self.git("commit", "-q", "-m", "Linux 7.2 (toy)", where=tree)
        self.git("update-ref", series.BASE_REF, "HEAD", where=tree)

    def as_author(self, name):
        """What is committed from now on is by someone of that name."""
        self.environment |= {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": "author@localhost", "GIT_COMMITTER_NAME": name,
                             "GIT_COMMITTER_EMAIL": "author@localhost", "GIT_AUTHOR_DATE": "2026-01-02T00:00:00+0100",
                             "GIT_COMMITTER_DATE": "2026-01-02T00:00:00+0100"}

    def git(self, *arguments, where=None):
        result = self.run_command("git", "-C", where or self.tree, *arguments)
        self.assert_status(0, result)
        return result.out.rstrip("\n")

    def add(self, message, *paths):
        """Commits files of ours, or changed ones, in the tree."""
        for path in paths:
            if not (self.tree / path).exists():
                (self.tree / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.root / path, self.tree / path)
        self.git("add", "-f", *paths)
        self.git("commit", "-q", "-m", message)

    def change(self, path, before, after, where=None):
        file = (where or self.tree) / path
        text = file.read_text()
        self.assertIn(before, text)
        file.write_text(text.replace(before, after))

    def series(self, *arguments, **variables):
        return self.script("series", *arguments, BASE="7.2", **variables)

    def printed(self):
        return {path.name: path.read_text() for path in sorted(self.patches.glob("0*"))}

    def subjects(self, tree=None):
        return self.git("log", "--format=%s", "--reverse", f"{series.BASE_REF}..HEAD", where=tree).splitlines()

    def anew(self):
        """The plain tree again, and nothing that was remembered."""
        shutil.rmtree(self.root / "build")
        self.plain(self.tree, name="Someone else")

    def assert_as_exported(self, tree=None):
        tree = tree or self.tree
        self.assertEqual(["rust: add a toy", "kernel: use the toy"], self.subjects(tree))
        for path in ("rust/kernel/toy.rs", "kernel/toy.c", "kernel/run.sh"):
            self.assertEqual((self.root / path).read_text(), (tree / path).read_text())
        self.assertTrue(os.access(tree / "kernel/run.sh", os.X_OK))
        self.assertIn("config TOY\n", (tree / "init/Kconfig").read_text())
        self.assertEqual("", self.git("status", "--porcelain", where=tree))


class Apply(SeriesTest):
    def test_on_a_plain_tree(self):
        self.anew()
        result = self.series("apply")
        self.assert_status(0, result)
        self.assertEqual("==> applying patches/7.2 with git am\n", result.err)
        self.assert_as_exported()

    def test_twice(self):
        self.anew()
        self.series("apply")
        head = self.git("rev-parse", "HEAD")
        result = self.series("apply")
        self.assert_status(0, result)
        self.assertEqual(("", head), (result.err, self.git("rev-parse", "HEAD")))

    def test_same_commits_whoever_applies(self):
        self.anew()
        self.series("apply")
        first = self.git("log", "--format=%H", f"{series.BASE_REF}..HEAD")
        self.git("reset", "-q", "--hard", series.BASE_REF)
        self.git("update-ref", "-d", series.APPLIED_REF)
        self.environment |= {"GIT_COMMITTER_NAME": "y", "GIT_COMMITTER_EMAIL": "y@localhost", "TZ": "Asia/Tokyo", "LC_ALL": "C",
                             "GIT_COMMITTER_DATE": "2030-01-01T00:00:00Z"}
        write(self.home / ".gitconfig", "[core]\n autocrlf = true\n[user]\n name = x\n")
        self.series("apply")
        self.assertEqual(first, self.git("log", "--format=%H", f"{series.BASE_REF}..HEAD"))

    def test_only_what_differs_is_touched(self):
        before = {path: (self.tree / path).stat().st_mtime_ns for path in ("init/Kconfig", "rust/kernel/toy.rs", "kernel/toy.c")}
        write(self.root / "kernel/toy.c", "/* Another toy. */\n")
        self.assert_status(0, self.series("apply"))
        self.assert_as_exported()
        after = {path: (self.tree / path).stat().st_mtime_ns for path in before}
        self.assertEqual(["kernel/toy.c"], [path for path in before if before[path] != after[path]])

    def test_new_file_without_a_patch(self):
        write(self.root / "kernel/new.c", "int x;\n")
        result = self.series("apply")
        self.assert_status(0, result)
        self.assertIn("warning: 1 new files are in no patch of patches/7.2 yet (git status in build/src/linux-7.2 shows them)", result.err)
        self.assertEqual("?? kernel/new.c", self.git("status", "--porcelain"))
        # Changed here it is changed there, and removed here it is removed there.
        write(self.root / "kernel/new.c", "int y;\n")
        self.series("apply")
        self.assertEqual("int y;\n", (self.tree / "kernel/new.c").read_text())
        (self.root / "kernel/new.c").unlink()
        self.series("apply")
        self.assertFalse((self.tree / "kernel/new.c").exists())

    def test_new_file_that_gets_a_patch(self):
        write(self.root / "kernel/new.c", "int x;\n")
        self.series("apply")
        self.add("kernel: add x", "kernel/new.c")
        self.assertIn("1 patches", self.series("export").err.replace("3 patches", "1 patches"))
        self.assertEqual(["rust: add a toy", "kernel: use the toy", "kernel: add x"], self.subjects())
        self.assertIn("0003-kernel-add-x.patch", self.printed())

    def test_commits_that_are_not_exported_stay(self):
        self.change("init/Kconfig", "config OLD2\n", "config OLD2\n\tbool\n")
        self.add("init: say what it is", "init/Kconfig")
        result = self.series("apply")
        self.assert_status(0, result)
        self.assertIn("has commits that patches/7.2 does not have: 'make patches' exports them", result.err)
        self.assertEqual("init: say what it is", self.subjects()[-1])

    def test_patches_that_were_edited(self):
        patch = next(self.patches.glob("0002-*"))
        self.change(patch.name, "config TOY", "config BETTER_TOY", where=self.patches)
        result = self.series("apply")
        self.assert_status(0, result)
        self.assertIn("config BETTER_TOY\n", (self.tree / "init/Kconfig").read_text())

    def test_both_have_changed(self):
        self.change("init/Kconfig", "config OLD2\n", "config OLD2\n\tbool\n")
        self.add("init: say what it is", "init/Kconfig")
        self.change(next(self.patches.glob("0002-*")).name, "config TOY", "config BETTER_TOY", where=self.patches)
        result = self.series("apply")
        self.assert_status(1, result)
        self.assertIn("error: both patches/7.2 and the branch in build/src/linux-7.2 have changed since they were last equal:", result.err)
        self.assertIn("init: say what it is", result.err)
        self.assertIn("to keep the branch's commits: git checkout patches/7.2 && make patches BASE=7.2", result.err)

    def test_change_that_is_not_committed(self):
        self.change("kernel/toy.c", "A toy", "My toy", where=self.tree)
        write(self.root / "kernel/toy.c", "/* Another toy. */\n")
        result = self.series("apply")
        self.assert_status(1, result)
        self.assertIn("error: files in build/src/linux-7.2 have changes that are not committed, and the series changes them too:", result.err)
        self.assertEqual("/* My toy. */\n", (self.tree / "kernel/toy.c").read_text())

    def test_file_of_ours_committed_in_the_tree_comes_home(self):
        self.change("kernel/toy.c", "A toy", "A better toy")
        self.add("fixup! kernel: use the toy", "kernel/toy.c")
        self.git("-c", "sequence.editor=:", "rebase", "-q", "-i", "--autosquash", series.BASE_REF)
        result = self.series("apply")
        self.assert_status(0, result)
        self.assertIn("    kernel/toy.c was changed by a commit in build/src/linux-7.2: copied to its home here", result.err)
        self.assertEqual("/* A better toy. */\n", (self.root / "kernel/toy.c").read_text())

    def test_file_that_was_changed_on_both_sides(self):
        self.change("kernel/toy.c", "A toy", "A better toy")
        self.add("fixup! kernel: use the toy", "kernel/toy.c")
        write(self.root / "kernel/toy.c", "/* Another toy. */\n")
        result = self.series("apply")
        self.assert_status(1, result)
        self.assertIn("error: kernel/toy.c was changed both here and by a commit in build/src/linux-7.2: its home is here", result.err)

    def test_no_source(self):
        shutil.rmtree(self.tree)
        self.assertIn("error: there is no kernel source in build/src/linux-7.2: run 'make source BASE=7.2'", self.series("apply").err)

    def test_usage(self):
        self.assertEqual("error: usage: scripts/series apply|export|check [upstream]|try\n", self.series("improve").err)


class Conflict(SeriesTest):
    def setUp(self):
        super().setUp()
        self.change(next(self.patches.glob("0002-*")).name, " config OLD8", " config GONE", where=self.patches)
        self.anew()

    def test_series_does_not_apply(self):
        result = self.series("apply")
        self.assert_status(1, result)
        self.assertIn("error: patch failed: init/Kconfig", result.err)
        self.assertIn("error: git am stopped at patch 2 of 2", result.err)
        self.assertIn("error: the series does not apply; the tree is as it was", result.err)
        self.assertEqual([], self.subjects())
        self.assertEqual("", self.git("status", "--porcelain"))

    def test_check_says_so(self):
        result = self.series("check")
        self.assert_status(1, result)
        self.assertIn("error: patches/7.2 does not apply to the plain Linux 7.2", result.err)


class Export(SeriesTest):
    def test_again_changes_nothing(self):
        printed = self.printed()
        result = self.series("export")
        self.assert_status(0, result)
        self.assertEqual("patches/7.2: nothing has changed\n", result.err)
        self.assertEqual(printed, self.printed())

    def test_what_is_printed(self):
        printed = self.printed()
        self.assertEqual(["0000-cover-letter.txt", "0001-rust-add-a-toy.patch", "0002-kernel-use-the-toy.patch"], list(printed))
        cover = printed["0000-cover-letter.txt"]
        self.assertTrue(cover.startswith("From 0000000000000000000000000000000000000000 "))
        self.assertIn("From: Author <author@localhost>\nDate: Fri, 2 Jan 2026 00:00:00 +0100\n"
                      "Subject: [PATCH 0/2] A toy series, the subject of which is so long that it is folded\n\nWhat it is.\n\nAuthor (2):\n", cover)
        self.assertIn("Subject: [PATCH 2/2] kernel: use the toy\n\nWhat for.\n---\n", printed["0002-kernel-use-the-toy.patch"])
        self.assertIn("new file mode 100755\n", printed["0002-kernel-use-the-toy.patch"])

    def test_changed_file_goes_into_the_patch_that_creates_it(self):
        before = self.printed()
        write(self.root / "rust/kernel/toy.rs", "//! A toy of two lines.\n//! Of Rust.\n")
        result = self.series("export")
        self.assert_status(0, result)
        self.assertEqual("patches/7.2: 2 patches reprinted\n", result.err)
        self.assertIn("+//! Of Rust.\n", self.printed()["0001-rust-add-a-toy.patch"])
        self.assertEqual(before["0002-kernel-use-the-toy.patch"], self.printed()["0002-kernel-use-the-toy.patch"])
        self.assert_as_exported()

    def test_new_file_without_a_patch(self):
        write(self.root / "kernel/new.c", "int x;\n")
        result = self.series("export")
        self.assert_status(1, result)
        self.assertIn("error: no patch of patches/7.2 creates these new files:\n       kernel/new.c\n", result.err)

    def test_patch_that_changes_a_new_file_again(self):
        self.change("kernel/toy.c", "A toy", "A better toy")
        self.add("kernel: a better toy", "kernel/toy.c")
        result = self.series("export")
        self.assert_status(1, result)
        self.assertIn("error: 'kernel: a better toy' changes kernel/toy.c, which 'kernel: use the toy' creates: a new file is created whole, by one patch", result.err)

    def test_no_text_for_the_cover_letter(self):
        (self.patches / "0000-cover-letter.txt").unlink()
        self.assertIn("warning: the cover letter has no text yet: edit patches/7.2/0000-cover-letter.txt", self.series("export").err)

    def test_other_version(self):
        self.change("Makefile", "PATCHLEVEL = 2", "PATCHLEVEL = 3")
        self.git("commit", "-q", "-a", "-m", "Linux 7.3")
        self.git("update-ref", series.BASE_REF, "HEAD")
        self.assertIn("error: build/src/linux-7.2 is not Linux 7.2, which patches/7.2 is for", self.series("export").err)

    def test_without_git_of_the_project(self):
        # As in a source archive; and what git ignores is none of ours.
        self.assertFalse((self.root / ".git").exists())
        write(self.root / ".gitignore", "*.o\n")
        write(self.root / "kernel/toy.o", "x")
        self.assertEqual("patches/7.2: nothing has changed\n", self.series("export").err)

    def test_in_a_checkout_of_another_owner(self):
        self.git("init", "-q", self.root, where=self.root)
        if os.getuid() == 0:
            os.chown(self.root / ".git", 65534, 65534)
            os.chown(self.root, 65534, 65534)
        self.assertEqual("patches/7.2: nothing has changed\n", self.series("export").err)


class Candidate(SeriesTest):
    """The series of a release candidate is marked until the kernel is released."""

    def setUp(self):
        super().setUp()
        self.marker = self.patches / "candidate"

    def kernel_is(self, makefile):
        """The plain tree is of another release, with the series on it."""
        end = self.git("rev-parse", "HEAD")
        write(self.tree / "Makefile", makefile)
        self.git("checkout", "-q", "-f", "--detach", series.BASE_REF)
        write(self.tree / "Makefile", makefile)
        self.git("commit", "-q", "-a", "-m", "Linux 7.2 (another)")
        self.git("checkout", "-q", "-B", "cpu_opv")
        self.git("cherry-pick", f"{series.BASE_REF}..{end}")
        self.git("update-ref", series.BASE_REF, "HEAD~2")

    def test_first_export(self):
        for old in self.patches.glob("*.patch"):
            old.unlink()
        (self.tree / ".git/cpu_opv-series").unlink()
        self.kernel_is(MAKEFILE + "EXTRAVERSION = -rc3\n")
        self.assert_status(0, self.series("export"))
        self.assertEqual("7.2-rc3\n", self.marker.read_text())
        self.assertEqual(2, len(list(self.patches.glob("*.patch"))))

    def test_next_candidate(self):
        self.marker.write_text("7.2-rc3\n")
        self.kernel_is(MAKEFILE + "EXTRAVERSION = -rc4\n")
        self.assert_status(0, self.series("export"))
        self.assertEqual("7.2-rc4\n", self.marker.read_text())

    def test_release(self):
        self.marker.write_text("7.2-rc3\n")
        result = self.series("check")
        self.assert_status(0, result)
        self.assertIn("warning: Linux 7.2 is released, and patches/7.2 is marked as that of a release candidate: "
                      "'make patches BASE=7.2' removes the mark\n", result.err)
        result = self.series("export")
        self.assertIn("Linux 7.2 is released: patches/7.2 is now used without being asked for\n", result.err)
        self.assertFalse(self.marker.exists())

    def test_old_candidate_does_not_mark_a_released_series(self):
        self.kernel_is(MAKEFILE + "EXTRAVERSION = -rc3\n")
        self.assert_status(0, self.series("export"))
        self.assertFalse(self.marker.exists())

    def test_is_not_the_default(self):
        (self.root / "patches/7.3").mkdir()
        (self.root / "patches/7.3/candidate").write_text("7.3-rc1\n")
        self.assertIn("patches/7.2 on", self.script("series", "check").err)
        self.assertIn("build/src/linux-7.3: run 'make source BASE=7.3'", self.script("series", "check", BASE="7.3").err)


class Backport(SeriesTest):
    """A file that the series adds as a later kernel has it."""

    def setUp(self):
        super().setUp()
        write(self.tree / "lib/later.c", "int later;\n")
        self.add("lib: backport later", "lib/later.c")

    def test_has_to_be_listed(self):
        # Otherwise it is taken for a new file, and comes home.
        self.assertIn("    lib/later.c is new: copied into this repository", self.series("export").err)

    def test_listed(self):
        write(self.patches / "backports", "lib/later.c\n")
        self.assert_status(0, self.series("export"))
        self.assertFalse((self.root / "lib/later.c").exists())
        self.assertIn("0003-lib-backport-later.patch", self.printed())
        self.assert_status(0, self.series("check"))

    def test_listed_and_not_created(self):
        write(self.patches / "backports", "lib/later.c\nlib/never.c\n")
        self.assertIn("error: patches/7.2/backports names lib/never.c, which no patch of patches/7.2 creates", self.series("export").err)


class Check(SeriesTest):
    def test_all_agree(self):
        result = self.series("check")
        self.assert_status(0, result)
        self.assertEqual("patches/7.2 on 'Linux 7.2 (toy)': 2 patches yield 3 new files of ours, as they are here\n", result.err)

    def test_file_that_was_not_folded_in(self):
        write(self.root / "kernel/toy.c", "/* Another toy. */\n")
        result = self.series("check")
        self.assert_status(1, result)
        self.assertIn("error: patches/7.2 does not yield these files as they are in this repository ('make patches' folds them in):", result.err)
        self.assertIn("kernel/toy.c", result.err)

    def test_mode_that_was_not_folded_in(self):
        (self.root / "kernel/run.sh").chmod(0o644)
        self.assert_status(1, self.series("check"))

    def test_patch_that_was_edited_by_hand(self):
        self.change("0002-kernel-use-the-toy.patch", "Subject: [PATCH 2/2]", "Subject: [PATCH v9 2/2]", where=self.patches)
        result = self.series("check")
        self.assert_status(1, result)
        self.assertIn("-Subject: [PATCH v9 2/2] kernel: use the toy", result.err)
        self.assertIn("error: patches/7.2 differs from what 'make patches' prints", result.err)

    def test_other_line_numbers_are_no_difference(self):
        tree = self.root / "build/src/upstream-7.2"
        self.plain(tree)
        self.change("init/Kconfig", "config OLD0\n", "config OLDER\n\nconfig OLD0\n", where=tree)
        self.git("commit", "-q", "-a", "--amend", "-m", "Linux 7.2 (upstream)", where=tree)
        self.git("update-ref", series.BASE_REF, "HEAD", where=tree)
        result = self.series("check", "upstream")
        self.assert_status(0, result)
        self.assertIn("patches/7.2 on 'Linux 7.2 (upstream)'", result.err)

    def test_no_series(self):
        for patch in self.patches.glob("*.patch"):
            patch.unlink()
        self.assertIn("error: there is no series in patches/7.2", self.series("check").err)

    def test_branch_is_not_touched(self):
        write(self.root / "kernel/toy.c", "/* Another toy. */\n")
        head = self.git("rev-parse", "HEAD")
        self.series("check")
        self.assertEqual((head, ""), (self.git("rev-parse", "HEAD"), self.git("status", "--porcelain")))


class Interrupted(SeriesTest):
    """Wherever apply is killed, the next one brings the tree to where it belongs."""

    def killed_at(self, number):
        """Runs apply until git is called for the @number-th time; returns whether it came to that."""
        count = self.scratch / "count"
        count.write_text("0\n")
        self.stub("git", f"""
            count=$(($(<{count}) + 1))
            echo $count >{count}
            if [ $count = {number} ]; then kill -9 $PPID; exit 137; fi
            exec {shutil.which('git')} "$@"
            """)
        result = self.series("apply")
        (self.stubs / "git").unlink()
        return result.status == -9

    def test_anywhere(self):
        number = 1
        while True:
            self.anew()
            if not self.killed_at(number):
                break
            result = self.series("apply")
            self.assert_status(0, result)
            self.assert_as_exported()
            number += 7
        # It came to its end at last.
        self.assertGreater(number, 30)
        self.assert_as_exported()

    def test_in_the_middle_of_a_patch(self):
        self.anew()
        write(self.root / "build/series/linux-7.2/.git/rebase-apply/next", "1")
        write(self.root / "build/series/linux-7.2/.git/index.lock", "")
        self.assert_status(0, self.series("apply"))
        self.assert_as_exported()

    def test_git_that_was_killed_in_the_tree(self):
        self.anew()
        lock = write(self.tree / ".git/index.lock", "")
        result = self.series("apply")
        self.assert_status(1, result)
        self.assertIn("or was killed there, has left build/src/linux-7.2/.git/index.lock", result.err)
        lock.unlink()
        self.assert_status(0, self.series("apply"))
        self.assert_as_exported()


class Kdir(SeriesTest):
    """A kernel tree of someone's own, with other lines around ours."""

    def setUp(self):
        super().setUp()
        self.kdir = self.scratch / "theirs"
        self.plain(self.kdir)
        self.git("update-ref", "-d", series.BASE_REF, where=self.kdir)
        self.change("init/Kconfig", "config OLD8\n", "config THEIRS\nconfig OLD8\n", where=self.kdir)
        self.git("commit", "-q", "-a", "-m", "theirs", where=self.kdir)
        self.worktree = self.root / "build/src/kdir-theirs"

    def apply(self):
        self.assert_status(0, self.script("source", KDIR=self.kdir))
        return self.series("apply", KDIR=self.kdir)

    def test_merged(self):
        # The lines around the change are others: this takes a merge.
        head = self.git("rev-parse", "HEAD", where=self.kdir)
        result = self.apply()
        self.assert_status(0, result)
        self.assertIn("the series is on the new branch cpu_opv-7.2 of KDIR, checked out in build/src/kdir-theirs", result.err)
        self.assert_as_exported(self.worktree)
        self.assertIn("config THEIRS\n", (self.worktree / "init/Kconfig").read_text())
        self.assertEqual(head, self.git("rev-parse", "HEAD", where=self.kdir))
        # A second time nothing is done.
        result = self.apply()
        self.assertEqual((0, ""), (result.status, result.err))

    def test_branch_of_that_name_is_not_moved(self):
        self.git("branch", "cpu_opv-7.2", where=self.kdir)
        head = self.git("rev-parse", "cpu_opv-7.2", where=self.kdir)
        self.assertIn("on the new branch cpu_opv-7.2-2 of KDIR", self.apply().err)
        self.assertEqual(head, self.git("rev-parse", "cpu_opv-7.2", where=self.kdir))

    def test_conflict(self):
        self.change("init/Kconfig", "config OLD9\nconfig OLD10\n", "config NINE\nconfig TEN\n", where=self.kdir)
        self.git("commit", "-q", "-a", "-m", "theirs, too", where=self.kdir)
        result = self.apply()
        self.assert_status(1, result)
        self.assertIn("error: git am stopped at patch 2 of 2 with conflicts in: init/Kconfig", result.err)
        self.assertIn("KDIR and build/src/kdir-theirs are as they were. You can", result.err)
        self.assertIn(f"git switch -c NAME && git am --reject {self.patches}/*.patch", result.err)
        self.assertEqual("", self.git("status", "--porcelain", where=self.worktree))
