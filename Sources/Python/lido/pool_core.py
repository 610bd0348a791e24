"""What runs behind a pool: a thread that submits, one that hears of what ended, and one that hands
out results and calls callbacks. It knows nothing of the `Pool` itself, so that a pool that nobody
holds any more is collected and ended."""

import atexit
import collections
import os
import queue
import threading
import time
import weakref
from typing import (
    Any, Callable, Deque, Dict, List, NamedTuple, Optional, Set, Tuple, TypeVar, Union)

from lido import codec
from lido.errors import LidoError, PoolTerminated, ServiceError
from lido.patience import Patience, pause_after
from lido.pool_service import (
    SUBMISSIONS_MAX, CompletionReader, MapHead, PoolService)
from lido.pool_streams import PoolStream
from lido.results import ApplyResult, Outcome, failure, outcome_of
from lido.transport import refusal

#: How the ids of jobs, of maps that are one document, and of streamed maps begin.
JOB, MAP, STREAM = "job-", "map-", "stream-"

T = TypeVar("T")

RUN, CLOSE, TERMINATE = "RUN", "CLOSE", "TERMINATE"

#: So many of what is open are looked up when nothing has ended for a while.
_LOOKED_UP_MAX = 10_000

#: How long a pool that was left open may hold up the end of the program.
_EXIT_SECONDS_MAX = 5.0


class Submission(NamedTuple):
    """Something to submit: a job, or a map as one document, of which the body is the items."""

    id: str
    body: bytes
    map: Optional[MapHead] = None


class Ended(NamedTuple):
    """A result that is to be handed out. Without a result: the iterator of that id is dropped, or
    with an empty one the pool is abandoned."""

    id: str
    result: Optional[ApplyResult]
    outcome: Union[Outcome, Dict[str, Any]]


