#!/usr/bin/env python3
"""Sources/Python: its own tests, and against the service Python's tests of its Pool and the
tutorials' programs, with `lido.Pool` in the place of `multiprocessing.Pool`.

Usage: LIDO_BIN=PATH python_package.py

Python's tests need an interpreter that has them, the tutorial with pictures one that has Pillow;
without that one it is left out, and told.
"""

import concurrent.futures
import os
import subprocess
import sys

from checks import Checks
from lido_process import MARK, configured

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(HERE, "..", "Python")
PACKAGE = os.path.realpath(os.path.join(HERE, "..", "..", "Sources", "Python"))


def interpreter(module):
    """The first interpreter that has a module; None: there is none."""
    for path in (sys.executable, "/usr/bin/python3"):
        found = subprocess.run([path, "-c", f"import {module}"], capture_output=True, check=False)
        if found.returncode == 0:
            return path
    return None


def run_tests(checks, script, python=sys.executable, **variables):
    """One script of Tests/Python; its output is printed if it fails."""
    found = subprocess.run(
        [python, f"{script}.py"], cwd=TESTS, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=200, check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables})
    lines = found.stdout.splitlines()
    if found.returncode != 0:
        print("\n".join(lines[-80:]))
    summary = [line for line in lines if line.startswith(("Ran ", "OK", "left out", "FAILED"))]
    where = " with the service" if "POOL_TESTS_BIN" in variables else ""
    checks.equal(f"{script}{where}: {'; '.join(summary)}", found.returncode, 0)


def alone(checks):
    """Without the service, or with one that each script starts itself. Two scripts at a time:
    those of outages and races mostly wait."""
    service = {"POOL_TESTS_BIN": os.environ["LIDO_BIN"]}
    lanes = [
        [("pool_outage_tests", {}), ("codec_tests", {}), ("client_tests", {}),
         ("service_tests", {}), ("package_tests", {})],
        [("pool_race_tests", {}), ("pool_tests", {}), ("worker_tests", {}),
         ("pool_tests", service), ("pool_limit_tests", {}), ("pool_limit_tests", service)]]

    def run(lane):
        for script, variables in lane:
            run_tests(checks, script, **variables)
    with concurrent.futures.ThreadPoolExecutor(len(lanes)) as threads:
        for found in [threads.submit(run, lane) for lane in lanes]:
            found.result()


def with_service(checks, script, module):
    """A script whose programs and workers run with the same interpreter."""
    python = interpreter(module) or sys.executable
    text = f"""
allow_pickle: true
pools:
  python: {{ worker: ["{python}", -m, lido.worker], processes: 4, allow_pickle: true,
             allow_main: true, inherit: [{MARK}], environment: {{ PYTHONPATH: "{PACKAGE}" }} }}
"""
    with configured(text) as service, service.connection() as http:
        service.remember_processes()
        run_tests(checks, script, python, LIDO_URL=f"http://127.0.0.1:{service.port}")
        # A program that leaves its pool by `with` does not wait for the last worker.
        names = [pool["name"] for pool in http.get("/v1/pools").json["pools"]]
        states = {}
        for name in names:
            wait = "?wait_joined=10" if name.startswith("py-") else ""
            states[name] = http.get(f"/v1/pools/{name}{wait}").json["state"]
        checks.equal("… and the pool that was there before is there", states.get("python"),
                     "running")
        checks.that("… and every pool that was made has ended",
                    all(state == "joined" for name, state in states.items()
                        if name.startswith("py-")), "joined", states)
        service.remember_processes()
        checks.equal("… SIGTERM ends the service", service.terminate(20), 0)
        checks.equal("… and leaves nothing", service.left(), [])


def python_pool_tests(checks):
    """Those of the interpreter: _TestPool, _TestPoolWorkerErrors, _TestPoolWorkerLifetime."""
    checks.that("an interpreter has Python's own tests", interpreter("test._test_multiprocessing"),
                "one, as Tests/run.sh installs it", "none")
    with_service(checks, "own_pool_tests", "test._test_multiprocessing")


def tutorials(checks):
    """square, process_item, factorial, blur_image."""
    with_service(checks, "example_tests", "PIL")


def programs(checks):
    """`import lido as mp`, and a program that is no file."""
    with_service(checks, "program_tests", "json")


def main():
    checks = Checks(seconds_max=280)
    checks.run(alone)
    checks.run(python_pool_tests)
    checks.run(tutorials)
    checks.run(programs)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
