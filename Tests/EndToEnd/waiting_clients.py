#!/usr/bin/env python3
"""Clients that wait for a job cost a descriptor each, and nothing once they have left.

Usage: LIDO_BIN=PATH waiting_clients.py
"""

import os
import re
import socket
import struct
import sys
import time

from checks import Checks
from lido_process import Service, finished, wait_for_state, wait_until

CLIENTS = 300
BOUND_MS = 1_000.0


def descriptors(service):
    """How many descriptors the service has open."""
    return len(os.listdir(f"/proc/{service.pid}/fd"))


def metric(http, name):
    """The value of a metric without labels."""
    found = re.search(rf"^{name} (\S+)$", http.get("/metrics").text, re.MULTILINE)
    return None if found is None else float(found.group(1))


def waiting_clients(service, job, count):
    """Connections on which clients wait for the job."""
    clients = []
    for number in range(count):
        client = socket.create_connection(("127.0.0.1", service.port), timeout=10)
        target = f"/v1/jobs/{job}/result" if number % 2 else f"/v1/jobs/{job}"
        client.sendall(f"GET {target}?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        clients.append(client)
    return clients


def close_politely(client):
    """The end comes as a FIN."""
    client.close()


def close_rudely(client):
    """The end comes as a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def clients_that_leave(checks, service, how):
    name = how.__name__.replace("_", " ")
    with service.connection() as http:
        job = http.submit("sleep", 60).json["id"]
        wait_for_state(http, job, "running")
        before = descriptors(service)
        clients = waiting_clients(service, job, CLIENTS)
        checks.that(f"{name}: {CLIENTS} clients wait", wait_until(
            lambda: metric(http, "lido_waiting_requests") == CLIENTS, 5), CLIENTS,
            metric(http, "lido_waiting_requests"))
        checks.that("… with a descriptor each", descriptors(service) >= before + CLIENTS,
                    f"{before} + {CLIENTS}", descriptors(service))
        time.sleep(0.2)
        for client in clients:
            how(client)
        began = time.monotonic()
        wait_until(lambda: descriptors(service) <= before, 3)
        took = (time.monotonic() - began) * 1_000
        checks.equal("… all descriptors are given back when they left",
                     descriptors(service) <= before, True)
        checks.at_most("… at once", took, BOUND_MS, "ms")
        checks.equal("… and nobody counts as waiting", metric(http, "lido_waiting_requests"), 0.0)
        checks.equal("… and the job goes on", http.get(f"/v1/jobs/{job}").json["state"], "running")
        http.post(f"/v1/jobs/{job}/cancel", {"grace": 0})
        finished(http, job)


def a_client_that_half_closes(checks, service):
    """`nc -N` closes its sending side and reads on: it hears how far the job is."""
    with service.connection() as http:
        job = http.submit("sleep", 30).json["id"]
        wait_for_state(http, job, "running")
        client, = waiting_clients(service, job, 1)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(65_536):
            answer += piece
        checks.that("a client that half-closed is answered with the handle as it is",
                    answer.startswith(b"HTTP/1.1 200 ") and b'"state":"running"' in answer,
                    "200, running", answer)
        http.post(f"/v1/jobs/{job}/cancel", {"grace": 0})
        finished(http, job)


def main():
    checks = Checks(seconds_max=60)
    with Service("--processes", 1) as service:
        checks.run(
            (clients_that_leave, service, close_politely),
            (clients_that_leave, service, close_rudely),
            (a_client_that_half_closes, service))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
