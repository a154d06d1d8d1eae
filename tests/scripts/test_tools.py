# SPDX-License-Identifier: GPL-2.0
"""scripts/tools: what it asks for and installs, on which distribution."""

import shlex

from support import ProjectTest, write

DEBIAN = """ca-certificates git gcc libc6-dev make flex bison bc perl patch cpio kmod rsync xz-utils ccache
    curl gpg dirmngr gpgv iproute2 qemu-system-x86 file udev e2fsprogs libelf-dev libssl-dev gcc-multilib""".split()
FOREIGN = "ARCH=arm64: this machine is of x86_64, so the kernel is cross-compiled and emulated (unset ARCH if it is merely exported)"
RUST = "rustc rust-src rustfmt rust-clippy cargo".split()


def llvm(major):
    return [f"clang-{major}", f"lld-{major}", f"llvm-{major}", f"libclang-{major}-dev"]


class ToolsTest(ProjectTest):
    """A machine that has next to nothing."""

    OS_RELEASE = 'ID=debian\nVERSION_CODENAME=trixie\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n'

    def setUp(self):
        super().setUp()
        self.only()
        self.system = self.scratch / "system"
        write(self.system / "etc/os-release", self.OS_RELEASE)
        self.environment["SYSTEM"] = str(self.system)
        self.user(1000)

    def user(self, number):
        self.stub("id", f'[ "$1" = -u ] && echo {number}')

    def candidates(self, **versions):
        """The package lists have these packages (_ is a hyphen or a dot)."""
        write(self.system / "var/lib/apt/lists/deb_main_Packages", "")
        cases = "\n".join(f"{name}) version={version} ;;" for name, version in versions.items())
        self.stub("apt-cache", f'version="(none)"\ncase ${{2//[-.]/_}} in\n{cases}\nesac\necho "  Candidate: $version"')

    def tools(self, *groups):
        return self.script("tools", *groups)

    def command(self, *groups):
        """The command that is to be typed, as words; nothing was asked for before."""
        result = self.tools(*groups)
        self.assert_status(1, result)
        lines = [line for line in result.err.splitlines() if not line.startswith("ARCH=")]
        self.assertEqual(["==> looking for the tools", "error: some tools are missing. Install them, then run make again:"], lines[:2])
        self.assertEqual(3, len(lines), result)
        return shlex.split(lines[2])


