#!/usr/bin/env python3
"""Workers that hang, lie, flood their channel or close it: each is ended, its job fails with a code
that says so, nothing else is harmed, and the slot is filled again.

Usage: LIDO_TEST_BIN=PATH bad_workers.py

`LIDO_TEST_BIN` names Tests/ServiceTestProgram, whose tasks reach for the channel of their worker.
"""

import os
import signal
import sys
import threading
import time

from api_checks.expectations import check_handle, check_problem
from bad_times import check_idle
from checks import Checks
from lido_process import (
    Service, all_jobs, binary, configured, finished, free_port, is_listening, look_at,
    temporary_folder, wait_for_state, wait_until)

#: The number of the pipe by which a worker's answers go.
PIPE = 60
#: How long a lie may take to be found out, in milliseconds.
BOUND_MS = 1_000.0
LOST = "the worker broke the protocol"
NO_JSON = "an answer that is not JSON"
#: What a worker does, and what is said of it.
DEEDS = [
    ("random", "a frame of"), ("endless", "which it does not owe"), ("long", "a frame of"),
    ("unasked", "a frame of kind 2 out of turn"), ("hello", "a frame of kind 1 out of turn"),
    ("kind", "a frame of kind 77"), ("short", "an answer without its header"),
    ("empty", NO_JSON), ("line feed", NO_JSON), ("two lines", NO_JSON), ("no json", NO_JSON),
    ("utf8", NO_JSON), ("surrogate", NO_JSON), ("deep", NO_JSON), ("bad error", NO_JSON),
]


def service_of_tests(*flags, **keywords):
    """A service with the tasks of Tests/ServiceTestProgram."""
    return Service(*flags, program=binary("LIDO_TEST_BIN"), **keywords)


def workers(http):
    """The workers that are there, by slot."""
    listed = http.get("/v1/pools/default/workers").json["workers"]
    return {worker["slot"]: worker for worker in listed if "exitcode" not in worker}


def is_full(http, count):
    """Whether every slot has a worker that takes calls; the workers, or nothing."""
    found = [worker for worker in workers(http).values() if worker["state"] in ("idle", "busy")]
    return found if len(found) == count else None


class Calls:
    """Knows the number that the service gives to the next call of a slot (JobCore's `CallID`): a
    worker needs it to lie about its own call. Every submission of the part is made through this."""

    def __init__(self, http):
        self.http = http
        self._last = 0

    def submit(self, task, *arguments, slot=0, **members):
        """Submits a job that is dispatched at once, with the number of its call as `call` if its
        one argument is a word; answers its id and that number."""
        self._last += 1
        call = self._last << 24 | slot
        if task == "misbehave":
            arguments = ({"how": arguments[0], "call": members.pop("about", call)},)
        response = self.http.submit(task, *arguments, **members)
        if response.status != 202:
            raise AssertionError(f"{task}: {response}")
        return response.json["id"], call


def what_a_worker_can_say(checks):
    """Each deed ends one worker and one job; the other slot's job does not notice."""
    with service_of_tests("--processes", 2) as service, service.connection() as http, \
            service.connection() as waiter:
        calls = Calls(http)
        other, other_call = calls.submit("sleep", 600)
        wait_for_state(http, other, "running")
        time.sleep(0.1)
        pid = http.get(f"/v1/jobs/{other}").json["worker"]["pid"]
        busy = next(slot for slot, worker in workers(http).items() if worker["pid"] == pid)
        free = 1 - busy
        for how, words in DEEDS:
            before = wait_until(lambda: is_full(http, 2), 5)
            began = time.monotonic()
            job, _ = calls.submit("misbehave", how, slot=free)
            handle = finished(waiter, job)
            took = (time.monotonic() - began) * 1_000
            error = handle.get("error", {})
            found = error.get("code"), error.get("type"), LOST in error.get("message", "")
            checks.equal(f"{how}: the job fails and says why", found,
                         ("worker_lost", "ProtocolBroken", True))
            checks.that("… in so many words", words in error.get("message", ""), words, error)
            checks.at_most("… in time", took, BOUND_MS, "ms")
            pids = {worker["pid"] for worker in before or []}
            after = wait_until(lambda: is_full(http, 2), 5)
            checks.that("… and its slot is filled again", after and len(
                {worker["pid"] for worker in after} - pids) == 1, "one new worker", after)
        job, _ = calls.submit("misbehave", "other", slot=free, about=other_call)
        error = finished(waiter, job)["error"]
        checks.equal("an answer for another's call: the job fails", error["code"], "worker_lost")
        checks.that("… as it owed no such answer", "which it does not owe" in error["message"],
                    "which it does not owe", error)
        handle = http.get(f"/v1/jobs/{other}").json
        check_handle(checks, "the job in the other slot runs on all the time", handle,
                     state="running", attempt=1, worker={"pid": pid})
        checks.equal("the service is still the same process", service.process.poll(), None)
        known = {job["id"]: job for job in all_jobs(http) if job["id"] != other}
        http.post(f"/v1/jobs/{other}/cancel", {"grace": 0})
        checks.equal("… and can be cancelled", finished(http, other)["state"], "cancelled")
        # Nothing of it all is in the journal.
        service.kill()
        service.start()
        with service.connection() as again:
            after = {job["id"]: job for job in all_jobs(again) if job["id"] != other}
            checks.that("after kill -9 and a start every handle reads the same", after == known,
                        "the same", "another")


