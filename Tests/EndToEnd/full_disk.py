#!/usr/bin/env python3
"""The disk is full: the service is read-only, says so at once, and goes on when there is room.

Usage: LIDO_BIN=PATH full_disk.py

The data folder is a tmpfs of 1 MiB. Where mount(2) is not permitted those parts are skipped, and
only the one that limits the size of a file (RLIMIT_FSIZE) is run.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time

from api_checks.expectations import check_handle, check_problem, check_retry_after
from checks import Checks
from lido_process import (
    Service, all_jobs, finished, wait_for_state, wait_until)

BOUND_MS = 100.0
#: An argument that fills the rest of a page or two.
LONG = "x" * 3_000


class SmallDisk:
    """A file system of 1 MiB as the data folder of a service, and a file that fills it."""

    def __init__(self, service):
        self._folder = service.data
        self._filler = os.path.join(service.data, "filler")

    def __enter__(self):
        os.mkdir(self._folder, 0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", self._folder],
                       check=True, capture_output=True, timeout=10)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self._folder], check=False, timeout=10)

    def fill(self):
        """Takes all the room there is."""
        with open(self._filler, "ab", buffering=0) as file:
            for size in (4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def make_room(self):
        """Gives it back."""
        os.truncate(self._filler, 0)


def can_mount(checks):
    """Whether a tmpfs can be mounted here; says so if not."""
    if not hasattr(can_mount, "answer"):
        try:
            with SmallDisk(Service()):
                can_mount.answer = ""
        except (OSError, subprocess.SubprocessError) as error:
            can_mount.answer = getattr(error, "stderr", None) or str(error)
    if can_mount.answer:
        checks.skip("a data folder on a small tmpfs", f"no mount: {can_mount.answer!r}")
    return not can_mount.answer


def timed(request):
    """What `request` answers, and after how many milliseconds."""
    began = time.monotonic()
    return request(), (time.monotonic() - began) * 1_000


def submit_until_refused(http, acknowledged):
    """Submits until the rest of the journal's last page is used up. The first answer that is not
    202, after how many ms, and the id that it was asked for."""
    for number in range(100):
        identifier = f"filling-{number}"
        response, took = timed(lambda: http.submit("echo", LONG, id=identifier))
        if response.status != 202:
            return response, took, identifier
        acknowledged.append(identifier)
    raise AssertionError("the disk is full, and 100 jobs were accepted")


def check_refused(checks, what, response, took):
    """`read_only`, at once."""
    check_problem(checks, what, response, 503, "read_only")
    check_retry_after(checks, f"{what}, which", response)
    checks.at_most(f"{what}: in time", took, BOUND_MS, "ms")


def check_reads(checks, http, before):
    """What is on the disk is shown."""
    (shown, took) = timed(lambda: http.get("/v1/jobs/before"))
    checks.equal("a job that is on the disk is shown as it was", shown.json, before)
    checks.at_most("… in time", took, BOUND_MS, "ms")
    checks.equal("… and its result", http.get("/v1/jobs/before/result").body, b"49")
    checks.equal("an id that never was is not found", http.get("/v1/jobs/never").status, 404)
    checks.equal("/livez says that it lives", http.get("/livez").status, 200)
    checks.equal("/readyz says that it takes nothing", http.get("/readyz").status, 503)
    replay = http.submit("square", 7, id="before")
    checks.equal("a repeat of a submission is answered with the job",
                 (replay.status, replay.get("idempotent-replayed")), (202, "true"))


def read_only_and_back(checks, sync):
    service = Service("--processes", 3, "--sync", sync)
    if not can_mount(checks):
        return
    with SmallDisk(service) as disk, service:
        acknowledged = ["before", "running", "waiting", "submitted"]
        with service.connection() as http, service.connection() as waiter, \
                service.connection() as submitter:
            before = http.submit("square", 7, id="before", target="/v1/jobs?wait=5").json
            for identifier in ("running", "waiting"):
                http.submit("sleep", 2, id=identifier)
                wait_for_state(http, identifier, "running")
            waiter.send("GET", "/v1/jobs/waiting?wait=30")
            submitter.send(
                "POST", "/v1/jobs?wait=3",
                b'{"task":"sleep","args":[2],"id":"submitted"}',
                {"content-type": "application/json"})
            wait_for_state(http, "submitted", "running")
            disk.fill()
            refused, took, lost = submit_until_refused(http, acknowledged)
            check_refused(checks, f"sync {sync}: the submission that finds the disk full",
                          refused, took)
            for what, request in (
                    ("the next", lambda: http.submit("square", 1, id="refused")),
                    ("one with a wait", lambda: http.submit(
                        "square", 1, id="refused", target="/v1/jobs?wait=10")),
                    ("the first once more", lambda: http.submit("echo", LONG, id=lost)),
                    ("a cancel", lambda: http.post("/v1/jobs/running/cancel", {})),
                    ("a DELETE", lambda: http.delete("/v1/jobs/before"))):
                check_refused(checks, what, *timed(request))
            check_reads(checks, http, before)
            # That it is gone is known in memory only.
            checks.member("a job that was refused is not shown",
                          http.get(f"/v1/jobs/{lost}").status, (404, 410, 503))
            # The sleeping jobs end now, and nobody can be told.
            wait_until(lambda: http.get("/v1/jobs/running").status == 503, 5)
            check_problem(checks, "a result that is not on the disk is not shown",
                          http.get("/v1/jobs/running/result"), 503, "read_only")
            check_problem(checks, "… nor in a list", http.get("/v1/jobs"), 503, "read_only")
            accepted = submitter.receive()
            checks.equal("… whose client hears after its wait that it was accepted",
                         (accepted.status, accepted.json["state"]), (202, "queued"))
            checks.equal("… and who waits for longer goes on waiting", waiter.has_answer(), False)
            disk.make_room()
            accepted, took = timed(lambda: wait_until(
                lambda: next((r for r in [http.submit("square", 8, id="after")]
                              if r.status == 202), None), 5))
            checks.that("with room again, jobs are accepted", bool(accepted), 202, "503 for 5 s")
            checks.at_most("… within a second, without a restart", took, 1_000, "ms")
            acknowledged.append("after")
            waited = waiter.receive()
            check_handle(checks, "… who waited is told", waited.json, state="succeeded")
            check_recovered(checks, service, acknowledged)


def check_recovered(checks, service, acknowledged):
    """Every acknowledged job and no other is there and ends well, before and after a kill -9."""
    with service.connection() as http:
        ends = [finished(http, identifier) for identifier in acknowledged]
        wrong = [job for job in ends if job["state"] != "succeeded"]
        checks.that(f"all of {len(ends)} acknowledged jobs succeeded", not wrong, [], wrong[:2])
        known = {job["id"]: job for job in all_jobs(http)}
    checks.equal("no other job is there", sorted(known), sorted(acknowledged))
    service.kill()
    service.start()
    with service.connection() as http:
        checks.that("after kill -9 and a start every handle reads the same",
                    {job["id"]: job for job in all_jobs(http)} == known, "the same", "another")


def ended_while_full(checks, how):
    """What was acknowledged is there after the next start; what ended untold may run again."""
    service = Service("--processes", 1, "--shutdown-grace", 1)
    if not can_mount(checks):
        return
    with SmallDisk(service) as disk, service:
        acknowledged = ["before", "running"]
        with service.connection() as http:
            http.submit("square", 7, id="before", target="/v1/jobs?wait=5")
            http.submit("sleep", 0.3, id="running")
            wait_for_state(http, "running", "running")
            disk.fill()
            submit_until_refused(http, acknowledged)
            wait_until(lambda: http.get("/v1/jobs/running").status == 503, 5)
        service.remember_processes()
        if how == "kill -9":
            service.kill()
        else:
            began = time.monotonic()
            checks.equal("SIGTERM on a full disk: exit status", service.terminate(10), 1)
            checks.that("… after the grace", time.monotonic() - began < 4, "1 s",
                        f"{time.monotonic() - began:.1f} s")
            checks.that("… and leaves no process", wait_until(lambda: not service.left(), 1), [],
                        service.left())
        disk.make_room()
        service.start()
        checks.note(f"after {how} and a start with room:")
        check_recovered(checks, service, acknowledged)


def drained_with_room_in_time(checks):
    """Room that comes within the grace is enough for an orderly end."""
    service = Service("--processes", 1, "--shutdown-grace", 8)
    if not can_mount(checks):
        return
    with SmallDisk(service) as disk, service:
        acknowledged = ["before"]
        with service.connection() as http:
            http.submit("square", 7, id="before", target="/v1/jobs?wait=5")
            disk.fill()
            submit_until_refused(http, acknowledged)
            service.signal(signal.SIGTERM)
            time.sleep(0.3)
            disk.make_room()
        checks.equal("SIGTERM, then room: exit status", service.wait_end(5), 0)
        service.start()
        check_recovered(checks, service, acknowledged)


def file_size_limit(checks):
    """A file that may not grow is an error of write(2), and SIGXFSZ does not end the service."""
    with Service("--processes", 1) as service:
        acknowledged = ["before"]
        with service.connection() as http:
            http.submit("square", 7, id="before", target="/v1/jobs?wait=5")
            before = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (8_192, before[1]))
            refused, took, _ = submit_until_refused(http, acknowledged)
            check_refused(checks, "a journal that may not grow", refused, took)
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, before)
            accepted = wait_until(lambda: http.submit("square", 8, id="after").status == 202, 5)
            checks.that("… when it may, jobs are accepted", accepted, 202, "503 for 5 s")
            acknowledged.append("after")
        check_recovered(checks, service, acknowledged)


def many_submissions(checks, sync):
    """A request with many submissions is refused as a whole, and leaves no job behind."""
    with Service("--processes", 1, "--sync", sync) as service:
        with service.connection() as http:
            http.submit("square", 7, id="before", target="/v1/jobs?wait=5")
            before = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (8_192, before[1]))
            values = [{"task": "echo", "args": [LONG], "id": f"many-{n}"} for n in range(20)]
            values += [{"task": "square", "args": [7], "id": "before"}, {"task": "nothing"}]
            for what, target in (("that finds the disk full", "/v1/jobs"),
                                 ("after it", "/v1/jobs"), ("with a wait", "/v1/jobs?wait=10")):
                response, took = timed(lambda t=target: http.post(t, values))
                check_refused(checks, f"sync {sync}: a request {what}", response, took)
            shown = http.get("/v1/jobs?id=before").json["jobs"]
            checks.equal("a job that is on the disk is shown by its id",
                         [job.get("result") for job in shown], [49])
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, before)
            wait_until(lambda: http.get("/readyz").status == 200, 5)
            known = [job["id"] for job in all_jobs(http)]
            checks.equal("with room again nothing of it is there", known, ["before"])
            response = http.post("/v1/jobs?wait=10", values)
            states = [job.get("state") for job in response.json["jobs"]]
            checks.equal("… and it can be sent again", states, ["succeeded"] * 21 + [None])
            checks.equal("… as new jobs, but for the one of before", [
                job.get("idempotent_replayed") for job in response.json["jobs"]],
                [None] * 20 + [True, None])
        service.kill()
        service.start()
        with service.connection() as http:
            checks.equal("… which are there after a kill and a start", len(all_jobs(http)), 21)


def maps(checks, sync, count, room):
    """A map that does not fit is refused at once, whatever of it runs, and leaves nothing."""
    document = {"task": "square", "items": list(range(count)), "chunksize": 1, "id": "squares"}
    with Service("--processes", 2, "--sync", sync) as service:
        with service.connection() as http:
            http.submit("square", 7, id="before", target="/v1/jobs?wait=5")
            before = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (room, before[1]))
            for what in ("that finds the disk full", "after it"):
                response, took = timed(lambda: http.post("/v1/maps?wait=10", document))
                check_problem(checks, f"sync {sync}: a map of {count} chunks {what}", response,
                              503, "read_only")
                checks.at_most("… in time", took, 2_000, "ms")
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, before)
            wait_until(lambda: http.get("/readyz").status == 200, 5)
            checks.equal("with room again it is not there, and its id is free",
                         http.get("/v1/maps/squares").status, 404)
            checks.equal("… nor are its chunks", [job["id"] for job in all_jobs(http)],
                         ["before"])
        service.kill()
        service.start()
        with service.connection(timeout=30) as http:
            checks.equal("… also after a kill and a start",
                         ([job["id"] for job in all_jobs(http)],
                          http.get("/v1/maps/squares").status), (["before"], 404))
            response = http.post("/v1/maps?wait=20", document)
            checks.equal("… and it can be sent again", response.status, 200)
            checks.equal("… with the right list", http.get("/v1/maps/squares/result").json,
                         [number * number for number in range(count)])


def main():
    checks = Checks(seconds_max=100)
    checks.run(
        (read_only_and_back, "50"), (read_only_and_back, "always"), (read_only_and_back, "never"),
        (ended_while_full, "kill -9"), (ended_while_full, "SIGTERM"), drained_with_room_in_time,
        file_size_limit, (many_submissions, "50"), (many_submissions, "always"),
        (maps, "50", 100, 8_192), (maps, "50", 3_000, 400_000), (maps, "always", 3_000, 400_000))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
