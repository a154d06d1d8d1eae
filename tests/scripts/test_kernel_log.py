# SPDX-License-Identifier: GPL-2.0
"""The kernel's log is seen whole: scripts/guest-log, scripts/vm -d, and those who read what they leave."""

import itertools
import os
import queue
import unittest
from unittest import mock

from support import ProjectTest, load, write

guest_log = load("guest-log")


class Records(unittest.TestCase):
    def test_record_becomes_line_of_dmesg(self):
        log = guest_log.Log()
        self.assertEqual(["[    1.234567] Booting"], list(log.lines(b"6,0,1234567,-;Booting\n SUBSYSTEM=cpu\n")))

    def test_fields_that_are_new(self):
        self.assertEqual(["[    0.000001] x"], list(guest_log.Log().lines(b"6,0,1,-,caller=T1;x\n")))

    def test_escapes(self):
        self.assertEqual(["[    0.000001] a", "[    0.000001] \\b"], list(guest_log.Log().lines(b"6,0,1,-;a\\x0a\\x5cb\n")))

    def test_lost_records_are_a_complaint(self):
        log = guest_log.Log()
        list(log.lines(b"6,0,1,-;first\n"))
        self.assertEqual(["BUG: 41 records of the kernel's log were lost here", "[    0.000002] x"],
                         list(log.lines(b"6,42,2,-;x\n")))

    def test_first_record_has_to_be_there(self):
        self.assertIn("BUG: 7 records", next(guest_log.Log().lines(b"6,7,2,-;x\n")))

    def test_overwritten_records_do_not_end_it(self):
        reads = [b"6,0,1,-;a\n", BrokenPipeError(), b"6,9,2,-;b\n", b""]
        with mock.patch.object(guest_log.os, "read", side_effect=reads):
            self.assertEqual([b"6,0,1,-;a\n", b"6,9,2,-;b\n"], list(guest_log.read_records(0)))


class Taint(ProjectTest):
    """What a command does to the kernel, in a log that is a queue."""

    def tainted_by(self, command):
        records = queue.Queue()
        number = itertools.count()
        port = self.scratch / "port"
        with mock.patch.multiple(guest_log, KMSG=os.devnull, PORT=port, TAINTED=write(self.scratch / "tainted", "262144\n"),
                                 say=lambda text: records.put(b"4,%d,0,-;%s\n" % (next(number), text.encode())),
                                 read_records=lambda _: iter(records.get, None)):
            status = guest_log.main(["bash", "-c", command.format(self.scratch / "tainted")])
        return status, port.read_text(encoding="utf-8")

    def test_not_tainted(self):
        self.assertEqual((3, "[    0.000000] cpu_opv: the log ends here\n"), self.tainted_by("exit 3"))

    def test_tainted(self):
        self.assertEqual((0, "[    0.000000] BUG: the kernel was tainted by 0x200 while the command ran\n"
                             "[    0.000000] cpu_opv: the log ends here\n"), self.tainted_by("echo 262656 >{}"))

    def test_killed(self):
        self.assertEqual(137, self.tainted_by("kill -9 $$")[0])


class Guest(ProjectTest):
    """scripts/vm with a stub of vng that runs the command here. The kernel's log is a pipe."""

    def setUp(self):
        super().setUp()
        self.tools()
        write(self.root / "build/out/7.2-run/arch/x86/boot/bzImage", "")
        self.kmsg = self.scratch / "kmsg"
        os.mkfifo(self.kmsg)
        self.tainted = write(self.scratch / "tainted", "262144\n")
        self.stub("vng", """
            while [ $# -gt 0 ]; do
                case $1 in
                --exec) command=$2 ;;
                --qemu-opts=*path=*) LOG_PORT=${1#*path=} LOG_PORT=${LOG_PORT%% *} ;;
                esac
                shift
            done
            export LOG_PORT
            eval "$command"
            """)
        # Open for as long as the test, so that the reader does not come to an end.
        self.log = os.open(self.kmsg, os.O_RDWR)
        self.addCleanup(os.close, self.log)

    def guest(self, command, script="vm"):
        return self.script(script, "-d", self.scratch / "dmesg", command, KVM="off", BASE="7.2", KMSG=self.kmsg,
                           TAINTED=self.tainted)

    def dmesg(self):
        return (self.scratch / "dmesg").read_text(encoding="utf-8")

    def test_log_comes_with_the_command(self):
        result = self.guest("echo hello; exit 3")
        self.assert_status(3, result)
        self.assertEqual("hello\n", result.out)
        self.assertIn("cpu_opv: the log ends here", self.dmesg())
        self.assertNotIn("BUG", self.dmesg())

    def test_guest_that_dies(self):
        # The stub dies with the guest, which has said something before.
        self.assert_status(137, self.guest(f"echo 'WARNING: at x' >{self.kmsg}; sleep 0.5; kill -9 $PPID; sleep 0.1; kill -9 0"))
        self.assertIn("WARNING: at x", self.dmesg())
        self.assertIn("BUG: the guest ended without the end of its kernel log", self.dmesg())