def answers_twice(checks):
    """The first answer counts, the second ends the worker."""
    with service_of_tests("--processes", 1) as service, service.connection() as http:
        calls = Calls(http)
        before = workers(http)[0]["pid"]
        job, _ = calls.submit("misbehave", "twice")
        check_handle(checks, "an answer that comes twice counts once", finished(http, job),
                     state="succeeded", result=1)
        checks.that("… and ends its worker",
                    wait_until(lambda: is_full(http, 1) and workers(http)[0]["pid"] != before, 5),
                    "another worker", workers(http))
        job, _ = calls.submit("sleep", 0)
        checks.equal("… whose slot works on", finished(http, job)["state"], "succeeded")


def write(path, text):
    """Replaces the file that tells new workers what to do."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


#: What a task may do to the socket by which calls come and the pipe by which answers go, and
#: whether its worker can still answer then.
REACHES = [("half-close calls", True), ("close calls", True), ("close answers", False),
           ("close all", False)]


def works(checks, http, service, count=1):
    """Slots are filled again; calls arrive, also those that a socket does not take at once."""
    checks.that("… and its slot is filled again", wait_until(lambda: is_full(http, count), 5),
                count, workers(http))
    text = "x" * 300_000
    handle = finished(http, http.submit("bad_text", f'"{text}"').json)
    check_handle(checks, "… whose worker gets a long call", handle, state="succeeded", attempt=1)
    check_idle(checks, "… and nobody spins", [service.pid], 0.3)


def closes_its_channel_and_goes_on(checks):
    """A worker that can't be reached any more is not waited for; others' calls are not given to
    it."""
    count = len(REACHES)
    with service_of_tests("--processes", count) as service, service.connection() as http:
        wait_until(lambda: is_full(http, count), 5)
        began = time.monotonic()
        jobs = [http.submit("misbehave", {"how": how, "call": 0}).json["id"] for how, _ in REACHES]
        for job in jobs:
            wait_for_state(http, job, "running")
        other = http.submit("sleep", 0).json["id"]
        for (how, _), job in zip(REACHES, jobs):
            error = finished(http, job)["error"]
            checks.equal(f"{how}, and go on: the job fails",
                         (error["code"], "closed its channel and went on" in error["message"]),
                         ("worker_lost", True))
        took = (time.monotonic() - began) * 1_000
        checks.at_most("… in time", took, 3_500, "ms")
        check_handle(checks, "… and the next job runs", finished(http, other), state="succeeded",
                     attempt=1)
        works(checks, http, service, count)


def closes_its_channel_and_returns(checks):
    """An answer that arrives counts. The worker ends, and nothing is left of it."""
    with service_of_tests("--processes", 1) as service, service.connection() as http:
        for how, can_answer in REACHES:
            before = is_full(http, 1)[0]["pid"]
            job = http.submit("misbehave", {"how": f"and return: {how}", "call": 0}).json["id"]
            handle = finished(http, job)
            found = handle["state"], handle.get("error", {}).get("code")
            checks.equal(f"{how}, and return", found, ("succeeded", None) if can_answer else (
                "failed", "exited"))
            works(checks, http, service)
            checks.that("… by another", look_at(before) is None, None, before)


def closes_its_channel_between_calls(checks):
    """It is noticed before there is another call, and costs none."""
    with service_of_tests("--processes", 1) as service, service.connection() as http:
        for how, _ in REACHES:
            before = is_full(http, 1)[0]["pid"]
            job = http.submit("misbehave", {"how": f"at a signal: {how}", "call": 0}).json["id"]
            checks.equal(f"{how}, between two calls", finished(http, job)["state"], "succeeded")
            os.kill(before, signal.SIGUSR1)
            checks.that("… ends the worker", wait_until(lambda: look_at(before) is None, 3), None,
                        before)
            works(checks, http, service)


def replaces_its_channel(checks):
    """What a task opens under the numbers of the channel gets none of what is for that."""
    path = os.path.join(temporary_folder(), "own")
    write(path, "mine")
    with service_of_tests("--processes", 1, environment={"E2E_FILE": path}) as service, \
            service.connection() as http:
        job = http.submit("misbehave", {"how": "replace all", "call": 0}).json["id"]
        error = finished(http, job)["error"]
        checks.equal("a task's own files in place of the channel: its job fails", error["code"],
                     "exited")
        with open(path, encoding="utf-8") as file:
            checks.equal("… and its file is as it was", file.read(), "mine")
        works(checks, http, service)


def leaves_its_channel_to_another(checks):
    """A worker is gone when it has ended, whoever holds the other ends of its channel."""
    with service_of_tests("--processes", 1) as service, service.connection() as http:
        grandchild = finished(http, http.submit("fork_grandchild", 600).json)["result"]
        before = is_full(http, 1)[0]["pid"]
        with open(f"/proc/{before}/fd/{PIPE}", "wb"):
            os.kill(before, signal.SIGKILL)
            checks.that("a killed worker whose channel others hold is gone",
                        wait_until(lambda: look_at(before) is None, 3), None, before)
            works(checks, http, service)
        checks.that("… and what it had forked", wait_until(
            lambda: look_at(grandchild) is None, 3), None, grandchild)


def scribbles_over_its_claims(checks):
    """The page that a worker shares with the server cannot keep it alive."""
    with service_of_tests("--processes", 1) as service, service.connection() as http:
        calls = Calls(http)
        for what, members in (("cancelled", {}), ("timed_out", {"timeout": 0.3})):
            wait_until(lambda: is_full(http, 1), 5)
            job, _ = calls.submit("misbehave", "claims", **members)
            wait_for_state(http, job, "running")
            time.sleep(0.2)
            began = time.monotonic()
            if what == "cancelled":
                http.post(f"/v1/jobs/{job}/cancel", {"grace": 0.1})
            handle = finished(http, job)
            checks.equal(f"a call with claims that never were can be ended: {what}",
                         handle.get("error", {}).get("code", handle["state"]), what)
            checks.at_most("… in time", (time.monotonic() - began) * 1_000, BOUND_MS, "ms")


def hangs_in_a_call(checks):
    """Neither a time limit nor a cancel depends on what a worker wants."""
    with service_of_tests("--processes", 2) as service, service.connection() as http:
        wait_until(lambda: is_full(http, 2), 5)
        began = time.monotonic()
        job = http.submit("stubborn", timeout=0.2).json
        checks.equal("a call that hangs, deaf to SIGTERM, times out",
                     finished(http, job)["error"]["code"], "timed_out")
        checks.at_most("… after its limit and the second of grace",
                       (time.monotonic() - began) * 1_000, 2_200, "ms")
        job = http.submit("stubborn").json["id"]
        wait_for_state(http, job, "running")
        time.sleep(0.1)
        began = time.monotonic()
        http.post(f"/v1/jobs/{job}/cancel", {"grace": 0.2})
        checks.equal("… is cancelled", finished(http, job)["state"], "cancelled")
        checks.at_most("… after the grace", (time.monotonic() - began) * 1_000, 1_200, "ms")
        checks.that("… and both slots are filled again", wait_until(lambda: is_full(http, 2), 5), 2,
                    workers(http))


def honest_tasks_that_fail(checks):
    """What a worker finds wrong with a task's result, it says, and lives on."""
    with service_of_tests("--processes", 1) as service, service.connection() as http:
        pid = workers(http)[0]["pid"]
        for what, text in (
                ("no JSON", "49}}"), ("nothing", ""), ("a lone surrogate", '"\\ud800"'),
                ("two values", "1\n2"), ("too deep", "[" * 1_000 + "]" * 1_000)):
            handle = finished(http, http.submit("bad_text", text).json)
            checks.equal(f"a result that is {what}", handle.get("error", {}).get("code"),
                         "result_encoding")
        handle = finished(http, http.submit("bad_text", ' [1,\n  "a b"] ').json)
        checks.equal("one with white space is minified",
                     http.get(handle["result_url"]).body, b'[1,"a b"]')
        handle = finished(http, http.submit("text", 9 << 20).json)
        checks.equal("one beyond the limit", handle["error"]["code"], "output_limit")
        handle = finished(http, http.submit("text", (8 << 20) - 2).json)
        checks.equal("one as large as may be", handle["state"], "succeeded")
        error = finished(http, http.submit("raise", 20 << 20).json)["error"]
        checks.that("the text of an error is cut, with a mark",
                    error["code"] == "raised" and len(error["message"]) < 70_000
                    and error["message"].endswith("bytes left out ...]"), "64 KiB", len(
                        error["message"]))
        checks.equal("… and it is the same worker all the time", workers(http)[0]["pid"], pid)


