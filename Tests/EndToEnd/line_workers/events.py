"""A reader of Server-Sent Events (WHATWG HTML, section 9.2), as slow as it is asked to be."""

import json
import socket
import time


class Event:
    """One event: its `id`, its `name`, and its `data`, which is JSON here."""

    def __init__(self, identifier, name, data):
        self.id = identifier
        self.name = name
        self.data = json.loads(data)

    def __repr__(self):
        return f"{self.name} {self.id}: {json.dumps(self.data)[:200]}"


class Events:
    """The events of a job, until its stream ends."""

    def __init__(self, port, job, last=None, timeout=40.0):
        self._head = f"GET /v1/jobs/{job}/events HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n"
        if last is not None:
            self._head += f"Last-Event-ID: {last}\r\n"
        self._address = ("127.0.0.1", port)
        self._timeout = timeout
        self._file = None
        self._socket = None
        self.headers = {}
        self.status = 0
        #: Comments, each with when it came.
        self.comments = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Leaves."""
        if self._socket is not None:
            self._file.close()
            self._socket.close()
            self._socket = None

    def open(self):
        """Asks, and reads the header of the answer: nothing more until the events are read."""
        self._socket = socket.create_connection(self._address, self._timeout)
        self._socket.sendall(f"{self._head}\r\n".encode())
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        for line in self._file:
            if line == b"\r\n":
                break
            name, value = line.decode().split(":", 1)
            self.headers[name.lower()] = value.strip()

    def __iter__(self):
        if self._socket is None:
            self.open()
        fields = {}
        for line in self._file:
            text = line.decode("utf-8").rstrip("\n")
            if text.startswith(":"):
                self.comments.append((time.monotonic(), text[1:].strip()))
            elif text:
                name, _, value = text.partition(": ")
                fields[name] = value
            elif fields:
                yield Event(fields["id"], fields["event"], fields["data"])
                fields = {}
