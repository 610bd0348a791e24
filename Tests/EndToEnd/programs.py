#!/usr/bin/env python3
"""Programs as tasks: what they get, what becomes of what they write, and how they end.

Usage: LIDO_BIN=PATH programs.py
"""

import os
import signal
import sys
import time

from checks import Checks
from lido_process import MARK, Broken, configured, finished, run, wait_for_state, wait_until

BOUND = 1.0
#: What leaves a process of its own group, and one of its own session.
STUBBORN = "sleep 100 & setsid sleep 100; wait"
#: Programs begin with a clean environment; this one variable lets the tests find them.
FLAGS = "--processes", 1
CONFIGURATION = f"""
tasks:
  shell: {{ exec: [sh, -c, "{{0}}"], inherit: [{MARK}] }}
  short: {{ exec: [sh, -c, "{{0}}"], inherit: [{MARK}], log: 64, timeout: 0.5 }}
  argv: {{ exec: [printf, "<%s>", "{{0}}", "{{name}}"], stdin: none }}
  upper: {{ exec: [tr, a-z, A-Z], stdin: "{{0}}" }}
  cat: {{ exec: [cat], result: json }}
  bytes: {{ exec: [cat], stdin: "{{0}}", result: bytes, content_type: image/png }}
  env: {{ exec: [env], environment: {{ ANSWER: 42 }}, stdin: none }}
  alone: {{ exec: [echo, alone], stdin: none }}
  loud: {{ exec: [sh, -c, "{{0}}"], log: 64MiB }}
  nothing: {{ exec: [there-is-no-such-program] }}
  relative: {{ exec: [./there, x], stdin: none }}
  square: {{ exec: [echo, program], stdin: none }}
  bounded: {{ exec: [head, -c, "{{0}}", /dev/zero], output: 1000, result: bytes }}
pools:
  programs: {{ processes: 2 }}
"""


def what_they_get(checks, http):
    value = run(http, "argv", "a b; $(id) `id` '\"", kwargs={"name": 1.25})["result"]
    checks.equal("arguments are never split or expanded", value, "<a b; $(id) `id` '\"><1.25>")
    checks.equal("a text argument as stdin", run(http, "upper", "grüße")["result"], "GRüßE")
    given = run(http, "cat", 1, "zwei", [3], kwargs={"k": None})["result"]
    checks.equal("all arguments as JSON on stdin", given,
                 {"args": [1, "zwei", [3]], "kwargs": {"k": None}})
    lines = dict(line.split("=", 1) for line in run(http, "env")["result"].splitlines())
    checks.equal("a clean environment", sorted(lines), sorted([
        "ANSWER", "HOME", "LANG", "LIDO_ATTEMPT", "LIDO_JOB_ID", "LIDO_TASK", "PATH", "PWD",
        "TMPDIR"]))
    checks.equal("what is configured for it", (lines["ANSWER"], lines["LIDO_TASK"]), ("42", "env"))
    listing = run(http, "shell", "pwd; ls -A; touch a; mkdir b; chmod 500 b")["result"]
    folder = listing.strip()
    checks.that("a working folder of its own, empty", listing == lines_of(folder), folder, listing)
    checks.that("which is removed with what is in it",
                wait_until(lambda: not os.path.exists(folder), 5), "gone", folder)
    left = [name for name in os.listdir(os.path.dirname(folder)) if not name.startswith("gone.")]
    checks.equal("and nothing else is left there", left, [])
    big = "x" * 3_000_000
    checks.equal("three megabytes through it", run(http, "upper", big)["result"], big.upper())
    checks.equal("a program that reads no stdin", run(http, "shell", "true")["result"], "")


def lines_of(*lines):
    return "".join(f"{line}\n" for line in lines)


def what_they_answer(checks, http):
    job = run(http, "bytes", "\x01\x7f€")
    checks.equal("bytes are told by type and size",
                 (job.get("result"), job["result_content_type"], job["result_size"]),
                 (None, "image/png", 5))
    answer = http.get(job["result_url"])
    checks.equal("and answered as they are", (answer.status, answer.body),
                 (200, "\x01\x7f€".encode()))
    checks.equal("with their type", answer.get("content-type"), "image/png")
    checks.equal("and no guessing", answer.get("x-content-type-options"), "nosniff")
    job = run(http, "shell", r"printf '\377'")
    checks.equal("text that is none", job["error"]["code"], "result_encoding")
    job = run(http, "bounded", 1000)
    checks.equal("as much as may be", job["result_size"], 1000)
    job = run(http, "bounded", 1_000_000_000)
    checks.equal("one that does not stop writing", job["error"]["code"], "output_limit")


