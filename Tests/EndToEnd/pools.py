#!/usr/bin/env python3
"""Pools as resources: created, resized, paused, closed, terminated, joined; what of them a crash
leaves, and their limits.

Usage: LIDO_BIN=PATH pools.py [PART …]
"""

import json
import os
import signal
import sys
import threading
import time

from checks import Checks
from lido_process import (
    MARK, configured, finished, free_port, look_at, run, temporary_folder, wait_for_state,
    wait_until)
from line_workers.asking import pids, submit
from pool_bodies import FAILURES, REFUSED

HERE = os.path.dirname(os.path.abspath(__file__))
WORKER = os.path.join(HERE, "line_workers", "worker.py")
FOLDER = temporary_folder()
CONFIGURATION = f"""
allow_pickle: true
max_pools: 8
max_processes: 12
pools:
  default: {{ processes: 2 }}
  python: {{ worker: [{sys.executable}, {WORKER}], inherit: [{MARK}], processes: 2,
             allow_pickle: true, allow_main: true, ready_timeout: 5 }}
  plain: {{ worker: [{sys.executable}, {WORKER}], inherit: [{MARK}], processes: 1,
            ready_timeout: 0.5 }}
  missing: {{ worker: [/there/is/no/such/program], processes: 1 }}
  shell: {{ processes: 2 }}
tasks:
  nap: {{ exec: [/bin/sleep, "{{0}}"], pool: shell }}
"""


def create(http, **members):
    """Creates a pool; its handle."""
    answer = http.post("/v1/pools", members)
    if answer.status != 201:
        raise AssertionError(f"{members}: {answer}")
    return answer.json


def post(http, target):
    """A request without a body."""
    return http.request("POST", target)


def pool(http, name, query=""):
    """The handle of a pool."""
    return http.get(f"/v1/pools/{name}{query}").json


def patch(http, name, members):
    """A PATCH of a pool."""
    body = json.dumps(members).encode()
    return http.request("PATCH", f"/v1/pools/{name}", body, {"content_type": "application/json"})


def change(http, name, **members):
    """Changes a pool; the answer."""
    return patch(http, name, members)


def end(http, name, how="terminate"):
    """Ends a pool and waits until it is joined; its handle."""
    answer = post(http, f"/v1/pools/{name}/{how}")
    if answer.status != 200:
        raise AssertionError(f"{how} {name}: {answer}")
    return pool(http, name, "?wait_joined=20")


def names(http):
    """The names of the pools that are not joined."""
    listed = http.get("/v1/pools").json["pools"]
    return [found["name"] for found in listed if found["state"] != "joined"]


CONFIGURED = ["default", "python", "plain", "missing", "shell"]


# Creation

def creation(checks, _service, http):
    answer = http.post("/v1/pools", {"name": "mine", "processes": 3, "idle_timeout": 600})
    checks.equal("a pool is created", (answer.status, answer.headers.get("location")),
                 (201, "/v1/pools/mine"))
    shown = {name: answer.json.get(name) for name in (
        "name", "state", "kind", "template", "processes", "start_method", "idle_timeout")}
    checks.equal("… its handle", shown, {
        "name": "mine", "state": "running", "kind": "workers", "template": "default",
        "processes": 3, "start_method": "forkserver", "idle_timeout": 600})
    listed = http.get("/v1/pools/mine/workers").json["workers"]
    checks.equal("… all its workers are ready", [worker["state"] for worker in listed],
                 ["idle"] * 3)
    job = run(http, "square", 7, pool="mine")
    checks.equal("… it runs jobs", (job["result"], job["pool"]), (49, "mine"))
    checks.equal("… which come there by its name only", run(http, "square", 7)["pool"], "default")
    checks.equal("it is listed", names(http), CONFIGURED + ["mine"])
    answer = http.post("/v1/pools", {"name": "mine"})
    checks.equal("its name is taken", (answer.status, answer.json["code"]), (409, "conflict"))
    answer = http.post("/v1/pools", {"name": "default"})
    checks.equal("… and so are those of configured pools", answer.json["code"], "conflict")
    found = http.post("/v1/pools", b"")
    checks.that("everything can be left out", found.status == 201 and found.json["processes"] == 2
                and found.json["name"].startswith("pool-"), "a name", found)
    end(http, found.json["name"])
    end(http, "mine")


