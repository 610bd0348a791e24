#!/usr/bin/env python3
"""A short load: everything right, no error; the figures are for information.

Usage: LIDO_BIN=PATH load.py [SECONDS]
"""

import statistics
import sys
import threading
import time

from checks import Checks
from lido_process import Service, all_jobs

CONNECTIONS = 32


class Submitter(threading.Thread):
    """One connection that submits and fetches until the time is over."""

    def __init__(self, service, number, deadline, waits):
        super().__init__(daemon=True)
        self._service = service
        self._number = number
        self._deadline = deadline
        self._waits = waits
        self.count = 0
        self.faults = []
        self.trips = []

    def run(self):
        try:
            with self._service.connection() as http:
                while time.monotonic() < self._deadline:
                    began = time.monotonic()
                    self._one(http, self._number * 1_000_000 + self.count)
                    self.trips.append(time.monotonic() - began)
                    self.count += 1
        except Exception as error:  # The main thread reports it.
            self.faults.append(repr(error))

    def _one(self, http, value):
        if self._waits:
            response = http.submit("square", value, headers={"Prefer": "wait=10"})
            is_right = response.status == 200 and response.json.get("result") == value * value
        else:
            response = http.submit("square", value)
            if response.status == 202:
                response = http.get(f"{response.get('location')}/result?wait=10")
            is_right = response.status == 200 and response.body == b"%d" % (value * value)
        if not is_right:
            self.faults.append(f"square({value}): {response}")


def load(checks, service, connections, seconds, waits):
    deadline = time.monotonic() + seconds
    began = time.monotonic()
    threads = [Submitter(service, n, deadline, waits) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 30)
    took = time.monotonic() - began
    total = sum(thread.count for thread in threads)
    faults = [fault for thread in threads for fault in thread.faults]
    trips = sorted(trip for thread in threads for trip in thread.trips)
    how = "waiting" if waits else "submit and fetch"
    what = f"{connections} connection{'s' if connections > 1 else ''}, {how}"
    checks.that(f"{what}: {total} jobs, all results right, no error", total > 0 and not faults,
                "no fault", f"{total} jobs, {len(faults)} faults: {faults[:3]}")
    checks.that(f"{what}: every connection had its share", min(t.count for t in threads) > 0,
                "at least 1 each", [t.count for t in threads])
    if trips:
        checks.note(
            f"{what}: {total / took:,.0f} jobs/s; round trip p50 "
            f"{statistics.median(trips) * 1e6:,.0f} µs, p99 "
            f"{trips[int(len(trips) * 0.99)] * 1e6:,.0f} µs (this client is Python)")
    return total


def afterwards(checks, service, total):
    with service.connection() as http:
        jobs = all_jobs(http)
        checks.equal("every job is there", len(jobs), total)
        checks.equal("… and succeeded", {job["state"] for job in jobs}, {"succeeded"})
        text = http.get("/metrics").text
        errors = [line for line in text.split("\n")
                  if line.startswith("lido_http_requests_total") and 'code="5' in line]
        checks.equal("the service counts no answer 5xx", errors, [])


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    checks = Checks(seconds_max=60 + 2 * seconds)
    totals = []

    def counted(checks, *arguments):
        totals.append(load(checks, *arguments))

    with Service() as service:
        checks.run(
            (counted, service, CONNECTIONS, seconds * 0.6, False),
            (counted, service, CONNECTIONS, seconds * 0.2, True),
            (counted, service, 1, seconds * 0.2, True))
        checks.run((afterwards, service, sum(totals)))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
