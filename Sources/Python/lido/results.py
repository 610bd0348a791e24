"""What a pool answers before it has the values: `multiprocessing.pool`'s results, by name."""

import base64
import builtins
import collections
import enum
import sys
import threading
import types
import weakref
from multiprocessing import TimeoutError
from multiprocessing.pool import (  # type: ignore[attr-defined]
    MaybeEncodingError, RemoteTraceback)
from typing import Any, Callable, Deque, Iterator, List, Mapping, Optional, Tuple

from lido import codec
from lido.errors import JobCancelled, JobFailed, PoolTerminated, RemoteError

__all__ = ["ApplyResult", "AsyncResult", "IMapIterator", "IMapUnorderedIterator", "MapResult"]

#: Whether it succeeded, and the value or the error.
Outcome = Tuple[bool, Any]


class ApplyResult:
    """The handle of `Pool.apply_async`. Any thread may use it."""

    def __init__(
        self, pool: Any, callback: Optional[Callable[[Any], Any]],
        error_callback: Optional[Callable[[BaseException], Any]],
    ) -> None:
        # A pool that has something to do is not collected.
        self._pool = pool
        #: The id of the job or map that the call is, for a `lido.Client`; None for what was never
        #: submitted.
        self.id: Optional[str] = None
        self._event = threading.Event()
        self._lock = threading.Lock()
        # Whether its outcome is known, although its callback may still run.
        self._is_claimed = False
        self._callback = callback
        self._error_callback = error_callback
        self._success = False
        self._value: Any = None

    def ready(self) -> bool:
        """Whether the call has ended."""
        return self._event.is_set()

    def successful(self) -> bool:
        """Whether it ended without an error. Raises `ValueError` before its end."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._success

    def wait(self, timeout: Optional[float] = None) -> None:
        """Waits for the end, at most `timeout` seconds."""
        self._event.wait(timeout)

    def get(self, timeout: Optional[float] = None) -> Any:
        """The value. Raises the call's error, `multiprocessing.TimeoutError`, or `PoolTerminated`
        once the pool is terminated."""
        self.wait(timeout)
        if not self.ready():
            raise TimeoutError
        if self._success:
            return self._value
        raise self._value

    def _set(self, outcome: Outcome) -> None:
        """Ends it, the first time. In the pool's thread of results: the callback runs before
        anybody who waits goes on, and what it raises is the call's error."""
        if not self._claim():
            return
        success, value = outcome
        callback = self._callback if success else self._error_callback
        if callback is not None:
            try:
                callback(value)
            except Exception as error:
                if not success:
                    error.__context__ = value
                success, value = False, error
        self._end(success, value)

    def _claim(self) -> bool:
        """Whether who asks is the first who ends it: a callback that terminates the pool, or
        meets a terminate, does not lose the value that it was called with."""
        with self._lock:
            is_first, self._is_claimed = not self._is_claimed, True
            return is_first

    def _end(self, success: bool, value: Any) -> None:
        with self._lock:
            if self._event.is_set():
                return
            self._success, self._value = success, value
            self._callback = self._error_callback = self._pool = None
            self._event.set()

    def _terminate(self) -> None:
        """Ends it without a value and without a callback, from any thread."""
        if self._claim():
            self._end(False, PoolTerminated("the pool was terminated before this had a value"))

    __class_getitem__ = classmethod(types.GenericAlias)  # type: ignore[var-annotated]


AsyncResult = ApplyResult


class MapResult(ApplyResult):
    """The handle of `Pool.map_async` and `Pool.starmap_async`."""


class Room(enum.Enum):
    """Whether more of an input is sent."""

    FREE = enum.auto()
    #: It waits for who joins the pool, since nobody reads the values.
    LEFT = enum.auto()
    #: Nothing is wanted any more.
    OVER = enum.auto()


