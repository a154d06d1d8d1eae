# SPDX-License-Identifier: GPL-2.0
"""What all scripts share, and what the Makefile passes to them."""

import re

from support import ProjectTest, write


class Refused(ProjectTest):
    """What cannot work is said at once, in one line."""

    def test_path_with_a_space(self):
        spaced = self.scratch / "my project"
        self.root.rename(spaced)
        self.root = spaced
        result = self.run_command("make", "run")
        self.assert_status(2, result)
        self.assertIn(f"error: the kernel cannot be built in a path with a space or a colon: move {spaced}\n", result.err)
        self.assertFalse((spaced / "build").exists())

    def test_unknown_architecture(self):
        result = self.script("tools", ARCH="sparc")
        self.assert_status(1, result)
        self.assertEqual("error: ARCH=sparc is none of x86_64, arm64, riscv64, s390x (unset ARCH if it is merely exported)\n",
                         result.err)


class Architecture(ProjectTest):
    """The machine's own is the default, and another is foreign."""

    def on(self, machine, **variables):
        self.stub("uname", f"echo {machine}")
        text = 'BASE=7.2; . scripts/lib.sh; use_base; foreign=no; is_foreign && foreign=yes; echo "$ARCH $IMAGE ${OUT#$BUILD/} $foreign"'
        return self.run_command("bash", "-c", text, **variables).out

    def test_default(self):
        self.assertEqual("x86_64 arch/x86/boot/bzImage out/7.2-run no\n", self.on("x86_64"))
        self.assertEqual("arm64 arch/arm64/boot/Image out/7.2-arm64-run no\n", self.on("aarch64"))
        self.assertEqual("riscv64 arch/riscv/boot/Image out/7.2-riscv64-run no\n", self.on("riscv64"))

    def test_foreign(self):
        self.assertEqual("arm64 arch/arm64/boot/Image out/7.2-arm64-debug yes\n", self.on("x86_64", ARCH="arm64", FLAVOUR="debug"))
        self.assertEqual("x86_64 arch/x86/boot/bzImage out/7.2-run yes\n", self.on("aarch64", ARCH="x86_64"))

    def compiler(self, machine, **variables):
        self.tools()
        self.stub("uname", f"echo {machine}")
        self.stub("make", """printf '%s\\n' "$@" | grep -E '^(ARCH|LLVM|CC)='""")
        text = "BASE=7.2; . scripts/lib.sh; use_base; use_tools; kmake; program_compilers; echo $CC"
        return self.run_command("bash", "-c", text, **variables).out.splitlines()

    def test_compilers(self):
        self.assertEqual(["ARCH=x86_64", "LLVM=", "CC=ccache gcc", "gcc"], self.compiler("x86_64"))
        self.assertEqual(["ARCH=arm64", "LLVM=", "CC=ccache gcc", "gcc"], self.compiler("aarch64"))
        self.assertEqual(["ARCH=arm64", "LLVM=-19", "CC=ccache clang-19", "clang-19 --target=aarch64-linux-gnu -fuse-ld=lld -static"],
                         self.compiler("x86_64", ARCH="arm64"))
        self.assertEqual("ARCH=riscv", self.compiler("x86_64", ARCH="riscv64")[0])


class Help(ProjectTest):
    def test_each_target_and_variable_is_named(self):
        text = (self.root / "Makefile").read_text()
        said = self.run_command("make", "help").out
        targets = {word for line in re.findall(r"^\.PHONY: (.*)", text, re.M) for word in line.split()}
        for target in sorted(targets - {"help", "plan-run", "plan-check"}):
            self.assertRegex(said, rf"(?m)^  make {target}\b(?!-)", target)
        for line in re.findall(r"^export (.*)", text, re.M):
            for variable in line.split():
                self.assertRegex(said, rf"\b{variable}=", variable)


class Make(ProjectTest):
    """The Makefile, with scripts that print what they get."""

    def stand_in(self, name, text):
        write(self.root / "scripts" / name, f"#!/bin/bash\n. {self.root}/scripts/lib.sh\n{text}\n", executable=True)

    def vm(self, command, **variables):
        self.stand_in("vm", """printf '<%s>\\n' "$@" """)
        return self.run_command("make", "vm", f"CMD={command}", **variables).out

    def test_command_keeps_every_character(self):
        for command in ("echo $HOME", "echo $$", """echo "it's" 'a  b' \\n; ls *""", "echo ${x:-$(date)}"):
            self.assertEqual(f"<{command}>\n", self.vm(command))

    def test_command_from_the_environment(self):
        self.stand_in("vm", """printf '<%s>\\n' "$@" """)
        self.assertEqual("<echo $HOME>\n", self.run_command("make", "vm", CMD="echo $HOME").out)

    def test_jobs(self):
        self.stand_in("patches", 'echo "$JOBS"; make -C /nowhere 2>&1')
        self.stand_in("tools", "true")
        for arguments, jobs in ((["-j3"], "3"), (["-j3", "JOBS=7"], "7"), (["JOBS=7"], "7")):
            result = self.run_command("make", *arguments, "patches")
            self.assertEqual(jobs, result.out.splitlines()[0], result)
            self.assertNotIn("jobserver", result.out + result.err)

    def test_config_is_flavour(self):
        self.stand_in("tools", "true")
        self.stand_in("patches", 'echo "$FLAVOUR"')
        self.assertEqual("debug\n", self.run_command("make", "patches", "CONFIG=debug").out)


class Logged(ProjectTest):
    """logged: a command with its output in a file."""

    def logged(self, command):
        return self.run_command("bash", "-c", f". scripts/lib.sh; logged name bash -c '{command}'")

    def test_success_is_silent(self):
        result = self.logged("echo much; exit 0")
        self.assert_status(0, result)
        self.assertEqual(("", ""), (result.out, result.err))
        self.assertEqual("much\n", (self.root / "build/log/name.log").read_text())

    def test_failure_shows_the_first_complaint_and_the_end(self):
        result = self.logged("echo x.c:1: error: wrong; for i in {1..100}; do echo line $i; done; exit 3")
        self.assert_status(3, result)
        self.assertIn("failed (status 3): bash -c", result.err)
        self.assertIn("1:x.c:1: error: wrong", result.err)
        self.assertIn("line 100", result.err)
        self.assertNotIn("line 50\n", result.err)
