"""Whether what came is what a case expects."""

from .wire import Ended, Silent

#: Seconds in which nothing must come to a request that is not over.
QUIET = 0.3


def is_head(data):
    """Whether an answer to these bytes has no body."""
    return data.startswith(b"HEAD ")


def judge(wire, case, expected):
    """What is wrong with the answer to a case that was sent on a connection, and the answer."""
    if expected.by == "nobody":
        is_right = wire.end() and not wire.rest
        return ([] if is_right else [f"not closed at once: {wire.rest[:300]!r}"]), None
    try:
        if expected.continues:
            interim = wire.answer()
            if interim.status != 100:
                return [f"no 100 but {interim}"], interim
        reply = wire.answer(is_head(case.data))
    except (Ended, Silent, ValueError) as error:
        if expected.is_uncertain and isinstance(error, Ended) and not error.rest:
            return [], None
        return [f"{type(error).__name__}: {error}"], None
    found = faults_of_reply(reply, expected)
    if expected.closes:
        # libmicrohttpd repeats the whole of some of its own refusals.
        is_over = wire.end() and (not wire.rest or expected.by == "library")
        if not is_over:
            found.append(f"not closed, or more came: {wire.rest[:300]!r}")
    return found, reply


def faults_of_reply(reply, expected):
    """What is wrong with an answer."""
    if reply.status != expected.status:
        return [f"status {reply.status}, not {expected.status}: {reply}"]
    if expected.by == "library":
        return [] if is_of_library(reply) else [f"not of libmicrohttpd: {reply}"]
    if expected.code is not None and reply.body:
        return faults_of_problem(reply, expected)
    if expected.items is not None:
        return faults_of_items(reply, expected.items)
    return []


def is_of_library(reply):
    """Whether libmicrohttpd wrote it: HTML, which it does not say, by itself or as the body of what
    is the same once more."""
    return "content-type" not in reply.headers and b"HTTP" in reply.body


def faults_of_problem(reply, expected):
    """What keeps an answer from being the problem that is expected."""
    if reply.media != "application/problem+json":
        return [f"media type {reply.media!r}"]
    problem = reply.value
    found = []
    if (problem["code"], problem["status"]) != (expected.code, expected.status):
        found.append(f"code {problem['code']!r}, status {problem['status']!r}")
    pointers = [mistake["pointer"] for mistake in problem.get("errors", [])]
    if expected.pointer is not None and pointers != [expected.pointer]:
        found.append(f"pointers {str(pointers)[:200]}, not {expected.pointer[:200]!r}")
    return found


def faults_of_items(reply, expected):
    """What is wrong with an answer that has several jobs."""
    jobs = reply.value["jobs"]
    if len(jobs) != len(expected):
        return [f"{len(jobs)} items, not {len(expected)}"]
    for index, (job, said) in enumerate(zip(jobs, expected)):
        if said is None:
            is_right = "state" in job
        else:
            error = job.get("error", {})
            pointers = [mistake["pointer"] for mistake in error.get("errors", [])]
            is_right = "state" not in job and error.get("status") == said[0] and (
                said[1] is None or pointers == [said[1]])
        if not is_right:
            return [f"item {index} is {str(job)[:300]}, not {said}"]
    return []


def jobs_in(reply):
    """The ids of the jobs that an answer to a submission tells of."""
    if reply.status not in (200, 202) or reply.media != "application/json":
        return set()
    value = reply.value
    handles = value.get("jobs", [value]) if isinstance(value, dict) else []
    return {handle["id"] for handle in handles if "state" in handle}
