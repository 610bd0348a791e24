#!/usr/bin/env python3
"""When the service is gone, nothing that it started is left.

Usage: LIDO_BIN=PATH [LIDO_TEST_BIN=PATH] leftovers.py

`LIDO_TEST_BIN` names a program made on the `Lido` library that has a task
`spawn_grandchild(seconds)`: it starts `setsid sleep SECONDS` and returns. No built-in task starts a
process, so without it the check about grandchildren is skipped.
"""

import os
import signal
import sys
import time

from checks import Checks
from lido_process import (
    Service, binary, descendants, look_at, wait_for_state, wait_until)

PROCESSES = 2
BOUND = 1.0


def run_sleeps(http, count, seconds=600):
    """Fills the slots with sleeping jobs that run."""
    jobs = [http.submit("sleep", seconds).json["id"] for _ in range(count)]
    for job in jobs:
        if wait_for_state(http, job, "running") is None:
            raise AssertionError(f"{job} does not run")
    return jobs


def check_nothing_left(checks, what, service, bound=BOUND):
    """Within `bound` seconds no process of the service is there."""
    began = time.monotonic()
    wait_until(lambda: not service.left(), bound)
    left = service.left()
    took = time.monotonic() - began
    checks.that(f"{what}: nothing is left after {took * 1_000:.0f} ms", not left,
                f"no process within {bound} s", left)


def after_kill(checks, method):
    with Service("--processes", PROCESSES, "--start-method", method) as service:
        with service.connection() as http:
            run_sleeps(http, PROCESSES)
            http.submit("square", 1)
        processes = service.remember_processes()
        checks.that(f"{method}: it has processes (or nothing would be shown)",
                    len(processes) > PROCESSES, f"more than {PROCESSES}", processes)
        service.kill()
        check_nothing_left(checks, f"{method}: kill -9 with running jobs", service)


def after_kill_of_the_idle(checks, _):
    with Service("--processes", PROCESSES) as service:
        service.remember_processes()
        service.kill()
        check_nothing_left(checks, "kill -9 while idle", service)


def after_sigterm(checks, method):
    with Service("--processes", PROCESSES, "--start-method", method,
                 "--shutdown-grace", 1) as service:
        with service.connection() as http:
            run_sleeps(http, PROCESSES)
        service.remember_processes()
        checks.equal(f"{method}: SIGTERM with jobs that outlast the grace: exit status",
                     service.terminate(10), 0)
        check_nothing_left(checks, f"{method}: SIGTERM with running jobs", service)


def after_kill_during_snapshots(checks, _):
    """The process that writes snapshots is one of the service's, too. It is killed as soon as it
    is seen: a process beside the fork server and the workers."""
    caught = 0
    for number in range(5):
        with Service("--processes", PROCESSES, "--snapshot-interval", 0.1) as service:
            usual = len(descendants(service.pid))
            with service.connection() as http:
                for value in range(3_000):
                    http.submit("square", value)
                deadline = time.monotonic() + 2
                is_seen = False
                while not is_seen and time.monotonic() < deadline:
                    http.submit("square", 1)
                    is_seen = len(descendants(service.pid)) > usual
            service.kill()
            caught += is_seen
            check_nothing_left(checks, f"kill -9 amid snapshots, {number + 1}", service)
    checks.that(f"{caught} of 5 times a snapshot was being written", caught > 0, "at least 1",
                caught)


def after_kill_with_stopped_workers(checks, _):
    """A worker that is stopped answers no signal but SIGKILL."""
    for how in ("kill -9", "SIGTERM"):
        with Service("--processes", PROCESSES, "--shutdown-grace", 1) as service:
            with service.connection() as http:
                for job in run_sleeps(http, PROCESSES):
                    pid = http.get(f"/v1/jobs/{job}").json["worker"]["pid"]
                    service.signal_worker(pid, signal.SIGSTOP)
            service.remember_processes()
            if how == "kill -9":
                service.kill()
            else:
                checks.equal("SIGTERM with stopped workers: exit status", service.terminate(15), 0)
            check_nothing_left(checks, f"{how} with stopped workers", service)


