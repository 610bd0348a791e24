#!/usr/bin/env python3
"""The file system of the data folder becomes read-only, or goes away: no wrong answer, ever.

Usage: LIDO_BIN=PATH lost_disk.py

Some parts have the data folder on a small tmpfs; where mount(2) is not permitted these are skipped.
A full disk is what `full_disk.py` is about.
"""

import mmap
import os
import shutil
import subprocess
import sys
import time

from api_checks.expectations import check_handle, check_problem
from checks import Checks
from full_disk import SmallDisk, can_mount, check_reads, check_recovered, check_refused, timed
from lido_process import Service, finished, temporary_folder, wait_for_state, wait_until
from preload import READ_ONLY_DISK, preloaded


def remount(service, mode):
    """Makes the file system of the data folder read-only (`ro`), or writable again (`rw`)."""
    subprocess.run(["mount", "-o", f"remount,{mode}", service.data], check=True,
                   capture_output=True, timeout=10)


def a_start_on_a_read_only_disk(checks):
    """It ends with a reason, and leaves the folder as it was."""
    service = Service("--processes", 2)
    if not can_mount(checks):
        return
    with SmallDisk(service), service:
        with service.connection() as http:
            http.submit("square", 7, id="before", target="/v1/jobs?wait=5")
        service.kill()
        wait_until(lambda: not service.left(), 1)
        remount(service, "ro")
        service.launch()
        checks.equal("a start on a read-only file system: exit status", service.wait_end(10), 1)
        checks.that("… says why", "Read-only file system" in service.log_text(), "in the log",
                    service.log_text()[-300:])
        wait_until(lambda: not service.left(), 1)
        checks.equal("… and leaves no process", service.left(), [])
        checked = subprocess.run([service.program, "check", service.data], check=False,
                                 capture_output=True, timeout=10)
        checks.equal("… lido check reads it all the same", checked.returncode, 0)
        remount(service, "rw")
        service.start()
        check_recovered(checks, service, ["before"])


def read_only_while_it_works(checks, sync):
    """As after an error of the disk: writes to files that are open are refused as well."""
    library = preloaded(READ_ONLY_DISK, "read-only-disk")
    if library is None:
        checks.skip("a disk that becomes read-only", "no C compiler")
        return
    switch = os.path.join(temporary_folder(), "switch")
    with open(switch, "wb") as file:
        file.write(bytes(4096))
    service = Service("--processes", 2, "--sync", sync, "--snapshot-interval", 0.3)
    service.environment.update(LD_PRELOAD=library, E2E_SWITCH=switch, E2E_FOLDER=service.data)
    with open(switch, "r+b") as file, mmap.mmap(file.fileno(), 4096) as page, service:
        with service.connection() as http, service.connection() as waiter:
            before = http.submit("square", 7, id="before", target="/v1/jobs?wait=5").json
            http.submit("sleep", 1, id="running")
            wait_for_state(http, "running", "running")
            waiter.send("GET", "/v1/jobs/running?wait=30")
            page[0] = 1
            check_refused(checks, f"sync {sync}, read-only: a submission",
                          *timed(lambda: http.submit("square", 1, id="refused")))
            check_refused(checks, "… a cancel",
                          *timed(lambda: http.post("/v1/jobs/running/cancel", {})))
            check_refused(checks, "… a DELETE", *timed(lambda: http.delete("/v1/jobs/before")))
            check_reads(checks, http, before)
            wait_until(lambda: http.get("/v1/jobs/running").status == 503, 5)
            check_problem(checks, "… an end that cannot be written is not told",
                          http.get("/v1/jobs/running"), 503, "read_only")
            checks.equal("… nor to who waits", waiter.has_answer(), False)
            # Snapshots are due all the while.
            time.sleep(1)
            page[0] = 0
            accepted, took = timed(lambda: wait_until(
                lambda: http.submit("square", 8, id="after").status == 202, 5))
            checks.that("… writable again: jobs are accepted", accepted, 202, "503 for 5 s")
            checks.at_most("… within a second, without a restart", took, 1_000, "ms")
            check_handle(checks, "… who waited is told", waiter.receive().json, state="succeeded")
        check_recovered(checks, service, ["before", "running", "after"])