def dies_before_it_is_ready(checks):
    """A pool that can have no workers breaks; its jobs fail, and the reason is told everywhere."""
    for how, words in (("exit", "exited with code 3"), ("version", "protocol version 99"),
                       ("ready", "out of turn")):
        path = os.path.join(temporary_folder(), "worker")
        write(path, "live\n")
        with service_of_tests("--processes", 1, "--start-method", "spawn",
                              environment={"E2E_WORKER": path}) as service, \
                service.connection() as http:
            job = http.submit("sleep", 600).json["id"]
            waiting = http.submit("sleep", 0).json["id"]
            wait_for_state(http, job, "running")
            time.sleep(0.1)
            write(path, how + "\n")
            http.post(f"/v1/jobs/{job}/cancel", {"grace": 0})
            began = time.monotonic()
            error = finished(http, waiting).get("error", {})
            checks.equal(f"workers that {how}: a waiting job fails when the pool breaks",
                         error.get("code"), "initializer_failed")
            checks.that("… with the reason", words in error.get("message", ""), words, error)
            checks.at_most("… in time", (time.monotonic() - began) * 1_000, 3_000, "ms")
            refused = http.submit("sleep", 0)
            check_problem(checks, "… later ones are refused", refused, 409, "pool_not_running",
                          mentions=[words])
            pool = http.get("/v1/pools/default").json
            checks.equal("… and the pool says so", (pool["state"], words in pool["reason"]),
                         ("broken", True))
            checks.that("… and the log", "the pool broke" in service.log_text(), "in the log",
                        service.log_text()[-300:])


