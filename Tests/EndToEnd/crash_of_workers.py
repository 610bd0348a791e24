#!/usr/bin/env python3
"""Workers die; exactly their jobs fail, at once, and everything else goes on.

Usage: LIDO_BIN=PATH crash_of_workers.py
"""

import resource
import signal
import sys
import threading
import time

from api_checks.expectations import check_handle, seconds
from bad_times import service_with_programs
from checks import Checks
from lido_process import (
    Service, descendants, finished, look_at, wait_for_state, wait_until)

PROCESSES = 4
OTHERS = 1_000
ROUNDS = 5
EVERY = 60
BOUND_MS = 100.0
#: Argument of `crash`, code of the error, exitcode.
DEATHS = [
    ({"signal": int(signal.SIGKILL)}, "signalled", -9),
    ({"signal": int(signal.SIGSEGV)}, "signalled", -11),
    ({"exit": 3}, "exited", 3),
]


def workers(http):
    """The workers that are there."""
    listed = http.get("/v1/pools/default/workers").json["workers"]
    return [worker for worker in listed if "exitcode" not in worker]


def is_full(http):
    """Whether every slot has a living worker; their pids, or nothing."""
    pids = {worker["pid"] for worker in workers(http) if look_at(worker["pid"])}
    return pids if len(pids) == PROCESSES else None


def check_death(checks, what, handle, code, exitcode):
    """The job failed with this death and no other."""
    error = handle.get("error", {})
    check_handle(checks, f"{what}: the job failed", handle, state="failed", attempt=1)
    found = error.get("code"), error.get("exitcode"), error.get("signal")
    checks.equal(f"{what}: code, exitcode and signal", found,
                 (code, exitcode, -exitcode if exitcode < 0 else None))


class Others:
    """1,000 jobs that have nothing to do with the crashes, submitted by a thread of their own.

    Every `EVERY` jobs it starts the next of `crashes`, so that these stand in the line among them.
    """

    def __init__(self, service, crashes):
        self._service = service
        self._expected = {}
        self._crashes = list(crashes)
        self._thread = threading.Thread(target=self._submit)
        self._thread.start()

    @staticmethod
    def _job(number):
        """Task, argument and result of the job with this number."""
        kind = number % 10
        if kind < 6:
            return "square", number, number * number
        if kind < 8:
            return "echo", [number, "x" * 200], [number, "x" * 200]
        return ("burn", 5, None) if kind == 8 else ("sleep", 0.05, None)

    def _submit(self):
        with self._service.connection() as http:
            for number in range(OTHERS):
                if number % EVERY == EVERY - 1 and self._crashes:
                    self._crashes.pop(0).start()
                task, argument, _ = self._job(number)
                response = http.submit(task, argument)
                if response.status == 202:
                    self._expected[response.json["id"]] = number

    def wait(self):
        """Waits until all of them, and the crashes, are submitted."""
        self._thread.join(60)

    def check(self, checks):
        """Waits for all of them to end and judges them."""
        checks.equal("1,000 other jobs were accepted", len(self._expected), OTHERS)
        disturbed = []
        with self._service.connection() as http:
            for identifier, number in self._expected.items():
                handle = finished(http, identifier)
                task, _, result = self._job(number)
                is_right = (
                    handle["state"] == "succeeded" and handle["attempt"] == 1
                    and "interruptions" not in handle
                    and (result is None or handle["result"] == result)
                    and (task != "burn" or handle["result"] >= 5))
                if not is_right:
                    disturbed.append(handle)
        checks.that("… and all of them succeeded, at their first attempt", not disturbed, [],
                    f"{len(disturbed)}: {disturbed[:3]}")


class Crash(threading.Thread):
    """A `crash` that a client waits for, on a connection of its own."""

    def __init__(self, service, argument, code, exitcode):
        super().__init__(daemon=True)
        self._service = service
        self.death = argument, code, exitcode
        self.response = None
        self.answered = 0.0

    def run(self):
        with self._service.connection(timeout=60) as http:
            self.response = http.submit(
                "crash", self.death[0], headers={"Prefer": "wait=50"})
            self.answered = time.time()