def what_is_told(checks, http):
    tasks = {task["name"]: task for task in http.get("/v1/tasks").json["tasks"]}
    checks.equal("a program's arguments are told", tasks["argv"].get("program"),
                 {"positional": 1, "named": ["name"], "any_arguments": False, "result": "text"})
    takes = {name: tasks[name]["program"]["any_arguments"] for name in ("alone", "cat")}
    checks.equal("none is told from any, which come on stdin", takes,
                 {"alone": False, "cat": True})
    checks.equal("its limits", tasks["bounded"].get("limits"), {"output": 1000})
    checks.equal("its result", tasks["bytes"]["program"].get("content_type"), "image/png")
    checks.equal("of other tasks there is nothing to tell", sorted(tasks["factorial"]),
                 ["name", "pools"])
    pools = {pool["name"]: pool for pool in http.get("/v1/pools").json["pools"]}
    checks.equal("the kinds of pool", {name: pool["kind"] for name, pool in pools.items()},
                 {"default": "workers", "programs": "programs"})


def how_they_fail(checks, http):
    error = run(http, "shell", "echo first >&2; echo why >&2; exit 3")["error"]
    checks.equal("exit status", (error["code"], error["exitcode"]), ("exited", 3))
    checks.equal("the end of stderr", error["traceback"], "first\nwhy\n")
    checks.that("its last line", error["message"].endswith("exit status 3: why"), "why",
                error["message"])
    error = run(http, "shell", "kill -9 $$")["error"]
    checks.equal("a signal", (error["code"], error["signal"]), ("signalled", 9))
    error = run(http, "nothing")["error"]
    checks.that("a program that is not there",
                error["code"] == "raised" and "'there-is-no-such-program'" in error["message"]
                and "No such file" in error["message"], "a clear error", error)
    job = run(http, "shell", "test $LIDO_ATTEMPT = 2", max_attempts=2)
    checks.equal("a second attempt", (job["state"], job["attempt"]), ("succeeded", 2))
    for arguments, pointer in [((), "/args/0"), (("a", "b"), "/args/1")]:
        answer = http.submit("upper", *arguments)
        checks.equal(f"{len(arguments)} arguments for one",
                     (answer.status, answer.json["code"], answer.json["errors"][0]["pointer"]),
                     (422, "invalid_arguments", pointer))
    answer = http.submit("argv", "a", kwargs={"name": "b", "nome": "c"})
    checks.equal("an unknown name", answer.json["errors"][0]["pointer"], "/kwargs/nome")
    answer = http.submit("argv", "a\x00b", kwargs={"name": "b"})
    checks.equal("a NUL", answer.json["errors"][0]["pointer"], "/args/0")
    for args, kwargs, pointer in [([1], {}, "/args/0"), ([], {"a": 1}, "/kwargs/a")]:
        answer = http.submit("alone", *args, kwargs=kwargs)
        checks.equal(f"{args} {kwargs} for a program that takes and reads none",
                     (answer.status, answer.json.get("code"),
                      answer.json.get("errors", [{}])[0].get("pointer")),
                     (422, "invalid_arguments", pointer))
    checks.equal("it runs without any", run(http, "alone")["result"], "alone\n")


def one_name_twice(checks, service, http):
    """A program with the name of a built-in task: what runs is what is said."""
    handle = run(http, "square", 3)
    checks.equal("a name that a program shares runs in default without a pool",
                 (handle["pool"], handle["result"]), ("default", 9))
    handle = run(http, "square", pool="programs")
    checks.equal("and as a program in its own", (handle["pool"], handle["result"]),
                 ("programs", "program\n"))
    answer = http.submit("square", 3, pool="programs")
    checks.equal("where the arguments are the program's", answer.status, 422)
    lines = [line for line in service.log_text().splitlines() if "name of another task" in line]
    checks.that("the log says so", len(lines) == 1 and "task=square" in lines[0]
                and "in 'default'" in lines[0] and "lido.yaml:" in lines[0], "one line", lines)


