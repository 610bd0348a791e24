"""The streamed maps of a pool: `imap`, `imap_unordered`, and a `map` of more than fits in a
request."""

import itertools
import threading
import time
from typing import Any, Callable, Iterable, Iterator, List, Mapping, Optional, Tuple

from lido import codec
from lido.errors import JobFailed, LidoError, PoolTerminated, ServiceError, Unreachable
from lido.patience import AWAY_SECONDS_MAX, Patience, pause_after
from lido.results import Outcome, Room, Values, failure
from lido.streams import MapInput, ResultStream, send_all
from lido.transport import Transport

__all__ = ["PoolStream", "chunks"]

_CUT_OFF = (
    "the service was restarted, or its connection broke, while the items of a streamed map were on "
    "their way to it; those that it did not have are not run")

#: A map that is not there so long after it was asked for was hardly accepted.
_DOUBT_SECONDS = 1.0

#: A chunk: how many units it is, and its lines.
Chunk = Tuple[int, List[bytes]]


class PoolStream:
    """A map whose items are sent by one thread while another reads its results."""

    def __init__(
        self, transport: Transport, options: Mapping[str, Any], ordered: bool, pickles: bool
    ) -> None:
        self.is_sending = True
        #: The id of the map.
        self.identifier = str(options["id"])
        self._source = MapInput(transport, options, retry_seconds=AWAY_SECONDS_MAX)
        self._stream = ResultStream(
            transport, options["id"], ordered, is_coming=True, retry_seconds=AWAY_SECONDS_MAX)
        self._transport = transport
        self._options = options
        self._pickles = pickles
        # Of the items themselves, and of their way to the service.
        self._items_error: Optional[BaseException] = None
        self._input_error: Optional[BaseException] = None
        self._is_begun = False
        self._is_whole = False  # The service has all items.
        self.is_over = False
        self._changed: Callable[["PoolStream"], None] = lambda _: None

    def start(self, changed: Callable[["PoolStream"], None]) -> None:
        """Starts both threads; `changed` is called when the input is sent, and when the last result
        is there."""
        self._changed = changed
        for name, target in (("input", self._run_input), ("results", self._run_results)):
            threading.Thread(target=target, name=f"lido map {name}", daemon=True).start()

    def terminate(self) -> None:
        """Breaks both off."""
        self._source.abort()
        self._stream.close()

    def lift(self) -> None:
        """Lets it read as much input as there is."""

    def drop(self) -> None:
        """Nobody reads its values any more."""

    def rest(self) -> Optional["PoolStream"]:
        """The map of what it has not sent, to be begun when it is over; None when there is nothing.
        Of this it keeps no more."""
        return None

    @property
    def has_rest(self) -> bool:
        """Whether it ends before its input does, of which there may be more."""
        return False

    # For the kinds

    def send(self, source: MapInput) -> None:
        """Sends the input, without its end."""
        raise NotImplementedError

    def receive(self, value: Any, error: Optional[BaseException], is_skipped: bool) -> None:
        """Takes the next result."""
        raise NotImplementedError

    def finish(self, error: Optional[BaseException]) -> None:
        """There are no more; `error` is why, when it is not the end of the input."""
        raise NotImplementedError

    # The threads

    def _run_input(self) -> None:
        try:
            self._begin()
            self._is_begun = True
            self.send(self._source)
            self._source.finish()
            self._is_whole = True
        except BaseException as error:  # Whatever it is, the results end with it.
            self._input_error = error
            self._source.abort()
            if not self._is_begun or not is_cut(error):
                self._stream.close()  # It was refused: there is nothing to read.
        finally:
            self._source.close()
            # The map is there, or never will be.
            self._stream.is_coming = False
            self.is_sending = False
            self._changed(self)

    def _run_results(self) -> None:
        problem: Optional[BaseException] = None
        is_done = False
        try:
            for message in self._stream:
                if "done" in message:
                    is_done = "error" not in message
                    if not is_done:
                        problem = self._failure(message["error"])
                    break
                self._receive(message)
        except BaseException as error:
            # That of a value that is opened, too, which may want this thread to end.
            problem = error
        try:
            self.finish(self._items_error or (None if is_done else self._reason(problem)))
        finally:
            if not is_done:
                # Nobody reads any more, and who sends would wait for that.
                self._source.abort()
            self._stream.close()
            self.is_over = True
            self._changed(self)

    def _begin(self) -> None:
        """Asks for the map until the service has it. Nothing is sent before: a service that refuses
        a map says so at the end of its input, or not at all where that is long, and what was sent
        is gone. Raises `ServiceError`, `Unreachable`."""
        patience = Patience()
        is_welcome = False
        while True:
            self._source.begin()
            if self._transport.is_held_back or self._stream.wait_for_map(
                    time.monotonic() + _DOUBT_SECONDS):
                break
            try:
                self._ask()
            except LidoError as refusal:
                pause = pause_after(refusal)
                if pause is None or patience.is_over():
                    raise
                self._input_error = refusal  # Should nothing else be heard.
                self._stream.wait_until_closed(pause)
            else:
                # It is welcome by now, and is there at the next try; or else what stands before the
                # service hands inputs on when they are whole.
                if is_welcome:
                    self._transport.is_held_back = True
                is_welcome = True
        self._input_error = None

    def _ask(self) -> None:
        """Raises why the service refuses the map: asks for one like it, of no items."""
        self._source.close()
        try:
            self._source.begin({**self._options, "id": None})
            self._source.finish()
        finally:
            self._source.close()

    def _reason(self, problem: Optional[BaseException]) -> Optional[BaseException]:
        """Why there are no more results: `problem`, or that of the input. Both are told of an input
        that was cut off, whichever finds out first, and in many ways; that is one error."""
        reason = problem or self._input_error
        is_lost = isinstance(problem, ServiceError) and problem.status == 404
        if self._is_whole and is_lost:
            end = PoolTerminated(
                f"the service has no map {self.identifier} any more: its data was lost")
            end.__cause__ = problem
            return end
        if not self._is_begun or self._is_whole or reason is None:
            return self._input_error or problem
        if isinstance(problem, Unreachable):
            return problem  # It was waited for in vain.
        if self._input_error is not None and not is_cut(self._input_error):
            return self._input_error
        # A map that is not there, although it was not refused: of it nothing was kept yet.
        if not is_lost and not is_cut(reason):
            return reason
        error = JobFailed({"code": "interrupted", "message": _CUT_OFF}, self.identifier)
        error.__cause__ = reason
        return error

    def _receive(self, message: Mapping[str, Any]) -> None:
        error = message.get("error")
        if error is not None:
            is_skipped = error.get("code") == "skipped"
            self.receive(None, None if is_skipped else self._failure(error), is_skipped)
            return
        try:
            value = codec.decode(message["value"], self._pickles)
        except Exception as problem:
            self.receive(None, problem, False)
            return
        self.receive(value, None, False)

    def _failure(self, error: Mapping[str, Any]) -> BaseException:
        return failure(error, self.identifier, False, self._pickles)


