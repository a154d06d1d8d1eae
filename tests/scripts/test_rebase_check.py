# SPDX-License-Identifier: GPL-2.0
"""scripts/rebase-check: a series on a newer kernel, patch by patch."""

import hashlib
import shutil
import tarfile

from support import ProjectTest, write
from test_series import COVER, MAKEFILE, series

KCONFIG = "".join(f"config OLD{number}\n" for number in range(20))


class RebaseCheck(ProjectTest):
    """A series of three patches for 7.2, two of them for lists, and a kernel 7.3 in KDIR."""

    def setUp(self):
        super().setUp()
        self.tree = self.root / "build/src/linux-7.2"
        self.kdir = self.scratch / "newer"
        self.environment |= {"GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@localhost", "GIT_COMMITTER_NAME": "x",
                             "GIT_COMMITTER_EMAIL": "x@localhost", "GIT_AUTHOR_DATE": "2026-01-02T00:00:00+0000"}
        files = {"Makefile": MAKEFILE, "init/Kconfig": KCONFIG, "kernel/list.c": KCONFIG.replace("config", "entry"),
                 "include/old.h": "int a;\nint b;\n"}
        for tree in (self.tree, self.kdir):
            for path, text in files.items():
                write(tree / path, text)
            self.git("init", "-q", "-b", "cpu_opv", tree, where=self.root)
            self.commit("plain", tree)
        self.git("update-ref", series.BASE_REF, "HEAD")
        self.git("tag", "base")
        self.change("init/Kconfig", "config OLD9\n", "config OLD9\n\nconfig TOY\n")
        self.commit("init: add the toy")
        self.change("kernel/list.c", "entry OLD5\n", "entry OLD5\nentry TOY\n")
        self.commit("kernel: list the toy")
        self.change("kernel/list.c", "entry OLD15\n", "entry OLD15\nentry ANOTHER\n")
        self.commit("kernel: list another, by a subject that is so long that git format-patch has to fold it")
        write(self.root / "patches/7.2/0000-cover-letter.txt", COVER)
        self.assert_status(0, self.script("series", "export", BASE="7.2"))
        self.change("Makefile", "PATCHLEVEL = 2", "PATCHLEVEL = 3", self.kdir)

    def git(self, *arguments, where=None):
        result = self.run_command("git", "-C", where or self.tree, *arguments)
        self.assert_status(0, result)
        return result.out.rstrip("\n")

    def commit(self, title, where=None):
        self.git("add", "-A", where=where)
        self.git("commit", "-q", "-m", title, where=where)

    def change(self, path, before, after, where=None):
        file = (where or self.tree) / path
        text = file.read_text()
        self.assertIn(before, text)
        file.write_text(text.replace(before, after))

    def newer(self, path, before, after):
        self.change(path, before, after, self.kdir)
        self.commit("Linux 7.3 (toy)", self.kdir)

    def check(self, **variables):
        return self.script("rebase-check", KDIR=self.kdir, **variables)

    def tried(self):
        return self.git("log", "--format=%s", f"{series.BASE_REF}..{series.TRIED_REF}",
                        where=self.root / "build/src/kdir-newer").splitlines()[::-1]

    def test_all_apply(self):
        self.newer("include/old.h", "int b;\n", "")
        result = self.check()
        self.assert_status(0, result)
        self.assertIn("==> applying the patches of patches/7.2, one by one, to 'Linux 7.3 (toy)'\n", result.err)
        self.assertIn("   1 applies   init: add the toy\n", result.err)
        self.assertIn("   3 applies   kernel: list another, by a subject that is so long that git format-patch has to fold it\n", result.err)
        self.assertIn("3 patches: 3 apply as they are, 0 are merged, 0 have a conflict and were left out\n", result.err)
        # Nothing that the series edits has changed.
        self.assertNotIn("sources that the series edits", result.err)
        self.assertEqual(3, len(self.tried()))

    def test_context_that_has_changed(self):
        self.newer("kernel/list.c", "entry OLD7\n", "entry NEW7\n")
        result = self.check()
        self.assert_status(0, result)
        self.assertIn("   2 merged    kernel: list the toy\n", result.err)
        self.assertIn("3 patches: 2 apply as they are, 1 are merged, 0 have a conflict and were left out\n", result.err)
        self.assertIn("sources that the series edits, and that differ from those that patches/7.2 is for (lines added, removed):\n"
                      "       1      1  kernel/list.c\n", result.err)
        command = result.err.split("where all applies: ")[1].split(" -- FILE")[0]
        diff = self.run_command(*command.split(), "--", "kernel/list.c")
        self.assertIn("+entry NEW7\n", diff.out)

    def test_conflict(self):
        self.newer("kernel/list.c", "entry OLD6\n", "entry NEW6\n")
        result = self.check()
        self.assert_status(1, result)
        self.assertIn("   2 CONFLICT  kernel: list the toy\n              kernel/list.c\n"
                      "              the conflict is in build/log/rebase-check-kdir-newer-0002.diff\n", result.err)
        self.assertIn("++entry TOY", (self.root / "build/log/rebase-check-kdir-newer-0002.diff").read_text().replace("+ ", "++"))
        # It is left out, and the next one is tried.
        self.assertRegex(result.err, "   3 (applies |merged  )  kernel: list another")
        self.assertIn("1 have a conflict and were left out\n", result.err)
        self.assertIn("git switch -c NAME && git am -3", result.err)
        # What may be built ends before it.
        self.assertEqual(["init: add the toy"], self.tried())
        self.assertEqual("", self.git("status", "--porcelain", where=self.root / "build/src/kdir-newer"))

    def test_conflict_that_may_come_of_an_earlier_one(self):
        self.change("kernel/list.c", "entry OLD14\n", "entry NEW14\n", self.kdir)
        self.change("kernel/list.c", "entry OLD16\n", "entry NEW16\n", self.kdir)
        self.newer("kernel/list.c", "entry OLD6\n", "entry NEW6\n")
        result = self.check()
        self.assertIn("rebase-check-kdir-newer-0003.diff (patch 2, left out, has these files, too)\n", result.err)

    def test_file_that_is_gone(self):
        (self.kdir / "kernel/list.c").unlink()
        self.commit("Linux 7.3 (toy)", self.kdir)
        result = self.check()
        self.assert_status(1, result)
        self.assertIn("   2 CONFLICT  kernel: list the toy\n              kernel/list.c\n", result.err)

    def test_again_after_it_was_resolved(self):
        self.newer("kernel/list.c", "entry OLD6\n", "entry NEW6\n")
        self.check()
        self.newer("kernel/list.c", "entry NEW6\n", "entry OLD6\n")
        self.assert_status(0, self.check())
        self.assertEqual([], list((self.root / "build/log").glob("rebase-check-*.diff")))

    def test_newer_release_of_the_same_base(self):
        self.change("Makefile", "PATCHLEVEL = 3", "PATCHLEVEL = 2", self.kdir)
        self.newer("kernel/list.c", "entry OLD6\n", "entry NEW6\n")
        result = self.check()
        self.assert_status(1, result)
        self.assertIn(f"build/src/linux-7.2 && git fetch {self.kdir} HEAD && git rebase --onto FETCH_HEAD base\n", result.err)
        # As it says.
        self.git("fetch", "-q", self.kdir, "HEAD")
        self.assertNotEqual(0, self.run_command("git", "-C", self.tree, "rebase", "-q", "--onto", "FETCH_HEAD", "base").status)
        self.change("kernel/list.c", "<<<<<<<", "#")
        self.git("add", "-f", "kernel/list.c")
        self.git("-c", "core.editor=true", "rebase", "--continue")
        self.git("tag", "-f", "base", "FETCH_HEAD")
        self.git("update-ref", series.BASE_REF, "base")
        self.assert_status(0, self.script("series", "export", BASE="7.2"))
        self.assert_status(0, self.check())

    def test_no_source_of_the_base(self):
        # The tree that the patches were made for is in no repository here.
        self.run_command("rm", "-rf", self.kdir / ".git")
        self.git("init", "-q", self.kdir, where=self.root)
        self.newer("kernel/list.c", "entry OLD7\n", "entry NEW7\n")
        (self.tree.parent / "gone").mkdir()
        self.tree.rename(self.tree.parent / "gone/linux-7.2")
        write(self.root / "scripts/source", '#!/bin/bash\n[ -n "$KDIR" ] && exec "${0%source}real-source"\nexit 1\n', executable=True)
        (self.root / "scripts/real-source").write_bytes((series.ROOT / "scripts/source").read_bytes())
        (self.root / "scripts/real-source").chmod(0o755)
        result = self.check()
        self.assert_status(1, result)
        self.assertIn("warning: without the source that they were made for, git cannot merge: make source BASE=7.2\n", result.err)
        self.assertIn("   2 CONFLICT  kernel: list the toy\n", result.err)

    def fetched(self, name):
        """@name is what was fetched before, with the files of KDIR; there is no network."""
        write(self.kdir / ".gitignore", "*.o\n")
        cache = self.root / "build/cache"
        cache.mkdir(parents=True)
        with tarfile.open(cache / name, "w:xz") as tar:
            for path in ("Makefile", "init", "kernel", "include", ".gitignore"):
                tar.add(self.kdir / path, f"linux/{path}")
        write(cache / f"{name}.sha256", f"{hashlib.sha256((cache / name).read_bytes()).hexdigest()}  {name}\n")
        write(self.scratch / "system/etc/os-release", "ID=fedora\n")
        self.environment["SYSTEM"] = str(self.scratch / "system")
        for command in ("curl", "apt-get", "apt-cache"):
            self.stub(command, "exit 6")

    def test_source_that_is_fetched(self):
        self.change("kernel/list.c", "entry OLD6\n", "entry NEW6\n", self.kdir)
        self.fetched("linux-7.3.1.tar.xz")
        result = self.script("rebase-check", ONTO="7.3")
        self.assert_status(1, result)
        self.assertIn("one by one, to 'Linux 7.3 (linux-7.3.1.tar.xz)'\n", result.err)
        self.assertIn("    mkdir patches/7.3 && cp patches/7.2/0000-cover-letter.txt patches/7.3/\n"
                      "    make series BASE=7.2 && make source BASE=7.3 && cd build/src/linux-7.3\n", result.err)
        # As it says.
        (self.root / "patches/7.3").mkdir()
        shutil.copy(self.root / "patches/7.2/0000-cover-letter.txt", self.root / "patches/7.3")
        self.assert_status(0, self.script("source", BASE="7.3"))
        tree = self.root / "build/src/linux-7.3"
        self.git("fetch", "-q", "../linux-7.2", "cpu_opv", where=tree)
        patches = sorted((self.root / "patches/7.2").glob("*.patch"))
        self.assertNotEqual(0, self.run_command("git", "-C", tree, "am", "-q", "-3", *patches).status)
        self.change("kernel/list.c", "<<<<<<<", "#", tree)
        self.git("add", "-f", "kernel/list.c", where=tree)
        self.git("am", "-q", "--continue", where=tree)
        self.assert_status(0, self.script("series", "export", BASE="7.3"))
        # Without ONTO it is the newest base.
        result = self.script("rebase-check")
        self.assert_status(0, result)
        self.assertIn("applying the patches of patches/7.3, one by one, to 'Linux 7.3 (linux-7.3.1.tar.xz)'\n", result.err)
        self.assertIn("3 patches: 3 apply as they are,", result.err)

    def test_onto_and_kdir(self):
        result = self.check(ONTO="7.3")
        self.assert_status(1, result)
        self.assertIn("error: ONTO and KDIR were both given", result.err)

    def test_bare_repository(self):
        self.newer("include/old.h", "int b;\n", "")
        self.git("clone", "-q", "--bare", self.kdir, self.scratch / "bare.git", where=self.scratch)
        result = self.script("rebase-check", KDIR=self.scratch / "bare.git")
        self.assert_status(0, result)
        self.assertNotIn("fatal", result.err)
        self.assertIn("KDIR is Linux 7.3: the nearest series is that for 7.2\n", result.err)

    def test_build(self):
        """What was applied is compiled: the C files that the series touches, and the Rust core."""
        self.newer("include/old.h", "int b;\n", "")
        calls = self.scratch / "calls"
        write(self.root / "scripts/kernel", f"""
            #!/bin/bash
            echo "$(git -C {self.root}/build/src/kdir-newer-each log -1 --format=%s | cut -c 1-20) $FLAVOUR $*" >>{calls}
            : >{self.root}/build/log/kernel-kdir-newer-each.log
            """, executable=True)
        result = self.check(BUILD="1")
        self.assert_status(0, result)
        self.assertEqual(["init: add the toy each rust/kernel.o", "kernel: list the toy each kernel/list.o rust/kernel.o",
                          "kernel: list another each kernel/list.o rust/kernel.o"], calls.read_text().splitlines())
        self.assertIn("==> done: each of 3 patches for Linux 7.2 builds (what they touch), without a warning\n", result.err)

    def test_build_up_to_the_conflict(self):
        self.newer("kernel/list.c", "entry OLD6\n", "entry NEW6\n")
        calls = self.scratch / "calls"
        write(self.root / "scripts/kernel", f'#!/bin/bash\necho "$*" >>{calls}\n: >{self.root}/build/log/kernel-kdir-newer-each.log\n',
              executable=True)
        self.assert_status(1, self.check(BUILD="1"))
        self.assertEqual(["rust/kernel.o"], calls.read_text().splitlines())

    def test_build_after_a_conflict_of_the_first(self):
        self.newer("init/Kconfig", "config OLD10\n", "config NEW10\n")
        result = self.check(BUILD="1")
        self.assert_status(1, result)
        self.assertIn("==> nothing to build: the first patch does not apply\n", result.err)