def not_to_be_found(checks, service, http):
    """Programs that no job will be able to start are warned of, and fail their jobs clearly."""
    lines = [line for line in service.log_text().splitlines() if "cannot be started" in line]
    checks.that("a program that is not in PATH is warned of at the start",
                any("there-is-no-such-program" in line and "task=nothing" in line
                    and "lido.yaml:" in line for line in lines), "a warning", lines)
    checks.that("and one that is looked for in the job's empty folder",
                any("./there" in line and "task=relative" in line for line in lines),
                "a warning", lines)
    checks.equal("and no other", len([line for line in lines if "warning" in line]), 2)
    error = run(http, "relative")["error"]
    checks.equal("a program that cannot be started", (error["code"], error["type"]),
                 ("raised", "ProgramNotStarted"))
    error = run(http, "shell", "x" * 200_000)["error"]
    checks.equal("nor can one with an argument beyond the kernel's limit",
                 (error["code"], error["type"]), ("raised", "ProgramNotStarted"))


def logs(checks, http):
    job = run(http, "shell", "echo one >&2; echo two >&2; echo out")
    url = f"/v1/jobs/{job['id']}/logs"
    answer = http.get(url)
    checks.equal("the log", (answer.status, answer.text), (200, "one\ntwo\n"))
    checks.equal("where it goes on", answer.get("lido-next-offset"), "8")
    checks.equal("from an offset", http.get(f"{url}?after=4").text, "two\n")
    checks.equal("beyond the end", http.get(f"{url}?after=99").text, "")
    checks.equal("stdout is the result", http.get(f"{url}?stream=stdout").text, "")
    job = run(http, "shell", "echo out; exit 1")
    checks.equal("stdout of one that failed",
                 http.get(f"/v1/jobs/{job['id']}/logs?stream=stdout").text, "out\n")
    for query in ["stream=all", "after=-1", "after=x", "follow=maybe", "colour=red"]:
        checks.equal(f"?{query}", http.get(f"{url}?{query}").status, 400)
    job = run(http, "short", "for i in 0 1 2 3 4 5 6 7 8 9; do echo 123456789 >&2; done")
    text = http.get(f"/v1/jobs/{job['id']}/logs").text
    checks.that("a long log is cut in the middle, visibly",
                text.startswith("123456789\n") and text.endswith("123456789\n")
                and "[... 36 bytes left out ...]" in text, "a mark", text)
    checks.equal("a task that is no program",
                 http.get(f"/v1/jobs/{run(http, 'square', 3)['id']}/logs").text, "")


def following(checks, service, http):
    script = "echo begin >&2; while [ ! -e go ]; do sleep 0.01; done; echo end >&2"
    job = http.submit("shell", script).json["id"]
    with service.connection() as follower:
        follower.send("GET", f"/v1/jobs/{job}/logs?follow=true")
        checks.that("a running job's log grows",
                    wait_until(lambda: http.get(f"/v1/jobs/{job}/logs").text == "begin\n", 5),
                    "begin", http.get(f"/v1/jobs/{job}/logs"))
        pid = pid_of(http, job)
        with open(f"/proc/{pid}/cwd/go", "w", encoding="utf-8"):
            pass
        answer = follower.receive()
        checks.equal("a follower reads to the end", (answer.status, answer.text),
                     (200, "begin\nend\n"))
    job = http.submit("shell", "sleep 100").json["id"]
    wait_for_state(http, job, "running")
    with service.connection() as follower:
        follower.send("GET", f"/v1/jobs/{job}/logs?follow=1")
    checks.equal("a follower that leaves harms nobody",
                 http.post(f"/v1/jobs/{job}/cancel", {"grace": 0}).status, 202)
    checks.equal("it is cancelled", finished(http, job)["state"], "cancelled")


def following_attempts(checks, service, http):
    """Each attempt's log from its beginning, and nothing twice."""
    script = "echo try $LIDO_ATTEMPT >&2; echo out $LIDO_ATTEMPT; exit $((LIDO_ATTEMPT<3))"
    job = http.submit("shell", script, max_attempts=4).json["id"]
    url = f"/v1/jobs/{job}/logs"
    with service.connection() as errors, service.connection() as outputs:
        errors.send("GET", f"{url}?follow=true")
        outputs.send("GET", f"{url}?stream=stdout&follow=true")
        wait_for_state(http, job, "scheduled")
        checks.equal("between two attempts it is that of the last", http.get(url).text, "try 1\n")
        with service.connection() as late:
            late.send("GET", f"{url}?follow=true&after=4")
            checks.equal("who follows from the first attempt reads each from its beginning",
                         errors.receive().text, "try 1\ntry 2\ntry 3\n")
            checks.equal("what came later begins at its offset", late.receive().text,
                         "1\ntry 2\ntry 3\n")
        checks.equal("stdout of each that failed", outputs.receive().text, "out 1\nout 2\n")
    checks.equal("afterwards it is the last attempt's", http.get(url).text, "try 3\n")
    checks.equal("who comes then reads that", http.get(f"{url}?follow=true").text, "try 3\n")


