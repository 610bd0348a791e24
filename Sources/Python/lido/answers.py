"""What a worker says of a call that has ended: lines of the worker protocol."""

import base64
import os
import pickle
import sys
import traceback
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional

from lido import codec, tasks
from lido.cancellation import Cancelled
from lido.errors import TaskNotFound

#: How much of an error is told when all of it does not fit in a line.
_TOLD_MAX = 1 << 16

#: The service takes no longer progress, value and message together.
_PROGRESS_BYTES_MAX = 16 << 10

#: What `inspect` calls so; importing that would cost every worker's start.
_CO_GENERATOR = 0x20


def raised(
    number: int, error: BaseException, pickles: bool, code: str = "raised",
    item: Optional[int] = None, values: Optional[List[bytes]] = None,
) -> bytes:
    """The line for a call that failed. Of a chunk: at which item, and the values before it."""
    if isinstance(error, TaskNotFound):
        code = "task_not_found"
    members = described(error, pickles)
    if code != "raised":
        members["code"] = code
    return _line(number, members, item, [] if item is not None and values is None else values)


def unencodable(
    number: int, problem: Exception, value: Any, pickles: bool,
    item: Optional[int] = None, values: Optional[List[bytes]] = None,
) -> bytes:
    """The line for a result that cannot travel: multiprocessing's MaybeEncodingError."""
    reason, shown = _shown(problem), _shown(value)
    return _line(number, {
        "code": "result_encoding", "type": "MaybeEncodingError",
        "module": "multiprocessing.pool",
        "message": f"Error sending result: '{shown}'. Reason: '{reason}'",
        "args": [reason, shown], "traceback": _trace(problem)}, item, values)


def described(error: BaseException, pickles: bool) -> Dict[str, Any]:
    """An exception as the protocol's `error`."""
    kind = type(error)
    members: Dict[str, Any] = {
        "type": kind.__qualname__, "module": kind.__module__, "message": _message(error),
        "traceback": _trace(error)}
    for arguments in _arguments(error):
        try:
            codec.encode(arguments)
            members["args"] = arguments
            break
        except Exception:
            pass  # What JSON cannot hold is left out: the message tells of it.
    if pickles and not isinstance(error, Cancelled):
        try:
            members["pickle"] = base64.b64encode(
                pickle.dumps(error, codec.PICKLE_PROTOCOL)).decode("ascii")
        except Exception:
            pass  # Then its class, or a RemoteError, is made of the rest.
    return members


