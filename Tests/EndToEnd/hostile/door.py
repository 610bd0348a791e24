"""What the cases get where a token is asked for, which none of them has."""

from dataclasses import replace

from .case import Answer

#: Whether the connection then ends depends on how much of a body is on its way.
STRANGER = Answer("service", 401, "unauthorized", closes=None)
#: What is said before it is known who asks: the request itself is not sound.
BEFORE = {"invalid_request", "headers_too_large", "not_implemented"}


def answers(case):
    """The answers of which one is right."""
    expected = case.answer
    if case.at_door is not None:
        return [case.at_door]
    line = case.data.lstrip(b"\r\n\0").split(b"\n")[0]
    is_public = b"livez" in line and expected.status in (100, 200)
    is_unsound = expected.closes and expected.code in BEFORE
    if is_public or is_unsound:
        return [expected]
    stranger = replace(STRANGER, continues=expected.continues)
    # Of a body of unknown length nothing is read: what is wrong with it is never seen.
    if expected.by != "service":
        return [expected, stranger] if b"chunked" in case.data else [expected]
    return [stranger]
