# SPDX-License-Identifier: GPL-2.0
"""scripts/vm: how a guest is started, what reaches it, and what comes back. vng is a stub."""

import os
import signal
import subprocess
import time
import unittest

from support import ProjectTest, write


class VmTest(ProjectTest):
    """The guest is this machine."""

    def setUp(self):
        super().setUp()
        self.tools()
        write(self.root / "build/out/7.2-run/arch/x86/boot/bzImage", "")
        self.calls = self.scratch / "calls"
        self.node = self.scratch / "kvm"
        self.vng("eval \"$command\"")
        self.environment |= {"BASE": "7.2", "KVM_NODE": str(self.node)}

    def vng(self, run):
        self.stub("vng", f"""
            printf '%s\\n' "$@" '' >>{self.calls}
            while [ $# -gt 0 ]; do
                [ "$1" != --exec ] || command=$2
                [ "$1" != --disable-kvm ] || emulated=1
                shift
            done
            {run}
            """)

    def vm(self, *arguments, **variables):
        return self.script("vm", *arguments, **variables)

    def boots(self):
        """The arguments of each guest."""
        return [boot.splitlines() for boot in self.calls.read_text().split("\n\n") if boot]

    def pairs(self):
        """The options of the last guest that have an argument."""
        boot = self.boots()[-1]
        return list(zip(boot, boot[1:]))


class Command(VmTest):
    def test_every_character(self):
        for text in ("a  b", "$HOME", "it's", '"', "\\", "`date`", "*", "ü", "x\ny", "%s", "#", "!"):
            quoted = "'" + text.replace("'", "'\\''") + "'"
            self.assertEqual(text + "\n", self.vm(f"printf '%s\\n' {quoted}").out)

    def test_runs_where_it_was_typed(self):
        directory = self.scratch / "a dir"
        directory.mkdir()
        self.assertEqual(f"{directory}\n", self.run_command(self.root / "scripts/vm", "pwd", cwd=directory).out)

    def test_status(self):
        for status in (0, 1, 3, 77, 255):
            self.assert_status(status, self.vm(f"exit {status}"))

    def test_status_of_a_program_that_was_killed(self):
        self.assert_status(137, self.vm("bash -c 'kill -9 $$'"))

    def test_output_and_errors_stay_apart(self):
        result = self.vm("echo out; echo err >&2")
        self.assertEqual(("out\n", "err\n"), (result.out, result.err))

    def test_no_command(self):
        self.assertIn("error: no command was given: make vm CMD='uname -a'", self.vm("").err)

    def test_no_kernel(self):
        result = self.vm("true", BASE="6.12")
        self.assert_status(1, result)
        self.assertIn("run 'make kernel BASE=6.12 FLAVOUR=run'", result.err)

    def test_nothing_stays_behind(self):
        self.vm("true")
        self.assertEqual([], list((self.root / "build/vm").iterdir()))