def progress(number: int, value: Any, message: Optional[str]) -> bytes:
    """The line of a call's progress; a message that is too long is cut. Raises `ValueError` for a
    value that is, and `EncodingError`."""
    text = codec.encode(value)
    if len(text) > _PROGRESS_BYTES_MAX // 2:
        raise ValueError(f"a progress of {len(text)} bytes is too long")
    line = b'{"progress":%d,"value":%b' % (number, text)
    if message is not None:
        told = str(message).encode("utf-8", "backslashreplace")[:_PROGRESS_BYTES_MAX // 2]
        line += b',"message":' + codec.encode(told.decode("utf-8", "ignore"))
    return line + b"}\n"


def bounded(
    number: int, line: bytes, bytes_max: Optional[int], result_bytes_max: Optional[int],
    items: Optional[int] = None,
) -> bytes:
    """The line, or when it, with its end, or the result that it holds is too long an error that
    says so. `items`: how many a chunk has."""
    returned = b'{"return":%d,"value":' % number
    if line.startswith(returned):
        count = len(line) - len(returned) - len(b"}\n")
        if result_bytes_max is None or count <= result_bytes_max:
            return line
        # As the service says it of one that is not so long that it would end the worker for it.
        hint = "" if items is None or items < 2 else (
            f"; the values of all {items} items of a chunk count together, and a smaller "
            "chunksize= makes smaller ones")
        return _line(number, {
            "code": "output_limit", "type": "ResultTooLarge",
            "message": f"the result has {count} bytes; {result_bytes_max} are allowed{hint}"},
            None, None)
    if bytes_max is None or len(line) <= bytes_max:
        return line
    return _shortened(number, codec.loads(line), bytes_max)


def _shortened(number: int, members: Dict[str, Any], bytes_max: int) -> bytes:
    """The line of an error without what is long in it: the error itself comes first, then the
    values of a chunk before it."""
    item, values = members.get("item"), members.get("values")
    error = {key: _cut(key, value) for key, value in members["error"].items()}
    # Of what it is made again: what is short stays, so that it is caught as what it is.
    error = {
        key: value for key, value in error.items()
        if key not in ("args", "pickle") or len(codec.encode(value)) <= _TOLD_MAX}
    if values:
        line = _line(number, error, item, [codec.encode(value) for value in values])
        if len(line) <= bytes_max:
            return line
        # Without the values before it the service does not believe which item it was, and ends a
        # worker that says it: the message does.
        error["message"] += f" (item {item} of a chunk, before which the values are too long)"
        item = values = None
    line = _line(number, error, item, values)
    if len(line) <= bytes_max:
        return line
    described = {key: value for key, value in error.items() if key not in ("args", "pickle")}
    return _line(number, described, item, values)


def _cut(key: str, value: Any) -> Any:
    """Texts as long as they are told, also those that are arguments."""
    if type(value) is str and key != "pickle":
        return value[:_TOLD_MAX // 8]
    return [_cut("", part) for part in value] if key == "args" else value


def check_length(item: bytes, bytes_max: Optional[int]) -> None:
    """Raises `ValueError` for the text of an item for which the service would end the worker."""
    if bytes_max is not None and len(item) > bytes_max:
        raise ValueError(f"the item has {len(item)} bytes; {bytes_max} are allowed")


def is_stream(function: Callable[..., Any]) -> bool:
    """Whether what a function yields is to be streamed: of generator functions that are
    registered."""
    flags: int = getattr(getattr(function, "__code__", None), "co_flags", 0)
    return bool(flags & _CO_GENERATOR) and any(
        function is registered for registered in tasks.registered.values())


def needs_script(values: Iterable[Any], pickles: bool) -> bool:
    """Whether one of the values is a pickle of something that the submitter's script defines."""
    if not pickles:
        return False
    for value in values:
        if type(value) is dict and len(value) == 1 and type(value.get("pickle")) is str:
            packed = base64.b64decode(value["pickle"])
            if b"__main__" in packed or b"__mp_main__" in packed:
                return True
    return False


def prepare_output() -> None:
    """Lines that are printed stand in the log when they are, not when the call ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        except (AttributeError, ValueError, OSError):
            pass  # There is none, or somebody's own: it is flushed.


def flush_output() -> None:
    """All that a call has printed is in its log when it is answered."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError, OSError):
            pass  # Closed, or None: the call has an answer nevertheless.


def _line(
    number: int, error: Dict[str, Any], item: Optional[int], values: Optional[List[bytes]]
) -> bytes:
    place = b""
    if item is not None:
        place = b',"item":%d' % item
    if values is not None:
        place += b',"values":[%b]' % b",".join(values)
    return b'{"raise":%d%b,"error":%b}\n' % (number, place, codec.encode(_printable(error)))


def _printable(error: Dict[str, Any]) -> Dict[str, Any]:
    """Texts as UTF-8 can hold them."""
    return {
        key: value.encode("utf-8", "backslashreplace").decode() if type(value) is str else value
        for key, value in error.items()}


def _arguments(error: BaseException) -> Iterator[List[Any]]:
    """The arguments of which an exception can be made again, the best first."""
    if isinstance(error, OSError) and type(error).__reduce__ is OSError.__reduce__:
        # It keeps the names of files elsewhere.
        reduced: Any = error.__reduce__()
        yield [
            os.fspath(part) if isinstance(part, os.PathLike) else part for part in reduced[1]]
    yield list(error.args)


def _trace(error: BaseException) -> str:
    # Without the frames of this package that called the function, unless it failed there itself.
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "") in _OWN:
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, trace))
    except Exception:
        return f"{type(error).__qualname__}\n"


_OWN = ("lido.worker", "lido.calls", "lido.names")


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__qualname__}, whose repr raises {type(error).__qualname__}>"
    return text if len(text) <= _TOLD_MAX else text[:_TOLD_MAX] + "…"
