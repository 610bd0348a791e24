#!/usr/bin/env python3
"""A program with tasks of its own in Swift, that of Sources/Examples/MyTasks: the whole service.

Usage: LIDO_BIN=PATH LIDO_TEMPLATE_BIN=PATH own_tasks.py

`LIDO_TEMPLATE_BIN` is what its package builds; Tests/run.sh does. Without it, all is skipped.
"""

import json
import os
import shutil
import signal
import subprocess
import sys

from checks import Checks
from lido_process import (
    Service, binary, clean_environment, configured, finished, look_at, run, temporary_folder,
    wait_for_state, wait_until)

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEMPLATE = os.path.join(TOP, "Sources", "Examples", "MyTasks")
TASKS = ["area", "count_primes", "items", "price", "shout"]


def program(*arguments, path=None):
    return subprocess.run(
        [path or binary("LIDO_TEMPLATE_BIN"), *arguments], capture_output=True, text=True,
        timeout=30, check=False, env=clean_environment(), cwd=temporary_folder())


def template(start_method):
    """The program with the configuration that comes with it."""
    return Service(
        "--config", os.path.join(TEMPLATE, "lido.yaml"), program=binary("LIDO_TEMPLATE_BIN"),
        environment={"LIDO_START_METHOD": start_method})


def calls(checks, http):
    """Arguments of every kind, and what a task throws."""
    checks.equal("its tasks are all that there are",
                 sorted(task["name"] for task in http.get("/v1/tasks").json["tasks"]), TASKS)
    for task, members, result in [
            ("shout", {"args": ["lido"]}, "LIDO!"), ("area", {"args": [3, 4.5]}, 13.5),
            ("items", {}, ["oar", "rudder", "sail"]),
            ("price", {"kwargs": {"item": "oar", "count": 2}},
             {"order": {"item": "oar", "count": 2}, "total": 79})]:
        answer = http.post("/v1/jobs?wait=10", {"task": task, **members})
        checks.equal(f"{task} {members}", answer.json.get("result"), result)
    for task, members, error in [
            ("price", {"kwargs": {"item": "anchor", "count": 1}},
             ("raised", "OrderError", "nobody sells 'anchor'")),
            ("price", {"args": [{"item": "oar", "count": 0}]},
             ("raised", "OrderError", "0 is no count of things")),
            ("price", {"kwargs": {"item": "oar", "count": "two"}},
             ("argument_decoding", "DecodingError", "count: ")),
            ("area", {"args": [3]}, ("argument_decoding", "DecodingError",
                                     "the task takes 2 arguments; 1 was given"))]:
        found = http.post("/v1/jobs?wait=10", {"task": task, **members}).json["error"]
        checks.that(f"{task} {members} fails", error[:2] == (found["code"], found["type"])
                    and error[2] in found["message"], error, found)
    answer = http.post("/v1/jobs", {"task": "square", "args": [7]})
    checks.equal("a task that comes with lido alone", (answer.status, answer.json["code"]),
                 (422, "unknown_task"))
    answer = http.post("/v1/jobs", {"task": "load_prices", "args": [{}]})
    checks.equal("its initializer is no task", (answer.status, answer.json["code"]),
                 (422, "unknown_task"))
    answer = http.post("/v1/maps?wait=10", {
        "task": "area", "star": True, "items": [[n, 2] for n in range(100)], "id": "areas"})
    checks.equal("a map", http.get("/v1/maps/areas/result").json, [2 * n for n in range(100)])


