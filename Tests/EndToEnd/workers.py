#!/usr/bin/env python3
"""Workers in other languages: what they are told, what they tell, and what becomes of those that do
not keep to the worker protocol; a job's events.

Usage: LIDO_BIN=PATH workers.py
"""

import json
import os
import shutil
import signal
import sys
import time

from checks import Checks
from lido_process import (
    MARK, Service, configured, finished, free_port, is_listening, look_at, run, temporary_folder,
    wait_for_state, wait_until)
from line_workers import job_events, maps_of_workers
from line_workers.asking import pids, resident, submit
from line_workers.events import Events

HERE = os.path.dirname(os.path.abspath(__file__))
WORKER = os.path.join(HERE, "line_workers", "worker.py")
SHELL_WORKER = os.path.join(HERE, "..", "..", "Sources", "Examples", "Workers", "worker.sh")
FOLDER = temporary_folder()


def command(*arguments):
    """The test worker as the configuration has it; the variable lets the tests find it."""
    words = ", ".join(f'"{word}"' for word in (sys.executable, WORKER, *arguments))
    return f"worker: [{words}], inherit: [{MARK}]"


CONFIGURATION = f"""
allow_pickle: true
pools:
  default: {{ processes: 1 }}
  python: {{ {command()}, processes: 2, environment: {{ ANSWER: 42 }}, directory: "{FOLDER}",
             initializer: "tasks:prepare", initargs: [1, "two"], max_arguments: 1MiB, output: 1MiB,
             log: 4KiB, allow_pickle: true }}
  once: {{ {command()}, processes: 1, maxtasksperchild: 2, allow_main: true }}
  bounded: {{ {command("sorted")}, processes: 1 }}
tasks:
  hog: {{ memory: 100MiB }}
  wait: {{ timeout: 1 }}
"""
BAD_BEGINNINGS = f"""
pools:
  default: {{ processes: 1 }}
  silent: {{ {command("silent")}, processes: 1, ready_timeout: 0.3 }}
  failing: {{ {command("failing")}, processes: 2 }}
  dying: {{ {command("dying")}, processes: 1 }}
  early: {{ {command("early")}, processes: 1 }}
  missing: {{ worker: [/there/is/no/such/program], processes: 1 }}
  homeless: {{ {command()}, processes: 1, directory: /there/is/no/such/folder }}
"""


# Calls


def calls(checks, _service, http):
    number = 12345678901234567890
    job = run(http, "square", number, pool="python")
    checks.equal("a call and its value, exact", job["result"], number * number)
    job = run(http, "show", 1, kwargs={"a": None}, pool="python")
    shown = job["result"]
    checks.equal("what a call tells", shown["call"], {
        "call": shown["call"]["call"], "task": "show", "args": [1], "kwargs": {"a": None},
        "attempt": 1, "job": job["id"]})
    checks.equal("what the first message tells", {**shown["setup"], "slot": 0}, {
        "protocol": 1, "pool": "python", "slot": 0, "initializer": "tasks:prepare",
        "initargs": [1, "two"], "encoding": "pickle", "allow_main": False, "calls_max": None,
        "result_bytes_max": 1 << 20, "line_bytes_max": 3 << 20})
    names = sorted(name for name in shown["environment"] if name != "LC_CTYPE")
    checks.equal("a clean environment", names, sorted(["ANSWER", "LANG", "LIDO_CHANNEL", MARK,
                                                       "PATH"]))
    checks.equal("its folder", os.path.realpath(shown["folder"]), os.path.realpath(FOLDER))
    checks.equal("descriptors 0 to 3 and no other of the service", shown["descriptors"],
                 [0, 1, 2, 3])
    pool = http.get("/v1/pools/python").json
    found = [pool[name] for name in ("kind", "dynamic", "allow_pickle", "allow_main")]
    checks.equal("the pool", found, ["persistent", True, True, False])
    checks.that("… knows what its workers told", "square" in pool["tasks"], "square", pool)
    error = {"type": "KeyError", "message": "'a'", "args": ["a", {"pickle": "gAQ="}],
             "module": "builtins", "traceback": "at x", "pickle": "gASV"}
    job = run(http, "raise", error, pool="python")
    checks.equal("an exception arrives whole", job["error"], {
        "code": "raised", "attempt": 1, **error})
    job = run(http, "raise", error, pool="bounded")
    checks.equal("… also where the members of its message are in another order", job["error"], {
        "code": "raised", "attempt": 1, **error})
    job = run(http, "say", 2, pool="bounded")
    checks.equal("… and so do progress and items", (job["state"], job.get("result")),
                 ("succeeded", 2))
    job = run(http, "no:such", pool="python")
    found = job["error"]["code"], job["error"]["type"]
    checks.equal("a name that cannot be found", found, ("raised", "TaskNotFound"))
    checks.equal("without a pool it goes to the only dynamic ones: ambiguous here",
                 http.submit("no:such").json["code"], "ambiguous_task")
    checks.equal("a name without a place is a mistake", http.submit("no_such").json["code"],
                 "unknown_task")