def kinds(checks, _service, http):
    """A created pool of each kind does what its template does."""
    found = create(http, name="py", template="python", processes=1, initializer="tasks:begin",
                   initargs=[1, {"a": None}], maxtasksperchild=2, main="/tmp/a b.py",
                   allow_pickle=True)
    checks.equal("persistent workers", (found["kind"], found["maxtasksperchild"]),
                 ("persistent", 2))
    setup = run(http, "show", pool="py")["result"]["setup"]
    wanted = {"pool": "py", "initializer": "tasks:begin", "initargs": [1, {"a": None}],
              "main": "/tmp/a b.py", "encoding": "pickle", "calls_max": 2}
    checks.equal("… are told what was asked for", {name: setup.get(name) for name in wanted},
                 wanted)
    workers = {run(http, "pid", pool="py")["result"] for _ in range(4)}
    checks.that("… and are replaced after their calls", len(workers) > 1, "several", workers)
    found = create(http, name="naps", template="shell", processes=2)
    checks.equal("programs", (found["kind"], found["tasks"]), ("programs", ["nap"]))
    checks.equal("… run", run(http, "nap", 0, pool="naps")["state"], "succeeded")
    found = create(http, name="spawned", start_method="spawn", processes=1)
    checks.equal("another start method", found["start_method"], "spawn")
    checks.equal("… works", run(http, "square", 3, pool="spawned")["result"], 9)
    for name in ("py", "naps", "spawned"):
        checks.equal(f"{name} ends", end(http, name)["state"], "joined")
    folder = os.path.join(_service.data, "work-naps")
    wait_until(lambda: os.listdir(folder) == [], 3)
    checks.equal("nothing is left in its folder", os.listdir(folder), [])


def keys(checks, _service, http):
    """A retried request under a key gets the same pool."""
    body = {"processes": 1, "template": "plain"}
    first = http.post("/v1/pools", body, idempotency_key="k-1")
    again = http.post("/v1/pools", body, idempotency_key="k-1")
    checks.equal("the same request gets the same pool",
                 (again.status, again.json["name"], again.headers.get("idempotent-replayed")),
                 (201, first.json["name"], "true"))
    other = http.post("/v1/pools", {**body, "processes": 2}, idempotency_key="k-1")
    checks.equal("another under the same key is refused", (other.status, other.json["code"]),
                 (422, "idempotency_mismatch"))
    end(http, first.json["name"])


def refusals(checks, _service, http):
    for body, status, code, pointer in REFUSED:
        answer = http.post("/v1/pools", body)
        pointers = [mistake["pointer"] for mistake in answer.json.get("errors", [])]
        checks.equal(f"{body}", (answer.status, answer.json["code"], pointers),
                     (status, code, [pointer]))
    create(http, name="plainer", template="python", processes=1)
    answer = http.submit("show", pool="plainer", encoding="pickle")
    checks.equal("pickle is for pools that asked for it", answer.json["code"],
                 "pickle_not_allowed")
    end(http, "plainer")
    for target, method in (("", "GET"), ("", "PATCH"), ("/close", "POST"), ("/terminate", "POST"),
                           ("/workers", "GET")):
        answer = patch(http, "nobody", {}) if method == "PATCH" else http.request(
            method, f"/v1/pools/nobody{target}")
        checks.equal(f"{method} of a pool that is not there{target}", answer.status, 404)
    for body, pointer in (({"processes": 0}, "/processes"), ({"paused": 1}, "/paused"),
                          ({"name": "x"}, "/name")):
        answer = patch(http, "default", body)
        pointers = [mistake["pointer"] for mistake in answer.json.get("errors", [])]
        checks.equal(f"PATCH {body}", (answer.status, pointers), (400, [pointer]))
    answer = http.get("/v1/pools/default?wait_joined=x")
    checks.equal("a wait that is no number", answer.status, 400)
    answer = http.post("/v1/pools/default/close", {"grace": 1})
    checks.equal("a body where there is none", answer.status, 400)


