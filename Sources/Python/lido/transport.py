"""Requests to a service over kept-alive connections, one per thread."""

import http.client
import json
import os
import random
import select
import socket
import ssl
import threading
import time
import weakref
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple
from urllib.parse import quote, urlencode, urlsplit

from lido import codec
from lido.errors import ServiceError, Unreachable

__all__ = ["Answer", "Transport", "default_url"]

#: What a connection may take to open, and an answer to begin beyond the wait that was asked for.
SECONDS_MAX = 60.0

#: The longest wait that a request asks for; the service allows 60 s.
WAIT_MAX = 30.0

#: How long a request that is safe to repeat is repeated while the service cannot be reached.
RETRY_SECONDS = 10.0

#: … and where nothing has listened since the transport was made: hardly a service that restarts.
FIRST_SECONDS = 2.0

#: The longest body that a service takes unless it says another limit, and what is left of it for
#: what stands around the values.
_BODY_BYTES_MAX = 8 << 20
_MARGIN = 1 << 16

_BROKEN = (http.client.HTTPException, OSError)


def default_url() -> str:
    """`LIDO_URL`, or where a service listens by default."""
    return os.environ.get("LIDO_URL") or "http://127.0.0.1:8080"


class Answer:
    """A whole answer. `headers` are those of `http.client`."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        #: Whether an earlier try, whose answer was lost, may have been carried out.
        self.is_repeated = False

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return codec.loads(self.body)

    def value(self, pickles: bool) -> Any:
        """The body of a `/result` as a value: bytes where that is no JSON, as its task says."""
        if self.headers.get_content_type() != "application/json":
            return self.body
        return codec.decode(self.json, pickles)

    def says_away(self, wait: float) -> bool:
        """Whether it says that the service is away: a proxy's does, and the service's own while it
        ends. A 504 of a request that was to wait may say only that it waited too long."""
        if self.status == 503 and self.headers.get_content_type() == "application/problem+json":
            return problem(self.status, self.headers, self.body).code == "draining"
        if self.status == 503:
            return self.headers.get("Retry-After") is None
        return self.status == 502 or (self.status == 504 and not wait)


class Kept:
    """A connection that is closed when nobody keeps it: its thread, or the transport, is gone."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.connection = connection
        self.process = os.getpid()

    def __del__(self) -> None:
        self.connection.close()


