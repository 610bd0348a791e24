"""Many submissions in one request, some of them wrong."""

from .case import Case, invalid, octets, ok, post, refused

LINES = "Content-Type: application/x-ndjson"
GOOD = b'{"task":"square","args":[2]}'
#: (what, the text of a submission, what is said of it in its place).
BAD_ITEMS = [
    ("null", b"null", (400, "")), ("a number", b"7", (400, "")), ("a text", b'"x"', (400, "")),
    ("an array", b"[]", (400, "")), ("an array of one", b"[" + GOOD + b"]", (400, "")),
    ("an empty object", b"{}", (400, "/task")), ("no task", b'{"args":[1]}', (400, "/task")),
    ("an unknown member", b'{"task":"square","x":1}', (400, "/x")),
    ("a member twice", b'{"task":"echo","task":"echo"}', (400, "/task")),
    ("a wrong type", b'{"task":"square","args":7}', (400, "/args")),
    ("a wrong id", b'{"task":"square","id":"a b"}', (400, "/id")),
    ("a wrong timeout", b'{"task":"square","timeout":1e400}', (400, "/timeout")),
    ("a wrong tag", b'{"task":"square","tags":["a",1]}', (400, "/tags/1")),
    ("an unknown task", b'{"task":"nothing"}', (422, "/task")),
    ("an unknown pool", b'{"task":"square","pool":"nowhere"}', (422, "/pool")),
    ("too few arguments", b'{"task":"pair"}', (422, "/args/0")),
    ("another job's id", b'{"task":"square","args":[3],"id":"hostile-done"}', (422, None)),
    ("a nesting of 65", b'{"task":"echo","args":[' + b"[" * 63 + b"]" * 63 + b"]}",
     (400, "/args")),
    ("a nesting of 100,000", b'{"task":"echo","args":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
     (400, "/args")),
]
#: What spoils an array as a whole, and of lines only its own.
NOT_JSON = [
    ("half an object", b'{"task":"square"'), ("a word", b"square"), ("NaN", b"NaN"),
    ("two objects", GOOD + GOOD), ("a comma behind", GOOD + b","),
    ("a byte that is not UTF-8", b'{"task":"\xff"}'),
    ("a lone surrogate", b'{"task":"\\ud800"}'), ("a NUL", b'{"task":"a\0"}'),
    ("a byte order mark", b"\xef\xbb\xbf" + GOOD), ("a comment", GOOD + b"/**/"),
]


def lines(*items):
    """A body with one submission a line."""
    return post(b"\n".join(octets(item) for item in items), media=LINES)


ARRAYS = [
    Case(f"in an array: {what}", post(b"[" + b",".join([GOOD, text, GOOD]) + b"]"),
         ok(items=[None, said, None]))
    for what, text, said in BAD_ITEMS
] + [
    Case(f"in an array, which it spoils: {what}", post(b"[" + b",".join([GOOD, text]) + b"]"),
         invalid(""))
    for what, text in NOT_JSON
] + [
    Case("an empty array", post(b"[]"), ok(items=[])),
    Case("an empty array with blanks", post(b" \r\n[ \t] \n"), ok(items=[])),
    Case("an open array", post(b"["), invalid("")),
    Case("an array and rubbish", post(b"[]x"), invalid("")),
    Case("two arrays", post(b"[][]"), invalid("")),
    Case("an array with a comma first", post(b"[," + GOOD + b"]"), invalid("")),
    Case("an array with a comma last", post(b"[" + GOOD + b",]"), invalid("")),
    Case("an array that is not over", post(b"[" + GOOD + b","), invalid("")),
    Case("an array closed by a brace", post(b"[" + GOOD + b"}"), invalid("")),
    Case("100,000 arrays, one in the other", post(b"[" * 100_000 + b"]" * 100_000),
         ok(items=[(400, "")])),
    Case("100,000 open arrays", post(b"[" * 100_000), invalid("")),
    Case("10,001 submissions", post(b"[" + b",".join([b"{}"] * 10_001) + b"]"),
         refused(413, "payload_too_large")),
    Case("10,001 submissions, the array not over", post(b"[" + b"{}," * 10_001),
         refused(413, "payload_too_large")),
    Case("10,000 empty submissions", post(b"[" + b",".join([b"{}"] * 10_000) + b"]"),
         ok(items=[(400, "/task")] * 10_000)),
    Case("an array with a key", post(b"[" + GOOD + b"]", "Idempotency-Key: bulk"), invalid()),
    Case("an array with a wait without sense", post(b"[]", target="/v1/jobs?wait=x"), invalid()),
    Case("an array with one id twice", post(
        b'[{"task":"square","args":[2],"id":"same"},{"task":"square","args":[3],"id":"same"}]'),
        ok(items=[None, (422, None)])),
    Case("an array as a form", post(
        b"[" + GOOD + b"]", media="Content-Type: application/x-www-form-urlencoded"),
        ok(items=[None])),
]

NDJSON = [
    Case(f"in lines: {what}", lines(GOOD, text, GOOD), ok(items=[None, said, None]))
    for what, text, said in BAD_ITEMS
] + [
    Case(f"in lines, which it does not spoil: {what}", lines(GOOD, text, GOOD),
         ok(items=[None, (400, ""), None]))
    for what, text in NOT_JSON
] + [
    Case("no lines", lines(b""), ok(items=[])),
    Case("blank lines", lines(b"", b" ", b"\t\r", b""), ok(items=[])),
    Case("lines that end in CRLF", lines(GOOD + b"\r", GOOD + b"\r", b""), ok(items=[None, None])),
    Case("submissions that end in CR", post(GOOD + b"\r" + GOOD, media=LINES),
         ok(items=[(400, "")])),
    Case("a submission over two lines", lines(b'{"task":', b'"square"}'),
         ok(items=[(400, ""), (400, "")])),
    Case("a submission of NULs", lines(b"\0\0\0", GOOD), ok(items=[(400, ""), None])),
    Case("10,001 lines", lines(*[b"{}"] * 10_001), refused(413, "payload_too_large")),
    Case("100,000 line ends", post(b"\n" * 100_000, media=LINES), ok(items=[])),
    Case("lines with a key", post(GOOD, "Idempotency-Key: bulk", media=LINES), invalid()),
]

CASES = ARRAYS + NDJSON