def lifetime(checks, _service, http):
    before = pids(http, "once")
    first = [run(http, "pid", pool="once")["result"] for _ in range(5)]
    checks.equal("a worker is replaced after its calls", len(set(first)), 3)
    checks.that("… the first was there before", first[0] in before, before, first)
    job = run(http, "retire", pool="bounded")
    wait_until(lambda: pids(http, "bounded") - {job["result"]}, 5)
    again = run(http, "pid", pool="bounded")
    checks.that("one that retires has a successor", again["result"] != job["result"], "another",
                again)
    # Its successor may run before it has ended.
    gone = wait_until(lambda: [
        worker for worker in http.get("/v1/pools/bounded/workers").json["workers"]
        if worker["pid"] == job["result"] and "exitcode" in worker], 5)
    checks.equal("… and has ended well", [worker["exitcode"] for worker in gone or []], [0])
    job = run(http, "end", 9, pool="python")
    found = job["error"]["code"], job["error"]["exitcode"]
    checks.equal("one that ends in a call loses that call", found, ("exited", 9))


def pickle_and_main(checks, service, http):
    job = run(http, "show", {"pickle": "gAQ="}, pool="python", encoding="pickle")
    checks.equal("a job may travel in pickle where that is allowed",
                 (job["result"]["call"]["encoding"], job["result"]["call"]["args"],
                  job["encoding"]), ("pickle", [{"pickle": "gAQ="}], "pickle"))
    answer = http.submit("show", pool="once", encoding="pickle")
    checks.equal("… and not elsewhere", (answer.status, answer.json["code"]),
                 (422, "pickle_not_allowed"))
    checks.equal("… nor with Swift tasks",
                 http.submit("echo", 1, encoding="pickle").json["code"], "pickle_not_allowed")
    job = run(http, "show", pool="once", main="/tmp/a b.py")
    checks.equal("a script may be named where that is allowed", job["result"]["call"]["main"],
                 "/tmp/a b.py")
    answer = http.submit("show", pool="python", main="/tmp/a.py")
    checks.equal("… and not elsewhere", (answer.status, answer.json["code"]),
                 (422, "main_not_allowed"))
    with configured(f"pools: {{ a: {{ {command()}, allow_pickle: true }} }}") as other:
        with other.connection() as client:
            checks.equal("the service has the last word",
                         client.submit("show", pool="a", encoding="pickle").json["code"],
                         "pickle_not_allowed")
    start_again(service, http)
    handle = http.get(f"/v1/jobs/{job['id']}").json
    checks.equal("what was said of a job outlives the service", handle, job)


def start_again(service, http):
    """The next service over the same folder, at another port."""
    if service.process.poll() is None:
        service.kill()
    service.start()
    http.close()
    http.port = service.port


