"""A small HTTP/1.1 client on a raw socket: keep-alive, exact about bytes.

`http.client` would do for most of it; this one also sends what a good client never would (invalid
UTF-8, a form without a Content-Type, half a request), and costs less time per request, so that the
load comes from the service and not from here.
"""

import json
import select
import socket


class Broken(Exception):
    """The connection ended, or timed out, before the whole answer was there."""


class Response:
    """An answer: `status`, `headers` (lower-case names), `body` (bytes)."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:400]!r}"

    @property
    def text(self):
        """The body as text; raises when it is not UTF-8."""
        return self.body.decode("utf-8")

    @property
    def json(self):
        """The body as JSON; numbers with a fraction or an exponent stay text, so exact."""
        return parse(self.body)

    def get(self, name):
        """A header, or None."""
        return self.headers.get(name.lower())


def parse(text):
    """JSON, strictly: no NaN, no repeated names; floats as their text."""
    return json.loads(
        text, parse_float=Number, parse_constant=_no_constant, object_pairs_hook=_object)


class Number(float):
    """A float that remembers how it was written."""

    def __new__(cls, text):
        number = super().__new__(cls, text)
        number.text = text
        return number


def _no_constant(name):
    raise ValueError(f"{name} is not JSON")


def _object(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError(f"a name stands twice in {[name for name, _ in pairs]}")
    return members


class Connection:
    """One keep-alive connection to `127.0.0.1:port`; connects at the first request, and again
    after the other side closed."""

    def __init__(self, port, timeout=20.0):
        self.port = port
        self.timeout = timeout
        self._socket = None
        self._rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._rest = b""

    def has_answer(self):
        """Whether something has come that `receive` would read."""
        return bool(self._rest) or bool(select.select([self._socket], [], [], 0)[0])

    # Requests

    def get(self, target, **headers):
        """GET. Keywords are headers, with `_` for `-`."""
        return self.request("GET", target, None, headers)

    def delete(self, target):
        """DELETE."""
        return self.request("DELETE", target)

    def post(self, target, body, content_type="application/json", **headers):
        """POST of JSON: a value, or bytes as they are. `content_type` None sends none."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if content_type is not None:
            headers["content_type"] = content_type
        return self.request("POST", target, body, headers)

    def submit(self, task, *args, target="/v1/jobs", headers=None, **members):
        """POST of a job; keywords are further members of the submission."""
        body = {"task": task, "args": list(args), **members}
        return self.post(target, body, **(headers or {}))

    def request(self, method, target, body=None, headers=None):
        """Sends a request, answers the `Response`."""
        self.send(method, target, body, headers)
        return self.receive(is_head=method == "HEAD")

    def send(self, method, target, body=None, headers=None):
        """Sends a request and does not wait for its answer."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        for name, value in (headers or {}).items():
            lines.append(f"{name.replace('_', '-')}: {value}")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.send_bytes(head + (body or b""))

    def send_bytes(self, data):
        """Sends bytes as they are."""
        is_fresh = self._socket is None
        try:
            self._open()
            self._socket.sendall(data)
        except socket.timeout as error:
            self.close()
            raise Broken(f"sending took longer than {self.timeout} s") from error
        except (BrokenPipeError, ConnectionResetError) as error:
            # The answer may be there although not all was read (413): `receive` finds out. On an
            # old connection it means that it was closed while nothing went on.
            if not is_fresh:
                self.close()
                raise Broken(f"closed by the service: {error}") from error
        except OSError as error:
            self.close()
            raise Broken(f"cannot connect: {error}") from error

    def receive(self, is_head=False):
        """Reads one answer."""
        while True:
            head = self._read_head()
            status, headers = _read_status_and_headers(head)
            if status >= 200:
                break
        if is_head or status in (204, 304):
            body = b""
        elif "content-length" in headers:
            body = self._read_exactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._read_chunks()
        else:
            body = self._read_to_end()
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Response(status, headers, body)

    @property
    def has_unread(self):
        """Whether bytes beyond the last answer came in: there must be none."""
        return len(self._rest) > 0

    # Reading

    def _open(self):
        if self._socket is not None:
            return
        self._rest = b""
        self._socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _read_more(self):
        if self._socket is None:
            raise Broken("the connection is closed")
        try:
            data = self._socket.recv(1 << 16)
        except socket.timeout as error:
            self.close()
            raise Broken(f"no answer within {self.timeout} s") from error
        except OSError as error:
            self.close()
            raise Broken(f"the connection broke: {error}") from error
        if not data:
            self.close()
            raise Broken("the service closed the connection before its answer was whole")
        self._rest += data

    def _read_head(self):
        while b"\r\n\r\n" not in self._rest:
            self._read_more()
        head, self._rest = self._rest.split(b"\r\n\r\n", 1)
        return head

    def _read_exactly(self, count):
        while len(self._rest) < count:
            self._read_more()
        data, self._rest = self._rest[:count], self._rest[count:]
        return data

    def _read_chunks(self):
        parts = []
        while True:
            while b"\r\n" not in self._rest:
                self._read_more()
            line, self._rest = self._rest.split(b"\r\n", 1)
            size = int(line.split(b";")[0], 16)
            parts.append(self._read_exactly(size))
            self._read_exactly(2)
            if size == 0:
                return b"".join(parts)

    def _read_to_end(self):
        try:
            while True:
                self._read_more()
        except Broken:
            data, self._rest = self._rest, b""
            return data


def _read_status_and_headers(head):
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ")[1])
    headers = {}
    for line in lines[1:]:
        name, value = line.split(":", 1)
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return status, headers
