"""Maps whose input is sent while it is read, and whose results are read as they come.

One thread sends and another reads, each over a connection of its own: neither waits for the other,
and who stops reading stops, through the service, the one who sends.
"""

import http.client
import os
import random
import socket
import threading
import time
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

from lido import codec
from lido.errors import JobFailed, ServiceError, Unreachable
from lido.patience import pause_after
from lido.transport import (
    SECONDS_MAX, Transport, chunk, joined, messages, options, path, problem, query, shut_down)

__all__ = ["MapInput", "ResultStream", "Window", "ask_why", "post_map", "results", "send_all"]

#: Items are sent together up to this many bytes when they come fast.
_PART_BYTES = 1 << 16

#: A stream of results that was open for so long before it broke was no failure to open it.
_OPEN_SECONDS_MIN = 5.0


class MapInput:
    """Sends the items of a map. `send` and `finish` are for one thread, `abort` for any."""

    def __init__(
        self, transport: Transport, options: Mapping[str, Any],
        connect_seconds: Optional[float] = None, retry_seconds: Optional[float] = None,
    ) -> None:
        """`connect_seconds`: what a connection may take to open; some time when left out.
        `retry_seconds`: how long a service that is away is waited for; as the transport does when
        left out."""
        self._transport = transport
        self._connect_seconds = connect_seconds
        self._retry_seconds = retry_seconds
        self._options = options
        self._connection: Optional[http.client.HTTPConnection] = None
        self._lock = threading.Lock()
        self._is_aborted = False
        self._process = os.getpid()

    def begin(self, options: Optional[Mapping[str, Any]] = None) -> None:
        """Asks for the map, or with other options for another. Raises `Unreachable`; a refusal
        comes with `send` or `finish`. May follow a `close`."""
        target = query("/v1/maps", self._options if options is None else options)
        give_up: Optional[float] = None
        pause = 0.05
        while True:
            if self._is_aborted:
                raise Unreachable(f"{self._transport.url}: the input was broken off")
            connection = opened(self._transport, self._connect_seconds)
            try:
                self._transport.begin(connection, "POST", target, {
                    "Content-Type": "application/x-ndjson", "Transfer-Encoding": "chunked"})
                # The answer comes after the last item, however late that is.
                connection.sock.settimeout(None)
                _keep_alive(connection)
                break
            except OSError as error:
                connection.close()
                # Its id makes a repeat safe: nothing of it has been sent.
                now = time.monotonic()
                if give_up is None:
                    give_up = now + self._transport.patience(error, self._retry_seconds)
                if now + pause > give_up:
                    raise self._transport.unreachable(error) from None
                time.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, 1)
        with self._lock:
            self._connection = connection
            is_aborted = self._is_aborted
        if is_aborted:
            self.abort()

    def send(self, items: Iterable[bytes]) -> None:
        """Sends encoded items. Blocks while the service takes no more. Raises `Unreachable`, or
        `ServiceError` when the map was refused."""
        connection = self._connection
        assert connection is not None
        try:
            connection.send(chunk(b"\n".join([*items, b""])))
        except OSError as error:
            self._tell(error)

    def finish(self) -> Any:
        """Ends the input; the handle of the map. Raises like `send`."""
        connection = self._connection
        assert connection is not None
        try:
            connection.send(b"0\r\n\r\n")
            return self._answer()
        except (OSError, http.client.HTTPException) as error:
            self._tell(error)

    def close(self) -> None:
        """Closes the connection: for the thread that sends, when it is done or begins again."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """Breaks the input off; what was sent counts. A thread that is in `send` fails. In a child
        of a fork, whose parent goes on with it, only lets go of it."""
        if os.getpid() != self._process:
            _let_go(self._connection)
            return
        with self._lock:
            self._is_aborted = True
            connection = self._connection
        shut_down(connection)

    def _answer(self) -> Any:
        assert self._connection is not None
        response = self._connection.getresponse()
        body = response.read()
        if response.status >= 400:
            raise problem(response.status, response.headers, body)
        return codec.loads(body)

    def _tell(self, error: Exception) -> None:
        """Why sending failed: the service may have answered before it closed."""
        if not self._is_aborted:
            try:
                self._answer()
            except (OSError, http.client.HTTPException, AttributeError):
                pass  # It said nothing.
        raise Unreachable(f"{self._transport.url}: the input broke off: {error}") from error


class Deadline:
    """Ends things when a time is over, unless the block is left before."""

    def __init__(
        self, timeout: Optional[float], ends: Sequence[Callable[[], None]]
    ) -> None:
        """`timeout` in seconds; None is for ever."""
        self.is_over = False
        self._ends = ends
        self._timer: Optional[threading.Timer] = None
        if timeout is not None:
            self._timer = threading.Timer(max(0.0, timeout), self._end)
            self._timer.daemon = True

    def __enter__(self) -> "Deadline":
        if self._timer is not None:
            self._timer.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self.is_over = True
        for end in self._ends:
            end()


def opened(
    transport: Transport, connect_seconds: Optional[float]
) -> http.client.HTTPConnection:
    """A connection that is still to be made, and may take so long for that."""
    seconds = SECONDS_MAX if connect_seconds is None else min(SECONDS_MAX, connect_seconds)
    return transport.open(max(0.001, seconds))


def post_map(
    transport: Transport, members: Mapping[str, Any], items: bytes, size: int
) -> None:
    """Submits a map that has an id as one document; `items` are an array, `size` of which, or
    fewer, make a chunk. Where a job of the pool may not have so long arguments (`max_arguments`)
    there are fewer in a chunk: what was refused has not begun."""
    while True:
        body = joined({**options(members), "items": items})
        # One that is too long as a whole is so with smaller chunks, too.
        transport.check_size(len(body))
        try:
            transport.request("POST", "/v1/maps", body, is_safe=True)
            return
        except ServiceError as error:
            if error.code != "payload_too_large" or size <= 1:
                raise
        size = -(-size // 2)
        members = {**members, "chunksize": size}


def ask_why(transport: Transport, members: Mapping[str, Any]) -> None:
    """Raises why the service refuses a streamed map, which it says only when the input is over:
    asks for one like it, of no items."""
    source = MapInput(transport, {**members, "id": None})
    try:
        source.begin()
        source.finish()
    finally:
        source.close()


def send_all(source: MapInput, items: Sequence[bytes]) -> None:
    """Sends items that are at hand, many at a time."""
    part: List[bytes] = []
    size = 0
    for item in items:
        part.append(item)
        size += len(item)
        if size >= _PART_BYTES:
            source.send(part)
            part, size = [], 0
    if part:
        source.send(part)


class Window:
    """How many items may be sent and not be read yet. One thread acquires, another releases."""

    def __init__(self, items_max: int) -> None:
        self._left = items_max
        self._is_open = True
        self._changed = threading.Condition()

    def acquire(self) -> bool:
        """Waits until there is room for another item; false once the window is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._left > 0 or not self._is_open)
            self._left -= 1
            return self._is_open

    def release(self) -> None:
        """An item was read."""
        with self._changed:
            self._left += 1
            self._changed.notify()

    def close(self) -> None:
        """Nothing is wanted any more."""
        with self._changed:
            self._is_open = False
            self._changed.notify()


