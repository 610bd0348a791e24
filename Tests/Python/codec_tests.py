#!/usr/bin/env python3
"""Values as text: what is read is what was written, type for type.

    python3 Tests/Python/codec_tests.py [SEED]
"""

import collections
import json
import math
import os
import random
import struct
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "Sources", "Python")]

from lido import codec  # noqa: E402

SEED = int(sys.argv.pop(1)) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 20261121
ROUNDS = 20_000


def is_same(one, other):
    """Equal in value and type, all the way down; -0.0 is not 0.0, nan is nan."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, dict):
        return list(map(repr, one)) == list(map(repr, other)) and all(
            is_same(one[key], other[key]) for key in one)
    return one == other


class Text(str):
    """A subclass: JSON would make a str of it."""


class Values:
    """Random values, plain ones and others."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def scalar(self):
        pick = self.random
        return pick.choice([
            lambda: None, lambda: pick.random() < 0.5, lambda: pick.randint(-9, 9),
            lambda: pick.randint(-2 ** 64, 2 ** 64), lambda: pick.getrandbits(700) - 2 ** 699,
            lambda: struct.unpack("d", pick.randbytes(8))[0], lambda: pick.random(),
            lambda: float(pick.randint(-9, 9)), lambda: -0.0, lambda: 5e-324, self.text])()

    def text(self):
        ranges = [
            (0, 0x7f), (0x80, 0xd7ff), (0xd800, 0xdfff), (0xe000, 0xffff), (0x10000, 0x10ffff)]
        return "".join(
            chr(self.random.randint(*self.random.choices(ranges, [80, 10, 1, 5, 5])[0]))
            for _ in range(self.random.randint(0, 6)))

    def other(self):
        return self.random.choice([
            (1,), {1}, b"x", 1j, Text("a"), range(3), collections.OrderedDict(a=1), {1: 2},
            {None: 1}, {"pickle": "gAVOLg=="}, {"pickle": 1}, float("nan"), float("inf")])

    def value(self, depth=4):
        kind = self.random.random()
        if depth == 0 or kind < 0.5:
            return self.scalar() if self.random.random() < 0.95 else self.other()
        count = self.random.randint(0, 5)
        if kind < 0.75:
            return [self.value(depth - 1) for _ in range(count)]
        return {self.text(): self.value(depth - 1) for _ in range(count)}


def read_strictly(text):
    """As a service reads: UTF-8, no names twice, nothing but JSON."""
    def members(pairs):
        assert len(dict(pairs)) == len(pairs), text
        return dict(pairs)

    def constant(name):
        raise AssertionError(name)
    return json.loads(
        text.decode("utf-8"), object_pairs_hook=members, parse_constant=constant,
        parse_int=lambda digits: digits)


class CodecTest(unittest.TestCase):
    """The codec."""

    def test_every_value_comes_back(self):
        values = Values(SEED)
        packed = 0
        for _ in range(ROUNDS):
            value = values.value()
            text = codec.encode(value, pickles=True)
            read_strictly(text)
            self.assertNotIn(b"\n", text)
            packed += text.startswith(b'{"pickle":')
            self.assertTrue(is_same(codec.decode(codec.loads(text), True), value), repr(value))
        self.assertTrue(0 < packed < ROUNDS // 2, packed)

    def test_without_pickles_it_is_exact_or_an_error(self):
        values = Values(SEED + 1)
        refused = 0
        for _ in range(ROUNDS):
            value = values.value()
            try:
                text = codec.encode(value)
            except codec.EncodingError:
                refused += 1
                continue
            self.assertTrue(is_same(codec.decode(codec.loads(text)), value), repr(value))
        self.assertTrue(0 < refused < ROUNDS // 2, refused)

    def test_lists_and_lines_are_the_same_values(self):
        values = Values(SEED + 2)
        for _ in range(ROUNDS // 20):
            items = [values.value(2) for _ in range(values.random.randint(0, 12))]
            text = codec.encode_list(items, True)
            self.assertTrue(is_same(codec.decode_list(codec.loads(text), True), items))
            lines = codec.encode_lines(items, True)
            self.assertEqual(len(lines), len(items))
            self.assertTrue(is_same(
                [codec.decode(codec.loads(line), True) for line in lines], items))

    def test_numbers_in_lines(self):
        items = [1, -2.5, None, True, 10 ** 30, 1e300]
        self.assertTrue(is_same([codec.loads(line) for line in codec.encode_lines(items)], items))
        self.assertEqual(codec.encode_lines([]), [])

    def test_numbers_of_any_length(self):
        for digits in (599, 600, 601, 4299, 4300, 4301, 20_000):
            for number in (10 ** digits, -10 ** digits + 1, math.factorial(digits // 4)):
                for value in (number, [number], {"a": [1.5, number]}):
                    text = codec.encode(value)
                    self.assertFalse(text.startswith(b'{"pickle"'))
                    self.assertTrue(codec.loads(text) == value)

    def test_a_dict_like_a_pickle_is_pickled(self):
        for value in ({"pickle": "gAVOLg=="}, {"pickle": None}):
            text = codec.encode(value, True)
            self.assertNotEqual(codec.loads(text), value)
            self.assertEqual(codec.decode(codec.loads(text), True), value)
            # Where pickles are not in use it is an object like any other.
            self.assertEqual(codec.decode(codec.loads(codec.encode(value))), value)
            # And so it is deeper in a value.
            deep = codec.encode([value, {"pickle": 1, "b": 2}], True)
            self.assertEqual(codec.decode(codec.loads(deep), True), [value, {"pickle": 1, "b": 2}])

    def test_what_is_twice_in_a_value_stays_one(self):
        part = [1]
        first, second = codec.decode(codec.loads(codec.encode([part, part], True)), True)
        self.assertIs(first, second)
        circle = []
        circle.append(circle)
        again = codec.decode(codec.loads(codec.encode(circle, True)), True)
        self.assertIs(again[0], again)

    def test_deep_values(self):
        for depth, is_json in ((codec.DEPTH_MAX, True), (codec.DEPTH_MAX + 1, False)):
            value = 1
            for _ in range(depth):
                value = [value]
            text = codec.encode(value, True)
            self.assertEqual(text.startswith(b"["), is_json)
            self.assertEqual(codec.decode(codec.loads(text), True), value)

    def test_errors_name_the_place(self):
        for value, part in (
                ({"a": [1, (2,)]}, "/a/1: a builtins.tuple"), ([float("nan")], "nan"),
                ({1: 2}, "a key"), (["\ud800"], "a text"), (Text("a"), "Text")):
            with self.assertRaises(TypeError) as caught:
                codec.encode(value)
            self.assertIn(part, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
