"""What every handle and every problem has to look like."""

import re
from datetime import datetime, timezone

MOMENT = re.compile(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
UUID7 = re.compile(r"\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")

HANDLE_ALWAYS = {
    "id", "task", "pool", "state", "ready", "successful", "attempt", "max_attempts", "created_at",
    "result_url", "events_url",
}
HANDLE_SOMETIMES = {
    "cancel_requested", "interruptions", "timeout", "tags", "args", "kwargs", "run_at",
    "started_at", "finished_at", "expires_at", "worker", "result", "error",
    "progress", "encoding", "main",
    # In answers with several jobs only.
    "idempotent_replayed", "outcome_omitted",
}
STATES = {"scheduled", "queued", "running", "succeeded", "failed", "cancelled"}
ERROR_CODES = {
    "raised", "exited", "signalled", "timed_out", "argument_decoding", "result_encoding",
    "worker_lost", "initializer_failed", "pool_terminated", "interrupted",
}


def seconds(moment):
    """Seconds since 1970 of an RFC 3339 moment as the service writes them."""
    parsed = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%fZ")
    return parsed.replace(tzinfo=timezone.utc).timestamp()


def faults_of_handle(handle):
    """What is wrong with a handle, whatever its state; empty when nothing is."""
    faults = []
    names = set(handle)
    faults += [f"{name} is missing" for name in sorted(HANDLE_ALWAYS - names)]
    faults += [f"{n} is unknown" for n in sorted(names - HANDLE_ALWAYS - HANDLE_SOMETIMES)]
    if faults:
        return faults
    state = handle["state"]
    if state not in STATES:
        faults.append(f"state {state!r}")
    is_final = state in ("succeeded", "failed", "cancelled")
    if handle["ready"] is not is_final:
        faults.append(f"ready {handle['ready']!r} in state {state}")
    if handle["successful"] is not ((state == "succeeded") if is_final else None):
        faults.append(f"successful {handle['successful']!r} in state {state}")
    has_outcome = "outcome_omitted" not in handle
    if ("result" in handle) is not (state == "succeeded" and has_outcome):
        faults.append(f"result {'is' if 'result' in handle else 'is not'} there in state {state}")
    if state == "failed" and has_outcome and "error" not in handle:
        faults.append("failed without error")
    if ("worker" in handle) is not (state == "running"):
        faults.append(f"worker {'is' if 'worker' in handle else 'is not'} there in state {state}")
    if ("finished_at" in handle) is not is_final or ("expires_at" in handle) is not is_final:
        faults.append(f"finished_at and expires_at do not fit state {state}")
    if handle["result_url"] != f"/v1/jobs/{handle['id']}/result":
        faults.append(f"result_url {handle['result_url']!r}")
    if handle["events_url"] != f"/v1/jobs/{handle['id']}/events":
        faults.append(f"events_url {handle['events_url']!r}")
    return faults + _faults_of_moments(handle) + _faults_of_numbers(handle)


def _faults_of_moments(handle):
    moments = {name: value for name, value in handle.items() if name.endswith("_at")}
    faults = [f"{n} {v!r} is no moment" for n, v in moments.items() if not MOMENT.match(str(v))]
    if faults:
        return faults
    order = [n for n in ("created_at", "started_at", "finished_at", "expires_at") if n in moments]
    values = [moments[name] for name in order]
    return [] if values == sorted(values) else [f"out of order: {moments}"]


def _faults_of_numbers(handle):
    faults = []
    attempt, attempts_max = handle["attempt"], handle["max_attempts"]
    if type(attempt) is not int or type(attempts_max) is not int:
        return [f"attempt {attempt!r}, max_attempts {attempts_max!r}"]
    if not 0 <= attempt <= attempts_max:
        faults.append(f"attempt {attempt} of {attempts_max}")
    error = handle.get("error")
    if error is not None:
        if error.get("code") not in ERROR_CODES:
            faults.append(f"error code {error.get('code')!r}")
        for name, kind in (("type", str), ("message", str), ("attempt", int)):
            if type(error.get(name)) is not kind:
                faults.append(f"error.{name} {error.get(name)!r}")
    return faults


def check_handle(checks, what, handle, **members):
    """The handle has a handle's shape, and these members."""
    faults = faults_of_handle(handle)
    faults += [
        f"{name} is {handle.get(name)!r}, not {value!r}"
        for name, value in members.items() if handle.get(name) != value
    ]
    return checks.that(what, not faults, members or "a handle", f"{faults} in {handle}")


def faults_of_problem(response, status, code):
    """What keeps a response from being the problem `status` `code` (RFC 9457)."""
    if response.status != status:
        return [f"status {response.status} and not {status}"]
    faults = []
    content_type = response.get("content-type") or ""
    if content_type.split(";")[0].strip() != "application/problem+json":
        return [f"content type {content_type!r}"]
    problem = response.json
    for name, kind in (("type", str), ("title", str), ("detail", str), ("code", str)):
        if type(problem.get(name)) is not kind or not problem[name]:
            faults.append(f"{name} is {problem.get(name)!r}")
    if problem.get("status") != status:
        faults.append(f"status in the body is {problem.get('status')!r}")
    if problem.get("code") != code:
        faults.append(f"code is {problem.get('code')!r} and not {code!r}")
    known = {"type", "title", "status", "detail", "instance", "code", "errors", "error"}
    if set(problem) - known:
        faults.append(f"unknown members {set(problem) - known}")
    for mistake in problem.get("errors", []):
        if set(mistake) != {"detail", "pointer"}:
            faults.append(f"an entry of errors is {mistake}")
    return faults


def check_problem(checks, what, response, status, code, pointer=None, mentions=()):
    """The response is a problem with this status and code; with `pointer`, one of its `errors`
    points there; its texts mention each of `mentions`."""
    faults = faults_of_problem(response, status, code)
    if not faults and pointer is not None:
        pointers = [mistake["pointer"] for mistake in response.json.get("errors", [])]
        if pointer not in pointers:
            faults.append(f"the pointers are {pointers}, {pointer!r} is not among them")
    faults += [f"{word!r} is not mentioned" for word in mentions if word not in response.text]
    expected = f"{status} {code}" + (f" at {pointer!r}" if pointer is not None else "")
    return checks.that(what, not faults, expected, f"{faults} in {response}")


def check_retry_after(checks, what, response):
    """`Retry-After` is a whole number of seconds, at least 1."""
    value = response.get("retry-after")
    is_so = value is not None and value.isdigit() and 1 <= int(value) <= 3600
    return checks.that(f"{what} has Retry-After", is_so, "1 to 3600", f"{value!r} in {response}")


def tokens(response, name):
    """A header as a set of its comma-separated parts."""
    return {part.strip() for part in (response.get(name) or "").split(",")} - {""}
