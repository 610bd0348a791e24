"""A worker for the tests of the worker protocol, which does with its channel what it is told to.

Usage: worker.py [HOW]   with HOW: what it does in place of becoming ready (`BEGINNINGS`), or
                         `sorted`: the members of its messages are in the order of the alphabet
"""

import json
import os
import signal
import socket
import sys
import time

CHANNEL = socket.socket(fileno=3)
LINES = CHANNEL.makefile("rb")
TASKS = ["square", "divide", "show", "write", "say", "raise", "wait", "size", "count", "hog",
         "deep", "misbehave", "pid", "retire", "end", "idle_writer"]


def send(text):
    """Sends a line, or a part of one, as it is."""
    CHANNEL.sendall(text.encode())


def say(message):
    """Sends a message."""
    send(json.dumps(message, sort_keys="sorted" in sys.argv) + "\n")


class Raised(Exception):
    """An error to be told: its members."""


# Tasks: each gets the call's number, the whole message, and its arguments.

def square(_call, _message, number):
    """A number of any length."""
    return number * number


def divide(_call, _message, dividend, divisor):
    """One that fails for some arguments only."""
    if divisor == 0:
        raise Raised({"type": "ZeroDivisionError", "message": "by zero", "module": "builtins"})
    return dividend // divisor


def show(_call, message, *_):
    """What this worker is, and what it was told."""
    return {"setup": SETUP, "call": message, "environment": dict(os.environ),
            "folder": os.getcwd(), "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:4]}


def write(_call, _message, out, err):
    """Writes to stdout and to stderr."""
    os.write(1, out.encode())
    os.write(2, err.encode())


def tell(call, _message, steps, pause=0.0, size=0):
    """Progress, items and lines."""
    for step in range(steps):
        say({"progress": call, "value": step / steps, "message": f"step {step}"})
        say({"item": call, "value": [step, "x" * size]})
        print("line", step, flush=True)
        time.sleep(pause)
    return steps


def fail(_call, _message, error):
    """Raises what it is told."""
    raise Raised(error)


def wait(call, _message, seconds, path=None):
    """Waits; writes down what it hears meanwhile."""
    heard = []
    if path:
        signal.signal(signal.SIGTERM, lambda *_: heard.append("SIGTERM"))
    end = time.monotonic() + seconds
    CHANNEL.settimeout(0.02)
    while time.monotonic() < end:
        try:
            for line in CHANNEL.recv(1 << 16).decode().splitlines():
                heard.append("cancel" if json.loads(line) == {"cancel": call} else line)
        except socket.timeout:
            pass
        if path and heard:
            # SIGKILL may come at any moment: the file is whole, or that of before.
            with open(path + ".new", "w", encoding="utf-8") as file:
                file.write(" ".join(sorted(heard)))
            os.replace(path + ".new", path)
    return heard


def size(_call, _message, count):
    """A result of so many bytes."""
    return "x" * (count - 2)


def count(_call, message, *args):
    """How many bytes the arguments have."""
    return len(json.dumps([args, message["kwargs"]]))


def hog(_call, _message, megabytes):
    """Takes memory, and time."""
    taken = b"x" * (megabytes << 20)
    time.sleep(20)
    return len(taken)


def deep(_call, _message, depth):
    """A result of so many arrays within one another."""
    value = 0
    for _ in range(depth):
        value = [value]
    return value


def retire(_call, _message):
    """Says that it ends, answers and ends."""
    say({"retiring": True})
    return os.getpid()


def end(_call, _message, status):
    """Ends without an answer."""
    os._exit(status)


def idle_writer(_call, _message):
    """Writes once it has answered, and so while it runs nothing."""
    if os.fork() == 0:
        time.sleep(0.3)
        os.write(2, b"written while idle\n")
        os._exit(0)


# What a worker does that does not keep to the protocol. Each gets the call's number.

def half_a_line(call):
    send(f'{{"return":{call},"val')
    os._exit(3)


def endless_line(call):
    send(f'{{"return":{call},"value":"')
    piece = "x" * (1 << 20)
    for _ in range(1_024):
        send(piece)


def twice(call):
    say({"return": call, "value": 1})
    say({"return": call, "value": 2})
    time.sleep(20)


def close_channel(_call):
    os.close(3)
    LINES.close()
    CHANNEL.detach()
    time.sleep(20)


def heir(_call):
    """Leaves a process behind that holds its channel, its stdout and its stderr."""
    if os.fork() == 0:
        os.setsid()
        time.sleep(20)
    os._exit(7)


MISDEEDS = {
    "half a line": half_a_line, "endless line": endless_line, "twice": twice,
    "close": close_channel, "heir": heir,
    "another's call": lambda call: (say({"return": call + 1, "value": 1}), time.sleep(20)),
    "no json": lambda call: (send("hello\n"), time.sleep(20)),
    "no message": lambda call: (say({"hello": call}), time.sleep(20)),
    "ready again": lambda call: (say(READY), time.sleep(20)),
    "NaN": lambda call: (send(f'{{"return":{call},"value":NaN}}\n'), time.sleep(20)),
    "line feed": lambda call: (send(f'{{"return":{call},\n"value":1}}\n'), time.sleep(20)),
}


def misbehave(call, _message, how):
    """Does not keep to the protocol."""
    MISDEEDS[how](call)


RUN = {"square": square, "divide": divide, "show": show, "write": write, "say": tell,
       "raise": fail, "wait": wait,
       "size": size, "count": count, "hog": hog, "deep": deep, "misbehave": misbehave,
       "pid": lambda call, message: os.getpid(), "retire": retire, "end": end,
       "idle_writer": idle_writer}


def run(message):
    """Runs a call and answers it."""
    call = message["call"]
    task = message["task"]
    if task not in RUN:
        error = {"code": "task_not_found", "type": "LookupError", "message": f"no {task}"}
        return say({"raise": call, "error": error})
    try:
        value = RUN[task](call, message, *message["args"])
    except Raised as raised:
        return say({"raise": call, "error": raised.args[0]})
    return say({"return": call, "value": value})


# What a worker does in place of becoming ready.

def silent():
    time.sleep(60)


def failing():
    say({"failed": {"type": "OSError", "message": "no disk", "traceback": "…"}})
    sys.exit(1)


def dying():
    sys.exit("there is no such module")


def early():
    """Answers before it is ready."""
    say({"return": 1, "value": 1})
    time.sleep(60)


def deaf():
    """Becomes ready and never reads again."""
    say({"ready": {"protocol": 1, "tasks": ["deaf"]}})
    time.sleep(60)


BEGINNINGS = {"silent": silent, "failing": failing, "dying": dying, "early": early, "deaf": deaf}
READY = {"ready": {"protocol": 1, "tasks": TASKS, "language": "python", "dynamic": True}}

#: Initializers that do not end well, by name; with an argument only in the slot of that number.
INITIALIZERS = {"fails": failing, "dies": dying, "hangs": silent}

SETUP = json.loads(LINES.readline())["setup"]
if SETUP["initializer"] in INITIALIZERS and SETUP["initargs"] in ([], [SETUP["slot"]]):
    INITIALIZERS[SETUP["initializer"]]()
for beginning in sys.argv[1:]:
    if beginning != "sorted":
        BEGINNINGS[beginning]()
say(READY)
for line in LINES:
    heard = json.loads(line)
    if "stop" in heard:
        break
    if "call" in heard:
        run(heard)
        if heard["task"] == "retire":
            break
