#!/usr/bin/env python3
"""Maps: one call over many items, whole or one line at a time, and what goes wrong with them.

Usage: LIDO_BIN=PATH [LIDO_TEST_BIN=PATH] maps.py [ITEMS]

With ITEMS, only the stream of so many items with a reader that stops for 10 s: the memory of the
service is looked at (10,000,000 take some minutes).
"""

import json
import os
import socket
import struct
import sys
import threading
import time

from checks import Checks
from crowd import Crowd, cpu_seconds, size
from lido_process import (
    Broken, Service, binary, configured, temporary_folder, wait_until)

LINES = "application/x-ndjson"
SLOW = """
tasks:
  wait: { exec: [sh, -c, "sleep {0}; echo {0}"], result: json }
  odd: { exec: [sh, -c, "test {0} -ne 3 && echo {0}"], result: json }
pools:
  programs: { processes: 2 }
"""


def submit(http, task, items, target="/v1/maps", headers=None, **members):
    return http.post(target, {"task": task, "items": items, **members}, **(headers or {}))


def finished(http, identifier, seconds=60):
    """Waits for a map to be final and answers its handle."""
    answer = http.get(f"/v1/maps/{identifier}?wait={seconds}")
    if answer.status != 200 or not answer.json["ready"]:
        raise AssertionError(f"map {identifier} is not final after {seconds} s: {answer}")
    return answer.json


def lines_of(answer):
    return [json.loads(line) for line in answer.body.splitlines()]