class Debian(ToolsTest):
    INSTALL = "sudo apt-get install --no-install-recommends".split()

    def test_all_is_named_at_once(self):
        self.candidates(rustc="1.85.0+dfsg3-1", clang_19="1:19", lld_19="1:19", clang_17="1:17", lld_17="1:17")
        self.assertEqual([*self.INSTALL, *DEBIAN, *RUST, *llvm(19)], self.command())

    def test_without_package_lists(self):
        self.stub("apt-cache", "echo '  Candidate: (none)'")
        self.assertEqual(["sudo", "apt-get", "update", "&&", *self.INSTALL, *DEBIAN, *RUST, "clang", "lld", "llvm", "libclang-dev"],
                         self.command())

    def test_groups(self):
        self.candidates(rustc="1.85.0", clang_19="1:19", lld_19="1:19")
        self.assertEqual([*self.INSTALL, *DEBIAN, "gnuplot-nox", *RUST, *llvm(19)], self.command("bench"))
        self.assertEqual([*self.INSTALL, *DEBIAN, "shellcheck", "spin", *RUST, *llvm(19)], self.command("model", "lint"))
        self.assertEqual([*self.INSTALL, *DEBIAN, "g++", "pkgconf", "cbindgen", "cargo-c", "mandoc", "groff", *RUST, *llvm(19)],
                         self.command("library"))
        self.environment["FLAVOUR"] = "scx"
        self.assertEqual([*self.INSTALL, *DEBIAN, "dwarves", "zlib1g-dev", *RUST, *llvm(19)], self.command())

    CROSS = "libc6-dev-arm64-cross libgcc-14-dev-arm64-cross libc6-dev-armhf-cross libgcc-14-dev-armhf-cross".split()

    def test_another_architecture(self):
        self.stub("uname", "echo x86_64")
        self.candidates(rustc="1.85.0", clang_19="1:19", lld_19="1:19", gcc="4:14.2.0-1")
        self.environment["ARCH"] = "arm64"
        command = self.command()
        self.assertTrue(self.tools().err.startswith(FOREIGN + "\n"))
        # Nothing of this machine's own guests.
        for package in ("qemu-system-x86", "gcc-multilib"):
            self.assertNotIn(package, command)
        self.assertEqual({"qemu-system-arm", *self.CROSS}, set(command) - set([*self.INSTALL, *DEBIAN, *RUST, *llvm(19)]))
        # What is there is not asked for.
        write(self.system / "usr/aarch64-linux-gnu/include/stdio.h", "")
        write(self.system / "usr/lib/gcc-cross/aarch64-linux-gnu/14/libgcc.a", "")
        self.assertEqual(self.CROSS[2:], [package for package in self.command() if package in self.CROSS])

    def test_package_that_has_two_names(self):
        self.stub("uname", "echo x86_64")
        self.environment["ARCH"] = "riscv64"
        self.candidates(rustc="1.85.0", clang_19="1:19", lld_19="1:19", gcc="4:12.2.0-3", qemu_system_misc="1:7.2")
        command = self.command()
        self.assertIn("qemu-system-misc", command)
        self.assertIn("libgcc-12-dev-riscv64-cross", command)
        self.candidates(rustc="1.85.0", clang_19="1:19", lld_19="1:19", qemu_system_misc="1:10", qemu_system_riscv="1:10")
        self.assertIn("qemu-system-riscv", self.command())

    def test_on_arm64(self):
        self.stub("uname", "echo aarch64")
        self.candidates(rustc="1.85.0", clang_19="1:19", lld_19="1:19", gcc="4:14.2.0-1")
        command = self.command()
        self.assertIn("qemu-system-arm", command)
        # Its own C library is there, but that of 32-bit programs.
        self.assertEqual(self.CROSS[2:], [package for package in command if package in self.CROSS])

    def test_certificates(self):
        write(self.system / "etc/ssl/certs/ca-certificates.crt", "x")
        self.candidates(rustc="1.85.0", clang_19="1:19", lld_19="1:19")
        self.assertNotIn("ca-certificates", self.command())

    def test_no_rust_is_new_enough(self):
        self.candidates(rustc="1.63.0", clang_14="1:14", lld_14="1:14")
        result = self.tools()
        self.assert_status(1, result)
        self.assertIn("no Rust of at least 1.85.0", result.err)

    def test_root_installs(self):
        self.user(0)
        write(self.system / "usr/lib/llvm-19/lib/libclang.so", "")
        calls = self.scratch / "calls"
        self.candidates(rustc="1.85.0+dfsg3-1", clang_19="1:19", lld_19="1:19", clang_20="1:20", lld_20="1:20", bindgen="0.71.1-4")
        # What is installed are stubs, in the places where the script looks.
        toolchain = self.stubs / "toolchain"
        for tool in ("rustdoc", "rustfmt", "cargo"):
            write(toolchain / tool, f"#!/bin/bash\necho '{tool} 1.85.0 (x)'\n", executable=True)
        write(toolchain / "clippy-driver", "#!/bin/bash\necho 'rustc 1.85.0 (x)'\n", executable=True)
        write(toolchain / "rustc", f"""
            #!/bin/bash
            case "$*" in
            --version) echo 'rustc 1.85.0 (x)' ;;
            -vV) echo 'LLVM version: 19.1.7' ;;
            '--print sysroot') echo {self.scratch}/sysroot ;;
            esac
            """, executable=True)
        write(self.scratch / "sysroot/lib/rustlib/src/rust/library/core/src/lib.rs", "")
        write(toolchain / "vng", "#!/bin/bash\necho 'virtme-ng 1.42'\n", executable=True)
        write(toolchain / "virtme-run", "", executable=True)
        write(toolchain / "bindgen", "#!/bin/bash\necho 'bindgen 0.71.1'\n", executable=True)
        self.stub("apt-get", f"""
            arguments=$*
            echo "${{arguments##*Timeout=300 }}" >>{calls}
            case " $* " in
            *' rustc '*)
                ln -s {toolchain}/{{rustc,rustdoc,rustfmt,cargo,clippy-driver,vng}} {self.stubs}
                printf '#!/bin/bash\\ncase $1 in -dumpfullversion) echo 14.2.0 ;; esac\\n' >{self.stubs}/gcc
                printf '#!/bin/bash\\necho "QEMU emulator version 10.0.2 (x)"\\n' >{self.stubs}/qemu-system-x86_64
                chmod +x {self.stubs}/*
                ;;
            *' clang-19 '*)
                printf '#!/bin/bash\\necho 19.1.7\\n' >{self.stubs}/clang-19
                chmod +x {self.stubs}/clang-19
                ln -s /bin/true {self.stubs}/ld.lld-19
                for tool in ar nm objcopy objdump readelf strip; do ln -s /bin/true {self.stubs}/llvm-$tool-19; done
                ;;
            *' bindgen '*) ln -s {toolchain}/bindgen {self.stubs} ;;
            esac
            """)
        result = self.tools()
        self.assert_status(0, result)
        installs = [line.split("--no-install-recommends ")[-1].split() for line in calls.read_text().splitlines()]
        # The LLVM is that of Rust, although a newer one can be had.
        self.assertEqual([["update"], [*DEBIAN, *RUST], llvm(19)], installs[:3])
        self.assertIn("LLVM=-19\n", (self.root / "build/tools/env").read_text())
        self.assertIn("rustc 1.85.0, gcc 14.2.0, clang 19.1.7, bindgen 0.71.1, QEMU emulator version 10.0.2, virtme-ng 1.42", result.err)

        # A second time nothing is looked for, unless for more; and then no longer for that either.
        self.assertEqual("", self.tools().err)
        self.stub("spin")
        self.assertIn("looking for the tools", self.tools("model").err)
        for groups in ([], ["model"]):
            self.assertEqual("", self.tools(*groups).err)

        # The oldest Rust that was unpacked where the project is no longer is not kept.
        oldest = write(self.root / "build/tools/oldest/rustc", "#!/bin/sh\nexec /gone/rustc \"$@\"\n", executable=True)
        self.assert_status(0, self.tools("library"))
        self.assertEqual("rustc 1.85.0 (x)\n", self.run_command(oldest, "--version").out)

    def test_root_cannot_read_the_lists(self):
        self.user(0)
        self.candidates()
        self.stub("apt-get", "echo 'E: no network'; exit 100")
        result = self.tools()
        self.assert_status(1, result)
        self.assertIn("E: no network", result.err)
        self.assertIn("error: the package lists could not be read", result.err)


