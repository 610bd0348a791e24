"""Where a body ends: Content-Length, Transfer-Encoding, chunks, trailers."""

from .case import (
    ACCEPTED, BODY_MAX, CLOSED, END, JSON, SUBMISSION, TOO_LARGE, UNKNOWN_CODING, UNSOUND, WAITS,
    Case, chunk, chunked, get, head, invalid, library, ok, post, post_framed, refused)

LENGTH = f"Content-Length: {len(SUBMISSION)}"
CODING = "Transfer-Encoding: chunked"
#: What a body holds that would be a request of its own, were it taken for one.
SMUGGLED = post(b'{"task":"echo","args":[1],"tags":["smuggled"]}')
WHOLE = chunk() + END
FILLER = b'{"task":"echo","args":["' + b"x" * 100_000 + b'"]}'


def length(value):
    """A submission whose Content-Length has this value."""
    return post_framed(SUBMISSION, b"Content-Length:" + value)


def coding(value, body=WHOLE):
    """A submission in chunks, whose Transfer-Encoding has this value."""
    return post_framed(body, b"Transfer-Encoding:" + value)


LENGTHS = [
    Case("no length and no body", head("POST /v1/jobs HTTP/1.1", "Host: localhost", JSON),
         invalid("")),
    Case("a length of 0", post(b""), invalid("")),
    Case("a length of 000…28", length(b" " + b"0" * 40 + b"28"), ACCEPTED),
    Case("no blank before a length", length(b"28"), ACCEPTED),
    # Blanks behind a value belong to the line (RFC 9112, section 5.1), but libmicrohttpd judges
    # this one before anybody is asked.
    Case("a blank behind a length", length(b" 28 "), library(400)),
    Case("a tab behind a length", length(b" 28\t"), library(400)),
    Case("an empty length", length(b""), library(400)),
    Case("a length of blanks", length(b"  "), library(400)),
    Case("a length with a sign", length(b" +28"), library(400)),
    Case("a negative length", length(b" -1"), library(400)),
    Case("a length in hexadecimal", length(b" 0x1c"), library(400)),
    Case("a length with a point", length(b" 28.0"), library(400)),
    Case("a length with an exponent", length(b" 28e0"), library(400)),
    Case("a length with a comma", length(b" 28, 28"), library(400)),
    Case("a length with a comma behind", length(b" 28,"), library(400)),
    Case("a length with a blank inside", length(b" 2 8"), library(400)),
    Case("a length with a word", length(b" 28 bytes"), library(400)),
    Case("a length in quotes", length(b' "28"'), library(400)),
    Case("a length in other digits", length(" ２８".encode()), library(400)),
    Case("a length with a NUL", length(b" 28\0"), UNSOUND),
    Case("a length with a NUL and digits", length(b" 28\x0000"), UNSOUND),
    Case("a length with VT", length(b" \x0b28"), library(400)),
    Case("a length of 2^63", length(b" 9223372036854775808"), TOO_LARGE),
    Case("a length of 2^63 - 1", length(b" 9223372036854775807"), TOO_LARGE),
    Case("a length of 2^64", length(b" 18446744073709551616"), library(413)),
    Case("a length of 2^64 + 28", length(b" 18446744073709551644"), library(413)),
    Case("a length of 1,000 digits", length(b" " + b"9" * 1_000), library(413)),
    Case("a length just over the limit", post_framed(b"", f"Content-Length: {BODY_MAX + 1}"),
         TOO_LARGE),
    Case("a body just over the limit", post(b" " * (BODY_MAX + 1)), TOO_LARGE),
    Case("a body of just the limit", post(SUBMISSION + b" " * (BODY_MAX - len(SUBMISSION))),
         ACCEPTED),
    Case("one length twice", post_framed(SUBMISSION, LENGTH, LENGTH), UNSOUND),
    Case("two lengths", post_framed(SUBMISSION, LENGTH, "Content-Length: 3"), UNSOUND),
    Case("two lengths, in another case",
         post_framed(SUBMISSION, LENGTH, "content-length: 3"), UNSOUND),
    Case("a length with a blank before its colon",
         post_framed(SUBMISSION, LENGTH.replace(":", " :")), UNSOUND),
    Case("a shorter length, and rubbish is next",
         post_framed(SUBMISSION + b"\r\n\r\n", "Content-Length: 28"), ACCEPTED),
    Case("a body that is cut", post_framed(SUBMISSION, "Content-Length: 29"), WAITS),
    Case("a body that is not there", post_framed(b"", "Content-Length: 28"), WAITS),
    Case("a body on GET", get("/livez", "Content-Length: 3") + b"abc", ok()),
    Case("a body on GET that is a request",
         get("/livez", f"Content-Length: {len(SMUGGLED)}") + SMUGGLED, ok()),
    Case("chunks on GET", get("/livez", CODING) + WHOLE, ok()),
    Case("a body on HEAD", get("/livez", "Content-Length: 3", method="HEAD") + b"abc", ok()),
    Case("a body on OPTIONS", get("/livez", "Content-Length: 3", method="OPTIONS") + b"abc",
         ok(204)),
    Case("a body on DELETE", post(b"abc", target="/v1/jobs/nobody", method="DELETE"),
         refused(404, "not_found")),
    Case("a large body on a path that is not there", post(FILLER, target="/nothing"),
         refused(404, "not_found", closes=True)),
    Case("a large body with a wrong method", post(FILLER, method="PUT"),
         refused(405, "method_not_allowed", closes=True)),
]

