#!/usr/bin/env python3
"""Maps of functions in Python while their workers, and the service, are killed.

Usage: LIDO_BIN=PATH maps_of_python.py

A chunk takes far longer than the way to its worker, so that a worker has one at a time: what may
run twice, or be lost, is what ran when somebody was killed, and nothing else.
"""

import os
import signal
import sys
import threading
import time

from checks import Checks
from lido_process import Broken, configured, temporary_folder, wait_until
from maps import Reader, finished, lines_of, submit

PYTHON = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "Sources", "Python")
TASKS = """
import os, time
import lido

def square(number, seconds):
    time.sleep(seconds)
    return number * number

def note(path, number, seconds):
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"%d\\n" % number)
    os.close(file)
    time.sleep(seconds)
    return number

def text(count):
    return "x" * count

def tell(count):
    lido.item("x" * count)
    return count
"""
WORKERS = 3


def service_of(folder):
    """A service with a pool of Python workers whose tasks lie in a folder."""
    with open(os.path.join(folder, "killed_tasks.py"), "w", encoding="utf-8") as file:
        file.write(TASKS)
    return configured(f"""
pools:
  default: {{ processes: 1 }}
  python:
    worker: ["{sys.executable}", -m, lido.worker, killed_tasks]
    processes: {WORKERS}
    directory: "{folder}"
    environment: {{ PYTHONPATH: "{PYTHON}:{folder}" }}
""")


def killed_workers(checks):
    """A kill -9 of a worker every second."""
    count, size, seconds = 900, 5, 0.02
    with service_of(temporary_folder()) as service, service.connection() as http:
        items = [[number, seconds] for number in range(count)]
        answer = submit(http, "killed_tasks:square", items, star=True, chunksize=size,
                        pool="python", id="killed")
        checks.equal("a map of Python functions", answer.status, 202)
        deaths = 0
        while not http.get("/v1/maps/killed?wait=1").json["ready"]:
            workers = http.get("/v1/pools/python/workers").json["workers"]
            busy = [worker["pid"] for worker in workers if worker.get("state") == "busy"]
            if busy:
                service.signal_worker(busy[deaths % len(busy)], signal.SIGKILL)
                deaths += 1
        lines = lines_of(http.get("/v1/maps/killed/results"))
        last = lines.pop()
        wrong = [line for line in lines if line != {
            "index": line["index"], "value": line["index"] ** 2}]
        lost = [line for line in wrong if line.get("error", {}).get("code") == "signalled"]
        checks.equal("every item has its line", [line["index"] for line in lines],
                     list(range(count)))
        checks.equal("each is right, or its worker was killed", wrong[:2], lost[:2])
        checks.equal("no other is wrong", len(wrong), len(lost))
        checks.that("some were killed at work", deaths >= 3 and lost, "3 and more", deaths)
        checks.that("a kill costs the chunk that ran and no other", len(lost) <= deaths * size,
                    f"at most {deaths * size}", len(lost))
        checks.equal("the last line tells", (last["succeeded"], last["failed"]),
                     (count - len(lost), len(lost)))
        checks.equal("so does the handle", http.get("/v1/maps/killed").json["error"]["code"],
                     "signalled")


class Listener(threading.Thread):
    """Reads the results of a map as they come, until they break off."""

    def __init__(self, service, identifier):
        super().__init__()
        self.reader = Reader(service, identifier, "?order=completion")
        self.values = []
        self.start()

    def run(self):
        try:
            for line in iter(self.reader.line, None):
                if "value" in line:
                    self.values.append(line["value"])
        except (OSError, ValueError, Broken):
            pass  # The service was killed, perhaps within a line.


def runs_of(path):
    with open(path, encoding="utf-8") as file:
        return [int(line) for line in file]


def killed_service(checks):
    """kill -9 of the service in the midst of a map, three times."""
    count, seconds, kills = 300, 0.04, 3
    folder = temporary_folder()
    path = os.path.join(folder, "runs")
    service = service_of(folder)
    again = []
    with service:
        http = service.connection()
        items = [[path, number, seconds] for number in range(count)]
        answer = submit(http, "killed_tasks:note", items, star=True, chunksize=1, pool="python",
                        id="cut")
        checks.equal("a map of one item a chunk", (answer.status, answer.json["chunks"]),
                     (202, count))
        for kill in range(kills):
            listener = Listener(service, "cut")
            wait_until(lambda: len(listener.values) > (kill + 1) * count // 5, 30)
            http.close()
            service.kill()
            listener.join()
            # Its workers end with it, but what they run they may still have begun.
            service.start()
            before = len(runs_of(path))
            told = set(listener.values)
            http = service.connection()
            wait_until(lambda: len(runs_of(path)) > before + 20, 30)
            again += [number for number in runs_of(path)[before:] if number in told]
        handle = finished(http, "cut")
        checks.equal("it goes on where it was", (handle["state"], handle["total"]),
                     ("succeeded", count))
        checks.equal("the whole list", http.get("/v1/maps/cut/result").json, list(range(count)))
        checks.equal("what was told to have ended did not run again", again, [])
        runs = runs_of(path)
        checks.equal("every item ran", sorted(set(runs)), list(range(count)))
        checks.that("only chunks that ran at a kill ran twice: one a worker and kill at most",
                    len(runs) - count <= kills * WORKERS, f"at most {kills * WORKERS}",
                    len(runs) - count)
        http.close()


def limits(checks):
    """What is too long is told by the worker as by the service, and ends no worker."""
    with service_of(temporary_folder()) as service, service.connection() as http:
        def run(task, count):
            return http.submit(f"killed_tasks:{task}", count, target="/v1/jobs?wait=10",
                               pool="python").json

        def pids():
            return sorted(
                worker["pid"] for worker in http.get("/v1/pools/python/workers").json["workers"])

        before = pids()
        most = (8 << 20) - 2
        checks.equal("the longest result", run("text", most)["state"], "succeeded")
        for count in (most + 1, 10_000_000, 20_000_000):
            error = run("text", count)["error"]
            checks.equal(f"a result of {count + 2} bytes", (error["code"], error["message"]), (
                "output_limit", f"the result has {count + 2} bytes; {8 << 20} are allowed"))
        checks.equal("the longest item", run("tell", most)["result"], most)
        for count in (most + 1, 10_000_000, 20_000_000):
            error = run("tell", count)["error"]
            checks.equal(f"an item of {count + 2} bytes", (error["type"], error["message"]), (
                "ValueError", f"the item has {count + 2} bytes; {8 << 20} are allowed"))
        checks.equal("the workers live on", pids(), before)


def main():
    checks = Checks(150)
    checks.run(limits)
    checks.run(killed_workers)
    checks.run(killed_service)
    sys.exit(checks.finish())


if __name__ == "__main__":
    main()
