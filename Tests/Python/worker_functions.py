"""Functions that the tests call in workers."""

import contextvars
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from time import sleep  # noqa: F401 - a function that this module has only imported

import lido

CALLS = []
SETTINGS = {}


def square(x):
    return x * x


def add(x, y=1):
    return x + y


def pair(x):
    return x, x


def set_up(**_):
    raise TypeError("never called so")


def initialize(*args):
    if args == ("fail",):
        raise ValueError("no set-up today")
    SETTINGS["args"] = args


def settings(_=None):
    return SETTINGS.get("args")


class Trouble(Exception):
    """Can be pickled, and not be read again."""

    def __init__(self, first, second):
        super().__init__(first)
        self.second = second


class Exiting:
    """A value whose opening wants the thread to end."""

    def __reduce__(self):
        return sys.exit, (3,)


def exiting(_):
    return Exiting()


def trouble(x):
    raise Trouble(x, 2)


def fail_at_three(x):
    if x == 3:
        raise KeyError("three", x)
    return x


def unencodable(_=None):
    return lambda: 1


def leave(code):
    sys.exit(code)


def interrupt(_=None):
    raise KeyboardInterrupt


def die(number=signal.SIGKILL):
    os.kill(os.getpid(), number)
    time.sleep(60)


def pid(_=None):
    return os.getpid()


def append(path, text):
    """Appends a line, and answers how many calls this process has had."""
    CALLS.append(text)
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{text}\n")
    return len(CALLS)


def prints(text):
    print(text, end="")
    return len(text)


def rest(seconds):
    time.sleep(seconds)
    return seconds


def rest_and_square(x):
    time.sleep(0.005)
    return x * x


def wait_for(path):
    """Opens a FIFO: goes on when somebody writes."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def tells_and_waits(mark, begun, go):
    """Writes to one FIFO, and goes on when nobody writes to the other any more."""
    with open(go, encoding="utf-8") as waiting:
        with open(begun, "w", encoding="utf-8") as file:
            file.write(mark)
        return waiting.read()


def long_text(count):
    return "x" * count


def raises_long(count):
    raise ValueError("x" * count)


def raises_with_data(count):
    error = ValueError("small")
    error.data = "x" * count
    raise error


def raises_behind_a_long_one(count):
    try:
        raises_long(count)
    except ValueError:
        raise KeyError(1)


def raises_when_negative(count):
    if count < 0:
        raises_long(-count)
    return long_text(count)


def opens(path):
    return pathlib.Path(path).stat()


def renames(path, other):
    os.rename(path, other)


def looks_at_bytes(path):
    os.stat(path.encode())


def surrogate(_=None):
    raise ValueError("\ud800 is half a character")


def leaves_child(_=None):
    """A program and a forked child that outlive the call; their pids."""
    program = subprocess.Popen(["sleep", "30"], stdout=subprocess.DEVNULL)
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    return [program.pid, child]


def open_descriptors(pid_):
    return sorted(
        os.readlink(f"/proc/{pid_}/fd/{name}") for name in os.listdir(f"/proc/{pid_}/fd"))


def leaves_a_mark(path):
    try:
        lido.item("begun")
        time.sleep(60)
    finally:
        time.sleep(0.1)
        with open(path, "w", encoding="utf-8") as file:
            file.write("cleaned up")


def ends_a_child():
    """The exit codes of a child of multiprocessing, and of one that was forked by hand."""
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join()
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(child, signal.SIGTERM)
    return [process.exitcode, -os.WTERMSIG(os.waitpid(child, 0)[1])]


def tells_in_children(value):
    """The exit codes of children that say what a function may: one of multiprocessing, one that was
    forked by hand, and one whose context is a copy of this one's."""
    context = contextvars.copy_context()

    def say():
        lido.progress(value)
        lido.item(value)
        if lido.cancelled() or lido.current_job() is not None:
            raise SystemExit(2)
    process = multiprocessing.get_context("fork").Process(target=say)
    process.start()
    process.join()
    codes = [process.exitcode]
    for call in (say, lambda: context.run(say)):
        child = os.fork()
        if child == 0:
            try:
                call()
            except BaseException:
                os._exit(1)
            os._exit(0)
        codes.append(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
    lido.item(value)
    return codes


def tells(count):
    for number in range(count):
        lido.progress(number / count, f"{number} done")
    lido.progress(1)
    return lido.current_job().attempt


def tells_at_length():
    lido.progress(0, "é" * 100_000)
    lido.progress("x" * 10_000)


def tells_a_lot(count):
    lido.item("x" * count)
    time.sleep(60)


def tells_slowly(count):
    for number in range(count):
        time.sleep(0.2)
        lido.item(number)
    return count


def tells_in_threads(count):
    threads = [
        threading.Thread(target=lido.item, args=["x" * 100_000]) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count


WAKE = threading.Event()
LEFT = []


def leaves_a_thread():
    """A thread of this job's context that speaks now, and again when the next job says so."""
    begun = threading.Event()

    def speak():
        lido.item(lido.current_job().id)
        begun.set()
        WAKE.wait()
        lido.item("of another job")
        lido.progress(1)
        LEFT.append(lido.current_job().id)
    LEFT.append(threading.Thread(target=contextvars.copy_context().run, args=[speak]))
    LEFT[0].start()
    begun.wait()


def wakes_the_thread():
    WAKE.set()
    LEFT[0].join()
    return LEFT[1]


def loops():
    """Until it is cancelled, in a loop that swallows every Exception."""
    while True:
        try:
            time.sleep(0.001)
        except Exception:
            pass


@lido.task
def registered(x):
    return x + 1


@lido.task(name="count-down")
def count_down(number):
    while number > 0:
        yield number
        number -= 1
    return "lift-off"


def lazily(number):
    yield number