def logs(checks, _service, http):
    one = run(http, "write", "out é\n", "err\n", pool="bounded")
    other = run(http, "write", "second\n", "", pool="bounded")

    def log(job, stream):
        return http.get(f"/v1/jobs/{job['id']}/logs?stream={stream}").text
    found = [log(one, "stdout"), log(one, "stderr"), log(other, "stdout"), log(other, "stderr")]
    checks.equal("what a call writes is its job's log", found, ["out é\n", "err\n", "second\n", ""])
    job = run(http, "write", "x" * 9_000 + "end", "", pool="python")
    text = log(job, "stdout")
    checks.that("a long log is cut in the middle", len(text) < 5_000 and "left out" in text
                and text.endswith("end"), "a mark", text[-100:])
    job = run(http, "end", 1, pool="bounded")
    job = run(http, "idle_writer", pool="bounded")
    time.sleep(0.5)
    later = run(http, "square", 1, pool="bounded")
    checks.equal("what is written while nothing runs is nobody's",
                 (log(job, "stderr"), log(later, "stderr")), ("", ""))


# Limits


def limits(checks, _service, http):
    job = run(http, "size", 1 << 20, pool="python")
    checks.equal("a result as large as may be", job["state"], "succeeded")
    before = pids(http, "python")
    job = run(http, "size", (1 << 20) + 1, pool="python")
    checks.equal("one that is larger fails", job["error"]["code"], "output_limit")
    job = run(http, "deep", 65, pool="python")
    checks.equal("one that is nested too deep fails", job["error"]["code"], "result_encoding")
    checks.equal("… the workers live on", pids(http, "python"), before)
    checks.equal("workers push nobody aside when they wake",
                 {os.sched_getscheduler(pid) for pid in before}, {os.SCHED_BATCH})
    answer = http.submit("count", "x" * (1 << 20), pool="python")
    checks.equal("arguments that are too many are refused", (answer.status, answer.json["code"]),
                 (413, "payload_too_large"))
    job = run(http, "count", "x" * 1_000_000, pool="python")
    checks.equal("many arrive", job["result"] > 1_000_000, True)
    job = run(http, "hog", 200, pool="python")
    checks.equal("memory is bounded as for other workers", job["error"]["code"], "memory_limit")
    began = time.monotonic()
    job = run(http, "wait", 20, pool="python")
    checks.equal("time is bounded", job["error"]["code"], "timed_out")
    checks.at_most("… SIGTERM ends it", (time.monotonic() - began) * 1_000, 1_800, "ms")


def cancelling(checks, _service, http):
    path = os.path.join(FOLDER, "heard")
    job = submit(http, "bounded", "wait", 20, path, timeout=30)
    wait_for_state(http, job, "running")
    time.sleep(0.2)
    began = time.monotonic()
    http.post(f"/v1/jobs/{job}/cancel", {"grace": 0.5})
    checks.equal("a call is cancelled", finished(http, job)["state"], "cancelled")
    took = (time.monotonic() - began) * 1_000
    checks.at_most("… by SIGKILL after its grace where SIGTERM is not enough", took, 1_300, "ms")
    checks.that("… not before", took > 450, 450, took)
    with open(path, encoding="utf-8") as file:
        checks.equal("… and the worker was told both ways", file.read(), "SIGTERM cancel")
    checks.equal("the next call runs", run(http, "square", 3, pool="bounded")["result"], 9)


# Faults

LOST = "the worker broke the protocol"
#: What a worker does, how its job ends and what is said of it.
MISDEEDS = [
    ("half a line", "exited", "exit status 3"), ("endless line", "worker_lost", "a line of more"),
    ("another's call", "worker_lost", "which it does not owe"),
    ("no json", "worker_lost", "not JSON"), ("NaN", "worker_lost", "not JSON"),
    ("line feed", "worker_lost", "not JSON"), ("no message", "worker_lost", "'hello'"),
    ("ready again", "worker_lost", "'ready' out of turn"), ("heir", "exited", "exit status 7"),
    ("close", "worker_lost", "closed its channel and went on"),
]


