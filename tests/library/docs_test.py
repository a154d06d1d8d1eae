#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Every public type, trait and function of the crate has an example: its own, or one of the type
or the module that it is in, which calls or names it.

Usage: docs_test.py FILE    the crate as rustdoc prints it with --output-format json

The compiler's own lint does not see what a private module has and lib.rs exports.
"""

import json
import re
import sys
from pathlib import Path

KINDS = ("struct", "enum", "union", "trait", "function")

crate = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
index = crate["index"]



def examples(item):
    return "\n".join(re.findall(r"```.*?```", item["docs"] or "", re.S))


# What a trait asks for is shown where the trait is.
of_traits = set()
# What an item is in: the type of a method, or the module.
parent = {}
for item in index.values():
    kind, inner = next(iter(item["inner"].items()))
    if kind == "impl" and inner["trait"]:
        of_traits.update(inner["items"])
    elif kind == "impl":
        owner = inner["for"].get("resolved_path", {}).get("id")
        parent.update(dict.fromkeys(inner["items"], owner))
    elif kind == "trait":
        of_traits.update(inner["items"])
    elif kind == "module":
        parent.update(dict.fromkeys(inner["items"], item["id"]))

checked = 0
without = []
for item in index.values():
    kind = next(iter(item["inner"]))
    if item["crate_id"] or kind not in KINDS or item["id"] in of_traits or item["visibility"] != "public":
        continue
    # The trait that keeps others from implementing ours cannot be named.
    if item["name"] == "Sealed":
        continue
    checked += 1
    around = index.get(str(parent.get(item["id"])))
    named = rf"\b{item['name']}\b" + (r"\(" if kind == "function" else "")
    if not examples(item) and not (around and re.search(named, examples(around))):
        where = item["span"]
        without.append(f"{where['filename']}:{where['begin'][0]}: {kind} {item['name']} has no example")

print(*sorted(without), f"{checked} items, {len(without)} without an example", sep="\n")
sys.exit(bool(without) or checked < 90)
