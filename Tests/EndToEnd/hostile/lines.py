"""Request lines, targets, versions, and what is no HTTP at all."""

from .case import (
    CLOSED, HEADERS_TOO_LARGE, HOST, NOT_FOUND, UNSOUND, WAITS, Case, get, head, invalid, library,
    ok, refused)

BAD_TARGET = invalid()
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(189))
UNKNOWN_METHOD = refused(501, "not_implemented")


def line(text, *headers):
    """A request line as it is, with a Host."""
    return head(text, HOST, *headers)


VERSIONS = [
    Case("HTTP/1.0 without a Host", head("GET /livez HTTP/1.0"), ok(closes=True)),
    Case("HTTP/1.0 that wants to stay",
         head("GET /livez HTTP/1.0", "Connection: keep-alive"), ok()),
    Case("HTTP/1.2 is served as 1.1", get(version="HTTP/1.2"), ok()),
    Case("HTTP/1.10", get(version="HTTP/1.10"), library(400)),
    Case("HTTP/2.0", get(version="HTTP/2.0"), library(505)),
    Case("HTTP/0.9 with its version", get(version="HTTP/0.9"), library(505)),
    Case("HTTP/1", get(version="HTTP/1"), library(400)),
    Case("HTTP/1.x", get(version="HTTP/1.x"), library(400)),
    Case("HTTP/-1.1", get(version="HTTP/-1.1"), library(400)),
    Case("HTTP/01.1", get(version="HTTP/01.1"), library(400)),
    Case("http/1.1", get(version="http/1.1"), library(400)),
    Case("HTTPS/1.1", get(version="HTTPS/1.1"), library(400)),
    Case("ICY/1.1", get(version="ICY/1.1"), library(400)),
    Case("a word behind the version", get(version="HTTP/1.1 x"), library(400)),
    Case("a blank behind the version", get(version="HTTP/1.1 "), library(400)),
    Case("a NUL behind the version", get(version="HTTP/1.1\0"), library(400)),
    Case("HTTP/0.9, one line", b"GET /livez\r\n", library(400)),
    Case("no version, and an empty line", b"GET /livez\r\n\r\n", library(400)),
]

SHAPES = [
    Case("a method alone", b"GET\r\n\r\n", CLOSED),
    Case("a method and a blank", b"GET \r\n\r\n", library(400)),
    Case("a blank first", line(" GET /livez HTTP/1.1"), CLOSED),
    Case("a tab first", line("\tGET /livez HTTP/1.1"), UNKNOWN_METHOD),
    Case("two blanks before the target", line("GET  /livez HTTP/1.1"), UNSOUND),
    Case("two blanks behind the target", line("GET /livez  HTTP/1.1"), BAD_TARGET),
    Case("tabs for blanks", line("GET\t/livez\tHTTP/1.1"), CLOSED),
    Case("a tab before the version", line("GET /livez\tHTTP/1.1"), library(400)),
    Case("a blank in the target", line("GET /li vez HTTP/1.1"), BAD_TARGET),
    Case("empty lines first are skipped", b"\r\n\r\n\r\n" + get(), ok()),
    Case("five thousand empty lines first", b"\r\n" * 5_000 + get(), ok()),
    Case("lines that end in LF", get().replace(b"\r\n", b"\n"), UNSOUND),
    Case("a request line that ends in LF", get().replace(b"\r\n", b"\n", 1), UNSOUND),
    Case("lines that end in CR", get().replace(b"\r\n", b"\r"), WAITS),
    Case("lines that end in LF CR", get().replace(b"\r\n", b"\n\r"), UNSOUND),
    Case("lines that end in CR CR LF", get().replace(b"\r\n", b"\r\r\n"), library(400)),
    Case("a request line that is not over", b"GET /livez HTTP/1.1", WAITS),
    Case("one letter", b"G", WAITS),
    Case("a request line of 9,000", get("/livez?" + "a" * 9_000), HEADERS_TOO_LARGE),
    Case("a request line of 20,000", get("/livez?" + "a" * 20_000), library(414)),
    Case("a path of 100,000", get("/" + "a" * 100_000), library(414)),
    Case("a method of 20,000", get(method="A" * 20_000), library(414)),
    Case("20,000 letters and no line", b"A" * 20_000, library(414)),
]

METHODS = [
    Case("a method in lower case", get(method="get"), UNKNOWN_METHOD),
    Case("a method with one small letter", get(method="GEt"), UNKNOWN_METHOD),
    Case("an unknown method", get(method="BREW"), UNKNOWN_METHOD),
    Case("a method of WebDAV", get("/v1/jobs", method="PROPFIND"), UNKNOWN_METHOD),
    Case("a method with a prefix of GET", get(method="GETT"), UNKNOWN_METHOD),
    Case("a method that is no token", get(method="FOO@!"), UNKNOWN_METHOD),
    Case("a method with a colon", get(method="GET:"), UNKNOWN_METHOD),
    Case("a method that is not ASCII", get(method="GÉT"), UNKNOWN_METHOD),
    Case("a method that is not UTF-8", get(method=b"G\xffT"), UNKNOWN_METHOD),
    Case("a method of 300 letters", get(method="G" * 300), UNKNOWN_METHOD),
    Case("a method with a NUL", get(method="G\0ET"), UNSOUND),
    Case("a method that is GET up to a NUL", get(method="GET\0X"), UNSOUND),
    Case("CONNECT", get("localhost:80", method="CONNECT"), UNKNOWN_METHOD),
    Case("CONNECT to a path", get("/livez", method="CONNECT"), UNKNOWN_METHOD),
    Case("PRI", get("*", method="PRI"), UNKNOWN_METHOD),
]