class PoolCore:
    """The threads of one pool, and what they share. Any thread may use it."""

    def __init__(self, service: PoolService, pickles: bool) -> None:
        self.service = service
        self.pickles = pickles
        self._process = os.getpid()
        self._state = RUN
        self._changed = threading.Condition()
        self._pending: Deque[Submission] = collections.deque()
        # About so many bytes are submitted at once: fewer once a batch was refused for them.
        self._batch_bytes_max = service.body_bytes_max
        self._is_sent = False  # All submissions, and the request to close.
        self._sending: List[Submission] = []
        self._is_refused = False  # What is being sent, for now.
        self._open: Dict[str, ApplyResult] = {}
        # Since when somebody waits for something of it, without a pause.
        self._wanted_since = 0.0
        self._outage = Patience()  # Of the thread that hears.
        self._streams: Set[PoolStream] = set()
        # Those that are over and have a rest, which is done when somebody joins the pool.
        self._left: List[PoolStream] = []
        self._is_abandoned = False
        self._is_told = False  # The service has ended the pool, since this has asked it to.
        # What has ended: a handle of the feed, or what is known here.
        self._ended: "queue.SimpleQueue[Optional[Ended]]" = queue.SimpleQueue()
        self._is_over = False  # The thread of results takes no more.
        self._error: Optional[BaseException] = None
        self._threads = [
            threading.Thread(target=target, name=f"lido pool {name}", daemon=True)
            for name, target in (
                ("sender", self._send), ("feed", self._listen), ("results", self._hand_out))]
        try:
            for thread in self._threads:
                thread.start()
        except BaseException:
            # Those that have started would keep the pool for ever.
            self.terminate(_EXIT_SECONDS_MAX)
            raise
        _cores.add(self)

    # Submitting

    def submit(self, submission: Submission, result: ApplyResult) -> None:
        """Submits a job or a map soon; raises `ValueError` when the pool does not run."""
        with self._changed:
            if self._state != RUN:
                raise ValueError("Pool not running")
            if not self._open:
                self._wanted_since = time.monotonic()
            self._open[submission.id] = result
            error = self._error
            if error is None:
                self._pending.append(submission)
                self._changed.notify_all()
        if error is not None:
            self.settle(submission.id, (False, error))

    def fail(self, result: ApplyResult, error: BaseException) -> None:
        """Ends a result that was never submitted: in the thread of results, or here when that has
        ended, since another thread has closed or terminated the pool meanwhile."""
        key = f"failed-{id(result)}"
        with self._changed:
            state, is_over = self._state, self._is_over
            if not is_over:
                self._open[key] = result
                self._ended.put(Ended(key, result, (False, error)))
        if is_over and state == TERMINATE:
            result._terminate()
        elif is_over:
            result._set((False, error))

    def settle(self, identifier: str, outcome: Union[Outcome, Dict[str, Any]]) -> None:
        """Ends a result: an outcome, or a handle whose value is still to be had."""
        with self._changed:
            # What is open has a thread of results: who ends that takes it out first.
            result = self._open.get(identifier)
            if result is not None:
                self._ended.put(Ended(identifier, result, outcome))

    def begin_stream(self, stream: PoolStream, result: Optional[ApplyResult] = None) -> None:
        """Runs a streamed map, which settles the result if there is one; raises `ValueError` when
        the pool does not run, and when no thread can start what `Thread.start` does."""
        with self._changed:
            if self._state != RUN:
                raise ValueError("Pool not running")
            self._streams.add(stream)
            if result is not None:
                self._open[stream.identifier] = result
        self._start(stream)

    def _start(self, stream: PoolStream) -> None:
        try:
            stream.start(self._stream_changed)
        except BaseException:
            with self._changed:
                self._streams.discard(stream)
                self._open.pop(stream.identifier, None)
                self._changed.notify_all()
            stream.terminate()
            raise

    def _stream_changed(self, stream: PoolStream) -> None:
        with self._changed:
            if stream.is_over and stream in self._streams:
                self._streams.discard(stream)
                if stream.has_rest and self._may_be_joined():
                    self._left.append(stream)
            self._changed.notify_all()
        self._end_if_done()

    def _may_be_joined(self) -> bool:
        return self._state != TERMINATE and self._error is None and not self._is_abandoned

    def drop(self, identifier: str, _getpid: Callable[[], int] = os.getpid) -> None:
        """Nobody holds the iterator of this map any more. As `abandon`."""
        if _getpid() == self._process:
            self._ended.put(Ended(identifier, None, (False, None)))

    def _drop(self, identifier: str) -> None:
        with self._changed:
            found = [stream for stream in self._streams if stream.identifier == identifier]
        for stream in found:
            stream.drop()

    # The end

    def close(self) -> None:
        """No more is submitted; the service is told when what was is with it."""
        if os.getpid() != self._process:
            return
        with self._changed:
            if self._state == RUN:
                self._state = CLOSE
            self._changed.notify_all()

    def abandon(self) -> None:
        """Nobody holds the pool any more: ends it. May be called at any moment, by the collector of
        garbage, too: takes no lock."""
        self._ended.put(Ended("", None, (False, None)))

    def _end_abandoned(self) -> None:
        with self._changed:
            self._is_abandoned = True
            self._left.clear()
            streams = list(self._streams) if self._state == CLOSE else None
            self._changed.notify_all()
        if streams is None:
            self.terminate(_EXIT_SECONDS_MAX)
            return
        # A pool that was closed ends by itself, but for the iterators that nobody reads: they wait
        # for room, and the close for them.
        for stream in streams:
            stream.terminate()

    def terminate(self, seconds: Optional[float] = None) -> None:
        """Ends all at once: what is not final fails with `PoolTerminated`, here before the service
        is asked. One that could not be asked is when this is called again."""
        if os.getpid() != self._process:
            # A copy in a child of a fork: the pool is its parent's, and the lock may be held for
            # ever.
            self._state = TERMINATE
            return
        with self._changed:
            if self._is_told:
                return
            self._state = TERMINATE
            self._is_over = True
            self._pending.clear()
            self._left.clear()
            results, streams = list(self._open.values()), list(self._streams)
            self._open.clear()
            self._changed.notify_all()
        try:
            for result in results:
                result._terminate()
            for stream in streams:
                stream.terminate()
            self.service.end_feed()
            self._ended.put(None)
            if seconds is None:
                self.service.terminate()
                self._is_told = True
            else:
                self._is_told = self.service.terminate_soon(seconds)
        except (KeyboardInterrupt, SystemExit):
            # Nobody asks a second time: whoever is impatient leaves no pool behind.
            self._is_told = self.service.terminate_soon(_EXIT_SECONDS_MAX)
            raise
        finally:
            self.service.transport.close()
            if self._is_told:
                _cores.discard(self)

    def join(self) -> None:
        """Waits until all has ended: results, callbacks, workers. In a child of a fork there is
        nothing to wait for."""
        if os.getpid() != self._process:
            return
        while self._begin_rests():
            pass
        if self._state == TERMINATE:
            self.terminate()  # For one that has failed: the pool would run on.
        if self._error is not None and self._state == CLOSE:
            # The thread that submits may have ended before it did so.
            self._persist(self.service.close)
        while not self._persist(self.service.is_joined):
            # Each look waits for some seconds, unless the service does not take the time.
            time.sleep(0.05)
        self.service.end_feed()
        self._end_results()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self.service.transport.close_all()
        _cores.discard(self)

    def _begin_rests(self) -> bool:
        """Waits until all has ended, or begins what dropped iterators have left."""
        with self._changed:
            for stream in self._streams:
                stream.lift()
            self._changed.wait_for(lambda: self._state == TERMINATE or self._left or (
                self._is_sent and not self._open and not self._streams))
            rests = [rest for rest in (stream.rest() for stream in self._left) if rest]
            self._left.clear()
            self._streams.update(rests)
        for rest in rests:
            self._start(rest)
        return bool(rests)

    def _end_if_done(self) -> None:
        """Ends the threads of a pool that is closed, once there is nothing left for them: whoever
        closed it may never join it."""
        with self._changed:
            if self._is_over or self._state != CLOSE or not self._is_sent:
                return
            if self._open or self._streams:
                return
            self._end_results()
        self.service.end_feed()
        _cores.discard(self)

    def _end_results(self) -> None:
        with self._changed:
            self._is_over = True
            self._ended.put(None)
            self._changed.notify_all()

    # The thread that submits

    def _send(self) -> None:
        try:
            while True:
                batch = self._take()
                if batch is None:
                    break
                self._submit(batch)
                self._sending = batch = []
            if self._state == CLOSE:
                self._persist(self.service.close)
        except BaseException as error:
            self._break(error)
        finally:
            with self._changed:
                self._is_sent = True
                self._changed.notify_all()
            self._end_if_done()

    def _take(self) -> Optional[List[Submission]]:
        """What is to be sent together: one map, or jobs; None when there is no more."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._pending or self._state == TERMINATE
                or (self._state == CLOSE and not self._left
                    and not any(s.is_sending or s.has_rest for s in self._streams)))
            if not self._pending:
                return None
            batch = self._sending = [self._pending.popleft()]
            size = len(batch[0].body)
            while (
                batch[0].map is None and self._pending and self._pending[0].map is None
                and len(batch) < SUBMISSIONS_MAX
                and size + len(self._pending[0].body) < self._batch_bytes_max
            ):
                batch.append(self._pending.popleft())
                size += len(batch[-1].body)
            return batch

    def _submit(self, batch: List[Submission]) -> None:
        patience = Patience()
        while batch and self._state != TERMINATE:
            try:
                again, error = self._try_to_submit(batch)
            except LidoError as problem:
                again, error = batch, problem
            if len(again) < len(batch):
                patience.renew()
            if error is None or self._is_split(again, error):
                return
            pause = pause_after(error)
            if pause is None or patience.is_over():
                for submission in again:
                    self.settle(submission.id, (False, error))
                return
            # A terminate ends the wait, and so does the end of the last that was accepted: a full
            # queue has room then.
            with self._changed:
                is_out = self._is_out(len(again))
                self._is_refused = True
                self._changed.wait_for(
                    lambda: self._state == TERMINATE or (is_out and not self._is_out(len(again))),
                    pause)
                self._is_refused = False
                # What has failed meanwhile is not submitted any more.
                batch = [submission for submission in again if submission.id in self._open]

    def _is_split(self, batch: List[Submission], error: LidoError) -> bool:
        """Whether submissions were too long only together, of which none was carried out: then they
        are pending again, and fewer are sent at once."""
        if len(batch) == 1 or not isinstance(error, ServiceError) or error.status != 413:
            return False
        self._batch_bytes_max = sum(len(submission.body) for submission in batch) // 2
        with self._changed:
            if self._state != TERMINATE:
                # Not what has failed meanwhile.
                self._pending.extendleft(
                    submission for submission in reversed(batch) if submission.id in self._open)
        return True

    def _is_out(self, refused: int) -> bool:
        """Whether something is open besides what was refused and what waits behind it."""
        return len(self._open) > len(self._pending) + refused

    def _try_to_submit(
        self, batch: List[Submission]
    ) -> Tuple[List[Submission], Optional[LidoError]]:
        """What was refused for now, and why."""
        if batch[0].map is not None:
            self.service.submit_map(batch[0].map, batch[0].body)
            return [], None
        again: List[Submission] = []
        last: Optional[LidoError] = None
        found = self.service.submit([submission.body for submission in batch])
        for submission, entry in zip(batch, found):
            if "state" in entry:
                continue
            error = refusal(entry["error"])
            if pause_after(error) is not None:
                again.append(submission)
                last = error
            else:
                self.settle(submission.id, (False, error))
        return again, last

    def _persist(self, ask: Callable[[], T]) -> T:
        """Asks the service something that may be asked twice, and again while it is away; not when
        the pool is terminated."""
        patience = Patience(self._outage.since)
        while True:
            try:
                return ask()
            except LidoError as error:
                pause = pause_after(error)
                if pause is None or patience.is_over() or self._state == TERMINATE:
                    raise
            with self._changed:
                self._changed.wait_for(lambda: self._state == TERMINATE, pause)

    # The thread that hears of what ended

    def _listen(self) -> None:
        feed = CompletionReader(self.service)
        try:
            while self._state != TERMINATE:
                try:
                    self._hear(feed)
                    self._outage.renew()
                    pause: Optional[float] = feed.pause
                except LidoError as error:
                    pause = pause_after(error)
                    if pause is None or self._is_done():
                        raise
                    self._endure(error)
                if feed.is_over and not feed.is_behind:
                    return
                with self._changed:
                    self._changed.wait_for(lambda: self._is_over, pause)
        except BaseException as error:
            if not self._is_done():
                self._break(error)

    def _endure(self, error: LidoError) -> None:
        """The service is away. For what is open it is waited for some minutes; a pool of which
        nobody wants anything waits for as long as it takes."""
        is_over = self._outage.is_over(self._wanted_since)
        with self._changed:
            # What is streamed has a patience of its own.
            failed = [name for name in self._open if name.startswith((JOB, MAP))]
            if not is_over or not failed:
                return
            self._pending.clear()
            self._wanted_since = time.monotonic()  # That of what comes now.
        for identifier in failed:
            self.settle(identifier, (False, error))

    def _hear(self, feed: CompletionReader) -> None:
        """Hears once of what has ended. What the feed may have passed over is looked up."""
        for handle in [] if feed.is_behind else feed.read():
            # What is streamed is settled by its stream.
            if handle["id"].startswith((JOB, MAP)):
                self.settle(handle["id"], handle)
        if feed.is_behind:
            end: Optional[PoolTerminated] = None
            if feed.is_lost:
                end = PoolTerminated(
                    f"the service has no pool {self.service.name} any more: its data was lost, or "
                    "nothing was heard of this program for ten minutes")
            elif feed.is_over:
                end = PoolTerminated("the service ended the pool")
            self._look_up(end, feed.is_lost, _LOOKED_UP_MAX if feed.is_idle else None)
            feed.is_behind = False

    def _look_up(
        self, end: Optional[PoolTerminated], is_lost: bool, count_max: Optional[int]
    ) -> None:
        """Looks at what is open, the oldest of it or everything. What was submitted and is not
        there has no outcome any more; what is not submitted yet is heard of later. `end`: why
        nothing more will end; `is_lost`: since the service knows nothing of the pool."""
        with self._changed:
            pending = {submission.id for submission in self._pending}
            coming = {submission.id for submission in self._sending}
            wanted = [name for name in self._open if name not in pending][:count_max]
        for identifier, handle in self.service.look_up(
                [name for name in wanted if name.startswith(JOB)],
                [name for name in wanted if name.startswith(MAP)]):
            if handle.get("ready"):
                self.settle(identifier, handle)
            elif "state" not in handle and not is_lost and identifier not in coming:
                self.settle(identifier, (False, refusal(handle["error"])))
            elif end is not None and identifier not in coming:
                self.settle(identifier, (False, end))

    def _is_done(self) -> bool:
        """Whether nothing is left to hear of, since the pool ends."""
        with self._changed:
            return self._state != RUN and self._is_sent and not self._open

    def _break(self, error: BaseException) -> None:
        """The service cannot be heard any more: everything that is open fails, now."""
        with self._changed:
            if self._state == TERMINATE:
                return
            self._error = error
            self._left.clear()
            identifiers, streams = list(self._open), list(self._streams)
        for identifier in identifiers:
            self.settle(identifier, (False, error))
        for stream in streams:
            stream.terminate()

    # The thread that hands out

    def _hand_out(self) -> None:
        while True:
            ended = self._ended.get()
            if ended is None:
                return
            if ended.result is None and ended.id:
                self._drop(ended.id)
            elif ended.result is None:
                self._end_abandoned()
            elif ended.id in self._open:
                self._hand(ended, ended.result)
                with self._changed:
                    self._open.pop(ended.id, None)
                    if not self._open or self._is_refused:
                        self._changed.notify_all()
                self._end_if_done()
            ended = None  # Nothing keeps what was handed out.

    def _hand(self, ended: Ended, result: ApplyResult) -> None:
        try:
            outcome = ended.outcome
            if isinstance(outcome, dict):
                outcome = self._outcome(ended.id, outcome)
            result._set(outcome)
        except BaseException as error:
            # A callback, or a pickle that was opened, wants this thread to end: it is not its own.
            result._end(False, error)

    def _outcome(self, identifier: str, handle: Dict[str, Any]) -> Outcome:
        try:
            if identifier.startswith(MAP):
                return self._map_outcome(identifier, handle)
            if handle.get("outcome_omitted") and not handle.get("successful"):
                handle = self._persist(lambda: self.service.job(identifier))
        except Exception as error:
            return False, error
        if "result" in handle:
            return outcome_of(
                handle, lambda: codec.decode(handle["result"], self.pickles), self.pickles)
        return outcome_of(
            handle, lambda: self._persist(
                lambda: self.service.result("jobs", identifier)).value(self.pickles), self.pickles)

    def _map_outcome(self, identifier: str, handle: Dict[str, Any]) -> Outcome:
        try:
            values = self._persist(lambda: self.service.result("maps", identifier)).json
        except ServiceError as error:
            if error.code != "job_failed":
                return False, error
            members = getattr(error, "problem", {}).get("error") or handle.get("error") or {
                "code": handle.get("state", "failed")}
            return False, failure(
                members, identifier, handle.get("state") == "cancelled", self.pickles)
        return True, codec.decode_list(values, self.pickles)


_cores: "weakref.WeakSet[PoolCore]" = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """Pools that were left open end with the program, and hold it up for some seconds at most."""
    for core in list(_cores):
        core.terminate(_EXIT_SECONDS_MAX)
