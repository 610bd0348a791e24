#!/usr/bin/env python3
"""The feed of completions of a pool: what ended, in its order, for one reader of thousands of jobs.

Usage: LIDO_BIN=PATH completions.py
"""

import glob
import json
import os
import signal
import sys
import threading
import time

from checks import Checks
from crowd import Crowd, metric
from lido_process import Service, finished, wait_until
from preload import SLOW_DISK, preloaded

FEED = "/v1/pools/default/completions"
KEPT = 65_536
DELAY = 0.4


def feed(http, after=None, wait=None, **more):
    """One answer of the feed: its JSON; raises when it is none."""
    answer = ask(http, after, wait, **more)
    if answer.status != 200:
        raise AssertionError(f"the feed after {after}: {answer}")
    return answer.json


def ask(http, after=None, wait=None, **more):
    """One answer of the feed, whatever it is."""
    return http.get(target(after, wait, **more))


def target(after=None, wait=None, **more):
    members = {"after": after, "wait": wait, **more}
    query = "&".join(f"{name}={value}" for name, value in members.items() if value is not None)
    return f"{FEED}?{query}" if query else FEED


def handle(entry):
    """The job, or the map, of a completion."""
    return entry.get("job") or entry["map"]


def ids(entries):
    return [handle(entry)["id"] for entry in entries]


def follow(http, after, count, seconds=60):
    """Reads on until so many have come, or the time is over; them, and the next place."""
    found = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        page = feed(http, after, wait=5)
        found += page["completions"]
        after = page["next"]
    return found, after


def bulk(http, task, arguments, prefix):
    """Submits jobs with ids of their own, at most 10,000 at once."""
    for start in range(0, len(arguments), 10_000):
        body = [{"task": task, "args": [value], "id": f"{prefix}-{index}"}
                for index, value in enumerate(arguments[start:start + 10_000], start)]
        answer = http.post("/v1/jobs", body)
        if answer.status != 200 or any("error" in job and "state" not in job
                                       for job in answer.json["jobs"]):
            raise AssertionError(f"{len(body)} jobs: {answer}")


def ended_in_journal(service):
    """The ids of jobs in the order in which they ended, as the journal has it."""
    names, ended = {}, []
    # The name of a segment is the number of its first record.
    for path in sorted(glob.glob(os.path.join(service.data, "journal-*")),
                       key=lambda path: int("".join(filter(str.isdigit, os.path.basename(path))))):
        with open(path, encoding="utf-8") as file:
            for line in file:
                record = json.loads(line)
                if "job_submitted" in record:
                    members = record["job_submitted"]
                    names[members["job"]] = None if "map" in members else members["id"]
                elif "job_ended" in record:
                    ended.append(names[record["job_ended"]["job"]])
    return [name for name in ended if name]


def order(checks, http):
    empty = ask(http, 0)
    checks.equal("a feed in which nothing ended", (empty.status, empty.json),
                 (200, {"completions": [], "next": 0}))
    checks.equal("depends on Prefer", empty.get("vary"), "Prefer")
    http.submit("sleep", 0.3, id="long")
    for number in range(5):
        http.submit("square", number, id=f"square-{number}")
    http.submit("fail", "no paper", id="fails")
    http.submit("crash", {"signal": 9}, id="crashes")
    http.submit("sleep", 60, id="never")
    cancelled = http.post("/v1/jobs/never/cancel", {}).status
    http.post("/v1/maps", {"task": "square", "items": list(range(20)), "id": "map"})
    http.post("/v1/maps", {"task": "square", "items": [], "id": "empty"})
    for name in "long", "square-4", "crashes":
        finished(http, name)
    finished_map = http.get("/v1/maps/map?wait=20").json
    found = feed(http, 0)
    names = ids(found["completions"])
    checks.equal("a cancel", cancelled, 202)
    checks.equal("each end is told once, in one feed", sorted(names), sorted(
        ["long", "fails", "crashes", "never", "map", "empty"]
        + [f"square-{number}" for number in range(5)]))
    checks.equal("one worker: what began first ended first",
                 [name for name in names if name not in ("never", "map", "empty")],
                 ["long"] + [f"square-{number}" for number in range(5)] + ["fails", "crashes"])
    checks.that("what was dropped from the queue ended before what ran at that moment",
                names.index("never") < names.index("long"), found=names)
    places = [entry["seq"] for entry in found["completions"]]
    checks.that("places grow", places == sorted(set(places)) and places[0] > 0, found=places)
    checks.equal("next is the last of them", found["next"], places[-1])
    for entry in found["completions"]:
        kind = "maps" if "map" in entry else "jobs"
        own = http.get(f"/v1/{kind}/{handle(entry)['id']}").json
        if handle(entry) != own:
            checks.equal(f"the handle of {own['id']}", handle(entry), own)
    checks.that("the handles are those of the jobs, with result or error", True)
    checks.equal("a map is one", finished_map["state"], "succeeded")
    return names, places


