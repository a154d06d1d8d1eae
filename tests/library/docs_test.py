#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Every public type, trait and function of the crate has an example.

Usage: docs_test.py FILE    the crate as rustdoc prints it with --output-format json

The compiler's own lint does not see what a private module has and lib.rs exports.
"""

import json
import sys
from pathlib import Path

KINDS = ("struct", "enum", "union", "trait", "function")

crate = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
index = crate["index"]

# What a trait asks for is shown where the trait is.
of_traits = set()
for item in index.values():
    kind = item["inner"]
    if "impl" in kind and kind["impl"]["trait"]:
        of_traits.update(kind["impl"]["items"])
    elif "trait" in kind:
        of_traits.update(kind["trait"]["items"])

checked = 0
without = []
for item in index.values():
    kind = next(iter(item["inner"]))
    if item["crate_id"] or kind not in KINDS or item["id"] in of_traits or item["visibility"] != "public":
        continue
    checked += 1
    if "```" not in (item["docs"] or ""):
        where = item["span"]
        without.append(f"{where['filename']}:{where['begin'][0]}: {kind} {item['name']} has no example")

print(*sorted(without), f"{checked} items, {len(without)} without an example", sep="\n")
sys.exit(bool(without) or checked < 50)