def failed_starts(checks, service, http):
    """If one worker cannot be made ready, none stays, and the answer says why."""
    before = {process.pid for process in service.remember_processes()}
    for what, members, words in FAILURES:
        answer = http.post("/v1/pools", {"name": "bad", **members})
        checks.that(f"{what}: 503 says why", answer.status == 503
                    and answer.json["code"] == "pool_not_started"
                    and words in answer.json["detail"], words, answer)
        checks.that("… no pool is left", "bad" not in names(http), CONFIGURED, names(http))

        def others():
            return [process for process in service.remember_processes()
                    if process.pid not in before]
        checks.that("… and no worker", wait_until(lambda: not others(), 3), [], others())
    two = {}

    def ask(index):
        with service.connection() as other:
            two[index] = other.post(
                "/v1/pools", {"name": "bad", "template": "plain", "initializer": "hangs"},
                idempotency_key="bad")
    threads = [threading.Thread(target=ask, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: pool(http, "bad").get("state") == "starting", 3)
    answer = http.submit("square", 2, pool="bad")
    checks.equal("a pool that is being created takes no jobs", answer.status, 503)
    checks.equal("… and cannot be changed", change(http, "bad", processes=2).status, 503)
    for thread in threads:
        thread.join()
    checks.equal("two who ask for the same hear the same",
                 [two[index].status for index in range(2)], [503, 503])
    thread = threading.Thread(target=ask, args=(0,))
    thread.start()
    wait_until(lambda: pool(http, "bad").get("state") == "starting", 3)
    answer = post(http, "/v1/pools/bad/terminate")
    thread.join()
    checks.equal("who ends a pool that is being created sees it joined",
                 (answer.status, answer.json.get("state")), (200, "joined"))
    checks.that("… and who wanted it hears so", two[0].status == 503
                and "terminated" in two[0].json["detail"], "503", two[0])


# Changes

def resizing(checks, service, http):
    create(http, name="mine", template="python", processes=2)
    answer = change(http, "mine", processes=4)
    checks.equal("a pool grows", (answer.status, answer.json["processes"]), (200, 4))
    checks.that("… at once", wait_until(lambda: len(pids(http, "mine")) == 4, 5), 4,
                pids(http, "mine"))
    jobs = [submit(http, "mine", "wait", 0.6) for _ in range(4)]
    wait_until(lambda: pool(http, "mine")["running"] == 4, 5)
    later = submit(http, "mine", "pid")
    change(http, "mine", processes=1)
    states = [finished(http, job)["state"] for job in jobs]
    checks.equal("it shrinks and what runs goes on", states, ["succeeded"] * 4)
    checks.equal("… and so does what waits", finished(http, later)["state"], "succeeded")
    checks.that("… then there is one worker", wait_until(
        lambda: len(pids(http, "mine")) == 1, 5), 1, pids(http, "mine"))
    before = len(service.remember_processes())
    for count in [12, 1] * 12:
        change(http, "mine", processes=count)
    change(http, "mine", processes=3)
    wait_until(lambda: len(pids(http, "mine")) == 3, 10)
    checks.equal("after any number of changes it has what was asked for last",
                 len(pids(http, "mine")), 3)
    checks.that("… and no other process", wait_until(
        lambda: len(service.remember_processes()) <= before + 2, 8), before + 2,
        len(service.remember_processes()))
    slots = [worker["slot"] for worker in http.get("/v1/pools/mine/workers").json["workers"]]
    checks.at_most("… and its slots have small numbers", max(slots), 11)
    end(http, "mine")
    change(http, "default", processes=4)
    checks.that("configured pools can be resized", wait_until(
        lambda: len(pids(http, "default")) == 4, 5), 4, pids(http, "default"))
    change(http, "default", processes=2)
    handle = http.post("/v1/maps", {"task": "square", "items": list(range(16))}).json
    checks.equal("… and maps are cut by what they have", handle["chunksize"], 2)
    create(http, name="naps", template="shell", processes=1)
    job = submit(http, "naps", "nap", 0.7)
    change(http, "naps", processes=3)
    began = time.monotonic()
    more = [submit(http, "naps", "nap", 0.5) for _ in range(2)]
    for job in [job, *more]:
        finished(http, job)
    checks.at_most("a pool of programs grows", time.monotonic() - began, 1.2, "s")
    change(http, "naps", processes=1)
    began = time.monotonic()
    for job in [submit(http, "naps", "nap", 0.3) for _ in range(2)]:
        finished(http, job)
    checks.that("… and shrinks", time.monotonic() - began > 0.6, 0.6, time.monotonic() - began)
    end(http, "naps")


def pausing(checks, _service, http):
    create(http, name="mine", processes=2)
    for name in ("mine", "shell"):
        task = "nap" if name == "shell" else "sleep"
        running = submit(http, name, task, 0.3)
        wait_for_state(http, running, "running")
        answer = change(http, name, paused=True)
        checks.equal(f"{name} is paused", (answer.status, answer.json.get("paused")), (200, True))
        waiting = submit(http, name, task, 0)
        checks.equal("… what runs goes on", finished(http, running)["state"], "succeeded")
        time.sleep(0.2)
        handle = http.get(f"/v1/jobs/{waiting}").json
        checks.equal("… what comes is taken and waits", handle["state"], "queued")
        answer = change(http, name, paused=False)
        checks.equal("… until it is resumed", (answer.json.get("paused"),
                                               finished(http, waiting)["state"]),
                     (None, "succeeded"))
    end(http, "mine")


# Ends

def closing(checks, service, http):
    create(http, name="mine", template="python", processes=2, maxtasksperchild=1)
    jobs = [submit(http, "mine", "wait", 0.2) for _ in range(6)]
    answer = post(http, "/v1/pools/mine/close")
    checks.equal("a closed pool", (answer.status, answer.json["state"]), (200, "closing"))
    refused = http.submit("square", 2, pool="mine")
    checks.equal("… takes no more jobs", (refused.status, refused.json["code"]),
                 (409, "pool_not_running"))
    refused = http.post("/v1/maps", {"task": "square", "items": [1], "pool": "mine"})
    checks.equal("… and no maps", refused.json["code"], "pool_not_running")
    checks.equal("closing again is the same", post(http, "/v1/pools/mine/close").json["state"],
                 "closing")
    early = pool(http, "mine", "?wait_joined=0.1")
    checks.equal("a wait that is shorter ends in time", early["state"], "closing")
    handle = pool(http, "mine", "?wait_joined=20")
    checks.equal("join waits for all that it has", handle["state"], "joined")
    checks.equal("… all of it was done", [finished(http, job)["state"] for job in jobs],
                 ["succeeded"] * 6)
    living = [worker for worker in http.get("/v1/pools/mine/workers").json["workers"]
              if worker["state"] != "gone"]
    checks.equal("… and no worker is left", living, [])
    for how in ("close", "terminate"):
        answer = post(http, f"/v1/pools/mine/{how}")
        checks.equal(f"{how} of a joined pool is no change", (answer.status, answer.json["state"]),
                     (200, "joined"))
    checks.equal("a joined pool cannot be changed", change(http, "mine", processes=2).json["code"],
                 "pool_not_running")
    checks.equal("… but its name is free", create(http, name="mine")["state"], "running")
    end(http, "mine")
    create(http, name="idle", processes=1)
    began = time.monotonic()
    checks.equal("an idle pool is joined", end(http, "idle", "close")["state"], "joined")
    checks.at_most("… at once", (time.monotonic() - began) * 1_000, 1_500, "ms")
    with service.connection() as other:
        create(http, name="left", processes=1)
        other.send("GET", "/v1/pools/left?wait_joined=30")
    checks.equal("who leaves while waiting harms nobody", end(http, "left")["state"], "joined")


def terminating(checks, service, http):
    """Everything ends, each job is final before the answer, and whoever waits hears of it."""
    create(http, name="mine", template="python", processes=2)
    before = pids(http, "mine")
    heard = os.path.join(FOLDER, "heard")
    jobs = [submit(http, "mine", "wait", 300, heard), submit(http, "mine", "wait", 300)]
    for job in jobs:
        wait_for_state(http, job, "running")
    time.sleep(0.2)
    jobs += [entry["id"] for entry in http.post("/v1/jobs", [
        {"task": "wait", "args": [300], "pool": "mine"}] * 3_000).json["jobs"]]
    items = http.post("/v1/maps", {"task": "wait", "items": [300] * 50, "pool": "mine"}).json["id"]
    waited = {}

    def wait():
        with service.connection() as other:
            waited["job"] = other.get(f"/v1/jobs/{jobs[0]}?wait=20").json
            waited["at"] = time.monotonic()
    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    began = time.monotonic()
    answer = post(http, "/v1/pools/mine/terminate")
    took = time.monotonic() - began
    checks.equal("terminate", answer.status, 200)
    checks.at_most("… takes no longer than who does not hear SIGTERM", took, 3, "s")
    states = {}
    for job in jobs[:2] + jobs[-50:]:
        handle = http.get(f"/v1/jobs/{job}").json
        key = handle["state"], handle["error"]["code"]
        states[key] = states.get(key, 0) + 1
    checks.equal("… every job is final before it answers", states,
                 {("failed", "pool_terminated"): 52})
    counts = http.get("/v1/jobs?pool=mine&state=queued").json["jobs"]
    checks.equal("… nothing is queued", counts, [])
    handle = http.get(f"/v1/maps/{items}").json
    checks.equal("… maps are final, too", (handle["state"], handle["error"]["code"]),
                 ("failed", "pool_terminated"))
    thread.join()
    checks.equal("… who waits for a job hears of it", waited["job"]["error"]["code"],
                 "pool_terminated")
    checks.equal("its workers are gone", pool(http, "mine", "?wait_joined=5")["state"], "joined")
    checks.that("… indeed", wait_until(
        lambda: not any(look_at(pid) for pid in before), 3), "none", before)
    checks.equal("again: the same", post(http, "/v1/pools/mine/terminate").json["state"], "joined")
    create(http, name="naps", template="shell", processes=2)
    jobs = [submit(http, "naps", "nap", 300) for _ in range(4)]
    wait_for_state(http, jobs[0], "running")
    end(http, "naps")
    codes = {http.get(f"/v1/jobs/{job}").json["error"]["code"] for job in jobs}
    checks.equal("programs end, too", codes, {"pool_terminated"})


def scheduled_and_timed(checks, _service, http):
    """Jobs that wait for another attempt end at once; limits and cancels do not get in the way."""
    create(http, name="mine", template="python", processes=1)
    error = {"type": "E", "message": "m"}
    later = submit(http, "mine", "raise", error, max_attempts=9)
    wait_for_state(http, later, "scheduled")
    timed = submit(http, "mine", "wait", 300, timeout=0.05, max_attempts=9)
    wait_for_state(http, timed, "running")
    post(http, "/v1/pools/mine/terminate")
    found = [http.get(f"/v1/jobs/{job}").json for job in (later, timed)]
    checks.equal("what waits for another attempt has none",
                 [(job["state"], job["error"]["code"]) for job in found],
                 [("failed", "pool_terminated")] * 2)


def abandoned(checks, _service, http):
    create(http, name="mine", processes=1, idle_timeout=0.6)
    for _ in range(4):
        time.sleep(0.3)
        pool(http, "mine")
    checks.equal("a pool that is asked for stays", pool(http, "mine")["state"], "running")
    pool(http, "mine", "?wait_joined=1.2")
    checks.equal("… also while somebody waits for it", pool(http, "mine")["state"], "running")
    job = submit(http, "mine", "sleep", 60)
    wait_until(lambda: "mine" not in names(http), 5)
    handle = http.get(f"/v1/jobs/{job}").json
    checks.equal("one that nobody names is terminated", handle["error"]["code"],
                 "pool_terminated")
    found = pool(http, "mine", "?wait_joined=5")
    checks.that("… and says why", found["state"] == "joined"
                and "pool_abandoned" in found.get("reason", ""), "pool_abandoned", found)


# Crashes, limits

def start_again(service, http):
    """The service is killed, and the next one starts over the same folder, at another port."""
    service.remember_processes()
    service.kill()
    service.start()
    http.close()
    http.port = service.port


def restarts(checks, service, http):
    """Created pools are there after `kill -9`, as they were, and so is their queue."""
    create(http, name="mine", template="python", processes=1, initializer="tasks:begin",
           initargs=[1], idle_timeout=600)
    change(http, "mine", processes=2)
    create(http, name="paused", processes=1)
    change(http, "paused", paused=True)
    create(http, name="closed", processes=1)
    create(http, name="ended", processes=1)
    running = [submit(http, "mine", "wait", 0.5) for _ in range(2)]
    queued = [submit(http, "mine", "show", number) for number in range(20)]
    held = submit(http, "paused", "square", 5)
    last = [submit(http, "closed", "sleep", 0.3) for _ in range(3)]
    post(http, "/v1/pools/closed/close")
    end(http, "ended")
    before = pool(http, "mine")
    starting = threading.Thread(target=create_quietly, args=(service,))
    starting.start()
    wait_until(lambda: pool(http, "never").get("state") == "starting", 3)
    start_again(service, http)
    starting.join()
    handles = [finished(http, job) for job in running + queued]
    checks.equal("the queue of a created pool is run after kill -9",
                 [handle["state"] for handle in handles], ["succeeded"] * 22)
    setup = handles[-1]["result"]["setup"]
    checks.equal("… by workers as they were asked for",
                 (setup["pool"], setup["initializer"], setup["initargs"]),
                 ("mine", "tasks:begin", [1]))
    after = pool(http, "mine")
    same = ("name", "processes", "template", "created_at", "idle_timeout", "initializer", "tasks")
    checks.equal("the pool is as it was", {name: after.get(name) for name in same},
                 {name: before.get(name) for name in same})
    found = pool(http, "paused"), http.get(f"/v1/jobs/{held}").json
    checks.equal("a paused one is paused", (found[0].get("paused"), found[1]["state"]),
                 (True, "queued"))
    change(http, "paused", paused=False)
    checks.equal("… and can be resumed", finished(http, held)["result"], 25)
    checks.equal("a closed one runs to its end", pool(http, "closed", "?wait_joined=20")["state"],
                 "joined")
    checks.equal("… with all of its jobs", {finished(http, job)["state"] for job in last},
                 {"succeeded"})
    checks.equal("an ended one is", pool(http, "ended")["state"], "joined")
    checks.equal("one whose client was never told of it is not there", pool(http, "never")["code"],
                 "not_found")
    start_again(service, http)
    checks.equal("… nor after the next start", pool(http, "never")["code"], "not_found")
    for name in ("mine", "paused"):
        end(http, name)


def create_quietly(service):
    """Asks for a pool that is not ready before the service is killed."""
    try:
        with service.connection() as other:
            other.post("/v1/pools", {"name": "never", "template": "python",
                                     "initializer": "hangs"})
    except Exception:  # The service was killed.
        pass


def limits(checks, service, http):
    made = [create(http, processes=1)["name"] for _ in range(8)]
    answer = http.post("/v1/pools", {"processes": 1})
    checks.that("more pools than may be are refused", answer.status == 503
                and answer.json["code"] == "too_many_pools"
                and "--max-pools" in answer.json["detail"], "what to do", answer)
    end(http, made.pop())
    made.append(create(http, processes=1)["name"])
    for name in made:
        end(http, name)
    info = http.get("/v1/info").json["limits"]
    checks.equal("the limits are told", (info["pools_max"], info["pool_processes_max"]), (8, 12))
    for number in range(280):
        name = create(http, name=f"p{number}", processes=1)["name"]
        if run(http, "square", number, pool=name)["result"] != number * number:
            raise AssertionError(name)
        end(http, name, "close")
    checks.that("pools may come and go without end", pool(http, "p279")["state"] == "joined",
                "joined", pool(http, "p279"))
    checks.equal("… those that went first are forgotten", pool(http, "p0")["code"], "not_found")
    checks.equal("… but not their jobs", len(http.get("/v1/jobs?pool=p0").json["jobs"]), 1)
    text = http.get("/metrics").text
    labels = {line.split('pool="')[1].split('"')[0] for line in text.splitlines()
              if 'pool="' in line}
    checks.at_most("… and the labels of the metrics are bounded", len(labels), 80)
    checks.that("… those of the forgotten are given back", "p0" not in labels, "not p0", "p0")
    start_again(service, http)
    checks.equal("… the same after a start", run(http, "square", 3)["result"], 9)


def configured_pools(checks, service, http):
    """They can be closed and terminated, until the next start."""
    job = submit(http, "shell", "nap", 0.3)
    checks.equal("a configured pool is closed and joined", end(http, "shell", "close")["state"],
                 "joined")
    checks.equal("… with its jobs done", finished(http, job)["state"], "succeeded")
    answer = http.submit("nap", 0)
    checks.equal("… and takes no more", answer.json["code"], "pool_not_running")
    checks.equal("the service is ready all the same", http.get("/readyz").status, 200)
    start_again(service, http)
    checks.equal("at the next start it is there", run(http, "nap", 0)["state"], "succeeded")


def ended_before_ready(checks, _service, _http):
    """A configured pool that is ended before it had a worker does not keep the service starting."""
    slow = "pools:\n  slow: { worker: [/bin/sleep, '30'], processes: 1 }\n  default: {}\n"
    service = configured(slow)
    service.wanted_port = service.port = free_port()
    service.launch()
    wait_until(lambda: "listening" in service.log_text(), 10)
    with service.connection() as http:
        checks.equal("one whose worker is not ready is closed", end(http, "slow", "close")["state"],
                     "joined")
    checks.that("the service is ready", service.wait_ready(5))
    service.end()


def leftovers(checks, service, http):
    """With created pools of every kind nothing is left of the service."""
    for template in ("default", "python", "shell"):
        create(http, name=f"last-{template}", template=template)
    submit(http, "last-python", "wait", 300)
    submit(http, "last-shell", "nap", 300)
    service.remember_processes()
    checks.equal("SIGTERM ends the service", service.terminate(25), 0)
    checks.that("… and leaves nothing", wait_until(lambda: not service.left(), 2), [],
                service.left())
    service.start()
    http.close()
    http.port = service.port
    checks.that("the next start has the pools", set(names(http)) >= {"last-python", "last-shell"},
                "both", names(http))
    folder = os.path.join(service.data, "work-last-shell")
    checks.that("… and their folders", os.path.exists(folder), folder, os.listdir(service.data))
    post(http, "/v1/pools/last-shell/terminate")
    start_again(service, http)
    checks.that("the folder of one that was ended before a start goes with it",
                not os.path.exists(folder), "none", os.listdir(service.data))
    service.remember_processes()
    service.signal(signal.SIGKILL)
    checks.that("kill -9 leaves nothing either", wait_until(lambda: not service.left(), 5), [],
                service.left())


PARTS = [creation, kinds, keys, refusals, failed_starts, resizing, pausing, closing, terminating,
         scheduled_and_timed, abandoned, restarts, limits, configured_pools, ended_before_ready,
         leftovers]


def main():
    checks = Checks(seconds_max=240)
    wanted = sys.argv[1:]
    with configured(CONFIGURATION) as service, service.connection() as http:
        for part in PARTS:
            if not wanted or part.__name__ in wanted:
                checks.run((part, service, http))
    sys.exit(checks.finish())


if __name__ == "__main__":
    main()