def pages(checks, http, names, places):
    found, after = [], 0
    while page := feed(http, after, limit=3)["completions"]:
        found += page
        after = page[-1]["seq"]
        if len(page) > 3:
            checks.equal("a page of 3", len(page), 3)
    checks.equal("pages of three are the whole", (ids(found), after), (names, places[-1]))
    checks.equal("without ?after= it begins with what is kept", ids(feed(http)["completions"]),
                 names)
    for index, place in enumerate(places):
        if ids(feed(http, place)["completions"]) != names[index + 1:]:
            checks.equal(f"after {place}", ids(feed(http, place)["completions"]),
                         names[index + 1:])
    checks.that("it goes on after any place", True)
    http.delete("/v1/jobs/square-1")
    http.delete(f"/v1/jobs/{names[-1]}" if names[-1] != "map" else "/v1/maps/map")
    rest = feed(http, 0)
    checks.equal("what was dropped is left out", ids(rest["completions"]),
                 [name for name in names[:-1] if name != "square-1"])
    checks.equal("but next goes past it", rest["next"], places[-1])


def bad_requests(checks, http):
    for query, words in (
            ("after=-1", "?after="), ("after=x", "?after="), ("after=", "?after="),
            ("after=1.5", "?after="), ("after=9223372036854775808", "?after="),
            ("after=99999999999999999999", "?after="),
            ("limit=0", "?limit="), ("limit=1001", "?limit="), ("limit=x", "?limit="),
            ("wait=soon", "?wait="), ("wait=-1", "?wait="), ("since=3", "'since'"),
            ("after=1&after=2", "twice")):
        answer = http.get(f"{FEED}?{query}")
        is_clear = answer.status == 400 and words in answer.json["detail"]
        if not is_clear or answer.json["code"] != "invalid_request":
            checks.equal(f"?{query}", answer, f"400 with {words}")
    checks.that("a query that is wrong is refused, with the word that is", True)
    answer = http.get("/v1/pools/nobody/completions")
    checks.equal("a pool that is not there", (answer.status, answer.json["code"]),
                 (404, "not_found"))
    answer = http.post(FEED, {})
    checks.equal("there is nothing to POST", answer.status, 405)
    for place in 1, 17, feed(http)["next"] + 1, 2 ** 53, 2 ** 63 - 1:
        answer = ask(http, place)
        if (answer.status, answer.json.get("code")) != (410, "gone"):
            checks.equal(f"after {place}, which was never told", answer, "410")
    checks.that("a place that was never told is gone", True)
    checks.equal("and next says where the feed is", ask(http, 17).json["next"],
                 feed(http)["next"])


def waits(checks, service, http):
    after = feed(http)["next"]
    began = time.monotonic()
    page = feed(http, after, wait=0.3)
    took = time.monotonic() - began
    checks.equal("a wait that brings nothing", page, {"completions": [], "next": after})
    checks.that("takes its time", 0.29 <= took < 5, "0.3 s", took)
    answer = http.get(target(after), prefer="wait=0.1")
    checks.equal("by Prefer, too", (answer.status, answer.get("preference-applied")),
                 (200, "wait=0.1"))
    with service.connection(timeout=70) as reader:
        reader.send("GET", target(after, wait=60))
        checks.that("it is counted", wait_until(
            lambda: metric(http, "lido_waiting_requests") == 1.0, 5))
        checks.equal("and waits", reader.has_answer(), False)
        http.submit("square", 9, id="awaited")
        page = reader.receive().json
        checks.equal("the next end answers it", ids(page["completions"]), ["awaited"])
        for name, end in (
                ("cancelled", lambda: http.post("/v1/jobs/cancelled/cancel", {})),
                ("taken", lambda: None)):
            after = page["next"]
            reader.send("GET", target(after, wait=60))
            wait_until(lambda: metric(http, "lido_waiting_requests") == 1.0, 5)
            if name == "cancelled":
                http.submit("sleep", 60, id=name)
                http.get("/v1/jobs/cancelled?wait=0.05")
            else:
                http.post("/v1/maps", {"task": "square", "items": [1, 2, 3], "id": name})
            end()
            page = reader.receive().json
            checks.equal(f"what is {name} ends the wait", ids(page["completions"]), [name])
    checks.equal("what there is answers at once", ids(feed(http, after, wait=60)["completions"]),
                 ["taken"])