class Soak(ProjectTest):
    """The whole log counts, whatever came after the warning."""

    def setUp(self):
        super().setUp()
        self.tools()
        self.stub("make")
        self.environment |= {"BASE": "7.2", "MINUTES": "1"}

    def soak(self, *lines, status=0):
        text = "".join(line + "\n" for line in lines)
        write(self.scratch / "log", text)
        write(self.root / "scripts/vm", f'#!/bin/bash\ncp {self.scratch}/log "$2"\nexit {status}\n', executable=True)
        return self.script("soak")

    def test_clean(self):
        self.assert_status(0, self.soak("[ 1.0] Booting", "[ 2.0] virtme-ng-init: WARNING: no matter", "[ 3.0] Memory failure: BUG: no matter",
                                        "[ 4.0] Page cache invalidation failure on direct I/O.  Possible data corruption due to collision with buffered I/O!"))

    def test_early_warning_before_a_ring_full_of_lines(self):
        result = self.soak("[ 1.0] WARNING: kernel/sched/core.c:1 at f", *(f"[ 9.0] line {i}" for i in range(200_000)))
        self.assert_status(1, result)
        self.assertIn("WARNING: kernel/sched/core.c", result.err)
        self.assertIn("the kernel complained", result.err)

    def test_complaint_of_a_guest_that_failed_as_well(self):
        self.assertIn("possible recursive locking", self.soak("[ 1.0] INFO: possible recursive locking detected", status=124).err)

    def test_status_of_the_program(self):
        result = self.soak("[ 1.0] Booting", status=7)
        self.assert_status(1, result)
        self.assertIn("ended with status 7", result.err)


class EveryGuest(ProjectTest):
    """Whatever boots a guest fails if its kernel complained, though the command in it succeeded."""

    OUTPUT = ""

    def setUp(self):
        super().setUp()
        self.tools()
        for tool in ("make", "gcc"):
            self.stub(tool)
        write(self.root / "scripts/kernel", """
            #!/bin/bash
            . "$(dirname "$0")/lib.sh"
            use_base
            mkdir -p "$OUT/arch/x86/boot" && touch "$OUT/arch/x86/boot/bzImage"
            """, executable=True)
        self.environment |= {"BASE": "7.2", "KVM": "off"}

    def boot(self, script, line):
        write(self.scratch / "log", line + "\n")
        write(self.root / "scripts/vm", f"""
            #!/bin/bash
            while getopts d:t:w:k:a: option; do
                [ $option != d ] || cp {self.scratch}/log "$OPTARG"
            done
            printf '%b' '{self.OUTPUT}'
            """, executable=True)
        return self.script(script)

    def sees(self, script):
        """A complaint ends @script. Without one it gets further, or to its end."""
        result = self.boot(script, "[ 1.0] WARNING: kernel/sched/core.c:1 at f")
        self.assert_status(1, result)
        self.assertIn("WARNING: kernel/sched/core.c", result.err)
        self.assertIn("error: the kernel complained: see build/log/", result.err)
        self.assertNotIn("the kernel complained", self.boot(script, "[ 1.0] Booting").err)

    def git(self, *arguments):
        result = self.run_command("git", "-c", "user.name=x", "-c", "user.email=x@localhost", "-C", self.root / "build/src/linux-7.2", *arguments)
        self.assert_status(0, result)

    def repository(self, *subjects):
        tree = self.root / "build/src/linux-7.2"
        tree.mkdir(parents=True)
        self.git("init", "-q")
        for subject in ("base", *subjects):
            write(tree / f"{subject[:8]}.c", subject)
            self.git("add", ".")
            self.git("commit", "-q", "-m", subject)
            if subject == "base":
                self.git("update-ref", "refs/worktree/cpu_opv/base", "HEAD")

    def test_demo(self):
        self.sees("demo")

    def test_soak(self):
        self.sees("soak")

    def test_preemptoff(self):
        self.sees("preemptoff")

    def test_adversary(self):
        self.OUTPUT = "ready\\nfork\\tus\\tnothing\\t1\\t1\\n"
        write(self.root / "build/out/7.2-run/arch/x86/boot/bzImage", "")
        write(self.root / "Documentation/userspace-api/cpu_opv.rst", "")
        self.sees("adversary")

    def test_bench(self):
        self.repository()
        write(self.root / "bench/patches/0001.patch", """
            diff --git a/2017.c b/2017.c
            new file mode 100644
            --- /dev/null
            +++ b/2017.c
            @@ -0,0 +1 @@
            +int x;
            """)
        self.stub("cargo", """echo '{"executable":"/library"}'""")
        self.sees("bench")

    def test_bench_futex(self):
        self.repository("mm/maccess: add accessors of integers in user memory", "futex: use the accessors of user memory that do not fault")
        self.OUTPUT = "unit,1\\nwake,100\\n"
        self.sees("bench-futex")


