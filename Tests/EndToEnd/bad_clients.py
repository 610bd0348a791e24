#!/usr/bin/env python3
"""Clients that wait, dawdle, stop reading or vanish cost little, and slow nobody else.

Usage: LIDO_BIN=PATH bad_clients.py

With a limit of open files below 20,000 the crowds are smaller.
"""

import resource
import socket
import statistics
import sys
import time

from checks import Checks
from crowd import (
    Crowd, client_sockets, cpu_seconds, descriptors, lowest_free, metric, resident_kilobytes, size,
    threads)
from lido_process import Service, finished, wait_for_state, wait_until

WAITING = 10_000
SLOW = 15_000
LEAVING = 300
STALLED = 40
KILOBYTES_MAX = 20
POST_MS_MAX = 20.0
HALF_MS_MAX = 5.0
#: What the service gives a header, and a client that takes nothing of its answer (it looks at such
#: a client four times within that time), in seconds.
HEADER_TIMEOUT = 10
CUT_SHORT = 500
#: When it is looked for those who have gone, and some more.
LOOK_SECONDS = 3
WRITE_TIMEOUT = 30

GET_HEALTH = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
HALF_HEADER = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-"
HALF_BODY = (b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
             b"Content-Length: 100\r\n\r\n" + b'{"task":"square","args":[12')


def wait_request(job, target=""):
    """The request of a client that waits for a job."""
    return (f"GET /v1/jobs/{job}{target} HTTP/1.1\r\nHost: localhost\r\n"
            "Prefer: wait=60\r\n\r\n").encode()


def slow_job(http, seconds=60):
    """A job that runs, and goes on running."""
    job = http.submit("sleep", seconds).json["id"]
    wait_for_state(http, job, "running")
    return job


# Who waits


def submit_and_fetch(http, number):
    """Two requests: a job, and its result."""
    location = http.submit("square", number).get("location")
    body = http.get(f"{location}/result?wait=10").body
    if body != b"%d" % (number * number):
        raise AssertionError(f"square({number}) is {body!r}")


def submit_waiting(http, number):
    """One request, whose answer is owed and given later."""
    response = http.submit("square", number, headers={"Prefer": "wait=10"})
    if response.json.get("result") != number * number:
        raise AssertionError(f"square({number}): {response}")


def microseconds(service, do, seconds=1.2):
    """How long it takes one client, in the median."""
    trips = []
    with service.connection() as http:
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end or len(trips) < 50:
            do(http, len(trips))
            trips.append(time.perf_counter() - began)
    return statistics.median(trips) * 1e6


def thousands_that_wait(checks, service):
    """Each had an answer before, on the same connection: only then is all of the memory in use
    that the service keeps for a connection."""
    count = size(WAITING)
    with service.connection() as http:
        job = slow_job(http)
        alone = {do: microseconds(service, do) for do in (submit_and_fetch, submit_waiting)}
        threads_before, memory_before = threads(service), resident_kilobytes(service)
        with Crowd(service.port, count, GET_HEALTH) as crowd:
            checks.equal(f"{count} clients are answered", crowd.answers(20),
                         {b"HTTP/1.1 200 OK": count})
            crowd.send(wait_request(job))
            checks.that("… and then wait for one job", wait_until(
                lambda: metric(http, "lido_waiting_requests") == count, 20), count,
                metric(http, "lido_waiting_requests"))
            checks.equal("… without one more thread", threads(service), threads_before)
            memory = (resident_kilobytes(service) - memory_before) / count
            checks.at_most("… for so much memory each", memory, KILOBYTES_MAX, "kB")
            for do, before in alone.items():
                name = do.__name__.replace("_", " ")
                checks.at_most(
                    f"… and another client's {name} is at least half as fast as before "
                    f"({before:.0f} µs)", microseconds(service, do), 2 * before, "µs")
            http.post(f"/v1/jobs/{job}/cancel", {"grace": 0})
            checks.equal("… and all hear of the end of the job", crowd.answers(20),
                         {b"HTTP/1.1 200 OK": count})
        checks.equal("… and then nobody waits", metric(http, "lido_waiting_requests"), 0.0)


def clients_that_leave(checks):
    """In a service of their own: no worker comes or goes meanwhile, with descriptors of its own."""
    with Service("--processes", 1) as service, service.connection() as http:
        job = slow_job(http)
        for is_reset in (False, True):
            wait_and_leave(checks, service, http, job, is_reset)
        a_client_that_half_closes(checks, service, job)


