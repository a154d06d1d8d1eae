# SPDX-License-Identifier: GPL-2.0
"""bench/search.py: what it makes are valid vectors, and it keeps what it is told."""

import sys
import unittest

from support import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import search  # noqa: E402  pylint: disable=wrong-import-position


class Vectors(unittest.TestCase):
    def setUp(self):
        self.maker = search.Maker(7)

    def assert_valid(self, vector):
        text = search.text_of(vector)
        self.assertTrue(1 <= len(vector) <= search.OPS_MAX, text)
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
                    self.assertNotEqual("p", kind, f"a store to read-only memory: {text}")

    def test_all_are_valid(self):
        vectors = [*self.maker.regular(), *[self.maker.anything() for _ in range(300)]]
        for vector in vectors:
            self.assert_valid(vector)
            for _ in range(3):
                vector = self.maker.mutation(vector)
                self.assert_valid(vector)

    def test_text(self):
        for vector in self.maker.regular():
            text = search.text_of(vector)
            self.assertEqual(text, search.text_of(search.parse(text)))

    def test_one_that_is_known(self):
        with open(ROOT / "bench/longest.vec", encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(1, len(lines))
        self.assert_valid(search.parse(lines[0]))