def misdeeds(checks, service, http):
    """Each ends one worker and one job; the other worker's job does not notice."""
    other = submit(http, "python", "say", 1, 60)
    wait_for_state(http, other, "running")
    busy = http.get(f"/v1/jobs/{other}").json["worker"]["pid"]
    memory = resident(service.pid)
    for how, code, words in MISDEEDS:
        wait_until(lambda: len(pids(http, "python")) == 2, 5)
        before = pids(http, "python") - {busy}
        began = time.monotonic()
        handle = finished(http, submit(http, "python", "misbehave", how))
        took = (time.monotonic() - began) * 1_000
        error = handle.get("error", {})
        checks.that(f"{how}: the job fails and says why", error.get("code") == code
                    and words in error.get("message", ""), (code, words), error)
        checks.that("… once, and that the service ended it", code != "worker_lost"
                    or error["message"].count(LOST) + error["message"].count("closed its ch") == 1
                    and error["message"].endswith("; the service ended it"), LOST, error)
        checks.at_most("… in time", took, 3_000 if how == "close" else 1_500, "ms")
        after = wait_until(lambda: len(pids(http, "python")) == 2 and pids(http, "python"), 5)
        checks.that("… and another worker takes its place", after and not before & after, "another",
                    (before, after))
    lines = [line for line in service.log_text().splitlines() if "ended unexpectedly" in line]
    checks.that("the log says why", any(
        "not JSON" in line and "; it was killed" in line for line in lines), "a fault", lines)
    grown = (resident(service.pid) - memory) >> 20
    checks.at_most("a line of 1 GB costs no more memory than a line may have", grown, 32, "MiB")
    checks.equal("the job beside it all runs on", http.get(f"/v1/jobs/{other}").json["state"],
                 "running")
    http.post(f"/v1/jobs/{other}/cancel", {"grace": 0})
    finished(http, other)


def answers_twice(checks, _service, http):
    wait_until(lambda: pids(http, "bounded"), 5)
    before = pids(http, "bounded")
    job = finished(http, submit(http, "bounded", "misbehave", "twice"))
    checks.equal("of two answers the first counts", job.get("result"), 1)
    checks.that("… and the second ends the worker", wait_until(
        lambda: pids(http, "bounded") and not pids(http, "bounded") & before, 5), "another", before)
    checks.equal("… whose slot works on", run(http, "square", 2, pool="bounded")["result"], 4)


def stops_reading(checks):
    """Nothing waits for a worker that does not read, and its time limit holds."""
    text = f"pools: {{ default: {{ processes: 1 }}, deaf: {{ {command('deaf')}, processes: 1 }} }}"
    with configured(text) as service, service.connection() as http:
        began = time.monotonic()
        job = submit(http, "deaf", "deaf", "x" * 4_000_000, timeout=0.5)
        wait_for_state(http, job, "running")
        took = max(one_job(http) for _ in range(20))
        checks.at_most("others do not wait for a worker that does not read", took, 100, "ms")
        error = finished(http, job)["error"]
        checks.equal("… and its job ends at its limit", error["code"], "timed_out")
        checks.at_most("… in time", (time.monotonic() - began) * 1_000, 2_500, "ms")


def one_job(http):
    began = time.monotonic()
    if run(http, "square", 2, pool="default")["result"] != 4:
        raise AssertionError("2 * 2")
    return (time.monotonic() - began) * 1_000


def bad_beginnings(checks):
    """A pool whose workers never become ready breaks, and says why; the others work."""
    reasons = {
        "silent": "it was not ready in time",
        "failing": "a worker failed before it was ready: OSError: no disk",
        "dying": "ended before it was ready: there is no such module",
        "early": "an answer to call 1, which it does not owe",
        "missing": "'/there/is/no/such/program' cannot be executed: No such file",
        "homeless": "the folder '/there/is/no/such/folder' cannot be entered: No such file",
    }
    with configured(BAD_BEGINNINGS) as service, service.connection() as http:
        for name, words in reasons.items():
            pool = wait_until(lambda n=name: broken(http, n), 20) or {}
            checks.that(f"{name}: the pool breaks and says why", words in pool.get("reason", ""),
                        words, pool)
        answer = http.submit("square", 2, pool="missing")
        checks.that("… its jobs are told why", "/such/program" in answer.json["detail"],
                    "the program", answer.json)
        answer = http.submit("square", 2, pool="dying")
        checks.equal("… its jobs are refused", (answer.status, answer.json["code"]),
                     (409, "pool_not_running"))
        checks.equal("… and the other pool works", run(http, "square", 3)["result"], 9)
        service.remember_processes()
        checks.equal("SIGTERM ends the service", service.terminate(10), 0)
        checks.that("… and leaves nothing", wait_until(lambda: not service.left(), 2), [],
                    service.left())


