#!/usr/bin/env python3
"""With `--sync always` nothing is told before it is on the disk, however slow that is.

Usage: LIDO_BIN=PATH slow_disk.py

The disk is made slow by a library that is loaded before the C library: each fdatasync takes DELAY.
"""

import sys
import time

from checks import Checks
from crowd import client_sockets, metric
from lido_process import Service, finished, wait_until
from preload import SLOW_DISK, preloaded

DELAY = 0.4


def a_submission(checks, service):
    with service.connection() as http, service.connection() as other:
        began = time.monotonic()
        http.send("POST", "/v1/jobs", b'{"task":"square","args":[3],"id":"nine"}',
                  {"Content-Type": "application/json"})
        time.sleep(DELAY / 4)
        other.send("GET", "/v1/jobs")
        checks.equal("a submission is accepted", http.receive().status, 202)
        took = time.monotonic() - began
        checks.that("… once it is on the disk", took >= DELAY, f">= {DELAY} s", took)
        checks.that("a list of then does not know how it ends",
                    all(job["ready"] is False for job in other.receive().json["jobs"]))
        finished(http, "nine")


def a_delete(checks, service):
    with service.connection() as http, service.connection() as other:
        http.send("DELETE", "/v1/jobs/nine")
        time.sleep(DELAY / 4)
        other.send("GET", "/v1/jobs/nine")
        time.sleep(DELAY / 4)
        early = other.has_answer()
        checks.equal("while a DELETE is not on the disk", http.has_answer(), False)
        checks.equal("… nobody hears of it", early, False)
        checks.equal("then the job is dropped", http.receive().status, 204)
        checks.equal("… and who asked hears that it is gone", other.receive().status, 410)


def many_at_once(checks, service):
    with service.connection() as http:
        began = time.monotonic()
        connections = [service.connection() for _ in range(20)]
        for connection in connections:
            connection.send("POST", "/v1/jobs", b'{"task":"square","args":[4]}',
                            {"Content-Type": "application/json"})
        statuses = [connection.receive().status for connection in connections]
        took = time.monotonic() - began
        checks.equal("20 submissions are accepted", statuses, [202] * 20)
        checks.at_most("… by a few syncs for all", took, 4 * DELAY, "s")
        for connection in connections:
            connection.close()
        checks.equal("the service is alive", http.get("/livez").status, 200)


def a_pool_that_is_ended_early(checks, service):
    """Its end is not on the disk when its workers are ready."""
    with service.connection() as http, service.connection() as creator:
        http.submit("square", 5)
        creator.send("POST", "/v1/pools", b'{"name":"early","processes":1}',
                     {"Content-Type": "application/json"})
        wait_until(lambda: http.get("/v1/pools/early").status == 200, 3)
        with service.connection() as other:
            other.send("POST", "/v1/jobs", b'{"task":"square","args":[6]}',
                       {"Content-Type": "application/json"})
            time.sleep(DELAY / 20)
            answer = http.request("POST", "/v1/pools/early/terminate")
            other.receive()
        checks.equal("a pool that is ended before it is there is joined",
                     (answer.status, answer.json.get("state")), (200, "joined"))
        answer = creator.receive()
        checks.equal("… and who wanted it hears so", (answer.status, answer.json.get("code")),
                     (503, "pool_not_started"))


def clients_that_leave_early(checks, service):
    """Before their job is on the disk, so before they wait for it."""
    with service.connection() as http:
        before = client_sockets(service)
        connections = [service.connection() for _ in range(20)]
        for connection in connections:
            connection.send("POST", "/v1/jobs?wait=20", b'{"task":"sleep","args":[20]}',
                            {"Content-Type": "application/json"})
        time.sleep(0.15)
        for connection in connections:
            connection.close()
        checks.that("20 clients left before their wait began: their connections are given back",
                    wait_until(lambda: client_sockets(service) <= before, 5 * DELAY), before,
                    client_sockets(service))
        checks.equal("… and nobody waits", metric(http, "lido_waiting_requests"), 0.0)


def main():
    checks = Checks(seconds_max=60)
    library = preloaded(SLOW_DISK % int(DELAY * 1e9), "slow_disk")
    if library is None:
        checks.skip("everything", "there is no C compiler")
        return 0
    with Service("--sync", "always", environment={"LD_PRELOAD": library}) as service:
        checks.run((a_submission, service), (a_delete, service), (many_at_once, service),
                   (a_pool_that_is_ended_early, service), (clients_that_leave_early, service))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
