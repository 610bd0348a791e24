"""`GET`, cancel and `DELETE` of a job, and its result."""

import re
import threading
import time

from lido_process import finished, wait_for_state, wait_until

from .expectations import check_handle, check_problem, check_retry_after, tokens


class Occupied:
    """Fills every slot of the pool with sleeping jobs, so that further jobs stay queued."""

    def __init__(self, http, slots, seconds=30):
        self._http = http
        self.jobs = [http.submit("sleep", seconds).json["id"] for _ in range(slots)]

    def __enter__(self):
        for job in self.jobs:
            if wait_for_state(self._http, job, "running") is None:
                raise AssertionError(f"{job} does not run")
        # Only now do the slots know that these calls are long, and hold no short ones behind them.
        time.sleep(0.1)
        return self

    def __exit__(self, *_):
        for job in self.jobs:
            self._http.post(f"/v1/jobs/{job}/cancel", {"grace": 0})
        for job in self.jobs:
            finished(self._http, job)


class Background:
    """A request whose answer comes later, on a connection of its own."""

    def __init__(self, service, target, **headers):
        self._connection = service.connection(timeout=30)
        self._connection.send("GET", target, None, headers)
        self.began = time.monotonic()

    def leave(self):
        """Goes away without the answer."""
        self._connection.close()

    def answer(self):
        """Waits for the answer: it and the seconds that it took."""
        response = self._connection.receive()
        took = time.monotonic() - self.began
        self._connection.close()
        return response, took


def states_of_a_handle(checks, service):
    with service.connection() as http, Occupied(http, 2) as occupied:
        running = http.get(f"/v1/jobs/{occupied.jobs[0]}")
        handle = running.json
        check_handle(checks, "a running job's handle", handle, state="running", attempt=1)
        workers = http.get("/v1/pools/default/workers").json["workers"]
        checks.that("… names the pid of one of the pool's workers",
                    handle["worker"].get("pid") in [worker["pid"] for worker in workers],
                    workers, handle)
        check_retry_after(checks, "a job that is not final", running)
        response = http.submit("square", 9)
        queued = http.get(f"/v1/jobs/{response.json['id']}")
        check_handle(checks, "a queued job's handle", queued.json, state="queued", attempt=0)
        check_retry_after(checks, "a queued job", queued)
        result = http.get(f"/v1/jobs/{occupied.jobs[0]}/result")
        check_problem(checks, "the result of a running job", result, 409, "not_ready")
        check_retry_after(checks, "… which", result)
        began = time.monotonic()
        result = http.get(f"/v1/jobs/{occupied.jobs[0]}/result?wait=1")
        took = time.monotonic() - began
        check_problem(checks, "… after a wait", result, 409, "not_ready")
        checks.that("… of 1 s", 0.9 <= took <= 2, "1 s", f"{took:.2f} s")
        began = time.monotonic()
        response = http.get(f"/v1/jobs/{occupied.jobs[0]}", Prefer="wait=1")
        took = time.monotonic() - began
        checks.that("a handle that was waited for in vain is 200 after the wait",
                    response.status == 200 and 0.9 <= took <= 2, "200 after 1 s",
                    f"{took:.2f} s, {response}")
        checks.equal("… with Preference-Applied", tokens(response, "preference-applied"),
                     {"wait=1"})
        checks.that("… and Vary", "prefer" in (response.get("vary") or "").lower(),
                    "Prefer", response)


