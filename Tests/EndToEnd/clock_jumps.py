#!/usr/bin/env python3
"""The wall clock is set forward and back by a day while the service works, and while it is down.

Usage: LIDO_BIN=PATH clock_jumps.py

The clock of this machine is left alone: a library that is loaded before the C library adds what a
file says to what the service and its workers read. Without a C compiler all is skipped.
"""

import mmap
import os
import struct
import sys
import time

from api_checks.expectations import check_handle, faults_of_handle, seconds
from checks import Checks
from lido_process import Service, all_jobs, finished, temporary_folder, wait_for_state
from preload import WALL_CLOCK, preloaded

DAY = 86_400


class WallClock:
    """The wall clock of a service, as this script sets it."""

    def __init__(self):
        path = os.path.join(temporary_folder(), "clock")
        with open(path, "wb") as file:
            file.write(bytes(4096))
        # pylint: disable=consider-using-with
        self._file = open(path, "r+b")
        self._page = mmap.mmap(self._file.fileno(), 4096)
        library = preloaded(WALL_CLOCK, "wall-clock")
        self.environment = library and {"LD_PRELOAD": library, "E2E_CLOCK": path}
        self.offset = 0

    def jump(self, by):
        """Sets it forward, or back."""
        self.offset += by
        self._page[:8] = struct.pack("=q", self.offset)

    def now(self):
        """What it shows."""
        return time.time() + self.offset


def check_times(checks, what, job, clock):
    """A job of just now has the moments of this clock, in their order."""
    checks.equal(f"{what}: its handle", faults_of_handle(job), [])
    off = abs(seconds(job["created_at"]) - clock.now())
    checks.that(f"{what}: created_at is what the clock shows", off < 10, "now", f"{off:.0f} s off")


def jumps(checks, clock, by, service):
    """What is under way when the clock is set, and what comes then. How many jobs there are."""
    name = "forward" if by > 0 else "back"
    with service.connection() as http, service.connection() as waiter:
        before = [finished(http, http.submit("square", n, id=f"before-{n}").json)
                  for n in range(20)]
        tag = http.get("/v1/jobs/before-3").get("etag")
        http.submit("sleep", 1.5, id="running")
        http.submit("sleep", 60, id="limited", timeout=1.5)
        http.submit("fail", "x", id="retried", max_attempts=2)
        wait_for_state(http, "retried", "scheduled")
        wait_for_state(http, "limited", "running")
        waiter.send("GET", "/v1/jobs/running?wait=20")
        began = time.monotonic()
        clock.jump(by)
        # The loop reads the clock once a turn, and a turn may be under way.
        http.get("/livez")
        after = finished(http, http.submit("square", 99, id="after").json)
        check_times(checks, f"a day {name}: a job that comes then", after, clock)
        check_handle(checks, "… who waits is told", waiter.receive().json, state="succeeded")
        took = time.monotonic() - began
        checks.that("… when the job ends", 0.5 < took < 4, "1.5 s", f"{took:.1f} s")
        check_handle(checks, "… a time limit ends its job", finished(http, "limited"),
                     state="failed")
        took = time.monotonic() - began
        checks.that("… after its time", took < 5, "1.5 s", f"{took:.1f} s")
        retried = finished(http, "retried", 15)
        check_handle(checks, "… a retry comes", retried, state="failed", attempt=2)
        took = time.monotonic() - began
        checks.that("… after its wait", took < 8, "some seconds", f"{took:.1f} s")
        jobs = {job["id"]: job for job in all_jobs(http)}
        faults = [(i, faults_of_handle(job)) for i, job in jobs.items() if faults_of_handle(job)]
        checks.equal("… the moments of every job are in order", faults, [])
        checks.equal("… nothing is dropped, and nothing has changed",
                     [jobs.get(job["id"]) for job in before], before)
        order = [job["id"] for job in all_jobs(http)]
        checks.equal("… the list has the newest first", (order[0], order[-1]),
                     ("after", "before-0"))
        same = http.get("/v1/jobs/before-3", If_None_Match=tag)
        checks.equal("… the ETag is the same", same.get("etag"), tag)
        burst = http.post("/v1/jobs?wait=5", [{"task": "square", "args": [n]} for n in range(50)])
        checks.equal("… ids are unique", len({j["id"] for j in burst.json["jobs"]}), 50)
        checks.equal("… /readyz and /metrics answer", [
            http.get(path).status for path in ("/readyz", "/metrics")], [200, 200])
        return len(all_jobs(http))


def jumps_while_it_works(checks, clock, by):
    """Nothing waits longer, or shorter; nothing is dropped; what was told stays."""
    service = Service("--processes", 3, "--snapshot-interval", 1, "--retention-age", 3600,
                      environment=clock.environment)
    with service:
        count = jumps(checks, clock, by, service)
        service.kill()
        service.start()
        with service.connection() as http:
            if by < 0:
                checks.equal("… after kill -9 and a start all of it is there", len(all_jobs(http)),
                             count)
            done = http.submit("square", 5, target="/v1/jobs?wait=5")
            checks.equal("… the next start works", done.json.get("result"), 25)
            clock.jump(-by)
            done = http.submit("square", 6, target="/v1/jobs?wait=5")
            checks.equal("… also when the clock is right again", done.json.get("result"), 36)
            checks.equal("SIGTERM: exit status", service.terminate(10), 0)


def dropped_when_it_is_time(checks, clock):
    """A jump does not keep a job for ever either: after its age it goes."""
    service = Service("--processes", 1, "--retention-age", 3, environment=clock.environment)
    with service, service.connection() as http:
        finished(http, http.submit("square", 7, id="old").json)
        ended = time.monotonic()
        clock.jump(DAY)
        finished(http, http.submit("square", 8, id="young").json)
        checks.equal("retention by age: a jump forward drops nothing",
                     http.get("/v1/jobs/old").status, 200)
        while time.monotonic() < ended + 10 and http.get("/v1/jobs/old").status == 200:
            time.sleep(0.05)
        took = time.monotonic() - ended
        checks.that("… its age does", 2.5 < took < 4.5, "3 s", f"{took:.1f} s")
        checks.equal("… and it is gone", http.get("/v1/jobs/old").status, 410)
        clock.jump(-DAY)


def set_back_while_it_is_down(checks, clock):
    """A retry that waits does not wait for a day."""
    service = Service("--processes", 1, environment=clock.environment)
    with service:
        with service.connection() as http:
            http.submit("fail", "x", id="retried", max_attempts=2)
            wait_for_state(http, "retried", "scheduled")
        service.kill()
        clock.jump(-DAY)
        service.start()
        began = time.monotonic()
        with service.connection() as http:
            handle = http.get("/v1/jobs/retried?wait=15").json
            checks.that("set back while the service is down: a retry comes all the same",
                        handle["state"] == "failed" and handle["attempt"] == 2, "failed", handle)
            checks.at_most("… after its wait", (time.monotonic() - began) * 1_000, 5_000, "ms")
            checks.equal("… its handle is in order", faults_of_handle(handle), [])
        clock.jump(DAY)


def main():
    checks = Checks(seconds_max=100)
    clock = WallClock()
    if not clock.environment:
        checks.skip("a wall clock that jumps", "no C compiler")
        checks.passed += 1  # Nothing failed.
        return checks.finish()
    checks.run((jumps_while_it_works, clock, DAY), (jumps_while_it_works, clock, -DAY),
               (dropped_when_it_is_time, clock), (set_back_while_it_is_down, clock))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
