"""`lido.Pool`: `multiprocessing.Pool`, whose processes are those of a Lido service."""

import itertools
import os
import pickle
import uuid
import warnings
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Union

from lido import calls, codec, names, tasks
from lido.errors import ServiceError, TaskNotFound
from lido.pool_core import (
    CLOSE, JOB, MAP, RUN, STREAM, TERMINATE, PoolCore, Submission)
from lido.pool_service import MapHead, PoolService
from lido.pool_streams import IteratorStream, ListStream, chunks
from lido.results import (
    ApplyResult, AsyncResult, IMapIterator, IMapUnorderedIterator, MapResult)
from lido.transport import joined, options

__all__ = ["Pool"]

Callback = Optional[Callable[[Any], Any]]

INIT = "INIT"


class _OfTemplate:
    """What was left out, where None has a meaning of its own."""

    def __repr__(self) -> str:
        return "<the template's>"


_OF_TEMPLATE: Any = _OfTemplate()


class Route:
    """How the calls of one function travel: the name of the task, and what each submission says
    besides its values."""

    def __init__(
        self, name: str, packed: Optional[Callable[..., Any]], main: Optional[str]
    ) -> None:
        self.name = name
        #: The function itself, when it has no name and travels as a pickle.
        self.packed = packed
        self.main = main

    def task(self, how: str = "call") -> str:
        """The name of the task; for a function that has none, of what calls it."""
        return self.name if self.packed is None else f"{calls.__name__}:{how}"


class PoolWorker:
    """A worker process of a pool, as it was when it was asked for."""

    def __init__(self, service: PoolService, members: Mapping[str, Any]) -> None:
        self._service = service
        self.pid: Optional[int] = members.get("pid") or None
        self.exitcode: Optional[int] = members.get("exitcode")

    def is_alive(self) -> bool:
        """Whether it lives now."""
        return self.pid in [worker["pid"] for worker in self._service.workers()]