def one_attempt_at_a_time(checks, service, http):
    """While an attempt runs, nothing is shown of the one before."""
    script = ("echo out $LIDO_ATTEMPT; test $LIDO_ATTEMPT = 2 || { echo first >&2; exit 1; }; "
              "while [ ! -e go ]; do sleep 0.01; done")
    job = http.submit("shell", script, max_attempts=2).json["id"]
    wait_for_state(http, job, "scheduled")
    checks.that("the second attempt runs", wait_until(
        lambda: http.get(f"/v1/jobs/{job}").json["state"] == "running", 5), "running", None)
    pid = pid_of(http, job)
    shown = [http.get(f"/v1/jobs/{job}/logs?stream={name}").text for name in ("stderr", "stdout")]
    checks.equal("the log of an attempt that wrote nothing yet", shown, ["", ""])
    with open(f"/proc/{pid}/cwd/go", "w", encoding="utf-8"):
        pass
    checks.equal("it ends", finished(http, job)["state"], "succeeded")


def a_follower_that_lags(checks, service, http):
    """Who does not even read a whole attempt until the next one ends is cut, visibly."""
    job = http.submit("loud", "head -c 40000000 /dev/zero >&2; exit 1", max_attempts=2).json["id"]
    with service.connection() as follower:
        follower.send("GET", f"/v1/jobs/{job}/logs?follow=true")
        checks.equal("both attempts fail", finished(http, job)["attempt"], 2)
        try:
            found = len(follower.receive().body)
        except Broken as error:
            found = str(error)
        checks.that("a follower that lags by an attempt sees that its answer is not whole",
                    isinstance(found, str), "a broken answer", found)
    with service.connection() as follower:
        checks.equal("who comes later reads the last one", len(follower.get(
            f"/v1/jobs/{job}/logs?follow=true").body), 40_000_000)


def following_a_rerun(checks, service, http):
    """What was cut off with the fork server is run again, and read again from its beginning."""
    script = "echo begin >&2; while [ ! -e go ]; do sleep 0.01; done; echo end >&2"
    job = http.submit("shell", script).json["id"]
    is_begun = lambda: http.get(f"/v1/jobs/{job}/logs").text == "begin\n"
    with service.connection() as follower:
        follower.send("GET", f"/v1/jobs/{job}/logs?follow=true")
        wait_until(is_begun, 5)
        first = pid_of(http, job)
        forks = [p for p in service.remember_processes() if p.name == "lido-forks"]
        service.signal_worker(forks[0].pid, signal.SIGKILL)
        again = wait_until(lambda: (pid_of(http, job) or first) != first and is_begun(), 10)
        checks.that("it runs again", again, "another pid", first)
        with open(f"/proc/{pid_of(http, job)}/cwd/go", "w", encoding="utf-8"):
            pass
        checks.equal("who follows reads the rerun from its beginning", follower.receive().text,
                     "begin\nbegin\nend\n")


def while_the_disk_is_waited_for(checks, _):
    """With `--sync always` memory is ahead of the disk all the time: that is no refusal."""
    with configured(CONFIGURATION, *FLAGS, "--sync", "always") as service:
        with service.connection() as http, service.connection() as follower:
            answers = set()
            for number in range(30):
                job = http.submit("shell", f"echo {number} >&2").json["id"]
                answers.add(http.get(f"/v1/jobs/{job}/logs").status)
                answer = follower.get(f"/v1/jobs/{job}/logs?follow=true")
                answers.add((answer.status, answer.text == f"{number}\n"))
                answers.add(http.get(f"/v1/jobs/{job}").json["state"])
            checks.equal("logs while records are synced, and jobs that have ended when they end",
                         answers, {200, (200, True), "succeeded"})


def pid_of(http, job):
    """The pid of a job's program, which may run a moment before the service hears that it does."""
    return wait_until(
        lambda: http.get(f"/v1/jobs/{job}").json.get("worker", {}).get("pid"), 5)