CODINGS = [
    Case("chunked", coding(b" chunked"), ACCEPTED),
    Case("CHUNKED", coding(b" CHUNKED"), ACCEPTED),
    Case("gzip", coding(b" gzip"), UNKNOWN_CODING),
    Case("xchunked", coding(b" xchunked"), UNKNOWN_CODING),
    Case("chunkedx", coding(b" chunkedx"), UNKNOWN_CODING),
    Case("identity", coding(b" identity"), UNKNOWN_CODING),
    Case("gzip, chunked", coding(b" gzip, chunked"), UNKNOWN_CODING),
    Case("chunked, gzip", coding(b" chunked, gzip"), UNKNOWN_CODING),
    Case("chunked, chunked", coding(b" chunked, chunked"), UNKNOWN_CODING),
    Case("chunked, identity", coding(b" chunked, identity"), UNKNOWN_CODING),
    Case("chunked and a comma", coding(b" chunked,"), UNKNOWN_CODING),
    Case("a comma and chunked", coding(b" ,chunked"), UNKNOWN_CODING),
    Case("chunked with a parameter", coding(b" chunked;q=1"), UNKNOWN_CODING),
    Case("chunked in quotes", coding(b' "chunked"'), UNKNOWN_CODING),
    Case("chunked and a blank", coding(b" chunked "), UNKNOWN_CODING),
    Case("chunked and a tab", coding(b" chunked\t"), UNKNOWN_CODING),
    Case("VT and chunked", coding(b" \x0bchunked"), UNKNOWN_CODING),
    Case("chunked and NUL", coding(b" chunked\0"), UNSOUND),
    Case("an empty coding", coding(b""), UNKNOWN_CODING),
    Case("chunked, with a letter beyond ASCII", coding(" chun\u212aed".encode()), UNKNOWN_CODING),
    Case("chunked twice", post_framed(WHOLE, CODING, CODING), UNKNOWN_CODING),
    Case("chunked and gzip in two lines", post_framed(WHOLE, CODING, "Transfer-Encoding: gzip"),
         UNKNOWN_CODING),
    Case("a coding with a blank before its colon", post_framed(WHOLE, CODING.replace(":", " :")),
         UNSOUND),
    Case("a coding with a tab before its colon", post_framed(WHOLE, CODING.replace(":", "\t:")),
         UNSOUND),
    Case("a coding with a blank before its name", post_framed(WHOLE, " " + CODING), UNSOUND),
    Case("a coding with an underscore", post_framed(
        SUBMISSION, CODING.replace("-", "_"), LENGTH), ACCEPTED),
    Case("chunked in HTTP/1.0", coding(b" chunked").replace(b"HTTP/1.1", b"HTTP/1.0"), UNSOUND),
    Case("a length and a coding", post_framed(WHOLE, LENGTH, CODING), UNSOUND),
    Case("a coding and a length", post_framed(WHOLE, CODING, LENGTH), UNSOUND),
    Case("a coding that is unknown and a length",
         post_framed(SUBMISSION, "Transfer-Encoding: xchunked", LENGTH), UNSOUND),
    Case("a length of 0, a coding, and a request", post_framed(
        END + SMUGGLED, "Content-Length: 0", CODING), UNSOUND),
    Case("a length up to a request, and a coding", post_framed(
        END + SMUGGLED, f"Content-Length: {5 + len(SMUGGLED)}", CODING), UNSOUND),
]

