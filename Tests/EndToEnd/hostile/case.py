"""What a case is, and the words to write one with."""

from dataclasses import dataclass, field
from typing import List, Optional, Tuple

#: Bytes that the service of these cases takes as a body: `--max-body`.
BODY_MAX = 1 << 20
#: Ids of jobs that the script makes before the first case.
DONE, NOISY = "hostile-done", "hostile-noisy"
HOST = "Host: localhost"
JSON = "Content-Type: application/json"
SUBMISSION = b'{"task":"square","args":[2]}'


@dataclass(frozen=True)
class Answer:
    """What comes back. `by` is who says it:

    - `service`: a handle, a value, or with `code` a problem (RFC 9457), with `pointer` if its
      `errors` name a place.
    - `library`: libmicrohttpd, by itself and in HTML, before the service hears of the request. It
      closes the connection, and may have said it twice.
    - `nobody`: the connection is closed without an answer.
    - `waits`: the request is not over, as far as HTTP goes; nothing comes before a time limit.
    """

    by: str
    status: Optional[int] = None
    code: Optional[str] = None
    pointer: Optional[str] = None
    #: Whether the connection ends with it.
    closes: bool = False
    #: Whether libmicrohttpd may have no memory left to say it in, and then closes only.
    is_uncertain: bool = False
    #: Whether `100 Continue` comes first.
    continues: bool = False
    #: Of an answer with several jobs: (status, pointer) of what was refused, None for a handle.
    items: Optional[List[Optional[Tuple[int, Optional[str]]]]] = None


@dataclass(frozen=True)
class Case:
    """Bytes, and what they are answered with."""

    name: str
    data: bytes = field(repr=False)
    answer: Answer
    #: The answer of a service that asks for a token, which the case does not have, where that is
    #: another than 401.
    at_door: Optional[Answer] = None


# Answers


def ok(status=200, **more):
    """Served, as what it is."""
    return Answer("service", status, **more)


def refused(status, code, pointer=None, **more):
    """A problem; the connection stays open."""
    return Answer("service", status, code, pointer, **more)


def invalid(pointer=None, **more):
    """400 `invalid_request`; the connection stays open."""
    return refused(400, "invalid_request", pointer, **more)


#: 400 and closed: where this request ends, and the next begins, is in doubt.
UNSOUND = invalid(closes=True)
ACCEPTED = ok(202)
NOT_FOUND = refused(404, "not_found")
UNKNOWN_CODING = refused(501, "not_implemented", closes=True)
TOO_LARGE = refused(413, "payload_too_large", closes=True)
HEADERS_TOO_LARGE = refused(431, "headers_too_large", closes=True)
WRONG_TYPE = refused(415, "unsupported_media_type")
CLOSED = Answer("nobody", closes=True)
WAITS = Answer("waits")


def library(status, **more):
    """libmicrohttpd's own words, and closed."""
    return Answer("library", status, closes=True, **more)


# Requests


def octets(part):
    """Text as UTF-8, bytes as they are."""
    return part.encode() if isinstance(part, str) else part


def head(line, *headers):
    """A request line and header lines, with CRLF, and the empty line."""
    return b"".join(octets(part) + b"\r\n" for part in (line, *headers)) + b"\r\n"


def get(target="/livez", *headers, method="GET", version="HTTP/1.1"):
    """A request without a body."""
    line = octets(method) + b" " + octets(target) + b" " + octets(version)
    return head(line, HOST, *headers)


def post(body=SUBMISSION, *headers, target="/v1/jobs", media=JSON, method="POST"):
    """A request with a body whose length is right."""
    body = octets(body)
    line = octets(method) + b" " + octets(target) + b" HTTP/1.1"
    kind = [] if media is None else [media]
    return head(line, HOST, *kind, f"Content-Length: {len(body)}", *headers) + body


def post_framed(body, *headers):
    """A submission whose framing is said by the headers alone."""
    return head("POST /v1/jobs HTTP/1.1", HOST, JSON, *headers) + octets(body)


def chunked(body, *headers):
    """The same with `Transfer-Encoding: chunked`; the chunks are what `body` says."""
    return post_framed(body, "Transfer-Encoding: chunked", *headers)


def chunk(data=SUBMISSION):
    """A chunk as it must be."""
    return b"%x\r\n%s\r\n" % (len(data), data)


#: The last chunk, and no trailers.
END = b"0\r\n\r\n"
