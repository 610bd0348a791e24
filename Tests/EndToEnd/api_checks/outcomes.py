"""How jobs end: values exact to the byte, errors, time limits, further attempts."""

import json
import time

from lido_process import Service, finished, wait_for_state

from .expectations import check_handle, seconds

#: Texts that a parser which goes through doubles or 64-bit integers would change.
EXACT = [
    b"1e400", b"-1e-400", b"1" * 100, b"-" + b"9" * 100, b"18446744073709551616",
    b"9007199254740993", b"1.10", b"1E+2", b"0.1e-7", b"-0", b"-0.0", b"0", b"3.141592653589793238",
    b"true", b"false", b"null", b'""', b"[]", b"{}",
    '"ünïcödé ☃ \U0001f600"'.encode(), b'"\\u0000\\u001f\\n\\"\\\\\\/"', b'"\\ud83d\\ude00"',
    b'{"a":1,"a":2,"":{"b":[1,[2,[3]]]}}', b'[1,"two",3.0,null,[true,{"four":4}]]',
]


def echo_of(http, text):
    """The bytes of the result of `echo` of a JSON text; the job is forgotten, as what is odd in
    the text would be odd in every list."""
    body = b'{"task":"echo","args":[' + text + b"]}"
    response = http.post("/v1/jobs", body)
    if response.status != 202:
        return response
    result = http.get(f"{response.get('location')}/result?wait=10")
    http.delete(response.get("location"))
    return result.body if result.status == 200 else result


def values_are_exact(checks, service):
    with service.connection() as http:
        for text in EXACT:
            shown = text[:40].decode() + ("…" if len(text) > 40 else "")
            checks.equal(f"echo of {shown}", echo_of(http, text), text)
        checks.equal("spaces outside strings go", echo_of(http, b' [ 1 , { "a" : " b " } ]\n'),
                     b'[1,{"a":" b "}]')
        long = json.dumps(["x" * 1_000] * 200, separators=(",", ":")).encode()
        checks.that("echo of 200 kB", echo_of(http, long) == long, "the same bytes", "others")
        million = b"[" + b",".join(b"%d" % n for n in range(100_000)) + b"]"
        checks.that("echo of 100,000 integers", echo_of(http, million) == million,
                    "the same bytes", "others")
        body = b'{"task":"echo","args":[1e400,' + b"7" * 80 + b'],"kwargs":{"k":1.50}}'
        response = http.post("/v1/jobs", body)
        shown = http.get(response.get("location") + "?include=args")
        checks.that("args show as they were sent", b'"args":[1e400,' + b"7" * 80 + b"]" in
                    shown.body, body, shown)
        checks.that("kwargs show as they were sent", b'"kwargs":{"k":1.50}' in shown.body, body,
                    shown)


def built_in_tasks(checks, service):
    with service.connection() as http:
        def value(task, *args, **members):
            handle = http.submit(task, *args, target="/v1/jobs?wait=20", **members).json
            return handle.get("result", handle.get("error", handle))
        checks.equal("square(-12)", value("square", -12), 144)
        checks.equal("square(10^30)", value("square", 10 ** 30), 10 ** 60)
        factorials = [value("factorial", n) for n in (5, 8, 10, 15, 3, 6, 4, 0)]
        checks.equal("factorials", factorials,
                     [120, 40320, 3628800, 1307674368000, 6, 720, 24, 1])
        exact = http.submit("factorial", 200, target="/v1/jobs?wait=20")
        product = 1
        for factor in range(1, 201):
            product *= factor
        checks.that("200! has 375 right digits", f'"result":{product}' in exact.text, product,
                    exact.text)
        primes = [n for n in range(2, 100) if all(n % d for d in range(2, n))]
        checks.equal("primes(100)", value("primes", 100), primes)
        checks.equal("sort of one list", value("sort", [3, 1, 2]), [1, 2, 3])
        checks.equal("several arguments are one array for a task of one argument",
                     value("sort", 3, 1, 2), [1, 2, 3])
        began = time.monotonic()
        checks.equal("sleep answers its seconds", float(value("sleep", 0.3)), 0.3)
        took = time.monotonic() - began
        checks.that("sleep(0.3) sleeps", 0.3 <= took < 1.5, "0.3 s", f"{took:.2f} s")
        began = time.process_time()
        answer = value("burn", 20)
        checks.equal("burn(20) answers its milliseconds", answer, 20)
        checks.that("… and burns in its own process", time.process_time() - began < 0.02,
                    "no CPU time here", time.process_time() - began)


