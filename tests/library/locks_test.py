#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR MIT
"""What each Cargo.lock names can be built with the oldest Rust that the library promises.

Distributions have that one; a newer one does not notice.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def packages(directory):
    """The name and the oldest Rust of each package that a crate of ours needs on this platform."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"]
    command += ["--manifest-path", str(ROOT / directory / "Cargo.toml")]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [(package["name"], package["rust_version"]) for package in json.loads(output)["packages"]]


def number(version):
    return [int(part) for part in version.split(".")]


promised = dict(packages("crates/cpu-opv"))["cpu-opv"]
failures = []
for crate in ("crates/cpu-opv", "examples", "tests/library/loom", "tests/host"):
    for name, oldest in packages(crate):
        if oldest and number(oldest)[:2] > number(promised)[:2]:
            failures.append(f"{crate}/Cargo.lock: {name} needs Rust {oldest}, not {promised}")

for failure in failures:
    print(failure)
sys.exit(bool(failures))