class Transport:
    """Where a service is, and how to speak to it. Any thread may use it, and so may the children of
    a fork."""

    def __init__(
        self, url: Optional[str] = None, token: Optional[str] = None,
        retry_seconds: float = RETRY_SECONDS, seconds_max: float = SECONDS_MAX,
    ) -> None:
        """`url` is `LIDO_URL` by default, `token` is `LIDO_TOKEN`. Raises `ValueError`."""
        self.given = url, token
        self._seconds_max = seconds_max
        self.url = url or default_url()
        #: Whether a service was there before.
        self.is_known = False
        #: Whether what stands before the service hands bodies on when they are whole.
        self.is_held_back = False
        #: The longest body that the service takes, where that is known.
        self.body_bytes_max: Optional[int] = None
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not the address of a service: {self.url!r}")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._is_secure = parts.scheme == "https"
        self._prefix = parts.path.rstrip("/")
        self._retry_seconds = retry_seconds
        self._headers = {"Accept": "application/json"}
        token = token or os.environ.get("LIDO_TOKEN")
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._local = threading.local()
        self._open: "weakref.WeakSet[http.client.HTTPConnection]" = weakref.WeakSet()
        self._is_aborted = False

    def like(self, seconds_max: float, retry_seconds: Optional[float] = None) -> "Transport":
        """Another to the same service, whose answers may take so long."""
        other = Transport(
            self.url, self.given[1],
            self._retry_seconds if retry_seconds is None else retry_seconds, seconds_max)
        # Whatever the environment says by now.
        other.given, other._headers, other.is_known = self.given, self._headers, self.is_known
        return other

    def abort(self) -> None:
        """Ends every request that goes on, in whichever thread, and all later ones: they raise
        `Unreachable`."""
        self._is_aborted = True
        for connection in list(self._open):
            shut_down(connection)

    def close(self) -> None:
        """Closes the connection of this thread."""
        self._local.kept = None

    def close_all(self) -> None:
        """Closes the connections of all threads, none of which may be in the middle of a
        request."""
        for connection in list(self._open):
            connection.close()

    def request(
        self, method: str, target: str, body: Optional[bytes] = None,
        headers: Optional[Mapping[str, str]] = None, wait: float = 0, is_safe: bool = False,
    ) -> Answer:
        """Sends a request and reads its answer.

        One that `is_safe` (a GET, or one whose repeat changes nothing) is repeated while the
        connection breaks, or a proxy or the service itself says that it is away, for some seconds.
        `wait` are the seconds that the service was asked to take. Raises `ServiceError` for an
        answer of 400 and above, and without asking for a body that is known to be too long;
        `Unreachable`.
        """
        self.check_size(len(body or b""))
        answer = self._exchange(method, target, body, headers, wait, is_safe or method == "GET")
        if answer.status >= 400:
            error = problem(answer.status, answer.headers, answer.body)
            error.is_repeated = answer.is_repeated
            raise error
        return answer

    def json(
        self, method: str, target: str, body: Optional[bytes] = None,
        headers: Optional[Mapping[str, str]] = None, wait: float = 0, is_safe: bool = False,
    ) -> Any:
        """`request`, and its answer as JSON; None when there is none. Raises `ServiceError` for
        what is no JSON, too."""
        answer = self.request(method, target, body, headers, wait, is_safe)
        try:
            return answer.json if answer.body else None
        except ValueError:
            raise self._not_lido(answer.status) from None

    def ask_limit(self) -> int:
        """Asks for the longest body that the service takes; about how many bytes of it may be
        values. Raises like `json`."""
        try:
            info = self.json("GET", "/v1/info")
        except ServiceError as error:
            if error.status != 404:
                raise
            raise self._not_lido(404) from None
        if not isinstance(info, dict):
            raise self._not_lido(200)
        self.body_bytes_max = info.get("limits", {}).get("body_bytes_max")
        return max(1, (self.body_bytes_max or _BODY_BYTES_MAX) - _MARGIN)

    def _not_lido(self, status: int) -> ServiceError:
        return ServiceError(
            status, "http_error",
            f"what answers at {self.url} is no Lido service; LIDO_URL says where it is")

    def open(self, timeout: Optional[float] = SECONDS_MAX) -> http.client.HTTPConnection:
        """A connection of its own, for a stream. `timeout` None is none."""
        if self._is_secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout, context=ssl.create_default_context())
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def begin(
        self, connection: http.client.HTTPConnection, method: str, target: str,
        headers: Mapping[str, str],
    ) -> None:
        """Sends the head of a request, to whose body `connection.send` adds."""
        connection.putrequest(method, self._prefix + target)
        for name, value in {**self._headers, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        self.is_known = True

    def check_size(self, size: int) -> None:
        """Raises what the service would answer to a body, or a line of a map, of so many bytes."""
        if self.body_bytes_max is not None and size > self.body_bytes_max:
            raise ServiceError(
                413, "payload_too_large",
                f"{size} bytes are to be sent at once, and the service takes at most "
                f"{self.body_bytes_max} (max_body)")

    def patience(self, error: Exception, retry_seconds: Optional[float] = None) -> float:
        """For how many seconds what failed so is tried again; `retry_seconds` for one whose
        patience is its own."""
        seconds = self._retry_seconds if retry_seconds is None else retry_seconds
        is_absent = isinstance(error, (ConnectionRefusedError, socket.gaierror))
        if is_absent and not self.is_known:
            return min(FIRST_SECONDS, seconds)
        return seconds

    def unreachable(self, error: Exception) -> Unreachable:
        """The error of who gives up."""
        if isinstance(error, Unreachable):
            return error
        if not isinstance(error, ConnectionRefusedError):
            return Unreachable(f"{self.url}: {type(error).__name__}: {error}")
        origin = "as url= says" if self.given[0] else (
            "as LIDO_URL says" if os.environ.get("LIDO_URL") else "the default without LIDO_URL")
        return Unreachable(
            f"nothing listens at {self.url} ({origin}): start the service with `lido serve`, or "
            "say in LIDO_URL where it is")

    # One exchange

    def _exchange(
        self, method: str, target: str, body: Optional[bytes],
        headers: Optional[Mapping[str, str]], wait: float, is_safe: bool,
    ) -> Answer:
        all_headers = {**self._headers, **(headers or {})}
        if body is not None:
            all_headers.setdefault("Content-Type", "application/json")
        give_up: Optional[float] = None  # Counted from the first failure: a wait may be long.
        pause = 0.05
        is_repeated = False
        while True:
            connection, is_fresh = self._connection(self._seconds_max + wait)
            is_sent = False
            answer: Optional[Answer] = None
            failure: Exception
            try:
                if connection.sock is None:
                    connection.connect()
                self.is_known = True
                if self._is_aborted:
                    raise ConnectionAbortedError("aborted")
                is_sent = True
                response = exchanged(
                    connection, method, self._prefix + target, body, all_headers)
                answer = Answer(response.status, response.headers, response.read())
                answer.is_repeated = is_repeated
                if not is_safe or not answer.says_away(wait):
                    return answer
                failure = problem(answer.status, answer.headers, answer.body)
            except _BROKEN as error:
                self.close()
                failure = error
            except BaseException:
                self.close()  # Interrupted in the middle: what comes next is not the next answer.
                raise
            # The service's own word that it ends is that it has done nothing.
            is_repeated = is_repeated or (
                is_sent and getattr(failure, "code", None) != "draining")
            # A request that was not sent can be sent again whatever it is; and a connection that
            # was kept may have been closed by the service just before it was used.
            may_repeat = (is_safe or not is_sent) and not self._is_aborted
            may_be_kept = not is_fresh and answer is None
            now = time.monotonic()
            give_up = now + self.patience(failure) if give_up is None else give_up
            if not may_repeat or (not may_be_kept and now + pause > give_up):
                if answer is not None:
                    return answer
                raise self.unreachable(failure) from None
            if not may_be_kept:
                time.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, 1)

    def _connection(self, timeout: float) -> Tuple[http.client.HTTPConnection, bool]:
        """The connection of this thread and process, and whether it was not used before."""
        kept: Optional[Kept] = getattr(self._local, "kept", None)
        if kept is not None and kept.process == os.getpid():
            connection = kept.connection
            connection.timeout = timeout
            if connection.sock is not None and is_readable(connection.sock):
                # The service has closed it meanwhile: nothing else comes unasked.
                connection.close()
            if connection.sock is not None:
                connection.sock.settimeout(timeout)
            return connection, connection.sock is None
        connection = self.open(timeout)
        self._open.add(connection)
        self._local.kept = Kept(connection)
        return connection, True


