"""Queries, ids in paths, and the headers that operations look at."""

from .case import (
    ACCEPTED, DONE, HEADERS_TOO_LARGE, NOISY, NOT_FOUND, SUBMISSION, Case, get, invalid, ok, post)

HANDLE = f"/v1/jobs/{DONE}"
LOGS = f"/v1/jobs/{NOISY}/logs"
GOOD, BAD = ok(), invalid()


def asked(where, parameter, values, answer):
    """A GET with each of these values of a parameter, as they stand in the target."""
    return [
        Case(f"{where.split('?')[0]} with {parameter}={value[:30]!r} ({len(value)})",
             get(f"{where}{'&' if '?' in where else '?'}{parameter}={value}"), answer)
        for value in values
    ]


WAITS = (
    asked(HANDLE, "wait", [
        "", "NaN", "nan", "inf", "-inf", "Infinity", "-1", "-0.001", "0x10", "1,5", "5s", "five",
        "%20", "+5", "5+", "1_000", ".", "e5", "--5", "5-", "%D9%A3", "%EF%BC%95", "%00", "5%00",
        "[5]", "1e", "1e+", "null", "true",
    ], BAD)
    + asked(HANDLE, "wait", [
        "0", "-0", "5", "5.", ".5", "1e3", "1E-3", "1e999", "1e-999", "9" * 400, "0" * 400 + "1",
        "%35", "%2B5",
    ], GOOD)
    + [
        Case("wait twice", get(HANDLE + "?wait=1&wait=1"), BAD),
        Case("wait twice, once escaped", get(HANDLE + "?wait=1&%77ait=1"), BAD),
        Case("wait without a value", get(HANDLE + "?wait"), BAD),
        Case("Wait", get(HANDLE + "?Wait=1"), BAD),
        Case("wait on a submission", post(target="/v1/jobs?wait=NaN"), BAD),
        Case("wait on a cancel", post(b"", target=HANDLE + "/cancel?wait=1"), BAD),
        Case("wait on a result", get(HANDLE + "/result?wait=1e1e1"), BAD),
        Case("wait on a list", get("/v1/jobs?wait=1"), BAD),
    ])

QUERIES = [
    Case("an unknown parameter", get(HANDLE + "?x=1"), BAD),
    Case("a parameter without a name", get(HANDLE + "?=1"), BAD),
    Case("nothing but =", get(HANDLE + "?="), BAD),
    Case("nothing but &", get(HANDLE + "?&&&"), GOOD),
    Case("an empty query", get(HANDLE + "?"), GOOD),
    Case("a second ?", get(HANDLE + "?wait=1?"), BAD),
    Case("a query that is not UTF-8", get(b"/v1/jobs?tag=\xff"), BAD),
    Case("a query that is escaped and not UTF-8", get("/v1/jobs?tag=%ff"), BAD),
    Case("a name that is escaped and not UTF-8", get("/v1/jobs?%ff=1"), BAD),
    Case("an overlong NUL", get("/v1/jobs?tag=%c0%80"), BAD),
    Case("a surrogate in a query", get("/v1/jobs?tag=%ed%a0%80"), BAD),
    Case("half an escape in a query", get("/v1/jobs?tag=%4"), BAD),
    Case("an escape that is none in a query", get("/livez?%zz"), BAD),
    Case("a NUL in a query", get("/v1/jobs?tag=a\0b"), invalid(closes=True)),
    Case("an escaped NUL in a tag, which no job has", get("/v1/jobs?tag=%00"), GOOD),
    Case("a control character in a query", get("/v1/jobs?tag=\x01"), BAD),
    Case("a fragment in a query", get("/v1/jobs?tag=a#b"), BAD),
    Case("what a probe adds", get("/livez?x=1&x=1&=&%20"), GOOD),
    Case("200 parameters", get("/livez?" + "a=1&" * 200), GOOD),
    Case("1,900 parameters", get("/livez?" + "a=1&" * 1_900), GOOD),
    Case("7,900 times &", get("/livez?" + "&" * 7_900), GOOD),
    Case("7,900 times ?", get("/livez?" + "?" * 7_900), GOOD),
    Case("3,900 parameters without a value", get("/livez?" + "a&" * 3_900), GOOD),
    Case("1,900 unknown parameters", get("/v1/jobs?" + "a=1&" * 1_900), BAD),
    Case("3,000 parameters, too long", get("/livez?" + "a=1&" * 3_000), HEADERS_TOO_LARGE),
    Case("a query on a path without one", get("/v1/tasks?x"), BAD),
    Case("include of something else", get(HANDLE + "?include=everything"), BAD),
    Case("include twice", get(HANDLE + "?include=args&include=args"), BAD),
    Case("an empty include", get(HANDLE + "?include="), BAD),
]

