#!/usr/bin/env python3
"""`kill -9` of the service, again and again, while clients submit without a pause.

Usage: LIDO_BIN=PATH crash_of_service.py [ROUNDS [SEED]]

Every acknowledged job must be there at the end, once, with its right result, and what a client saw
as final must not have changed since. A job whose answer never came may be there or not, but once.
"""

import random
import sys
import threading
import time

from api_checks.expectations import check_handle, faults_of_handle, seconds
from checks import Checks
from lido_process import (
    FINAL, Broken, Service, all_jobs, finished, free_port, wait_for_state, wait_until)

PROCESSES = 4
CLIENTS = 4
QUEUED = 200


class Ledger:
    """What the clients know, kept outside the service."""

    def __init__(self):
        self.lock = threading.Lock()
        #: Per tag (one for each job that was meant): task, argument, key or None.
        self.meant = {}
        #: Per tag: the ids that were acknowledged. More than one is a duplicate.
        self.acknowledged = {}
        #: Final handles that a client saw: id to (state, finished_at, result).
        self.seen_final = {}
        self.refused = []
        self.replays = 0

    def note_meant(self, tag, task, argument, key):
        with self.lock:
            self.meant[tag] = (task, argument, key)

    def note_acknowledged(self, tag, response):
        with self.lock:
            self.acknowledged.setdefault(tag, set()).add(response.json["id"])
            self.replays += response.get("idempotent-replayed") == "true"

    def note_final(self, handle):
        with self.lock:
            self.seen_final[handle["id"]] = final_part(handle)

    def note_refused(self, tag, response):
        with self.lock:
            self.refused.append((tag, response))


def final_part(handle):
    """What of a final handle must never change again."""
    return handle["state"], handle.get("finished_at"), handle.get("result"), handle.get("error")


def is_right(handle, task, argument):
    """Whether a handle holds the right result of its task."""
    if handle["state"] != "succeeded":
        return False
    result = handle["result"]
    if task == "square":
        return result == argument * argument
    # `burn` answers its milliseconds, `sleep` its seconds.
    return result == argument


class Client(threading.Thread):
    """Submits without a pause, but keeps about `QUEUED` jobs waiting; outlives every crash."""

    def __init__(self, number, service, ledger, is_over, seed):
        super().__init__(daemon=True)
        self._number = number
        self._http = service.connection(timeout=5)
        self._ledger = ledger
        self._is_over = is_over
        self._random = random.Random(seed * 1_000 + number)
        self._count = 0
        self._mine = []
        self.fault = None

    def run(self):
        try:
            while not self._is_over.is_set():
                self._one_job()
                if self._count % 10 == 0:
                    self._leave_room()
                if self._count % 7 == 0:
                    self._look_at_one()
        except Exception as error:  # The main thread reports it.
            self.fault = error
        self._http.close()

    def _one_job(self):
        self._count += 1
        tag = f"c{self._number}-{self._count}"
        task, argument = self._random.choice(
            [("square", self._count), ("square", -self._count), ("burn", 20), ("sleep", 0.05)])
        has_key = self._random.random() < 0.3
        key = f"key-{tag}" if has_key else None
        self._ledger.note_meant(tag, task, argument, key)
        # A client with a key may ask again until it gets an answer, and some ask twice anyway.
        for _ in range(2 if has_key else 1):
            self._submit(tag, task, argument, key)

    def _submit(self, tag, task, argument, key):
        headers = {"Idempotency-Key": key} if key else {}
        while not self._is_over.is_set():
            try:
                response = self._http.submit(task, argument, tags=[tag], headers=headers)
            except Broken:
                if key is None:
                    self._wait_for_service()
                    return
                self._wait_for_service()
                continue
            if response.status == 202:
                self._ledger.note_acknowledged(tag, response)
                self._mine.append(response.json["id"])
            else:
                self._ledger.note_refused(tag, response)
            return

    def _wait_for_service(self):
        def answers():
            if self._is_over.is_set():
                return True
            try:
                return self._http.get("/livez").status == 200
            except Broken:
                return False
        wait_until(answers, 20)

    def _leave_room(self):
        def has_room():
            if self._is_over.is_set():
                return True
            try:
                return self._http.get("/v1/pools/default").json["queued"] < QUEUED
            except Broken:
                return True
        wait_until(has_room, 20)

    def _look_at_one(self):
        if not self._mine:
            return
        identifier = self._random.choice(self._mine[-400:])
        try:
            response = self._http.get(f"/v1/jobs/{identifier}")
        except Broken:
            return
        if response.status != 200:
            raise AssertionError(f"an acknowledged job, asked for: {response}")
        if response.json["state"] in FINAL:
            self._ledger.note_final(response.json)


