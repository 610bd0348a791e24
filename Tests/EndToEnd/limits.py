#!/usr/bin/env python3
"""Limits of tasks: each told by its own code, and from a kill, an exit and a time limit.

Usage: LIDO_BIN=PATH [LIDO_TEST_BIN=PATH] limits.py

`LIDO_TEST_BIN` names a program on the `Lido` library with a task `open_files()` that answers its
soft limit of descriptors; without it that check is skipped.
"""

import os
import signal
import sys

from checks import Checks
from lido_process import binary, configured, finished, run, wait_for_state, wait_until

#: Doubles a text until it is killed.
GROW = "x=0123456789abcdef; while :; do x=$x$x; done"
FLAGS = "--processes", 2
CONFIGURATION = """
tasks:
  spin: { exec: [sh, -c, "while :; do :; done"], cpu: 0.3 }
  two: { exec: [sh, -c, "sh -c 'while :; do :; done' & while :; do :; done"], cpu: 0.5 }
  grow: { exec: [sh, -c, "{0}"], memory: 48MiB }
  files: { exec: [sh, -c, "ulimit -n"], open_files: 24, stdin: none }
  slow: { exec: [sleep, 100], timeout: 0.3, stdin: none }
  shell: { exec: [sh, -c, "{0}"], cpu: 5, memory: 512MiB, timeout: 20 }
  burn: { cpu: 0.3 }
  primes: { memory: 4MiB }
  sleep: { timeout: 0.3 }
  echo: { output: 100 }
  open_files: { open_files: 40 }
"""


def failed_with(checks, what, job, code, *words):
    error = job.get("error") or {}
    message = error.get("message", "")
    checks.that(what, error.get("code") == code and all(word in message for word in words),
                (code, *words), error or job)


def programs(checks, http):
    failed_with(checks, "a program that burns CPU", run(http, "spin"), "cpu_limit", "300 ms")
    failed_with(checks, "two processes together", run(http, "two"), "cpu_limit", "500 ms")
    failed_with(checks, "a program that grows", run(http, "grow", GROW), "memory_limit",
                str(48 << 20))
    failed_with(checks, "what a process of another session uses counts",
                run(http, "grow", f"setsid sh -c '{GROW}' & wait"), "memory_limit")
    checks.equal("its open files", run(http, "files")["result"], "24\n")
    failed_with(checks, "the time limit of its task", run(http, "slow"), "timed_out", "300 ms")
    error = run(http, "shell", "echo step 7 >&2; exec sleep 100", timeout=0.3)["error"]
    checks.equal("how it ended, and what it said last, is told as well",
                 (error["code"], error.get("exitcode"), error.get("traceback")),
                 ("timed_out", -15, "step 7\n"))
    checks.equal("what stays within its limits succeeds", run(http, "shell", "echo yes")["result"],
                 "yes\n")
    failed_with(checks, "an exit is told from them", run(http, "shell", "exit 7"), "exited")
    failed_with(checks, "a kill by itself as well", run(http, "shell", "kill -9 $$"), "signalled")


def workers(checks, http):
    failed_with(checks, "a worker's call that burns CPU", run(http, "burn", 20_000), "cpu_limit")
    checks.equal("the next call of the task is not charged for it",
                 run(http, "burn", 100)["state"], "succeeded")
    for _ in range(4):
        job = run(http, "burn", 200)
    checks.equal("nor for those before in the same worker", job["state"], "succeeded")
    failed_with(checks, "a worker's call that grows", run(http, "primes", 10_000_000),
                "memory_limit")
    checks.equal("a small one succeeds", run(http, "primes", 10)["result"], [2, 3, 5, 7])
    failed_with(checks, "the time limit of its task", run(http, "sleep", 100), "timed_out",
                "300 ms")
    failed_with(checks, "a job's own limit can only be shorter",
                run(http, "sleep", 100, timeout=100), "timed_out", "300 ms")
    failed_with(checks, "shorter", run(http, "sleep", 100, timeout=0.1), "timed_out", "100 ms")
    failed_with(checks, "a result that is too large", run(http, "echo", "x" * 99), "output_limit",
                "101 bytes")
    checks.equal("one that just fits", run(http, "echo", "x" * 98)["result"], "x" * 98)
    job = http.submit("burn", 250, target="/v1/jobs").json["id"]
    checks.equal("it fits again and again", finished(http, job)["state"], "succeeded")


def kills(checks, service, http):
    job = http.submit("shell", "sleep 100").json["id"]
    pid = wait_until(lambda: http.get(f"/v1/jobs/{job}").json.get("worker", {}).get("pid"), 5)
    service.signal_worker(pid, signal.SIGKILL)
    failed_with(checks, "a kill by somebody is told from a limit", finished(http, job),
                "signalled", "signal 9")
    job = http.submit("shell", "sleep 100").json["id"]
    wait_for_state(http, job, "running")
    http.post(f"/v1/jobs/{job}/cancel", {"grace": 0})
    checks.equal("and a cancel", finished(http, job)["state"], "cancelled")


def open_files(checks):
    if not os.environ.get("LIDO_TEST_BIN"):
        checks.skip("open files of a worker's call", "LIDO_TEST_BIN is not set")
        return
    with configured(CONFIGURATION, *FLAGS, program=binary("LIDO_TEST_BIN")) as service:
        with service.connection() as http:
            checks.equal("open files of a worker's call", run(http, "open_files")["result"], 40)


def main():
    checks = Checks(seconds_max=120)
    with configured(CONFIGURATION, *FLAGS) as service:
        with service.connection() as http:
            checks.run((programs, http), (workers, http), (kills, service, http))
    checks.run((open_files,))
    sys.exit(checks.finish())


if __name__ == "__main__":
    main()
