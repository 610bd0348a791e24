#!/usr/bin/env python3
"""Kills the service and its processes at random while clients work, and compares.

Usage: LIDO_TEST_BIN=PATH [LIDO_SEED=N] torture.py [KILLS]
"""

import os
import random
import signal
import sys
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(FOLDER), "EndToEnd"))

# pylint: disable=wrong-import-position
from clients import Client
from http_connection import Broken
from ledger import FINAL, Ledger
from lido_process import NotReady, free_port, pages, temporary_folder, wait_until
from map_deeds import map_pages
from target import FolderChecks, Target

CLIENTS = 5
PROCESSES = 4
#: What is done, and how often relative to the others.
DEEDS = {
    "service": 36, "service, again while it starts": 4, "service beside a stopped fork server": 4,
    "service and fork server": 4, "service beside its compactor": 5, "fork server": 10,
    "compactor": 9, "worker": 16, "stop service": 4, "stop fork server": 3, "stop worker": 3,
    "SIGTERM": 2,
}
#: How often a kill leaves a torn tail.
TORN = 0.1
#: How many jobs are asked for after each start: as many as a request line has room for.
SAMPLE = 120
#: How many maps.
SAMPLE_OF_MAPS = 5
#: Every so many kills the whole list is compared.
WHOLE_EVERY = 40


