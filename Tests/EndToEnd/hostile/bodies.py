"""Bodies that are not JSON, or only just."""

from .case import ACCEPTED, DONE, SUBMISSION, Case, invalid, post, refused

#: The whole is not JSON: the place is the whole.
NO_JSON = invalid("")
CANCEL = f"/v1/jobs/{DONE}/cancel"
FINAL = refused(409, "not_cancellable")


def deep(count, inside=b"", opening=b"[", closing=b"]"):
    """An argument of so many arrays, one in the other."""
    return b'{"task":"echo","args":[' + opening * count + inside + closing * count + b"]}"


def echo(value):
    """A submission with this text as its argument."""
    return b'{"task":"echo","args":[' + value + b"]}"


SYNTAX = [
    Case(f"a body that is {what}", post(body), NO_JSON)
    for what, body in (
        ("blank", b" \r\n\t "), ("one brace", b"{"), ("a closing brace", b"}"),
        ("half an object", b'{"task":'), ("cut in a text", b'{"task":"squa'),
        ("cut in an escape", b'{"task":"squ\\u00'), ("cut in args", b'{"task":"echo","args":[1,'),
        ("cut before its end", SUBMISSION[:-1]), ("a word", b"square"), ("TRUE", b"TRUE"),
        ("NaN", b"NaN"), ("in single quotes", b"{'task':'square'}"),
        ("without quotes", b'{task:"square"}'), ("a comma too many", b'{"task":"square",}'),
        ("two commas", b'{"task":"square",,"args":[]}'), ("a comma first", b'{,"task":"square"}'),
        ("without a comma", b'{"task":"echo" "args":[1]}'), ("without a colon", b'{"task" "echo"}'),
        ("with = for :", b'{"task"="echo"}'), ("with a name that is a number", b'{1:"echo"}'),
        ("with a name that is null", b'{null:"echo"}'), ("two objects", SUBMISSION * 2),
        ("an object and rubbish", SUBMISSION + b"x"), ("an object and a NUL", SUBMISSION + b"\0"),
        ("an object and a comma", SUBMISSION + b","), ("with a comment", b'{"task":"echo"/**/}'),
        ("with a line comment", b'{"task":"echo"}//x'), ("with a byte order mark",
                                                       b"\xef\xbb\xbf" + SUBMISSION),
        ("UTF-16", SUBMISSION.decode().encode("utf-16")),
        ("UTF-16 without a mark", SUBMISSION.decode().encode("utf-16-le")),
        ("UTF-32", SUBMISSION.decode().encode("utf-32-be")), ("of NULs", b"\0" * 100),
        ("a query", b"task=square&args=2"), ("YAML", b"task: square\nargs: [2]\n"),
        ("a serialised object", b"\x80\x04\x95\x1a\x00\x00\x00cos\nsystem\n"),
        ("white space of Unicode", "\u00a0".encode() + SUBMISSION),
        ("with a form feed", b"\x0c" + SUBMISSION), ("JSONP", b"f(" + SUBMISSION + b")"),
    )
]

VALUES = [
    Case(f"an argument that is {what}", post(echo(value)), NO_JSON)
    for what, value in (
        ("NaN", b"NaN"), ("Infinity", b"-Infinity"), ("undefined", b"undefined"), ("True", b"True"),
        ("01", b"01"), ("-01", b"-01"), ("1.", b"1."), (".5", b".5"), ("+1", b"+1"), ("-", b"-"),
        ("--1", b"--1"), ("1e", b"1e"), ("1e+", b"1e+"), ("1.e5", b"1.e5"), ("0x1", b"0x1"),
        ("1_000", b"1_000"), ("1,000.", b"1,000."), ("a number in other digits", "１".encode()),
        ("an unknown escape", b'"\\x41"'), ("half an escape", b'"\\u12"'),
        ("an escape of no digits", b'"\\uzzzz"'), ("an escape with a sign", b'"\\u+123"'),
        ("a capital U", b'"\\U0041"'), ("a backslash alone", b'"\\"'), ("a LF", b'"a\nb"'),
        ("a tab", b'"a\tb"'), ("a NUL", b'"a\0b"'), ("US", b'"a\x1fb"'),
        ("a byte that is not UTF-8", b'"\xff"'), ("a continuation alone", b'"\x80"'),
        ("an overlong slash", b'"\xc0\xaf"'), ("an overlong NUL", b'"\xc0\x80"'),
        ("an overlong of three", b'"\xe0\x80\xaf"'), ("an overlong of four", b'"\xf0\x80\x80\xaf"'),
        ("a surrogate in UTF-8", b'"\xed\xa0\x80"'), ("a pair in UTF-8",
                                                     b'"\xed\xa0\x80\xed\xb0\x80"'),
        ("beyond U+10FFFF", b'"\xf4\x90\x80\x80"'), ("five bytes", b'"\xf8\x88\x80\x80\x80"'),
        ("half a character", b'"\xe2\x82"'), ("a character cut by a quote", b'"\xf0\x9f"'),
        ("a lone high surrogate", b'"\\ud800"'), ("a lone low surrogate", b'"\\udc00"'),
        ("a high surrogate and a letter", b'"\\ud800a"'), ("two high surrogates",
                                                          b'"\\ud800\\ud800"'),
        ("a pair the wrong way round", b'"\\udc00\\ud800"'),
        ("a high surrogate and half an escape", b'"\\ud800\\u"'),
        ("a name that is a lone surrogate", b'{"\\udfff":1}'),
        ("an object without a value", b'{"a"}'), ("brackets that do not match", b"[1}"),
    )
]

