#!/usr/bin/env python3
"""Requests as bad clients send them: the right refusal, and nobody else notices.

Usage: LIDO_BIN=PATH hostile.py [REQUESTS [SEED]]

Each case of `hostile/` is sent on a connection of its own, once more between two good requests of
another kind, and to a service that asks for a token. After each, other clients get their own
answers from the same workers. Then requests that were good before they were stirred: REQUESTS of
them (default 2,000), from SEED.
"""

import os
import random
import select
import sys
import time

from checks import Checks
from hostile import CASES, door, fuzz
from hostile.bystander import Bystander
from hostile.case import BODY_MAX, DONE, NOISY
from hostile.judge import QUIET, jobs_in, judge
from hostile.wire import Wire
from lido_process import Service

TOKEN = "the-token-of-the-hostile-requests"
CONFIGURATION = """
tasks:
  pair: { exec: [printf, "%s %s", "{0}", "{name}"], stdin: none }
  noisy: { exec: [sh, -c, "echo text >&2; exit 3"], stdin: none }
pools:
  programs: { processes: 1 }
"""
#: Stirred requests between two looks at the rest of the service.
BETWEEN_LOOKS = 50
#: Seconds that the service is watched when all is over, and of CPU time that it may use then.
REST, REST_CPU_MAX = 0.5, 0.1


def service_of_cases(**more):
    """A service as the cases expect it, with the jobs that they look at."""
    service = Service("--processes", 2, "--max-body", BODY_MAX, **more)
    path = os.path.join(service.folder, "lido.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(CONFIGURATION)
    service.flags += ["--config", path]
    return service


def prepare(service, bystander, **headers):
    """The jobs that cases look at."""
    with service.connection() as http:
        for task, args, identifier in (("square", [7], DONE), ("noisy", [], NOISY)):
            body = {"task": task, "args": args, "id": identifier}
            answer = http.post("/v1/jobs?wait=10", body, **headers)
            if answer.status != 200:
                raise AssertionError(f"{identifier}: {answer}")
            bystander.jobs.add(identifier)


def alone(case, service, bystander):
    """What is wrong when a case has a connection of its own."""
    with Wire(service.port) as wire:
        wire.send(case.data)
        found, reply = judge(wire, case, case.answer)
        bystander.jobs |= jobs_in(reply) if reply else set()
        if found or case.answer.closes:
            return found
        mark = bystander.mark()
        wire.send(bystander.submission(mark))
        return bystander.faults_of(wire, mark, True) + left(wire)


def between(case, service, bystander):
    """What is wrong when it comes right behind a good request of another kind, and before one."""
    is_submission = not case.data.startswith(b"POST")
    before, after = bystander.mark(), bystander.mark()
    good = bystander.submission if is_submission else bystander.query
    with Wire(service.port) as wire:
        wire.send(good(before) + case.data + good(after))
        found = bystander.faults_of(wire, before, is_submission)
        faults, reply = judge(wire, case, case.answer)
        bystander.jobs |= jobs_in(reply) if reply else set()
        found += faults
        if found or case.answer.closes:
            return found
        return bystander.faults_of(wire, after, is_submission) + left(wire)


def left(wire):
    """More than the answers that were owed is too much."""
    return [f"and more: {wire.rest[:300]!r}"] if wire.rest else []


def each_case(checks, service, bystander):
    for case in CASES:
        if case.answer.by == "waits":
            continue
        found = alone(case, service, bystander) or between(case, service, bystander)
        found += bystander.faults()
        checks.that(case.name, not found, case.answer, found)


def requests_that_are_not_over(checks, service, bystander):
    cases = [case for case in CASES if case.answer.by == "waits"]
    wires = {}
    for case in cases:
        for is_behind in (False, True):
            wire = Wire(service.port)
            mark = bystander.mark()
            wire.send((bystander.query(mark) if is_behind else b"") + case.data)
            found = bystander.faults_of(wire, mark, False) if is_behind else []
            checks.that(f"{case.name}: what was asked before is answered", not found, "it", found)
            wires[wire] = case.name
    deadline = time.monotonic() + QUIET
    answered = []
    while time.monotonic() < deadline and not answered:
        answered = select.select(list(wires), [], [], max(0, deadline - time.monotonic()))[0]
    checks.equal("what is not over is not answered", [wires[wire] for wire in answered], [])
    for wire in wires:
        wire.close()
    found = bystander.faults()
    checks.that("and who leaves in the middle disturbs nobody", not found, "nothing", found)


def nothing_else_happened(checks, service, bystander):
    checks.equal("no other job came of it than those that were told of",
                 int(bystander.metric("lido_jobs_submitted_total")), len(bystander.jobs))
    before = cpu_seconds(service.pid)
    time.sleep(REST)
    checks.at_most("the service comes to rest", cpu_seconds(service.pid) - before, REST_CPU_MAX,
                   "s of CPU")
    found = bystander.faults()
    checks.that("and is well", not found, "well", found)


def cpu_seconds(pid):
    """CPU time that a process has used (man 5 proc)."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def corpus(checks):
    """Every case, where no token is asked for."""
    with service_of_cases() as service:
        bystander = Bystander(service.port)
        prepare(service, bystander)
        checks.run((each_case, service, bystander),
                   (requests_that_are_not_over, service, bystander),
                   (nothing_else_happened, service, bystander))


def strangers(checks):
    """Every case, where a token is asked for: 401 comes first."""
    with service_of_cases(environment={"LIDO_TOKENS": TOKEN}) as service:
        bystander = Bystander(service.port, TOKEN)
        prepare(service, bystander, Authorization=f"Bearer {TOKEN}")
        for case in CASES:
            if case.answer.by != "waits":
                found = min((at_the_door(case, answer, service) for answer in door.answers(case)),
                            key=len)
                found += bystander.faults()
                checks.that(f"without a token: {case.name}", not found, door.answers(case), found)
        nothing_else_happened(checks, service, bystander)


def at_the_door(case, expected, service):
    """What is wrong when a stranger sends it."""
    with Wire(service.port) as wire:
        wire.send(case.data)
        found, reply = judge(wire, case, expected)
        if reply is not None and reply.status == 401 and not found:
            challenge = reply.headers.get("www-authenticate")
            found += [] if challenge == 'Bearer realm="lido"' else [f"challenge {challenge!r}"]
        return found


def stirred_requests(checks, count, seed):
    """Requests that were good once."""
    with service_of_cases() as service:
        bystander = Bystander(service.port)
        prepare(service, bystander)
        faulty = []

        def after_each(number, data, found, jobs):
            bystander.jobs |= jobs
            if number % BETWEEN_LOOKS == 0:
                found = found + bystander.faults()
            if found:
                faulty.append(number)
                checks.that(f"request {number} of seed {seed}", False, "a sound answer",
                            f"{found} to {data[:600]!r}")

        fuzz.run(service.port, count, seed, after_each)
        checks.equal(f"{count} stirred requests of seed {seed}", faulty, [])
        before = cpu_seconds(service.pid)
        time.sleep(REST)
        checks.at_most("the service comes to rest", cpu_seconds(service.pid) - before,
                       REST_CPU_MAX, "s of CPU")
        found = bystander.faults()
        checks.that("and is well", not found, "well", found)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    checks = Checks(seconds_max=120 + count / 50)
    checks.note(f"{len(CASES)} cases; seed {seed}")
    checks.run(corpus, strangers, (stirred_requests, count, seed))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
