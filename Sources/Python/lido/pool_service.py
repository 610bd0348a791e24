"""What a pool asks of a service: the requests, one method each."""

import os
import time
import uuid
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from lido.errors import LidoError, ServiceError
from lido.streams import post_map
from lido.transport import WAIT_MAX, Answer, Transport, joined, options, path, query

#: At most this many submissions are in one request.
SUBMISSIONS_MAX = 10_000

#: A wait for completions that brings nothing sooner than this was none.
_WAIT_MIN = 1.0

#: What a wait for completions is made shorter to, at most, where it was too long for a proxy.
_FEED_SECONDS_MIN = 4.0

#: The longest pause between answers of the feed that come at once and bring nothing.
_PAUSE_MAX = 5.0

#: A pool of which nobody asks anything for so long is ended by the service, as its program is gone;
#: the feed is asked all the time.
_IDLE_SECONDS_MAX = 600

#: How long the workers may take to get ready: the service has a shorter limit of its own.
_START_SECONDS_MAX = 600.0

#: How long a service may take for the answer to a terminate, of which there is nothing to wait for;
#: then it is asked again.
_END_SECONDS_MAX = 5.0

#: How long the end of a pool may take whose making was interrupted.
_INTERRUPTED_SECONDS_MAX = 5.0

#: So many ids fit in the head of a request.
_IDS_MAX = 100


class MapHead(NamedTuple):
    """What a map says besides its items, and how many of them a chunk has."""

    members: Mapping[str, Any]
    size: int


class PoolService:
    """A pool as a resource of a service. Any thread may use it."""

    def __init__(self, url: Optional[str], token: Optional[str]) -> None:
        self.transport = Transport(url, token)
        # Of its own, so that a wait that goes on can be ended.
        self._feed = Transport(url, token)
        self.name = f"py-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self.handle: Dict[str, Any] = {}
        #: How long a read of the feed waits.
        self.feed_seconds = WAIT_MAX
        #: About how many bytes of values a request may have; known once the pool is made.
        self.body_bytes_max = 0

    def create(
        self, template: str, processes: Optional[int], initializer: Optional[str],
        initargs: bytes, maxtasksperchild: Optional[int], main: Optional[str],
        allow_pickle: bool,
    ) -> None:
        """Makes the pool; it runs when this returns. Raises `ServiceError`, `Unreachable`; who is
        interrupted leaves none behind."""
        members = options({
            "name": self.name, "template": template, "processes": processes,
            "initializer": initializer, "maxtasksperchild": maxtasksperchild, "main": main,
            "allow_pickle": allow_pickle or None, "idle_timeout": _IDLE_SECONDS_MAX})
        if initializer is not None:
            members["initargs"] = initargs
        self.body_bytes_max = self.transport.ask_limit()
        self._feed.is_known = True
        try:
            self._create(joined(members))
        except ServiceError as error:
            if initializer is not None and _is_of_initargs(error):
                raise _initargs_refused(error, len(initargs)) from None
            raise
        except (KeyboardInterrupt, SystemExit):
            self.terminate_soon(_INTERRUPTED_SECONDS_MAX)
            raise

    def _create(self, body: bytes) -> None:
        try:
            self.handle = self.transport.json(
                "POST", "/v1/pools", body, {"Idempotency-Key": self.name},
                wait=_START_SECONDS_MAX, is_safe=True)
        except ServiceError as error:
            # The name is nobody else's: an earlier try of this request has made it.
            if error.code != "conflict":
                raise
            self.handle = self.transport.json("GET", path("pools", self.name))
        pause = 0.02
        while self.handle["state"] == "starting":
            # The answer to an earlier try, which would have waited, was lost.
            time.sleep(pause)
            pause = min(2 * pause, 1)
            self.handle = self.transport.json("GET", path("pools", self.name))

    def checked(self, lines: List[bytes]) -> List[bytes]:
        """Lines of a map as they are, each of which the service takes. Raises `ServiceError`."""
        self.transport.check_size(max(map(len, lines), default=0))
        return lines

    def submit(self, bodies: Sequence[bytes]) -> List[Dict[str, Any]]:
        """Submits jobs, each with an id; for each a handle or `{"error"}`."""
        answer = self.transport.json(
            "POST", "/v1/jobs", b"[" + b",".join(bodies) + b"]", is_safe=True)
        found: List[Dict[str, Any]] = answer["jobs"]
        return found

    def submit_map(self, head: MapHead, items: bytes) -> None:
        """Submits a map that has an id."""
        post_map(self.transport, head.members, items, head.size)

    def completions(self, after: int) -> Tuple[List[Dict[str, Any]], int]:
        """What ended after that place of the feed, waiting for it; and the next place."""
        seconds = self.feed_seconds
        target = query(path("pools", self.name, "completions"), {"after": after, "wait": seconds})
        began = time.monotonic()
        try:
            answer = self._feed.json("GET", target, wait=seconds)
        except ServiceError as error:
            if error.status == 504 and time.monotonic() - began > _FEED_SECONDS_MIN:
                # What stands before the service waits less long.
                self.feed_seconds = max(_FEED_SECONDS_MIN, seconds / 2)
            raise
        return answer["completions"], answer["next"]

    def end_feed(self) -> None:
        """Ends a wait for completions; there is no other after it."""
        self._feed.abort()

    def look_up(
        self, jobs: Sequence[str], maps: Sequence[str]
    ) -> Iterator[Tuple[str, Dict[str, Any]]]:
        """The handles of jobs and maps, `{"error"}` in the places of those that are not there."""
        for start in range(0, len(jobs), _IDS_MAX):
            some = jobs[start:start + _IDS_MAX]
            target = query("/v1/jobs", {"id": ",".join(some)})
            yield from zip(some, self.transport.json("GET", target)["jobs"])
        for identifier in maps:
            try:
                handle = self.transport.json("GET", path("maps", identifier))
            except ServiceError as error:
                if error.status not in (404, 410):
                    raise
                handle = {"error": {
                    "status": error.status, "code": error.code, "detail": error.detail}}
            yield identifier, handle

    def result(self, kind: str, identifier: str) -> Answer:
        """The value of a job or a map (`jobs`, `maps`) that has succeeded."""
        return self.transport.request("GET", path(kind, identifier, "result"))

    def job(self, identifier: str) -> Dict[str, Any]:
        """The handle of a job."""
        handle: Dict[str, Any] = self.transport.json("GET", path("jobs", identifier))
        return handle

    def workers(self) -> List[Dict[str, Any]]:
        """The workers that live; none when the pool is forgotten."""
        try:
            found = self.transport.json("GET", path("pools", self.name, "workers"))["workers"]
        except ServiceError as error:
            if error.status not in (404, 410):
                raise
            found = []
        return [worker for worker in found if worker["state"] != "gone"]

    def close(self) -> None:
        """No more is submitted; what is there is done."""
        self._end("close", self.transport)

    def terminate(self) -> None:
        """All ends; every job is final when this returns."""
        self._terminate(self.transport.like(_END_SECONDS_MAX))

    def terminate_soon(self, seconds: float) -> bool:
        """`terminate` that takes no longer than this, whatever the service does; whether it did
        it."""
        try:
            self._terminate(self.transport.like(seconds, retry_seconds=0))
            return True
        except LidoError:
            return False  # The program loses its interest in the pool.

    def _terminate(self, transport: Transport) -> None:
        try:
            self._end("terminate", transport)
        finally:
            transport.close()

    def is_joined(self, seconds: float = WAIT_MAX) -> bool:
        """Waits that long for the last worker to end; whether it has."""
        target = query(path("pools", self.name), {"wait_joined": seconds or None})
        try:
            return bool(self.transport.json("GET", target, wait=seconds)["state"] == "joined")
        except ServiceError as error:
            if error.status in (404, 410):
                return True  # It is forgotten already.
            raise

    def _end(self, how: str, transport: Transport) -> None:
        try:
            transport.request("POST", path("pools", self.name, how), is_safe=True)
        except ServiceError as error:
            if error.status not in (404, 409, 410):  # It has ended already.
                raise