def slow_to_start(checks):
    """Who wants a pool that is ready does not wait for another one."""
    text = "pools: { never: { worker: [sleep, '60'], processes: 1, ready_timeout: 60 } }"
    service = configured(text, "--processes", 1)
    service.wanted_port = service.port = free_port()
    service.launch()
    wait_until(lambda: is_listening(service), 10)
    with service.connection(timeout=30) as http, service.connection() as other, \
            service.connection() as lists:
        pool = wait_until(
            lambda: http.get("/v1/pools/default").json["state"] == "running", 10)
        checks.that("one pool is ready", pool, True, pool)
        checks.equal("… and the service is not", http.get("/readyz").status, 503)
        for what, members in (("names that pool", {"pool": "default"}), ("names none", {})):
            began = time.monotonic()
            answer = http.submit("square", 3, target="/v1/jobs?wait=9", **members)
            checks.equal(f"who {what} has its result", answer.json.get("result"), 9)
            checks.at_most("… at once", (time.monotonic() - began) * 1_000, 1_000, "ms")
        answer = http.post("/v1/maps?wait=9", {"task": "square", "items": [4], "pool": "default"})
        checks.equal("a map, too", answer.json["state"], "succeeded")
        lists.send("POST", "/v1/jobs", b'[{"task":"square","args":[3],"pool":"never"}]',
                   {"content-type": "application/json"})
        answer = http.post("/v1/jobs?wait=9", [{"task": "square", "args": [3], "pool": "default"},
                                               {"task": "square", "args": [4]}])
        checks.equal("a list, too", [job.get("result") for job in answer.json["jobs"]], [9, 16])
        checks.equal("… whatever other lists wait for", lists.has_answer(), False)
        answer = http.submit("square", 3, pool="no")
        checks.equal("a pool that there is not is told", answer.status, 422)
        other.send("POST", "/v1/jobs", b'{"task":"cube","args":[7]}',
                   {"content-type": "application/json"})
        http.submit("square", 3, target="/v1/jobs?wait=9")
        checks.equal("whose task may be the other's waits for it", other.has_answer(), False)
    service.end()


def broken(http, name):
    pool = http.get(f"/v1/pools/{name}").json
    return pool if pool["state"] == "broken" else None


def events_with_sync(checks):
    """What is told is on the disk, and still all of it is told, in order."""
    text = f"pools: {{ default: {{ processes: 1 }}, python: {{ {command()}, processes: 1 }} }}"
    with configured(text, "--sync", "always") as service, service.connection() as http:
        job_events.events(checks, service, http)
        job = submit(http, "python", "raise", {"type": "E", "message": "m"}, max_attempts=2)
        found = list(Events(service.port, job))
        states = [(event.data["state"], event.data["attempt"]) for event in found
                  if event.name == "state"]
        checks.that("each attempt is told", ("scheduled", 1) in states
                    and states[-1] == ("failed", 2), "both", states)


# The rest


def the_fork_server_dies(checks, service, http):
    """What ran is run again, by new workers of a new fork server."""
    wait_until(lambda: len(pids(http, "python")) == 2, 5)
    before = pids(http, "python")
    job = submit(http, "python", "say", 1, 0.5)
    wait_for_state(http, job, "running")
    forks = [process for process in service.remember_processes() if process.name == "lido-forks"]
    checks.equal("there is one fork server", len(forks), 1)
    os.kill(forks[0].pid, signal.SIGKILL)
    handle = finished(http, job)
    # Twice, if it was handed to the other worker before that was seen to be gone as well.
    checks.that("when it dies, what ran runs again", handle["state"] == "succeeded"
                and handle.get("interruptions") in (1, 2), "succeeded after 1 or 2 losses", handle)
    checks.that("… in new workers", wait_until(
        lambda: len(pids(http, "python")) == 2 and not pids(http, "python") & before, 5), "others",
        before)
    checks.that("… and the old ones are gone", wait_until(
        lambda: not any(look_at(pid) for pid in before), 3), "none", before)


