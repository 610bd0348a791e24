"""Many submissions in one request; many jobs in one answer, and the wait for one of them."""

import json
import time

from lido_process import Broken, Service, finished, free_port, wait_until

from .expectations import UUID7, check_problem, faults_of_handle
from .handles import Background, Occupied

LINES = "application/x-ndjson"
JOBS_MAX = 10_000
IDS_MAX = 1_000
#: (what, a submission that is wrong, status, code, pointer or None)
WRONG = [
    ("no object", 7, 400, "invalid_request", ""),
    ("null", None, 400, "invalid_request", ""),
    ("an array", [[]], 400, "invalid_request", ""),
    ("no task", {}, 400, "invalid_request", "/task"),
    ("an unknown member", {"task": "square", "a/b": 1}, 400, "invalid_request", "/a~1b"),
    ("a wrong type", {"task": "square", "args": 7}, 400, "invalid_request", "/args"),
    ("a wrong tag", {"task": "square", "tags": ["a", 1]}, 400, "invalid_request", "/tags/1"),
    ("a wrong id", {"task": "square", "id": "a/b"}, 400, "invalid_request", "/id"),
    ("an unknown task", {"task": "nothing"}, 422, "unknown_task", "/task"),
    ("an unknown pool", {"task": "square", "pool": "x"}, 422, "unknown_pool", "/pool"),
]