class Torture:
    """One service, its clients, and the rounds of killing it."""

    def __init__(self, checks, rounds, seed, *flags):
        self.checks = checks
        self.rounds = rounds
        self.random = random.Random(seed)
        self.ledger = Ledger()
        self.is_over = threading.Event()
        self.service = Service(
            "--processes", PROCESSES, "--snapshot-interval", 1, *flags, port=free_port())
        self.seed = seed
        #: Per kill: its moment, and the jobs that ran just before.
        self.kills = []
        self.queued = []
        self.starts = []
        self.clients = []

    def run(self):
        self.service.start()
        self.clients = [
            Client(n, self.service, self.ledger, self.is_over, self.seed) for n in range(CLIENTS)]
        for client in self.clients:
            client.start()
        for number in range(self.rounds):
            self._let_work(self.random.uniform(0.8, 1.8))
            self._kill()
            if number % 5 == 3:
                # Killed again while it recovers.
                self.service.launch()
                self._pause(self.random.uniform(0, 0.06))
                self.service.kill()
            began = time.monotonic()
            self.service.start()
            self.starts.append(time.monotonic() - began)
        self._let_work(0.5)
        self.is_over.set()
        for client in self.clients:
            client.join(30)
        self.checks.equal("no client stumbled", [c.fault for c in self.clients if c.fault], [])
        self.checks.that("every client ended", not any(c.is_alive() for c in self.clients),
                         "ended", "still running")

    def _pause(self, duration):
        threading.Event().wait(duration)

    def _let_work(self, duration):
        self._pause(duration)

    def _kill(self):
        with self.service.connection() as http:
            self.queued.append(http.get("/v1/pools/default").json["queued"])
            workers = http.get("/v1/pools/default/workers").json["workers"]
        self.service.kill()
        self.kills.append((time.time(), {w["job"] for w in workers if "job" in w}))


def drain(torture):
    """Waits until nothing is open; every job, by id."""
    checks = torture.checks
    with torture.service.connection() as http:
        def is_idle():
            pool = http.get("/v1/pools/default").json
            return pool["queued"] == 0 and pool["running"] == 0
        checks.that("nothing is stuck: every job came to its end", wait_until(is_idle, 40),
                    "none queued, none running", http.get("/v1/pools/default"))
        jobs = all_jobs(http)
        open_jobs = [job for job in jobs if job["state"] not in FINAL]
        checks.that("no job is open", not open_jobs, [], open_jobs[:3])
        by_id = {job["id"]: job for job in jobs}
        checks.equal("the list holds every job once", len(jobs), len(by_id))
        return by_id


def check_ledger(torture, jobs):
    """Every acknowledged job: there, once, right, and as a client saw it."""
    checks, ledger = torture.checks, torture.ledger
    checks.that("nothing was refused", not ledger.refused, [], ledger.refused[:3])
    twice = {tag: ids for tag, ids in ledger.acknowledged.items() if len(ids) > 1}
    checks.that("one key, one job", not twice, {}, twice)
    checks.that("… and keys were used twice", ledger.replays > 0, "some", ledger.replays)
    lost = [ids for ids in ledger.acknowledged.values() if not ids <= set(jobs)]
    total = len(ledger.acknowledged)
    checks.that(f"none of {total} acknowledged jobs is lost", total > 0 and not lost, [], lost[:5])
    by_tag = {}
    for job in jobs.values():
        by_tag.setdefault(job["tags"][0], []).append(job)
    repeated = {tag: found for tag, found in by_tag.items() if len(found) > 1}
    checks.that("no job is there twice, acknowledged or not", not repeated, {},
                list(repeated.items())[:2])
    strangers = set(by_tag) - set(ledger.meant)
    checks.that("no job is there that nobody submitted", not strangers, set(), strangers)
    wrong = []
    for tag, found in by_tag.items():
        task, argument, _ = ledger.meant.get(tag, (None, None, None))
        for job in found:
            faults = faults_of_handle(job)
            if faults or job["task"] != task or not is_right(job, task, argument):
                wrong.append((faults, job))
            elif job["attempt"] != 1:
                wrong.append(("a crash of the service counts as no attempt", job))
    checks.that(f"all of {len(jobs)} jobs have their right result", not wrong, [],
                f"{len(wrong)}: {wrong[:3]}")
    changed = [
        (jobs.get(i), seen) for i, seen in ledger.seen_final.items()
        if i not in jobs or final_part(jobs[i]) != seen]
    checks.that(f"{len(ledger.seen_final)} handles that were seen final did not change",
                len(ledger.seen_final) > 0 and not changed, [], changed[:3])


