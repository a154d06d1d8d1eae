# SPDX-License-Identifier: GPL-2.0
"""scripts/crate-test, also in a guest, and a guest with a kernel of Debian (scripts/debian-kernel)."""

from support import ProjectTest, write


class Host(ProjectTest):
    """Where nothing works, no test passes."""

    def test_each_can_fail(self):
        self.only()
        self.tools()
        for tool in "cargo gcc g++ rustc cbindgen pkg-config python3".split():
            self.stub(tool, "echo 'error: it does not work'; exit 1")
        for linter in ("mandoc", "groff"):
            self.stub(linter, "echo 'line 1: it is not right'")
        (self.root / "crates/cpu-opv").mkdir(parents=True)
        write(self.root / "man/toy.3", "")
        write(self.root / "tests/library/percpu_test.c", "")
        for language in ("c", "cpp", "rs"):
            write(self.root / f"examples/toy.{language}", "x\n" * 200)
        write(self.root / "build/tools/oldest/rustc", "", executable=True)
        # What a run before has left.
        for program in ("programs/percpu", "target/release/counter", "target/release/ring", "unit_i686"):
            write(self.root / "build/crate" / program, "#!/bin/bash\nexit 1\n", executable=True)
        result = self.script("crate-test", "--all")
        self.assert_status(1, result)
        results = (self.root / "build/log/crate-test.results").read_text().splitlines()
        # That means that they were run: each has a line of its own.
        self.assertEqual(["passed crate tests run"], [line for line in results if line.startswith("passed")])
        self.assertIn("failed crate package", results)
        self.assertGreater(len([line for line in results if line.startswith("failed")]), 15)

    def test_file_of_the_package_that_git_does_not_know(self):
        self.tools()
        for tool in "gcc g++ rustc cbindgen pkg-config python3 mandoc groff".split():
            self.stub(tool, "exit 1")
        files = "Cargo.toml LICENSE-A LICENSE-B src/lib.rs"
        self.stub("cargo", f"""
            case $* in
            'package --list '*) printf '%s\\n' .cargo_vcs_info.json Cargo.toml.orig {files} ;;
            miri*) exit 1 ;;
            esac
            """)
        for file in files.split():
            write(self.root / "crates/cpu-opv" / file, "")
        # There need be no repository.
        self.script("crate-test")
        results = self.root / "build/log/crate-test.results"
        self.assertIn("passed crate package", results.read_text().splitlines())
        self.run_command("git", "init", "-q")
        self.run_command("git", "add", "crates/cpu-opv/Cargo.toml", "crates/cpu-opv/LICENSE-A", "crates/cpu-opv/LICENSE-B")
        result = self.script("crate-test")
        self.assertIn("failed crate package", results.read_text().splitlines())
        self.assertIn("error: git does not know src/lib.rs\n", result.err)
        self.run_command("git", "add", "crates/cpu-opv/src")
        # An edited file is no error, nor need it be committed.
        write(self.root / "crates/cpu-opv/src/lib.rs", "// Edited.\n")
        self.script("crate-test")
        self.assertIn("passed crate package", results.read_text().splitlines())