def entity_tags(checks, service):
    with service.connection() as http:
        done = http.submit("square", 3, target="/v1/jobs?wait=5").json
        target = f"/v1/jobs/{done['id']}"
        response = http.get(target)
        tag = response.get("etag") or ""
        checks.that("a handle has an ETag", re.fullmatch('"[0-9]+-[0-9]+"', tag) is not None,
                    "number and version, quoted", response)
        same = http.get(target, If_None_Match=tag)
        checks.equal("If-None-Match with it is 304", (same.status, same.body), (304, b""))
        checks.equal("… with the tag again", same.get("etag"), tag)
        for text in (f"W/{tag}", f'"other", {tag}', "*"):
            checks.equal(f"If-None-Match: {text.replace(tag, 'TAG')} is 304",
                         http.get(target, If_None_Match=text).status, 304)
        checks.equal("If-None-Match with another is 200",
                     http.get(target, If_None_Match='"other"').status, 200)
        checks.equal("the ETag of a final job stays", http.get(target).get("etag"), tag)
        began = time.monotonic()
        same = http.get(target + "?wait=5", If_None_Match=tag)
        took = time.monotonic() - began
        checks.that("with a wait too it is 304 at once when final: it will never change",
                    same.status == 304 and took < 1, "304 at once", f"{same}, {took:.2f} s")
        with_args = http.get(target + "?include=args").get("etag") or ""
        checks.equal("with the arguments it is another tag", with_args, tag[:-1] + '-args"')
        tags = []
        for _ in range(2):
            http.submit("square", 3, id="twice", target="/v1/jobs?wait=5")
            tags.append(http.get("/v1/jobs/twice").get("etag"))
            other = http.get("/v1/jobs/twice", If_None_Match=tags[0])
            http.delete("/v1/jobs/twice")
        checks.that("another job under the id of a deleted one has another ETag",
                    tags[0] != tags[1], f"not {tags[0]}", tags[1])
        checks.equal("… and the tag of the first is not its own", other.status, 200)


def a_change_wakes(checks, service):
    with service.connection() as http:
        job = http.submit("sleep", 1).json["id"]
        wait_for_state(http, job, "running")
        running = http.get(f"/v1/jobs/{job}").get("etag")
        began = time.monotonic()
        same = http.get(f"/v1/jobs/{job}", If_None_Match=running)
        checks.that("without a wait an unchanged running job is 304 at once",
                    same.status == 304 and time.monotonic() - began < 0.5, "304", same)
        response, took = Background(
            service, f"/v1/jobs/{job}?wait=10", If_None_Match=running).answer()
        check_handle(checks, "with a wait it answers at the change", response.json,
                     state="succeeded")
        checks.that("… when it comes", took < 5, "about 1 s", f"{took:.2f} s")
        checks.that("… with another ETag", response.get("etag") != running, f"not {running}",
                    response.get("etag"))
        with Occupied(http, 2) as occupied:
            began = time.monotonic()
            tag = http.get(f"/v1/jobs/{occupied.jobs[0]}").get("etag")
            same = http.get(f"/v1/jobs/{occupied.jobs[0]}?wait=1", If_None_Match=tag)
            took = time.monotonic() - began
            checks.equal("without a change it is 304", same.status, 304)
            checks.that("… after the wait", 0.9 <= took <= 2, "1 s", f"{took:.2f} s")
            job = http.submit("sleep", 1.5).json["id"]
            queued = http.get(f"/v1/jobs/{job}")
            change = Background(service, f"/v1/jobs/{job}?wait=10",
                                If_None_Match=queued.get("etag"))
            end = Background(service, f"/v1/jobs/{job}?wait=10")
            http.post(f"/v1/jobs/{occupied.jobs[0]}/cancel", {"grace": 0})
            response, _ = change.answer()
            check_handle(checks, "from queued to running is a change", response.json,
                         state="running")
            response, took = end.answer()
            check_handle(checks, "without If-None-Match only the end answers", response.json,
                         state="succeeded")
            checks.that("… when it comes", took > 1.3, "at least 1.5 s", f"{took:.2f} s")


def many_wait_for_one(checks, service):
    with service.connection() as http:
        job = http.submit("sleep", 0.5).json["id"]
        waiting = [Background(service, f"/v1/jobs/{job}/result?wait=10") for _ in range(50)]
        answers = [request.answer() for request in waiting]
        right = sum(1 for response, _ in answers if response.status == 200)
        checks.equal("50 clients that wait for one result all get it", right, 50)
        slowest = max(took for _, took in answers)
        checks.that("… when it is there", slowest < 3, "< 3 s", f"{slowest:.2f} s")
        job = http.submit("sleep", 0.5).json["id"]
        leaver = Background(service, f"/v1/jobs/{job}?wait=10")
        leaver.leave()
        check_handle(checks, "a client that goes away does not cancel its job",
                     finished(http, job), state="succeeded")


