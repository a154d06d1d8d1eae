#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR MIT
"""The man pages against the headers, the crate and the kernel's documentation, and their examples.

Usage: man_test.py SCRATCH    compiles the examples there, with what pkg-config says, and runs them
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = (ROOT / "include/uapi/linux/cpu_opv.h").read_text()
PERCPU = (ROOT / "crates/cpu-opv/include/percpu.h").read_text()
SYS = (ROOT / "crates/cpu-opv/src/sys.rs").read_text()
ERROR = (ROOT / "crates/cpu-opv/src/error.rs").read_text()
RST = (ROOT / "Documentation/userspace-api/cpu_opv.rst").read_text()
PAGES = {path.name: path.read_text() for path in sorted((ROOT / "man").glob("*.[23]"))}
CALL = PAGES["cpu_opv.2"]

failures = []


def check(condition, message):
    if not condition:
        failures.append(message)


def section(page, name):
    return re.search(rf'^\.SH "?{name}"?\n(.*?)(?=^\.SH|\Z)', page, re.M | re.S)[1]


def plain(page):
    """The words of a page, without the escapes."""
    return page.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\").replace("\\~", " ")


# Every operation and flag of the header, with its value in the crate.
values = re.findall(r"^\t(CPU_\w+|NR_CPU_OPS)\s*= (?:\(1U << )?(\d+)", HEADER, re.M)
check(len(values) == 15, f"the header has {len(values)} operations and flags")
for name, value in values:
    check(re.search(rf"\b{name}\b", CALL), f"cpu_opv(2) does not have {name}")
    check(re.search(rf"\b{name}\b", RST), f"the documentation does not have {name}")
    check(re.search(rf"\b{name}: \w+ = (1 << )?{value};", SYS), f"the crate has no {name} = {value}")

# The limits.
limits = {
    "CPU_OP_VEC_LEN_MAX": 16,
    "CPU_OP_DATA_LEN_MAX": 4096,
    "CPU_OP_VEC_DATA_LEN_MAX": 4096 + 15 * 8,
}
for name, value in limits.items():
    check(f"#define {name}" in HEADER, f"the header does not have {name}")
    check(re.search(rf"{name}\s+\({value}\)", CALL), f"cpu_opv(2) does not say {name} ({value})")
    check(name in RST, f"the documentation does not have {name}")
    check(f"pub const {name}:" in SYS, f"the crate does not have {name}")
for name in ("CPU_OP_VEC_LEN_MAX", "CPU_OP_DATA_LEN_MAX"):
    check(re.search(rf"#define {name}\s+{limits[name]}$", HEADER, re.M), f"{name} of the header")
    check(re.search(rf"{name}: usize = {limits[name]};", SYS), f"{name} of the crate")

# The errors.
errors = re.findall(r"^\.B (E[A-Z]+)$", section(CALL, "ERRORS"), re.M)
check(errors == sorted(errors), "the errors of cpu_opv(2) are not in alphabetical order")
documented = set(re.findall(r"^(E[A-Z]+)$", RST, re.M))
check(set(errors) == documented, f"errors: {sorted(set(errors) ^ documented)} not in both")
# The documentation has more than one cause of EINVAL in some of its items, a page none.
causes = re.search(r"^EINVAL\n((?: .*\n)+)", RST, re.M)[1]
check(errors.count("EINVAL") >= len(re.findall("^ +- ", causes, re.M)), "cpu_opv(2) does not have each cause of EINVAL")
for name in re.findall(r"\b[A-Z]+_[A-Z_]+\b", causes):
    check(name in section(CALL, "ERRORS"), f"no error of cpu_opv(2) names {name}")
errors = re.findall(r"^\.B (E[A-Z]+)$", section(PAGES["libcpu_opv.3"], "ERRORS"), re.M)
check(errors == sorted(errors), "the errors of libcpu_opv(3) are not in alphabetical order")
check(set(errors) == set(re.findall(r"\blibc::(E[A-Z]+)", ERROR)), "libcpu_opv(3) and the crate do not have the same errors")

# Every function of the header is in the synopsis of a page, with its parameters.
for ret, name, parameters in re.findall(r"^(\w+) (percpu_\w+)\((.*?)\);", PERCPU, re.M | re.S):
    want = re.sub(r"\s+", "", f"{ret}{name}({parameters})")
    found = False
    for page in PAGES.values():
        synopsis = re.sub(r"^\.\w+", "", section(page, "SYNOPSIS"), flags=re.M).replace('"', "")
        if want in re.sub(r"\s+", "", synopsis):
            found = True
            check(rf"\fB{name}\fP()" in section(page, "ATTRIBUTES"), f"the attributes of {name}() are missing")
    check(found, f"no page has {name}() as percpu.h has it")

# What is installed: the pages, and a link for each function that finds its page.
prefix = subprocess.run(["pkg-config", "--variable=prefix", "libcpu_opv"], check=True, capture_output=True, text=True)
installed = {path.name for path in Path(prefix.stdout.strip(), "share/man").glob("man?/*") if path.exists()}
expected = set(PAGES) | {f"{name}.3" for name in re.findall(r"^\w+ (percpu_\w+)\(", PERCPU, re.M)}
check(installed == expected, f"man pages: {sorted(installed ^ expected)} are either missing or too much")

# The examples.
scratch = Path(sys.argv[1])
flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libcpu_opv"], check=True, capture_output=True, text=True)
for name, page in PAGES.items():
    example = re.search(r"^\.EX\n(.*?)^\.EE", section(page, "EXAMPLES"), re.M | re.S)
    check(example, f"{name} has no example")
    source, program = scratch / f"{name}.c", scratch / name
    source.write_text(plain(example[1]))
    command = ["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", str(program), str(source)]
    done = subprocess.run(command + shlex.split(flags.stdout), check=False).returncode == 0
    done = done and subprocess.run([str(program)], check=False, env=os.environ, stdout=subprocess.DEVNULL).returncode == 0
    check(done, f"the example of {name} does not work")

for failure in failures:
    print(failure)
sys.exit(bool(failures))
