#!/usr/bin/env python3
"""SIGTERM, SIGINT and SIGHUP: what runs finishes within the grace, the rest runs after a start.

Usage: LIDO_BIN=PATH shutdown.py
"""

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from api_checks.expectations import check_handle, check_problem, check_retry_after, seconds
from checks import Checks
from lido_process import (
    Broken, Service, clean_environment, finished, wait_for_state, wait_until)


def refuses(http):
    """The answer to a submission once the service drains, or nothing yet."""
    response = http.submit("square", 1)
    return response if response.status == 503 else None


def check_files(checks, service):
    """Port file, journal and snapshot as a shutdown leaves them."""
    checks.that("the port file is removed", not os.path.exists(service.port_file), "no file",
                service.port_file)
    snapshots = glob.glob(os.path.join(service.data, "snapshot-*.json"))
    journals = sorted(glob.glob(os.path.join(service.data, "journal-*.jsonl")))
    checks.that("a snapshot is there", len(snapshots) >= 1, "snapshot-*.json",
                os.listdir(service.data))
    for path in snapshots + journals:
        name = os.path.basename(path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        texts = text.split("\n") if path in journals else [text]
        try:
            values = [json.loads(part) for part in texts if part]
            fault = None if text == "" or text.endswith("\n") else "no line feed at the end"
        except ValueError as error:
            values, fault = [], str(error)
        how = "JSON, a value a line" if path in journals else "JSON"
        checks.that(f"{name} is {how} ({len(values)})", fault is None, "JSON", fault)
        if shutil.which("jq"):
            run = subprocess.run(
                ["jq", "-c", ".", path], capture_output=True, timeout=30, check=False)
            checks.equal(f"… and jq reads {name}", (run.returncode, run.stderr), (0, b""))
        else:
            checks.skip(f"jq reads {name}", "jq is not installed")


def drain(checks, number):
    name = signal.Signals(number).name
    service = Service("--processes", 1, "--shutdown-grace", 8)
    with service:
        with service.connection() as http, service.connection() as other:
            running = http.submit("sleep", 1.5).json["id"]
            wait_for_state(http, running, "running")
            queued = [http.submit("square", n).json["id"] for n in range(20)]
            done = http.get(f"/v1/jobs/{running}").json
            other.send("GET", f"/v1/jobs/{running}/result?wait=10")
            service.remember_processes()
            began = time.monotonic()
            service.signal(number)
            refused = wait_until(lambda: refuses(http), 1)
            checks.that(f"{name}: no new job is taken", bool(refused), 503, "202 for 1 s")
            if refused:
                check_problem(checks, "… but answered so", refused, 503, "draining")
                check_retry_after(checks, "… which", refused)
            try:
                checks.equal("/readyz says that it is not ready", http.get("/readyz").status, 503)
                checks.equal("/livez says that it lives", http.get("/livez").status, 200)
                checks.equal("handles still answer", http.get(f"/v1/jobs/{queued[0]}").status, 200)
                waited = other.receive()
                checks.equal("who waits for the running job gets its result", waited.status, 200)
            except Broken as error:
                checks.that("it answers while it drains", False, "answers", str(error))
        status = service.wait_end(10)
        took = time.monotonic() - began
        checks.equal("it ends with status 0", status, 0)
        checks.that("… when the running job has ended", 0.5 <= took <= 4, "about 1.5 s",
                    f"{took:.1f} s")
        checks.that("… and leaves no process", wait_until(lambda: not service.left(), 1), [],
                    service.left())
        check_files(checks, service)
        stopped = time.time()
        service.start()
        with service.connection() as http:
            handle = http.get(f"/v1/jobs/{running}").json
            check_handle(checks, "after the next start the running job's result is there", handle,
                         state="succeeded", attempt=1, started_at=done["started_at"])
            results = [finished(http, job) for job in queued]
            checks.equal("the queued jobs run then", [job.get("result") for job in results],
                         [n * n for n in range(20)])
            early = [job for job in results if seconds(job["started_at"]) < stopped]
            checks.that("… and none of them before", not early, [], early[:2])


def a_hangup_that_nohup_ignores(checks):
    """nohup(1) ignores SIGHUP before it starts a program, which is to stay so."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        service = Service("--processes", 1).launch()
    finally:
        signal.signal(signal.SIGHUP, before)
    with service.wait_ready().connection() as http:
        service.signal(signal.SIGHUP)
        done = finished(http, http.submit("square", 3).json)
        checks.equal("under nohup a SIGHUP changes nothing", done.get("result"), 9)
        checks.that("… and is not told", "SIGHUP" not in service.log_text(), "no line",
                    service.log_text())
    checks.equal("… SIGTERM still drains", service.terminate(), 0)


def longer_than_the_grace(checks):
    service = Service("--processes", 2, "--shutdown-grace", 0.5)
    with service:
        with service.connection() as http:
            long = http.submit("sleep", 3).json["id"]
            once = http.submit("sleep", 3, on_interrupt="fail").json["id"]
            for job in (long, once):
                wait_for_state(http, job, "running")
        began = time.monotonic()
        checks.equal("a job longer than the grace: exit status", service.terminate(10), 0)
        took = time.monotonic() - began
        checks.that("… after the grace", 0.4 <= took <= 2.5, "0.5 s", f"{took:.1f} s")
        stopped = time.time()
        service.start()
        with service.connection() as http:
            handle = finished(http, long)
            check_handle(checks, "it runs again after the next start, not as a further attempt",
                         handle, state="succeeded", attempt=1)
            checks.equal("… and not as cut off by a crash", handle.get("interruptions", 0), 0)
            checks.that("… from its beginning", seconds(handle["started_at"]) >= stopped,
                        f"after {stopped}", handle)
            handle = http.get(f"/v1/jobs/{once}").json
            check_handle(checks, "with on_interrupt fail it has failed", handle, state="failed")
            checks.equal("… as interrupted", handle.get("error", {}).get("code"), "interrupted")


def a_second_signal(checks, first, second):
    names = f"{signal.Signals(first).name}, {signal.Signals(second).name}"
    service = Service("--processes", 1, "--shutdown-grace", 30)
    with service:
        with service.connection() as http:
            job = http.submit("sleep", 20).json["id"]
            wait_for_state(http, job, "running")
            service.remember_processes()
            service.signal(first)
            checks.that(f"{names}: the first drains", bool(wait_until(lambda: refuses(http), 2)),
                        503, "202")
        checks.equal("… and waits for the running job", service.wait_end(0.5), None)
        began = time.monotonic()
        service.signal(second)
        status = service.wait_end(5)
        took = time.monotonic() - began
        checks.that("the second ends it at once", status is not None and took < 1, "within 1 s",
                    f"{took:.2f} s, status {status}")
        checks.note(f"exit status {status}")
        checks.that("… with all its processes", wait_until(lambda: not service.left(), 1), [],
                    service.left())
        service.start()
        with service.connection() as http:
            handle = wait_for_state(http, job, "running")
            checks.that("the job runs again after the next start", handle is not None, "running",
                        http.get(f"/v1/jobs/{job}"))
            http.post(f"/v1/jobs/{job}/cancel", {"grace": 0})
            finished(http, job)


def signals_to_the_group(checks, number):
    """Ctrl-C in a terminal, or a supervisor that signals the group: workers are not in it, and
    what reaches the service twice is one wish."""
    name = signal.Signals(number).name
    for method in ("forkserver", "spawn"):
        service = Service("--processes", 2, "--start-method", method)
        try:
            service.launch(leads_session=True).wait_ready()
            with service.connection() as http, service.connection() as other:
                jobs = [http.submit("sleep", 1).json["id"] for _ in range(2)]
                for job in jobs:
                    wait_for_state(http, job, "running")
                other.send("GET", f"/v1/jobs/{jobs[1]}?wait=10")
                service.remember_processes()
                os.killpg(service.pid, number)
                # The other one, as two pending signals of one number are one (man 7 signal).
                service.signal(signal.SIGTERM if number == signal.SIGINT else signal.SIGINT)
                checks.equal(f"{name} to the group of a service with {method}, and another to the "
                             "process at once: the running job ends well",
                             other.receive().json["state"], "succeeded")
            checks.equal("… and so does the service", service.wait_end(5), 0)
            checks.equal("… with nothing left", service.left(), [])
            service.start()
            with service.connection() as http:
                checks.equal("… and both results are kept",
                             [http.get(f"/v1/jobs/{job}/result").status for job in jobs], [200] * 2)
        finally:
            service.end()


def a_pool_that_is_configured_no_more(checks):
    """Its jobs wait, the log says so, and they can be cancelled."""
    service = Service()
    config = os.path.join(service.folder, "lido.yaml")
    with open(config, "w", encoding="utf-8") as file:
        file.write("pools: {default: {processes: 1}, old: {processes: 1}}\n")
    try:
        service.start("--config", config)
        with service.connection() as http:
            jobs = [http.submit("sleep", 20, pool="old").json["id"] for _ in range(3)]
            wait_for_state(http, jobs[0], "running")
        service.kill()
        service.start("--processes", "1")
        checks.that("jobs of a pool that is configured no more are warned of",
                    "pool=old" in service.log_text() and "jobs=3" in service.log_text(),
                    "pool=old jobs=3", service.log_text()[-500:])
        with service.connection() as http:
            states = [http.get(f"/v1/jobs/{job}").json["state"] for job in jobs]
            checks.equal("… they wait", states, ["queued"] * 3)
            response = http.post(f"/v1/jobs/{jobs[0]}/cancel", {})
            checks.equal("… and can be cancelled", (response.status, response.json["state"]),
                         (202, "cancelled"))
            checks.equal("… and the service goes on", http.submit(
                "square", 3, target="/v1/jobs?wait=5").json.get("result"), 9)
        checks.equal("… and drains past them", service.terminate(), 0)
    finally:
        service.end()


def while_idle(checks):
    service = Service()
    with service:
        with service.connection() as http:
            http.submit("square", 1, target="/v1/jobs?wait=5")
            began = time.monotonic()
            checks.equal("SIGTERM while idle: exit status", service.terminate(10), 0)
        checks.at_most("… at once, though a client stays connected",
                       (time.monotonic() - began) * 1_000, 1_000, "ms")
        check_files(checks, service)


def clients_that_wait(checks):
    """Who waits for a job that will not run before the end is answered, not cut off."""
    service = Service("--processes", 1, "--shutdown-grace", 1)
    with service:
        with service.connection() as http:
            long = http.submit("sleep", 20).json["id"]
            wait_for_state(http, long, "running")
            queued = http.submit("square", 3).json["id"]
            waiting = []
            for job in (queued, long):
                connection = service.connection()
                connection.send("GET", f"/v1/jobs/{job}?wait=30")
                waiting.append(connection)
            http.get("/livez")
            service.signal(signal.SIGTERM)
            for what, connection in zip(("a queued job", "a running job"), waiting):
                try:
                    response = connection.receive()
                    checks.member(f"who waits for {what} is answered before the end",
                                  response.status, {200, 503})
                except Broken as error:
                    checks.that(f"who waits for {what} is answered before the end", False,
                                "an answer", str(error))
        checks.equal("… and the service ends", service.wait_end(10), 0)


def second_server(checks):
    with Service("--processes", 1) as service:
        intruder = Service(folder=service.folder)
        # Not the port file, which is another's.
        began = time.monotonic()
        run = subprocess.run(
            [intruder.program, "serve", "--listen", "127.0.0.1:0", "--data", service.data],
            capture_output=True, text=True, timeout=10, check=False,
            env={**clean_environment(), "E2E_MARK": intruder.mark})
        took = time.monotonic() - began
        checks.that("a second server on the same folder is refused", run.returncode > 0,
                    "a status above 0", run)
        checks.that("… at once", took < 2, "< 2 s", f"{took:.1f} s")
        checks.that("… with a message that names the folder", service.data in run.stderr,
                    service.data, run.stderr)
        checks.that("… and says why", any(word in run.stderr.lower() for word in (
            "in use", "another", "lock")), "in use / another / lock", run.stderr)
        checks.equal("… in a line or two", run.stderr.count("\n") <= 3, True)
        checks.that("… and leaves no process", wait_until(lambda: not intruder.left(), 1), [],
                    intruder.left())
        with service.connection() as http:
            checks.equal("the first is undisturbed", http.submit(
                "square", 5, target="/v1/jobs?wait=5").json.get("result"), 25)


def damage(checks):
    """A torn end is dropped with a note; damage in the middle stops the start and says where."""
    service = Service("--processes", 1)
    with service:
        with service.connection() as http:
            for number in range(5):
                http.submit("square", number, id=f"job-{number}", target="/v1/jobs?wait=5")
        service.kill()
        journal = sorted(glob.glob(os.path.join(service.data, "journal-*.jsonl")))[-1]
        with open(journal, "ab") as file:
            file.write(b'{"torn":')
        service.start()
        with service.connection() as http:
            found = [http.get(f"/v1/jobs/job-{n}/result").body for n in range(5)]
        checks.equal("a torn last line loses nothing else", found, [b"0", b"1", b"4", b"9", b"16"])
        service.kill()
        journals = sorted(glob.glob(os.path.join(service.data, "journal-*.jsonl")))
        journal = next(j for j in journals if os.path.getsize(j) > 1_000)
        with open(journal, "r+b") as file:
            lines = file.read().split(b"\n")
            lines[3] = lines[3].replace(b"square", b"sqvare") + b" "
            file.seek(0)
            file.write(b"\n".join(lines))
        log = len(service.log_text())
        service.launch()
        status = service.wait_end(5)
        text = service.log_text()[log:]
        checks.that("damage in the middle stops the start", status is not None and status > 0,
                    "a status above 0", status)
        checks.that("… with the file and the line", os.path.basename(journal) in text
                    and "4" in text.replace(os.path.basename(journal), ""),
                    f"{os.path.basename(journal)}, line 4", text)


def main():
    checks = Checks(seconds_max=100)
    checks.run(
        (drain, signal.SIGTERM), (drain, signal.SIGINT), (drain, signal.SIGHUP),
        a_hangup_that_nohup_ignores, longer_than_the_grace,
        (a_second_signal, signal.SIGTERM, signal.SIGTERM),
        (a_second_signal, signal.SIGTERM, signal.SIGINT),
        (signals_to_the_group, signal.SIGINT), (signals_to_the_group, signal.SIGTERM),
        a_pool_that_is_configured_no_more, while_idle, clients_that_wait, second_server, damage)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