def readers_that_vanish(checks, service, http):
    after = feed(http)["next"]
    request = f"GET {target(after, wait=60)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with Crowd(service.port, 200, request) as crowd:
        checks.that("200 wait", wait_until(
            lambda: metric(http, "lido_waiting_requests") == 200.0, 10))
        http.submit("square", 5, id="for-all")
        checks.equal("one end answers them all", crowd.answers(20), {b"HTTP/1.1 200 OK": 200})
    after = feed(http)["next"]
    request = f"GET {target(after, wait=60)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    with Crowd(service.port, 200, request):
        wait_until(lambda: metric(http, "lido_waiting_requests") == 200.0, 10)
    checks.that("when they leave, nobody waits any more", wait_until(
        lambda: metric(http, "lido_waiting_requests") == 0.0, 10), 0,
                metric(http, "lido_waiting_requests"))
    with service.connection() as reader:
        reader.send("GET", target(after, wait=60))
        http.submit("square", 6, id="after-all")
        checks.equal("and the next reader hears of what follows",
                     ids(reader.receive().json["completions"]), ["after-all"])


def thousands(checks, service):
    count = 20_000
    with service.connection(60) as http:
        after = feed(http)["next"]
        heard = [[], []]

        def read(index):
            with service.connection(90) as reader:
                heard[index] = follow(reader, after, count)[0]

        readers = [threading.Thread(target=read, args=(index,)) for index in range(2)]
        for reader in readers:
            reader.start()
        bulk(http, "square", list(range(count)), "many")
        for reader in readers:
            reader.join()
    names = ids(heard[0])
    checks.equal(f"{count} jobs through one feed, each once",
                 (len(names), len(set(names))), (count, count))
    checks.that("with their results", all(
        handle(entry)["result"] == int(handle(entry)["id"][5:]) ** 2 for entry in heard[0]))
    checks.that("two readers hear the same", heard[0] == heard[1])
    checks.that("in the order of the journal", ended_in_journal(service)[-count:] == names)


def large_results(checks, service):
    with service.connection(60) as http:
        after = end_of(http)
        for size, is_shown in ((65_000, True), (66_000, False)):
            http.submit("echo", "x" * size, id=f"of-{size}")
            page = feed(http, after, wait=20)
            job = handle(page["completions"][0])
            checks.equal(f"a result of {size} bytes is shown", "result" in job, is_shown)
            checks.equal("or said to be left out", job.get("outcome_omitted"),
                         None if is_shown else True)
            after = page["next"]
        whole = http.get("/v1/jobs/of-66000").json
        checks.equal("what was left out is with the job", len(whole["result"]), 66_000)
        http.submit("fail", "y" * 70_000, id="fails-long")
        job = handle(feed(http, after, wait=20)["completions"][0])
        checks.equal("a long error is left out", ("error" in job, job["outcome_omitted"]),
                     (False, True))
        after = end_of(http)
        bulk(http, "echo", ["z" * 60_000 for _ in range(100)], "wide-a")
        bulk(http, "echo", ["z" * 60_000 for _ in range(100)], "wide-b")
        finished(http, "wide-b-99")
        sizes, names = [], []
        while len(names) < 200:
            answer = ask(http, after, wait=5)
            sizes.append(len(answer.body))
            names += ids(answer.json["completions"])
            after = answer.json["next"]
        checks.that("12 MB come in several answers", len(sizes) >= 2, ">= 2", sizes)
        checks.at_most("of which none is larger than 8 MiB and a completion", max(sizes),
                       (8 << 20) + 70_000, "bytes")
        checks.equal("and nothing is left out for that", (len(set(names)), len(names)), (200, 200))


