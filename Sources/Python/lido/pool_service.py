"""What a pool asks of a service: the requests, one method each."""

import os
import uuid
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from lido import codec
from lido.errors import LidoError, ServiceError
from lido.transport import WAIT_MAX, Answer, Transport, joined, options, path, query

#: At most this many submissions are in one request.
SUBMISSIONS_MAX = 10_000

#: The largest body that a service takes unless it says another limit, and what is left of it for
#: what stands around the values.
_BODY_BYTES_MAX = 8 << 20
_MARGIN = 1 << 16

#: So many ids fit in the head of a request.
_IDS_MAX = 100

#: After so many seconds without a request of this program the service ends its pool: it was killed,
#: or its machine is gone. While it lives, its feed asks all the time.
_IDLE_SECONDS = 600


class PoolService:
    """A pool as a resource of a service. Any thread may use it."""

    def __init__(self, url: Optional[str], token: Optional[str]) -> None:
        self.transport = Transport(url, token)
        # Of its own, so that a wait that goes on can be ended.
        self._feed = Transport(url, token)
        self.name = f"py-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self.handle: Dict[str, Any] = {}
        #: About how many bytes of values a request may have.
        self.body_bytes_max = _BODY_BYTES_MAX - _MARGIN

    def create(
        self, template: str, processes: Optional[int], initializer: Optional[str],
        initargs: bytes, maxtasksperchild: Optional[int], main: Optional[str],
        allow_pickle: bool,
    ) -> None:
        """Makes the pool; it runs when this returns. Raises `ServiceError`, `Unreachable`."""
        members = options({
            "name": self.name, "template": template, "processes": processes,
            "initializer": initializer, "maxtasksperchild": maxtasksperchild, "main": main,
            "allow_pickle": allow_pickle or None, "idle_timeout": _IDLE_SECONDS})
        if initializer is not None:
            members["initargs"] = initargs
        limits = self.transport.json("GET", "/v1/info").get("limits", {})
        self.body_bytes_max = max(
            1, limits.get("body_bytes_max", _BODY_BYTES_MAX) - _MARGIN)
        try:
            # The key lets a repeat hear what the first try does, while the pool is being made, too.
            self.handle = self.transport.json(
                "POST", "/v1/pools", joined(members), {"Idempotency-Key": self.name},
                is_safe=True)
        except ServiceError as error:
            # The name is nobody else's: an earlier try of this request has made it.
            if error.code != "conflict":
                raise
            self.handle = self.transport.json("GET", path("pools", self.name))

    def submit(self, bodies: Sequence[bytes]) -> List[Dict[str, Any]]:
        """Submits jobs, each with an id; for each a handle or `{"error"}`."""
        answer = self.transport.json(
            "POST", "/v1/jobs", b"[" + b",".join(bodies) + b"]", is_safe=True)
        found: List[Dict[str, Any]] = answer["jobs"]
        return found

    def submit_map(self, body: bytes) -> None:
        """Submits a map that has an id."""
        self.transport.request("POST", "/v1/maps", body, is_safe=True)

    def completions(self, after: int) -> Tuple[List[Dict[str, Any]], int]:
        """What ended after that place of the feed, waiting for it; and the next place."""
        target = query(path("pools", self.name, "completions"), {"after": after, "wait": WAIT_MAX})
        answer = self._feed.json("GET", target, wait=WAIT_MAX)
        return answer["completions"], answer["next"]

    def end_feed(self) -> None:
        """Ends a wait for completions; there is no other after it."""
        self._feed.abort()

    def look_up(self, identifiers: Sequence[str]) -> List[Dict[str, Any]]:
        """The handles of jobs, errors in the places of those that are not there."""
        found: List[Dict[str, Any]] = []
        for start in range(0, len(identifiers), _IDS_MAX):
            some = ",".join(identifiers[start:start + _IDS_MAX])
            found += self.transport.json("GET", query("/v1/jobs", {"id": some}))["jobs"]
        return found

    def look_up_map(self, identifier: str) -> Dict[str, Any]:
        """The handle of a map."""
        handle: Dict[str, Any] = self.transport.json("GET", path("maps", identifier))
        return handle

    def result(self, kind: str, identifier: str) -> Answer:
        """The value of a job or a map (`jobs`, `maps`) that has succeeded."""
        return self.transport.request("GET", path(kind, identifier, "result"))

    def job(self, identifier: str) -> Dict[str, Any]:
        """The handle of a job."""
        handle: Dict[str, Any] = self.transport.json("GET", path("jobs", identifier))
        return handle

    def workers(self) -> List[Dict[str, Any]]:
        """The workers that live."""
        found = self.transport.json("GET", path("pools", self.name, "workers"))["workers"]
        return [worker for worker in found if worker["state"] != "gone"]

    def close(self) -> None:
        """No more is submitted; what is there is done."""
        self._end("close")

    def terminate(self) -> None:
        """All ends; every job is final when this returns."""
        self._end("terminate")

    def terminate_soon(self, seconds: float) -> None:
        """`terminate` that takes no longer than this, whatever the service does."""
        url, token = self.transport.given
        transport = Transport(url, token, retry_seconds=0, seconds_max=seconds)
        try:
            transport.request("POST", path("pools", self.name, "terminate"))
        except LidoError:
            pass  # The program loses its interest in the pool.
        finally:
            transport.close()

    def is_joined(self) -> bool:
        """Waits for some seconds for the last worker to end; whether it has."""
        target = query(path("pools", self.name), {"wait_joined": WAIT_MAX})
        try:
            return bool(self.transport.json("GET", target, wait=WAIT_MAX)["state"] == "joined")
        except ServiceError as error:
            if error.status in (404, 410):
                return True  # It is forgotten already.
            raise

    def _end(self, how: str) -> None:
        try:
            self.transport.request("POST", path("pools", self.name, how), is_safe=True)
        except ServiceError as error:
            if error.status not in (404, 409, 410):  # It has ended already.
                raise


def map_body(members: Mapping[str, Any], items: bytes) -> bytes:
    """A map as one document; its items are an array."""
    return joined({**options(members), "items": items})


def value_of(answer: Answer, pickles: bool) -> Any:
    """The body of a `/result` as a value."""
    if answer.headers.get_content_type() != "application/json":
        return answer.body
    return codec.decode(answer.json, pickles)
