"""A worker of a Lido service: `python3 -m lido.worker [--any-module] [MODULE…]`.

It runs the functions of the modules that its command line names, by registered name (`@lido.task`)
or as `module:qualname`; functions of other modules too when the pool may take pickles or the
submitter's script anyway, or with `--any-module`. The service starts it, for a pool with
`worker: [python3, -m, lido.worker, MODULE…]`.

A function runs in the main thread. What leaves it as an `Exception` is the job's error; SystemExit,
KeyboardInterrupt and the like end this process, as with multiprocessing.
"""

import os
import queue
import signal
import sys
import threading
import traceback
from multiprocessing import process
from typing import Any, Callable, Dict, Iterable, List, Optional

from lido import answers, codec, tasks
from lido.cancellation import Cancelled
from lido.channel import Channel, ChannelClosed
from lido.errors import TaskNotFound
from lido.names import NO_SCRIPT, WAYS_OUT, Functions

__all__ = ["main"]

PROTOCOL = 1


class Worker:
    """Reads calls from a channel and answers them, one after the other."""

    def __init__(self, channel: Channel, modules: List[str], is_open: bool) -> None:
        self.channel = channel
        self.modules = modules
        self.is_open = is_open
        self.functions = Functions(is_open)
        self.line_bytes_max: Optional[int] = None
        self.result_bytes_max: Optional[int] = None
        self.calls_left: Optional[int] = None
        # Calls, as they came; None when there are no more.
        self._calls: "queue.SimpleQueue[Optional[bytes]]" = queue.SimpleQueue()
        # How many have come, for who reads, and how many were answered.
        self._come = 0
        self._answered = 0
        # The number of the call that runs, and of one that is to be given up.
        self._running: Optional[int] = None
        self._unwanted: Optional[int] = None
        # Whether there is a call, from its coming until its answer is sent.
        self._is_answering = False
        # Whether the call that runs was told so, and whether this process is to end after it.
        self._is_given_up = False
        self._is_ending = False
        self._main = threading.main_thread().ident or 0

    def run(self) -> None:
        """Answers calls until the channel ends, the service says stop, or the calls that this
        worker may run are used up."""
        signal.signal(signal.SIGINT, self._interrupted)
        signal.signal(signal.SIGTERM, self._terminated)
        os.register_at_fork(
            before=_hold_signals, after_in_parent=_release_signals,
            after_in_child=_be_no_worker)
        threading.Thread(target=self._read, name="lido channel", daemon=True).start()
        first = self._calls.get()
        if first is None or not self._set_up(codec.loads(first).get("setup") or {}):
            return
        while self.calls_left is None or self.calls_left > 0:
            line = self._calls.get()
            if line is None:
                return
            if self.calls_left is not None:
                self.calls_left -= 1
            self._answer(line)

    # Setting up

    def _set_up(self, setup: Dict[str, Any]) -> bool:
        """Loads the modules and runs the initializer; whether this worker is ready."""
        pickles = setup.get("encoding") == "pickle"
        allow_main = bool(setup.get("allow_main"))
        self.functions.is_open = self.is_open or pickles or allow_main
        self.functions.allow_main = allow_main
        self.line_bytes_max = setup.get("line_bytes_max")
        self.result_bytes_max = setup.get("result_bytes_max")
        self.calls_left = setup.get("calls_max")
        # What programs go by to tell workers apart: multiprocessing's have both.
        number = setup.get("slot", 0) + 1
        process.current_process().name = f"LidoPoolWorker-{number}"
        process.current_process()._identity = (number,)
        try:
            self.functions.load(self.modules)
            initializer = setup.get("initializer")
            if initializer is not None:
                self._initialize(initializer, setup, pickles)
        except Exception as error:
            answers.flush_output()
            failure = codec.encode(answers.described(error, pickles=False))
            self.channel.send(b'{"failed":' + failure + b"}\n")
            sys.exit(1)
        answers.flush_output()
        self._answered += 1
        self.channel.send(b'{"ready":' + codec.encode({
            "protocol": PROTOCOL, "tasks": sorted(tasks.registered), "language": "python",
            "chunks": True, "dynamic": True}) + b"}\n")
        return True

    def _initialize(self, initializer: str, setup: Dict[str, Any], pickles: bool) -> None:
        script = setup.get("main")
        initargs = setup.get("initargs") or []
        if script is not None:
            self.functions.use_script(script, answers.needs_script(initargs, pickles))
        function = self.functions.find(initializer, script)
        try:
            args = codec.decode_list(initargs, pickles)
        except Exception as error:
            raise self.undecodable(error, initargs, pickles, script is not None)
        function(*args)

    def undecodable(
        self, error: Exception, values: List[Any], pickles: bool, has_script: bool
    ) -> Exception:
        """Why arguments could not be read: the script may be what is missing."""
        may_load = self.functions.allow_main
        if may_load and has_script or not answers.needs_script(values, pickles):
            return error
        what = "an argument is of a class, or a function, of the submitter's program itself, and "
        if may_load:
            return TaskNotFound(f"{what}the submission names no script (main): {NO_SCRIPT}")
        return TaskNotFound(f"{what}this pool does not load that; {WAYS_OUT}")

    # Reading, in a thread of its own: a cancel comes while a call runs

    def _read(self) -> None:
        try:
            for line in self.channel.lines():
                if line.startswith((b'{"call"', b'{"setup"')):
                    self._take(line)
                else:
                    self._read_other(line)
        except Exception:
            # No message of the protocol: whoever speaks there is not the service.
            traceback.print_exc()
            answers.flush_output()
            os._exit(1)
        if self._come == self._answered:
            self._calls.put(None)
        else:
            # Nobody is left to whom the call that runs could be answered.
            answers.flush_output()
            os._exit(1)

    def _take(self, line: bytes) -> None:
        self._come += 1
        self._calls.put(line)

    def _read_other(self, line: bytes) -> None:
        message: Dict[str, Any] = codec.loads(line) if line.strip() else {}
        if type(message) is not dict:
            raise ValueError(f"no message: {line[:100]!r}")
        if "call" in message or "setup" in message:
            self._take(line)
        elif "stop" in message:
            self._calls.put(None)
        elif "cancel" in message:
            self._unwanted = message["cancel"]
            if self._unwanted == self._running:
                # A signal also ends what waits in the system, such as time.sleep.
                signal.pthread_kill(self._main, signal.SIGINT)

    # Signals, in the main thread

    def _interrupted(self, _number: int, _frame: Any) -> None:
        if not self.channel.defers(self._interrupt):
            self._interrupt()

    def _interrupt(self) -> None:
        if self._unwanted is None:
            raise KeyboardInterrupt
        if self._unwanted == self._running:
            self._give_up()

    def _terminated(self, _number: int, _frame: Any) -> None:
        """The service ends this process; the function that runs may clean up, for as long as the
        service waits until it kills."""
        self._is_ending = True
        if not self.channel.defers(self._end):
            self._end()

    def _end(self) -> None:
        if self._running is not None:
            self._give_up()
        elif not self._is_answering:  # Who answers looks whether this process is to end.
            self._die()

    def _give_up(self) -> None:
        if not self._is_given_up:
            self._is_given_up = True
            raise Cancelled

    def _die(self) -> None:
        answers.flush_output()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    # Calls

    def _answer(self, line: bytes) -> None:
        message = codec.loads(line)
        number = message["call"]
        call = Call(self, message)
        self._is_answering = True
        try:
            tasks.teller = call
            tasks.teller_of_context.set(call)
            self._running = number
            if self._unwanted == number or self._is_ending:
                self._give_up()
            text = call.run()
            self._running = None
        except Cancelled as error:
            self._running = None
            place = None if call.items is None else 0
            text = answers.raised(number, error, call.pickles, item=place)
        except BaseException as error:
            self._running = None
            self._leave(error)
        finally:
            call.is_over = True
            tasks.teller = None
            tasks.teller_of_context.set(None)
        self._unwanted = None
        text = answers.bounded(
            number, text, self.line_bytes_max, self.result_bytes_max, call.items)
        answers.flush_output()
        if self.calls_left == 0 or self._is_ending:
            # Before the answer, so that no other call is given to this worker after it.
            text = b'{"retiring":true}\n' + text
        self._answered += 1
        self.channel.send(text)
        self._is_given_up = self._is_answering = False
        if self._is_ending:
            self._die()

    def _leave(self, error: BaseException) -> None:
        """Ends this process as multiprocessing's workers end."""
        if isinstance(error, SystemExit):
            raise error
        traceback.print_exc()
        sys.exit(1)


