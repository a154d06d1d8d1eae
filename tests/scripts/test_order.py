# SPDX-License-Identifier: GPL-2.0
"""scripts/order-test: what it takes for the right instructions. The kernel and its disassembly are stubs."""

from support import ProjectTest, write

ACCESSORS = {"load_user_nofault": "ldtr", "store_user_nofault": "sttr"}


class OrderTest(ProjectTest):
    """The functions of a kernel, each with its instructions."""

    def setUp(self):
        super().setUp()
        self.tools()
        self.stub("uname", "echo x86_64")
        self.environment |= {"BASE": "7.2", "ARCH": "arm64"}
        self.output = self.root / "build/out/7.2-arm64-run"
        write(self.output / "vmlinux", "")
        self.functions = {name: [f"{access}\tx1, [x9]", f"{access}\tw1, [x9]", f"{access}h\tw1, [x9]", f"{access}b\tw1, [x9]", "ldr\tx8, [x9]"]
                          for name, access in ACCESSORS.items()}
        self.functions["rust_helper_smp_mb"] = ["dmb\tish", "ret"]
        calls = ["bl\t0x0", "R_AARCH64_CALL26\trust_helper_smp_mb"] * 3
        self.functions |= {"rust_cpu_opv": calls, "_RNvNtC6kernel7cpu_opv10run_pinned": calls}
        self.stub("llvm-nm-19", "echo '0 t _RNvNtC6kernel7cpu_opv10run_pinned'; echo '0 t _RNCNvNtC6kernel7cpu_opv10run_pinned0'")
        self.stub("llvm-objdump-19", f"""
            for word; do
                case $word in --disassemble-symbols=*) cat {self.scratch}/${{word#*=}} ;; esac
            done
            """)

    def order_test(self):
        for name, lines in self.functions.items():
            text = f"0000000000000000 <{name}>:\n"
            for line in lines:
                text += f"\t\t0000000000000004:  {line}\n" if line.startswith("R_") else f"       4:      \t{line}\n"
            (self.scratch / name).write_text(text)
        return self.script("order-test")

    def fails(self, text):
        result = self.order_test()
        self.assert_status(1, result)
        self.assertIn(text, result.err)

    def test_all_is_right(self):
        result = self.order_test()
        self.assert_status(0, result)
        self.assertIn("11 passed, 0 failed", result.err)

    def test_access_in_two_pieces(self):
        self.functions["load_user_nofault"][0] = "ldtr\tw1, [x9]"
        self.fails("failed order load of 8 bytes: 0 instructions where there should be 1")

    def test_access_twice(self):
        self.functions["store_user_nofault"].append("sttrh\tw2, [x9]")
        self.fails("failed order store of 2 bytes: 2 instructions where there should be 1")

    def test_weaker_barrier(self):
        self.functions["rust_helper_smp_mb"][0] = "dmb\tishst"
        self.fails("failed order barrier: 0 instructions where there should be 1")

    def test_operation_without_its_barrier(self):
        self.functions["rust_cpu_opv"] = self.functions["rust_cpu_opv"][2:]
        self.fails("failed order operations that have a barrier, without a pin: 2 instructions where there should be 3")

    def test_barrier_in_line(self):
        self.functions["rust_cpu_opv"] = ["dmb\tish"] * 3
        self.assert_status(0, self.order_test())

    def test_riscv64(self):
        self.environment["ARCH"] = "riscv64"
        write(self.root / "build/out/7.2-riscv64-run/vmlinux", "")
        for name, letter in (("load_user_nofault", "l"), ("store_user_nofault", "s")):
            # Beside the access to user memory there are others.
            self.functions[name] = ["ld\ta0, 0x0(sp)", "sd\ta0, 0x0(sp)"]
            for size in "dwhb":
                self.functions[name] += ["csrs\tsstatus, a4", f"{letter}{size}\ta1, 0x0(a2)", "csrc\tsstatus, a4"]
        self.functions["rust_helper_smp_mb"] = ["fence\trw, rw", "ret"]
        self.assert_status(0, self.order_test())