def results(checks, service):
    with service.connection() as http:
        job = http.submit("sleep", 0.3).json["id"]
        result = http.get(f"/v1/jobs/{job}/result", Prefer="wait=5")
        checks.equal("a result that was waited for", result.status, 200)
        checks.equal("… with Preference-Applied", result.get("preference-applied"), "wait=5")
        job = http.submit("fail", "no luck", target="/v1/jobs?wait=5").json
        result = http.get(f"/v1/jobs/{job['id']}/result")
        check_problem(checks, "the result of a failed job", result, 424, "job_failed")
        checks.equal("… holds the job's error", result.json.get("error"), job["error"])
        began = time.monotonic()
        result = http.get(f"/v1/jobs/{job['id']}/result?wait=5")
        checks.that("… at once, with a wait too",
                    result.status == 424 and time.monotonic() - began < 1, "424", result)


def cancelling(checks, service):
    with service.connection() as http, Occupied(http, 2) as occupied:
        queued = http.submit("square", 1).json["id"]
        waiting = Background(service, f"/v1/jobs/{queued}?wait=10")
        response = http.post(f"/v1/jobs/{queued}/cancel", b"", content_type=None)
        checks.equal("cancel of a queued job is 202", response.status, 202)
        check_handle(checks, "… and it is cancelled", response.json, state="cancelled", attempt=0)
        woken, _ = waiting.answer()
        check_handle(checks, "… which wakes who waits", woken.json, state="cancelled")
        check_problem(checks, "… its result", http.get(f"/v1/jobs/{queued}/result"), 424,
                      "job_failed")
        check_problem(checks, "… and it cannot be cancelled again",
                      http.post(f"/v1/jobs/{queued}/cancel", {}), 409, "not_cancellable")
        running = occupied.jobs[0]
        pid = http.get(f"/v1/jobs/{running}").json["worker"]["pid"]
        began = time.monotonic()
        response = http.post(f"/v1/jobs/{running}/cancel", {"grace": 3})
        checks.equal("cancel of a running job is 202", response.status, 202)
        check_handle(checks, "… with its handle", response.json, id=running)
        if response.json["state"] == "running":
            checks.equal("… that shows the request", response.json.get("cancel_requested"), True)
        done = finished(http, running)
        took = time.monotonic() - began
        check_handle(checks, "… and it is cancelled", done, state="cancelled", attempt=1)
        checks.that("SIGTERM was enough: it took less than the grace", took < 2.5, "< 2.5 s",
                    f"{took:.2f} s")
        new = http.submit("sleep", 30).json["id"]
        handle = wait_for_state(http, new, "running")
        checks.that("the slot is filled again, by another process",
                    handle is not None and handle["worker"]["pid"] != pid, f"not {pid}", handle)
        http.post(f"/v1/jobs/{new}/cancel", {"grace": 0})
        finished(http, new)
        other = http.get(f"/v1/jobs/{occupied.jobs[1]}").json
        check_handle(checks, "the other job runs on", other, state="running", attempt=1)


def cancel_requests_that_are_wrong(checks, service):
    with service.connection() as http:
        done = http.submit("square", 1, target="/v1/jobs?wait=5").json["id"]
        check_problem(checks, "cancel of a final job",
                      http.post(f"/v1/jobs/{done}/cancel", {"grace": 1}), 409, "not_cancellable")
        check_problem(checks, "cancel of an unknown job",
                      http.post("/v1/jobs/nobody/cancel", {}), 404, "not_found")
        with Occupied(http, 1) as occupied:
            check_problem(checks, "DELETE of a running job",
                          http.delete(f"/v1/jobs/{occupied.jobs[0]}"), 409, "conflict")
            target = f"/v1/jobs/{occupied.jobs[0]}/cancel"
            for what, body, pointer in (
                ("a grace that is no number", {"grace": "1"}, "/grace"),
                ("a negative grace", {"grace": -1}, "/grace"),
                ("an unknown member", {"graze": 1}, "/graze"),
                ("no JSON", b"{", None), ("no object", [], None),
                ("a repeated member", b'{"grace":1,"grace":2}', "/grace"),
            ):
                check_problem(checks, f"cancel with {what}", http.post(target, body), 400,
                              "invalid_request", pointer)
            check_handle(checks, "… and the job runs on",
                         http.get(f"/v1/jobs/{occupied.jobs[0]}").json, state="running")