def after_kill_during_the_start(checks, _):
    """At any moment of the start: workers that were just forked belong to it, too."""
    found = 0
    for number in range(20):
        service = Service("--processes", PROCESSES)
        service.launch()
        deadline = time.monotonic() + number * 0.002
        wait_until(lambda: time.monotonic() >= deadline, 1)
        found += len(service.remember_processes())
        service.kill()
        wait_until(lambda: not service.left(), BOUND)
        if service.left():
            checks.that(f"kill -9 {number * 2} ms after the start: nothing is left", False, [],
                        service.left())
        service.end()
    checks.that("kill -9 at 20 moments of the start: nothing is left", found > 0,
                "some processes to look at", found)


def after_the_fork_server(checks, _):
    """The fork server and then the service: the jobs' processes have no parent that is known."""
    with Service("--processes", PROCESSES) as service:
        with service.connection() as http:
            job = run_sleeps(http, PROCESSES)[0]
            worker = http.get(f"/v1/jobs/{job}").json["worker"]["pid"]
        process = look_at(worker)
        checks.that("a running job names a living worker", process is not None, "a process",
                    worker)
        service.signal_worker(process.parent, signal.SIGKILL)
        service.kill()
        check_nothing_left(checks, "kill -9 of fork server and service", service)


def kill_beside_a_stopped_fork_server(service):
    """`kill -9` of a service whose fork server stands still, so that its workers live on. The fork
    server, the job that runs, and its worker."""
    with service.connection() as http:
        job = run_sleeps(http, 1)[0]
        worker = look_at(http.get(f"/v1/jobs/{job}").json["worker"]["pid"])
    service.signal_worker(worker.parent, signal.SIGSTOP)
    service.remember_processes()
    fork_server = look_at(worker.parent)
    service.kill()
    return fork_server, job, worker


def the_next_start_waits(checks, _):
    """No job of the folder is run while what ran it before may still live."""
    with Service("--processes", PROCESSES) as service:
        fork_server, job, worker = kill_beside_a_stopped_fork_server(service)
        service.launch()
        told = wait_until(lambda: "waiting for processes" in service.log_text(), 5)
        checks.that("a start beside what a killed service left: it waits, and says for whom",
                    told and f"{fork_server.pid} (lido-forks)" in service.log_text(),
                    fork_server, service.log_text()[-300:])
        checks.equal("… the worker of before lives, and nothing is ready",
                     (worker.is_alive, os.path.exists(service.port_file)), (True, False))
        os.kill(fork_server.pid, signal.SIGCONT)
        began = time.monotonic()
        service.wait_ready()
        checks.at_most("… it goes on when they are gone", (time.monotonic() - began) * 1_000,
                       2_000, "ms")
        checks.equal("… which they are", (worker.is_alive, fork_server.is_alive), (False, False))
        with service.connection() as http:
            handle = wait_for_state(http, job, "running")
            checks.that("… and the job runs again", handle and handle["interruptions"] == 1,
                        "running, once interrupted", handle)


