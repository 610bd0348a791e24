"""Cases for PythonFuzzTests: random JSON texts with the verdict of Python's own `json`.

    python3 fuzz.py N [SEED]      N texts and N numbers; prints the seed to stderr

The output, for the Swift test to compare with, is one case a line, fields parted by spaces:

    text HEX no                     to be refused
    text HEX yes MINIFIED CANONICAL to be taken; both in hex
    number LEXEME BITS INTEGER      BITS: of the nearest double in hex, or `inf`
                                    INTEGER: its value, `big` when not in 64 bits, or `none`

MINIFIED is the text without the white space between tokens. CANONICAL is it decoded and written
anew: strings as `json.dumps(..., ensure_ascii=False)` writes them, numbers as they were written,
members (duplicates too) in their order. Standard library only.
"""

import json
import random
import re
import struct
import sys
from fractions import Fraction

DEPTH_MAX = 64


class Refused(Exception):
    pass


class Lexeme(str):
    """A number as it was written."""


def refuse(word):
    raise Refused(word)  # NaN, Infinity, -Infinity: an extension of Python's


STRING_OR_SPACE = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\n\r]+', re.DOTALL)
encode_string = json.encoder.encode_basestring  # leaves what is not ASCII as it is


def depth(text):
    """How deep brackets go, outside of strings; for texts that are valid otherwise."""
    deepest = now = 0
    for character in re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.DOTALL):
        if character in "[{":
            now += 1
            deepest = max(deepest, now)
        elif character in "]}":
            now -= 1
    return deepest


