"""A client for the jobs and maps of a Lido service."""

import http.client
import itertools
import os
import threading
import time
import uuid
from typing import (
    Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Protocol,
    Sequence, Tuple, Union)

from lido import codec, names
from lido.errors import JobCancelled, JobFailed, ServiceError, Unreachable
from lido.streams import (
    Deadline, MapInput, ResultStream, Window, ask_why, post_map, results, send_all)
from lido.transport import (
    WAIT_MAX, Answer, Transport, joined, options, path, problem, query, refusal)

__all__ = ["Client", "Event", "SubmittedJob"]

Task = Union[str, Callable[..., Any]]


class Identified(Protocol):
    """What has the id of a job or a map: a `SubmittedJob`, `lido.Job`, a result of a `Pool`."""

    @property
    def id(self) -> Optional[str]:
        """The id; None of what was never submitted."""


#: A job, or a map, or the id of one.
Reference = Union[str, Identified]

#: Maps whose items take more bytes than this are streamed, whatever the service takes in a body.
DOCUMENT_BYTES_MAX = 4 << 20


#: How much of a stream may be sent and unread: chunks, and items in a chunk, where the caller does
#: not say.
_CHUNKS_AHEAD = 32
_CHUNK_ITEMS = 1000


class Event(NamedTuple):
    """Something that happened to a job: a state, progress, a streamed item, a piece of log."""

    id: Optional[str]
    type: str
    data: Any


class SubmittedJob:
    """A job that was submitted. Any thread may use it."""

    def __init__(self, client: "Client", handle: Mapping[str, Any], pickles: bool) -> None:
        self.client = client
        self.id: str = handle["id"]
        self.handle: Dict[str, Any] = dict(handle)
        self._pickles = pickles

    def __repr__(self) -> str:
        return f"<lido job {self.id} {self.handle.get('state')}>"

    def wait(self, timeout: Optional[float] = None) -> Dict[str, Any]:
        """Waits until the job is final; its handle, in whatever state when the time is over."""
        self.handle = self.client.wait(self.id, timeout)
        return self.handle

    def result(self, timeout: Optional[float] = None) -> Any:
        """Its value. Raises like `Client.result`."""
        return self.client.result(self.id, timeout, pickle=self._pickles)

    def cancel(self, grace: Optional[float] = None) -> Dict[str, Any]:
        """Cancels it; its handle."""
        return self.client.cancel(self.id, grace)

    def delete(self) -> None:
        """Forgets it; it must be final."""
        self.client.delete(self.id)

    def logs(self, after: int = 0, stream: Optional[str] = None) -> str:
        """What it has written to `stderr`, or another stream (`stdout`), from this byte on."""
        return self.client.logs(self.id, after, stream)

    def events(self) -> Iterator[Event]:
        """What happens to it, from now to its end."""
        return self.client.events(self.id)


