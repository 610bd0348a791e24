#!/usr/bin/env python3
"""`python3 -m lido.worker` over a socket, as the service speaks to it.

    python3 Tests/Python/worker_tests.py [-v] [NAME …]
"""

import base64
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "Sources", "Python")
sys.path[:0] = [HERE, SOURCES]

from lido import codec  # noqa: E402

#: No answer takes longer.
SECONDS_MAX = 20


def packed(value):
    """A value as a pickle."""
    return {"pickle": base64.b64encode(pickle.dumps(value)).decode()}


class Worker:
    """A worker and the service's end of its channel."""

    def __init__(self, *arguments, environment=None, **setup):
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(SECONDS_MAX)
        self.output = tempfile.TemporaryFile()
        path = os.pathsep.join([SOURCES, HERE])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lido.worker", *arguments], pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, cwd=HERE,
            start_new_session=True, env={
                **os.environ, "LIDO_CHANNEL": str(theirs.fileno()), "PYTHONPATH": path,
                "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})})
        theirs.close()
        self.rest = b""
        self.number = 0
        self.send(setup={
            "protocol": 1, "pool": "python", "slot": 0, "initializer": None, "initargs": [],
            "encoding": "json", "allow_main": False, "calls_max": None,
            "line_bytes_max": 8 << 20, **setup})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.channel.close()
        self.output.close()

    def send(self, **message):
        """Sends a message."""
        self.channel.sendall(codec.encode(message) + b"\n")

    def line(self):
        """The next line, or None at the end of the channel."""
        while b"\n" not in self.rest:
            try:
                part = self.channel.recv(1 << 20)
            except ConnectionResetError:
                part = b""  # It had not read all when it ended.
            if not part:
                assert not self.rest, self.rest
                return None
            self.rest += part
        line, self.rest = self.rest.split(b"\n", 1)
        return line

    def receive(self):
        """The next message, or None at the end."""
        line = self.line()
        return None if line is None else codec.loads(line)

    def begun(self, text):
        """Waits for the beginning of the next line, which is longer than the socket holds."""
        while len(self.rest) < 1000:
            self.rest += self.channel.recv(1000)
        assert self.rest.startswith(text), self.rest[:100]

    def flush(self):
        """Waits until it has read what was sent to it: more is sent than the socket holds."""
        for _ in range(100):
            self.send(news="x" * 10_000)

    def begin(self, task, *args, **members):
        """Sends a call; its number."""
        self.number += 1
        values = {} if "items" in members else {"args": list(args)}
        self.send(call=self.number, task=task, **values, attempt=1, job="j", **members)
        return self.number

    def call(self, task, *args, **members):
        """The answer to a call."""
        self.begin(task, *args, **members)
        return self.receive()

    def value(self, task, *args, **members):
        """The value of a call that must have one."""
        answer = self.call(task, *args, **members)
        assert answer.get("return") == self.number, answer
        return answer["value"]

    def error(self, task, *args, **members):
        """The error of a call that must have one."""
        answer = self.call(task, *args, **members)
        assert answer.get("raise") == self.number, answer
        return answer["error"]

    def printed(self):
        """What it has printed so far."""
        self.output.seek(0)
        return self.output.read().decode()


class WorkerTest(unittest.TestCase):
    """One worker each."""

    def worker(self, *arguments, **setup):
        worker = Worker(*(arguments or ["worker_functions"]), **setup)
        self.addCleanup(worker.__exit__)
        return worker

    def ready(self, *arguments, **setup):
        worker = self.worker(*arguments, **setup)
        self.assertEqual(worker.receive(), {"ready": {
            "protocol": 1, "tasks": ["count-down", "registered"], "language": "python",
            "chunks": True, "dynamic": True}})
        return worker

    def test_calls_by_name(self):
        worker = self.ready()
        self.assertEqual(worker.value("registered", 1), 2)
        self.assertEqual(worker.value("worker_functions:square", 12), 144)
        self.assertEqual(worker.value("worker_functions:add", 1, kwargs={"y": 5}), 6)
        self.assertEqual(worker.value("worker_functions:square", 10 ** 5000), 10 ** 10000)

    def test_names_that_are_not_there(self):
        worker = self.ready()
        for name, part in (
                ("square", "registered: count-down"), ("worker_functions:no", "has no 'no'"),
                ("worker_functions:SETTINGS", "not a function"),
                ("worker_functions:os.system", "through what is no class"),
                ("os:system", "--any-module"), ("builtins:eval", "--any-module"),
                ("__main__:f", "allow_main"), (":", "registered")):
            error = worker.error(name)
            self.assertEqual((error["type"], error["code"]), ("TaskNotFound", "task_not_found"))
            self.assertIn(part, error["message"])
        self.assertEqual(worker.value("registered", 1), 2)

    def test_what_a_name_that_may_not_be_called_needs(self):
        worker = self.ready()
        message = worker.error("operator:floordiv")["message"]
        for part in ("(worker_functions)", "operator is none of them",
                     "`worker: [python3, -m, lido.worker, ..., operator]`", "--any-module"):
            self.assertIn(part, message)
        message = worker.error("worker_functions:sleep")["message"]
        for part in ("is of time, which worker_functions has only imported", "lido.task"):
            self.assertIn(part, message)
        # What a module's __all__ names is its own, wherever it is written: here in C.
        worker = self.worker("operator", "worker_functions")
        self.assertIn("ready", worker.receive())
        self.assertEqual(worker.value("operator:floordiv", 17, 5), 3)
        self.assertEqual(worker.error("operator:_abs")["type"], "TaskNotFound")

    def test_any_module(self):
        worker = self.ready("--any-module", "worker_functions")
        self.assertEqual(worker.value("math:factorial", 5), 120)
        self.assertEqual(worker.value("builtins:int", "7"), 7)
        self.assertIn("PYTHONPATH", worker.error("no_such_module:f")["message"])

    def test_a_script_by_its_path(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "tasks_of_mine.py")
            with open(path, "w", encoding="utf-8") as file:
                file.write("import lido\n@lido.task\ndef twice(x): return 2 * x\n")
            worker = self.worker(path)
            self.assertEqual(worker.receive()["ready"]["tasks"], ["twice"])
            self.assertEqual(worker.value("twice", 4), 8)
            self.assertEqual(worker.value("tasks_of_mine:twice", 5), 10)

    def test_exceptions(self):
        worker = self.ready()
        error = worker.error("worker_functions:fail_at_three", 3)
        trace = error.pop("traceback")
        self.assertEqual(error, {
            "type": "KeyError", "module": "builtins", "message": "('three', 3)",
            "args": ["three", 3]})
        self.assertIn('raise KeyError("three", x)', trace)
        self.assertNotIn("lido/worker.py", trace)
        self.assertNotIn("pickle", worker.error("worker_functions:trouble", [1]))
        self.assertIn("\\ud800", worker.error("worker_functions:surrogate")["message"])
        self.assertEqual(
            worker.error("worker_functions:opens", "/no/file")["args"],
            [2, "No such file or directory", "/no/file"])
        self.assertEqual(
            worker.error("worker_functions:renames", "/no/a", "/no/b")["args"],
            [2, "No such file or directory", "/no/a", None, "/no/b"])
        self.assertEqual(
            worker.error("worker_functions:looks_at_bytes", "/no/file")["args"],
            [2, "No such file or directory"])
        error = worker.error("worker_functions:square")
        self.assertEqual(error["type"], "TypeError")

    def test_results_that_cannot_travel(self):
        worker = self.ready()
        error = worker.error("worker_functions:pair", 1)
        self.assertEqual((error["code"], error["type"]), ("result_encoding", "MaybeEncodingError"))
        self.assertIn("tuple", error["message"])
        error = worker.error("worker_functions:lazily", 1)
        self.assertEqual(error["code"], "result_encoding")
        worker = self.ready(encoding="pickle")
        error = worker.error("worker_functions:unencodable", encoding="pickle")
        self.assertEqual(error["code"], "result_encoding")
        self.assertIn("<lambda>", error["args"][1])

    def test_pickles(self):
        worker = self.ready(encoding="pickle")
        value = worker.value("worker_functions:pair", packed({1}), encoding="pickle")
        self.assertEqual(pickle.loads(base64.b64decode(value["pickle"])), ({1}, {1}))
        # Without the member it is plain.
        self.assertEqual(worker.value("registered", 1), 2)
        error = worker.error("registered", packed({1}))
        self.assertIn("dict", error["message"])
        error = worker.error("registered", {"pickle": "gAV="}, encoding="pickle")
        self.assertEqual(error["code"], "argument_decoding")
        error = worker.error("worker_functions:fail_at_three", 3, encoding="pickle")
        again = pickle.loads(base64.b64decode(error["pickle"]))
        self.assertEqual((type(again), again.args), (KeyError, ("three", 3)))
        self.assertEqual(worker.value("math:factorial", 5), 120)

    def test_chunks(self):
        worker = self.ready()
        answer = worker.call("worker_functions:square", items=[1, 2, 3])
        self.assertEqual(answer, {"return": 1, "value": [1, 4, 9]})
        self.assertEqual(worker.value(
            "worker_functions:add", items=[[1, 2], [3]], star=True), [3, 4])
        self.assertEqual(worker.value("registered", items=[]), [])
        answer = worker.call("worker_functions:fail_at_three", items=[1, 2, 3, 4])
        self.assertEqual((answer["item"], answer["values"]), (2, [1, 2]))
        self.assertEqual(answer["error"]["args"], ["three", 3])
        answer = worker.call("worker_functions:pair", items=[1, 2])
        self.assertEqual((answer["item"], answer["values"]), (0, []))
        self.assertEqual(answer["error"]["code"], "result_encoding")
        answer = worker.call("no", items=[1, 2])
        self.assertEqual((answer["item"], answer["values"]), (0, []))

    def test_chunks_of_pickles(self):
        worker = self.ready(encoding="pickle")
        value = worker.value(
            "worker_functions:add", items=[packed((1, 2)), [3, 4]], star=True, encoding="pickle")
        self.assertEqual(value, [3, 7])
        answer = worker.call(
            "registered", items=[1, {"pickle": "gAV="}, 3], encoding="pickle")
        self.assertEqual((answer["item"], answer["values"]), (1, [2]))
        self.assertEqual(answer["error"]["code"], "argument_decoding")

    def test_progress_and_items(self):
        worker = self.ready()
        number = worker.begin("worker_functions:tells", 2)
        self.assertEqual(
            worker.receive(), {"progress": number, "value": 0.0, "message": "0 done"})
        self.assertEqual(
            worker.receive(), {"progress": number, "value": 0.5, "message": "1 done"})
        self.assertEqual(worker.receive(), {"progress": number, "value": 1})
        self.assertEqual(worker.receive(), {"return": number, "value": 1})
        number = worker.begin("worker_functions:tells_at_length")
        self.assertEqual(worker.receive(), {
            "progress": number, "value": 0, "message": "é" * (4 << 10)})
        self.assertEqual(worker.receive()["error"]["type"], "ValueError")
        number = worker.begin("count-down", 2)
        self.assertEqual(worker.receive(), {"item": number, "value": 2})
        self.assertEqual(worker.receive(), {"item": number, "value": 1})
        self.assertEqual(worker.receive(), {"return": number, "value": "lift-off"})

    def test_big_lines_of_threads_are_whole(self):
        worker = self.ready()
        number = worker.begin("worker_functions:tells_in_threads", 20)
        for _ in range(20):
            self.assertEqual(worker.receive(), {"item": number, "value": "x" * 100_000})
        self.assertEqual(worker.receive(), {"return": number, "value": 20})

    def test_children_of_a_fork_tell_nothing(self):
        worker = self.ready()
        number = worker.begin("worker_functions:tells_in_children", 1)
        self.assertEqual(worker.receive(), {"item": number, "value": 1})
        self.assertEqual(worker.receive(), {"return": number, "value": [0, 0, 0]})

    def test_a_thread_that_outlives_its_job(self):
        worker = self.ready()
        number = worker.begin("worker_functions:leaves_a_thread")
        self.assertEqual(worker.receive(), {"item": number, "value": "j"})
        self.assertEqual(worker.receive()["return"], number)
        number = worker.begin("worker_functions:wakes_the_thread")
        self.assertEqual(worker.receive(), {"return": number, "value": "j"})

    def test_lines_that_are_too_long(self):
        worker = self.ready(
            line_bytes_max=100_000, result_bytes_max=40_000, encoding="pickle")
        self.assertEqual(len(worker.value("worker_functions:long_text", 39_998)), 39_998)
        for count in (39_999, 200_000):
            error = worker.error("worker_functions:long_text", count)
            self.assertEqual((error["code"], error["message"]), (
                "output_limit", f"the result has {count + 2} bytes; 40000 are allowed"))
        error = worker.error("worker_functions:tells_a_lot", 39_999)
        self.assertEqual((error["type"], error["message"]), (
            "ValueError", "the item has 40001 bytes; 40000 are allowed"))
        error = worker.error("worker_functions:raises_long", 200_000, encoding="pickle")
        self.assertEqual((error["type"], error["message"][:3]), ("ValueError", "xxx"))
        answer = worker.call("worker_functions:raises_long", items=[200_000])
        self.assertEqual((answer["item"], answer["values"]), (0, []))
        # Which item it was is told while the values before it fit.
        answer = worker.call(
            "worker_functions:raises_when_negative", items=[7, 8, -200_000, 9], encoding="pickle")
        self.assertEqual((answer["item"], answer["values"]), (2, ["x" * 7, "x" * 8]))
        self.assertNotIn("pickle", answer["error"])
        answer = worker.call(
            "worker_functions:raises_when_negative", items=[60_000, 60_000, -1, 9])
        self.assertEqual(set(answer) & {"item", "values"}, set())
        self.assertIn("item 2 of a chunk", answer["error"]["message"])

    def test_results_of_chunks_that_are_too_long(self):
        worker = self.ready(result_bytes_max=40_000)
        for items in ([20_000] * 3, [60_000]):
            message = worker.call("worker_functions:long_text", items=items)["error"]["message"]
            self.assertEqual("all 3 items" in message and "chunksize=" in message, len(items) > 1)

    def test_errors_that_are_too_long_are_what_they_are(self):
        worker = self.ready(line_bytes_max=200_000, encoding="pickle")

        def error(function, count):
            return worker.error(f"worker_functions:{function}", count, encoding="pickle")
        told = error("raises_with_data", 300_000)
        self.assertEqual((told["type"], told["args"]), ("ValueError", ["small"]))
        self.assertNotIn("pickle", told)
        told = error("raises_long", 300_000)
        self.assertEqual((told["type"], told["args"]), ("ValueError", [told["message"]]))
        # What is short travels whole, whatever else is long.
        told = error("raises_behind_a_long_one", 300_000)
        self.assertEqual(repr(pickle.loads(base64.b64decode(told["pickle"]))), repr(KeyError(1)))
        # If that is too much, too, it is described.
        worker = self.ready(line_bytes_max=40_000, encoding="pickle")
        told = error("raises_with_data", 40_000)
        self.assertEqual((told["type"], told["message"]), ("ValueError", "small"))
        self.assertNotIn("args", told)

    def test_initializer(self):
        worker = self.ready(
            initializer="worker_functions:initialize", initargs=[1, packed((2,))],
            encoding="pickle")
        self.assertEqual(worker.value("worker_functions:settings", encoding="pickle")["pickle"],
                         packed((1, (2,)))["pickle"].replace("gAS", "gAW", 1))
        worker = self.worker(
            "worker_functions", initializer="worker_functions:initialize", initargs=["fail"])
        failure = worker.receive()["failed"]
        self.assertEqual((failure["type"], failure["message"]), ("ValueError", "no set-up today"))
        self.assertIsNone(worker.receive())
        self.assertEqual(worker.process.wait(SECONDS_MAX), 1)

    def test_modules_that_cannot_be_loaded(self):
        worker = self.worker("no_such_module")
        self.assertEqual(worker.receive()["failed"]["type"], "ModuleNotFoundError")
        self.assertEqual(worker.process.wait(SECONDS_MAX), 1)

    def test_without_a_channel(self):
        found = subprocess.run(
            [sys.executable, "-m", "lido.worker"], cwd=SOURCES, capture_output=True, text=True,
            timeout=SECONDS_MAX, check=False)
        self.assertEqual(found.returncode, 1)
        self.assertIn("LIDO_CHANNEL", found.stderr)

    def test_retiring(self):
        worker = self.ready(calls_max=2)
        self.assertEqual(worker.value("registered", 1), 2)
        number = worker.begin("registered", items=[1, 2])
        self.assertEqual(worker.receive(), {"retiring": True})
        self.assertEqual(worker.receive(), {"return": number, "value": [2, 3]})
        self.assertIsNone(worker.receive())
        self.assertEqual(worker.process.wait(SECONDS_MAX), 0)

    def test_stop_and_the_end_of_the_channel(self):
        worker = self.ready()
        worker.begin("registered", 1)
        worker.send(stop=True)
        self.assertEqual(worker.receive()["value"], 2)
        self.assertEqual(worker.process.wait(SECONDS_MAX), 0)
        worker = self.ready()
        worker.channel.shutdown(socket.SHUT_RDWR)
        self.assertEqual(worker.process.wait(SECONDS_MAX), 0)
        worker = self.ready()
        worker.begin("worker_functions:rest", 60)
        worker.channel.close()
        self.assertEqual(worker.process.wait(SECONDS_MAX), 1)

    def test_exits_as_multiprocessing_does(self):
        for code, status in ((3, 3), (0, 0), ("a text", 1), (None, 0), (True, 1)):
            worker = self.ready()
            worker.begin("worker_functions:leave", code)
            self.assertIsNone(worker.receive())
            self.assertEqual(worker.process.wait(SECONDS_MAX), status)
        worker = self.ready()
        worker.begin("worker_functions:interrupt")
        self.assertIsNone(worker.receive())
        self.assertEqual(worker.process.wait(SECONDS_MAX), 1)
        self.assertIn("KeyboardInterrupt", worker.printed())

    def test_cancel(self):
        worker = self.ready()
        for task, args in (("worker_functions:rest", [60]), ("worker_functions:loops", [])):
            number = worker.begin(task, *args)
            worker.send(cancel=number)
            answer = worker.receive()
            self.assertEqual((answer["raise"], answer["error"]["type"]), (number, "Cancelled"))
        # One that has ended, and one that is not there.
        worker.send(cancel=number)
        worker.send(cancel=99)
        self.assertEqual(worker.value("registered", 1), 2)
        # And a signal from elsewhere ends it.
        worker.begin("worker_functions:rest", 60)
        os.kill(worker.process.pid, signal.SIGINT)
        self.assertEqual(worker.process.wait(SECONDS_MAX), 1)

    def test_signals_in_the_middle_of_a_line(self):
        """The line goes out whole first, whether it is the function's or the answer."""
        worker = self.ready(line_bytes_max=64 << 20)
        number = worker.begin("worker_functions:tells_a_lot", 8 << 20)
        worker.begun(b'{"item"')
        worker.send(cancel=number)
        worker.flush()
        self.assertEqual(len(worker.receive()["value"]), 8 << 20)
        self.assertEqual(worker.receive()["error"]["type"], "Cancelled")
        number = worker.begin("worker_functions:long_text", 8 << 20)
        worker.begun(b'{"return"')
        os.kill(worker.process.pid, signal.SIGTERM)
        worker.flush()
        self.assertEqual(len(worker.receive()["value"]), 8 << 20)
        self.assertIsNone(worker.receive())
        self.assertEqual(worker.process.wait(SECONDS_MAX), -signal.SIGTERM)

    def test_terminate(self):
        # The function cleans up, its call is answered, and the process ends.
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "left")
            worker = self.ready()
            number = worker.begin("worker_functions:leaves_a_mark", path)
            self.assertEqual(worker.receive(), {"item": number, "value": "begun"})
            worker.send(cancel=number)
            os.kill(worker.process.pid, signal.SIGTERM)
            self.assertEqual(worker.receive(), {"retiring": True})
            self.assertEqual(worker.receive()["error"]["type"], "Cancelled")
            self.assertIsNone(worker.receive())
            self.assertEqual(worker.process.wait(SECONDS_MAX), -signal.SIGTERM)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(file.read(), "cleaned up")
        worker = self.ready()
        os.kill(worker.process.pid, signal.SIGTERM)
        self.assertEqual(worker.process.wait(SECONDS_MAX), -signal.SIGTERM)
        # The children of a function are no workers.
        worker = self.ready()
        self.assertEqual(
            worker.value("worker_functions:ends_a_child"), [-signal.SIGTERM, -signal.SIGTERM])

    def test_messages_that_it_does_not_know(self):
        worker = self.ready()
        worker.send(news={"call": 1})
        self.assertEqual(worker.value("registered", 1), 2)

    def test_lines_that_are_no_messages(self):
        for line in (b"hello\n", b"[]\n", b'{"call":1}\n', b'{"call"\n'):
            worker = self.ready()
            worker.channel.sendall(line)
            self.assertIsNone(worker.receive())
            self.assertEqual(worker.process.wait(SECONDS_MAX), 1)
            self.assertIn("Error", worker.printed())

    def test_output_is_there_before_the_answer(self):
        worker = self.ready()
        self.assertEqual(worker.value("worker_functions:prints", "half a line"), 11)
        self.assertEqual(worker.printed(), "half a line")

    def test_children_do_not_hold_the_channel(self):
        worker = self.ready()
        pids = worker.value("worker_functions:leaves_child")
        links = os.readlink(f"/proc/self/fd/{worker.channel.fileno()}")
        self.assertTrue(links.startswith("socket:"))
        worker.send(stop=True)
        # They live, and yet the channel ends.
        self.assertIsNone(worker.receive())
        self.assertEqual(worker.process.wait(SECONDS_MAX), 0)
        for pid in pids:
            os.kill(pid, 0)

    def script(self, text):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "program.py")
        with open(os.path.join(folder.name, "beside.py"), "w", encoding="utf-8") as file:
            file.write("def where(): return __name__\n")
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text))
        return path

    def test_functions_of_the_script(self):
        path = self.script("""
            class Thing:
                def __init__(self, x):
                    self.x = x
            def name():
                return __name__
            def twice(thing):
                return Thing(thing.x * 2)
            count = 0
            def counted():
                global count
                count += 1
                return count
            if __name__ == "__main__":
                raise SystemExit(9)
            """)
        worker = self.ready(allow_main=True, encoding="pickle")
        self.assertEqual(worker.value("__main__:name", main=path), "__mp_main__")
        self.assertEqual(worker.value("beside:where", main=path), "beside")
        self.assertEqual(worker.value("__main__:counted", main=path), 1)
        self.assertEqual(worker.value("__main__:counted", main=path), 2)
        thing = base64.b64encode(
            b"c__main__\nThing\n)\x81}(\x8c\x01xK\x05ub.").decode()
        value = worker.value("__main__:twice", {"pickle": thing}, main=path, encoding="pickle")
        self.assertIn(b"__mp_main__", base64.b64decode(value["pickle"]))
        with open(path, "a", encoding="utf-8") as file:
            file.write("def name(): return 'changed'\n")
        self.assertEqual(worker.value("__main__:name", main=path), "changed")
        self.assertIn("cannot read", worker.error("__main__:name", main=path + "x")["message"])

    def test_scripts_that_take_turns(self):
        """Each is loaded once, while they are few; none stays for ever when they are many."""
        text = """
            import gc, types
            count = 0
            class Thing:
                pass
            def counted():
                global count
                count += 1
                return count
            def scripts():
                gc.collect()
                return sum(
                    type(one) is types.ModuleType and one.__name__ == "__mp_main__"
                    for one in gc.get_objects())
            def things():
                return Thing()
            """
        paths = [self.script(text) for _ in range(20)]
        worker = self.ready(allow_main=True, encoding="pickle")
        for expected in range(1, 4):
            for path in paths[:2]:
                self.assertEqual(worker.value("__main__:counted", main=path), expected)
                # What is pickled is of the script that is called.
                worker.value("__main__:things", main=path, encoding="pickle")
        for path in paths:
            worker.value("__main__:counted", main=path)
            os.utime(path, (1, 1))
        self.assertLessEqual(worker.value("__main__:scripts", main=paths[0]), 9)

    def test_a_script_without_a_guard_makes_no_pool(self):
        path = self.script("import lido\ndef f(): pass\nlido.Pool(1)\n")
        worker = self.ready(allow_main=True)
        error = worker.error("__main__:f", main=path)
        self.assertEqual(error["type"], "RuntimeError")
        self.assertIn('if __name__ == "__main__"', error["message"])

    def test_the_script_is_not_loaded_unless_it_is_allowed(self):
        worker = self.ready()
        error = worker.error("__main__:f", main="/nonexistent.py")
        self.assertEqual(error["code"], "task_not_found")
        self.assertIn("two ways out", error["message"])


if __name__ == "__main__":
    unittest.main()
