# SPDX-License-Identifier: GPL-2.0
"""tests/bare: what it makes, runs and removes. debootstrap, chroot and the namespace are stubs."""

import os
import shutil

from support import ROOT, ProjectTest, write


class Bare(ProjectTest):
    def setUp(self):
        super().setUp()
        (self.root / "tests").mkdir()
        shutil.copy(ROOT / "tests/bare", self.root / "tests")
        write(self.root / ".gitignore", "/build/\n")
        self.environment["HOST"] = "nothing of this machine"
        self.stub("id", 'case $* in -u) echo 0 ;; *) exit 1 ;; esac')
        self.stub("mount")
        # The options of unshare go up to the command.
        self.stub("unshare", 'while [[ $1 = --propagation || $1 = private || $1 = --* ]]; do shift; done; exec "$@"')
        self.stub("debootstrap", f"""
            echo "$@" >>{self.scratch}/calls
            mkdir -p "${{@: -1}}"/{{etc,proc,sys,dev,usr/local/share/ca-certificates}}
            """)
        self.stub("chroot", f"""
            root=$1; shift
            [ "$1" != update-ca-certificates ] || exit 0
            echo "$root" >>{self.scratch}/roots
            exec "${{@/#\\/cpu_opv/$root/cpu_opv}}"
            """)

    def bare(self, *arguments):
        return self.run_command(self.root / "tests/bare", *arguments)

    def test_default(self):
        write(self.root / "scripts/tools", "#!/bin/bash\necho looks for the tools\n", executable=True)
        result = self.bare()
        self.assert_status(0, result)
        self.assertEqual(2, result.out.count("looks for the tools\n"))
        self.assertRegex(result.out, r"(?m)^bookworm +status 0 +0:\d\d  make tools$")
        self.assertRegex(result.out, r"(?m)^trixie +status 0 +0:\d\d  make tools$")
        self.assertIn("--variant=minbase --include=make,git,ca-certificates bookworm ", (self.scratch / "calls").read_text())

    def test_copy_and_environment(self):
        write(self.root / "new.c", "not committed\n")
        write(self.root / "build/out/x.o", "built\n")
        result = self.bare("-c", "cat new.c; ls -d build; echo <$HOST> <$HOME>".replace("<", "'<'").replace(">", "'>'"), "trixie")
        self.assertEqual(["not committed", "<> </root>"], result.out.splitlines()[:2])

    def test_failure(self):
        result = self.bare("-c", "mkdir -p build/log; echo why >build/log/x.log; exit 7", "trixie", "bookworm")
        self.assert_status(1, result)
        self.assertEqual(2, result.out.count(" status 7 "))
        self.assertEqual("why\n", (self.root / "build/log/bare-trixie/x.log").read_text())

    def test_nothing_stays_behind(self):
        self.bare("-c", "true", "trixie")
        root = (self.scratch / "roots").read_text().strip()
        self.assertTrue(root.startswith(f"{self.root}/build/bare/trixie-"))
        self.assertFalse(os.path.exists(root))

    def test_interrupted(self):
        # Each of the stubs is replaced by what it runs: the parent is the script.
        self.assert_status(130, self.bare("-c", "kill -TERM $PPID; exec sleep 60", "trixie"))
        self.assertEqual([], list((self.root / "build/bare").iterdir()))

    def test_debootstrap_that_fails(self):
        self.stub("debootstrap", "exit 1")
        result = self.bare("sid")
        self.assert_status(1, result)
        self.assertIn("error: debootstrap failed\n", result.err)
        self.assertEqual([], list((self.root / "build/bare").iterdir()))

    def test_not_root(self):
        self.stub("id", "echo 1000")
        result = self.bare()
        self.assert_status(1, result)
        self.assertEqual("error: a system of its own takes root: sudo make bare-test\n", result.err)

    def test_no_debootstrap(self):
        (self.stubs / "debootstrap").unlink()
        self.only()
        result = self.bare()
        self.assert_status(1, result)
        self.assertEqual("error: debootstrap was not found: apt-get install debootstrap\n", result.err)