class Client:
    """A service at a URL. Any thread may use it; each has its own connection.

    Requests raise `ServiceError` when the service refuses them and `Unreachable` when it cannot be
    reached; those that are safe to repeat are repeated for some seconds first. A submission is
    always safe: it has an `Idempotency-Key`, or an `id`. Where the id of a job or a map is taken,
    what has it is, too: a `SubmittedJob`, or a result of a `lido.Pool`.
    """

    def __init__(self, url: Optional[str] = None, token: Optional[str] = None) -> None:
        """`url` is `LIDO_URL` by default, or http://127.0.0.1:8080; `token` is `LIDO_TOKEN`."""
        self.transport = Transport(url, token)
        self._ids = itertools.count(1)
        self._prefix = uuid.uuid4().hex
        self._document_bytes_max: Optional[int] = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection of this thread."""
        self.transport.close()

    # Jobs

    def submit(
        self, task: Task, args: Sequence[Any] = (), kwargs: Optional[Mapping[str, Any]] = None, *,
        pickle: bool = False, wait: Optional[float] = None, id: Optional[str] = None,
        idempotency_key: Optional[str] = None, pool: Optional[str] = None,
        timeout: Optional[float] = None, max_attempts: Optional[int] = None,
        on_interrupt: Optional[str] = None, tags: Optional[Sequence[str]] = None,
        **further: Any,
    ) -> SubmittedJob:
        """Submits a job. `task` is a name, or a function that a worker finds by its name. With
        `pickle` values that JSON cannot carry travel as pickles. With `wait`, answers when the job
        is final or after that many seconds. `further` are other members of a submission, such as
        `priority`, `delay`, `retry`, `callback`."""
        body = submission(task, args, kwargs or {}, pickle, {
            "pool": pool, "id": id, "timeout": timeout, "max_attempts": max_attempts,
            "on_interrupt": on_interrupt, "tags": None if tags is None else list(tags), **further})
        headers = {}
        if id is None or idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key or self._key()
        handle = self.transport.json(
            "POST", query("/v1/jobs", {"wait": wait}), body, headers, wait or 0, is_safe=True)
        return SubmittedJob(self, handle, pickle)

    def submit_many(
        self, submissions: Iterable[Mapping[str, Any]], *, pickle: bool = False
    ) -> List[Union[SubmittedJob, ServiceError]]:
        """Submits at most 10,000 jobs in one request. Each submission has `task` and what else it
        needs (`args`, `kwargs`, options). What was refused is an error in its place."""
        bodies = []
        for members in submissions:
            further = {"id": self._key(), **members}
            task, args = further.pop("task"), further.pop("args", ())
            bodies.append(submission(task, args, further.pop("kwargs", {}), pickle, further))
        found = self.transport.json(
            "POST", "/v1/jobs", b"[" + b",".join(bodies) + b"]", is_safe=True)
        return [
            SubmittedJob(self, entry, pickle) if "state" in entry else refusal(entry["error"])
            for entry in found["jobs"]]

    def apply(self, task: Task, *args: Any, **kwargs: Any) -> Any:
        """Submits a job and waits for its value. Raises like `result`."""
        return self.submit(task, args, kwargs).result()

    def job(self, identifier: Reference) -> Dict[str, Any]:
        """The handle of a job, in every state."""
        handle: Dict[str, Any] = self.transport.json("GET", _path("jobs", identifier))
        return handle

    def wait(self, identifier: Reference, timeout: Optional[float] = None) -> Dict[str, Any]:
        """Waits until a job is final; its handle, in whatever state when the time is over."""
        return self._waited(_path("jobs", identifier), timeout)

    def result(
        self, identifier: Reference, timeout: Optional[float] = None, *, pickle: bool = False
    ) -> Any:
        """The value of a job, waiting for it; bytes where its task has those for a result. Raises
        `JobFailed`, `JobCancelled`, and the builtin `TimeoutError` when it is not final in time,
        which does not stop it. With `pickle` a value that is a pickle is opened: only for services
        and workers that are trusted."""
        return self._result("jobs", identifier, timeout).value(pickle)

    def cancel(self, identifier: Reference, grace: Optional[float] = None) -> Dict[str, Any]:
        """Cancels a job; its handle. Raises `ServiceError` 409 when it is final."""
        return self._cancel(_path("jobs", identifier), joined(options({"grace": grace})))

    def delete(self, identifier: Reference) -> None:
        """Forgets a final job. Raises `ServiceError` 409 while it is not."""
        self._delete(_path("jobs", identifier))

    def logs(self, identifier: Reference, after: int = 0, stream: Optional[str] = None) -> str:
        """What a job has written so far to `stderr`, or another stream (`stdout`), from this byte
        on."""
        target = query(
            _path("jobs", identifier, "logs"), {"after": after or None, "stream": stream})
        return self.transport.request("GET", target).body.decode("utf-8", "replace")

    def events(self, identifier: Reference, after: Optional[str] = None) -> Iterator[Event]:
        """What happens to a job, to its end; `after` is the id of the last event seen. Goes on by
        itself when the connection breaks."""
        give_up: Optional[float] = None
        while True:
            try:
                for event in self._events(identifier, after):
                    after, give_up = event.id or after, None
                    yield event
                if self.job(identifier)["ready"]:
                    return
            except (OSError, http.client.HTTPException) as error:
                now = time.monotonic()
                give_up = give_up or now + self.transport.patience(error)
                if now > give_up:
                    raise self.transport.unreachable(error) from None
                time.sleep(0.1)

    # Maps

    def map(
        self, task: Task, items: Iterable[Any], *, star: bool = False, pickle: bool = False,
        chunksize: Optional[int] = None, timeout: Optional[float] = None, **further: Any,
    ) -> List[Any]:
        """The values for all items, in their order. Raises `JobFailed` for the first chunk that
        failed, when all have ended, and `TimeoutError` after `timeout` seconds: what was sent by
        then goes on. `further` are options of a map: `pool`, `id`, `max_attempts`, `on_interrupt`,
        `tags`. Whatever their size, items are in memory."""
        given = _arguments(items, star)
        members = self._map_members(task, star, pickle, chunksize, further)
        text = codec.encode_list(given, pickle)
        if len(text) > DOCUMENT_BYTES_MAX or len(text) > self._document_max():
            del text
            lines = codec.encode_lines(given, pickle)
            self.transport.check_size(max(map(len, lines), default=0))
            return self._map_streamed(members, lines, pickle, timeout)
        post_map(self.transport, members, text, chunksize or len(given))
        return codec.decode_list(self._result("maps", members["id"], timeout).json, pickle)

    def stream(
        self, task: Task, items: Iterable[Any], *, ordered: bool = True, star: bool = False,
        pickle: bool = False, chunksize: Optional[int] = None, buffersize: Optional[int] = None,
        **further: Any,
    ) -> Iterator[Any]:
        """Values as they come, in the order of the items or of their completion, while the items
        are still read: from a generator without an end, too. Raises `JobFailed` at the first item
        that has none, and what the items raise. The items are read at most `buffersize` chunks (32
        of `chunksize` items, or of 1,000) ahead of who reads the values."""
        for _, value, error in self.stream_items(
                task, items, ordered=ordered, star=star, pickle=pickle, chunksize=chunksize,
                buffersize=buffersize, **further):
            if error is not None:
                raise error
            yield value

    def stream_items(
        self, task: Task, items: Iterable[Any], *, ordered: bool = True, star: bool = False,
        pickle: bool = False, chunksize: Optional[int] = None, buffersize: Optional[int] = None,
        **further: Any,
    ) -> Iterator[Tuple[int, Any, Optional[JobFailed]]]:
        """`stream` with the index of each item, and errors in their places."""
        members = self._map_members(task, star, pickle, chunksize, further)
        members["buffersize"] = buffersize
        source = MapInput(self.transport, members)
        stream = ResultStream(self.transport, members["id"], ordered, is_coming=True)
        window = Window((buffersize or _CHUNKS_AHEAD) * (chunksize or _CHUNK_ITEMS))
        failure: List[BaseException] = []
        process = os.getpid()

        def send() -> None:
            try:
                source.begin()
                for item in items:
                    if not window.acquire():
                        return
                    source.send(codec.encode_lines(_arguments([item], star), pickle))
                source.finish()
            except BaseException as error:
                failure.append(error)
                source.abort()
                if isinstance(error, ServiceError):
                    stream.close()
            finally:
                source.close()

        sender = threading.Thread(target=send, name="lido map input", daemon=True)
        sender.start()
        try:
            try:
                for result in results(stream, pickle, members["id"]):
                    yield result
                    window.release()
            except (JobFailed, ServiceError, Unreachable) as problem:
                if not failure:
                    if isinstance(problem, ServiceError) and problem.status == 404:
                        ask_why(self.transport, members)
                    raise
            if failure:
                raise failure[0]
        finally:
            if os.getpid() == process:  # Not in a child of a fork: the lock may be held there.
                window.close()
            stream.close()
            source.abort()

    def map_results(
        self, identifier: Reference, *, ordered: bool = True, after: int = 0, pickle: bool = False
    ) -> Iterator[Tuple[int, Any, Optional[JobFailed]]]:
        """The index, value and error of each item of a map as they come, going on after so many
        that were received before."""
        name = id_of(identifier)
        return results(ResultStream(self.transport, name, ordered, after), pickle, name)

    def map_handle(self, identifier: Reference, timeout: Optional[float] = 0) -> Dict[str, Any]:
        """The handle of a map; waits up to `timeout` seconds (None: for ever) until it is
        final."""
        return self._waited(_path("maps", identifier), timeout)

    def cancel_map(self, identifier: Reference) -> Dict[str, Any]:
        """Cancels a map; its handle. Raises `ServiceError` 409 when it is final."""
        return self._cancel(_path("maps", identifier))

    def delete_map(self, identifier: Reference) -> None:
        """Forgets a final map. Raises `ServiceError` 409 while it is not."""
        self._delete(_path("maps", identifier))

    # What they share

    def _document_max(self) -> int:
        """The most bytes of items that the service takes in one document; asked for once."""
        if self._document_bytes_max is None:
            self._document_bytes_max = self.transport.ask_limit()
        return self._document_bytes_max

    def _key(self) -> str:
        # Another process that was forked from this one must not use the same.
        return f"{self._prefix}-{os.getpid()}-{next(self._ids)}"

    def _map_members(
        self, task: Task, star: bool, pickle: bool, chunksize: Optional[int],
        further: Mapping[str, Any],
    ) -> Dict[str, Any]:
        name, main = named(task)
        return {
            "task": name, "star": star or None, "chunksize": chunksize,
            "encoding": "pickle" if pickle else None, "main": main, "id": self._key(), **further}

    def _map_streamed(
        self, members: Mapping[str, Any], texts: List[bytes], pickle: bool,
        timeout: Optional[float],
    ) -> List[Any]:
        source = MapInput(self.transport, members, timeout)
        stream = ResultStream(
            self.transport, members["id"], True, is_coming=True, connect_seconds=timeout)
        failure: List[BaseException] = []

        def send() -> None:
            try:
                source.begin()
                send_all(source, texts)
                source.finish()
            except BaseException as error:
                failure.append(error)
                if isinstance(error, ServiceError):
                    stream.close()
            finally:
                source.close()

        sender = threading.Thread(target=send, name="lido map input", daemon=True)
        sender.start()
        with Deadline(timeout, [source.abort, stream.close]) as deadline:
            values: List[Any] = []
            first: Optional[JobFailed] = None
            try:
                for _, value, error in results(stream, pickle, members["id"]):
                    values.append(value)
                    first = first or error
            except (JobFailed, ServiceError, Unreachable):
                if not failure and not deadline.is_over:
                    source.abort()
                    raise
        if deadline.is_over:
            raise TimeoutError(f"{members['id']} is not final after {timeout} s")
        sender.join()
        if first is not None and not failure:
            raise first
        if failure:
            raise failure[0]
        return values

    def _cancel(self, target: str, body: Optional[bytes] = None) -> Dict[str, Any]:
        handle: Dict[str, Any]
        try:
            handle = self.transport.json("POST", f"{target}/cancel", body, is_safe=True)
        except ServiceError as error:
            # A repeat finds what the try whose answer was lost has done.
            if error.code != "not_cancellable" or not error.is_repeated:
                raise
            handle = self.transport.json("GET", target)
            if handle["state"] != "cancelled":
                raise error from None
        return handle

    def _delete(self, target: str) -> None:
        try:
            self.transport.request("DELETE", target, is_safe=True)
        except ServiceError as error:
            # As with `_cancel`.
            if error.status not in (404, 410) or not error.is_repeated:
                raise

    def _waited(self, target: str, timeout: Optional[float]) -> Dict[str, Any]:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            wait = WAIT_MAX if deadline is None else deadline - time.monotonic()
            wait = max(0.0, min(wait, WAIT_MAX))
            handle: Dict[str, Any] = self.transport.json(
                "GET", query(target, {"wait": round(wait, 3) or None}), wait=wait)
            if handle["ready"] or (deadline is not None and time.monotonic() >= deadline):
                return handle

    def _result(self, kind: str, identifier: Reference, timeout: Optional[float]) -> Answer:
        name = id_of(identifier)
        target = path(kind, name, "result")
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            wait = WAIT_MAX if deadline is None else deadline - time.monotonic()
            wait = max(0.0, min(wait, WAIT_MAX))
            try:
                return self.transport.request(
                    "GET", query(target, {"wait": round(wait, 3) or None}), wait=wait)
            except ServiceError as error:
                if error.code == "job_failed":
                    raise failed(error, name) from None
                if error.code != "not_ready":
                    raise
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"{name} is not final after {timeout} s")

    def _events(self, identifier: Reference, after: Optional[str]) -> Iterator[Event]:
        connection = self.transport.open(timeout=60)  # There is a keep-alive every 15 s.
        try:
            headers = {"Accept": "text/event-stream"}
            if after is not None:
                headers["Last-Event-ID"] = after
            self.transport.begin(connection, "GET", _path("jobs", identifier, "events"), headers)
            response = connection.getresponse()
            if response.status >= 400:
                raise problem(response.status, response.headers, response.read())
            yield from _parsed_events(response)
        finally:
            connection.close()


def id_of(what: Reference) -> str:
    """The id of a job or a map. Raises `TypeError` for what has none, `ValueError` for what was
    never submitted."""
    identifier = what if isinstance(what, str) else getattr(what, "id", what)
    if identifier is None and what is not None:
        raise ValueError(f"{what!r} was never submitted")
    if not isinstance(identifier, str):
        raise TypeError(f"a job, a map or the id of one is needed, not {what!r}")
    return identifier


def _path(kind: str, what: Reference, *parts: str) -> str:
    return path(kind, id_of(what), *parts)


def named(task: Task) -> Tuple[str, Optional[str]]:
    """The name of a task, and the script that it is in, if it is. Raises `ValueError` for a
    function that has no name."""
    name = task if isinstance(task, str) else names.name_of(task)
    if name is None:
        raise ValueError(f"{task!r} has no name by which a worker finds it")
    if not name.startswith("__main__:"):
        return name, None
    module_name = None if isinstance(task, str) else names.name_within_module(name)
    if module_name is not None:  # So the pool need not load scripts.
        return module_name, None
    script = names.main_script()
    if script is None:
        raise ValueError(f"{name} is defined in no file: put it in a module")
    return name, script


def submission(
    task: Task, args: Sequence[Any], kwargs: Mapping[str, Any], pickles: bool,
    members: Mapping[str, Any],
) -> bytes:
    """A submission of a job as JSON. Raises what encoding the arguments raises."""
    name, main = named(task)
    texts = options({
        "task": name, "encoding": "pickle" if pickles else None, "main": main, **members})
    texts["args"] = codec.encode_list(args, pickles)
    if kwargs:
        texts["kwargs"] = joined(
            {key: codec.encode(value, pickles) for key, value in kwargs.items()})
    return joined(texts)


def _arguments(items: Iterable[Any], star: bool) -> List[Any]:
    """Items as a list. Spread over arguments, a tuple is as good as a list."""
    return [list(item) for item in items] if star else list(items)


def failed(error: ServiceError, identifier: str) -> JobFailed:
    """A 424 as what it says of the job. One that was cancelled has no error of its own."""
    members = getattr(error, "problem", {}).get("error")
    if not isinstance(members, dict):
        members = {"code": "cancelled", "message": error.detail}
    kind = JobCancelled if members.get("code") == "cancelled" else JobFailed
    return kind(members, identifier)


def _parsed_events(response: Iterable[bytes]) -> Iterator[Event]:
    """Server-Sent Events of which every one has data in JSON."""
    kind, texts, identifier = "message", [], None
    for line in response:
        name, _, text = line.rstrip(b"\r\n").decode("utf-8", "replace").partition(":")
        text = text[1:] if text.startswith(" ") else text
        if name == "data":
            texts.append(text)
        elif name == "event":
            kind = text
        elif name == "id":
            identifier = text
        elif not name and not text and texts:
            yield Event(identifier, kind, codec.loads("\n".join(texts).encode()))
            kind, texts = "message", []
