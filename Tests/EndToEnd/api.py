#!/usr/bin/env python3
"""The whole HTTP surface, as a client sees it: what is answered, when, and how errors read.

Usage: LIDO_BIN=PATH api.py [NAME …]   with names: only the parts whose name holds one of them
"""

import sys

from api_checks import bulk, errors, handles, listing, outcomes, service_routes, submissions
from checks import Checks
from lido_process import Service, wait_until

BODY_MAX = 1 << 20


def still_lives(checks, service):
    """A service that ended is a failed check, and is started again for the next part."""
    if service.process.poll() is None:
        return
    checks.that("the service outlives this part", False, "to live",
                f"status {service.process.returncode}; its log ends {service.log_text()[-900:]!r}")
    service.start()


def nothing_is_left(checks, service):
    """At the end: no open job, a clean exit, no process."""
    with service.connection() as http:
        def is_idle():
            pool = http.get("/v1/pools/default").json
            return pool["queued"] == 0 and pool["running"] == 0
        checks.that("at the end no job is open", wait_until(is_idle, 10), "none",
                    http.get("/v1/pools/default"))
    service.remember_processes()
    checks.equal("SIGTERM ends the service with status 0", service.terminate(10), 0)
    checks.that("… and leaves no process", wait_until(lambda: not service.left(), 1), [],
                service.left())


def main():
    checks = Checks(seconds_max=200)
    wanted = sys.argv[1:]
    modules = [submissions, handles, outcomes, listing, bulk, service_routes, errors]
    parts = [part for module in modules for part in module.PARTS]
    chosen = [p for p in parts if not wanted or any(w in p.__name__ for w in wanted)]
    try:
        with Service("--processes", 2, "--max-body", BODY_MAX) as service:
            for part in chosen:
                checks.run((part, service))
                still_lives(checks, service)
            if not wanted or "large" in wanted:
                checks.run((errors.bodies_that_are_too_large, service, BODY_MAX))
            checks.run((nothing_is_left, service))
    finally:
        status = checks.finish()
    return status


if __name__ == "__main__":
    sys.exit(main())