class Results(ProjectTest):
    """scripts/results.awk: what guest-tests printed, and the log."""

    OUTPUT = """
        ##tainted boot 0
        ##kunit cpu_opv_vec
            1..1
            ok 1 decodes
        ok 1 cpu_opv_vec
        ##end
        ##program one_test
        TAP version 13
        1..2
        ok 1 first
        ok 2 second # SKIP no such CPU
        ##status one_test 0 1
        ##pins one_test 0
        ##tainted one_test 0
        ##done
        """
    LOG = ["Booting", "cpu_opv: ##program one_test", "fine", "cpu_opv: the log ends here"]

    def results(self, output=OUTPUT, log=(), planned="one_test"):
        write(self.scratch / "output", output)
        write(self.scratch / "log", "".join(f"[    1.000000] {line}\n" for line in log or self.LOG))
        result = self.run_command("bash", "-c", f". scripts/lib.sh; guest_results {self.scratch}/output {self.scratch}/log {planned}")
        self.assert_status(0, result)
        return result.out.splitlines()

    def failed(self, **arguments):
        return [line for line in self.results(**arguments) if line.startswith("failed ")]

    def test_all_is_well(self):
        self.assertEqual(sorted("""\
passed KUnit cpu_opv_vec decodes
passed kernel log clean after boot
passed kernel log clean after one_test
passed kernel not tainted by boot
passed kernel not tainted by one_test
passed kselftest one_test first
passed pins balanced after one_test
skipped kselftest one_test second: no such CPU""".splitlines()), sorted(self.results()))

    def test_not_ok(self):
        output = self.OUTPUT.replace("ok 1 first", "not ok 1 first").replace("##status one_test 0", "##status one_test 1")
        self.assertEqual(["failed kselftest one_test first"], self.failed(output=output))

    def test_fewer_results_than_planned(self):
        self.assertEqual(["failed kselftest one_test: planned 3 tests, 2 gave a result (status 0)"],
                         self.failed(output=self.OUTPUT.replace("1..2", "1..3")))

    def test_no_result(self):
        output = self.OUTPUT.replace("ok 1 first", "").replace("ok 2 second # SKIP no such CPU", "").replace("1..2", "")
        self.assertEqual(["failed kselftest one_test: no test gave a result (status 0)"], self.failed(output=output))

    def test_status_without_a_failed_test(self):
        self.assertEqual(["failed kselftest one_test: ended with status 139"],
                         self.failed(output=self.OUTPUT.replace("##status one_test 0", "##status one_test 139")))

    def test_pinned_pages(self):
        self.assertEqual(["failed pins balanced after one_test: 2 pages still pinned"],
                         self.failed(output=self.OUTPUT.replace("##pins one_test 0", "##pins one_test 2")))

    def test_taint(self):
        self.assertEqual(["failed kernel not tainted by one_test: by 512"],
                         self.failed(output=self.OUTPUT.replace("##tainted one_test 0", "##tainted one_test 512")))

    def test_program_that_did_not_end(self):
        self.assertEqual(["failed kselftest two_test: did not end"], self.failed(planned="one_test two_test"))

    def test_guest_that_ended_early(self):
        self.assertIn("failed kselftest: the run in the guest did not come to its end",
                      self.failed(output=self.OUTPUT.replace("##done", "")))

    def test_no_kunit_test_of_ours(self):
        self.assertEqual(["failed KUnit: no test of cpu_opv ran"], self.failed(output=self.OUTPUT.replace("cpu_opv_vec", "list")))

    def test_complaint_belongs_to_its_program(self):
        log = self.LOG[:2] + ["WARNING: CPU: 1 at f", "Call Trace:"] + [f"line {i}" for i in range(50_000)] + self.LOG[2:]
        self.assertEqual(["failed kernel log clean after one_test: 2 lines of complaint, the first: WARNING: CPU: 1 at f"],
                         self.failed(log=log))

    def test_complaint_at_boot(self):
        self.assertEqual(["failed kernel log clean after boot: 1 lines of complaint, the first: BUG: x"],
                         self.failed(log=["BUG: x", *self.LOG]))

    def test_lost_records(self):
        self.assertEqual(["failed kernel log clean after one_test: 1 lines of complaint, the first: BUG: 3 records of the kernel's log were lost here"],
                         self.failed(log=[*self.LOG[:2], "BUG: 3 records of the kernel's log were lost here"]))


if __name__ == "__main__":
    unittest.main()