class CompletionReader:
    """A place in the feed of a pool. For one thread."""

    def __init__(self, service: PoolService) -> None:
        self._service = service
        self._after = 0
        self._vain = 0  # So many answers in a row came at once and brought nothing.
        #: Whether something may have been passed over: what is open is to be looked up.
        self.is_behind = False
        #: Whether that is only since nothing has ended for a while.
        self.is_idle = False
        #: Whether the pool is joined, or forgotten: nothing comes any more.
        self.is_over = False
        #: Whether the service does not know the pool.
        self.is_lost = False

    @property
    def pause(self) -> float:
        """So many seconds are to pass before the next read: some when one was in vain."""
        return min(0.01 * 2.0 ** self._vain, _PAUSE_MAX) if self._vain > 1 else 0.0

    def read(self) -> List[Dict[str, Any]]:
        """Handles of what has ended, waiting for it. Raises `ServiceError`, `Unreachable`."""
        began = time.monotonic()
        try:
            entries, self._after = self._service.completions(self._after)
        except ServiceError as error:
            if error.status not in (404, 410):
                raise
            self.is_behind, self.is_idle = True, False
            place = getattr(error, "problem", {}).get("next")
            if place is None:
                self.is_over = self.is_lost = True  # The whole pool is not there.
            else:
                self._after = place
                self._vain = min(self._vain + 1, 20)
            return []
        # What ended long ago may have been dropped by now, and then the feed tells nothing of it.
        self.is_behind = not entries
        if entries or time.monotonic() - began > _WAIT_MIN:
            self._vain, self.is_idle = 0, True
        else:
            self.is_idle = False
            # It ends waits when the pool is joined.
            self._vain = min(self._vain + 1, 20)
            self.is_over = self._service.is_joined(0)
        return [entry.get("job") or entry["map"] for entry in entries]


def _is_of_initargs(error: ServiceError) -> bool:
    """Whether what is wrong with the making of a pool are the initializer's arguments. Nothing else
    of it may be long."""
    return error.code == "payload_too_large" or any(
        isinstance(place, dict) and str(place.get("pointer", "")).startswith("/initargs")
        for place in error.errors)


def _initargs_refused(error: ServiceError, size: int) -> ServiceError:
    return ServiceError(
        error.status, error.code,
        f"the initargs, which each worker gets, take {size} bytes as they are sent, and the "
        "service takes at most 1 MiB; what is larger the initializer reads itself, from a file "
        f"whose path it is given ({error.detail})", error.errors, error.retry_after)
