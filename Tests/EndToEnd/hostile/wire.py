"""Raw exchanges: bytes out, answers in, byte for byte."""

import json
import select
import socket
import time


class Ended(Exception):
    """The connection ended before an answer was whole; `rest` is what came of it."""

    def __init__(self, rest):
        super().__init__(f"ended after {rest[:200]!r}")
        self.rest = rest


class Silent(Exception):
    """Nothing more came in time."""


class Reply:
    """An answer as it came."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:300]!r}"

    @property
    def media(self):
        """Its media type, without parameters."""
        return self.headers.get("content-type", "").split(";")[0]

    @property
    def value(self):
        """Its body as JSON."""
        return json.loads(self.body)


class Wire:
    """A connection. What is sent may be cut off by the other side: what it said is still read."""

    def __init__(self, port, seconds=5.0):
        self.seconds = seconds
        self.rest = b""
        self.is_ended = False
        self._socket = socket.create_connection(("127.0.0.1", port), seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Leaves."""
        self._socket.close()

    def fileno(self):
        """For select."""
        return self._socket.fileno()

    def send(self, data):
        """Sends, and reads meanwhile; stops when the other side has closed."""
        view = memoryview(data)
        deadline = time.monotonic() + self.seconds
        while view and not self.is_ended:
            readable, writable, _ = select.select(
                [self._socket], [self._socket], [], max(0, deadline - time.monotonic()))
            if not readable and not writable:
                raise Silent("it takes no more bytes")
            if readable:
                self.read_some()
            if writable and not self.is_ended:
                try:
                    view = view[self._socket.send(view):]
                except (BrokenPipeError, ConnectionResetError):
                    return

    def read_some(self):
        """Reads what is there."""
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.rest += data
        if not data:
            self.is_ended = True

    def wait(self, seconds):
        """Waits for something, and reads it; whether there was."""
        if self.is_ended or not select.select([self._socket], [], [], max(0, seconds))[0]:
            return False
        self.read_some()
        return True

    def answer(self, is_head=False):
        """The next whole answer, 100 included."""
        deadline = time.monotonic() + self.seconds
        while True:
            reply, rest = parse(self.rest, is_head, self.is_ended)
            if reply is not None:
                self.rest = rest
                return reply
            if self.is_ended:
                raise Ended(self.rest)
            if not self.wait(deadline - time.monotonic()) and not self.is_ended:
                raise Silent(f"no answer within {self.seconds} s; so far {self.rest[:200]!r}")

    def end(self):
        """Reads to the end of the connection; whether it came in time."""
        deadline = time.monotonic() + self.seconds
        while not self.is_ended:
            if not self.wait(deadline - time.monotonic()):
                return self.is_ended
        return True


def parse(data, is_head=False, is_ended=False):
    """The first answer in bytes, and what follows it; None while it is not whole."""
    head, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        return None, data
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status = first.split(" ")[:2]
    if not version.startswith("HTTP/1.") or len(status) != 3 or not status.isdigit():
        raise ValueError(f"no answer: {data[:200]!r}")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ValueError(f"no header: {line!r}")
        headers[name.lower()] = value.strip()
    status = int(status)
    if is_head or status in (100, 204, 304):
        return Reply(status, headers, b""), rest
    if headers.get("transfer-encoding") == "chunked":
        return _parse_chunks(status, headers, rest, data)
    if "content-length" in headers:
        length = int(headers["content-length"])
        if len(rest) < length:
            return None, data
        return Reply(status, headers, rest[:length]), rest[length:]
    return (Reply(status, headers, rest), b"") if is_ended else (None, data)


def _parse_chunks(status, headers, rest, data):
    body = b""
    while True:
        line, separator, after = rest.partition(b"\r\n")
        if not separator:
            return None, data
        size = int(line, 16)
        if len(after) < size + 2:
            return None, data
        body += after[:size]
        rest = after[size + 2:]
        if size == 0:
            return Reply(status, headers, body), rest
