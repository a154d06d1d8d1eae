# SPDX-License-Identifier: GPL-2.0
"""What scripts/install-lib and scripts/rust-analyzer leave where. The builds are stubs."""

from support import ProjectTest, write

PAGE = """.TH percpu_add 3
.SH SYNOPSIS
.BI "int percpu_add(void *" p ", int " cpu );
.BI "int percpu_addv(void *" p ", int " cpu );
.SH DESCRIPTION
As percpu_swap(3).
"""


class InstallLib(ProjectTest):
    def setUp(self):
        super().setUp()
        self.tools()
        (self.root / "crates/cpu-opv").mkdir(parents=True)
        write(self.root / "tools/testing/selftests/cpu_opv/cpu-op.h", "cpu-op\n")
        for name in ("cpu_opv.h", "types_32_64.h"):
            write(self.root / "include/uapi/linux" / name, name + "\n")
        write(self.root / "man/cpu_opv.2", ".SH SYNOPSIS\n.SH DESCRIPTION\n")
        write(self.root / "man/percpu_add.3", PAGE)
        self.calls = self.scratch / "calls"
        self.stub("cargo")
        self.stub("cargo-cinstall", f'echo "$@" >>{self.calls}; cat "$CARGO_HOME/config.toml" >>{self.calls}')
        self.destdir = self.scratch / "dest"

    def install(self, **variables):
        return self.script("install-lib", DESTDIR=self.destdir, **variables)

    def installed(self):
        return sorted(str(path.relative_to(self.destdir)) for path in self.destdir.rglob("*") if not path.is_dir())

    def test_where(self):
        result = self.install(PREFIX="/usr", LIBDIR="/usr/lib/x86_64-linux-gnu")
        self.assert_status(0, result)
        self.assertEqual(["usr/include/cpu_opv/cpu-op.h", "usr/include/cpu_opv/linux/cpu_opv.h", "usr/include/cpu_opv/linux/types_32_64.h",
                          "usr/share/man/man2/cpu_opv.2", "usr/share/man/man3/percpu_add.3", "usr/share/man/man3/percpu_addv.3"],
                         self.installed())
        self.assertEqual("cpu-op\n", (self.destdir / "usr/include/cpu_opv/cpu-op.h").read_text())
        self.assertIn(f"--prefix=/usr --libdir=/usr/lib/x86_64-linux-gnu --destdir={self.destdir}\n", self.calls.read_text())
        # The registry is not asked: all sources are those of Cargo.lock.
        self.assertIn("--offline", self.calls.read_text())
        self.assertIn(f'directory = "{self.root}/build/crate-c/vendor"\n', self.calls.read_text())

    def test_default(self):
        self.install()
        self.assertIn("--prefix=/usr/local --libdir=/usr/local/lib ", self.calls.read_text())
        self.assertIn("usr/local/include/cpu_opv/cpu-op.h", self.installed())

    def test_page_is_found_by_each_function(self):
        self.install()
        link = self.destdir / "usr/local/share/man/man3/percpu_addv.3"
        self.assertEqual(PAGE, link.read_text())
        self.assertTrue(link.is_symlink())
        self.assertFalse((link.parent / "percpu_swap.3").exists())

    def test_again(self):
        self.install()
        before = self.installed()
        self.assert_status(0, self.install())
        self.assertEqual(before, self.installed())

    def test_build_that_fails(self):
        self.stub("cargo-cinstall", "exit 1")
        self.assert_status(1, self.install())
        self.assertFalse(self.destdir.exists())


class RustAnalyzer(ProjectTest):
    def setUp(self):
        super().setUp()
        self.tools()
        self.tree = self.root / "build/src/linux-7.2"
        self.tree.mkdir(parents=True)
        self.calls = self.scratch / "calls"
        write(self.root / "scripts/kernel", f"#!/bin/bash\necho kernel $* >>{self.calls}\n", executable=True)

    def test_project_file(self):
        self.stub("make", f'echo make "${{!#}}" >>{self.calls}; for a; do case $a in O=*) echo x >"${{a#O=}}/rust-project.json" ;; esac; done')
        (self.root / "build/out/7.2-run").mkdir(parents=True)
        self.assert_status(0, self.script("rust-analyzer", BASE="7.2"))
        self.assertEqual("kernel config\nmake rust-analyzer\n", self.calls.read_text())
        self.assertEqual("x\n", (self.tree / "rust-project.json").read_text())

    def test_make_that_fails(self):
        self.stub("make", "exit 1")
        self.assert_status(1, self.script("rust-analyzer", BASE="7.2"))
        self.assertFalse((self.tree / "rust-project.json").is_symlink())
