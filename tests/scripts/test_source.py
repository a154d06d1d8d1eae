# SPDX-License-Identifier: GPL-2.0
"""scripts/source: where the kernel's source comes from."""

import hashlib
import tarfile

from support import ProjectTest, write

GREG = "647F28654894E3BD457199BE38DBBDC86092693E"


class SourceTest(ProjectTest):
    """kernel.org is a directory that a stub of curl reads; keys and signatures are those of a stub of gpg."""

    def setUp(self):
        super().setUp()
        self.only("git", "xz")
        for base in ("7.2", "6.12"):
            (self.root / "patches" / base).mkdir(parents=True)
        self.cache = self.root / "build/cache"
        self.site = self.scratch / "site"
        self.calls = self.scratch / "calls"
        self.system = self.scratch / "system"
        write(self.system / "etc/os-release", "ID=fedora\n")
        self.environment["SYSTEM"] = str(self.system)
        self.key = GREG
        self.stub("curl", f"""
            while [ $# -gt 0 ]; do
                case $1 in
                -o) file=$2; shift ;;
                https:*) url=$1 ;;
                esac
                shift
            done
            echo "curl ${{url##*/}}" >>{self.calls}
            [ -d {self.site} ] || {{ echo 'curl: (6) Could not resolve host: cdn.kernel.org' >&2; exit 6; }}
            cat {self.site}/${{url##*/}} >${{file:-/dev/stdout}} 2>/dev/null || {{ echo 'curl: (22) 404' >&2; exit 22; }}
            """)

    def gpg(self, signed_by, keys=GREG):
        self.stub("gpg", f"""
            case " $* " in
            *' --locate-keys '*) echo 'gpg keys' >>{self.calls} ;;
            *' --list-keys '*) echo 'fpr:::::::::{keys}:' ;;
            *' --verify '*) cat >/dev/null; echo '[GNUPG:] VALIDSIG x x {signed_by}' >&3 ;;
            esac
            """)

    def tarball(self, path, version="7.2", top="linux"):
        """Makes a toy kernel of a version at @path."""
        tree = self.scratch / "tree" / top
        major, minor = version.split(".")
        write(tree / "Makefile", f"VERSION = {major}\nPATCHLEVEL = {minor}\nSUBLEVEL = 1\n")
        write(tree / "init/Kconfig", "config A\n")
        write(tree / ".gitignore", "*.o\n!.gitignore\n")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w:xz") as tar:
            tar.add(tree, top)
        return path

    def kernel_org(self, version="7.2", name="linux-7.2.3"):
        self.tarball(self.site / f"{name}.tar.xz", version)
        write(self.site / f"{name}.tar.sign", "signature\n")
        write(self.site / "sha256sums.asc", "x  linux-7.2.2.tar.xz\nx  linux-7.2.3.tar.xz\nx  linux-6.12.9.tar.xz\n")
        self.gpg(GREG)

    def cached(self, name, version="7.2"):
        file = self.tarball(self.cache / name, version)
        write(self.cache / f"{name}.sha256", f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {name}\n")
        return file

    def source(self, *arguments, **variables):
        return self.script("source", *arguments, **variables)

    def made_of(self, base="7.2"):
        """The message of the plain tree's only commit."""
        return self.run_command("git", "-C", self.root / "build/src" / f"linux-{base}", "log", "--format=%s", "base").out

    def called(self):
        return self.calls.read_text().splitlines() if self.calls.exists() else []


class Cache(SourceTest):
    def test_download_that_was_verified(self):
        self.cached("linux-7.2.1.tar.xz")
        self.assert_status(0, self.source(BASE="7.2"))
        self.assertEqual("Linux 7.2 (linux-7.2.1.tar.xz)\n", self.made_of())
        self.assertEqual([], self.called())

    def test_newest_comes_first(self):
        self.cached("linux-7.2.9.tar.xz")
        self.cached("linux-7.2.10.tar.xz")
        self.source(BASE="7.2")
        self.assertEqual("Linux 7.2 (linux-7.2.10.tar.xz)\n", self.made_of())

    def test_file_of_unknown_origin(self):
        self.tarball(self.cache / "linux-7.2.1.tar.xz")
        result = self.source(BASE="7.2")
        self.assert_status(1, result)
        self.assertIn("warning: build/cache/linux-7.2.1.tar.xz is not a download that was verified here: not used", result.err)

    def test_file_that_has_changed(self):
        with self.cached("linux-7.2.1.tar.xz").open("ab") as file:
            file.write(b"x")
        self.assertIn("was verified here: not used", self.source(BASE="7.2").err)

    def test_other_version_inside(self):
        self.cached("linux-7.2.1.tar.xz", version="7.3")
        result = self.source(BASE="7.2")
        self.assert_status(1, result)
        self.assertIn("error: linux-7.2.1.tar.xz holds Linux 7.3, not 7.2", result.err)

    def test_tree_that_is_there(self):
        self.cached("linux-7.2.1.tar.xz")
        self.source(BASE="7.2")
        result = self.source(BASE="7.2")
        self.assert_status(0, result)
        self.assertEqual("", result.err)

    def test_interrupted_unpacking(self):
        self.cached("linux-7.2.1.tar.xz")
        write(self.root / "build/src/linux-7.2.tmp/half", "x")
        self.assert_status(0, self.source(BASE="7.2"))
        self.assertFalse((self.root / "build/src/linux-7.2/half").exists())


class KernelOrg(SourceTest):
    def test_keys_before_the_tarball(self):
        self.kernel_org()
        self.assert_status(0, self.source(BASE="7.2"))
        self.assertEqual("Linux 7.2 (linux-7.2.3.tar.xz)\n", self.made_of())
        self.assertEqual(["curl sha256sums.asc", "gpg keys", "curl linux-7.2.3.tar.sign", "curl linux-7.2.3.tar.xz"], self.called())
        self.assertTrue((self.cache / "linux-7.2.3.tar.xz.sha256").exists())

    def test_no_keys_no_download(self):
        self.kernel_org()
        self.gpg(GREG, keys="")
        result = self.source(BASE="7.2")
        self.assert_status(1, result)
        self.assertIn("the keys to verify linux-7.2.3.tar.xz could not be fetched", result.err)
        self.assertEqual(["curl sha256sums.asc", "gpg keys"], self.called())

    def test_signature_of_someone_else(self):
        self.kernel_org()
        self.gpg("0" * 40)
        result = self.source(BASE="7.2")
        self.assert_status(1, result)
        self.assertIn("    linux-7.2.3.tar.xz has no good signature: not used", result.err)
        self.assertEqual([], [file.name for file in self.cache.iterdir() if file.name.startswith("linux-7")])

    def test_no_network(self):
        self.gpg(GREG)
        result = self.source(BASE="7.2")
        self.assert_status(1, result)
        self.assertIn("    kernel.org cannot be reached (curl: (6) Could not resolve host: cdn.kernel.org)", result.err)

    def test_version_that_is_not_there(self):
        self.kernel_org()
        (self.root / "patches/9.9").mkdir()
        self.assertIn("    kernel.org has no 9.9", self.source(BASE="9.9").err)

    def test_no_curl(self):
        (self.stubs / "curl").unlink()
        self.assertIn("    curl or gpg is missing, so kernel.org is not tried: run 'make tools'", self.source(BASE="7.2").err)


class FullDisk(SourceTest):
    def test_while_downloading(self):
        self.kernel_org()
        self.stub("curl", """
            case $* in
            *sha256sums.asc) echo linux-7.2.3.tar.xz ;;
            *.sign) ;;
            *) while [ "$1" != -o ]; do shift; done; echo x >"$2"; echo 'curl: (23) Failure writing output to destination' >&2; exit 23 ;;
            esac
            """)
        result = self.source(BASE="7.2")
        self.assert_status(1, result)
        self.assertIn("curl: (23) Failure writing output", result.err)
        self.assertIn("linux-7.2.3.tar.xz could not be fetched: not used", result.err)
        self.assertEqual([], list(self.cache.glob("*.part")))

    def test_while_unpacking(self):
        self.cached("linux-7.2.1.tar.xz")
        self.stub("tar", "echo 'tar: x: Cannot write: No space left on device' >&2; exit 2")
        result = self.source(BASE="7.2")
        self.assert_status(1, result)
        self.assertIn("No space left on device", result.err)
        self.assertIn("error: linux-7.2.1.tar.xz could not be unpacked into build/src/linux-7.2", result.err)
        self.assertEqual([], list((self.root / "build/src").glob("linux*")))


class Distribution(SourceTest):
    """apt is a stub that has linux-source-7.2, as a tar file."""

    version = "7.2.11-1"

    def setUp(self):
        super().setUp()
        write(self.system / "etc/os-release", "ID=debian\nVERSION_CODENAME=trixie\n")
        self.package(self.version)

    def package(self, version):
        """From now on apt has this version of the package."""
        tree = self.scratch / "deb"
        write(self.scratch / "tree/linux-source-7.2/kernel/version.c", f"/* {version} */\n")
        self.tarball(tree / "usr/src/linux-source-7.2.tar.xz", top="linux-source-7.2")
        with tarfile.open(self.scratch / "package", "w") as tar:
            tar.add(tree / "usr", "usr")
        self.stub("dpkg-deb", 'mkdir -p "$3" && tar -C "$3" -xf "$2"')
        self.stub("apt-cache", 'echo "  Candidate: $( [ "${*: -1}" = linux-source-7.2 ] && echo ' + version + ' || echo "(none)")"')
        self.stub("apt-get", f"""
            case " $* " in
            *' download '*) cp {self.scratch}/package linux-source-7.2_{version}_all.deb ;;
            *' indextargets '*) ;;
            *) echo "E: unexpected: $*"; exit 1 ;;
            esac
            """)

    def test_package(self):
        result = self.source(BASE="7.2")
        self.assert_status(0, result)
        self.assertIn("fetching linux-source-7.2 7.2.11-1 by apt", result.err)
        self.assertEqual("Linux 7.2 (linux-source-7.2_7.2.11-1_all.deb)\n", self.made_of())
        self.assertTrue((self.cache / "linux-source-7.2_7.2.11-1_all.deb.sha256").exists())

    def fresh(self):
        return self.run_command("git", "-C", self.root / "build/src/fresh.git", "log", "--format=%s").out.splitlines()

    def test_newest_source_beside_that_of_the_tree(self):
        self.assert_status(0, self.source(BASE="7.2"))
        self.package("7.2.12-1")
        self.assert_status(0, self.source("fresh", BASE="7.2"))
        self.assertEqual(["Linux 7.2 (linux-source-7.2_7.2.12-1_all.deb)"], self.fresh())
        shown = self.run_command("git", "-C", self.root / "build/src/fresh.git", "show", "HEAD:kernel/version.c")
        self.assertEqual("/* 7.2.12-1 */\n", shown.out)
        # The tree stays as it is, and nothing is left but the commit.
        self.assertEqual("Linux 7.2 (linux-source-7.2_7.2.11-1_all.deb)\n", self.made_of())
        self.assertEqual([], list((self.root / "build/src").glob("fresh.git.*")))

    def test_newest_source_is_fetched_once(self):
        self.source("fresh", BASE="7.2")
        result = self.source("fresh", BASE="7.2")
        self.assert_status(0, result)
        self.assertNotIn("fetching", result.err)
        self.assertNotIn("unpacking", result.err)
        self.package("7.2.12-1")
        self.source("fresh", BASE="7.2")
        self.assertEqual(["Linux 7.2 (linux-source-7.2_7.2.12-1_all.deb)", "Linux 7.2 (linux-source-7.2_7.2.11-1_all.deb)"],
                         self.fresh())

    def test_newest_source_that_cannot_be_had(self):
        result = self.source("fresh", BASE="7.4")
        self.assert_status(1, result)
        self.assertIn("error: the source of Linux 7.4 is not available: kernel.org has none that is released,\n"
                      "       and the distribution has no package linux-source-7.4. Use your own tree: make rebase-check KDIR=", result.err)

    def test_newest_source_is_what_is_here(self):
        self.cached("linux-7.2.1.tar.xz")
        self.stub("apt-cache", "exit 1")
        result = self.source("fresh", BASE="7.2")
        self.assert_status(0, result)
        self.assertIn("    linux-7.2.1.tar.xz, which was fetched before, is used\n", result.err)
        self.assertEqual(["Linux 7.2 (linux-7.2.1.tar.xz)"], self.fresh())

    def test_no_package(self):
        result = self.source(BASE="6.12")
        self.assert_status(1, result)
        self.assertIn("error: the source of Linux 6.12 is not available: it is neither in build/cache, nor at kernel.org,", result.err)


class Choice(SourceTest):
    """Without BASE the newest whose source is available is taken."""

    def test_newest(self):
        self.cached("linux-7.2.1.tar.xz")
        self.cached("linux-6.12.1.tar.xz", version="6.12")
        result = self.source()
        self.assertIn("BASE=7.2: the newest of 7.2 6.12 whose source is available", result.err)
        self.assertEqual("7.2\n", (self.root / "build/base").read_text())

    def test_next_when_the_newest_cannot_be_had(self):
        self.cached("linux-6.12.1.tar.xz", version="6.12")
        result = self.source()
        self.assert_status(0, result)
        self.assertIn("    the source of 7.2 was not available; make tries again tomorrow, or now with: make source BASE=7.2", result.err)
        self.assertEqual("6.12\n", (self.root / "build/base").read_text())
        # On the same day it is not looked for again.
        asked = len(self.called())
        self.assert_status(0, self.source())
        self.assertEqual(asked, len(self.called()))

    def test_release_candidate_is_not_chosen(self):
        write(self.root / "patches/7.3/candidate", "7.3-rc7\n")
        self.cached("linux-7.3.tar.xz", version="7.3")
        self.cached("linux-7.2.1.tar.xz")
        result = self.source()
        self.assertIn("BASE=7.2: the newest of 7.2 6.12 whose source is available", result.err)
        # Unless it is asked for.
        self.assert_status(0, self.source(BASE="7.3"))
        self.assertEqual("Linux 7.3 (linux-7.3.tar.xz)\n", self.made_of("7.3"))

    def test_none(self):
        result = self.source()
        self.assert_status(1, result)
        self.assertIn("error: no kernel source is available for any of: 7.2 6.12\n       Use your own tree: make KDIR=/path/to/linux", result.err)


class Kdir(SourceTest):
    def setUp(self):
        super().setUp()
        self.kdir = self.scratch / "their-linux"
        self.run_command("git", "init", "-q", self.kdir)
        write(self.kdir / "Makefile", "VERSION = 7\nPATCHLEVEL = 1\n")

    def commit(self):
        self.run_command("git", "-C", self.kdir, "add", "-A")
        self.run_command("git", "-C", self.kdir, "-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "-qm", "x")

    def test_nearest_series(self):
        self.commit()
        result = self.source(KDIR=self.kdir)
        self.assert_status(0, result)
        self.assertIn("KDIR is Linux 7.1: the nearest series is that for 7.2", result.err)
        self.assertTrue((self.root / "build/src/kdir-their-linux/Makefile").exists())

    def test_series_of_a_release_candidate(self):
        write(self.kdir / "Makefile", "VERSION = 7\nPATCHLEVEL = 3\nEXTRAVERSION = -rc8\n")
        write(self.root / "patches/7.3/candidate", "7.3-rc7\n")
        self.commit()
        self.assertIn("KDIR is Linux 7.3: using the series for 7.3", self.source(KDIR=self.kdir).err)

    def test_changes_that_are_not_committed(self):
        self.commit()
        write(self.kdir / "Makefile", "VERSION = 7\nPATCHLEVEL = 3\n")
        self.assertIn("warning: 1 files of KDIR have changes that are not committed", self.source(KDIR=self.kdir).err)

    def test_no_commit(self):
        result = self.source(KDIR=self.kdir)
        self.assert_status(1, result)
        self.assertIn("is not a git tree with a commit", result.err)

    def test_no_kernel(self):
        (self.kdir / "Makefile").write_text("all:\n")
        self.commit()
        self.assertIn("is not a Linux kernel tree", self.source(KDIR=self.kdir).err)

    def test_has_the_series_already(self):
        write(self.kdir / "init/Kconfig", "config CPU_OPV\n")
        self.commit()
        self.assertIn("error: KDIR has cpu_opv already", self.source(KDIR=self.kdir).err)