def nothing_left(checks, what, service):
    began = time.monotonic()
    sleeping = lambda: [p for p in service.left() if p.name == "sleep"]
    wait_until(lambda: not sleeping(), BOUND)
    took = (time.monotonic() - began) * 1_000
    checks.that(f"{what}: no process is left after {took:.0f} ms", not sleeping(), "none",
                sleeping())


def start_stubborn(service, http, task="shell", **members):
    """A job with a child of its own group and one of a session of its own, both seen to run."""
    job = http.submit(task, STUBBORN, **members).json["id"]
    def both():
        service.remember_processes()
        return len([p for p in service.left() if p.name == "sleep"]) == 2
    if not wait_until(both, 5):
        raise AssertionError(f"its children do not run: {service.left()}")
    return job


def nobody_survives(checks, service, http):
    job = start_stubborn(service, http)
    http.post(f"/v1/jobs/{job}/cancel", {})
    checks.equal("cancelled", finished(http, job)["state"], "cancelled")
    nothing_left(checks, "cancelled", service)

    job = start_stubborn(service, http, "short")
    checks.equal("timed out by its task", finished(http, job)["error"]["code"], "timed_out")
    nothing_left(checks, "timed out", service)

    job = start_stubborn(service, http, timeout=0.4)
    checks.equal("timed out by its own limit", finished(http, job)["error"]["code"], "timed_out")
    nothing_left(checks, "timed out by its own limit", service)

    job = start_stubborn(service, http)
    pid = pid_of(http, job)
    service.signal_worker(pid, signal.SIGKILL)
    checks.equal("killed by somebody", finished(http, job)["error"]["code"], "signalled")
    nothing_left(checks, "killed by somebody", service)


def after_kill(checks, service):
    with service.connection() as http:
        job = start_stubborn(service, http)
        done = run(http, "shell", "echo kept >&2")["id"]
    service.kill()
    nothing_left(checks, "kill -9 of the service", service)
    work = os.path.join(service.data, "work-programs")
    checks.that("a working folder is left behind", os.listdir(work), "one", os.listdir(work))
    service.start()
    with service.connection() as http:
        checks.equal("a log outlives the crash", http.get(f"/v1/jobs/{done}/logs").text, "kept\n")
        handle = wait_for_state(http, job, "running")
        checks.equal("what was cut off runs again", handle["interruptions"], 1)
        http.post(f"/v1/jobs/{job}/cancel", {"grace": 0})
        finished(http, job)
        checks.that("and its first folder is removed",
                    wait_until(lambda: not os.listdir(work), 5), [], os.listdir(work))
        http.delete(f"/v1/jobs/{done}")
        checks.equal("a log goes with its job", http.get(f"/v1/jobs/{done}/logs").status, 410)
        names = os.listdir(os.path.join(service.data, "logs"))
        checks.that("and its file, too", not any(n.startswith("%020d" % 2) for n in names), [],
                    names)


def shutting_down(checks, _):
    with configured(CONFIGURATION, *FLAGS, "--shutdown-grace", 1) as service:
        with service.connection() as http:
            start_stubborn(service, http)
        checks.equal("SIGTERM with a program that outlasts the grace", service.terminate(), 0)
        nothing_left(checks, "SIGTERM", service)
        service.start()
        with service.connection() as http:
            jobs = http.get("/v1/jobs").json["jobs"]
            checks.equal("it runs again after the next start", len(jobs), 1)
            checks.that("without counting an interruption",
                        wait_for_state(http, jobs[0]["id"], "running") is not None
                        and "interruptions" not in jobs[0], "none", jobs)


def main():
    checks = Checks(seconds_max=120)
    with configured(CONFIGURATION, *FLAGS) as service:
        with service.connection() as http:
            checks.run((what_they_get, http), (what_they_answer, http),
                       (what_is_told, http),
                       (how_they_fail, http), (logs, http),
                       (one_name_twice, service, http), (not_to_be_found, service, http),
                       (following, service, http), (following_attempts, service, http),
                       (one_attempt_at_a_time, service, http),
                       (a_follower_that_lags, service, http),
                       (following_a_rerun, service, http),
                       (nobody_survives, service, http))
        checks.run((after_kill, service))
    checks.run((while_the_disk_is_waited_for, None), (shutting_down, None))
    sys.exit(checks.finish())


if __name__ == "__main__":
    main()