class Torture:
    """One service, its clients, and what is done to it."""

    def __init__(self, kills, seed):
        self._kills_max = kills
        self._plan = random.Random(f"{seed} kills")
        self._ledger = Ledger()
        self._work = os.path.join(temporary_folder(), "work")
        os.mkdir(self._work)
        self._service = Target(
            "--processes", PROCESSES, "--snapshot-interval", 0.2, "--shutdown-grace", 1,
            port=free_port(), ledger=self._ledger)
        self._checks = FolderChecks(self._ledger)
        self._clients = [
            Client(n, self._service, self._ledger, self._work, seed) for n in range(CLIENTS)]
        self._done = dict.fromkeys(DEEDS, 0)
        self._kills = self._starts = 0
        self._said = 0.0
        #: The number of kills at which the whole list is compared again.
        self._whole_at = WHOLE_EVERY

    def run(self):
        """All of it. Whether nothing was wrong."""
        self._start()
        for client in self._clients:
            client.start()
        try:
            while self._kills < self._kills_max and len(self._ledger.faults) < 100:
                time.sleep(min(self._plan.expovariate(1 / 0.15), 0.8))
                deed = self._plan.choices(list(DEEDS), list(DEEDS.values()))[0]
                self._do(deed)
                self._say()
            self._finish()
        except NotReady as error:
            self._ledger.fault(f"{error}")
        finally:
            for client in self._clients:
                client.is_over.set()
                client.is_given_up.set()
            self._service.end()
        return self._sum_up()

    # Deeds

    def _do(self, deed):
        self._ledger.kill = self._kills
        self._service.measure()
        if deed == "SIGTERM":
            self._drain()
        elif deed.startswith("stop"):
            self._stop_for_a_while(deed.removeprefix("stop "))
        elif deed.startswith("service"):
            self._kill_service(deed)
        else:
            roles = self._service.by_role()
            if deed == "compactor":
                process = self._service.await_compactor(0.6)
            else:
                found = roles["forks" if deed == "fork server" else "workers"]
                process = self._plan.choice(found) if found else None
            if process is None or not self._service.hit(process):
                return
            self._killed()
        self._done[deed] += 1

    def _killed(self):
        self._kills += 1
        self._ledger.kill = self._kills

    def _kill_service(self, deed):
        forks, resumed = self._service.by_role()["forks"], None
        if deed.endswith("stopped fork server"):
            for process in forks:
                self._service.hit(process, signal.SIGSTOP)
            time.sleep(self._plan.uniform(0, 0.1))
        if deed.endswith("compactor"):
            self._service.await_compactor(0.6)
            time.sleep(self._plan.uniform(0, 0.01))
        self._service.kill_life()
        self._killed()
        if deed.endswith("and fork server"):
            for process in forks:
                self._kills += self._service.hit(process)
        if deed.endswith("while it starts"):
            self._service.launch(*self._flags())
            time.sleep(self._plan.uniform(0, 0.08))
            self._service.kill_life()
            self._killed()
        if deed.endswith("stopped fork server"):
            self._service.launch(*self._flags())
            time.sleep(self._plan.uniform(0, 1))
            resumed = time.monotonic()
            for process in forks:
                self._service.hit(process, signal.SIGCONT)
            self._service.wait_ready()
            self._starts += 1
        else:
            if self._plan.random() < TORN and self._service.tear_tail(self._plan):
                self._ledger.count("tails torn")
            self._checks.begin(self._service)
            self._start()
        self._service.check_ended(resumed)
        self._compare_sample()
        if self._kills >= self._whole_at:
            self._compare_whole()

    def _flags(self):
        return ["--sync", self._plan.choice(["50", "50", "never", "always"])]

    def _start(self):
        self._service.restart(*self._flags())
        self._starts += 1

    def _drain(self):
        status = self._service.terminate(15)
        if status != 0:
            self._ledger.fault(f"SIGTERM: exit status {status}")
        self._check_nothing_left("after SIGTERM")
        self._start()
        self._compare_sample()

    def _stop_for_a_while(self, role):
        if role == "service":
            os.kill(self._service.pid, signal.SIGSTOP)
            time.sleep(self._plan.uniform(0.02, 0.5))
            os.kill(self._service.pid, signal.SIGCONT)
            return
        roles = self._service.by_role()
        found = roles["forks" if role == "fork server" else "workers"]
        if not found:
            return
        process = self._plan.choice(found)
        self._service.hit(process, signal.SIGSTOP)
        time.sleep(self._plan.uniform(0.02, 0.5))
        self._service.hit(process, signal.SIGCONT)

    # Comparisons

    def _compare_sample(self):
        """Some of the jobs that have to be there are."""
        expected = self._ledger.expected()
        ids = self._plan.sample(sorted(expected), min(SAMPLE, len(expected)))
        if not ids:
            return
        with self._service.connection() as http:
            response = http.get("/v1/jobs?" + "&".join(f"id={i}" for i in ids))
            if response.status != 200:
                self._ledger.fault(f"{len(ids)} jobs asked for by id: {response}")
                return
            self._compare_maps_of_sample(http)
        self._ledger.count("comparisons of a sample")
        for identifier, item in zip(ids, response.json["jobs"]):
            wish, told = expected[identifier]
            if "state" in item:
                self._ledger.compare(wish, told, item, "after a start")
            elif not wish.is_being_deleted:
                self._ledger.fault(f"after a start: {wish.name} is lost: {item}")

    def _compare_maps_of_sample(self, http):
        expected = self._ledger.expected_maps()
        for identifier in self._plan.sample(sorted(expected), min(SAMPLE_OF_MAPS, len(expected))):
            wish, told = expected[identifier]
            response = http.get(f"/v1/maps/{identifier}")
            if response.status == 200:
                self._ledger.compare(wish, told, response.json, "after a start")
            elif not wish.is_being_deleted:
                self._ledger.fault(f"after a start: map {wish.name} is lost: {response}")

    def _compare_whole(self, is_last=False):
        """Every job is there that has to be, and once; at the end no other, and all are final."""
        self._whole_at = self._kills + WHOLE_EVERY
        self._compare_maps(is_last)
        expected = self._ledger.expected()
        with self._ledger.lock:
            deleted = {w.id for w in self._ledger.wishes.values() if w.is_deleted}
        jobs, names = {}, {}
        with self._service.connection() as http:
            for page in pages(http, "/v1/jobs?limit=1000"):
                for job in page:
                    jobs[job["id"]] = job
                    names.setdefault(job["tags"][0], set()).add(job["id"])
        self._ledger.count("comparisons of all jobs")
        self._ledger.count("jobs in them", len(jobs))
        for identifier, (wish, told) in expected.items():
            if identifier in jobs:
                self._ledger.compare(wish, told, jobs[identifier], "in the list")
            elif not wish.is_being_deleted:
                self._ledger.fault(f"in the list: {wish.name}, {identifier} is lost")
        for name, ids in names.items():
            if len(ids) > 1 or name not in self._ledger.wishes:
                self._ledger.fault(f"{name} is there as {ids}, and was meant once")
        back = deleted & set(jobs)
        if back:
            self._ledger.fault(f"deleted and there again: {sorted(back)[:5]}")
        if is_last:
            self._compare_exactly(jobs, expected)

    def _compare_maps(self, is_last):
        """The same of maps."""
        expected = self._ledger.expected_maps()
        with self._ledger.lock:
            deleted = {w.id for w in self._ledger.maps.values() if w.is_deleted and w.id}
        with self._service.connection() as http:
            maps = map_pages(http)
        self._ledger.count("maps in comparisons of all", len(maps))
        for identifier, (wish, told) in expected.items():
            if identifier in maps:
                self._ledger.compare(wish, told, maps[identifier], "in the list of maps")
            elif not wish.is_being_deleted:
                self._ledger.fault(f"in the list: map {wish.name}, {identifier} is lost")
        back = deleted & set(maps)
        if back:
            self._ledger.fault(f"maps deleted and there again: {sorted(back)[:5]}")
        for identifier, one in maps.items() if is_last else ():
            if one["state"] not in FINAL:
                self._ledger.fault(f"stuck: {one}")
            wish = self._ledger.maps.get(one["tags"][0])
            if identifier not in expected and (wish is None or not wish.is_unknown):
                self._ledger.fault(f"nobody was told of {one}")

    def _compare_exactly(self, jobs, expected):
        unknown = 0
        for identifier, job in jobs.items():
            if job["state"] not in FINAL:
                self._ledger.fault(f"stuck: {job}")
            if identifier in expected:
                continue
            unknown += 1
            if not self._ledger.wishes[job["tags"][0]].is_unknown:
                self._ledger.fault(f"nobody was told of {job}")
        self._ledger.count("there, though its answer was lost", unknown)
        if len(jobs) != len(expected) + unknown:
            self._ledger.fault(f"{len(jobs)} jobs, {len(expected)} were acknowledged, {unknown} "
                               "were not")

    # The end

    def _finish(self):
        for client in self._clients:
            client.is_over.set()
        for client in self._clients:
            client.join(40)
        if any(client.is_alive() for client in self._clients):
            self._ledger.fault("a client is still at it")
            return
        def is_idle():
            with self._service.connection() as http:
                return not any(
                    http.get(f"/v1/{what}?state={state}&limit=1").json[what]
                    for state in ("scheduled", "queued", "running") for what in ("jobs", "maps"))
        if not wait_until(is_idle, 60):
            self._ledger.fault("jobs, or maps, are stuck")
        for client in self._clients:
            client.gone()
        self._compare_whole(is_last=True)
        self._service.kill_life()
        self._checks.begin(self._service)
        self._start()
        self._service.check_ended()
        self._compare_whole(is_last=True)
        status = self._service.terminate(15)
        if status != 0:
            self._ledger.fault(f"the last SIGTERM: exit status {status}")
        self._check_nothing_left("at the end")
        self._checks.begin(self._service)
        self._checks.finish()

    def _check_nothing_left(self, where):
        wait_until(lambda: not self._service.left(), 1.0)
        left = self._service.left()
        if left:
            self._ledger.fault(f"{where} there are processes: {left}")

    # Words

    def _say(self):
        now = time.monotonic() - self._ledger.began
        if now < self._said + 5:
            return
        self._said = now
        counts = self._ledger.counts
        print(f"[{now:5.0f} s] {self._kills} kills, {self._starts} starts, "
              f"{counts.get('jobs acknowledged', 0)} jobs, "
              f"{counts.get('finals told', 0)} ends told, {len(self._ledger.faults)} faults",
              flush=True)

    def _sum_up(self):
        ledger, service = self._ledger, self._service
        twice = os.path.join(self._work, "twice")
        if os.path.exists(twice):
            with open(twice, encoding="ascii") as file:
                ledger.fault(f"jobs ran twice at the same time: {file.read().split()[:20]}")
        self._check_costs()
        took = time.monotonic() - ledger.began
        print(f"\n{self._kills} kills and {self._starts} starts in {took:.0f} s "
              f"({self._kills / took:.1f} kills/s)")
        for what, number in self._done.items():
            print(f"  {number:8d} {what}")
        for what, number in sorted(ledger.counts.items()):
            print(f"  {number:8d} {what}")
        try:
            with open(os.path.join(self._work, "runs"), "rb") as file:
                print(f"  {sum(1 for _ in file):8d} attempts begun by workers")
        except FileNotFoundError:
            pass
        torn, starts = service.torn_tails()
        print(f"  {torn:8d} torn tails, in {starts} recoveries")
        for status, number in sorted(self._checks.statuses.items()):
            print(f"  {number:8d} times lido check said {status}")
        print(f"  slowest start {service.slowest_start:.2f} s; slowest end of what a kill left "
              f"{service.slowest_end:.2f} s")
        print(f"{len(ledger.faults)} faults" if ledger.faults else "nothing was wrong")
        if ledger.faults:
            print(f"the log ends: {service.log_text()[-1_500:]}")
        return not ledger.faults

    def _check_costs(self):
        resident, service = self._service.resident, self._service
        if len(resident) < 20:
            return
        fifth = len(resident) // 5
        first, last = (sorted(part)[fifth // 2] for part in (resident[:fifth], resident[-fifth:]))
        print(f"memory of the service: {first >> 20} MiB at first, {last >> 20} MiB at the end; "
              f"at most {service.descriptors_max} descriptors")
        if last > 2 * first + (32 << 20):
            self._ledger.fault(f"memory grows: {first} bytes at first, {last} at the end")
        if service.descriptors_max > 200:
            self._ledger.fault(f"{service.descriptors_max} descriptors were open")


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    seed = os.environ.get("LIDO_SEED") or str(random.SystemRandom().randrange(1 << 30))
    print(f"{kills} kills; LIDO_SEED={seed}", flush=True)
    # The bound in time, whatever hangs: the exit status says that it was met.
    signal.alarm(90 + 2 * kills)
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("out of time"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        return 0 if Torture(kills, seed).run() else 1
    except Broken as error:
        print(f"FAILED: {error}; LIDO_SEED={seed}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