def raised_errors(checks, service):
    with service.connection() as http:
        for message in (
            "boom", "", 'with "quotes" \\ and\nlines', "ünïcödé \U0001f600", "x" * 5000,
        ):
            handle = http.submit("fail", message, target="/v1/jobs?wait=10").json
            error = handle.get("error", {})
            shown = message if len(message) < 50 else message[:10] + "…"
            check_handle(checks, f"fail({shown!r}) fails", handle, state="failed", attempt=1)
            checks.equal("… with code and attempt", (error.get("code"), error.get("attempt")),
                         ("raised", 1))
            checks.that("… and its message", message in error.get("message", "—"), message, error)
            checks.that("… and neither exitcode nor signal", not {"exitcode", "signal"} &
                        set(error), "none", error)


def arguments_that_do_not_decode(checks, service):
    wrong = [
        ("square", {"args": ["x"]}), ("square", {"args": []}), ("square", {"args": [None]}),
        ("square", {"args": [1, 2]}), ("square", {"args": [[1]]}), ("square", {"args": [1.5]}),
        ("square", {"kwargs": {"n": 7}}), ("sort", {"args": [["a", 1]]}),
        ("sleep", {"args": [True]}),
        ("crash", {"args": [{"signal": "nine"}]}),
    ]
    with service.connection() as http:
        for task, members in wrong:
            members = {"task": task, **members, "max_attempts": 3}
            handle = http.post("/v1/jobs?wait=10", members).json
            error = handle.get("error", {})
            check_handle(checks, f"{task} of {members} fails", handle, state="failed")
            checks.equal("… with argument_decoding", error.get("code"), "argument_decoding")
            checks.equal("… at the first attempt: another would not help", handle["attempt"], 1)
        handle = http.submit("sort", [1, 2, "x"], target="/v1/jobs?wait=10").json
        checks.that("the message says where", "2" in handle.get("error", {}).get("message", ""),
                    "the coding path, index 2", handle)
        handle = http.submit("crash", {"signal": "nine"}, target="/v1/jobs?wait=10").json
        checks.that("… and under which name", "signal" in handle["error"]["message"],
                    "the coding path, signal", handle)


def crashes(checks, service):
    with service.connection() as http:
        for argument, code, exitcode in (
            ({"signal": 9}, "signalled", -9), ({"signal": 15}, "signalled", -15),
            ({"exit": 3}, "exited", 3), ({"exit": 0}, "exited", 0),
        ):
            handle = http.submit("crash", argument, target="/v1/jobs?wait=10").json
            error = handle.get("error", {})
            check_handle(checks, f"crash({argument}) fails", handle, state="failed", attempt=1)
            checks.equal("… with code and exitcode", (error.get("code"), error.get("exitcode")),
                         (code, exitcode))
            signal = -exitcode if exitcode < 0 else None
            checks.equal("… and signal", error.get("signal"), signal)