def forgetting(checks, service):
    with service.connection() as http:
        job = http.submit("square", 1, id="to-forget", target="/v1/jobs?wait=5").json["id"]
        response = http.delete(f"/v1/jobs/{job}")
        checks.equal("DELETE of a final job is 204", (response.status, response.body), (204, b""))
        check_problem(checks, "then it is gone", http.get(f"/v1/jobs/{job}"), 410, "gone")
        check_problem(checks, "… its result", http.get(f"/v1/jobs/{job}/result"), 410, "gone")
        check_problem(checks, "… DELETE", http.delete(f"/v1/jobs/{job}"), 410, "gone")
        check_problem(checks, "… cancel", http.post(f"/v1/jobs/{job}/cancel", {}), 410, "gone")
        began = time.monotonic()
        response = http.get(f"/v1/jobs/{job}?wait=5")
        checks.that("… at once, with a wait too", response.status == 410 and
                    time.monotonic() - began < 1, "410 at once", response)
        for target in ("/v1/jobs/never-seen", "/v1/jobs/0190a5b0-0000-7000-8000-000000000000",
                       "/v1/jobs/has%20space", "/v1/jobs/" + "x" * 65):
            check_problem(checks, f"GET {target[:30]} that never was", http.get(target), 404,
                          "not_found")
        check_problem(checks, "the result of what never was",
                      http.get("/v1/jobs/never-seen/result"), 404, "not_found")
        check_problem(checks, "DELETE of what never was", http.delete("/v1/jobs/never-seen"), 404,
                      "not_found")
        check_problem(checks, "an unknown member of the query",
                      http.get("/v1/jobs/never-seen?weight=1"), 400, "invalid_request")
        job = http.submit("square", 1, target="/v1/jobs?wait=5").json["id"]
        check_problem(checks, "a value of include that is none",
                      http.get(f"/v1/jobs/{job}?include=all"), 400, "invalid_request")


def cancels_wake_who_waits(checks, service):
    """A waiting GET and a cancel at the same moment, many times: each GET ends, with its job."""
    with service.connection() as http:
        wrong = []
        for _ in range(30):
            job = http.submit("sleep", 10).json["id"]
            answers = []
            threads = [
                threading.Thread(target=lambda w: answers.append(w.answer()[0]), args=(waiting,))
                for waiting in [Background(service, f"/v1/jobs/{job}?wait=15") for _ in range(3)]
            ]
            for thread in threads:
                thread.start()
            http.post(f"/v1/jobs/{job}/cancel", {"grace": 0})
            for thread in threads:
                thread.join(20)
            states = [a.json.get("state") for a in answers if a.status == 200]
            if states != ["cancelled"] * 3:
                wrong.append((job, answers))
        checks.that("30 times 3 waiting clients are woken by a cancel", not wrong, [], wrong)
        def is_full():
            workers = http.get("/v1/pools/default/workers").json["workers"]
            return sum(1 for w in workers if "exitcode" not in w) >= 2
        checks.that("the pool is full again afterwards", wait_until(is_full, 10), "2 workers",
                    http.get("/v1/pools/default/workers"))


PARTS = [
    states_of_a_handle, entity_tags, a_change_wakes, many_wait_for_one, results, cancelling,
    cancel_requests_that_are_wrong, forgetting, cancels_wake_who_waits,
]