ODD = [
    Case(f"an argument that is {what} is taken", post(echo(value)), ACCEPTED)
    for what, value in (
        ("-0", b"-0"), ("1e400", b"1e400"), ("1e-400", b"1e-400"),
        ("1E+0000000001", b"1E+0000000001"),
        ("1e999999999999", b"1e999999999999"), ("2^64", b"18446744073709551616"),
        ("of 100,000 digits", b"7" * 100_000), ("an escaped NUL", b'"\\u0000"'),
        ("a pair of escapes", b'"\\ud83d\\ude00"'), ("U+FFFE", b'"\\ufffe"'),
        ("U+10FFFF", b'"\xf4\x8f\xbf\xbf"'), ("DEL", b'"\x7f"'), ("an empty name", b'{"":{"":[]}}'),
        ("a name twice", b'{"a":1,"a":2}'), ("__proto__", b'{"__proto__":{"admin":true}}'),
    )
]

DEPTHS = [
    # The object and `args` are two of the 64.
    Case("a nesting of 64", post(deep(62)), ACCEPTED),
    Case("a nesting of 65", post(deep(63)), invalid("/args")),
    Case("a nesting of 66", post(deep(64)), invalid("/args")),
    Case("a nesting of 64 objects", post(deep(62, b"1", b'{"a":', b"}")), ACCEPTED),
    Case("a nesting of 65 objects", post(deep(63, b"1", b'{"a":', b"}")), invalid("/args")),
    Case("a nesting of 100,000", post(deep(100_000)), invalid("/args")),
    Case("a nesting of 100,000 that is not over", post(deep(100_000)[:100_000]), invalid("/args")),
    Case("a nesting of 100,000 objects", post(deep(100_000, b"1", b'{"a":', b"}")),
         invalid("/args")),
    Case("a nesting of 100,000 in kwargs", post(
        b'{"task":"echo","kwargs":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"),
        invalid("/kwargs")),
    Case("a nesting of 100,000 for a task", post(b'{"task":' + b"[" * 100_000), invalid("/task")),
    Case("100,000 closing brackets", post(b"]" * 100_000), NO_JSON),
    Case("100,000 opening braces", post(b"{" * 100_000), NO_JSON),
]

CANCELS = [
    Case(f"a cancel with {what}", post(body, target=CANCEL), answer)
    for what, body, answer in (
        ("nothing", b"", FINAL), ("{}", b"{}", FINAL), ("null", b'{"grace":null}', FINAL),
        ("0", b'{"grace":0}', FINAL), ("300", b'{"grace":3e2}', FINAL),
        ("-1", b'{"grace":-1}', invalid("/grace")), ("301", b'{"grace":301}', invalid("/grace")),
        ("300.0001", b'{"grace":300.0001}', invalid("/grace")),
        ("1e400", b'{"grace":1e400}', invalid("/grace")),
        ("-1e-400", b'{"grace":-1e-400}', FINAL),
        ("100,000 digits", b'{"grace":' + b"9" * 100_000 + b"}", invalid("/grace")),
        ("a text", b'{"grace":"5"}', invalid("/grace")),
        ("true", b'{"grace":true}', invalid("/grace")),
        ("an array", b'{"grace":[5]}', invalid("/grace")),
        ("an unknown member", b'{"graze":5}', invalid("/graze")),
        ("an unknown member behind", b'{"grace":5,"x~/y":1}', invalid("/x~0~1y")),
        ("a member twice", b'{"grace":5,"grace":5}', invalid("/grace")),
        ("a list", b"[5]", invalid("")), ("a number", b"5", invalid("")),
        ("the null of all", b"null", invalid("")), ("half a body", b'{"grace":', invalid("")),
        ("a blank", b" ", invalid("")), ("two bodies", b"{}{}", invalid("")),
        ("NaN", b'{"grace":NaN}', invalid("")), ("a byte that is not UTF-8",
                                                b'{"gr\xffce":5}', invalid("")),
        ("a lone surrogate", b'{"\\ud800":5}', invalid("")),
        ("a nesting of 100,000", b'{"grace":' + b"[" * 100_000, invalid("/grace")),
    )
] + [
    Case("a wrong cancel of a job that is not there", post(
        b'{"grace":-1}', target="/v1/jobs/nobody/cancel"), invalid("/grace")),
]

CASES = SYNTAX + VALUES + ODD + DEPTHS + CANCELS