def cpu_time(pid):
    """What a process has computed, in clock ticks."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def cancelled(checks, http):
    """A task that takes long is ended, and so is its worker; the next has its initializer run."""
    job = http.submit("count_primes", 10 ** 12).json
    pid = wait_for_state(http, job["id"], "running")["worker"]["pid"]
    # A call that its worker has not begun is taken back, and the worker stays.
    wait_until(lambda: cpu_time(pid) >= 5, 10)
    checks.equal("a task that takes long is cancelled",
                 http.post(f"/v1/jobs/{job['id']}/cancel", {"grace": 5}).status, 202)
    checks.equal("… at once", finished(http, job)["state"], "cancelled")
    checks.that("… with its worker", wait_until(lambda: look_at(pid) is None, 5), None, pid)
    totals = [run(http, "price", {"item": "sail", "count": 1})["result"]["total"]
              for _ in range(6)]
    checks.equal("… whose successor has the prices, too", totals, [480] * 6)
    checks.equal("a task that ends", run(http, "count_primes", 100_000)["result"], 9_592)


def by_start_method(checks, start_method):
    service = template(start_method)
    with service, service.connection() as http:
        pool = http.get("/v1/pools/default").json
        checks.equal(f"{start_method}: the pool", (pool["state"], pool["start_method"]),
                     ("running", start_method))
        calls(checks, http)
        cancelled(checks, http)
        http.submit("shout", "kept", id="kept", target="/v1/jobs?wait=10")
        checks.equal("… SIGTERM", service.terminate(), 0)
    checked = program("check", service.data)
    checks.equal("check", (checked.returncode, checked.stderr), (0, ""))
    checks.that("… by the program's own name", "'mytasks serve' would start with" in checked.stdout,
                "mytasks", checked.stdout)
    checks.equal("snapshot", program("snapshot", service.data).returncode, 0)
    service.start()
    with service.connection() as http:
        checks.equal("… the next start has its results",
                     http.get("/v1/jobs/kept/result").json, "KEPT!")


def forkserver(checks):
    """All of it, with workers that are forked."""
    by_start_method(checks, "forkserver")


def spawn(checks):
    """All of it, with workers that are executed anew."""
    by_start_method(checks, "spawn")


def initializers(checks):
    """One that fails, one that is not there, and none."""
    ours = binary("LIDO_TEMPLATE_BIN")
    failing = ("pools: { default: { processes: 1, initializer: load_prices, "
               "initargs: [{ oar: 0 }] } }")
    with configured(failing, program=ours) as service, service.connection() as http:
        pool = http.get("/v1/pools/default").json
        checks.equal("a pool whose initializer fails is broken", pool["state"], "broken")
        checks.that("… and says why", "a price is more than nothing" in str(pool), True, pool)
        answer = http.submit("shout", "x")
        checks.equal("… a job is refused", (answer.status, answer.json["code"]),
                     (409, "pool_not_running"))
    for text, words in [
            ("pools: { default: { initializer: none_such } }", ["lido.yaml:1", "load_prices"]),
            ("pools:\n  default: { initargs: 3 }", ["lido.yaml:2", "a list"])]:
        path = os.path.join(temporary_folder(), "lido.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        refused = program("serve", "--config", path)
        checks.equal(f"{text!r} is refused", refused.returncode, 64)
        checks.that("… with its place", all(word in refused.stderr for word in words), words,
                    refused.stderr)
    refused = program("serve", "--config", os.path.join(TEMPLATE, "lido.yaml"), path=binary())
    checks.equal("lido itself has none", refused.returncode, 64)
    checks.that("… and says so", "(it has: none)" in refused.stderr, True, refused.stderr)
    with Service(program=ours) as service, service.connection() as http:
        checks.equal("none: a table stays empty", run(http, "items")["result"], [])


OWN = {"name": "own", "processes": 1, "initializer": "load_prices", "initargs": [{"pin": 2}]}


def items(http, pool):
    """What the workers of a pool were initialized with."""
    return run(http, "items", pool=pool)["result"]


def refused_pools(checks, http):
    """Initializers that the program has not, and those that fail."""
    names = [pool["name"] for pool in http.get("/v1/pools").json["pools"]]
    answer = http.post("/v1/pools", {**OWN, "name": "bad", "initializer": "load_price"})
    checks.equal("an initializer that it has not",
                 (answer.status, answer.json["code"], answer.json["errors"][0]["pointer"]),
                 (422, "unknown_initializer", "/initializer"))
    checks.that("… is told with those that it has",
                "(it has: load_prices)" in answer.json["detail"], "load_prices", answer)
    answer = http.post("/v1/pools", {"name": "bad", "initargs": [{"pin": 2}]})
    checks.equal("arguments without one", (answer.status, answer.json["code"]),
                 (400, "invalid_request"))
    for what, arguments, words in [
            ("fails", [{"pin": 0}], "OrderError: a price is more than nothing"),
            ("cannot read what it is given", [3], "DecodingError"),
            ("is given too much", [{"pin": 1}, 2], "DecodingError")]:
        answer = http.post("/v1/pools", {**OWN, "name": "bad", "processes": 2,
                                         "initargs": arguments})
        checks.that(f"one that {what}: 503 says why", answer.status == 503
                    and answer.json["code"] == "pool_not_started"
                    and words in answer.json["detail"], words, answer)
    checks.equal("… and there is no pool",
                 [pool["name"] for pool in http.get("/v1/pools").json["pools"]], names)


def all_initialized(http, count):
    """Whether the pool has so many workers, all of which have run a call, and each was right."""
    found = items(http, "own")
    if found != ["pin"]:
        raise AssertionError(f"a worker without its initializer: {found}")
    workers = [worker for worker in http.get("/v1/pools/own/workers").json["workers"]
               if worker["state"] != "gone"]
    return len(workers) == count and all(worker["calls"] > 0 for worker in workers)


def patch(http, members):
    """Changes that pool."""
    return http.request("PATCH", "/v1/pools/own", json.dumps(members).encode(),
                        {"content_type": "application/json"})


def created(checks):
    """Pools that a client creates have an initializer that he names, or that of their template."""
    service = template("forkserver")
    with service, service.connection() as http:
        answer = http.post("/v1/pools", OWN)
        checks.equal("a pool with an initializer",
                     (answer.status, answer.json.get("initializer"), answer.json.get("kind")),
                     (201, "load_prices", "workers"))
        checks.equal("… and arguments of its own", items(http, "own"), ["pin"])
        http.post("/v1/pools", {"name": "same", "processes": 1})
        checks.equal("without one it has the template's", items(http, "same"),
                     ["oar", "rudder", "sail"])
        http.post("/v1/pools", {**OWN, "name": "spawned", "start_method": "spawn"})
        checks.equal("executed workers have it, too", items(http, "spawned"), ["pin"])
        refused_pools(checks, http)
        for count in (3, 2):
            patch(http, {"processes": count})
            checks.that(f"with {count} processes each has it",
                        wait_until(lambda: all_initialized(http, count), 10), count,
                        http.get("/v1/pools/own/workers").json)
        old = http.get("/v1/pools/own/workers").json["workers"][0]["pid"]
        service.signal_worker(look_at(old).parent, signal.SIGKILL)
        wait_until(lambda: look_at(old) is None, 5)
        checks.that("… after the death of the fork server as well",
                    wait_until(lambda: all_initialized(http, 2), 10), 2,
                    http.get("/v1/pools/own/workers").json)
    after_restarts(checks, service)


def after_restarts(checks, service):
    """What was created is there after `kill -9`, and waits for a program that has its initializer.
    """
    service.start()
    with service.connection() as http:
        checks.that("… and after kill -9 of the service",
                    wait_until(lambda: all_initialized(http, 2), 10), 2,
                    http.get("/v1/pools/own").json)
        patch(http, {"paused": True})
        job = http.submit("items", pool="own").json
        service.remember_processes()
    service.kill()
    ours, flags = service.program, service.flags
    service.program, service.flags = binary(), []
    service.start()
    with service.connection() as http:
        pool = http.get("/v1/pools/own").json
        checks.equal("a program without the initializer starts no worker of it",
                     (pool["state"], pool.get("reason")),
                     ("starting", "this program has no initializer 'load_prices'; its jobs wait "
                                  "until it has"))
        # A created pool takes no jobs before a worker of it has told its tasks.
        wait_until(lambda: http.get("/v1/pools/same").json["state"] == "running", 10)
        checks.equal("… but of others", run(http, "square", 7, pool="same")["result"], 49)
        checks.equal("… whose jobs wait", (patch(http, {"paused": False}).status,
                                           http.get(f"/v1/jobs/{job['id']}").json["state"]),
                     (200, "queued"))
        http.request("POST", "/v1/pools/spawned/terminate")
        checks.equal("… and such a pool can be ended",
                     http.get("/v1/pools/spawned?wait_joined=5").json["state"], "joined")
        service.remember_processes()
    service.kill()
    service.program, service.flags = ours, flags
    service.start()
    with service.connection() as http:
        checks.equal("… until it is back", finished(http, job).get("result"), ["pin"])
    service.end()


def command_line(checks):
    """Its help is its own."""
    shown = program("--help").stdout
    checks.that("help", "USAGE: mytasks <subcommand>" in shown, "USAGE: mytasks", shown)
    refused = program("serve", "--sync", "often")
    checks.that("what is wrong names it", refused.returncode == 64
                and "'mytasks serve --help'" in refused.stderr, 64, refused.stderr)


def page(checks):
    """What the README tells a reader to type, as far as it talks to the service."""
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
        section = file.read().split("### Tasks in Swift\n")[1].split("\n### ")[0]
    lines = [line for line in section.splitlines()
             if line.startswith("curl ") and "/readyz" not in line]
    checks.that("the README talks to it", len(lines) >= 4, "4 lines", lines)
    with template("forkserver") as service:
        for line in lines:
            done = subprocess.run(
                ["bash", "-c", line], capture_output=True, text=True, timeout=30, check=False,
                env={**clean_environment(), "LIDO": f"http://127.0.0.1:{service.port}"})
            # What is refused has a `detail`; a job that fails has none.
            checks.that(line, done.returncode == 0 and '"detail"' not in done.stdout,
                        "an answer", done.stdout + done.stderr)


def main():
    checks = Checks(120)
    if not os.environ.get("LIDO_TEMPLATE_BIN"):
        checks.skip("a program of one's own", "LIDO_TEMPLATE_BIN is not set")
        checks.that("nothing else is here", True)
    else:
        parts = [forkserver, spawn, initializers, created, command_line]
        checks.run(*parts, *([page] if shutil.which("curl") else []))
    sys.exit(checks.finish())


if __name__ == "__main__":
    main()