def lines_of(values):
    """A value a line."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def faults_of_error(item, status, code, pointer=None):
    """What keeps an item of an answer from being this error."""
    if "state" in item or set(item) - {"id", "error"}:
        return [f"no error: {item}"]
    error = item["error"]
    faults = [f"{n} is {error.get(n)!r}, not {v!r}"
              for n, v in (("status", status), ("code", code)) if error.get(n) != v]
    faults += [f"no {n}" for n in ("type", "title", "detail") if not error.get(n)]
    if pointer is not None:
        pointers = [mistake["pointer"] for mistake in error.get("errors", [])]
        if pointers != [pointer]:
            faults.append(f"pointers {pointers}, not {pointer!r}")
    return faults


def check_items(checks, what, response, expected):
    """200 and items as expected: handles by their members, or (status, code, pointer)."""
    if not checks.equal(f"{what}: status", response.status, 200):
        return checks.note(repr(response))
    items = response.json["jobs"]
    faults = [] if set(response.json) == {"jobs"} else [set(response.json)]
    if len(items) != len(expected):
        faults.append(f"{len(items)} items and not {len(expected)}")
    for index, (item, wanted) in enumerate(zip(items, expected)):
        if isinstance(wanted, tuple):
            found = faults_of_error(item, *wanted)
        else:
            found = faults_of_handle(item)
            found += [f"{n} is {item.get(n)!r}, not {v!r}"
                      for n, v in wanted.items() if item.get(n) != v]
        faults += [f"item {index}: {fault}" for fault in found]
    return checks.that(f"{what}: {len(expected)} items, each as expected", not faults, [],
                       f"{faults[:3]} in {items[:3]}")


def an_array_and_lines(checks, service):
    with service.connection() as http:
        for form, post in (
                ("array", lambda values: http.post("/v1/jobs", values)),
                ("lines", lambda values: http.post("/v1/jobs", lines_of(values), LINES)),
                ("lines without the last line feed", lambda values: http.post(
                    "/v1/jobs", lines_of(values)[:-1], LINES + "; charset=utf-8"))):
            values = [{"task": "square", "args": [n], "tags": [form]} for n in range(5)]
            values.insert(2, {"task": "echo", "args": ["x"], "id": f"named-{form[-5:].strip()}"})
            response = post(values)
            check_items(checks, form, response, [
                {"task": v["task"], "pool": "default", "tags": v.get("tags")} for v in values])
            jobs = response.json["jobs"]
            checks.equal("… as JSON", response.get("content-type"), "application/json")
            checks.equal("… without a Location", response.get("location"), None)
            checks.equal("… with ids of ours but for the one that was named", [
                job["id"] for job in jobs if not UUID7.match(job["id"])], [values[2]["id"]])
            results = [finished(http, job)["result"] for job in jobs]
            checks.equal("… and all are run", results, [0, 1, "x", 4, 9, 16])
        with_blanks = b"\r\n \n" + lines_of([{"task": "square", "args": [3]}]) + b"\n\t\n" \
            + b' {"task" : "square", "args":[4]} \r\n\n'
        check_items(checks, "blank lines do not count", http.post(
            "/v1/jobs?wait=5", with_blanks, LINES), [{"result": 9}, {"result": 16}])
        for what, body, form in (("an empty array", b" [ ] ", "application/json"),
                                 ("no lines", b"", LINES), ("blank lines", b"\n \n", LINES)):
            check_items(checks, what, http.post("/v1/jobs", body, form), [])
        check_items(checks, "an array as curl sends it", http.post(
            "/v1/jobs", [{"task": "square", "args": [1]}], "application/x-www-form-urlencoded"),
            [{"task": "square"}])


def bad_ones_spoil_no_others(checks, service):
    with service.connection() as http:
        good = {"task": "square", "args": [2], "tags": ["bulk-good"]}
        values, expected = [good], [{"task": "square"}]
        for _, value, *error in WRONG:
            values += [value, good]
            expected += [tuple(error), {"task": "square"}]
        check_items(checks, "an array with every mistake", http.post("/v1/jobs", values), expected)
        check_items(checks, "lines with every mistake",
                    http.post("/v1/jobs", lines_of(values), LINES), expected)
        deep = b"[" * 64 + b"]" * 64
        body = b'[{"task":"echo","args":%s},{"task":"echo","args":%s}]' % (deep, deep[1:-1])
        check_items(checks, "one that lies too deep", http.post("/v1/jobs?wait=5", body),
                    [(400, "invalid_request", "/args"), {"state": "succeeded"}])
        odd = b'{"task":\n{"task":"echo","args":["\xff"]}\nnull null\n\xef\xbb\xbf{}\n' \
            + b'{"task":"square","args":[5]}'
        broken = (400, "invalid_request", "")
        check_items(checks, "lines that are not JSON", http.post("/v1/jobs?wait=5", odd, LINES),
                    [broken, broken, broken, broken, {"result": 25}])
        checks.equal("the good ones are jobs, and nothing else is", len(
            http.get("/v1/jobs?tag=bulk-good&limit=1000").json["jobs"]), 2 * (len(WRONG) + 1))


def what_is_refused_as_a_whole(checks, service):
    with service.connection() as http:
        good = b'{"task":"square","args":[1],"tags":["bulk-whole"]}'
        for what, body in (
                ("an array that is not closed", b"[" + good), ("a comma too many",
                b"[" + good + b",]"), ("something after it", b"[" + good + b"] x"),
                ("two arrays", b"[" + good + b"][" + good + b"]"),
                ("an element that is not JSON", b"[" + good + b',{"task":}]'),
                ("bytes that are not UTF-8", b"[" + good + b',"\xff"]'),
                ("200,000 brackets", b"[" + good + b"," + b"[" * 200_000)):
            check_problem(checks, what, http.post("/v1/jobs", body), 400, "invalid_request", "")
        response = http.post("/v1/jobs", b"[" + good + b"]", Idempotency_Key="k")
        check_problem(checks, "Idempotency-Key with many", response, 400, "invalid_request",
                      mentions=["id"])
        check_problem(checks, "another type of lines", http.post("/v1/jobs", good, "text/plain"),
                      415, "unsupported_media_type", mentions=[LINES])
        many = [{"task": "x"}] * (JOBS_MAX + 1)
        for what, response in (
                ("an array", http.post("/v1/jobs", many)),
                ("lines", http.post("/v1/jobs", lines_of(many), LINES))):
            check_problem(checks, f"10,001 submissions as {what}", response, 413,
                          "payload_too_large", mentions=[str(JOBS_MAX)])
        checks.equal("nothing of it became a job",
                     http.get("/v1/jobs?tag=bulk-whole").json["jobs"], [])
        check_problem(checks, "an unknown member of the query", http.post("/v1/jobs?x=1", []), 400,
                      "invalid_request")


def repeats_of_submissions(checks, service):
    with service.connection() as http:
        one = {"task": "square", "args": [6], "id": "bulk-one"}
        other = {**one, "args": [7]}
        response = http.post("/v1/jobs", [one, one, other, {"task": "square", "args": [8]}])
        check_items(checks, "one id three times in a request", response, [
            {"id": "bulk-one"}, {"id": "bulk-one", "idempotent_replayed": True},
            (422, "idempotency_mismatch", None), {"task": "square"}])
        checks.that("… the first is no repeat",
                    "idempotent_replayed" not in response.json["jobs"][0], "none",
                    response.json["jobs"][0])
        check_items(checks, "the same request again", http.post("/v1/jobs?wait=5", [one, other]), [
            {"id": "bulk-one", "idempotent_replayed": True, "result": 36},
            (422, "idempotency_mismatch", None)])
        checks.that("in its own handle nothing is said of a repeat",
                    "idempotent_replayed" not in http.get("/v1/jobs/bulk-one").json, "none",
                    http.get("/v1/jobs/bulk-one"))


def ten_thousand(checks, service):
    with service.connection() as http:
        values = [{"task": "square", "args": [n]} for n in range(JOBS_MAX)]
        response = http.post("/v1/jobs?wait=60", values)
        check_items(checks, "10,000 submissions with a wait", response,
                    [{"result": n * n, "attempt": 1} for n in range(JOBS_MAX)])
        response = http.post("/v1/jobs", lines_of(values), LINES, Prefer="wait=60")
        checks.equal("… as lines", (response.get("preference-applied"), response.get("vary"), [
            job.get("result") for job in response.json["jobs"]]), ("wait=60", "Prefer", [
                n * n for n in range(JOBS_MAX)]))
        ids = [job["id"] for job in response.json["jobs"]]
        checks.equal("… each its own", len(set(ids)), JOBS_MAX)


def waiting_for_all(checks, service):
    with service.connection() as http:
        began = time.monotonic()
        response = http.post("/v1/jobs?wait=10", [
            {"task": "sleep", "args": [0.6]}, {"task": "fail", "args": ["x"]}, {"task": "none"},
            {"task": "square", "args": [3]}])
        took = time.monotonic() - began
        check_items(checks, "who waits hears of all ends", response, [
            {"state": "succeeded"}, {"state": "failed"}, (422, "unknown_task", "/task"),
            {"result": 9}])
        checks.that("… when the last has come", 0.55 <= took < 3, "0.6 s", f"{took:.2f} s")
        checks.equal("… and nothing is to be asked again", response.get("retry-after"), None)
        began = time.monotonic()
        response = http.post("/v1/jobs", [
            {"task": "sleep", "args": [20]}, {"task": "square", "args": [3]}], Prefer="wait=1")
        took = time.monotonic() - began
        check_items(checks, "when the time is over they are told as they are", response,
                    [{"state": "running"}, {"state": "succeeded"}])
        checks.that("… then", 0.9 <= took < 3, "1 s", f"{took:.2f} s")
        checks.equal("… with Retry-After", response.get("retry-after"), "1")
        http.post(f"/v1/jobs/{response.json['jobs'][0]['id']}/cancel", {"grace": 0})
        began = time.monotonic()
        http.post("/v1/jobs?wait=10", [{"task": "none"}])
        checks.that("where nothing was accepted nobody waits", time.monotonic() - began < 2,
                    "at once", time.monotonic() - began)


def several_by_id(checks, service):
    with service.connection() as http:
        for identifier in ("by-id-1", "by-id-2", "by-id-gone"):
            http.submit("square", len(identifier), id=identifier, target="/v1/jobs?wait=5")
        http.delete("/v1/jobs/by-id-gone")
        expected = [{"id": "by-id-2", "result": 49}, (404, "not_found", None),
                    {"id": "by-id-1", "result": 49}, (410, "gone", None),
                    {"id": "by-id-2", "result": 49}]
        ids = ["by-id-2", "by-id-never", "by-id-1", "by-id-gone", "by-id-2"]
        single = http.get("/v1/jobs?" + "&".join(f"id={i}" for i in ids))
        check_items(checks, "several ids", single, expected)
        checks.equal("… an error says which", [
            item["id"] for item in single.json["jobs"]], ids)
        joined = http.get("/v1/jobs?wait=10&id=" + ",".join(ids))
        check_items(checks, "parted by commas, and with a wait when all is final", joined, expected)
        checks.equal("… with the same ETag", joined.get("etag"), single.get("etag"))
        for wait in ("", "&wait=10"):
            same = http.get("/v1/jobs?id=" + ",".join(ids) + wait,
                            If_None_Match=single.get("etag"))
            checks.equal(f"what is held already is 304 {wait}", (same.status, same.body),
                         (304, b""))
        for what, query in (
                ("a filter", "id=a&state=failed"), ("a page", "limit=5&id=a"),
                ("an id that is none", "id=a/b"), ("no id", "id="), ("an empty one", "id=a,,b"),
                ("a wait that is none", "id=a&wait=soon"), ("two waits", "id=a&wait=1&wait=2"),
                ("an unknown word", "id=a&include=args"), ("a wait without id", "wait=5"),
                ("1,001 ids", "id=" + ",".join(["a"] * (IDS_MAX + 1)))):
            check_problem(checks, f"several ids with {what}", http.get(f"/v1/jobs?{query}"), 400,
                          "invalid_request")
        check_items(checks, "1,000 ids", http.get("/v1/jobs?id=" + ",".join(["by-id"] * IDS_MAX)),
                    [(404, "not_found", None)] * IDS_MAX)
        ours = [job["id"] for job in http.post(
            "/v1/jobs?wait=20", [{"task": "square", "args": [n]} for n in range(200)]).json["jobs"]]
        check_items(checks, "200 ids of the service's own", http.get(
            "/v1/jobs?id=" + ",".join(ours)), [{"id": i} for i in ours])
        check_items(checks, "140, an id each", http.get(
            "/v1/jobs?" + "&".join(f"id={i}" for i in ours[:140])), [{"id": i} for i in ours[:140]])


def the_first_change(checks, service):
    with service.connection() as http:
        done = http.submit("square", 2, target="/v1/jobs?wait=5").json["id"]
        with Occupied(http, 2) as occupied:
            queued = http.submit("square", 3).json["id"]
            ids = [done, *occupied.jobs, queued]
            target = "/v1/jobs?wait=10&id=" + ",".join(ids)
            same = http.get(target.replace("wait=10", "wait=0.5"))
            check_items(checks, "nothing changes: as they are when the time is over", same,
                        [{"ready": True}, {"state": "running"}, {"state": "running"},
                         {"state": "queued"}])
            response = http.get(target.replace("wait=10", "wait=0.3"),
                                If_None_Match=same.get("etag"))
            checks.equal("… or 304", response.status, 304)
            waiting = [Background(service, target) for _ in range(20)]
            held = Background(service, target, If_None_Match=same.get("etag"))
            wait_until(lambda: "lido_waiting_requests 21" in http.get("/metrics").text, 5)
            began = time.monotonic()
            http.post(f"/v1/jobs/{queued}/cancel", {})
            answers = [w.answer()[0] for w in [*waiting, held]]
            took = time.monotonic() - began
            checks.that("21 clients that wait for four jobs hear of the first change", all(
                a.status == 200 and [j["state"] for j in a.json["jobs"]] ==
                ["succeeded", "running", "running", "cancelled"] for a in answers), "cancelled",
                answers[0])
            checks.that("… when it comes", took < 2, "at once", f"{took:.2f} s")
            checks.that("nobody waits any more",
                        "lido_waiting_requests 0" in http.get("/metrics").text, 0, "more")
            began = time.monotonic()
            again = http.get(target, If_None_Match=same.get("etag"))
            checks.that("a change between two requests is not missed", again.status == 200 and
                        time.monotonic() - began < 2, "200 at once", again)
            leaver = Background(service, target)
            wait_until(lambda: "lido_waiting_requests 1" in http.get("/metrics").text, 5)
            time.sleep(0.1)
            leaver.leave()
            checks.that("who leaves is let go", wait_until(
                lambda: "lido_waiting_requests 0" in http.get("/metrics").text, 3), 0, "1")
        rest = [http.submit("sleep", 0.05 * n).json["id"] for n in range(1, 9)]
        left, etag, rounds, seen = set(rest), None, 0, 0
        while left and rounds < 40:
            rounds += 1
            headers = {"If_None_Match": etag} if etag else {}
            response = http.get("/v1/jobs?wait=5&id=" + ",".join(rest), **headers)
            etag, seen = response.get("etag"), seen + (response.status == 200)
            if response.status == 200:
                left = {j["id"] for j in response.json["jobs"] if not j["ready"]}
        checks.that(f"asked on and on, all ends are seen, in {rounds} answers",
                    not left and seen == rounds <= 2 * len(rest) + 1,
                    "at most two changes a job", (left, rounds))


def a_queue_that_gets_full(checks, service):
    """Those before are accepted, the rest hears when to come again."""
    del service
    with Service("--processes", 1, "--max-queued", 5) as small, small.connection() as http:
        http.submit("sleep", 30)
        response = http.post("/v1/jobs", [{"task": "square", "args": [n]} for n in range(7)])
        full = (503, "queue_full", None)
        check_items(checks, "a queue that gets full", response,
                    [{"state": "queued"}] * 4 + [full] * 3)
        waits = [item["error"].get("retry_after") for item in response.json["jobs"][4:]]
        checks.that("… with retry_after", all(type(w) is int and 1 <= w <= 60 for w in waits),
                    "1 to 60", waits)


def answers_are_bounded(checks, service):
    """Large results do not make an endless answer."""
    text = "x" * 900_000
    with service.connection() as http:
        ids = [http.submit("echo", text, target="/v1/jobs?wait=10").json["id"] for _ in range(14)]
        response = http.get("/v1/jobs?id=" + ",".join(ids))
        jobs = response.json["jobs"]
        checks.that("an answer with many large results ends after 8 MiB",
                    len(response.body) < 10 << 20, "10 MiB", len(response.body))
        checks.equal("… every job is final in it", [j["ready"] for j in jobs], [True] * 14)
        whole = [job for job in jobs if "result" in job]
        checks.equal("… and says where its result is left out", [
            job.get("outcome_omitted") for job in jobs], [None] * len(whole) + [True] * (
                14 - len(whole)))
        checks.that("… which is not in all", 8 <= len(whole) < 14, "8 to 13", len(whole))
        for identifier in ids:
            http.delete(f"/v1/jobs/{identifier}")


def before_the_service_is_ready(checks, service):
    """A request that comes before the first worker waits for it."""
    del service
    early = Service("--processes", 1, port=free_port())
    try:
        early.launch()
        early.port = early.wanted_port
        http = early.connection()
        def is_open():
            try:
                http.send("POST", "/v1/jobs?wait=10", json.dumps(
                    [{"task": "square", "args": [n]} for n in range(50)]).encode(),
                    {"Content-Type": "application/json"})
                return True
            except Broken:
                return False
        wait_until(is_open, 10)
        check_items(checks, "many submissions while the service starts", http.receive(),
                    [{"result": n * n} for n in range(50)])
    finally:
        early.end()


PARTS = [
    an_array_and_lines, bad_ones_spoil_no_others, what_is_refused_as_a_whole,
    repeats_of_submissions, ten_thousand, waiting_for_all, several_by_id, the_first_change,
    a_queue_that_gets_full, answers_are_bounded, before_the_service_is_ready,
]