LISTS = (
    asked("/v1/jobs", "limit", [
        "0", "-1", "1001", "", "1.5", "1e2", "0x10", "abc", "%2B5", "+5", "5%00", "%D9%A3",
        "18446744073709551617", "9" * 5_000,
    ], BAD)
    + asked("/v1/jobs?limit=1", "after", [
        "-1", "abc", "", "%2B5", "1.0", "0x1", "18446744073709551616", "9" * 5_000, "null", "1%00",
        "..%2F..%2Fetc%2Fpasswd", "%D9%A3",
    ], BAD)
    + asked("/v1/jobs?limit=1", "after", ["0", "1", "9223372036854775807"], GOOD)
    + asked("/v1/jobs", "state", ["", "done", "RUNNING", "running,queued", "queued%00"], BAD)
    + asked("/v1/jobs?limit=1", "task", ["", "%00", "nothing", "x" * 5_000, "'%20OR%201=1"], GOOD)
    + [
        Case("a filter twice", get("/v1/jobs?state=queued&state=running"), BAD),
        Case("limit and after twice", get("/v1/jobs?limit=1&after=1&limit=1"), BAD),
    ])

IDS = (
    asked("/v1/jobs", "id", [
        "", ",", "a,", ",a", "a,,b", "a%2C", ".", "..", "a%00", "a%20b", "%C3%A4", "a/b", "x" * 65,
        "a,b,..", "%2e%2e", "a+b", "a;b", ",".join(["a"] * 1_001),
    ], BAD)
    + [
        Case("1,000 ids", get("/v1/jobs?id=" + ",".join(["a"] * 1_000)),
             ok(items=[(404, None)] * 1_000)),
        Case("900 ids, one by one", get("/v1/jobs?" + "id=a&" * 900),
             ok(items=[(404, None)] * 900)),
        Case("1,001 ids, one by one", get("/v1/jobs?" + "id=a&" * 1_001), BAD),
        Case("ids and a filter", get("/v1/jobs?id=a&state=queued"), BAD),
        Case("ids and a limit", get("/v1/jobs?limit=1&id=a"), BAD),
        Case("ids and a cursor", get("/v1/jobs?after=1&id=a"), BAD),
        Case("ids and an unknown parameter", get("/v1/jobs?id=a&ids=b"), BAD),
        Case("ids and wait without sense", get("/v1/jobs?id=a&wait=nan"), BAD),
        Case("ids and wait, of none that is there", get("/v1/jobs?id=a&wait=60"),
             ok(items=[(404, None)])),
        Case("ids, one of them there", get(f"/v1/jobs?id=nobody,{DONE},nobody"),
             ok(items=[(404, None), None, (404, None)])),
    ])

PATHS = [
    Case(f"{what} as an id", get(f"/v1/jobs/{text}"), answer)
    for what, text, answer in (
        ("65 letters", "x" * 65, NOT_FOUND), ("64 letters", "x" * 64, NOT_FOUND),
        ("a dot", ".", NOT_FOUND), ("two dots", "..", NOT_FOUND),
        ("two escaped dots", "%2e%2e", NOT_FOUND), ("nothing", "", NOT_FOUND),
        ("an escaped slash", "a%2Fb", NOT_FOUND), ("an escaped blank", "a%20b", NOT_FOUND),
        ("an escaped LF", "a%0Ab", NOT_FOUND), ("an escaped CRLF", "a%0D%0AX-A:%20b", NOT_FOUND),
        ("a letter beyond ASCII", "%C3%A4", NOT_FOUND), ("a star", "*", NOT_FOUND),
        ("a plus", "a+b", NOT_FOUND), ("an escaped NUL", "%00", invalid()),
        ("a job in other letters", DONE.upper(), NOT_FOUND),
        ("a job and a blank", DONE + "%20", NOT_FOUND),
        ("an escaped byte", "%80", invalid()),
    )
] + [
    Case(f"{below} of a job that is not there",
         get(f"/v1/jobs/nobody{below}") if method == "GET"
         else post(b"", target=f"/v1/jobs/nobody{below}", method=method), NOT_FOUND)
    for below, method in (
        ("/result", "GET"), ("/logs", "GET"), ("/cancel", "POST"), ("/nothing", "GET"))
]

