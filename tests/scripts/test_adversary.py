# SPDX-License-Identifier: GPL-2.0
"""scripts/adversary: what it refuses, and which ratios are a failure. The guest is a stub."""

from support import ProjectTest, write

ARGUED = """
    Guarantees
    ==========

    fork (up to 9 times)
        That is no argument: it is not under Security.

    Security
    ========

    munmap (up to 2.5 times)
        Why that has to be.
    """


class Adversary(ProjectTest):
    def setUp(self):
        super().setUp()
        self.tools()
        self.stub("make")
        self.image = write(self.root / "build/out/7.2-run/arch/x86/boot/bzImage", "")
        write(self.root / "Documentation/userspace-api/cpu_opv.rst", ARGUED)
        self.environment["BASE"] = "7.2"

    def adversary(self, *rows, status=0, arguments=(), **variables):
        """Each row: what is measured, without the call, with it."""
        lines = "".join(row if isinstance(row, str) else f"{row[0]}\tus\tdo something else\t{row[1]}\t{row[2]}\n" for row in rows)
        write(self.scratch / "rows", lines)
        write(self.root / "scripts/vm", f"""
            #!/bin/bash
            printf '%s\\n' "$KVM $CPUS $QEMU_OPTS" "$@" >{self.scratch}/call
            echo ready
            cat {self.scratch}/rows
            exit {status}
            """, executable=True)
        return self.script("adversary", *arguments, **variables)

    def test_table(self):
        result = self.adversary(("fork", 100, 150), ("share", 2, 1))
        self.assert_status(0, result)
        self.assertRegex(result.out, r"(?m)^fork, us +100\.0 +150\.0 +1\.50   do something else$")
        self.assertRegex(result.out, r"(?m)^share, us +2\.00 +1\.00 +0\.50   ")
        self.assertIn("2 rows, no ratio above 1.5", result.err)
        self.assertEqual(result.out, (self.root / "build/log/adversary-7.2-run.txt").read_text())

    def test_above(self):
        result = self.adversary(("share", 100, 99), ("fork", 100, 151))
        self.assert_status(1, result)
        self.assertRegex(result.out, r"(?m)^fork.* 1\.51 .*<-- above 1\.5$")
        self.assertIn("error: a ratio is above its limit", result.err)

    def test_argued(self):
        result = self.adversary(("munmap", 100, 249))
        self.assert_status(0, result)
        self.assertRegex(result.out, r"(?m)^munmap.* 2\.49 .*\(argued, up to 2\.5\)$")

    def test_above_what_is_argued(self):
        result = self.adversary(("munmap", 100, 251))
        self.assert_status(1, result)
        self.assertIn("<-- above 2.5", result.out)

    def test_no_row(self):
        self.assert_status(1, self.adversary())

    def test_what_is_no_row(self):
        for line in ("fork\n", "fork\tus\tnothing\t0\t5\n", "fork\tus\tnothing\t5\t-nan\n"):
            result = self.adversary(("share", 1, 1), line)
            self.assert_status(1, result)
            self.assertIn("error: this is no row: fork", result.out)

    def test_status_of_the_program(self):
        result = self.adversary(("share", 1, 1), status=7)
        self.assert_status(1, result)
        self.assertIn("error: the adversary ended with status 7", result.err)

    def test_guest(self):
        self.adversary(("share", 1, 1), arguments=["fork", "share"], ROUNDS=7, KVM="on", CPUS=9)
        call = (self.scratch / "call").read_text()
        self.assertTrue(call.startswith("off 5 -icount "), call)
        self.assertIn("/build/adversary/adversary 7 fork share\n", call)

    def test_bad_arguments(self):
        for variables in ({"ROUNDS": "0"}, {"ROUNDS": "x"}, {"ROUNDS": "100"}):
            result = self.adversary(("share", 1, 1), **variables)
            self.assert_status(1, result)
            self.assertIn(f"error: ROUNDS={variables['ROUNDS']} is not a number", result.err)
        result = self.adversary(("share", 1, 1), arguments=["fork; reboot"])
        self.assert_status(1, result)
        self.assertIn("error: 'fork; reboot' is no word of a row", result.err)
        self.assertFalse((self.scratch / "call").exists())

    def test_no_kernel(self):
        self.image.unlink()
        result = self.adversary(("share", 1, 1))
        self.assert_status(1, result)
        self.assertIn("error: no kernel has been built for BASE=7.2 FLAVOUR=run: run 'make kernel BASE=7.2 FLAVOUR=run'", result.err)

    def test_another_architecture(self):
        result = self.adversary(("share", 1, 1), ARCH="arm64")
        self.assert_status(1, result)
        self.assertIn("error: ARCH=arm64: the adversary has been tried on x86-64 alone", result.err)