# What takes ten seconds goes on while the rest is done


class Waiting:
    """Workers that are given ten seconds: they are begun first and judged last."""

    def __init__(self):
        self._path = os.path.join(temporary_folder(), "worker")
        write(self._path, "hang\n")
        self.began = time.monotonic()
        self._port = free_port()
        self.silent = service_of_tests(
            "--processes", 1, "--start-method", "spawn", port=self._port,
            environment={"E2E_WORKER": self._path}).launch()
        self._gave_up_after = None
        self._thread = threading.Thread(target=self._let_live, daemon=True)
        self._thread.start()
        self.deaf = service_of_tests("--processes", 1).start()
        self._http = self.deaf.connection(30)
        calls = Calls(self._http)
        self._first, _ = calls.submit("misbehave", "deaf")
        self._first_handle = finished(self._http, self._first)
        self._second, _ = calls.submit("sleep", 0)
        self._pid = workers(self._http)[0]["pid"]

    def _let_live(self):
        """Lets the next worker live: the third that does not would break the pool."""
        if wait_until(lambda: "did not say hello in time" in self.silent.log_text(), 25):
            self._gave_up_after = time.monotonic() - self.began
        write(self._path, "live\n")

    def does_not_say_hello(self, checks):
        """It is killed after ten seconds, and the next one may be better."""
        self._thread.join(20)
        took = self._gave_up_after
        checks.that("a worker that never says hello is given up", took and 9 < took < 15,
                    "after 10 s", f"{took}: {self.silent.log_text()[-300:]}")
        self.silent.wait_ready(10)
        with self.silent.connection() as http:
            checks.equal("… and the service is ready with the next",
                         finished(http, http.submit("sleep", 0).json)["state"], "succeeded")
        checks.that("… and tells that, too",
                    "processes can be started again" in self.silent.log_text(), "in the log",
                    self.silent.log_text()[-300:])

    def does_not_read(self, checks):
        """A call that its worker leaves lying goes to another."""
        check_handle(checks, "a worker that answers and reads no more: its job is done",
                     self._first_handle, state="succeeded")
        handle = finished(self._http, self._second)
        check_handle(checks, "… and the next one goes to another worker, uncounted", handle,
                     state="succeeded", attempt=1)
        checks.that("… as that one is gone", look_at(self._pid) is None, None, self._pid)
        self._http.close()