class Pool:
    """`multiprocessing.Pool` over a service: the same methods, the same results and errors.

    Functions travel by name, so the workers must be able to import them; those of the script itself
    need a pool whose configuration says `allow_main: true`. Values travel as JSON where that is
    exact and as pickles otherwise, if the service permits it.
    """

    def __init__(
        self, processes: Optional[int] = None, initializer: Optional[Callable[..., Any]] = None,
        initargs: Iterable[Any] = (), maxtasksperchild: Optional[int] = _OF_TEMPLATE,
        context: Any = None, *, template: Optional[str] = None, url: Optional[str] = None,
        token: Optional[str] = None, allow_pickle: Optional[bool] = None,
        on_interrupt: Optional[str] = None,
    ) -> None:
        """The arguments of `multiprocessing.Pool`; `context` is ignored. `template` names the
        configured pool whose kind of worker is taken (`LIDO_POOL`, or `python`); `processes` and
        `maxtasksperchild` left out are what that has, and the latter as None is never. `url` and
        `token` are `LIDO_URL` and `LIDO_TOKEN`. `allow_pickle` left out takes pickles where the
        service permits them. `on_interrupt` is what becomes of calls that run when the service
        crashes: "requeue", the default, runs them again, and "fail" fails them. Raises what
        `multiprocessing.Pool` does, `ServiceError`, `Unreachable`."""
        self._state = INIT
        self._process = os.getpid()
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if on_interrupt not in (None, "requeue", "fail"):
            raise ValueError(f"on_interrupt must be 'requeue' or 'fail', not {on_interrupt!r}")
        self._on_interrupt = on_interrupt
        calls_max = _calls_max(maxtasksperchild)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if tasks.is_loading_script:
            raise RuntimeError(
                "a worker loads this script for its functions, and the script makes a pool while "
                "it is loaded: put that under `if __name__ == \"__main__\":`")
        self._service = PoolService(url, token)
        self._script = names.main_script()
        # Whether workers load it: None for a service that does not say. Until the pool is made, as
        # the service has not refused.
        self._allow_main: Optional[bool] = True
        template = template or os.environ.get("LIDO_POOL") or "python"
        self._create(template, processes, initializer, list(initargs), calls_max, allow_pickle)
        self._processes: int = self._service.handle["processes"]
        self._allow_main = self._service.handle.get("allow_main")
        self._prefix = uuid.uuid4().hex
        self._ids = itertools.count(1)
        self._routes: Dict[Any, Route] = {}
        self._core = PoolCore(self._service, self._pickles)
        self._state = RUN

    def __repr__(self) -> str:
        kind = type(self)
        size = getattr(self, "_processes", 0)
        return f"<{kind.__module__}.{kind.__qualname__} state={self._state} pool_size={size}>"

    def __reduce__(self) -> Any:
        raise NotImplementedError(
            "pool objects cannot be passed between processes or pickled")

    def __enter__(self) -> "Pool":
        self._check_running()
        return self

    def __exit__(self, *_: Any) -> None:
        self.terminate()

    def __del__(self, _warn: Any = warnings.warn, _getpid: Any = os.getpid) -> None:
        if self._state not in (RUN, CLOSE) or self._process != _getpid():
            return
        if self._state == RUN:
            _warn(
                f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self)
        self._core.abandon()

    # Calls

    def apply(
        self, func: Callable[..., Any], args: Iterable[Any] = (), kwds: Mapping[str, Any] = {}
    ) -> Any:
        """`func(*args, **kwds)`, in a worker."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self, func: Callable[..., Any], args: Iterable[Any] = (), kwds: Mapping[str, Any] = {},
        callback: Callback = None, error_callback: Callback = None,
    ) -> AsyncResult:
        """`apply` that does not wait. What cannot be sent fails the result, as with
        multiprocessing."""
        self._check_running()
        result = ApplyResult(self, callback, error_callback)
        try:
            route = self._route(func)
            given = list(args) if route.packed is None else [route.packed, *args]
            texts = {"args": codec.encode_list(given, self._pickles)}
            if kwds:
                if not all(isinstance(key, str) for key in kwds):
                    raise TypeError("keywords must be strings")
                texts["kwargs"] = joined({
                    key: codec.encode(value, self._pickles) for key, value in kwds.items()})
            identifier = result.id = self._identifier(JOB)
            body = joined({**options(self._members(route, identifier)), **texts})
        except Exception as error:
            self._core.fail(result, error)
        else:
            self._core.submit(Submission(identifier, body), result)
        return result

    def map(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: Optional[int] = None
    ) -> List[Any]:
        """The values for all items, in order."""
        values: List[Any] = self.map_async(func, iterable, chunksize).get()
        return values

    def map_async(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: Optional[int] = None,
        callback: Callback = None, error_callback: Callback = None,
    ) -> MapResult:
        """`map` that does not wait."""
        return self._map_async(func, iterable, False, chunksize, callback, error_callback)

    def starmap(
        self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]],
        chunksize: Optional[int] = None,
    ) -> List[Any]:
        """`map` whose items are spread over the arguments."""
        values: List[Any] = self.starmap_async(func, iterable, chunksize).get()
        return values

    def starmap_async(
        self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]],
        chunksize: Optional[int] = None, callback: Callback = None,
        error_callback: Callback = None,
    ) -> MapResult:
        """`starmap` that does not wait."""
        return self._map_async(func, iterable, True, chunksize, callback, error_callback)

    def imap(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int = 1, *,
        buffersize: Optional[int] = None,
    ) -> Union[IMapIterator, Iterator[Any]]:
        """The values in order, as they come. The input is read as far ahead as the workers need it:
        at most `buffersize` chunks and one per process are sent or unread."""
        return self._imap(IMapIterator, func, iterable, chunksize, buffersize)

    def imap_unordered(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int = 1, *,
        buffersize: Optional[int] = None,
    ) -> Union[IMapIterator, Iterator[Any]]:
        """The values in the order of their completion."""
        return self._imap(IMapUnorderedIterator, func, iterable, chunksize, buffersize)

    # The end

    def close(self) -> None:
        """Takes no more calls; those that were made are done."""
        if self._state == RUN:
            self._state = CLOSE
            self._core.close()

    def terminate(self) -> None:
        """Ends the workers at once. What has no value yet never gets one: its `get` raises
        `PoolTerminated`."""
        self._state = TERMINATE
        self._core.terminate()

    def join(self) -> None:
        """Waits for the workers to end. Raises `ValueError` unless the pool was closed or
        terminated."""
        if self._state == RUN:
            raise ValueError("Pool is still running")
        if self._state not in (CLOSE, TERMINATE):
            raise ValueError("In unknown state")
        self._core.join()

    # What tests of multiprocessing look at

    @property
    def _pool(self) -> List[PoolWorker]:
        return [PoolWorker(self._service, worker) for worker in self._service.workers()]

    def _repopulate_pool(self) -> None:
        """The service has done so."""

    # How things are sent

    def _create(
        self, template: str, processes: Optional[int],
        initializer: Optional[Callable[..., Any]], initargs: List[Any],
        calls_max: Optional[int], allow_pickle: Optional[bool],
    ) -> None:
        self._pickles = allow_pickle is not False
        while True:
            name, main, packed = None, None, initargs
            if initializer is not None:
                route = self._new_route(initializer)
                name, main = route.task(), route.main
                if route.packed is not None:
                    packed = [route.packed, *initargs]
            try:
                self._service.create(
                    template, processes, name, codec.encode_list(packed, self._pickles),
                    calls_max, main, self._pickles)
                return
            except ServiceError as error:
                if error.code == "main_not_allowed" and main is not None:
                    # The initializer may do without the script; if not, the next turn tells.
                    self._allow_main = False
                elif error.code == "pickle_not_allowed" and self._pickles and not allow_pickle:
                    self._pickles = False
                else:
                    raise

    def _check_running(self) -> None:
        # Nothing of it runs in a child of a fork, and its locks may be held there for ever.
        if self._state != RUN or self._process != os.getpid():
            raise ValueError("Pool not running")

    def _identifier(self, kind: str) -> str:
        return f"{kind}{self._prefix}-{next(self._ids)}"

    def _route(self, function: Callable[..., Any]) -> Route:
        try:
            route = self._routes.get(function)
        except TypeError:  # It cannot be hashed.
            return self._new_route(function)
        if route is None:
            route = self._new_route(function)
            if route.packed is None and len(self._routes) < 1000:
                self._routes[function] = route
        return route

    def _new_route(self, function: Callable[..., Any]) -> Route:
        name = names.name_of(function)
        if name is None:
            if not self._pickles:
                raise pickle.PicklingError(
                    f"Can't send {function!r}: it has no name by which a worker finds it, and this "
                    "pool takes no pickles")
            # Raises what multiprocessing raises for a lambda, and for what is within a function.
            pickle.dumps(function, codec.PICKLE_PROTOCOL)
            return Route("", function, self._script_for(False))
        is_main = name.startswith("__main__:")
        if is_main and (self._script is None or self._allow_main is False):
            module_name = names.name_within_module(name)
            if module_name is not None:
                return Route(module_name, None, self._script_for(False))
            if self._script is None:
                raise TaskNotFound(f"{name} is of a program that is no file: {names.NO_SCRIPT}")
            raise TaskNotFound(
                f"{name} is of the program itself, which this pool does not load; {names.WAYS_OUT}")
        return Route(name, None, self._script_for(is_main))

    def _script_for(self, is_main: bool) -> Optional[str]:
        """The script to be named: where it is allowed always, for what lies beside it."""
        return self._script if self._allow_main or is_main else None

    def _members(self, route: Route, identifier: str, how: str = "call") -> Dict[str, Any]:
        """What a submission says besides its values."""
        return {
            "task": route.task(how), "pool": self._service.name, "id": identifier,
            "encoding": "pickle" if self._pickles else None, "main": route.main,
            "on_interrupt": self._on_interrupt}

    def _map_async(
        self, function: Callable[..., Any], iterable: Iterable[Any], star: bool,
        chunksize: Optional[int], callback: Callback, error_callback: Callback,
    ) -> MapResult:
        self._check_running()
        if chunksize is not None and chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize}")
        if not hasattr(iterable, "__len__"):
            iterable = list(iterable)
        result = MapResult(self, callback, error_callback)
        try:
            items = list(iterable)
            if not items:
                result._end(True, [])
                return result
            route = self._route(function)
            if route.packed is None:
                return self._send_map(route, _arguments(items, star), star, chunksize, result)
            self._send_packed(route, items, star, chunksize, result)
        except Exception as error:
            self._core.fail(result, error)
        return result

    def _send_map(
        self, route: Route, items: List[Any], star: bool, chunksize: Optional[int],
        result: MapResult,
    ) -> MapResult:
        """A map whose items are the service's; one document, if it fits in a request."""
        text = codec.encode_list(items, self._pickles)
        is_document = len(text) <= self._service.body_bytes_max
        identifier = self._identifier(MAP if is_document else STREAM)
        members = self._members(route, identifier)
        members["star"] = star or None
        members["chunksize"] = chunksize
        size = chunksize or -(-len(items) // (self._processes * 4))
        if is_document:
            result.id = identifier
            self._core.submit(Submission(identifier, text, MapHead(members, size)), result)
            return result
        del text
        members["chunksize"] = size
        lines = codec.encode_lines(items, self._pickles)
        self._stream_list(members, lines, False, result)
        return result

    def _send_packed(
        self, route: Route, items: List[Any], star: bool, chunksize: Optional[int],
        result: MapResult,
    ) -> None:
        """A map whose items are chunks, each with the function."""
        size = chunksize or -(-len(items) // (self._processes * 4))
        lines = [
            line for start in range(0, len(items), size)
            for line in _packed(
                route, items[start:start + size], star, self._service.body_bytes_max)]
        members = self._members(route, self._identifier(STREAM), "call_chunk")
        members["chunksize"] = 1
        self._stream_list(members, lines, True, result)

    def _stream_list(
        self, members: Dict[str, Any], lines: List[bytes], is_packed: bool, result: MapResult
    ) -> None:
        identifier: str = members["id"]
        result.id = identifier
        lines = self._service.checked(lines)
        stream = ListStream(
            self._service.transport, members, self._pickles, lines, is_packed,
            lambda outcome: self._core.settle(identifier, outcome))
        self._core.begin_stream(stream, result)

    def _imap(
        self, kind: Any, function: Callable[..., Any], iterable: Iterable[Any], chunksize: int,
        buffersize: Optional[int],
    ) -> Union[IMapIterator, Iterator[Any]]:
        self._check_running()
        if chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize:n}")
        if buffersize is not None and buffersize < 1:
            raise ValueError(f"buffersize must be None or > 0, not {buffersize}")
        ahead = 3 * self._processes + 16 if buffersize is None else buffersize
        try:
            route = self._route(function)
        except Exception as error:
            iterator: IMapIterator = kind(self, 1)
            iterator._values.finish(error)
            return iterator
        is_packed = route.packed is not None
        iterator = kind(
            self, (self._processes + ahead) * (1 if is_packed else chunksize))
        members = self._members(route, self._identifier(STREAM), "call_chunk")
        iterator.id = members["id"]
        service, pickles = self._service, self._pickles
        members["chunksize"] = 1 if is_packed else chunksize
        members["buffersize"] = self._processes + ahead

        def encode(part: List[Any]) -> List[bytes]:
            # Without the pool, which is collected once nobody holds it or the iterator.
            return service.checked(
                _packed(route, part, False, service.body_bytes_max) if is_packed
                else codec.encode_lines(part, pickles))

        self._core.begin_stream(IteratorStream(
            service.transport, members, kind._is_ordered, pickles, iterator._values,
            chunks(iterable, chunksize, encode), is_packed, hasattr(iterable, "__len__")))
        if chunksize == 1:
            return iterator
        return (value for value in iterator)


def _calls_max(maxtasksperchild: Any) -> Optional[int]:
    """As the service has it: 0 is never, and None what its operator says."""
    if maxtasksperchild is _OF_TEMPLATE:
        return None
    if maxtasksperchild is None:
        return 0
    if not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0:
        raise ValueError("maxtasksperchild must be a positive int or None")
    return maxtasksperchild


def _packed(route: Route, items: List[Any], star: bool, bytes_max: int) -> List[bytes]:
    """A chunk with its function as a line; as more, each with fewer items, where it is too long."""
    line = codec.encode((route.packed, star, items), True)
    if len(line) <= bytes_max or len(items) == 1:
        return [line]
    half = len(items) // 2
    return [
        *_packed(route, items[:half], star, bytes_max),
        *_packed(route, items[half:], star, bytes_max)]


def _arguments(items: List[Any], star: bool) -> List[Any]:
    """Items as they are sent: spread over arguments, a tuple is as good as a list."""
    return [list(item) for item in items] if star else items