class Debian12(ToolsTest):
    OS_RELEASE = "ID=debian\nVERSION_CODENAME=bookworm\n"
    WEB = "rustc-web rust-web-src rustfmt-web rust-web-clippy cargo-web".split()

    def test_rust_for_browsers(self):
        self.candidates(rustc="1.63.0+dfsg1-2", rustc_web="1.85.0+dfsg1-3~deb12u3", clang_19="1:19", lld_19="1:19")
        self.assertEqual([*Debian.INSTALL, *DEBIAN, *self.WEB, *llvm(19)], self.command())

    def test_without_package_lists(self):
        self.assertEqual(["sudo", "apt-get", "update", "&&", *Debian.INSTALL, *DEBIAN, *self.WEB, *llvm(19)], self.command())


class Ubuntu(ToolsTest):
    OS_RELEASE = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n"

    def test_newest_rust_that_is_known(self):
        self.candidates(rustc="1.75.0+dfsg0ubuntu1", rustc_1_85="1.85", rustc_1_89="1.89", clang_20="1:20", lld_20="1:20")
        self.assertEqual([*Debian.INSTALL, *DEBIAN, "rustc-1.89", "rust-1.89-src", "rustfmt-1.89", "rust-1.89-clippy", "cargo-1.89", *llvm(20)],
                         self.command())

    def test_without_package_lists(self):
        self.assertEqual(["sudo", "apt-get", "update", "&&"], self.command()[:4])
        self.assertIn("rustc-1.85", self.command())


class Fedora(ToolsTest):
    OS_RELEASE = "ID=fedora\nVERSION_ID=42\n"

    def test_another_architecture(self):
        self.stub("uname", "echo x86_64")
        self.environment["ARCH"] = "arm64"
        result = self.tools()
        self.assert_status(1, result)
        self.assertEqual(f"error: {FOREIGN}.\n       That needs Debian, whose packages have what it takes.\n", result.err)

    def test_on_arm64(self):
        self.stub("uname", "echo aarch64")
        command = self.command()
        self.assertIn("qemu-system-aarch64", command)
        self.assertNotIn("-", command)

    def test_command(self):
        self.assertEqual("""sudo dnf install ca-certificates git gcc glibc-devel make flex bison bc perl patch cpio kmod rsync xz
            ccache curl gnupg2 iproute qemu-system-x86 file systemd-udev e2fsprogs elfutils-libelf-devel
            openssl-devel glibc-devel.i686 glibc-static.i686 libgcc.i686 rust rust-src rustfmt clippy cargo clang lld llvm
            clang-libs""".split(), self.command())

    def test_certificates_are_where_they_are(self):
        write(self.system / "etc/pki/tls/certs/ca-bundle.crt", "x")
        self.assertNotIn("ca-certificates", self.command())

    def test_root_is_told_without_sudo(self):
        self.user(0)
        self.assertEqual(["dnf", "install"], self.command()[:2])


class Arch(ToolsTest):
    OS_RELEASE = "ID=manjaro\nID_LIKE=arch\n"

    def test_command(self):
        self.assertEqual("""sudo pacman -S --needed ca-certificates git gcc glibc make flex bison bc perl patch cpio kmod rsync xz
            ccache curl gnupg iproute2 qemu-system-x86 file systemd e2fsprogs libelf openssl lib32-gcc-libs
            rust rust-src clang lld llvm""".split(), self.command())


class Other(ToolsTest):
    OS_RELEASE = "ID=gentoo\n"

    def test_names_of_debian(self):
        result = self.tools()
        self.assert_status(1, result)
        self.assertIn("error: some tools are missing, and only the packages of Debian, Ubuntu, Fedora and Arch are known here.", result.err)
        self.assertIn(" ".join(DEBIAN), result.err)