CHUNKS = [
    Case("chunks of one byte", chunked(b"".join(chunk(bytes([b])) for b in SUBMISSION) + END),
         ACCEPTED),
    Case("no chunk but the last", chunked(END), invalid("")),
    Case("a size with zeros first", chunked(b"0" * 30 + WHOLE), ACCEPTED),
    Case("a last chunk of many zeros", chunked(chunk() + b"0" * 30 + b"\r\n\r\n"), ACCEPTED),
    Case("a size in capitals", chunked(WHOLE.replace(b"1c\r\n", b"1C\r\n", 1)), ACCEPTED),
    Case("an extension", chunked(WHOLE.replace(b"1c\r\n", b"1c;a=b;c\r\n", 1)), ACCEPTED),
    Case("an extension in quotes", chunked(WHOLE.replace(b"1c\r\n", b'1c;a="b;c"\r\n', 1)),
         ACCEPTED),
    Case("an extension with CRLF in quotes",
         chunked(WHOLE.replace(b"1c\r\n", b'1c;a="b\r\n"\r\n', 1)), library(400)),
    Case("an extension of 1,000",
         chunked(WHOLE.replace(b"1c\r\n", b"1c;" + b"a" * 1_000 + b"\r\n")), ACCEPTED),
    # Longer than libmicrohttpd's memory for a connection.
    Case("an extension of 40,000", chunked(b"1c;" + b"a" * 40_000 + b"\r\n" + WHOLE[4:]), CLOSED),
    Case("an extension of 40,000 that is not over", chunked(b"1c;" + b"a" * 40_000), CLOSED),
    Case("a size of 40,000 zeros", chunked(b"0" * 40_000), CLOSED),
    Case("a second extension of 40,000", chunked(b"1\r\n{\r\n1;" + b"a" * 40_000), CLOSED),
    Case("a size that is none", chunked(b"zz\r\n" + WHOLE), library(400)),
    Case("an empty size", chunked(b"\r\n" + WHOLE), library(400)),
    Case("a size that is an extension", chunked(b";a=b\r\n" + WHOLE), library(400)),
    Case("a negative size", chunked(b"-1\r\n" + WHOLE), library(400)),
    Case("a size with a sign", chunked(b"+" + WHOLE), library(400)),
    Case("a size with 0x", chunked(b"0x" + WHOLE), library(400)),
    Case("a size with a blank first", chunked(b" " + WHOLE), library(400)),
    Case("a size with a blank behind", chunked(WHOLE.replace(b"1c\r\n", b"1c \r\n", 1)),
         library(400)),
    Case("a size with a tab behind", chunked(WHOLE.replace(b"1c\r\n", b"1c\t\r\n", 1)),
         library(400)),
    Case("a size with a NUL", chunked(WHOLE.replace(b"1c\r\n", b"1c\0\r\n", 1)), library(400)),
    Case("a size with an underscore", chunked(b"1_c\r\n" + WHOLE[4:]), library(400)),
    Case("a size of 2^72", chunked(b"1" + b"0" * 18 + b"\r\nabc"), library(413)),
    Case("a size of 2^64", chunked(b"1" + b"0" * 16 + b"\r\nabc"), library(413)),
    Case("a size of 2^64 - 1", chunked(b"f" * 16 + b"\r\nabc"), WAITS),
    Case("a size of 2^63", chunked(b"8" + b"0" * 15 + b"\r\nabc"), WAITS),
    Case("a size that is too small", chunked(b"1b\r\n" + SUBMISSION + b"\r\n" + END), library(400)),
    # CR is then the chunk's, and LF ends it for libmicrohttpd.
    Case("a size that is too large by 1", chunked(b"1d\r\n" + SUBMISSION + b"\r\n" + END),
         ACCEPTED),
    Case("a size that is too large by 2", chunked(b"1e\r\n" + SUBMISSION + b"\r\n" + END),
         library(400)),
    Case("no CRLF behind a chunk", chunked(b"1c\r\n" + SUBMISSION + END), library(400)),
    # libmicrohttpd takes LF here, and nobody else hears of it.
    Case("LF for CRLF", chunked(WHOLE.replace(b"\r\n", b"\n")), ACCEPTED),
    Case("CR for CRLF", chunked(WHOLE.replace(b"\r\n", b"\r")), library(400)),
    Case("chunks that are not over", chunked(chunk()), WAITS),
    Case("half a chunk", chunked(b"1c\r\n" + SUBMISSION[:5]), WAITS),
    Case("half a size", chunked(b"1"), WAITS),
    Case("chunks over the limit", chunked(chunk(b" " * (BODY_MAX // 2 + 1)) * 2 + END),
         refused(413, "payload_too_large")),
    Case("chunks over twice the limit",
         chunked(chunk(b" " * (BODY_MAX // 2 + 1)) * 5 + END), CLOSED),
]

TRAILERS = [
    Case("a trailer", chunked(chunk() + b"0\r\nX-A: b\r\n\r\n"), ACCEPTED),
    Case("a trailer that is a length", chunked(chunk() + b"0\r\nContent-Length: 3\r\n\r\n"),
         ACCEPTED),
    Case("a trailer that is a token",
         chunked(chunk() + b"0\r\nAuthorization: Bearer x\r\nHost: example.org\r\n\r\n"), ACCEPTED),
    Case("a trailer without a colon", chunked(chunk() + b"0\r\nX-A\r\n\r\n"), library(400)),
    Case("a trailer of 40,000", chunked(chunk() + b"0\r\nX-A: " + b"b" * 40_000 + b"\r\n\r\n"),
         library(431)),
    Case("5,000 trailers", chunked(chunk() + b"0\r\n" + b"X: y\r\n" * 5_000 + b"\r\n"),
         library(431)),
    Case("trailers that are not over", chunked(chunk() + b"0\r\nX-A: b\r\n"), WAITS),
    # libmicrohttpd ends the trailers here. What follows them is the client's own next request; a
    # proxy that passes NUL on in a trailer would have to be at fault as well.
    Case("a trailer that begins with NUL", chunked(chunk() + b"0\r\n\0X-A: b\r\n"), ACCEPTED),
    Case("a trailer with a NUL", chunked(chunk() + b"0\r\nX-A: b\0c\r\n\r\n"), ACCEPTED),
]

CASES = LENGTHS + CODINGS + CHUNKS + TRAILERS