def check_interruptions(torture, jobs):
    """What ran at a kill ran again, and says so."""
    checks = torture.checks
    again = ended = 0
    wrong = []
    for moment, running in torture.kills:
        for identifier in running:
            job = jobs.get(identifier)
            if job is None:
                continue
            if seconds(job["finished_at"]) <= moment:
                ended += 1
            elif job.get("interruptions", 0) >= 1 and seconds(job["started_at"]) > moment:
                again += 1
            else:
                wrong.append((moment, job))
    checks.that("what ran at a kill ran again, counted as an interruption", not wrong, [],
                f"{len(wrong)}: {wrong[:3]}")
    checks.that(f"… {again} jobs did ({ended} ended just before the kill)",
                again >= torture.rounds, f"at least {torture.rounds}", again)
    interrupted = [job for job in jobs.values() if job.get("interruptions", 0) > 0]
    first = torture.kills[0][0]
    early = [job for job in interrupted if seconds(job["started_at"]) < first]
    checks.that(f"{len(interrupted)} jobs tell of interruptions, and all ran after one",
                not early, [], early[:3])
    torture.checks.note(
        f"queued at the kills: {torture.queued}; seconds to be ready again: "
        f"{', '.join(f'{s:.2f}' for s in torture.starts)}")
    checks.that("some 200 jobs were queued at the kills",
                sorted(torture.queued)[len(torture.queued) // 2] >= QUEUED // 2, QUEUED,
                torture.queued)


def check_recovered(torture, jobs):
    """After one more kill and start everything reads the same."""
    torture.service.kill()
    torture.service.start()
    with torture.service.connection() as http:
        recovered = {job["id"]: job for job in all_jobs(http)}
    different = [i for i in jobs if recovered.get(i) != jobs[i]]
    torture.checks.that("after one more kill every handle reads the same",
                        len(recovered) == len(jobs) and not different, [],
                        [(jobs[i], recovered.get(i)) for i in different[:2]])


def torture(checks, rounds, seed, *flags):
    checks.note(f"{rounds} rounds, seed {seed}, flags {flags}")
    this = Torture(checks, rounds, seed, *flags)
    try:
        this.run()
        jobs = drain(this)
        check_ledger(this, jobs)
        check_interruptions(this, jobs)
        check_recovered(this, jobs)
    finally:
        this.is_over.set()
        this.service.end()


def jobs_that_must_not_loop(checks):
    """`on_interrupt` fail; and a job that is cut off three times is given up."""
    service = Service("--processes", 2)
    try:
        service.start()
        with service.connection() as http:
            once = http.submit("sleep", 60, on_interrupt="fail").json["id"]
            loops = http.submit("sleep", 60, id="loops").json["id"]
            for job in (once, loops):
                wait_for_state(http, job, "running")
        for number in (1, 2, 3):
            service.kill()
            service.start()
            with service.connection() as http:
                if number == 1:
                    handle = finished(http, once, 5)
                    check_handle(checks, "on_interrupt fail: the job failed", handle,
                                 state="failed", attempt=1)
                    checks.equal("… as interrupted", handle["error"]["code"], "interrupted")
                if number < 3:
                    handle = wait_for_state(http, loops, "running")
                    checks.that(f"cut off {number} times the job runs again",
                                handle is not None and handle.get("interruptions") == number,
                                f"running, interruptions {number}",
                                handle or http.get(f"/v1/jobs/{loops}"))
                else:
                    handle = http.get(f"/v1/jobs/{loops}").json
                    check_handle(checks, "cut off 3 times it is given up", handle, state="failed")
                    checks.equal("… as interrupted", handle.get("error", {}).get("code"),
                                 "interrupted")
    finally:
        service.end()


def what_survives(checks):
    """Every state and every option survives a kill that comes right after the answer."""
    service = Service("--processes", 1)
    try:
        service.start()
        with service.connection() as http:
            http.submit("echo", {"a": [1]}, tags=["t"], max_attempts=3, timeout=9, id="done",
                        target="/v1/jobs?wait=5")
            http.submit("fail", "x", id="failed", target="/v1/jobs?wait=5")
            http.submit("square", 1, id="forgotten", target="/v1/jobs?wait=5")
            http.delete("/v1/jobs/forgotten")
            http.submit("fail", "x", id="retried", max_attempts=2)
            wait_for_state(http, "retried", "scheduled")
            http.submit("sleep", 30, id="asked-to-end")
            wait_for_state(http, "asked-to-end", "running")
            http.submit("square", 1, id="cancelled")
            http.post("/v1/jobs/cancelled/cancel", {})
            finished(http, "cancelled")
            http.submit("square", 8, id="queued", headers={"Idempotency-Key": "k"})
            before = {i: http.get(f"/v1/jobs/{i}?include=args").json
                      for i in ("done", "failed", "cancelled", "queued", "retried")}
            http.post("/v1/jobs/asked-to-end/cancel", {"grace": 10})
        service.kill()
        service.start()
        with service.connection() as http:
            for identifier in ("done", "failed", "cancelled"):
                after = http.get(f"/v1/jobs/{identifier}?include=args").json
                checks.equal(f"the {identifier} job reads the same", after, before[identifier])
            checks.equal("the forgotten one is gone", http.get("/v1/jobs/forgotten").status, 410)
            again = http.submit("square", 8, id="queued", headers={"Idempotency-Key": "k"})
            checks.equal("the queued one is known under its key", (again.status, again.get(
                "idempotent-replayed")), (202, "true"))
            check_handle(checks, "… and runs", finished(http, "queued"), state="succeeded",
                         result=64, created_at=before["queued"]["created_at"])
            check_handle(checks, "the one that was to run again does",
                         finished(http, "retried"), state="failed", attempt=2)
            handle = finished(http, "asked-to-end", 15)
            check_handle(checks, "one whose cancel was accepted is cancelled", handle,
                         state="cancelled")
    finally:
        service.end()


def many_submissions_survive(checks):
    """`kill -9` right after the answer to many submissions: every acknowledged job is there."""
    service = Service("--processes", 2)
    acknowledged = {}
    wrong = []
    try:
        for number in range(5):
            service.start()
            count = (1, 10, 500, 3_000, 9_999)[number]
            values = [{"task": "square", "args": [n]} for n in range(count)]
            if number % 2:
                values = [{**v, "id": f"b{number}-{n}"} for n, v in enumerate(values)]
            with service.connection() as http:
                response = http.post("/v1/jobs", [*values, {"task": "nothing"}])
                service.kill()
            jobs = response.json["jobs"]
            if "state" in jobs.pop() or len(jobs) != count:
                wrong.append(jobs[:3])
            acknowledged.update((job["id"], n * n) for n, job in enumerate(jobs))
        service.start()
        with service.connection() as http:
            def is_idle():
                pool = http.get("/v1/pools/default").json
                return pool["queued"] == 0 and pool["running"] == 0
            wait_until(is_idle, 30)
            found = {job["id"]: job.get("result") for job in all_jobs(http)}
    finally:
        service.end()
    checks.equal("many submissions: all were accepted but the wrong one", wrong, [])
    lost = [i for i in acknowledged if i not in found]
    checks.that(f"none of {len(acknowledged)} is lost", not lost, [], lost[:5])
    strangers = [i for i in found if i not in acknowledged]
    checks.that("… none is there besides", not strangers, [], strangers[:5])
    differ = [(i, found[i]) for i in acknowledged if found.get(i) != acknowledged[i]]
    checks.that("… and each has its result", not differ, [], differ[:5])


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 30)
    checks = Checks(seconds_max=100 + 4 * rounds)
    checks.run(
        what_survives, many_submissions_survive, jobs_that_must_not_loop, (torture, rounds, seed),
        (torture, max(3, rounds // 6), seed, "--sync", "always"))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