class DebianKernel(ProjectTest):
    """apt's archive and dpkg-deb are stubs."""

    IMAGE = "linux-image-5.10.0-32-amd64"

    def setUp(self):
        super().setUp()
        self.only("dpkg")
        self.stub("uname", "echo x86_64")
        self.system = self.scratch / "system"
        write(self.system / "etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n")
        self.environment["SYSTEM"] = str(self.system)
        self.calls = self.scratch / "calls"
        self.archive()
        self.dpkg_deb("""
            mkdir -p $3/boot $3/lib/modules/5.10/kernel/{net/9p,drivers/{char,gpu}}
            touch $3/boot/vmlinuz-5.10.0-32-amd64 $3/lib/modules/5.10/kernel/{net/9p/9p,drivers/{char/virtio_console,gpu/drm}}.ko
            """)
        self.out = self.root / "build/out/debian-5.10"

    def archive(self, mirror="echo bookworm main http://mirror/debian", update="exit 0", image=IMAGE, download="touch x.deb"):
        """What apt says and does for each of its commands."""
        self.stub("apt-get", f"""
            echo "$*" >>{self.calls}
            case " $* " in
            *' indextargets '*) {mirror} ;;
            *' update '*) {update} ;;
            *' download '*) {download} ;;
            *) exit 1 ;;
            esac
            """)
        self.stub("apt-cache", f"""
            echo "$*" >>{self.calls}
            printf 'linux-image-amd64\\n  Depends: {image}\\n'
            """)

    def dpkg_deb(self, text):
        self.stub("dpkg-deb", text)

    def kernel(self, version="5.10", **variables):
        return self.script("debian-kernel", version, **variables)

    def assert_error(self, error, result):
        self.assert_status(1, result)
        self.assertIn(f"error: {error}\n", result.err)
        self.assertEqual("", result.out)

    def test_fetched_once(self):
        result = self.kernel()
        self.assert_status(0, result)
        image = f"{self.out}/boot/vmlinuz-5.10.0-32-amd64\n"
        self.assertEqual(image, result.out)
        calls = self.calls.read_text()
        self.assertIn(f"download {self.IMAGE} busybox-static\n", calls)
        # Neither the system's lists of sources nor its packages have a part in it.
        for call in calls.splitlines():
            if "indextargets" not in call:
                self.assertIn(f"Dir::State={self.root}/build/cache/apt-state-bullseye ", call)
        self.calls.unlink()
        self.assertEqual((image, ""), (self.kernel().out, self.kernel().err))
        modules = self.out / "lib/modules/5.10/kernel"
        self.assertEqual(["drivers/char/virtio_console.ko", "net/9p/9p.ko"],
                         sorted(str(file.relative_to(modules)) for file in modules.rglob("*.ko")))
        # Nor is it after make clean.
        self.run_command("rm", "-rf", self.root / "build/out")
        self.assertEqual(image, self.kernel().out)
        self.assertFalse(self.calls.exists())

    def test_other_version(self):
        for version in ("4.19", "", "../5.10"):
            self.assert_error(f"KERNEL={version}: of the kernels that Debian has built, 5.10 alone is known here", self.kernel(version))

    def test_other_architecture(self):
        self.assert_error("KERNEL=5.10: kernels of Debian are tried on x86_64 alone, not with ARCH=arm64", self.kernel(ARCH="arm64"))

    def test_other_distribution(self):
        write(self.system / "etc/os-release", "ID=ubuntu\n")
        self.assert_error("KERNEL=5.10: the kernel is taken from Debian's archive by apt, on Debian only", self.kernel())

    def test_no_mirror(self):
        self.archive(mirror=":")
        self.assert_error("KERNEL=5.10: no mirror of Debian is in the machine's list of sources", self.kernel())

    def test_lists_that_cannot_be_read(self):
        self.archive(update="echo 'E: The repository is not signed.'; exit 100")
        result = self.kernel()
        self.assertIn("E: The repository is not signed.\n", result.err)
        self.assert_error("KERNEL=5.10: the lists of Debian bullseye could not be read (build/log/apt-bullseye.log)", result)

    def test_no_package(self):
        self.archive(image="linux-image-6.1.0-9-amd64")
        self.assert_error("KERNEL=5.10: Debian bullseye has no package linux-image-5.10.*-amd64", self.kernel())

    def test_package_that_cannot_be_fetched(self):
        self.archive(download="echo 'E: Hash Sum mismatch'; exit 100")
        result = self.kernel()
        self.assertIn("E: Hash Sum mismatch\n", result.err)
        self.assert_error(f"KERNEL=5.10: {self.IMAGE} and busybox-static could not be fetched", result)
        # The next try starts over.
        self.archive()
        self.assert_status(0, self.kernel())

    def test_package_that_cannot_be_unpacked(self):
        self.dpkg_deb("mkdir -p $3/boot && touch $3/boot/vmlinuz-5.10.0-32-amd64; exit 2")
        error = "KERNEL=5.10: what is in build/cache/debian-5.10 could not be unpacked"
        self.assert_error(error, self.kernel())
        # What has got out of it is not taken for the kernel.
        self.assert_error(error, self.kernel())

    def test_package_without_a_kernel(self):
        self.dpkg_deb("mkdir -p $3/lib/modules")
        self.assert_error("KERNEL=5.10: the package holds no kernel (build/cache/debian-5.10)", self.kernel())