def crashes_while_nothing_else_runs(checks, service):
    with service.connection() as http:
        for argument, code, exitcode in DEATHS:
            waited = []
            for _ in range(ROUNDS):
                wait_until(lambda: is_full(http), 10)
                began = time.monotonic()
                response = http.submit("crash", argument, headers={"Prefer": "wait=10"})
                waited.append((time.monotonic() - began) * 1_000)
            check_death(checks, f"crash({argument})", response.json, code, exitcode)
            shown = ", ".join(f"{ms:.1f}" for ms in waited)
            checks.at_most(f"crash({argument}): from POST to the answer, worst of {shown}",
                           max(waited), BOUND_MS, "ms")


def crashes_among_other_jobs(checks, service):
    with service.connection() as http:
        before = wait_until(lambda: is_full(http), 10)
        crashes = [Crash(service, *DEATHS[n % len(DEATHS)]) for n in range(ROUNDS * len(DEATHS))]
        others = Others(service, crashes)
        reported, answered = [], []
        others.wait()
        for crash in crashes:
            crash.join(60)
            argument, code, exitcode = crash.death
            handle = crash.response.json
            check_death(checks, f"crash({argument}) among others", handle, code, exitcode)
            started = seconds(handle["started_at"])
            reported.append((seconds(handle["finished_at"]) - started) * 1_000)
            answered.append((crash.answered - started) * 1_000)
        shown = ", ".join(f"{ms:.0f}" for ms in reported)
        checks.at_most(f"from started_at to finished_at, worst of {shown}", max(reported),
                       BOUND_MS, "ms")
        shown = ", ".join(f"{ms:.0f}" for ms in answered)
        checks.at_most(f"from started_at to the answer here, worst of {shown}", max(answered),
                       BOUND_MS, "ms")
        others.check(checks)
        after = wait_until(lambda: is_full(http), 10)
        checks.that("the pool is full again", after is not None, f"{PROCESSES} living workers",
                    workers(http))
        checks.that("… with none of those that died", bool(before) and len(
            (after or set()) - before) >= 1, "new pids", after)


def all_workers_die_at_once(checks, service):
    with service.connection() as http:
        doomed = [http.submit("crash", {"signal": 9}).json["id"] for _ in range(3 * PROCESSES)]
        last = http.submit("square", 11).json["id"]
        states = [finished(http, job)["error"]["exitcode"] for job in doomed]
        checks.equal("12 crashes in a row all fail", states, [-9] * len(doomed))
        checks.equal("… and the job behind them runs", finished(http, last).get("result"), 121)
        checks.that("… and the pool is full again", wait_until(lambda: is_full(http), 10),
                    f"{PROCESSES} living workers", workers(http))


def run_sleep(http, duration):
    """A sleeping job that its worker has begun, and not only been sent: a call that it never took
    up goes to another worker when it dies. The job's id and its worker's pid."""
    job = http.submit("sleep", duration).json["id"]
    wait_for_state(http, job, "running")
    time.sleep(0.1)
    return job, http.get(f"/v1/jobs/{job}").json["worker"]["pid"]


def killed_from_outside(checks, service):
    """Somebody else kills workers: one with a job, one without, all that are idle."""
    with service.connection() as http:
        wait_until(lambda: is_full(http), 10)
        job, pid = run_sleep(http, 30)
        began = time.monotonic()
        service.signal_worker(pid, signal.SIGKILL)
        handle = finished(http, job)
        took = (time.monotonic() - began) * 1_000
        check_death(checks, "kill -9 of its worker", handle, "signalled", -9)
        checks.at_most("… which is reported in time", took, BOUND_MS, "ms")
        wait_until(lambda: is_full(http), 10)
        idle = [worker["pid"] for worker in workers(http)]
        for pid in idle:
            service.signal_worker(pid, signal.SIGKILL)
        done = http.submit("square", 12, target="/v1/jobs?wait=10").json
        check_handle(checks, "a job after kill -9 of every idle worker", done, state="succeeded",
                     attempt=1, result=144)
        pids = wait_until(lambda: is_full(http), 10)
        checks.that("… and all of them are replaced", pids and not pids & set(idle),
                    f"{PROCESSES} living workers", workers(http))