def submit_until_read_only(http):
    """Submits jobs until one is refused; how many were accepted, and after how many seconds."""
    began, accepted = time.monotonic(), 0
    while time.monotonic() < began + 3:
        answer = http.submit("square", accepted)
        if answer.status != 202:
            return answer, accepted, time.monotonic() - began
        accepted += 1
    raise AssertionError(f"{accepted} jobs were accepted into a folder that is not there")


def check_lost(checks, service, http, before, how):
    """Nothing more is promised once the folder is gone; what was told is told again."""
    answer, accepted, took = submit_until_read_only(http)
    check_problem(checks, f"the folder is gone ({how}): a submission", answer, 503, "read_only")
    checks.at_most(f"… a moment later ({accepted} were accepted)", took * 1_000, 250, "ms")
    checks.that("… the log says why", "not there any more" in service.log_text(), "in the log",
                service.log_text()[-300:])
    checks.equal("… what was told is told again", http.get("/v1/jobs/before").json, before)
    checks.equal("… /livez, /readyz", [http.get(p).status for p in ("/livez", "/readyz")],
                 [200, 503])
    time.sleep(0.7)  # Snapshots would be due.


def removed(checks, how):
    """Somebody removes the folder, or puts another in its place."""
    service = Service("--processes", 2, "--snapshot-interval", 0.3, "--shutdown-grace", 1)
    with service:
        with service.connection() as http:
            before = http.submit("square", 7, id="before", target="/v1/jobs?wait=5").json
            if how == "removed":
                shutil.rmtree(service.data)
            else:
                os.rename(service.data, service.data + ".old")
                os.mkdir(service.data)
            check_lost(checks, service, http, before, how)
        if how == "replaced":
            checks.equal("… nothing is written into the other one", os.listdir(service.data), [])
        checks.equal("… SIGTERM: exit status", service.terminate(10), 1)
        wait_until(lambda: not service.left(), 1)
        checks.equal("… no process is left", service.left(), [])
        if how == "replaced":
            os.rmdir(service.data)
            os.rename(service.data + ".old", service.data)
            service.start()
            with service.connection() as http:
                checks.equal("… with the folder in its place again, nothing told is lost",
                             http.get("/v1/jobs/before").json, before)


def unmounted(checks):
    """`umount --lazy`: what is beneath the mount point shows, and is not ours."""
    service = Service("--processes", 2, "--snapshot-interval", 0.3, "--shutdown-grace", 1)
    if not can_mount(checks):
        return
    # A second mount keeps the file system, to come back to.
    aside = temporary_folder()
    with SmallDisk(service), service:
        subprocess.run(["mount", "--bind", service.data, aside], check=True, timeout=10)
        try:
            with service.connection() as http:
                before = http.submit("square", 7, id="before", target="/v1/jobs?wait=5").json
                subprocess.run(["umount", "--lazy", service.data], check=True, timeout=10)
                check_lost(checks, service, http, before, "unmounted")
                checks.equal("… nothing is written beneath", os.listdir(service.data), [])
                subprocess.run(["mount", "--bind", aside, service.data], check=True, timeout=10)
                accepted = wait_until(
                    lambda: http.submit("square", 8, id="after").status == 202, 5)
                checks.that("mounted again: jobs are accepted, without a restart", accepted, 202,
                            "503 for 5 s")
                finished(http, "after")
            service.kill()
            service.start()
            with service.connection() as http:
                checks.equal("… after kill -9 and a start all of it is there", [
                    http.get(f"/v1/jobs/{i}").json.get("result") for i in ("before", "after")],
                    [49, 64])
        finally:
            service.end()
            subprocess.run(["umount", "--lazy", aside], check=False, timeout=10)


def main():
    checks = Checks(seconds_max=100)
    checks.run(
        a_start_on_a_read_only_disk, (read_only_while_it_works, "50"),
        (read_only_while_it_works, "always"), (removed, "removed"), (removed, "replaced"),
        unmounted)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
