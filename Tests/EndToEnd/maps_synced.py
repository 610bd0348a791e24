#!/usr/bin/env python3
"""With `--sync always`, and others at work, a map is told when it is on the disk, and then at once.

Usage: LIDO_BIN=PATH maps_synced.py

The disk is made slow by a library that is loaded before the C library, so that some job is always
ahead of it.
"""

import sys
import threading
import time

from checks import Checks
from crowd import cpu_seconds
from lido_process import Service
from maps import Reader, Upload, finished, lines_of, submit
from preload import SLOW_DISK, preloaded

#: How long each fdatasync takes, in seconds.
DELAY = 0.05
#: What a map of microseconds may take, in seconds; one that is told when nobody else does anything
#: takes for ever.
SOON = 5


class Others:
    """Clients that submit one job after the other."""

    def __init__(self, service, count):
        self.service = service
        self.is_over = False
        self.jobs = 0
        self.threads = [threading.Thread(target=self._work) for _ in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join()

    def _work(self):
        with self.service.connection() as http:
            while not self.is_over:
                if http.submit("square", 3).status == 202:
                    self.jobs += 1


def waits(checks, service, http):
    for count in 1, 200:
        began = time.monotonic()
        answer = submit(http, "square", list(range(count)), "/v1/maps?wait=20", chunksize=1)
        checks.equal(f"a map of {count} that is waited for",
                     (answer.status, answer.json["state"]), (200, "succeeded"))
        checks.at_most("… is told soon", time.monotonic() - began, SOON, "s")
    submit(http, "sleep", [0.2] * 4, id="later", chunksize=2)
    began = time.monotonic()
    handle = finished(http, "later", 20)
    checks.equal("who waits later", handle["state"], "succeeded")
    checks.at_most("… hears soon", time.monotonic() - began, SOON, "s")
    began = time.monotonic()
    checks.equal("its list", http.get("/v1/maps/later/result?wait=20").json, [0.2] * 4)
    checks.at_most("… comes at once", time.monotonic() - began, SOON, "s")


def streams(checks, service, http):
    submit(http, "square", list(range(200)), id="read", chunksize=1)
    began = time.monotonic()
    for order in "input", "completion":
        reader = Reader(service, "read", f"?order={order}")
        reader.socket.settimeout(2 * SOON)
        lines = reader.all()
        checks.equal(f"{order}: every line and the last one", (len(lines), lines[-1]),
                     (201, {"done": True, "succeeded": 200, "failed": 0}))
        reader.close()
    checks.at_most("… soon", time.monotonic() - began, SOON, "s")
    body = b"".join(b"%d\n" % n for n in range(200))
    began = time.monotonic()
    answer = http.post("/v1/maps?task=square&id=lines&wait=20", body, "application/x-ndjson")
    checks.equal("lines", (answer.status, answer.json["state"]), (200, "succeeded"))
    checks.equal("their results", len(lines_of(http.get("/v1/maps/lines/results"))), 201)
    checks.at_most("… soon", time.monotonic() - began, SOON, "s")


def waiting_for_a_map(checks, service):
    """Items that came before their map is on the disk wait without a turn."""
    upload = Upload(service, "task=square&id=early")
    upload.send(1, 2, 3)
    before = cpu_seconds(service)
    time.sleep(0.8)
    checks.at_most("CPU time while items wait for their map", cpu_seconds(service) - before, 0.3,
                   "s")
    checks.equal("they are not lost", upload.end()[0], 202)
    upload.close()


def deletes(checks, service, http):
    checks.equal("a DELETE", http.delete("/v1/maps/read").status, 204)
    checks.equal("… is known to all", http.get("/v1/maps/read").status, 410)


def main():
    checks = Checks(90)
    library = preloaded(SLOW_DISK % int(DELAY * 1e9), "slow")
    slower = preloaded(SLOW_DISK % int(0.99e9), "slower")
    if library is None:
        checks.skip("maps and a slow disk", "there is no C compiler")
        sys.exit(checks.finish())
    with Service("--sync", "always", environment={"LD_PRELOAD": slower}) as service:
        checks.run((waiting_for_a_map, service))
    environment = {"LD_PRELOAD": library}
    with Service("--processes", 2, "--sync", "always", environment=environment) as service:
        with service.connection(60) as http, Others(service, 4) as others:
            checks.run((waits, service, http))
            checks.run((streams, service, http))
            checks.run((deletes, service, http))
        checks.that("others were at work all the time", others.jobs > 50, "more than 50",
                    others.jobs)
    sys.exit(checks.finish())


if __name__ == "__main__":
    main()