# A child that a function forks is no worker: signals do there what they do anywhere, from its
# first moment on, and nobody is told what it says.


def _hold_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)


def _release_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


def _be_no_worker() -> None:
    tasks.forget()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _release_signals()


_HELD = (signal.SIGINT, signal.SIGTERM)


class Call:
    """A call, or a chunk of calls, that runs."""

    def __init__(self, worker: Worker, message: Dict[str, Any]) -> None:
        self._worker = worker
        self._message = message
        self.number: int = message["call"]
        #: Whether its function has ended: what threads that outlive it say is nobody's.
        self.is_over = False
        #: How many items a chunk has.
        self.items = len(message["items"]) if "items" in message else None
        self.pickles = message.get("encoding") == "pickle"
        self._has_script = message.get("main") is not None
        self.job = tasks.Job(
            str(message.get("job", "")), message["task"], message.get("attempt", 1))

    def run(self) -> bytes:
        """The line that answers it. What is no `Exception` comes out of here."""
        message = self._message
        items: Optional[List[Any]] = message.get("items")
        try:
            function = self._function(message)
        except Exception as error:
            item = None if items is None else 0
            return answers.raised(self.number, error, self.pickles, item=item)
        if items is not None:
            return self._run_chunk(function, items, bool(message.get("star")))
        try:
            args = codec.decode_list(message.get("args") or [], self.pickles)
            kwargs = message.get("kwargs") or {}
            if self.pickles:
                kwargs = {key: codec.decode(value, True) for key, value in kwargs.items()}
        except Exception as error:
            values = [*(message.get("args") or ()), *(message.get("kwargs") or {}).values()]
            return answers.raised(
                self.number, self._undecodable(error, values), self.pickles,
                code="argument_decoding")
        message.clear()
        try:
            value = function(*args, **kwargs)
            if answers.is_stream(function):
                value = self._streamed(value)
        except Exception as error:
            return answers.raised(self.number, error, self.pickles)
        try:
            text = codec.encode(value, self.pickles)
        except Exception as error:
            return answers.unencodable(self.number, error, value, self.pickles)
        return b'{"return":%d,"value":%b}\n' % (self.number, text)

    def _function(self, message: Dict[str, Any]) -> Callable[..., Any]:
        functions = self._worker.functions
        script = message.get("main")
        if script is not None:
            values: Iterable[Any] = message.get("items") or [
                *(message.get("args") or ()), *(message.get("kwargs") or {}).values()]
            functions.use_script(script, answers.needs_script(values, self.pickles))
        return functions.find(message["task"], script)

    def _run_chunk(self, function: Callable[..., Any], items: List[Any], star: bool) -> bytes:
        """Items in order; the first that fails ends the chunk."""
        values: List[Any] = []
        self._message.clear()
        stream = answers.is_stream(function)
        code, item = "raised", None
        items.reverse()  # So that what was done is let go.
        try:
            while items:
                argument = items.pop()
                if self.pickles and type(argument) is dict:
                    code, item = "argument_decoding", argument
                    argument = codec.decode(item, True)
                    code, item = "raised", None
                if stream:
                    value = self._streamed(function(*argument) if star else function(argument))
                elif star:
                    value = function(*argument)
                else:
                    value = function(argument)
                values.append(value)
                del argument, value
        except Exception as error:
            if code == "argument_decoding":
                error = self._undecodable(error, [item])
            return self._chunk_raised(len(values), values, error, code)
        try:
            text = codec.encode_list(values, self.pickles)
        except Exception as error:
            return self._chunk_raised(len(values), values, error, "result_encoding")
        return b'{"return":%d,"value":%b}\n' % (self.number, text)

    def _undecodable(self, error: Exception, values: List[Any]) -> Exception:
        return self._worker.undecodable(error, values, self.pickles, self._has_script)

    def _chunk_raised(
        self, index: int, values: List[Any], error: Exception, code: str
    ) -> bytes:
        """The values before the failing item, or before the first that cannot be encoded."""
        texts: List[bytes] = []
        for place, value in enumerate(values):
            try:
                texts.append(codec.encode(value, self.pickles))
            except Exception as problem:
                return answers.unencodable(
                    self.number, problem, value, self.pickles, item=place, values=texts)
        return answers.raised(
            self.number, error, self.pickles, code=code, item=index, values=texts)

    def _streamed(self, source: Any) -> Any:
        """Streams what a generator yields; what it returns is the value."""
        while True:
            try:
                self.item(next(source))
            except StopIteration as end:
                return end.value

    # What the function says while it runs

    def progress(self, value: Optional[float], message: Optional[str]) -> None:
        """Tells how far it is."""
        line = answers.progress(self.number, value, message)
        if not self.is_over:
            self._worker.channel.send(line)

    def item(self, value: Any) -> None:
        """Tells a value before the result."""
        text = codec.encode(value, self.pickles)
        answers.check_length(text, self._worker.result_bytes_max)
        line = b'{"item":%d,"value":%b}\n' % (self.number, text)
        if not self.is_over:
            self._worker.channel.send(line)

    def is_cancelled(self) -> bool:
        """Whether it is to be given up."""
        return self._worker._unwanted == self.number


def main(arguments: Optional[List[str]] = None) -> None:
    """Runs a worker until its channel ends. Ends the process with a message when there is none."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    is_open = "--any-module" in given
    modules = [argument for argument in given if argument != "--any-module"]
    options = [argument for argument in modules if argument.startswith("-")]
    if options:
        sys.exit(f"lido.worker: unknown option {options[0]}\n{__doc__}")
    answers.prepare_output()
    worker = Worker(Channel.from_environment(), modules, is_open)
    try:
        worker.run()
    except ChannelClosed:
        answers.flush_output()
        os._exit(1)
    except KeyboardInterrupt:
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    # By its own name, so that there is one copy of what this module holds.
    from lido.worker import main as start

    start()