def a_crash_of_the_service(checks, service, http):
    """What ran runs again, and no worker outlives the service."""
    job = submit(http, "python", "say", 1, 0.6)
    wait_for_state(http, job, "running")
    service.remember_processes()
    service.kill()
    checks.that("no worker outlives the service", wait_until(lambda: not service.left(), 3), [],
                service.left())
    start_again(service, http)
    handle = finished(http, job)
    checks.equal("what was cut off runs again", (handle["state"], handle.get("interruptions")),
                 ("succeeded", 1))


def killed_workers(checks, _service, http):
    wait_until(lambda: len(pids(http, "python")) == 2, 5)
    job = submit(http, "python", "say", 1, 20)
    wait_for_state(http, job, "running")
    pid = http.get(f"/v1/jobs/{job}").json["worker"]["pid"]
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    error = finished(http, job)["error"]
    checks.equal("a worker that is killed loses its call", (error["code"], error["signal"]),
                 ("signalled", 9))
    checks.at_most("… at once", (time.monotonic() - began) * 1_000, 300, "ms")
    checks.that("it is gone", wait_until(lambda: look_at(pid) is None, 2), None, pid)


def a_worker_killed_again_and_again(checks, _service, http):
    """Each job has its value or says that its worker was killed; none hangs, none fails idly."""
    jobs = http.post("/v1/jobs", [of("say", 1, 0.002 * (number % 5)) for number in range(300)])
    jobs = [job["id"] for job in jobs.json["jobs"]]
    kills = 0
    end = time.monotonic() + 20
    while time.monotonic() < end:
        states = {http.get(f"/v1/jobs/{job}").json["state"] for job in jobs[-2:]}
        if states <= {"succeeded", "failed"}:
            break
        for pid in list(pids(http, "python"))[:1]:
            try:
                os.kill(pid, signal.SIGKILL)
                kills += 1
            except ProcessLookupError:
                pass
        time.sleep(0.05)
    handles = [finished(http, job) for job in jobs]
    codes = {handle["error"]["code"] for handle in handles if handle["state"] == "failed"}
    failed = sum(handle["state"] == "failed" for handle in handles)
    checks.that("jobs whose workers are killed succeed or say so", codes <= {"signalled"},
                "signalled", codes)
    checks.that("… at most one for each kill", failed <= kills, kills, failed)
    checks.that("… and somebody was killed", kills > 3, 3, kills)
    checks.note(f"{kills} kills, {failed} of {len(jobs)} jobs failed")


def of(task, *args):
    """A submission to the pool python."""
    return {"task": task, "args": list(args), "pool": "python"}


def pickle_is_forbidden_later(checks):
    """A job that was accepted in pickle does not run where that is not allowed any more."""
    path = os.path.join(FOLDER, "later.yaml")

    def configure(allows):
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"pools: {{ a: {{ {command()}, processes: 1, allow_pickle: {allows} }} }}")
    configure("true")
    with Service("--config", path, "--allow-pickle") as service:
        with service.connection() as http:
            first = submit(http, "a", "say", 1, 30)
            wait_for_state(http, first, "running")
            job = submit(http, "a", "show", {"pickle": "gAQ="}, encoding="pickle")
            http.post(f"/v1/jobs/{first}/cancel", {"grace": 0})
            checks.equal("it runs while it is allowed", finished(http, job)["state"], "succeeded")
            first = submit(http, "a", "say", 1, 30)
            wait_for_state(http, first, "running")
            job = submit(http, "a", "show", {"pickle": "gAQ="}, encoding="pickle")
        service.kill()
        configure("false")
        service.start()
        with service.connection() as http:
            wait_for_state(http, first, "running")
            http.post(f"/v1/jobs/{first}/cancel", {"grace": 0})
            checks.equal("… and not when it is not any more",
                         finished(http, job)["error"]["type"], "NotAllowed")