class Guest(ProjectTest):
    """What the programs print in the guest is the test's word: scripts/vm is a stub."""

    COUNTS = "rseq+cpu_opv percpu_test: rseq 1, cpu_opv 1, vectors: 7, locked: 0, aborts: 0\n"
    LOCKED = "rseq+cpu_opv percpu_test: rseq 1, cpu_opv 0, vectors: 0, locked: 7, aborts: 0\n"
    RING = "rseq+cpu_opv ring: ring buffers between processes need cpu_opv(): Function not implemented\n"

    def setUp(self):
        super().setUp()
        self.tools()
        self.environment["BASE"] = "7.2"
        write(self.root / "build/crate/programs/percpu", "", executable=True)

    def guest(self, output, *arguments, status=0, **variables):
        """Runs the script with a guest that prints @output, and returns what it made of it."""
        write(self.scratch / "output", output)
        write(self.root / "scripts/vm", f"""
            #!/bin/bash
            printf '%s\\n' "$@" >{self.scratch}/arguments
            cat {self.scratch}/output
            exit {status}
            """, executable=True)
        return self.script("crate-test", "--guest", *arguments, **variables)

    def results(self, name="7.2-run"):
        return (self.root / f"build/log/crate-guest-{name}.results").read_text().splitlines()

    def arguments(self):
        return (self.scratch / "arguments").read_text().splitlines()

    def test_each_test_counts(self):
        output = ("rseq+cpu_opv percpu: test copies ... ok\nlock percpu_i686: test lists ... ok\n"
                  "##passed counter (rseq+lock)\n" + self.COUNTS)
        result = self.guest(output)
        self.assert_status(0, result)
        self.assertIn("    4 passed, 0 failed\n", result.err)
        self.assertEqual(["passed library copies (rseq+cpu_opv)", "passed library lists (i686, lock)", "passed library counter (rseq+lock)",
                          "passed library the program of the host takes the way of cpu_opv()"], self.results())
        self.assertRegex(self.arguments()[-1], "--run 'rseq cpu_opv' cpu_opv 'rseq lock' lock$")

    def test_failures(self):
        for line, failure in (("lock percpu: test lists ... FAILED\n", "lists (lock)"), ("##failed ring (lock)\n", "ring (lock)")):
            result = self.guest(line + self.COUNTS)
            self.assert_status(1, result)
            self.assertIn(f"failed library {failure}\n", result.err)

    def test_other_way_than_that_of_the_call(self):
        for output in ("", self.LOCKED, self.COUNTS.replace("7", "0"), self.COUNTS.replace("locked: 0", "locked: 1")):
            result = self.guest(output)
            self.assert_status(1, result)
            self.assertIn("failed library the program of the host takes the way of cpu_opv()\n", result.err)

    def test_guest_that_dies(self):
        result = self.guest(self.COUNTS, status=255)
        self.assert_status(1, result)
        self.assertIn("failed library: the guest ended with status 255: see build/log/crate-guest-7.2-run.log\n", result.err)

    def test_programs_are_missing(self):
        (self.root / "build/crate/programs/percpu").unlink()
        result = self.guest(self.COUNTS)
        self.assert_status(1, result)
        self.assertIn("error: its programs have not been built: run 'make crate-test'\n", result.err)

    def test_other_architecture(self):
        self.stub("uname", "echo x86_64")
        target = self.root / "build/crate/target/aarch64-unknown-linux-gnu/release"
        for program in ("percpu-0", "cpu_opv-0"):
            write(target / program, "")
        (self.root / "crates/cpu-opv").mkdir(parents=True)
        self.stub("cargo", f"""
            echo "$*" >>{self.scratch}/cargo
            [ $1 != test ] || printf '{{"executable":"%s"}}\\n' {target}/percpu-0 {target}/cpu_opv-0
            chmod +x {target}/*-0
            """)
        self.stub("clang-19", f"echo \"$*\" >>{self.scratch}/clang")
        self.environment["ARCH"] = "arm64"
        result = self.guest("rseq+lock percpu: test copies ... ok\n##failed unit (rseq+lock)\n" + self.COUNTS)
        self.assert_status(1, result)
        self.assertEqual(["passed library copies (rseq+lock)", "failed library unit (rseq+lock)",
                          "passed library the program of the host takes the way of cpu_opv()"], self.results("7.2-arm64-run"))
        self.assertRegex((self.scratch / "cargo").read_text(), r"test .*--target aarch64-unknown-linux-gnu -Zbuild-std")
        self.assertIn("--target=aarch64-linux-gnu", (self.scratch / "clang").read_text())
        # The guest has the shell of busybox.
        command = "\n".join(self.arguments()[2:])
        self.assertIn(f"{self.root}/build/crate/programs-arm64/$program", command)
        self.assertNotIn("crate-test", command)
        self.stub("cargo", "echo 'error: it does not compile' >&2; exit 1")
        result = self.guest(self.COUNTS)
        self.assert_status(1, result)
        self.assertIn("error: it does not compile\n", result.err)

    def test_architecture_without_a_guest(self):
        self.stub("uname", "echo x86_64")
        result = self.guest(self.COUNTS, ARCH="riscv64")
        self.assert_status(1, result)
        self.assertIn("error: the library is tried in guests of x86_64 and arm64, not of riscv64\n", result.err)

    def test_kernel_of_debian(self):
        result = self.guest(self.LOCKED + self.RING, "5.10")
        self.assert_status(0, result)
        self.assertEqual(["passed library the program of the host takes the way of the lock",
                          "passed library the example that needs cpu_opv() says so"], self.results("debian-5.10"))
        self.assertEqual(["-t", "3000", "-k", "5.10"], self.arguments()[2:6])
        self.assertRegex(self.arguments()[-1], "--run 'rseq cpu_opv' lock$")

    def test_kernel_of_debian_that_has_the_call(self):
        result = self.guest(self.COUNTS, "5.10")
        self.assert_status(1, result)
        self.assertIn("failed library the program of the host takes the way of the lock\n", result.err)
        self.assertIn("failed library the example that needs cpu_opv() says so\n", result.err)