def end_of(http):
    """Where the feed ends, however long it is: what 410 says."""
    return ask(http, 2 ** 53).json["next"]


def a_feed_that_has_turned(checks, service):
    with service.connection(60) as http:
        before = end_of(http)
        bulk(http, "square", [7] * 70_000, "turn")
        finished(http, "turn-69999", 60)
        wait_until(lambda: http.get("/v1/jobs?state=queued&limit=1").json["jobs"] == []
                   and http.get("/v1/jobs?state=running&limit=1").json["jobs"] == [], 60)
        last = end_of(http)
        for place in 0, before:
            answer = ask(http, place)
            checks.equal(f"after {70_000} more the feed does not reach back to {place}",
                         (answer.status, answer.json["code"], answer.json["next"]),
                         (410, "gone", last))
        checks.that("and says what to do", "by its id" in answer.json["detail"],
                    found=answer.json["detail"])
        checks.equal("from there it goes on", feed(http, last), {"completions": [], "next": last})
        page = feed(http)
        names, after = ids(page["completions"]), page["next"]
        while page["completions"]:
            page = feed(http, after)
            names += ids(page["completions"])
            after = page["next"]
        checks.equal("kept are so many", (len(names), len(set(names)), after), (KEPT, KEPT, last))
        http.submit("square", 3, id="behind")
        checks.equal("and it goes on", ids(feed(http, last, wait=20)["completions"]), ["behind"])


def restarts(checks):
    for how in "terminate", "kill":
        with Service("--processes", 1) as service:
            with service.connection() as http:
                for number in range(10):
                    http.submit("square", number, id=f"n-{number}")
                finished(http, "n-9")
                http.delete("/v1/jobs/n-3")
                http.submit("sleep", 0.5, id="runs")
                wait_until(lambda: http.get("/v1/jobs/runs").json["state"] == "running", 5)
                before = feed(http, 0)
            if how == "kill":
                service.kill()
            else:
                checks.equal("SIGTERM ends it", service.terminate(), 0)
            service.start()
            with service.connection() as http:
                answer = ask(http, before["next"])
                checks.equal(f"after {how} a place of before is gone",
                             (answer.status, answer.json["code"]), (410, "gone"))
                found, _ = follow(http, 0, 10)
                names = ids(before["completions"])
                checks.equal("what is kept can be read again, in its order", ids(found),
                             names + ["runs"])
                checks.that("with places that nobody has heard of",
                            min(entry["seq"] for entry in found) > before["next"], found=found)
                old = [entry["seq"] for entry in before["completions"]]
                checks.equal("every place of before is gone",
                             {ask(http, place).status for place in old}, {410})
                after = answer.json["next"]
                checks.that("next leads to what came later", after in [
                    entry["seq"] for entry in found], found=after)
                if how == "kill":
                    checks.equal("and misses nothing", ids(feed(http, after)["completions"]),
                                 ["runs"])


def a_name_again(checks):
    """A pool of a name that an earlier one had, over starts: it tells what is its own."""
    with Service("--processes", 1) as service:
        def begin(http, word):
            http.post("/v1/pools", {"name": "p", "processes": 1})
            if word:
                http.submit("square", 2, id=word, pool="p")
                finished(http, word)

        def end(http):
            http.request("POST", "/v1/pools/p/terminate")
            http.get("/v1/pools/p?wait_joined=5")

        def again(http):
            service.kill()
            service.start()
            http.close()
            http.port = service.port

        def told(http):
            return ids(http.get("/v1/pools/p/completions?after=0").json["completions"])
        with service.connection() as http:
            begin(http, "first")
            end(http)
            begin(http, "second")
            checks.equal("a pool of the same name begins anew", told(http), ["second"])
            again(http)
            checks.equal("… after a start, too", told(http), ["second"])
            end(http)
            again(http)
            begin(http, None)
            checks.equal("… and when the earlier one was joined before it", told(http), [])