def exchanged(
    connection: http.client.HTTPConnection, method: str, target: str, body: Optional[bytes],
    headers: Mapping[str, str],
) -> http.client.HTTPResponse:
    """Sends a request; the head of its answer, which may come before all is sent: a service that
    refuses a body reads no more of it."""
    try:
        connection.request(method, target, body, dict(headers))
    except ConnectionError:
        if body is None:
            raise
    return connection.getresponse()


def is_readable(sock: socket.socket) -> bool:
    """Whether something has come, its end included; does not wait."""
    if not hasattr(select, "poll"):  # Which, unlike the other, takes any descriptor.
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def shut_down(connection: Optional[http.client.HTTPConnection]) -> None:
    """Ends a connection under whichever thread uses it."""
    sock = None if connection is None else connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It has ended by itself.


def problem(status: int, headers: Any, body: bytes) -> ServiceError:
    """An answer of 400 and above as an exception."""
    members: Any = {}
    try:
        members = json.loads(body)
    except ValueError:
        members = {"detail": body[:400].decode("utf-8", "replace")}
    if not isinstance(members, dict):
        members = {"detail": str(members)}
    error = ServiceError(
        status, str(members.get("code", "http_error")),
        str(members.get("detail") or members.get("title") or ""), members.get("errors"),
        seconds(headers.get("Retry-After")))
    error.problem = members  # type: ignore[attr-defined]
    return error


def refusal(error: Mapping[str, Any]) -> ServiceError:
    """An error in the place of a handle."""
    return ServiceError(
        int(error.get("status", 400)), str(error.get("code", "invalid_request")),
        str(error.get("detail", "")), error.get("errors"), error.get("retry_after"))


def seconds(text: Optional[str]) -> Optional[float]:
    """What a `Retry-After` says; None for a date, which the service never sends."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def path(*parts: str) -> str:
    """A path of the service, its parts quoted."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def query(target: str, members: Mapping[str, Any]) -> str:
    """A target with a query of what is not None."""
    given = {
        name: ("true" if value else "false") if isinstance(value, bool) else value
        for name, value in members.items() if value is not None}
    return f"{target}?{urlencode(given, doseq=True)}" if given else target


def joined(members: Mapping[str, bytes]) -> bytes:
    """An object of values that are JSON text already."""
    parts = [codec.encode(name) + b":" + text for name, text in members.items()]
    return b"{" + b",".join(parts) + b"}"


def options(members: Mapping[str, Any]) -> Dict[str, bytes]:
    """Options of a submission as JSON text, those that are None left out."""
    return {
        name: json.dumps(value).encode() for name, value in members.items() if value is not None}


def chunk(body: bytes) -> bytes:
    """A part of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def messages(response: http.client.HTTPResponse) -> Iterator[Any]:
    """The JSON values of a streamed answer, one a line. Raises when it broke off within one:
    `http.client.IncompleteRead`, `OSError`."""
    rest = b""
    while True:
        part = response.read1(1 << 16)
        if not part:
            if rest:
                raise http.client.IncompleteRead(rest)
            return
        if b"\n" not in part:
            rest += part
            continue
        whole, _, rest = (rest + part).rpartition(b"\n")
        # All at once: that takes a third of the time.
        yield from codec.loads(b"[" + whole.replace(b"\n", b",") + b"]")