def canonical(value):
    if isinstance(value, Lexeme):
        return str(value)
    if isinstance(value, str):
        value.encode("utf-8")  # UnicodeEncodeError: a lone surrogate
        return encode_string(value)
    if isinstance(value, tuple):
        return "{" + ",".join(canonical(k) + ":" + canonical(v) for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return {True: "true", False: "false", None: "null"}[value]


def judge(data):
    """(minified, canonical) for a text to be taken, None for one to be refused."""
    try:
        text = data.decode("utf-8")
        value = json.loads(
            text,
            parse_int=Lexeme,
            parse_float=Lexeme,
            parse_constant=refuse,
            object_pairs_hook=tuple,
        )
        if depth(text) > DEPTH_MAX:
            return None
        written = canonical(value)
    except (ValueError, Refused, RecursionError):  # every decoding error is a ValueError
        return None
    minified = STRING_OR_SPACE.sub(lambda match: match[1] or "", text)
    return minified.encode(), written.encode()


# Making texts.

CHARACTERS = (
    [chr(c) for c in range(0x20)]
    + list('"\\/"\\ abcxyz,:[]{}019')
    + ["\x7f", "\x80", "é", "\u07ff", "\u0800", "€", "\u2028", "\ud7ff", "\ue000", "\ufeff"]
    + ["\uffff", "\U00010000", "😹", "\U0010ffff"]
)
SHORT = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
BYTES = (
    b'[]{},:"\\u/0123456789abcdefDE.-+tnrl \n\t\r\0\x1f\x7f'
    b"\x80\xbf\xc0\xc2\xe0\xed\xa0\xef\xbb\xf0\xf4\x90\xff"
)
SNIPPETS = [
    b"\\ud800", b"\\udc00", b"\\ud83d\\ude39", b"\\u0000", b"\\u12", b"\xed\xa0\x80", b"\xc0\xaf",
    b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"NaN", b"Infinity", b"-Infinity", b"null", b"true",
    b"1e400", b"-0", b"01", b"1.", b".5", b"//", b"/**/", b"'a'", b",,", b"[]", b"{}", b'"":',
    b"\xc2\xa0", b"\x0c", b"\xe2\x80\xa8", b"[" * 64, b"]" * 64,
]


def space(r):
    return "".join(r.choice(" \t\n\r") for _ in range(r.randint(1, 3))) if r.random() < 0.3 else ""


def string(r):
    out = []
    for _ in range(r.choice([0, 1, 2, 5, 9, 30])):
        c = r.choice(CHARACTERS)
        if c in '"\\' or c < " " or r.random() < 0.15:
            if c in SHORT and r.random() < 0.6:
                out.append("\\" + SHORT[c])
            else:
                units = c.encode("utf-16-be")
                for i in range(0, len(units), 2):
                    digits = units[i : i + 2].hex()
                    out.append("\\u" + (digits.upper() if r.random() < 0.5 else digits))
        else:
            out.append(c)
    return '"' + "".join(out) + '"'


def number(r):
    digits = lambda low, high: "".join(r.choice("0123456789") for _ in range(r.randint(low, high)))
    whole = "0" if r.random() < 0.2 else r.choice("123456789") + digits(0, r.choice([2, 8, 18, 40]))
    fraction = "." + digits(1, r.choice([2, 17, 30])) if r.random() < 0.4 else ""
    exponent = ""
    if r.random() < 0.35:
        exponent = r.choice(["e", "E", "e+", "E-", "e-"]) + digits(1, r.choice([1, 2, 3, 3, 5]))
    return r.choice(["", "-"]) + whole + fraction + exponent


def value(r, deep):
    if deep == 0 or r.random() < 0.35:
        kind = r.random()
        if kind < 0.15:
            return r.choice(["true", "false", "null"])
        return number(r) if kind < 0.5 else string(r)
    count = r.choice([0, 1, 1, 2, 3, 5])
    is_object = r.random() < 0.5
    items = []
    for _ in range(count):
        name = string(r) + space(r) + ":" + space(r) if is_object else ""
        items.append(space(r) + name + value(r, deep - 1) + space(r))
    content = ",".join(items) or space(r)
    return "{" + content + "}" if is_object else "[" + content + "]"


def nested(r):
    """Brackets about as deep as allowed, of both kinds, perhaps not matching."""
    kinds = [r.choice(["[", '{"":']) for _ in range(r.randint(60, 68))]
    closing = "".join("]" if kind == "[" else "}" for kind in reversed(kinds))
    if r.random() < 0.2:
        closing = closing[:-3] + r.choice("]}") + closing[-2:]
    return "".join(kinds) + value(r, 0) + closing


def damage(r, data):
    data = bytearray(data)
    for _ in range(r.randint(1, 3)):
        place = r.randint(0, len(data))
        kind = r.randint(0, 5)
        if kind == 0:
            del data[place : place + 1]
        elif kind == 1:
            data.insert(place, r.choice(BYTES))
        elif kind == 2:
            data[place : place + 1] = bytes([r.choice(BYTES)])
        elif kind == 3:
            data[place:place] = r.choice(SNIPPETS)
        elif kind == 4:
            del data[place:]
        else:
            start = r.randint(0, len(data))
            data[place:place] = data[start : start + r.randint(1, 8)]
    return bytes(data)


def text(r):
    if r.random() < 0.03:
        return bytes(r.choice(BYTES) for _ in range(r.randint(0, 12)))
    made = nested(r) if r.random() < 0.03 else value(r, r.choice([0, 1, 2, 3, 5]))
    data = (space(r) + made + space(r)).encode()
    return damage(r, data) if r.random() < 0.6 else data


def print_text(data, out):
    verdict = judge(data)
    if verdict is None:
        out.write(f"text {data.hex()} no\n")
    else:
        out.write(f"text {data.hex()} yes {verdict[0].hex()} {verdict[1].hex()}\n")


def hard_number(r):
    """A decimal at or beside the middle of two doubles, exactly written."""
    bits = r.getrandbits(52) | (r.randint(1023 - 60, 1023 + 90) << 52)
    low = struct.unpack(">d", bits.to_bytes(8, "big"))[0]
    high = struct.unpack(">d", (bits + 1).to_bytes(8, "big"))[0]
    middle = (Fraction(low) + Fraction(high)) / 2
    power = 0
    while middle.denominator > 1:
        middle *= 10
        power += 1
    digits = middle.numerator
    if r.random() < 0.7:  # cut to what a fast way takes, or moved by one in the last place
        cut = max(0, len(str(digits)) - r.randint(17, 20))
        digits //= 10**cut
        power -= cut
    return f"{max(digits + r.choice([-1, 0, 0, 1]), 0)}e{-power}"


def print_number(lexeme, out):
    nearest = float(lexeme)
    bits = struct.pack(">d", nearest).hex()
    if nearest in (float("inf"), float("-inf")):
        bits = "inf"
    integer = "none"
    if re.fullmatch("-?[0-9]+", lexeme):
        integer = str(int(lexeme)) if -(2**63) <= int(lexeme) < 2**63 else "big"
    out.write(f"number {lexeme} {bits} {integer}\n")


def main():
    count = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**9)
    print(f"fuzz.py: seed {seed}", file=sys.stderr)
    r = random.Random(seed)
    for _ in range(count):
        print_text(text(r), sys.stdout)
        print_number(hard_number(r) if r.random() < 0.3 else number(r), sys.stdout)


main()