TARGETS = [
    Case("absolute", get("http://localhost/livez"), ok()),
    Case("absolute, of another host", get("http://example.org/livez"), ok()),
    Case("absolute, of https", get("HTTPS://localhost:1/livez"), ok()),
    Case("absolute, of ftp", get("ftp://localhost/livez"), BAD_TARGET),
    Case("absolute, without a path", get("http://localhost"), NOT_FOUND),
    Case("absolute, without a path but a query", get("http://localhost?/livez"), NOT_FOUND),
    Case("absolute, a path in the query", get("http://localhost?x=/livez"), NOT_FOUND),
    Case("absolute, a path in the fragment", get("http://localhost#/livez"), BAD_TARGET),
    Case("absolute, without a host", get("http:///livez"), BAD_TARGET),
    Case("absolute, nothing but the scheme", get("http://"), BAD_TARGET),
    Case("absolute, a blank in the host", get("http://local host/livez"), BAD_TARGET),
    Case("absolute, a control character in the host", get("http://a\x01b/livez"), BAD_TARGET),
    Case("absolute, one slash", get("http:/livez"), BAD_TARGET),
    Case("authority", get("localhost:80"), BAD_TARGET),
    Case("a star", get("*"), BAD_TARGET),
    Case("OPTIONS of a star", get("*", method="OPTIONS"), ok(204)),
    Case("OPTIONS of two stars", get("**", method="OPTIONS"), BAD_TARGET),
    Case("OPTIONS of nothing", get("/nothing", method="OPTIONS"), NOT_FOUND),
    Case("no slash", get("livez"), BAD_TARGET),
    Case("a query alone", get("?x"), BAD_TARGET),
    Case("a backslash", get("\\livez"), BAD_TARGET),
    Case("a backslash inside", get("/v1\\..\\livez"), NOT_FOUND),
    Case("the root", get("/"), NOT_FOUND),
    Case("two slashes first", get("//livez"), NOT_FOUND),
    Case("two slashes inside", get("/v1//jobs"), NOT_FOUND),
    Case("a slash behind", get("/livez/"), NOT_FOUND),
    Case("dots", get("/v1/../livez"), NOT_FOUND),
    Case("escaped dots", get("/v1/%2e%2e/livez"), NOT_FOUND),
    Case("a dot", get("/./livez"), NOT_FOUND),
    Case("dots out of the root", get("/../../../../etc/passwd"), NOT_FOUND),
    Case("an escaped slash", get("/v1%2Fjobs"), NOT_FOUND),
    Case("an escaped escape", get("/%256civez"), NOT_FOUND),
    Case("a parameter of the path", get("/livez;x=y"), NOT_FOUND),
    Case("capital letters", get("/LIVEZ"), NOT_FOUND),
    Case("an escaped letter", get("/%6Civez"), ok(),
         at_door=ok()),
    Case("a NUL", get("/livez\0"), UNSOUND),
    Case("a NUL, and another path", get("/livez\0/v1/jobs"), UNSOUND),
    Case("an escaped NUL", get("/livez%00"), BAD_TARGET),
    Case("an escaped NUL in an id", get("/v1/jobs/a%00b"), BAD_TARGET),
    Case("an escape that is none", get("/livez%zz"), BAD_TARGET),
    Case("half an escape", get("/livez%2"), BAD_TARGET),
    Case("a percent sign", get("/livez%"), BAD_TARGET),
    Case("a byte that is not UTF-8", get(b"/livez\xff"), BAD_TARGET),
    Case("an escaped byte that is not UTF-8", get("/livez%ff"), BAD_TARGET),
    Case("an overlong slash", get("/v1%c0%afjobs"), BAD_TARGET),
    Case("a surrogate", get("/%ed%a0%80"), BAD_TARGET),
    Case("beyond U+10FFFF", get("/%f4%90%80%80"), BAD_TARGET),
    Case("UTF-8 as it is", get("/ü"), NOT_FOUND),
    Case("a fragment", get("/livez#x"), BAD_TARGET),
    Case("a control character", get("/livez\x01"), BAD_TARGET),
    Case("DEL", get("/livez\x7f"), BAD_TARGET),
    Case("characters of no target", get("/\"<>^`{|}"), NOT_FOUND),
    Case("a thousand slashes", get("/" * 1_000), NOT_FOUND),
    Case("an id of 7,000", get("/v1/jobs/" + "a" * 7_000), NOT_FOUND),
]

NO_HTTP = [
    Case("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", library(505)),
    Case("a TLS client", TLS_HELLO, CLOSED),
    Case("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", CLOSED),
    Case("SMTP", b"EHLO example.org\r\n", library(400)),
    Case("Redis", b"*1\r\n$4\r\nPING\r\n", CLOSED),
    Case("memcached", b"version\r\n", CLOSED),
    Case("every byte", bytes(range(256)), WAITS),
    Case("every byte, backwards", bytes(range(255, -1, -1)), library(400)),
    Case("300 NULs", b"\0" * 300, WAITS),
    Case("a line of NULs", b"\0" * 300 + b"\r\n" + get(), ok()),
    Case("JSON and nothing else", b'{"task":"square","args":[2]}\r\n\r\n', CLOSED),
    Case("a PROXY header", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(), library(400)),
    Case("a gzip file", bytes.fromhex("1f8b0800000000000003") + b"x" * 50 + b"\n", CLOSED),
]

CASES = VERSIONS + SHAPES + METHODS + TARGETS + NO_HTTP