class Ends(VmTest):
    def test_guest_that_takes_too_long(self):
        result = self.vm("-t", "1", "sleep 50")
        self.assert_status(124, result)
        self.assertIn("error: the guest ran for more than 1 seconds and was stopped", result.err)

    def test_interrupted(self):
        mark = self.scratch / "mark"
        with subprocess.Popen([self.root / "scripts/vm", f"echo $$ >{mark}.new; mv {mark}.new {mark}; sleep 100"],
                              env=self.environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while not mark.exists():
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(130, process.wait(20))
        # The guest ends, too.
        for _ in range(100):
            try:
                os.kill(int(mark.read_text()), 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
        else:
            self.fail("the guest is still there")
        self.assertEqual([], list((self.root / "build/vm").iterdir()))


class Options(VmTest):
    def test_machine(self):
        self.vm("true", CPUS=7, MEMORY="3G")
        self.assertIn(("--cpus", "7"), self.pairs())
        self.assertIn(("--memory", "3G"), self.pairs())
        self.assertIn(("--run", f"{self.root}/build/out/7.2-run/arch/x86/boot/bzImage"), self.pairs())

    def test_arguments_of_the_kernel(self):
        self.vm("-a", "nokaslr", "true", KARGS="isolcpus=3 nohz_full=2")
        for argument in ("nokaslr", "isolcpus=3", "nohz_full=2"):
            self.assertIn(("--append", argument), self.pairs())

    def test_log(self):
        self.vm("-d", self.scratch / "log", "true", QEMU_OPTS="-icount shift=0")
        self.assertIn(("--append", "log_buf_len=16M"), self.pairs())
        options = [option for option in self.boots()[-1] if option.startswith("--qemu-opts=")]
        self.assertEqual(1, len(options))
        self.assertRegex(options[0], "=-icount shift=0 -chardev file,id=cpu_opv_log,path=/.*/dmesg -device virtserialport,")

    def test_directory_that_is_writable(self):
        self.vm("-w", self.scratch / "there", "true")
        self.assertTrue((self.scratch / "there").is_dir())
        self.assertIn(f"--rwdir={self.scratch}/there", self.boots()[-1])

    def test_project_under_tmp_is_seen(self):
        if str(self.root).startswith(("/tmp/", "/var/tmp/", "/run/")):
            self.vm("true")
            self.assertIn(f"--rodir={self.root}", self.boots()[-1])


    def test_kernel_of_debian(self):
        image = self.root / "build/out/debian-5.10/boot/vmlinuz"
        write(image, "")
        write(self.root / "scripts/debian-kernel", f"""
            #!/bin/bash
            [ "$1" = 5.10 ] || {{ echo "error: there is no $1" >&2; exit 1; }}
            echo {image}
            """, executable=True)
        write(image.parents[1] / "bin/busybox", "#!/bin/bash\necho the one of the package\n", executable=True)
        self.assertEqual("the one of the package\n", self.vm("-k", "5.10", "busybox").out)
        self.assertIn(("--run", str(image)), self.pairs())
        self.assertIn(("--append", "no_timer_check"), self.pairs())
        result = self.vm("-k", "4.19", "true")
        self.assert_status(1, result)
        self.assertEqual("error: there is no 4.19\n", result.err)


class Kvm(VmTest):
    def test_off(self):
        write(self.node, "")
        self.assertEqual("", self.vm("true", KVM="off").err)
        self.assertIn("--disable-kvm", self.boots()[-1])

    def test_no_node(self):
        self.assertEqual("", self.vm("true").err)
        self.assertIn("--disable-kvm", self.boots()[-1])

    def test_on_without_the_node(self):
        result = self.vm("true", KVM="on")
        self.assert_status(1, result)
        self.assertEqual(f"error: KVM=on, but there is no {self.node}\n", result.err)

    @unittest.skipIf(os.getuid() != 0, "only root can run a script as someone else")
    def test_no_permission(self):
        write(self.node, "").chmod(0o600)
        self.run_command("chmod", "-R", "a+rwX", self.scratch)
        self.node.chmod(0o600)
        self.scratch.chmod(0o755)
        result = self.run_command(self.root / "scripts/vm", "true", user=65534)
        self.assert_status(0, result)
        self.assertIn(f"    {self.node} is there, but nobody may not use it (group root): using QEMU's emulation, which is ten times as slow\n",
                      result.err)
        result = self.run_command(self.root / "scripts/vm", "true", user=65534, KVM="on")
        self.assertIn(f"error: KVM=on, but {self.node} is there, but nobody may not use it", result.err)

    def test_works(self):
        write(self.node, "")
        for _ in range(2):
            self.assert_status(0, self.vm("true", KVM="on"))
        self.assertNotIn("--disable-kvm", self.boots()[-1])
        # It was tried once.
        self.assertEqual(3, len(self.boots()))

    def test_does_not_boot(self):
        write(self.node, "")
        self.vng('[ -n "$emulated" ] || exit 1; eval "$command"')
        result = self.vm("echo hello")
        self.assertEqual("hello\n", result.out)
        self.assertIn("a guest does not boot with it (build/log/kvm-probe.log): using QEMU's emulation", result.err)
        result = self.vm("true", KVM="on")
        self.assert_status(1, result)
        self.assertIn("error: KVM=on, but", result.err)

    def test_other_word(self):
        self.assertIn("error: KVM=maybe is none of auto, on, off", self.vm("true", KVM="maybe").err)


class Foreign(ProjectTest):
    """A guest of another architecture: QEMU is a stub, which runs the command on this machine."""

    def setUp(self):
        super().setUp()
        self.tools()
        self.stub("uname", "echo x86_64")
        self.stand_in_for_guest_root()
        write(self.root / "build/out/7.2-arm64-run/arch/arm64/boot/Image", "")
        self.calls = self.scratch / "calls"
        self.environment |= {"BASE": "7.2", "ARCH": "arm64"}
        self.qemu()

    def stand_in_for_guest_root(self):
        write(self.root / "scripts/guest-root", "#!/bin/bash\n", executable=True)

    def qemu(self, ends="echo $? >$scratch/status; echo 'cpu_opv: the log ends here' >>$scratch/log"):
        self.stub("qemu-system-aarch64", f"""
            printf '%s\\n' "$@" '' >>{self.calls}
            for word; do
                case $word in *mount_tag=scratch,*) scratch=${{word#*path=}} scratch=${{scratch%%,*}} ;; esac
            done
            cp $scratch/mounts {self.scratch}/mounts
            printf '[    0.000000] Booting\\r\\n' >$scratch/log
            sh $scratch/command >/dev/fd/3 2>/dev/fd/4
            {ends}
            """)

    def vm(self, *arguments, **variables):
        return self.script("vm", *arguments, **variables)

    def arguments(self):
        return self.calls.read_text().split("\n\n")[0].splitlines()

    def test_command(self):
        for text in ("a  b", "$HOME", "it's", '"', "\\", "x\ny"):
            quoted = "'" + text.replace("'", "'\\''") + "'"
            self.assertEqual(text + "\n", self.vm(f"printf '%s\\n' {quoted}").out)

    def test_output_and_errors_stay_apart(self):
        result = self.vm("echo out; echo err >&2")
        self.assertEqual(("out\n", "err\n"), (result.out, result.err))

    def test_status(self):
        for status in (0, 1, 77, 255):
            self.assert_status(status, self.vm(f"exit {status}"))

    def test_machine(self):
        self.vm("-a", "nokaslr", "true", CPUS=7, MEMORY="3G", KARGS="isolcpus=3", QEMU_OPTS="-cpu cortex-a57")
        arguments = self.arguments()
        pairs = list(zip(arguments, arguments[1:]))
        for pair in (("-smp", "7"), ("-m", "3G"), ("-kernel", f"{self.root}/build/out/7.2-arm64-run/arch/arm64/boot/Image"),
                     ("-initrd", f"{self.root}/build/cache/guest-arm64.cpio")):
            self.assertIn(pair, pairs)
        self.assertRegex(arguments[arguments.index("-append") + 1], "^console=ttyAMA0 .* nokaslr isolcpus=3$")
        # What is asked for comes last, which is what QEMU takes.
        processors = [after for option, after in pairs if option == "-cpu"]
        self.assertEqual("cortex-a57", processors[-1])

    def test_log(self):
        self.assert_status(0, self.vm("-d", self.scratch / "log", "true"))
        self.assertEqual("[    0.000000] Booting\ncpu_opv: the log ends here\n", (self.scratch / "log").read_text())

    def test_guest_that_dies(self):
        self.qemu(ends="printf 'Kernel panic - not syncing\\r\\n' >>$scratch/log")
        result = self.vm("-d", self.scratch / "log", "true")
        self.assert_status(255, result)
        self.assertIn("error: the guest ended before the command did. The end of its kernel's log:\n[    0.000000] Booting\nKernel panic",
                      result.err)
        self.assertIn("BUG: the guest ended without the end of its kernel log", (self.scratch / "log").read_text())

    def test_guest_that_takes_too_long(self):
        result = self.vm("-t", "1", "sleep 50")
        self.assert_status(124, result)
        self.assertIn("error: the guest ran for more than 1 seconds and was stopped", result.err)

    def test_directory_that_is_writable(self):
        self.vm("-w", self.scratch / "there", "true")
        self.assertTrue((self.scratch / "there").is_dir())
        self.assertIn(f"local,path={self.scratch}/there,mount_tag=share1,security_model=none", self.arguments())
        self.assertEqual([f"host {self.root}", f"host {self.root}", f"share1 {self.scratch}/there"],
                         (self.scratch / "mounts").read_text().splitlines())

    def test_kvm(self):
        result = self.vm("true", KVM="on")
        self.assert_status(1, result)
        self.assertEqual("error: KVM=on, but this machine is not of arm64\n", result.err)

    def test_no_kernel(self):
        result = self.vm("true", ARCH="riscv64")
        self.assert_status(1, result)
        self.assertIn("run 'make kernel ARCH=riscv64 BASE=7.2 FLAVOUR=run'", result.err)

    def test_no_qemu(self):
        self.only()
        (self.stubs / "qemu-system-aarch64").unlink()
        result = self.vm("true")
        self.assert_status(1, result)
        self.assertEqual("error: qemu-system-aarch64 was not found: run 'make tools ARCH=arm64'\n", result.err)

    def test_nothing_stays_behind(self):
        self.vm("true")
        self.assertEqual([], list((self.root / "build/vm").iterdir()))

    def test_not_foreign_on_such_a_machine(self):
        self.stub("uname", "echo aarch64")
        self.stub("vng", f"printf '%s\\n' \"$@\" '' >>{self.calls}")
        self.assert_status(0, self.vm("true", KVM="off"))
        self.assertIn("--run", self.arguments())


class TwoAtOnce(VmTest):
    def test_programs_are_not_deleted_under_a_run(self):
        self.environment["KVM"] = "off"
        self.stub("make", """
            for word; do case $word in INSTALL_PATH=*) mkdir -p "${word#*=}/cpu_opv"; printf '#!/bin/bash\\n' >"${word#*=}/cpu_opv/one_test"
                chmod +x "${word#*=}/cpu_opv/one_test"; echo cpu_opv:one_test >"${word#*=}/kselftest-list.txt" ;; esac; done
            """)
        (self.root / "build/src/linux-7.2/tools/testing/selftests/cpu_opv").mkdir(parents=True)
        write(self.root / "scripts/vm", """
            #!/bin/bash
            shopt -s extglob
            for i in {1..8}; do [ -x one_test ] || echo "##gone"; sleep 0.1; done
            while [ "$1" != -d ]; do shift; done
            echo "cpu_opv: the log ends here" >$2
            printf '##program one_test\\n1..1\\nok 1 x\\n##status one_test 0 1\\n##kunit cpu_opv\\n    ok 1 y\\n##done\\n'
            """, executable=True)
        command = [self.root / "scripts/kselftest", "one_test"]
        first = subprocess.Popen(command, env=self.environment, stderr=subprocess.PIPE, text=True)
        time.sleep(0.3)
        second = self.run_command(*command)
        errors = first.communicate(timeout=30)[1]
        self.assertEqual((0, 0), (first.returncode, second.status), (errors, second))
        self.assertIn("waiting for another make, which holds build/kselftest/7.2-run.lock", errors + second.err)
        self.assertNotIn("##gone", (self.root / "build/log/kselftest-7.2-run.log").read_text())
