"""Media types, and pages of other origins."""

from .case import (
    ACCEPTED, DONE, SUBMISSION, WRONG_TYPE, Case, invalid, ok, post, refused)

FORBIDDEN = refused(403, "forbidden")
FORM = "Content-Type: application/x-www-form-urlencoded"
OWN = "Origin: http://localhost"


def typed(value, answer):
    """A submission of this media type."""
    return Case(f"the type {value[:60].decode('latin-1')!r}",
                post(SUBMISSION, media=b"Content-Type:" + value), answer)


TYPES = [
    Case("no type", post(media=None), ACCEPTED),
    *(typed(value, WRONG_TYPE) for value in (
        b"", b" ", b" text/plain", b" text/json", b" application/xml", b" application/octet-stream",
        b" multipart/form-data; boundary=x", b" json", b" application", b" application/",
        b" application/json/x", b" application/jsonx", b" xapplication/json", b" */*",
        b" application/json, text/plain", b" application/\xff", b' "application/json"',
        b" ;application/json", b" application/json-seq", b" application/x-ndjsonx",
        b" text/plain; application/json", b" image/svg+xml", b" text/x+json", b" " + b"a" * 7_000,
    )),
    *(typed(value, ACCEPTED) for value in (
        b" application/json", b" APPLICATION/JSON", b" application/json;", b"application/json",
        b" application/json; charset=utf-8", b" application/json;charset=\xff",
        b" application/json ",
        b" application/problem+json", b" application/vnd.x.y+json; v=1",
        b" application/x-www-form-urlencoded", b" application/x-www-form-urlencoded; charset=x",
    )),
    Case("two types", post(SUBMISSION, "Content-Type: text/plain"), WRONG_TYPE),
    Case("a form that is one", post(b"task=square&args=%5B2%5D", media=FORM), invalid("")),
    Case("a body in parts", post(
        b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--\r\n",
        media="Content-Type: multipart/form-data; boundary=x"), WRONG_TYPE),
    Case("XML", post(b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
                     media="Content-Type: application/xml"), WRONG_TYPE),
    Case("a wrong type before a wrong body", post(b"{", media="Content-Type: text/plain"),
         WRONG_TYPE),
    Case("a body that is packed", post(
        bytes.fromhex("1f8b08000000000000ff") + b"x" * 30, "Content-Encoding: gzip"), WRONG_TYPE),
    Case("a cancel of a wrong type", post(
        b"{}", target=f"/v1/jobs/{DONE}/cancel", media="Content-Type: text/plain"), WRONG_TYPE),
]

ORIGINS = [
    Case(f"a page of {what}", post(SUBMISSION, *lines), FORBIDDEN)
    for what, lines in (
        ("another origin", ["Origin: http://example.org"]), ("no origin", ["Origin: null"]),
        ("an empty origin", ["Origin:"]), ("two origins", [OWN, "Origin: http://example.org"]),
        ("an origin that begins like ours", ["Origin: http://localhost.example.org"]),
        ("another port", ["Origin: http://localhost:81"]),
        ("another scheme", ["Origin: ftp://localhost"]),
        ("an origin that is not UTF-8", [b"Origin: http://localhost\xff"]),
        ("another site", ["Sec-Fetch-Site: cross-site"]),
        ("a site without sense", ["Sec-Fetch-Site: \xff"]),
    )
] + [
    Case("a form of its own page", post(SUBMISSION, OWN, media=FORM), WRONG_TYPE,
         at_door=refused(401, "unauthorized")),
    Case("no type of its own page", post(SUBMISSION, OWN, media=None), WRONG_TYPE),
    Case("JSON of its own page", post(SUBMISSION, OWN), ACCEPTED),
    Case("a preflight", post(b"", OWN, "Access-Control-Request-Method: POST", media=None,
                             method="OPTIONS"), ok(204)),
    Case("a preflight of another page", post(
        b"", "Origin: http://example.org", "Access-Control-Request-Method: DELETE", media=None,
        method="OPTIONS"), ok(204)),
]

CASES = TYPES + ORIGINS