class Values:
    """What is on its way from the threads of a map to an iterator, which it does not keep: one that
    nobody holds is collected, and its pool with it. Any thread may use it."""

    def __init__(
        self, reader: Callable[[], Optional["IMapIterator"]], units_max: Optional[int]
    ) -> None:
        """`reader` is a weak reference. `units_max`: how many units of input may be sent or unread;
        None: any number. A unit is what is a line of the map: an item, or a chunk for a function
        without a name."""
        self._reader = reader
        self._condition = threading.Condition()
        # With each outcome, how many units are given back when it is read.
        self._items: Deque[Tuple[bool, Any, int]] = collections.deque()
        self._units_max = units_max
        self._units_out = 0
        self._is_over = False
        self._is_left = False

    def next(self, timeout: Optional[float]) -> Any:
        """The next value. Raises the error of its item, `TimeoutError`, `StopIteration`."""
        with self._condition:
            if not self._items and not self._is_over:
                self._condition.wait_for(lambda: self._items or self._is_over, timeout)
            if not self._items:
                if self._is_over:
                    raise StopIteration
                raise TimeoutError
            success, value, units = self._items.popleft()
            self._give_back(units)
        if success:
            return value
        raise value

    def _give_back(self, units: int) -> None:
        self._units_out -= units
        if units:
            self._condition.notify_all()

    # For the threads that feed it

    def add(self, success: bool, value: Any, units: int = 1) -> None:
        """Takes the next value, or the error in its place. What nobody will read, since the
        iterator is gone, is dropped."""
        with self._condition:
            if self._reader() is None:
                self._items.clear()
            elif not self._is_over:
                self._items.append((success, value, units))
                self._condition.notify_all()

    def skip(self, units: int) -> None:
        """Units of which there is nothing to read."""
        with self._condition:
            self._give_back(units)

    def finish(self, error: Optional[BaseException] = None) -> None:
        """No more values come: the end, or one last error."""
        with self._condition:
            if self._is_over:
                return
            if error is not None:
                self._items.append((False, error, 0))
            self._is_over = True
            self._condition.notify_all()
        reader = self._reader()
        if reader is not None:
            reader._pool = None

    def terminate(self) -> None:
        """Ends it from any thread: what has come can be read, and then there is an error."""
        self.finish(PoolTerminated("the pool was terminated before the iteration was over"))

    def acquire(self, units: int) -> Room:
        """Waits until that much may be sent, or may not be."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._is_over or self._is_left or self._units_max is None
                or self._units_out == 0 or self._units_out + units <= self._units_max)
            # All at once: who joins the pool may lift it at any moment.
            if self._is_over:
                return Room.OVER
            if self._is_left and self._units_max is not None:
                return Room.LEFT
            self._units_out += units
            return Room.FREE

    def lift(self) -> None:
        """Lets any number of units be sent: who joins the pool may read no more, and who is gone
        will not."""
        with self._condition:
            self._units_max = None
            self._condition.notify_all()

    def leave(self) -> None:
        """Lets no more be sent, unless any number may: nobody reads it."""
        with self._condition:
            self._is_left = True
            self._condition.notify_all()


class IMapIterator:
    """Values in the order of their items, as they come. Any thread may use it."""

    _is_ordered = True

    def __init__(self, pool: Any, units_max: int) -> None:
        """`units_max`: see `Values`."""
        # A pool whose values somebody may read is not collected.
        self._pool = pool
        #: The id of the map; None for what was never submitted.
        self.id: Optional[str] = None
        self._values = Values(weakref.ref(self), units_max)

    def __del__(self) -> None:
        if self._pool is not None and self.id is not None:
            self._pool._core.drop(self.id)

    def __iter__(self) -> Iterator[Any]:
        return self

    def next(self, timeout: Optional[float] = None) -> Any:
        """The next value. Raises the error of its item, `multiprocessing.TimeoutError` (the value
        is not lost), `StopIteration`."""
        return self._values.next(timeout)

    __next__ = next


class IMapUnorderedIterator(IMapIterator):
    """Values in the order in which they come."""

    _is_ordered = False


def outcome_of(
    handle: Mapping[str, Any], value: Callable[[], Any], pickles: bool
) -> Outcome:
    """What a final handle says; `value` fetches and decodes the value."""
    if handle.get("successful"):
        try:
            return True, value()
        except Exception as error:
            return False, error
    return False, failure(
        handle.get("error") or {"code": handle.get("state", "failed")}, handle.get("id"),
        handle.get("state") == "cancelled", pickles)


def failure(
    error: Mapping[str, Any], job: Optional[str], is_cancelled: bool, pickles: bool
) -> BaseException:
    """A job's error as multiprocessing would raise it: the exception itself, with the worker's
    traceback as its cause. `pickles`: whether an exception that came as one is opened."""
    code = error.get("code", "raised")
    if code == "result_encoding" and len(error.get("args") or ()) == 2:
        return _unencodable(*error["args"])
    if code == "pool_terminated":
        return PoolTerminated(str(error.get("message") or "the pool was terminated"))
    if is_cancelled or code == "cancelled":
        exception: BaseException = JobCancelled(error, job)
    elif code in ("raised", "task_not_found"):
        exception = (_opened(error) if pickles else None) or _made(error)
    else:
        exception = JobFailed(error, job)
    traceback = error.get("traceback")
    if traceback:
        exception.__cause__ = RemoteTraceback(f'\n"""\n{traceback}"""')
    return exception


def _opened(error: Mapping[str, Any]) -> Optional[BaseException]:
    packed = error.get("pickle")
    if not isinstance(packed, str):
        return None
    try:
        exception = codec.unpickle(base64.b64decode(packed))
    except Exception:
        return None  # It could be written and cannot be read: its description is left.
    return exception if isinstance(exception, BaseException) else None


def _made(error: Mapping[str, Any]) -> BaseException:
    """An exception of a class that this program knows, made of its arguments; otherwise one that
    describes it."""
    name, module = str(error.get("type", "Exception")), error.get("module")
    arguments: Optional[List[Any]] = error.get("args")
    kind: Any = None
    if module in ("__main__", "__mp_main__") or module in codec.not_imported:
        kind = sys.modules.get("__main__")
    elif isinstance(module, str):
        kind = builtins if module == "builtins" else sys.modules.get(module)
    for part in name.split("."):
        kind = getattr(kind, part, None)
    if arguments is not None and isinstance(kind, type) and issubclass(kind, Exception):
        try:
            exception: BaseException = kind(*arguments)
            return exception
        except Exception:
            pass  # Its class wants something else than what it keeps as its arguments.
    return RemoteError(name, str(error.get("message", "")), module, arguments)


def _unencodable(reason: str, value: str) -> BaseException:
    """The error of a value that could not be sent; its class would quote both once more."""
    error: BaseException = MaybeEncodingError(None, None)
    error.exc, error.value = reason, value  # type: ignore[attr-defined]
    error.args = (reason, value)
    return error
