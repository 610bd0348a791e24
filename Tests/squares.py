#!/usr/bin/env python3
"""A map of a million squares, against Python's own Pool in this process.

Usage: LIDO_BIN=PATH Tests/squares.py [RUNS [ROUNDS [ITEMS]]]     (3, 6 and 1000000; 20 s)

In turn, ROUNDS times a run: `Pool(2).map(square, items)`, whose items and results are this
program's own objects; and POST /v1/maps of the same items as one document, GET of its list of
results, compared as bytes, from a service with 2 workers and its journal on. Reading and writing
JSON in the client is not counted. Fails if the median of all runs is above 1.5, or a list is wrong.
"""

import http.client
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "EndToEnd"))

from checks import Checks  # noqa: E402
from lido_process import Service  # noqa: E402

RATIO_MAX = 1.5
PROCESSES = 2


def square(number):
    return number * number


def text_of(numbers):
    return json.dumps(numbers, separators=(",", ":")).encode()


def seconds_of(work):
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def map_over(connection, body):
    """A map's results as they come, and its id."""
    def asked(method, target, body=None):
        connection.request(method, target, body, {"Content-Type": "application/json"})
        return connection.getresponse().read()

    number = json.loads(asked("POST", "/v1/maps", body))["id"]
    return asked("GET", f"/v1/maps/{number}/result?wait=60"), number


def run(checks, pool, rounds, items):
    """One run: the ratio of the medians."""
    body = b'{"task":"square","items":%b}' % text_of(items)
    results = [square(item) for item in items]
    wanted = text_of(results)
    times = {"pool": [], "lido": []}
    with Service("--processes", PROCESSES, "--max-body", 1 << 30) as service:
        for _ in range(rounds):
            took, values = seconds_of(lambda: pool.map(square, items))
            times["pool"].append(took)
            checks.that("Pool's list", values == results, "the squares", "another list")
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
            took, (values, number) = seconds_of(lambda: map_over(connection, body))
            times["lido"].append(took)
            checks.that("Lido's list", values == wanted, "the squares", values[:80])
            connection.request("DELETE", f"/v1/maps/{number}")
            connection.getresponse().read()
            connection.close()
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    ratio = medians["lido"] / medians["pool"]
    print(f"Lido {medians['lido']:.3f} s, Pool {medians['pool']:.3f} s: {ratio:.2f}", flush=True)
    return ratio


def main():
    runs, rounds, count = [int(text) for text in sys.argv[1:]] + [3, 6, 1_000_000][
        len(sys.argv) - 1:]
    checks = Checks(60 * runs * rounds)
    # Before there are threads, as a pool that forks wants it.
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        pool.map(square, range(1_000))
        ratios = [run(checks, pool, rounds, list(range(count))) for _ in range(runs)]
    print(f"{runs} runs: {min(ratios):.2f} to {max(ratios):.2f}")
    checks.at_most(
        f"{count} squares over HTTP, of the time that Pool.map of Python "
        f"{platform.python_version()} takes", 100 * statistics.median(ratios), 100 * RATIO_MAX, "%")
    sys.exit(checks.finish())


if __name__ == "__main__":
    main()