def time_limits(checks, service):
    with service.connection() as http:
        began = time.monotonic()
        handle = http.submit("sleep", 20, timeout=0.3, target="/v1/jobs?wait=15").json
        took = time.monotonic() - began
        check_handle(checks, "a job over its timeout fails", handle, state="failed", timeout=0.3)
        checks.equal("… with timed_out", handle.get("error", {}).get("code"), "timed_out")
        checks.that("… in time", 0.3 <= took < 2, "0.3 s", f"{took:.2f} s")
        handle = http.submit("burn", 20_000, timeout=0.3, target="/v1/jobs?wait=15").json
        checks.equal("… also one that computes", handle.get("error", {}).get("code"), "timed_out")
        handle = http.submit("sleep", 0.1, timeout=5, target="/v1/jobs?wait=15").json
        check_handle(checks, "a job within its timeout succeeds", handle, state="succeeded")


def further_attempts(checks, service):
    with service.connection() as http:
        began = time.monotonic()
        job = http.submit("fail", "again", max_attempts=2).json["id"]
        handle = wait_for_state(http, job, "scheduled", 5)
        checks.that("after its first failure a job is scheduled", handle is not None, "scheduled",
                    http.get(f"/v1/jobs/{job}"))
        if handle:
            check_handle(checks, "… with its last error", handle, attempt=1, max_attempts=2)
            checks.equal("… of attempt 1", (handle.get("error", {}).get("code"), handle.get(
                "error", {}).get("attempt")), ("raised", 1))
            wait = seconds(handle["run_at"]) - seconds(handle["created_at"])
            checks.that("… to run 1 s later", 0.95 <= wait <= 1.5, "1 s", f"{wait:.2f} s")
        handle = finished(http, job)
        took = time.monotonic() - began
        check_handle(checks, "after its last it has failed", handle, state="failed", attempt=2)
        checks.equal("… with the error of attempt 2", handle["error"].get("attempt"), 2)
        checks.that("… after the wait", 0.95 <= took <= 3, "1 s", f"{took:.2f} s")
        handle = http.submit(
            "crash", {"exit": 3}, max_attempts=2, target="/v1/jobs?wait=10").json
        check_handle(checks, "a crash is tried again too", handle, state="failed", attempt=2)
        checks.equal("… and fails as a crash", handle["error"].get("code"), "exited")
        handle = http.submit("square", 4, max_attempts=5, target="/v1/jobs?wait=10").json
        check_handle(checks, "success needs one attempt", handle, state="succeeded", attempt=1)
        job = http.submit("fail", "again", max_attempts=5).json["id"]
        wait_for_state(http, job, "scheduled", 5)
        response = http.post(f"/v1/jobs/{job}/cancel", {})
        checks.equal("a scheduled job can be cancelled", response.status, 202)
        check_handle(checks, "… at once", response.json, state="cancelled", attempt=1)


def deep_values_survive_a_restart(checks, _service):
    """A body may lie 64 levels deep; journal, snapshot and worker lay some of their own around."""
    def nested(levels):
        return b"[" * levels + b"]" * levels
    bodies = {
        b"args": b'{"task":"echo","id":"args","args":' + nested(63) + b"}",
        b"kwargs": b'{"task":"echo","id":"kwargs","kwargs":{"value":' + nested(62) + b"}}",
    }
    with Service("--processes", 1) as service:
        with service.connection() as http:
            for name, body in bodies.items():
                response = http.post("/v1/jobs?wait=5", body)
                checks.equal(f"{name.decode()} as deep as a body may lie are taken", (
                    response.status, response.json.get("state")), (200, "succeeded"))
        for end in ("a crash", "an orderly end"):
            service.kill() if end == "a crash" else service.terminate()
            service.start()
            with service.connection() as http:
                result = http.get("/v1/jobs/args/result")
                checks.equal(f"… their result is there after {end}", (
                    result.status, result.body), (200, nested(62)))
                held = http.get("/v1/jobs/kwargs?include=args")
                checks.that("… and so are they", b'"kwargs":{"value":' + nested(62) in held.body,
                            nested(62), held.body)


PARTS = [
    values_are_exact, built_in_tasks, raised_errors, arguments_that_do_not_decode, crashes,
    time_limits, further_attempts, deep_values_survive_a_restart,
]
