"""Header lines: names, values, ends of lines, how many and how long."""

from .case import (
    ACCEPTED, DONE, HEADERS_TOO_LARGE, HOST, SUBMISSION, TOO_LARGE, UNSOUND, WAITS, Case, get, head,
    invalid, library, ok, post, refused)

FORBIDDEN = refused(403, "forbidden")
SMUGGLED = get("/v1/jobs?id=smuggled")


def livez(*headers):
    """A health check with these headers and no Host of its own."""
    return head("GET /livez HTTP/1.1", *headers)


def other_host(name, value):
    """A Host that is no name of this machine; where a token is asked for it does not matter."""
    return Case(name, livez(b"Host: " + value), FORBIDDEN, at_door=ok())


HOSTS = [
    Case("no Host", livez(), UNSOUND),
    Case("two Hosts", livez(HOST, HOST), UNSOUND),
    Case("two Hosts, one of another", livez(HOST, "host: example.org"), UNSOUND),
    other_host("an empty Host", b""),
    other_host("another Host", b"example.org"),
    other_host("a Host that begins like ours", b"localhost.example.org"),
    other_host("two names in a Host", b"localhost, example.org"),
    other_host("a user in a Host", b"localhost@example.org"),
    other_host("a Host with a blank", b"local host"),
    other_host("a Host that is not UTF-8", b"localhost\xff"),
    Case("a Host with a NUL", livez("Host: localhost\0x"), UNSOUND),
    Case("a Host with a control character", livez("Host: local\x01host"), UNSOUND,
         at_door=ok()),
]

NAMES = [
    Case("a name with a blank", get("/livez", "X A: b"), UNSOUND),
    Case("a name with a blank behind", get("/livez", "X-A : b"), UNSOUND),
    Case("a name with a tab behind", get("/livez", "X-A\t: b"), UNSOUND),
    Case("a name with brackets", get("/livez", "X(A): b"), UNSOUND),
    Case("a name that is not ASCII", get("/livez", "Ä: b"), UNSOUND),
    Case("a name that is not UTF-8", get("/livez", b"X\xff: b"), UNSOUND),
    Case("a name with a control character", get("/livez", "X\x01: b"), UNSOUND),
    Case("a name with a NUL", get("/livez", "X\0Y: b"), library(400)),
    Case("a name in quotes", get("/livez", '"X": b'), UNSOUND),
    Case("no name", get("/livez", ": b"), UNSOUND),
    Case("no name in the first line", head("GET /livez HTTP/1.1", ": b", HOST), UNSOUND),
    Case("no name, and what follows is a length",
         get("/livez", ":", f"Content-Length: {len(SMUGGLED)}") + SMUGGLED, UNSOUND),
    Case("no colon", get("/livez", "X-A"), library(400)),
    Case("no colon in the first line", head("GET /livez HTTP/1.1", "X-A", HOST), library(400)),
    Case("a name of 9,000", get("/livez", "X" * 9_000 + ": b"), HEADERS_TOO_LARGE),
    Case("a name of 20,000", get("/livez", "X" * 20_000 + ": b"), library(431)),
]

LINES = [
    Case("a folded line", get("/livez", "X-A: b", " c"), UNSOUND),
    Case("a line folded by a tab", get("/livez", "X-A: b", "\tc"), UNSOUND),
    Case("a folded line first", head("GET /livez HTTP/1.1", " X-A: b", HOST), UNSOUND),
    Case("a folded length", get("/livez", "Content-Length:", f" {len(SMUGGLED)}") + SMUGGLED,
         UNSOUND),
    Case("a folded coding",
         get("/livez", "Transfer-Encoding:", " chunked") + b"0\r\n\r\n", UNSOUND),
    Case("a coding in a folded line",
         get("/livez", "X-A: b", " Transfer-Encoding: chunked", "Content-Length: 5") + b"0\r\n\r\n",
         UNSOUND),
    Case("a line of white space", get("/livez", "X-A: b", " \t "), UNSOUND),
    Case("one LF among CRLF", livez(b"Host: localhost\nX-A: b"), UNSOUND),
    Case("an empty line of LF", get()[:-2] + b"\n", UNSOUND),
    Case("CR in a value", get("/livez", "X-A: b\rX-C: d"), UNSOUND),
    Case("CR before a length", get("/livez", "X-A: b\rContent-Length: 3") + b"abc", UNSOUND),
    Case("CR CR LF", get("/livez", "X-A: b\r"), UNSOUND),
    Case("a line that begins with NUL", get("/livez", "\0X-A: b"), UNSOUND),
    Case("a line that is NUL", get("/livez", "\0"), UNSOUND),
    Case("a line that begins with NUL, and a request", get("/livez")[:-2] + b"\0" + SMUGGLED,
         UNSOUND),
    Case("a line that begins with NUL before a length",
         get("/livez", "\0", f"Content-Length: {len(SMUGGLED)}") + SMUGGLED, UNSOUND),
    Case("a first line that begins with NUL", head("GET /livez HTTP/1.0", "\0X-A: b"), UNSOUND),
    Case("headers that are not over", get()[:-2], WAITS),
    Case("half a header", b"GET /livez HTTP/1.1\r\nHos", WAITS),
]