def initializer_hangs(checks):
    """A worker whose initializer takes too long is given up, and who waits for it hears so."""
    settings = "pools: { default: { processes: 1, ready_timeout: 0.3 } }"
    ours = binary("LIDO_TEST_BIN")
    with configured(settings, program=ours) as service, service.connection() as http:
        stuck = {"name": "stuck", "initializer": "sleep", "initargs": [100]}
        answer = http.post("/v1/pools", stuck)
        check_problem(checks, "an initializer that does not end", answer, 503, "pool_not_started")
        checks.that("… the answer says what it was", "was not ready in time" in answer.text,
                    "words", answer.text)
        answer = http.post("/v1/pools", {**stuck, "initargs": [0]})
        checks.equal("… one that ends is waited for", answer.status, 201)


def initializer_takes_a_while(checks):
    """Who names no pool waits for a worker of `default` that is ready, and overtakes nobody."""
    settings = "pools: { default: { processes: 1, initializer: sleep, initargs: [1] } }"
    service = configured(settings, program=binary("LIDO_TEST_BIN"))
    service.wanted_port = service.port = free_port()
    service.launch()
    wait_until(lambda: is_listening(service), 10)
    with service.connection() as first, service.connection() as second, \
            service.connection() as http:
        job = b'{"task":"sleep","args":[0.05]}'
        first.send("POST", "/v1/jobs?wait=9", job, {"content-type": "application/json"})
        # The worker has said hello.
        wait_until(lambda: "sleep" in http.get("/v1/tasks").text, 5)
        second.send("POST", "/v1/jobs?wait=9", job, {"content-type": "application/json"})
        checks.equal("the service is not ready yet", http.get("/readyz").status, 503)
        checks.equal("who comes after its hello waits as who came before",
                     (first.has_answer(), second.has_answer()), (False, False))
        ended = [connection.receive().json for connection in (first, second)]
        checks.equal("both run once it is ready", [job["state"] for job in ended],
                     ["succeeded"] * 2)
        ends = [job["finished_at"] for job in ended]
        checks.equal("… in their order", ends, sorted(ends))
    service.end()


def main():
    checks = Checks(seconds_max=60)
    if not os.environ.get("LIDO_TEST_BIN"):
        checks.skip("workers that misbehave", "LIDO_TEST_BIN is not set")
        checks.that("nothing to be done without it", True)
        return checks.finish()
    waiting = Waiting()
    checks.run(
        what_a_worker_can_say, answers_twice, closes_its_channel_and_goes_on,
        closes_its_channel_and_returns, closes_its_channel_between_calls, replaces_its_channel,
        leaves_its_channel_to_another, scribbles_over_its_claims, hangs_in_a_call,
        honest_tasks_that_fail, dies_before_it_is_ready, initializer_hangs,
        initializer_takes_a_while, waiting.does_not_say_hello, waiting.does_not_read)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