class ResultStream:
    """Reads the results of a map, and goes on where it was when the connection breaks. One thread
    reads; `close` is for any."""

    def __init__(
        self, transport: Transport, identifier: str, ordered: bool, after: int = 0,
        is_coming: bool = False, connect_seconds: Optional[float] = None,
        retry_seconds: Optional[float] = None,
    ) -> None:
        """`is_coming`: the map is being submitted at this moment, and may not be there yet.
        `connect_seconds`: what a connection may take to open; some time when left out.
        `retry_seconds`: how long a service that is away is waited for; as the transport does when
        left out."""
        self._transport = transport
        self._identifier = identifier
        self._order = "input" if ordered else "completion"
        self._received = after
        #: Whether the map may not be there yet; any thread may say that it is, or never will be.
        self.is_coming = is_coming
        self._connect_seconds = connect_seconds
        self._retry_seconds = retry_seconds
        self._opened_at: Optional[float] = None
        # Of the map itself, for who waits for it: whether it is there, and when who heard last that
        # it is not had asked.
        self._heard = threading.Condition()
        self._is_found = False
        self._absent_at = 0.0
        self._closed = threading.Event()
        self._connection: Optional[http.client.HTTPConnection] = None
        self._process = os.getpid()

    def __iter__(self) -> Iterator[Dict[str, Any]]:
        """`{"index", "value"}` or `{"index", "error"}` for each item, and last the line with
        `"done"`. Raises `ServiceError`, `Unreachable`."""
        since: Optional[float] = None
        pause = 0.01
        was_absent = False
        while True:
            # As it was when it was asked for: the map may have come since, or been refused.
            was_coming = self.is_coming
            try:
                for message in self._read():
                    self.is_coming = False
                    since, pause = None, 0.01
                    yield message
                    if message.get("done"):
                        return
                error: Exception = Unreachable("the stream of results ended without its last line")
            except ServiceError as refusal:
                may_come = refusal.status == 404 and was_coming
                if not may_come and pause_after(refusal) is None:
                    raise
                error = refusal
            except (OSError, http.client.HTTPException) as problem:
                error = problem
            if self._closed.is_set():
                return
            now = time.monotonic()
            is_absent = isinstance(error, ServiceError) and error.status == 404
            if since is None or is_absent != was_absent or self._was_open(now):
                since, was_absent = now, is_absent
            if now + pause > since + self._transport.patience(error, self._retry_seconds):
                if isinstance(error, ServiceError):
                    raise error
                raise self._transport.unreachable(error) from None
            self._closed.wait(pause)
            pause = min(pause * 2, 1)

    def close(self) -> None:
        """Ends the reading; the thread that reads gets no more. In a child of a fork as `abort`."""
        if os.getpid() != self._process:
            _let_go(self._connection)
            return
        with self._heard:
            self._closed.set()
            self._heard.notify_all()
        shut_down(self._connection)

    def wait_for_map(self, since: float) -> bool:
        """Whether the map is there: waits until it is, or who asked later than `since`, of the
        monotonic clock, has heard that it is not. For another thread than who reads. Raises
        `Unreachable` once the reading is over."""
        with self._heard:
            self._heard.wait_for(
                lambda: self._is_found or self._closed.is_set() or self._absent_at > since)
            if self._closed.is_set():
                raise Unreachable(f"{self._transport.url}: the results are not read any more")
            return self._is_found

    def wait_until_closed(self, seconds: float) -> None:
        """Waits so long, or until the reading is over."""
        self._closed.wait(seconds)

    def _hear(self, is_found: bool, asked_at: float) -> None:
        with self._heard:
            if is_found:
                self._is_found, self.is_coming = True, False
            else:
                self._absent_at = asked_at
            self._heard.notify_all()

    def _was_open(self, now: float) -> bool:
        """Whether the connection that broke was a good one, over which nothing came for long."""
        return self._opened_at is not None and now - self._opened_at > _OPEN_SECONDS_MIN

    def _read(self) -> Iterator[Dict[str, Any]]:
        # No time limit once it is open: the next result may take as long as a call does. A service
        # that is gone closes the connection, and TCP finds out about a machine that is.
        connection = self._connection = opened(self._transport, self._connect_seconds)
        self._opened_at = None
        asked_at = time.monotonic()
        try:
            target = query(path("maps", self._identifier, "results"), {
                "order": self._order, "after": self._received or None})
            self._transport.begin(connection, "GET", target, {"Accept": "application/x-ndjson"})
            connection.sock.settimeout(None)
            _keep_alive(connection)
            if self._closed.is_set():
                return
            response = connection.getresponse()
            if response.status in (200, 404):
                self._hear(response.status == 200, asked_at)
            if response.status >= 400:
                raise problem(response.status, response.headers, response.read())
            self._opened_at = time.monotonic()
            for message in messages(response):
                if "index" in message:
                    self._received += 1
                yield message
        finally:
            connection.close()


def results(
    stream: ResultStream, pickles: bool, identifier: str
) -> Iterator["tuple[int, Any, Optional[JobFailed]]"]:
    """The index, value and error of each item. Raises `JobFailed` when the map broke off."""
    for message in stream:
        if "done" in message:
            if "error" in message:
                raise JobFailed(message["error"], identifier)
            return
        error = message.get("error")
        if error is not None:
            yield message["index"], None, JobFailed(error, identifier)
        else:
            yield message["index"], codec.decode(message["value"], pickles), None


def _let_go(connection: Optional[http.client.HTTPConnection]) -> None:
    """Closes what this process has of a connection, which goes on in another. Takes no lock: a
    thread that is not here may hold it for ever."""
    if connection is not None:
        connection.close()


def _keep_alive(connection: http.client.HTTPConnection) -> None:
    sock = connection.sock
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