VALUES = [
    Case("an empty value", get("/livez", "X-A:"), ok()),
    Case("a value of blanks", get("/livez", "X-A:  \t "), ok()),
    Case("a value that is not UTF-8", get("/livez", b"X-A: \xff\xfe"), ok()),
    Case("a value with a NUL", get("/livez", "X-A: b\0c"), UNSOUND),
    Case("a value that is NUL", get("/livez", "X-A: \0"), UNSOUND),
    Case("a value with DEL that is looked at", get(f"/v1/jobs/{DONE}", "Prefer: \x7f"), UNSOUND),
    Case("a value with a control character that is looked at",
         get(f"/v1/jobs/{DONE}", "Prefer: a\x01b"), UNSOUND),
    Case("a value that is not UTF-8 and is looked at",
         get(f"/v1/jobs/{DONE}", b"Prefer: \xff\xfe"), ok()),
    Case("cookies without sense", get("/livez", 'Cookie: ;;;=;"=",,'), ok()),
    Case("cookies that are not UTF-8", get("/livez", b"Cookie: \xff=\xfe"), ok()),
    Case("a hundred cookies", get("/livez", "Cookie: " + "a=b; " * 100), ok()),
    Case("a thousand cookies", get("/livez", "Cookie: " + "a=b; " * 1_000),
         library(431, is_uncertain=True)),
]

SIZES = [
    Case("a hundred headers", get("/livez", *(f"X-{n}: y" for n in range(100))), ok()),
    Case("400 headers", get("/livez", *(f"X-{n}: y" for n in range(400))), library(431)),
    Case("5,000 headers", get("/livez", *(f"X-{n}: y" for n in range(5_000))), library(431)),
    Case("5,000 times one header", get("/livez", *["X: y"] * 5_000), library(431)),
    Case("a value of 7,000", get("/livez", "X: " + "y" * 7_000), ok()),
    Case("a value of 8,200", get("/livez", "X: " + "y" * 8_200), HEADERS_TOO_LARGE),
    Case("a value of 15,000", get("/livez", "X: " + "y" * 15_000), HEADERS_TOO_LARGE),
    Case("a value of 20,000", get("/livez", "X: " + "y" * 20_000), library(431)),
    Case("a value of 1,000,000", get("/livez", "X: " + "y" * 1_000_000), library(431)),
    Case("a long line that is not over", get("/livez")[:-2] + b"X: " + b"y" * 20_000,
         library(431)),
]

EXPECTATIONS = [
    Case("Expect with a body", post(SUBMISSION, "Expect: 100-continue"), ok(202, continues=True)),
    Case("Expect in capitals", post(SUBMISSION, "EXPECT: 100-CONTINUE"), ok(202, continues=True)),
    Case("Expect without a body", get("/livez", "Expect: 100-continue"), ok(continues=True)),
    Case("Expect with an empty body",
         post(b"", "Expect: 100-continue"), invalid("", continues=True)),
    Case("Expect of something else", post(SUBMISSION, "Expect: 200-ok"), ACCEPTED),
    Case("an empty Expect", post(SUBMISSION, "Expect:"), ACCEPTED),
    Case("Expect twice", post(SUBMISSION, "Expect: 100-continue", "Expect: 100-continue"),
         ok(202, continues=True)),
    Case("Expect in HTTP/1.0",
         post(SUBMISSION, "Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0", 1),
         ok(202, closes=True)),
    Case("Expect with a body that is too long",
         head("POST /v1/jobs HTTP/1.1", HOST, "Content-Length: 99999999", "Expect: 100-continue"),
         TOO_LARGE),
    Case("Expect on a path that is not there",
         post(SUBMISSION, "Expect: 100-continue", target="/nothing"),
         refused(404, "not_found", continues=True)),
]

CONNECTIONS = [
    Case("Connection: close", get("/livez", "Connection: close"), ok(closes=True)),
    Case("Connection: keep-alive, close", get("/livez", "Connection: keep-alive, close"),
         ok(closes=True)),
    Case("Connection names a length", post(SUBMISSION, "Connection: Content-Length"), ACCEPTED),
    Case("Connection without sense", get("/livez", "Connection: ,;,\"\xff"), ok()),
    Case("Upgrade to HTTP/2", get("/livez", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                                  "HTTP2-Settings: AAMAAABkAAQ"), ok()),
    Case("Upgrade to a web socket", get("/livez", "Connection: Upgrade", "Upgrade: websocket",
                                        "Sec-WebSocket-Key: x"), ok()),
    Case("TE without sense", get("/livez", "TE: trailers, deflate;q=x"), ok()),
    Case("Range", get("/openapi.yaml", "Range: bytes=9999999-0"), ok()),
    Case("Accept of something else", get("/v1/info", "Accept: image/png;q=0"), ok()),
    Case("X-HTTP-Method-Override", get(f"/v1/jobs/{DONE}", "X-HTTP-Method-Override: DELETE"), ok()),
    Case("Max-Forwards", get("/livez", "Max-Forwards: -1"), ok()),
]

CASES = HOSTS + NAMES + LINES + VALUES + SIZES + EXPECTATIONS + CONNECTIONS