def who_waits_attends(checks):
    """A pool that ends when nobody is interested in it stays while somebody waits for its jobs."""
    with Service("--processes", 1) as service, service.connection() as http:
        http.post("/v1/pools", {"name": "p", "processes": 1, "idle_timeout": 0.5})
        answer = http.submit("sleep", 1.2, pool="p", target="/v1/jobs?wait=10")
        checks.equal("who submits and waits attends a pool", answer.json["state"], "succeeded")
        http.submit("sleep", 1.2, id="slow", pool="p")
        checks.equal("… and who waits for a job", http.get("/v1/jobs/slow?wait=10").json["state"],
                     "succeeded")
        http.submit("sleep", 1.2, id="events", pool="p")
        http.get("/v1/jobs/events/events")
        checks.equal("… and who reads its events", http.get("/v1/jobs/events").json["state"],
                     "succeeded")
        http.post("/v1/maps", {"task": "sleep", "items": [0.4] * 4, "chunksize": 1, "pool": "p",
                               "id": "map"})
        http.get("/v1/maps/map/results")
        checks.equal("… and who reads results of a map", http.get("/v1/maps/map").json["state"],
                     "succeeded")
        with service.connection() as other:
            other.send_bytes(
                b"POST /v1/maps?task=square&pool=p&id=lines HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(12):
                other.send_bytes(b"2\r\n7\n\r\n")
                time.sleep(0.1)
            other.send_bytes(b"0\r\n\r\n")
            checks.equal("… and who sends items", other.receive().status, 202)

        def state():
            return http.get("/v1/pools").json["pools"][-1]["state"]
        checks.that("then it ends", wait_until(lambda: state() == "joined", 5), found=state())
        checks.that("… and has no series any more", 'pool="p"' not in http.get("/metrics").text)


def a_drain(checks):
    with Service() as service:
        with service.connection() as http, service.connection() as reader:
            reader.send("GET", target(0, wait=60))
            wait_until(lambda: metric(http, "lido_waiting_requests") == 1.0, 5)
            service.signal(signal.SIGTERM)
            answer = reader.receive()
            checks.equal("a reader is told when the service ends", (answer.status, answer.json),
                         (200, {"completions": [], "next": 0}))
        checks.equal("and it ends", service.wait_end(10), 0)


def small_retention(checks):
    with Service("--retention-count", 5) as service, service.connection() as http:
        bulk(http, "square", list(range(200)), "kept")
        wait_until(lambda: http.get("/v1/jobs?state=queued").json["jobs"] == [], 20)
        finished(http, "kept-199") if http.get("/v1/jobs/kept-199").status == 200 else None
        found, after = [], 0
        while True:
            page = feed(http, after)
            found += page["completions"]
            if page["next"] == after:
                break
            after = page["next"]
        checks.that("what retention has dropped is left out, and next goes past it",
                    len(found) <= 6 and after == end_of(http), found=(ids(found), after))


def a_slow_disk(checks):
    library = preloaded(SLOW_DISK % int(DELAY * 1e9), "slow_disk")
    if library is None:
        return checks.skip("a slow disk", "there is no C compiler")
    with Service("--sync", "always", environment={"LD_PRELOAD": library}) as service:
        with service.connection() as http, service.connection() as other:
            http.submit("square", 3, id="nine")
            began = time.monotonic()
            checks.equal("with --sync always: an end that is not on the disk is not told",
                         feed(http, 0)["completions"], [])
            page = feed(http, 0, wait=20)
            checks.equal("then it is", ids(page["completions"]), ["nine"])
            took = time.monotonic() - began
            checks.that("once it is on the disk", took >= DELAY / 2, f">= {DELAY / 2} s", took)
            other.send("DELETE", "/v1/jobs/nine")
            time.sleep(DELAY / 4)
            began = time.monotonic()
            http.send("GET", target(0))
            time.sleep(DELAY / 4)
            checks.equal("nor that it was dropped", http.has_answer(), False)
            answer = http.receive().json
            checks.equal("before that is", (answer["completions"], other.receive().status),
                         ([], 204))
            checks.equal("and next has gone past it", answer["next"], page["next"])


def on_one_worker(checks):
    with Service("--processes", 1) as service, service.connection() as http:
        names, places = order(checks, http)
        pages(checks, http, names, places)
        bad_requests(checks, http)
        waits(checks, service, http)
        readers_that_vanish(checks, service, http)


def on_two(checks):
    with Service("--processes", 2, "--snapshot-interval", 3_600) as service:
        thousands(checks, service)
        large_results(checks, service)
        a_feed_that_has_turned(checks, service)


def main():
    checks = Checks(seconds_max=240)
    checks.run(on_one_worker, restarts, a_name_again, who_waits_attends, a_drain, small_retention,
               a_slow_disk, on_two)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