class IteratorStream(PoolStream):
    """The stream behind an iterator."""

    def __init__(
        self, transport: Transport, options: Mapping[str, Any], ordered: bool, pickles: bool,
        values: Values, source: Iterator[Chunk], is_packed: bool, is_finite: bool,
    ) -> None:
        """`is_packed`: each value is the list of the values of a chunk. `is_finite`: whether the
        input is known to have an end."""
        super().__init__(transport, options, ordered, pickles)
        self._values = values
        self._chunks = source
        self._rest: Optional[Iterator[Chunk]] = None
        self._is_packed = is_packed
        self._is_finite = is_finite

    def send(self, source: MapInput) -> None:
        """Sends chunks while they are wanted. The input's own error is the last result."""
        while True:
            try:
                units, lines = next(self._chunks)
            except StopIteration:
                return
            except Exception as error:
                self._items_error = error
                return
            room = self._values.acquire(units)
            if room is Room.LEFT:
                self._rest = itertools.chain([(units, lines)], self._chunks)
            if room is not Room.FREE:
                return
            source.send(lines)

    def receive(self, value: Any, error: Optional[BaseException], is_skipped: bool) -> None:
        """Hands a value on."""
        if is_skipped:
            self._values.skip(1)
        elif error is not None:
            self._values.add(False, error)
        elif not self._is_packed:
            self._values.add(True, value)
        else:
            for place, part in enumerate(value):
                self._values.add(True, part, 1 if place == 0 else 0)

    def finish(self, error: Optional[BaseException]) -> None:
        """Ends the iterator."""
        self._values.finish(error)

    def terminate(self) -> None:
        """Ends the iterator, and both threads."""
        self._values.terminate()
        super().terminate()

    def lift(self) -> None:
        """Lets it read as much input as there is."""
        self._values.lift()

    def drop(self) -> None:
        """Does the rest, as multiprocessing does; of an input that may have no end no more than was
        sent, until somebody joins the pool."""
        if self._is_finite:
            self._values.lift()
        else:
            self._values.leave()

    @property
    def has_rest(self) -> bool:
        """Whether its iterator was dropped before its input was sent."""
        return self._rest is not None

    def rest(self) -> Optional[PoolStream]:
        """A map of its own, whose values nobody reads."""
        source, self._rest = self._rest, None
        if source is None:
            return None
        options = {**self._options, "id": f"{self.identifier}-rest"}
        return IteratorStream(
            self._transport, options, False, self._pickles, Values(lambda: None, None), source,
            self._is_packed, True)


class ListStream(PoolStream):
    """The stream behind a list that does not fit in one request."""

    def __init__(
        self, transport: Transport, options: Mapping[str, Any], pickles: bool,
        items: List[bytes], is_packed: bool, settle: Callable[[Outcome], None],
    ) -> None:
        super().__init__(transport, options, True, pickles)
        self._lines = items
        self._is_packed = is_packed
        self._settle = settle
        self._values: List[Any] = []
        self._error: Optional[BaseException] = None

    def send(self, source: MapInput) -> None:
        """Sends all that there is."""
        send_all(source, self._lines)
        self._lines = []

    def receive(self, value: Any, error: Optional[BaseException], is_skipped: bool) -> None:
        """Keeps a value, or the first error."""
        if error is not None:
            self._error = self._error or error
        elif self._error is None and not is_skipped:
            if self._is_packed:
                self._values += value
            else:
                self._values.append(value)

    def finish(self, error: Optional[BaseException]) -> None:
        """Hands the whole list, or the error, to the pool."""
        error = self._error or error
        self._settle((True, self._values) if error is None else (False, error))


def is_cut(error: BaseException) -> bool:
    """Whether it says that an input did not come to its end, since a connection broke or the
    service ended."""
    if isinstance(error, JobFailed):
        return error.code in ("broken_off", "interrupted")
    if isinstance(error, ServiceError):
        return error.code in ("draining", "http_error") and error.status in (502, 503, 504)
    return isinstance(error, OSError)


def chunks(
    items: Iterable[Any], size: int, encode: Callable[[List[Any]], List[bytes]]
) -> Iterator[Chunk]:
    """Chunks of an input as lines. One in which the input fails is not sent: with multiprocessing
    it is lost whole."""
    source = iter(items)
    while True:
        part = list(itertools.islice(source, size))
        if not part:
            return
        lines = encode(part)
        yield len(lines), lines