class Upload:
    """A body of lines that is sent piece by piece, in chunks of HTTP."""

    def __init__(self, service, query):
        self.socket = socket.create_connection(("127.0.0.1", service.port), 20)
        self.socket.sendall(
            f"POST /v1/maps?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {LINES}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode())

    def send(self, *items):
        self.send_bytes("".join(f"{item}\n" for item in items).encode())

    def send_bytes(self, data):
        self.socket.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def fill(self):
        """Sends until the service takes no more. Nothing can be sent after that."""
        line = b'"' + b"x" * 65_000 + b'"\n'
        self.socket.settimeout(0.5)
        try:
            while True:
                self.send_bytes(line)
        except TimeoutError:
            self.socket.settimeout(20)

    def end(self):
        """Ends the body; the status and the body of the answer."""
        self.socket.sendall(b"0\r\n\r\n")
        return self.answer()

    def answer(self):
        data = b""
        while True:
            more = self.socket.recv(1 << 16)
            data += more
            head, _, body = data.partition(b"\r\n\r\n")
            if b"Content-Length: " in head:
                length = int(head.split(b"Content-Length: ")[1].split(b"\r")[0])
                if len(body) >= length:
                    return int(head.split(b" ")[1]), json.loads(body)
            if not more:
                raise Broken(f"no whole answer: {data[:200]}")

    def close(self):
        self.socket.close()


class Reader:
    """A stream of results that is read as slowly as one likes."""

    def __init__(self, service, identifier, query="", buffer=None):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", service.port))
        # HTTP/1.0: the body is what comes, to the end of the connection.
        self.socket.sendall(
            f"GET /v1/maps/{identifier}/results{query} HTTP/1.0\r\n"
            "Host: localhost\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        while self.file.readline().strip():
            pass

    def line(self):
        line = self.file.readline()
        return json.loads(line) if line else None

    def all(self):
        return [json.loads(line) for line in self.file]

    def close(self):
        self.file.close()
        self.socket.close()


def documents(checks, http):
    answer = submit(http, "square", list(range(1_000)), "/v1/maps?wait=20")
    handle = answer.json
    checks.equal("a map that was waited for", (answer.status, handle["state"]), (200, "succeeded"))
    checks.equal("is cut by Python's rule", (handle["chunks"], handle["chunksize"]), (8, 125))
    checks.equal("its items", handle["items"]["succeeded"], 1_000)
    checks.equal("its location", answer.get("location"), f"/v1/maps/{handle['id']}")
    result = http.get(handle["result_url"])
    checks.equal("the list", result.json, [n * n for n in range(1_000)])
    lines = lines_of(http.get(handle["results_url"]))
    checks.equal("the stream in the order of input", [line.get("index") for line in lines[:-1]],
                 list(range(1_000)))
    checks.equal("its last line", lines[-1], {"done": True, "succeeded": 1_000, "failed": 0})
    lines = lines_of(http.get(handle["results_url"] + "?order=completion"))
    checks.equal("the order of completion has all", sorted(line["index"] for line in lines[:-1]),
                 list(range(1_000)))
    for order in "input", "completion":
        whole = lines_of(http.get(f"{handle['results_url']}?order={order}"))
        for after in 1, 124, 125, 126, 999, 1_000, 5_000:
            rest = lines_of(http.get(f"{handle['results_url']}?order={order}&after={after}"))
            if rest != (whole[after:] or whole[-1:]):
                checks.equal(f"{order} after {after}", rest[:2], whole[after:][:2])
    checks.that("a stream goes on after any line", True)
    checks.equal("chunks are in no list of jobs", http.get("/v1/jobs").json["jobs"], [])
    jobs = http.get(f"/v1/jobs?map={handle['id']}").json["jobs"]
    checks.equal("but in that of their map", [job["first"] for job in jobs],
                 list(range(875, -1, -125)))
    checks.equal("and each is a job", http.get(f"/v1/jobs/{jobs[-1]['id']}").json["result"][:3],
                 [0, 1, 4])
    checks.equal("that goes with its map", http.delete(f"/v1/jobs/{jobs[0]['id']}").status, 409)
    checks.equal("a map is forgotten", http.delete(f"/v1/maps/{handle['id']}").status, 204)
    checks.equal("with its chunks", (http.get(f"/v1/maps/{handle['id']}").status,
                                     http.get(f"/v1/jobs/{jobs[0]['id']}").status), (410, 404))


def small_maps(checks, http):
    handle = submit(http, "square", [], "/v1/maps?wait=5").json
    checks.equal("an empty map is final at once",
                 (handle["state"], http.get(handle["result_url"]).json), ("succeeded", []))
    handle = submit(http, "square", [[3], [4]], "/v1/maps?wait=5", star=True).json
    checks.equal("star", http.get(handle["result_url"]).json, [9, 16])
    handle = http.post(
        "/v1/maps?wait=5", b'{"task":"echo","items":["a,b]", {"c": [1, {}]},null, 1e400]}').json
    checks.equal("values pass as they are", http.get(handle["result_url"]).body,
                 b'["a,b]",{"c":[1,{}]},null,1e400]')
    answer = submit(http, "square", [1, 2, "x", 4, 5], "/v1/maps?wait=5", chunksize=2)
    handle = answer.json
    counts = {name: handle["items"][name] for name in ("succeeded", "failed", "skipped")}
    checks.equal("the first failing item ends its chunk, all others run", counts,
                 {"succeeded": 3, "failed": 1, "skipped": 1})
    refused = http.get(handle["result_url"])
    checks.equal("then there is no list", (refused.status, refused.json["error"]["code"]),
                 (424, "argument_decoding"))
    lines = lines_of(http.get(handle["results_url"]))
    checks.equal("the stream has each item", [
        line.get("value", line.get("error", {}).get("code")) for line in lines[:-1]],
        [1, 4, "argument_decoding", "skipped", 25])
    checks.equal("and adds up", lines[-1],
                 {"done": True, "succeeded": 3, "failed": 1, "skipped": 1})
    for fault, body in (
            ("no items", b'{"task":"square"}'), ("items that are none", b'{"items":3}'),
            ("chunksize 0", b'{"task":"square","items":[],"chunksize":0}'),
            ("an unknown member", b'{"task":"square","items":[],"args":[]}')):
        checks.equal(fault, http.post("/v1/maps", body).status, 400)
    checks.equal("an unknown task", submit(http, "nothing", [1]).status, 422)
    checks.equal("an unknown map", http.get("/v1/maps/there-is-none").status, 404)


def repeats(checks, http):
    first = submit(http, "square", [1, 2, 3], id="twice").json
    again = submit(http, "square", [1, 2, 3], id="twice")
    checks.equal("the same again is the first", (again.json["id"],
                 again.get("idempotent-replayed")), (first["id"], "true"))
    checks.equal("another payload", submit(http, "square", [1, 2, 4], id="twice").status, 422)
    key = {"idempotency_key": "order-1"}
    first = submit(http, "square", [5], headers=key).json
    checks.equal("by key", submit(http, "square", [5], headers=key).json["id"], first["id"])
    finished(http, "twice")
    handle = http.get("/v1/maps/twice")
    held = http.get("/v1/maps/twice", if_none_match=handle.get("etag"))
    checks.equal("what is held is not sent", (held.status, held.body), (304, b""))
    maps = http.get("/v1/maps?limit=1").json
    checks.equal("a list of maps, by pages", (len(maps["maps"]), "next" in maps), (1, True))
    checks.that("and on", http.get(maps["next"]).json["maps"][0]["id"] != maps["maps"][0]["id"])


def lines_in(checks, service, http):
    body = "".join(f"{n}\n" for n in range(5_000)).encode()
    answer = http.post("/v1/maps?task=square&id=lines&wait=20", body, LINES)
    checks.equal("lines", (answer.status, answer.json["state"], answer.json["total"]),
                 (200, "succeeded", 5_000))
    checks.equal("their list", http.get("/v1/maps/lines/result").json,
                 [n * n for n in range(5_000)])
    upload = Upload(service, "task=square&id=live")
    upload.send(1, 2)
    wait_until(lambda: http.get("/v1/maps/live").status == 200, 5)
    reader = Reader(service, "live")
    checks.equal("results come while items do", (reader.line(), reader.line()),
                 ({"index": 0, "value": 1}, {"index": 1, "value": 4}))
    checks.equal("its total is not known yet", http.get("/v1/maps/live").json["total"], None)
    upload.send_bytes(b"3\n4")
    checks.equal("a line in two pieces (1)", reader.line(), {"index": 2, "value": 9})
    upload.send_bytes(b"2\n\n")
    checks.equal("a line in two pieces (2)", reader.line(), {"index": 3, "value": 1764})
    status, handle = upload.end()
    checks.equal("the answer comes with the end", (status, handle["total"]), (202, 4))
    checks.equal("and the last line", reader.line(), {"done": True, "succeeded": 4, "failed": 0})
    upload.close()
    answer = http.post("/v1/maps?task=square&id=bad", b"1\n2\n\n{]\n5\n", LINES)
    checks.equal("a bad line", (answer.status, "line 4" in answer.json["detail"]), (400, True))
    handle = finished(http, "bad")
    checks.equal("what came before it counts",
                 (handle["state"], handle["total"], handle["items"]["succeeded"],
                  handle["error"]["code"]), ("failed", 2, 2, "invalid_item"))
    checks.equal("its last line tells", lines_of(http.get("/v1/maps/bad/results"))[-1]["error"]
                 ["code"], "invalid_item")
    for query in "task=nothing", "task=square&chunksize=x", "task=square&nothing=1", "":
        status = http.post(f"/v1/maps?{query}", b"1\n", LINES).status
        checks.member(f"refused: {query!r}", status, (400, 422))
    detail = http.post("/v1/maps?task=square&chunksize=x", b"1\n", LINES).json["detail"]
    checks.that("… in words of the query", "?chunksize=" in detail and "'x'" in detail, "?", detail)
    answer = http.post("/v1/maps?task=square", b"1\n2\n")
    checks.that("without the header of lines it is told", answer.status == 400
                and LINES in answer.json["detail"], LINES, answer.json)
    checks.equal("no lines at all", http.post(
        "/v1/maps?task=square&wait=5", b"", LINES).json["state"], "succeeded")


def breaking_off(checks, service, http):
    upload = Upload(service, "task=square&id=broken")
    upload.send(1, 2, 3)
    upload.send_bytes(b"4")
    wait_until(lambda: http.get("/v1/maps/broken").status == 200, 5)
    upload.close()
    handle = finished(http, "broken")
    checks.equal("a body that breaks off ends its map with what it had",
                 (handle["total"], handle["items"]["succeeded"], handle["error"]["code"]),
                 (3, 3, "broken_off"))
    submit(http, "sleep", [0.2] * 20, id="left", chunksize=1)
    for _ in range(20):
        reader = Reader(service, "left")
        reader.line()
        reader.close()
    handle = finished(http, "left")
    checks.equal("readers that disappear cost nothing", handle["items"]["succeeded"], 20)
    checks.that("and are let go", wait_until(lambda: streams(http) == 0, 5), 0, streams(http))


def reconnecting(checks, service, http):
    """A slow reader loses its connection while the map holds more than it may."""
    count, text = 30_000, "x" * 2_000

    def write():
        upload = Upload(service, "task=echo&id=slow")
        for start in range(0, count, 500):
            upload.send(*(f'"{n} {text}"' for n in range(start, start + 500)))
        upload.end()
        upload.close()

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: http.get("/v1/maps/slow").status == 200, 10)
    received, wrong, releases = 0, 0, 0
    # Each reads some, and then no more until the service can do nothing either.
    for more in 3_000, 1, 5_000, 6_000, count:
        reader = Reader(service, "slow", f"?after={received}", buffer=1 << 20)
        if reader.status != 200:
            break
        for _ in range(min(more, count - received)):
            line = reader.line()
            wrong += line != {"index": received, "value": f"{received} {text}"}
            received += 1
        if received < count:
            idle(http, "slow")
        first = Reader(service, "slow", "?after=0", buffer=1 << 16)
        releases += first.status == 410
        first.close()
        reader.close()
    if received == count:
        writer.join()
    checks.equal("a reader that comes again finds what it has not read", (received, wrong),
                 (count, 0))
    checks.that("although much was dropped", releases > 0, "a 410 before it", releases)
    http.post("/v1/maps/slow/cancel", {})
    writer.join()


def idle(http, identifier):
    """Waits until nothing more becomes of a map."""
    done = -1
    while True:
        now = http.get(f"/v1/maps/{identifier}").json["items"]["done"]
        if now == done:
            return
        done = now
        time.sleep(0.3)


def streams(http):
    for line in http.get("/metrics").text.splitlines():
        if line.startswith("lido_http_streams "):
            return int(line.split()[1])
    return None


def cancelling(checks, service, http):
    submit(http, "sleep", [30] * 3_000, id="long", chunksize=1)
    wait_until(lambda: http.get("/v1/maps/long").json["items"]["running"] > 0, 5)
    answer = http.post("/v1/maps/long/cancel", {"grace": 0})
    checks.equal("a cancel is taken", answer.status, 202)
    handle = finished(http, "long")
    checks.equal("nothing of it runs any more", (handle["state"], handle["items"]["skipped"]),
                 ("cancelled", 3_000))
    checks.equal("a second one is refused", http.post("/v1/maps/long/cancel", {}).status, 409)
    checks.equal("there is no list", http.get("/v1/maps/long/result").status, 424)
    upload = Upload(service, "task=sleep&id=cut&chunksize=1")
    upload.send(30, 30)
    wait_until(lambda: http.get("/v1/maps/cut").status == 200, 5)
    http.post("/v1/maps/cut/cancel", {"grace": 0})
    status, handle = upload.end()
    checks.equal("a map can be cancelled while its items come",
                 (status, handle["cancel_requested"], handle["error"]["code"]),
                 (202, True, "cancelled"))
    upload.close()
    checks.equal("one that is final has no wish left",
                 finished(http, "cut").get("cancel_requested"), None)


def held_back(checks):
    """Who is held back is waited for, however long, and is missed when its connection is reset.

    One that is killed with bytes in its socket leaves an orphan there, which Linux gives up after
    minutes; then the next probe is answered by a reset. SO_LINGER has it sent at once.
    """
    def ended(identifier):
        handle = http.get(f"/v1/maps/{identifier}").json
        return handle if handle["ready"] else None

    with Service("--processes", 2, "--body-timeout", 0.5) as service, service.connection() as http:
        read = Upload(service, "task=echo&chunksize=1&id=read")
        read.send(1)
        wait_until(lambda: http.get("/v1/maps/read").status == 200, 5)
        reader = Reader(service, "read", buffer=1 << 16)
        reader.line()
        read.fill()
        unread = Upload(service, "task=echo&chunksize=1&id=unread")
        unread.fill()
        for name in ("read", "unread"):
            checks.equal(f"{name}: who is held back is waited for",
                         wait_until(lambda: ended(name), 1), None)
        reader.close()
        for name, upload in (("read", read), ("unread", unread)):
            upload.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            upload.close()
            handle = wait_until(lambda: ended(name), 10)
            checks.equal(f"{name}: … and missed", (handle["state"], handle["error"]["code"]),
                         ("failed", "broken_off"))
            checks.equal(f"{name}: … and what came has run", handle["items"]["succeeded"],
                         handle["total"])


def full_queue(checks):
    with Service("--processes", 1, "--max-queued", 10) as service, service.connection() as http:
        checks.equal("more chunks than the queue has places",
                     submit(http, "square", [1] * 11, chunksize=1).status, 413)
        submit(http, "sleep", [0.5] * 8, id="first", chunksize=1)
        answer = submit(http, "square", [1] * 9, chunksize=1)
        checks.equal("a full queue", (answer.status, answer.json["code"]), (503, "queue_full"))
        body = b"".join(b"%d\n" % n for n in range(200))
        answer = http.post("/v1/maps?task=square&chunksize=1&wait=30", body, LINES)
        checks.equal("lines wait for room", (answer.status, answer.json["items"]["succeeded"]),
                     (200, 200))


def programs(checks):
    with configured(SLOW, "--processes", 1) as service, service.connection() as http:
        handle = submit(http, "odd", [1, 2, 3, 4, 5], "/v1/maps?wait=20", chunksize=4).json
        checks.equal("programs run items one by one",
                     (handle["items"]["succeeded"], handle["items"]["failed"],
                      handle["items"]["skipped"]), (3, 1, 1))
        lines = lines_of(http.get(handle["results_url"]))
        checks.equal("the values before the failure are kept",
                     [line.get("value") for line in lines[:2]], [1, 2])
        handle = submit(http, "wait", [0, 0, 0], "/v1/maps?wait=20", chunksize=3).json
        checks.equal("and a whole chunk of them", http.get(handle["result_url"]).json, [0, 0, 0])


def silent_clients(checks, service, http):
    """Many who send nothing cost the others nothing."""
    def cost():
        before = cpu_seconds(service)
        for _ in range(100):
            http.submit("square", 3)
        return cpu_seconds(service) - before

    alone = cost()
    count = size(4_000)
    head = (f"POST /v1/maps?task=square HTTP/1.1\r\nHost: localhost\r\nContent-Type: {LINES}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n").encode()
    with Crowd(service.port, count, head):
        wait_until(lambda: http.get("/v1/maps?limit=1").json["maps"] != [], 5)
        time.sleep(1)
        among = cost()
    checks.at_most(f"100 jobs among {count} clients that send nothing: CPU time more than alone",
                   among - alone, 0.15, "s")


def crash(checks):
    """kill -9 of the service in the middle of a map of 10,000 chunks."""
    folder = temporary_folder()
    path = os.path.join(folder, "runs")
    program = binary("LIDO_TEST_BIN") if os.environ.get("LIDO_TEST_BIN") else None
    if program is None:
        checks.skip("kill -9 in a map", "LIDO_TEST_BIN is not set")
        return
    service = Service("--processes", 2, program=program)
    with service, service.connection() as http:
        items = [[path, n] for n in range(10_000)]
        answer = submit(http, "append", items, star=True, chunksize=1, id="crash")
        checks.equal("10,000 chunks", (answer.status, answer.json["chunks"]), (202, 10_000))
        kills = 0
        while kills < 3:
            def is_on():
                return http.get("/v1/maps/crash").json["items"]["done"] > 1_500 * (kills + 1)
            wait_until(is_on, 30)
            service.kill()
            service.start()
            http = service.connection()
            kills += 1
        handle = finished(http, "crash")
        checks.equal("it goes on where it was", (handle["state"], handle["total"]),
                     ("succeeded", 10_000))
        checks.that("the whole result", http.get("/v1/maps/crash/result").json ==
                    list(range(10_000)), "0 … 9,999", "another list")
        with open(path, encoding="utf-8") as file:
            runs = [int(line) for line in file]
        twice = len(runs) - len(set(runs))
        # Calls of microseconds are handed to a worker up to 32 at a time, and only those can have
        # run without their answer in the journal; see maps_of_python.py for one at a time.
        checks.that("only chunks that a worker had at a kill ran twice", twice <= kills * 2 * 32,
                    f"at most {kills * 2 * 32}", twice)
        upload = Upload(service, "task=append&star=true&id=cut")
        upload.send(json.dumps([path, 1]))
        wait_until(lambda: http.get("/v1/maps/cut").json.get("items", {}).get("done"), 10)
        service.kill()
        service.start()
        http = service.connection()
        handle = finished(http, "cut")
        checks.equal("a crash while items come ends the input",
                     (handle["total"], handle["error"]["code"]), (1, "interrupted"))


def large(checks, count, pause, grows_max):
    """A stream of so many items with a reader that stops in the middle."""
    with Service("--processes", 2) as service:
        with service.connection() as http:
            before = resident(service.pid)
            writer = threading.Thread(target=write_all, args=(service, count))
            writer.start()
            wait_until(lambda: http.get("/v1/maps/large").status == 200, 10)
            reader = Reader(service, "large", buffer=1 << 16)
            began, most, total, line = time.monotonic(), 0, 0, b""
            for line in reader.file:
                total += 1
                if total == count // 3:
                    until = time.monotonic() + pause
                    while time.monotonic() < until:
                        most = max(most, resident(service.pid) - before)
                        time.sleep(0.2)
                if total % 50_000 == 0:
                    most = max(most, resident(service.pid) - before)
            writer.join()
            took = time.monotonic() - began
            checks.equal("every line came", (total - 1, json.loads(line)),
                         (count, {"done": True, "succeeded": count, "failed": 0}))
            checks.at_most(f"{count} items in {took:.0f} s: the service grew",
                           most / (1 << 20), grows_max, "MiB")
            checks.equal("what was taken is gone",
                         http.get("/v1/maps/large/result").status, 410)


def write_all(service, count):
    upload = Upload(service, "task=square&id=large")
    upload.socket.settimeout(600)
    for start in range(0, count, 10_000):
        numbers = range(start, min(start + 10_000, count))
        upload.send_bytes("\n".join(map(str, numbers)).encode() + b"\n")
    upload.end()
    upload.close()


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main():
    if len(sys.argv) > 1:
        checks = Checks(1_200)
        checks.run((large, int(sys.argv[1]), 10, 64))
        sys.exit(checks.finish())
    checks = Checks(240)
    with Service("--processes", 2) as service, service.connection(60) as http:
        checks.run((documents, http))
        checks.run((small_maps, http))
        checks.run((repeats, http))
        checks.run((lines_in, service, http))
        checks.run((breaking_off, service, http))
        checks.run((cancelling, service, http))
        checks.run((reconnecting, service, http))
    with Service("--processes", 2) as service, service.connection(60) as http:
        checks.run((silent_clients, service, http))
    checks.run(held_back)
    checks.run(full_queue)
    checks.run(programs)
    checks.run(crash)
    # Of 10,000,000 items 64 MiB are allowed, of which some 20 do not depend on how many there are.
    checks.run((large, 2_000_000, 2, 36))
    sys.exit(checks.finish())


if __name__ == "__main__":
    main()
