# SPDX-License-Identifier: GPL-2.0
"""bench/search.py: what it makes are valid vectors, and it keeps what it is told."""

import collections
import contextlib
import io
import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

from support import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import search  # noqa: E402  pylint: disable=wrong-import-position


class Vectors(unittest.TestCase):
    def setUp(self):
        self.maker = search.Maker(7)

    def assert_valid(self, vector):
        text = search.text_of(vector)
        self.assertTrue(1 <= len(vector) <= search.OPS_MAX, text)
        self.assertIn(vector.cpu, search.CPUS)
        self.assertLessEqual(sum(op.length for op in vector), search.SUM_MAX, text)
        for op in vector:
            self.assertEqual(2 if op.name in search.TWO_OPERANDS else 0 if op.name == "mb" else 1, len(op.operands), text)
            if op.name in search.ONE_OPERAND:
                self.assertIn(op.length, search.INTEGERS, text)
            self.assertTrue(0 <= op.length <= search.LEN_MAX and (op.name != "mb" or op.length == 0), text)
            for index, (kind, page, offset) in enumerate(op.operands):
                self.assertIn(kind, search.KINDS)
                self.assertTrue(0 <= page < search.PAGES and 0 <= offset < search.PAGE, text)
                if search.STORES_TO.get(op.name) == index:
                    self.assertNotIn(kind, search.READ_ONLY, f"a store to read-only memory: {text}")

    def test_all_are_valid(self):
        vectors = [*self.maker.by_hand(), *self.maker.regular(), *[self.maker.anything() for _ in range(300)]]
        for vector in vectors:
            self.assert_valid(vector)
            for _ in range(3):
                vector = self.maker.mutation(vector)
                self.assert_valid(vector)

    def test_each_cpu_and_kind_is_tried(self):
        vectors = [self.maker.anything() for _ in range(300)]
        self.assertEqual(set(search.CPUS), {vector.cpu for vector in vectors})
        self.assertEqual(set(search.KINDS), {kind for vector in vectors for op in vector for kind, *_ in op.operands})
        vectors = [self.maker.mutation(search.parse("mb 0")) for _ in range(300)]
        self.assertEqual(set(search.CPUS), {vector.cpu for vector in vectors})

    def test_worst_by_hand(self):
        """Some have 64 pages, and some 62 of which nearly all are only read."""
        found = collections.Counter()
        for vector in self.maker.by_hand():
            pages = set()
            for op in vector:
                for kind, page, offset in op.operands:
                    self.assertGreater(offset + op.length, search.PAGE)
                    pages |= {(kind, page), (kind, page + 1)}
            found[vector[0].name, vector.cpu, len(pages)] += 1
        for first, pages in (("copyrel", 64), ("addrel", 62)):
            self.assertEqual({(first, cpu, pages) for cpu in search.CPUS}, {key for key in found if key[0] == first})

    def test_text(self):
        for vector in [*self.maker.by_hand(), *self.maker.regular()]:
            text = search.text_of(vector)
            self.assertEqual(text, search.text_of(search.parse(text)))
        for cpu, text in (("own", "mb 0"), ("other", "on other; mb 0"), ("offline", "on offline; mb 0")):
            vector = search.parse(text)
            self.assertEqual((cpu, 1), (vector.cpu, len(vector)))
            self.assertEqual(text, search.text_of(vector))

    def test_one_that_is_known(self):
        with open(ROOT / "bench/longest.vec", encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(1, len(lines))
        vector = search.parse(lines[0])
        self.assert_valid(vector)
        # The benchmark has it for each CPU.
        self.assertEqual("own", vector.cpu)


class Search(unittest.TestCase):
    """The whole of it, with a guest in which each operation takes ten instructions, and one on a file fifteen."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="cpu_opv-")
        self.addCleanup(scratch.cleanup)
        self.scratch = Path(scratch.name)

    def count(self, _, __, vectors):
        own = {"own": 0, "other": 3, "offline": 2}
        return [own[vector.cpu] + sum(15 if "s" in {kind for kind, *_ in op.operands} else 10 for op in vector) for vector in vectors]

    def search(self):
        known = self.scratch / "known"
        known.write_text("add 8 a0+0\n", encoding="utf-8")
        arguments = ["search.py", "--vmlinux", "x", "--guest", "x", "--vectors", "x", "--trace", "x", "--known", str(known),
                     "--generations", "3", "--size", "20", "--out", str(self.scratch / "out")]
        out = io.StringIO()
        with mock.patch.object(sys, "argv", arguments), mock.patch.object(search, "count", self.count), \
                mock.patch.object(search.steps, "Kernel"), contextlib.redirect_stdout(out):
            self.assertEqual(0, search.main())
        return out.getvalue()

    def test_longest(self):
        out = self.search()
        self.assertIn("the one that was known: 10 for own, 13 for other, 12 for offline\n", out)
        self.assertIn("\n        240  on own, memory of kind s\n", out)
        self.assertRegex(out, r"(?m)^The longest of \d+ vectors, for other, takes 243 instructions with preemption off:$")
        text = (self.scratch / "out").read_text(encoding="utf-8")
        # It is written as one for the thread's own CPU.
        self.assertEqual("own", search.parse(text).cpu)
        self.assertEqual([240], self.count(None, None, [search.parse(text)]))


class Count(unittest.TestCase):
    """The lower of the counts of a vector, which a timer has not made larger."""

    def count(self, counts, vectors):
        kernel = mock.Mock()
        kernel.preempt_off.side_effect = [(count, 0) for count in counts]
        with tempfile.TemporaryDirectory(prefix="cpu_opv-") as scratch, \
                mock.patch.object(search.steps, "recordings", lambda _: [([], []) for _ in counts]):
            return search.count(types.SimpleNamespace(vectors=f"{scratch}/vectors", guest="true", trace=""), kernel, vectors)

    def test_lower(self):
        self.assertEqual([5, 7], self.count([9, 5, 7, 7], [search.parse("mb 0")] * 2))

    def test_calls_that_are_missing(self):
        with self.assertRaisesRegex(SystemExit, "3 calls were recorded of 2 vectors"):
            self.count([9, 5, 7], [search.parse("mb 0")] * 2)