LOG_QUERIES = (
    asked(LOGS, "stream", ["", "both", "stdin", "STDERR", "stderr%00", "..%2F..%2Fjournal"], BAD)
    + asked(LOGS, "after", [
        "", "-1", "%2B5", "1.5", "abc", "0x1", "9223372036854775808", "9" * 5_000, "1%00",
    ], BAD)
    + asked(LOGS, "after", ["0", "1", "4", "5", "9223372036854775807"], GOOD)
    + asked(LOGS, "follow", ["maybe", "TRUE", "2", "yes", "%00"], BAD)
    + [
        Case("follow twice", get(LOGS + "?follow=1&follow=1"), BAD),
        Case("follow from the far end", get(LOGS + "?follow=1&after=9223372036854775807"), GOOD),
        Case("logs with wait", get(LOGS + "?wait=1"), BAD),
        Case("logs of a job of a worker", get(HANDLE + "/logs?stream=stdout"), GOOD),
    ])


def keyed(name, value, answer):
    """A submission with an Idempotency-Key."""
    return Case(f"Idempotency-Key: {name}", post(SUBMISSION, b"Idempotency-Key:" + value), answer)


KEYS = [
    keyed("nothing", b"", BAD), keyed("empty quotes", b' ""', BAD), keyed("a blank", b" a b", BAD),
    keyed("256", b" " + b"k" * 256, BAD), keyed("256 in quotes", b' "' + b"k" * 256 + b'"', BAD),
    keyed("5,000", b" " + b"k" * 5_000, BAD), keyed("beyond ASCII", " ü".encode(), BAD),
    keyed("not UTF-8", b" \xff", BAD), keyed("a tab", b" a\tb", BAD),
    keyed("a quote inside", b' a"b', BAD), keyed("one quote", b' "', BAD),
    keyed("an open quote", b' "abc', BAD), keyed("a list", b" a, b", BAD),
    keyed("255", b" " + b"k" * 255, ACCEPTED), keyed("a comma", b" a,b", ACCEPTED),
    keyed("a path", b" ../../etc/passwd", ACCEPTED),
    Case("two Idempotency-Keys",
         post(SUBMISSION, "Idempotency-Key: a", "Idempotency-Key: b"), BAD),
    Case("one Idempotency-Key twice",
         post(SUBMISSION, "Idempotency-Key: a", "Idempotency-Key: a"), BAD),
]

#: What cannot be read of these two is ignored (RFC 7240, section 2; RFC 9110, section 13.1.2).
PREFERENCES = [
    Case(f"Prefer: {value[:40].decode('latin-1')}",
         post(SUBMISSION, b"Prefer:" + value, target="/v1/jobs"), ACCEPTED)
    for value in (
        b"", b" wait", b" wait=", b" wait=abc", b" wait=-1", b" wait=NaN", b" wait=1e3",
        b" wait=0x1", b' wait="', b" wait==1", b" ;;;,,,===", b" respond-async=1; x=\"",
        b" \xff\xfe", b" " + b"a," * 3_000,
    )
] + [
    Case("If-None-Match: *", get(HANDLE, "If-None-Match: *"), ok(304)),
    Case("If-None-Match without sense", get(HANDLE, 'If-None-Match: ,,W/,"",W/"'), ok()),
    Case("If-None-Match that is not UTF-8", get(HANDLE, b"If-None-Match: \xff\""), ok()),
    Case("If-None-Match of 7,000", get(HANDLE, "If-None-Match: " + '"a",' * 1_750), ok()),
    Case("If-None-Match: * of none that is there", get("/v1/jobs?id=nobody", "If-None-Match: *"),
         ok(304)),
    Case("If-Match of something else", get(HANDLE, 'If-Match: "x"'), ok()),
]

CASES = WAITS + QUERIES + LISTS + IDS + PATHS + LOG_QUERIES + KEYS + PREFERENCES