def the_fork_server_dies(checks, service):
    """The server starts another; what ran is interrupted, not failed."""
    with service.connection() as http:
        job, pid = run_sleep(http, 1)
        worker = look_at(pid)
        checks.that("a running job names a living worker", worker is not None, "a process", pid)
        if worker is None:
            return
        fork_server = worker.parent
        below = {process.pid for process in descendants(service.pid)}
        checks.that("workers are children of a process below the service",
                    fork_server in below, below, fork_server)
        if fork_server not in below:
            return
        service.signal_worker(fork_server, signal.SIGKILL)
        handle = finished(http, job)
        check_handle(checks, "a job that ran when the fork server was killed", handle,
                     state="succeeded", attempt=1, interruptions=1)
        checks.equal("the service is still the same process", http.get("/v1/info").json["pid"],
                     service.pid)
        checks.that("the pool is full again", wait_until(lambda: is_full(http), 10),
                    f"{PROCESSES} living workers", workers(http))
        crashed = http.submit("crash", {"signal": 9}, target="/v1/jobs?wait=10").json
        check_death(checks, "a crash below the new fork server", crashed, "signalled", -9)
        wait_until(lambda: is_full(http), 10)
        checks.that("no worker of the old one is left", not worker.is_alive, "none", worker)


def no_fork_server_for_a_while(checks, service):
    """A machine that is short of something has no new fork server at once; it is tried again."""
    with service.connection() as http:
        wait_until(lambda: is_full(http), 10)
        job, pid = run_sleep(http, 0.5)
        fork_server = look_at(pid).parent
        before = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        service.signal_worker(fork_server, signal.SIGKILL)
        is_told = wait_until(lambda: "no fork server can be started" in service.log_text(), 5)
        checks.that("a fork server that cannot be replaced is told", is_told, "in the log",
                    service.log_text()[-300:])
        checks.equal("… and the service answers", http.get("/livez").status, 200)
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, before)
        check_handle(checks, "… and runs the job again when there is one", finished(http, job),
                     state="succeeded", interruptions=1)
        checks.that("the pool is full again", wait_until(lambda: is_full(http), 10),
                    f"{PROCESSES} living workers", workers(http))


def a_job_that_kills_the_fork_server(checks):
    """It is given up, and nobody who ran beside it is, in no pool."""
    with service_with_programs("--processes", 2) as service, service.connection() as http:
        innocent = [http.submit("sleep", 1.5).json for _ in range(2)]
        innocent.append(http.submit("shell", "sleep 1.5").json)
        for job in innocent:
            wait_for_state(http, job["id"], "running")
        guilty = http.submit("shell", "kill -9 $PPID; sleep 5").json
        check_handle(checks, "a program that kills the fork server", finished(http, guilty, 60),
                     state="failed", interruptions=2)
        checks.equal("… fails with", http.get(f"/v1/jobs/{guilty['id']}").json["error"]["code"],
                     "interrupted")
        checks.equal("… those beside it do not",
                     [finished(http, job)["state"] for job in innocent], ["succeeded"] * 3)
        lost = service.log_text().count("the fork server ended")
        checks.equal("… and it cost three fork servers", lost, 3)


def main():
    checks = Checks(seconds_max=90)
    with Service("--processes", PROCESSES) as service:
        checks.run(
            (crashes_while_nothing_else_runs, service), (crashes_among_other_jobs, service),
            (all_workers_die_at_once, service), (killed_from_outside, service),
            (the_fork_server_dies, service), (no_fork_server_for_a_while, service))
        checks.equal("the service was never started again", service.process.poll(), None)
    checks.run(a_job_that_kills_the_fork_server)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