def wait_and_leave(checks, service, http, job, is_reset):
    """Some hundreds wait for a job and leave."""
    before = descriptors(service)
    crowd = Crowd(service.port, LEAVING // 2, wait_request(job))
    for _ in range(LEAVING // 2):
        crowd.add(wait_request(job, "/result"))
    checks.that(f"{LEAVING} clients wait that will {'reset' if is_reset else 'close'}", wait_until(
        lambda: metric(http, "lido_waiting_requests") == LEAVING, 5), LEAVING,
        metric(http, "lido_waiting_requests"))
    checks.equal("… with a descriptor each", descriptors(service), before + LEAVING)
    began = time.monotonic()
    crowd.leave(is_reset)
    wait_until(lambda: descriptors(service) <= before, 3)
    took = (time.monotonic() - began) * 1_000
    checks.equal("… all descriptors are given back when they left", descriptors(service), before)
    checks.at_most("… at once", took, 1_000.0, "ms")
    checks.equal("… and nobody counts as waiting", metric(http, "lido_waiting_requests"), 0.0)
    checks.equal("… and the job goes on", http.get(f"/v1/jobs/{job}").json["state"], "running")


def a_client_that_half_closes(checks, service, job):
    """`nc -N` closes its sending side and reads on: it hears how far the job is."""
    with Crowd(service.port, 1, wait_request(job)) as crowd:
        client, = crowd.sockets.values()
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(65_536):
            answer += piece
    checks.that("a client that half-closed is answered with the handle as it is",
                answer.startswith(b"HTTP/1.1 200 ") and b'"state":"running"' in answer,
                "200, running", answer)


# Who dawdles


class Submitter:
    """Another client: how long its submissions take."""

    def __init__(self, http):
        self._http = http
        self.milliseconds = []

    def submit(self):
        """One more."""
        began = time.perf_counter()
        status = self._http.submit("square", 3).status
        self.milliseconds.append((time.perf_counter() - began) * 1_000)
        if status != 202:
            raise AssertionError(f"a submission is answered with {status}")

    def percentile(self, part):
        """So large a part of them took at most this, in milliseconds."""
        return sorted(self.milliseconds)[int(len(self.milliseconds) * part)]


def percentiles(http, windows=5, count=120):
    """The 50th and the 99th percentile of the time of a submission, each the median of some
    windows: what other processes do to one of them is not held against the service."""
    found = []
    for _ in range(windows):
        submitter = Submitter(http)
        for _ in range(count):
            submitter.submit()
        found.append((submitter.percentile(0.5), submitter.percentile(0.99)))
    return [statistics.median(values) for values in zip(*found)]


def thousands_that_dawdle(checks, service):
    third = size(SLOW) // 3
    with service.connection() as http, \
            Crowd(service.port, third, b"", "127.0.0.3") as silent, \
            Crowd(service.port, third, HALF_HEADER, "127.0.0.4") as headers, \
            Crowd(service.port, third, HALF_BODY, "127.0.0.5") as bodies:
        connected = time.monotonic()
        checks.that(f"{3 * third} connections, of which a third each sent nothing, half a header "
                    "and half a body, are accepted", wait_until(
                        lambda: client_sockets(service) >= 3 * third, 5),
                    3 * third, client_sockets(service))
        half, most = percentiles(http)
        checks.at_most("… and leave another client's submission quick (p50)", half, HALF_MS_MAX,
                       "ms")
        checks.at_most("… (p99)", most, POST_MS_MAX, "ms")
        checks.at_most("… (while all were there)", time.monotonic() - connected,
                       HEADER_TIMEOUT - 1, "s")
        submitter = Submitter(http)
        for crowd in (silent, headers, bodies):
            crowd.set_blocking(False)
        silent.wait_until_cut(HEADER_TIMEOUT + 5, submitter.submit)
        _, last = headers.wait_until_cut(5, submitter.submit)
        checks.that("those without a header are cut", last is not None, "all", "some are open")
        checks.at_most("… when their time is over", time.monotonic() - connected,
                       HEADER_TIMEOUT + 3, "s")
        checks.at_most("… which leaves another client's submission quick (p99)",
                       submitter.percentile(0.99), POST_MS_MAX, "ms")
        checks.that("… and their descriptors are given back", wait_until(
            lambda: client_sockets(service) == third + 1, 3), third + 1, client_sockets(service))
        checks.equal("… and the others are not cut", bodies.answers(0.1), {None: third})
        bodies.set_blocking(True)
        bodies.send(b"345]}" + b" " * (100 - len(HALF_BODY.split(b"\r\n\r\n")[1]) - 5))
        checks.equal("… and are answered when the rest of the body comes", bodies.answers(20),
                     {b"HTTP/1.1 202 Accepted": third})


def cut_short(checks):
    """Who closes with half a request has its connection taken back, also if the end comes together
    with the data, of which epoll tells once."""
    with Service("--processes", 1) as service, service.connection() as http:
        http.get("/livez")
        before = client_sockets(service)
        for name, request in (("a header", HALF_HEADER), ("a body", HALF_BODY)):
            for _ in range(CUT_SHORT):
                with socket.create_connection(("127.0.0.1", service.port)) as client:
                    client.sendall(request)
            checks.that(f"{CUT_SHORT} clients close with half {name}: nobody is kept", wait_until(
                lambda: client_sockets(service) <= before, LOOK_SECONDS), before,
                client_sockets(service))
        checks.equal("… and the service goes on", http.get("/livez").status, 200)


# Who stops reading


class StalledReaders:
    """Clients that do not read an answer of a megabyte, and a service that has only them."""

    def __init__(self):
        self.service = Service("--processes", 1).start()
        with self.service.connection() as http:
            job = http.submit("echo", "x" * (1 << 20)).json["id"]
            finished(http, job)
        wait_until(lambda: not client_sockets(self.service), 3)
        request = f"GET /v1/jobs/{job}/result HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self.began = time.monotonic()
        self.crowd = Crowd(self.service.port, STALLED, request, "127.0.0.6", receive_bytes=8_192)

    @property
    def seconds(self):
        """For how long they have not read."""
        return time.monotonic() - self.began

    @property
    def open_count(self):
        """How many of them the service has not closed; they would have to read to know."""
        return client_sockets(self.service)


def readers_that_stop(checks, stalled):
    if stalled.seconds < WRITE_TIMEOUT - 1:
        checks.equal(f"{STALLED} clients that do not read are not cut after "
                     f"{stalled.seconds:.0f} s", stalled.open_count, STALLED)
    left = WRITE_TIMEOUT * 1.25 + 3 - stalled.seconds
    checks.that(f"{STALLED} clients that do not read are cut when their time is over", wait_until(
        lambda: stalled.open_count == 0, max(left, 1)), 0, stalled.open_count)
    whole = sum(received(client) > 1 << 20 for client in stalled.crowd.sockets.values())
    checks.equal("… and have not got all of it", whole, 0)


def received(client):
    """How many bytes of it had come."""
    count = 0
    try:
        while piece := client.recv(1 << 16):
            count += len(piece)
    except ConnectionError:
        pass
    return count


# Out of descriptors


def out_of_descriptors(checks, has_open_connection):
    """The limit is lowered while the service runs, so that it is met in the midst of it."""
    when = "with a connection open" if has_open_connection else "at the first connection"
    with Service("--processes", 1) as service:
        wait_until(lambda: not client_sockets(service), 3)
        http = service.connection()
        if has_open_connection:
            http.get("/livez")
        limits = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (lowest_free(service), limits[1]))
        with Crowd(service.port, 20, GET_HEALTH) as crowd:
            checks.equal(f"out of descriptors {when}, clients wait", crowd.answers(0.3), {None: 20})
            used, began = cpu_seconds(service), time.monotonic()
            served = 0
            while time.monotonic() - began < 1:
                # One that is idle for a second makes room for who waits.
                if has_open_connection:
                    served += http.get("/livez").status == 200
                time.sleep(0.1)
            checks.at_most("… and the service does not spin",
                           (cpu_seconds(service) - used) * 100, 20.0, "% of a CPU")
            if has_open_connection:
                checks.that("… and serves its open connection", served > 0, "answers", served)
            resource.prlimit(service.pid, resource.RLIMIT_NOFILE, limits)
            began = time.monotonic()
            checks.equal("… and with descriptors again, those who waited are answered",
                         crowd.answers(5), {b"HTTP/1.1 200 OK": 20})
            checks.at_most("… at once", (time.monotonic() - began) * 1_000, 1_500.0, "ms")
        http.close()


def main():
    checks = Checks(seconds_max=110)
    stalled = StalledReaders()
    with Service("--processes", 2) as service:
        checks.run(
            (thousands_that_wait, service),
            (thousands_that_dawdle, service))
    checks.run(
        clients_that_leave, cut_short,
        (out_of_descriptors, True),
        (out_of_descriptors, False),
        (readers_that_stop, stalled))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