def the_next_start_does_not_wait_for_ever(checks, _):
    """Who must be ended is said. A second service is refused at once, as ever."""
    with Service("--processes", PROCESSES) as service:
        second = Service("--processes", 1, folder=service.folder)
        second.port_file += "-second"
        began = time.monotonic()
        second.launch()
        checks.equal("a second service on a folder: exit status", second.wait_end(5), 1)
        checks.at_most("… at once", (time.monotonic() - began) * 1_000, 1_000, "ms")
        checks.that("… says who has it", f"process {service.pid} uses this folder"
                    in second.log_text(), service.pid, second.log_text()[-300:])
        fork_server, _, worker = kill_beside_a_stopped_fork_server(service)
        began = time.monotonic()
        service.launch()
        checks.equal("a start beside a fork server that stays stopped: exit status",
                     service.wait_end(20), 1)
        took = time.monotonic() - began
        checks.that("… after ten seconds", 9 < took < 13, "10 s", f"{took:.1f} s")
        last = service.log_text().splitlines()[-1]
        checks.that("… says who must be ended", f"{fork_server.pid} (lido-forks)" in last
                    and f"{worker.pid} (lido-worker)" in last, [fork_server, worker], last)
        os.kill(fork_server.pid, signal.SIGKILL)
        service.start()
        checks.equal("… when he is, the next start works", worker.is_alive, False)


def who_outlives_all_holds_nothing(checks, task):
    """A process that a task has started lives on when service and fork server are both killed at
    once; the folder is free all the same."""
    what = f"a grandchild ({task}) that outlives service and fork server"
    if not os.environ.get("LIDO_TEST_BIN"):
        checks.skip(what, "LIDO_TEST_BIN is not set")
        return
    with Service("--processes", PROCESSES, program=binary("LIDO_TEST_BIN")) as service:
        with service.connection() as http:
            done = http.submit(task, 60, target="/v1/jobs?wait=10").json
            checks.equal(f"{what}: it was started", done["state"], "succeeded")
            fork_server, _, _ = kill_beside_a_stopped_fork_server(service)
        os.kill(fork_server.pid, signal.SIGKILL)
        grandchild = look_at(done["result"])
        began = time.monotonic()
        service.start()
        checks.that(f"{what}: it lives on", grandchild is not None and grandchild.is_alive, "alive",
                    grandchild)
        checks.at_most(f"{what}: the next start does not wait for it",
                       (time.monotonic() - began) * 1_000, 2_000, "ms")


def grandchildren(checks, how):
    """A task has started a process in a session of its own."""
    what = f"a grandchild in a session of its own, after {how}"
    if not os.environ.get("LIDO_TEST_BIN"):
        checks.skip(what, "no built-in task starts a process; LIDO_TEST_BIN is not set")
        return
    program = binary("LIDO_TEST_BIN")
    with Service("--processes", PROCESSES, "--shutdown-grace", 1, program=program) as service:
        with service.connection() as http:
            before = {process.pid for process in service.remember_processes()}
            done = http.submit("spawn_grandchild", 600, target="/v1/jobs?wait=10").json
            checks.equal(f"{what}: the task has started it", done["state"], "succeeded")
            def grandchild():
                return [p for p in service.remember_processes()
                        if p.pid not in before and p.session == p.pid and p.name == "sleep"]
            found = wait_until(grandchild, 5)
            checks.that(f"{what}: it is there", bool(found), "sleep in its own session",
                        service.remember_processes())
            run_sleeps(http, PROCESSES)
        service.remember_processes()
        if how == "kill -9":
            service.kill()
        else:
            checks.equal(f"{what}: exit status", service.terminate(15), 0)
        check_nothing_left(checks, what, service)
        for process in found or []:
            checks.that(f"{what}: it is gone", not process.is_alive, "gone", look_at(process.pid))


def main():
    checks = Checks(seconds_max=120)
    checks.run(
        (after_kill, "forkserver"), (after_kill, "spawn"), (after_kill_of_the_idle, None),
        (after_sigterm, "forkserver"), (after_sigterm, "spawn"),
        (after_kill_during_snapshots, None), (after_kill_with_stopped_workers, None),
        (after_kill_during_the_start, None), (after_the_fork_server, None),
        (the_next_start_waits, None), (the_next_start_does_not_wait_for_ever, None),
        (who_outlives_all_holds_nothing, "spawn_grandchild"),
        (who_outlives_all_holds_nothing, "fork_grandchild"),
        (grandchildren, "kill -9"), (grandchildren, "SIGTERM"))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
