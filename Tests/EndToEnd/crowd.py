"""Thousands of connections at once, and what they cost the service: for `bad_clients.py`."""

import os
import re
import resource
import select
import socket
import struct
import time

#: Descriptors that this script and the service need for other things than the crowd.
RESERVE = 400


def size(wanted):
    """As many connections as the limit of open files lets this process and the service have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(10, min(wanted, hard - RESERVE))


class Crowd:
    """Connections that sent the same bytes each; closed by a reset when the block ends, so that
    their ports are free at once.

    They come from several addresses of the loopback network: one has 28,000 ports, of which those
    of an earlier crowd may still be held.
    """

    def __init__(self, port, count, send=b"", source="127.0.0.2", receive_bytes=None):
        self.port = port
        self.sockets = {}
        self._poll = select.epoll()
        for _ in range(count):
            self.add(send, source, receive_bytes)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def add(self, send, source="127.0.0.2", receive_bytes=None):
        """One more."""
        client = socket.socket()
        client.settimeout(10)
        if receive_bytes is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.bind((source, 0))
        client.connect(("127.0.0.1", self.port))
        if send:
            client.sendall(send)
        self.sockets[client.fileno()] = client
        self._poll.register(client.fileno(), select.EPOLLIN)

    def send(self, data):
        """Sends the same from all."""
        for client in self.sockets.values():
            client.sendall(data)

    def answers(self, seconds):
        """Reads an answer on each, and answers how many of each first line there were; b"" stands
        for an end without one, and None for nothing within so many seconds."""
        found = {}
        waiting = set(self.sockets)
        deadline = time.monotonic() + seconds
        while waiting and (left := deadline - time.monotonic()) > 0:
            for number, _ in self._poll.poll(left, 1_000):
                if number not in waiting:
                    continue
                try:
                    line = self.sockets[number].recv(65_536).split(b"\r\n")[0]
                except ConnectionError:
                    line = b""
                found[line] = found.get(line, 0) + 1
                waiting.discard(number)
        if waiting:
            found[None] = len(waiting)
        return found

    def wait_until_cut(self, seconds, meanwhile=lambda: None):
        """How long it took until the first and until the last was closed by the service; calls
        `meanwhile` again and again. None for the last when some are open after so many seconds."""
        began = time.monotonic()
        first = None
        open_ones = set(self.sockets)
        while open_ones and time.monotonic() - began < seconds:
            for number, _ in self._poll.poll(0.01, 4_000):
                try:
                    while self.sockets[number].recv(65_536):
                        pass
                except BlockingIOError:
                    continue
                except ConnectionError:
                    pass
                first = first or time.monotonic() - began
                self._poll.unregister(number)
                open_ones.discard(number)
            meanwhile()
        return first, None if open_ones else time.monotonic() - began

    def set_blocking(self, is_blocking):
        """Whether a read waits."""
        for client in self.sockets.values():
            client.setblocking(is_blocking)

    def leave(self, is_reset=True):
        """All leave at once."""
        for client in self.sockets.values():
            if is_reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        self.sockets = {}


# The service, as /proc shows it


def descriptors(service):
    """How many descriptors the service has open."""
    return len(os.listdir(f"/proc/{service.pid}/fd"))


def lowest_free(service):
    """The number that the service's next descriptor would have."""
    numbers = {int(name) for name in os.listdir(f"/proc/{service.pid}/fd")}
    return min(set(range(len(numbers) + 1)) - numbers)


def client_sockets(service):
    """How many connections the service has open, by its own descriptors."""
    inodes = set()
    for name in os.listdir(f"/proc/{service.pid}/fd"):
        try:
            target = os.readlink(f"/proc/{service.pid}/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[len("socket:["):-1])
    with open(f"/proc/{service.pid}/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    # Column 4 is the state (0A: listening), column 10 the inode (man 5 proc).
    return sum(row[9] in inodes and row[3] != "0A" for row in rows)


def threads(service):
    """How many threads the service has."""
    return len(os.listdir(f"/proc/{service.pid}/task"))


def resident_kilobytes(service):
    """Memory of the service that is resident."""
    with open(f"/proc/{service.pid}/status", encoding="ascii") as file:
        return int(re.search(r"^VmRSS:\s+(\d+) kB$", file.read(), re.MULTILINE).group(1))


def cpu_seconds(service):
    """CPU time that the service has used."""
    with open(f"/proc/{service.pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metric(http, name):
    """The value of a metric without labels."""
    found = re.search(rf"^{name} (\S+)$", http.get("/metrics").text, re.MULTILINE)
    return None if found is None else float(found.group(1))