def in_shell(checks):
    """The example in another language."""
    if shutil.which("jq") is None:
        return checks.skip("the worker in shell", "there is no jq")
    with open(SHELL_WORKER, encoding="utf-8") as file:
        checks.at_most("it has 40 lines", len(file.readlines()), 40)
    text = f'pools: {{ shell: {{ worker: ["{os.path.realpath(SHELL_WORKER)}"], processes: 1 }} }}'
    with configured(text, "--processes", 1) as service, service.connection() as http:
        checks.equal("a sum", run(http, "sum", 1, 2, 3.5)["result"], 6.5)
        checks.equal("a program", run(http, "checksum", "abc")["result"],
                     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        checks.equal("texts", run(http, "upper", "a\nb", "c'\"$(id)")["result"],
                     ["A\nB", "C'\"$(ID)"])
        job = run(http, "upper", 7)
        checks.equal("an error", job["error"]["message"], "upper failed")
        log = http.get(f"/v1/jobs/{job['id']}/logs").text
        checks.that("… and why in its log", "jq: error" in log, "jq: error", log)
        job = submit(http, "shell", "countdown", 3)
        found = [event.data["message"] for event in Events(service.port, job)
                 if event.name == "progress"]
        checks.equal("progress", found, ["3 left", "2 left", "1 left"])
        checks.equal("the next call", run(http, "sum", 1)["result"], 1)
    # Tasks of other people, who may print anything.
    further = {"nothing": "cat > /dev/null", "blank": "echo ' '", "two": "echo 1; echo '[2]'",
               "text": "echo no JSON"}
    with open(SHELL_WORKER, encoding="utf-8") as file:
        text = file.read().replace('["sum"', json.dumps(["sum", *further])[:-1])
    path = os.path.join(FOLDER, "further.sh")
    with open(path, "w", encoding="utf-8") as file:
        for name, body in further.items():
            text = text.replace("task_sum()", f"task_{name}() {{ {body}; }}\ntask_sum()")
        file.write(text)
    text = f'pools: {{ shell: {{ worker: [/bin/sh, "{path}"], processes: 1 }} }}'
    with configured(text, "--processes", 1) as service, service.connection() as http:
        found = [run(http, name).get("result", "none") for name in further]
        checks.equal("what prints nothing, or much", found, [None, None, [1, [2]], "none"])
        checks.equal("the next call", run(http, "sum", 1)["result"], 1)
    return None


PARTS = [calls, lifetime, logs, limits, cancelling, misdeeds, answers_twice, killed_workers,
         a_worker_killed_again_and_again, *job_events.PARTS, *maps_of_workers.PARTS,
         pickle_and_main, the_fork_server_dies, a_crash_of_the_service]


def main():
    checks = Checks(seconds_max=240)
    wanted = sys.argv[1:]

    def is_wanted(part):
        return not wanted or any(word in part.__name__ for word in wanted)
    try:
        chosen = [part for part in PARTS if is_wanted(part)]
        if chosen:
            with configured(CONFIGURATION, "--processes", 1) as service:
                with service.connection(timeout=60) as http:
                    checks.run(*((part, service, http) for part in chosen))
                checks.equal("the service is still there", service.process.poll(), None)
                service.remember_processes()
                checks.equal("SIGTERM ends it", service.terminate(15), 0)
                checks.that("… and leaves no process", wait_until(lambda: not service.left(), 2),
                            [], service.left())
        others = [maps_of_workers.whole_chunks, events_with_sync, pickle_is_forbidden_later,
                  stops_reading, bad_beginnings, slow_to_start, in_shell]
        checks.run(*(part for part in others if is_wanted(part)))
    finally:
        status = checks.finish()
        shutil.rmtree(FOLDER, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
