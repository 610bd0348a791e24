#!/usr/bin/env python3
"""epoll(7) refuses to watch one more descriptor: the service, or its fork server, is short of
something, as it may be of processes. What runs goes on, what cannot be begun waits, and all of it
recovers.

Usage: LIDO_BIN=PATH no_watches.py

A library that is loaded before the C library refuses the watches; files switch it on and off, one
for each name of a process and kind of a descriptor.
"""

import contextlib
import os
import signal
import sys
import time

from bad_times import (
    check_idle, pool_check, ready_workers, service_with_programs, workers)
from checks import Checks
from lido_process import finished, look_at, wait_for_state, wait_until
from preload import preloaded

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
int epoll_ctl(int epoll, int operation, int descriptor, struct epoll_event *event) {
  char name[17] = "", path[512];
  struct stat status;
  const char *kind, *folder = getenv("NO_WATCHES");
  if (operation == EPOLL_CTL_ADD && folder && fstat(descriptor, &status) == 0) {
    prctl(PR_GET_NAME, name);
    kind = S_ISFIFO(status.st_mode) ? "pipe" : S_ISSOCK(status.st_mode) ? "socket" : "other";
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, kind);
    if (access(path, F_OK) == 0) {
      errno = ENOSPC;
      return -1;
    }
  }
  return ((int (*)(int, int, int, struct epoll_event *))dlsym(RTLD_NEXT, "epoll_ctl"))(
      epoll, operation, descriptor, event);
}
"""


@contextlib.contextmanager
def refused(service, *names):
    """No watch for these: `lido.pipe`, `lido-forks.socket`, …"""
    paths = [os.path.join(service.folder, name) for name in names]
    for path in paths:
        with open(path, "xb"):
            pass
    try:
        yield
    finally:
        for path in paths:
            os.remove(path)


def service(library, *flags):
    """A service whose watches can be refused."""
    made = service_with_programs(*flags)
    made.environment.update(LD_PRELOAD=library, NO_WATCHES=made.folder)
    return made


def is_troubled(made, count=1):
    """Waits until the log has said so often that processes cannot be started."""
    return wait_until(
        lambda: made.log_text().count("processes cannot be started") >= count, 5)


def pipes_of_a_program(checks, library):
    """A program whose pipes cannot be watched is not started; its job waits."""
    with service(library, "--processes", 1) as made, made.connection() as http:
        finished(http, http.submit("shell", "true").json)
        with refused(made, "lido.pipe"):
            job = http.submit("shell", "cat >/dev/null; echo done").json
            checks.that("no watch for a program's pipes: it is told", is_troubled(made),
                        "in the log", made.log_text()[-300:])
            is_fine, words = pool_check(http, "programs")
            checks.equal("… also by /readyz", (is_fine, "watching: " in words), (False, True))
            checks.equal("… the job waits", http.get(f"/v1/jobs/{job['id']}").json["state"],
                         "queued")
            checks.equal("… workers go on",
                         finished(http, http.submit("square", 3).json).get("result"), 9)
            check_idle(checks, "… meanwhile", [made.pid])
        end = finished(http, job)
        checks.equal("with watches again it runs, as its first attempt",
                     (end.get("result"), end["attempt"]), ("done\n", 1))
        checks.equal("the service is the same", made.process.poll(), None)


def channel_of_a_worker(checks, library):
    """A worker whose channel cannot be watched is not started; the slot is filled later."""
    for end in ("lido.socket", "lido.pipe"):
        with service(library, "--processes", 1) as made, made.connection() as http:
            first = wait_until(lambda: ready_workers(http, 1), 5)[0]["pid"]
            with refused(made, end):
                made.signal_worker(first, signal.SIGKILL)
                checks.that(f"no watch for a worker's channel ({end}): it is told",
                            is_troubled(made), "in the log", made.log_text()[-300:])
                job = http.submit("square", 3).json
                check_idle(checks, "… meanwhile", [made.pid])
            checks.equal("with watches again the job runs", finished(http, job).get("result"), 9)


def setup_in_the_fork_server(checks, library):
    """A watch that the fork server is refused costs that start and nothing that runs."""
    with service(library, "--processes", 2) as made, made.connection() as http:
        both = wait_until(lambda: ready_workers(http, 2), 5)
        forks = look_at(both[0]["pid"]).parent
        running = http.submit("sleep", 600).json["id"]
        wait_for_state(http, running, "running")
        with refused(made, "lido-forks.pipe"):
            job = http.submit("shell", "echo done").json
            checks.that("no watch for the fork server: it is told", is_troubled(made), "in the log",
                        made.log_text()[-300:])
            check_idle(checks, "… meanwhile", [made.pid, forks])
        checks.equal("with watches again the program runs", finished(http, job).get("result"),
                     "done\n")
        handle = http.get(f"/v1/jobs/{running}").json
        checks.equal("… what ran all the time still runs", (handle["state"], handle["attempt"]),
                     ("running", 1))
        checks.equal("… under the same fork server",
                     {look_at(worker["pid"]).parent for worker in workers(http)}, {forks})


def sentinels_of_a_lost_fork_server(checks, library):
    """What a lost fork server leaves is waited for without a watch as well."""
    with service(library, "--processes", 2) as made, made.connection() as http:
        both = wait_until(lambda: ready_workers(http, 2), 5)
        jobs = [http.submit("sleep", 1).json for _ in range(2)]
        jobs.append(http.submit("shell", "sleep 1; echo done").json)
        for job in jobs:
            wait_for_state(http, job["id"], "running")
        with refused(made, "lido.other"):
            made.signal_worker(look_at(both[0]["pid"]).parent, signal.SIGKILL)
            ends = [finished(http, job) for job in jobs]
            checks.equal("the fork server is lost, no sentinel can be watched: what ran runs again",
                         [(end["state"], end["attempt"]) for end in ends], [("succeeded", 1)] * 3)
            check_idle(checks, "… afterwards", [made.pid])


def a_new_fork_server(checks, library):
    """A new fork server that cannot be watched is tried again, and so is one that dies at once."""
    for what, name in (("cannot be watched", "lido.socket"), ("dies at once", "lido-forks.socket")):
        with service(library, "--processes", 1) as made, made.connection() as http:
            first = wait_until(lambda: ready_workers(http, 1), 5)[0]["pid"]
            with refused(made, name):
                made.signal_worker(look_at(first).parent, signal.SIGKILL)
                said = wait_until(lambda: "fork server ended" in made.log_text(), 5)
                job = http.submit("square", 3).json
                check_idle(checks, f"a new fork server that {what}", [made.pid], 2)
                lost = made.log_text().count("the fork server ended")
                checks.that("… is not tried all the time", said and lost <= 10, "at most 10", lost)
            checks.equal("… and with watches again the job runs",
                         finished(http, job).get("result"), 9)


def main():
    checks = Checks(seconds_max=90)
    library = preloaded(SOURCE, "no_watches")
    if library is None:
        checks.skip("everything", "there is no C compiler")
        return 0
    checks.run(
        (pipes_of_a_program, library), (channel_of_a_worker, library),
        (setup_in_the_fork_server, library), (sentinels_of_a_lost_fork_server, library),
        (a_new_fork_server, library))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
