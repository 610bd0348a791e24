#!/usr/bin/env python3
"""`lido.Client` and `lido.Pool` against the service itself; without LIDO_BIN most is left out.

    LIDO_BIN=.build/release/lido python3 Tests/Python/service_tests.py [-v] [NAME …]
"""

import itertools
import os
import select
import sys
import tempfile
import time
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "Sources", "Python")
sys.path[:0] = [HERE, SOURCES]

import lido  # noqa: E402
import real_service  # noqa: E402
import worker_functions as functions  # noqa: E402

SECONDS_MAX = 20


@unittest.skipUnless(os.environ.get("LIDO_BIN"), "LIDO_BIN names no service")
class ServiceCase(unittest.TestCase):
    """The service itself."""

    configuration = None

    @classmethod
    def setUpClass(cls):
        service = real_service.Process(os.environ["LIDO_BIN"], cls.configuration)
        cls.addClassCleanup(service.end)
        cls.client = lido.Client(service.url)


@unittest.skipUnless(os.environ.get("LIDO_BIN"), "LIDO_BIN names no service")
class TokenTest(unittest.TestCase):
    """The service itself, with one token."""

    def test_the_token_of_the_service_and_others(self):
        token = "a-token-of-at-least-32-characters"
        with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
            file.write(token)
            file.flush()
            with real_service.Process(
                    os.environ["LIDO_BIN"], None, "--token-file", file.name) as service:
                self.check_tokens(service.url, token)

    def check_tokens(self, url, token):
        """`token` is right, and others are not."""
        self.assertEqual(lido.Client(url, token).apply("square", 7), 49)
        with mock.patch.dict(os.environ, {"LIDO_TOKEN": token}):
            self.assertEqual(lido.Client(url).apply("square", 7), 49)
        for other in (None, token + "!"):
            with self.assertRaises(lido.ServiceError) as caught:
                lido.Client(url, other).apply("square", 7)
            self.assertEqual(caught.exception.status, 401)
            self.assertIn("LIDO_TOKEN, or token=", str(caught.exception))


class NoServiceTest(unittest.TestCase):
    """A service that does not start is a failure, not a reason to leave tests out."""

    def test_a_program_that_ends(self):
        with self.assertRaises(real_service.NotStarted):
            real_service.Process(sys.executable)  # Which has no file named `serve`.
        with mock.patch.dict(os.environ, {"LIDO_BIN": sys.executable}):
            with self.assertRaises(real_service.NotStarted):
                ServiceWorkersTest.setUpClass()


class ServiceTest(ServiceCase):
    """Its built-in tasks."""

    def test_jobs(self):
        self.assertEqual(self.client.apply("square", 7), 49)
        job = self.client.submit("factorial", [3000], wait=SECONDS_MAX, tags=["a"])
        self.assertGreater(job.result().bit_length(), 9000)
        self.assertEqual(job.handle["tags"], ["a"])
        job.delete()
        with self.assertRaises(lido.ServiceError) as caught:
            self.client.job(job.id)
        self.assertEqual(caught.exception.status, 410)
        with self.assertRaises(lido.JobFailed) as caught:
            self.client.apply("fail", "so")
        self.assertEqual(caught.exception.code, "raised")
        self.assertIsInstance(self.client.logs(self.client.submit("echo", [1]).id), str)

    def test_every_value_comes_back(self):
        for value in (1.0, -0.0, 1e300, 5e-324, 10 ** 400, "é\u2028\0\"\\", [], {}, [None, True],
                      {"a": {"b": [1, 2.5]}}, {"pickle": 1}):
            echoed = self.client.apply("echo", value)
            self.assertEqual((repr(echoed), type(echoed)), (repr(value), type(value)))

    def test_refusals(self):
        with self.assertRaises(lido.ServiceError) as caught:
            self.client.submit("no such task")
        self.assertEqual((caught.exception.status, caught.exception.code), (422, "unknown_task"))
        with self.assertRaises(lido.ServiceError) as caught:
            self.client.submit("square", [1], max_attempts=0)
        self.assertEqual(caught.exception.errors[0]["pointer"], "/max_attempts")
        for size in (9 << 20, 30 << 20):
            began = time.monotonic()
            with self.assertRaises(lido.ServiceError) as caught:
                self.client.submit("echo", ["x" * size])
            self.assertEqual((caught.exception.status, caught.exception.code),
                             (413, "payload_too_large"))
            self.assertLess(time.monotonic() - began, 5)

    def test_many_cancel_and_repeat(self):
        jobs = self.client.submit_many(
            [{"task": "square", "args": [n]} for n in range(1000)] + [{"task": "nap"}])
        self.assertEqual([job.result(SECONDS_MAX) for job in jobs[:-1]],
                         [n * n for n in range(1000)])
        self.assertEqual(jobs[-1].code, "unknown_task")
        job = self.client.submit("sleep", [60], id="rest")
        self.assertEqual(self.client.submit("sleep", [60], id="rest").id, job.id)
        job.cancel(grace=0)
        with self.assertRaises(lido.JobCancelled):
            job.result(SECONDS_MAX)

    def test_maps(self):
        self.assertEqual(self.client.map("square", range(20)), [n * n for n in range(20)])
        with self.assertRaises(lido.JobFailed):
            self.client.map("square", [1, "x"])
        self.assertEqual(sum(map(len, self.client.map("echo", ["x" * 100_000] * 60))), 6_000_000)
        stream = self.client.stream("square", itertools.count(), chunksize=1, buffersize=8)
        self.assertEqual([next(stream) for _ in range(300)], [n * n for n in range(300)])
        stream.close()
        found = list(self.client.stream_items("square", [1, 2, "x", 4, 5, 6], chunksize=3))
        self.assertEqual([value for _, value, _ in found], [1, 4, None, 16, 25, 36])
        with self.assertRaises(lido.ServiceError):
            list(self.client.stream("no such task", range(3)))


class ServiceWorkersTest(ServiceCase):
    """Its pools of Python workers."""

    configuration = f"""
allow_pickle: true
tasks:
  raw: {{ exec: [printf, "%s", "{{0}}"], stdin: none, result: bytes, content_type: image/png }}
pools:
  default: {{ processes: 1 }}
  python: {{ worker: ["{sys.executable}", -m, lido.worker, worker_functions], processes: 2,
            allow_pickle: true, allow_main: true, maxtasksperchild: 100,
            environment: {{ PYTHONPATH: "{SOURCES}:{HERE}" }} }}
  plain: {{ worker: ["{sys.executable}", -m, lido.worker, worker_functions], processes: 1,
           environment: {{ PYTHONPATH: "{SOURCES}:{HERE}" }} }}
"""

    def result(self, task, *args, pool="plain", **members):
        """The value of a job."""
        return self.client.submit(task, args, pool=pool, **members).result(SECONDS_MAX)

    def test_calls(self):
        self.assertEqual(self.result("registered", 1), 2)
        self.assertEqual(self.result(functions.square, 10 ** 5000), 10 ** 10000)
        self.assertEqual(self.result(functions.pair, {1}, pool="python", pickle=True), ({1}, {1}))
        self.assertEqual(self.result(of_the_script, 3, pool="python", pickle=True), (3,))
        self.assertEqual(self.result("math:factorial", 5, pool="python"), 120)
        jobs = self.client.submit_many(
            {"task": functions.square, "args": [n], "pool": "python"} for n in range(1000))
        self.assertEqual(
            [job.result(SECONDS_MAX) for job in jobs], [n * n for n in range(1000)])

    def test_results_that_are_bytes(self):
        self.assertEqual(self.client.submit("raw", ["a b c"]).result(SECONDS_MAX), b"a b c")
        with lido.Pool(1, url=self.client.transport.url) as pool:
            result = pool.apply_async(functions.square, (3,))
            result.wait(SECONDS_MAX)
            self.assertEqual(self.client.result(result), 9)

    def test_errors(self):
        for task, args, code, kind in (
                ("math:factorial", [5], "raised", "TaskNotFound"),
                (functions.fail_at_three, [3], "raised", "KeyError"),
                (functions.unencodable, [], "result_encoding", "MaybeEncodingError"),
                (functions.die, [], "signalled", None), (functions.leave, [3], "exited", None)):
            with self.assertRaises(lido.JobFailed) as caught:
                self.result(task, *args)
            self.assertEqual(caught.exception.code, code)
            self.assertIn(kind, (None, caught.exception.type))
        for task, options in ((of_the_script, {}), (functions.pair, {"pickle": True})):
            with self.assertRaises(lido.ServiceError) as caught:
                self.result(task, 1, **options)
            self.assertEqual(caught.exception.status, 422)

    def test_errors_of_chunks_and_errors_that_are_long(self):
        with lido.Pool(1, url=self.client.transport.url) as pool:
            before = pool._pool[0].pid
            # The values before it do not fit with it in what the service reads of a worker.
            for last, told in ((-3, 3), (-4 << 20, 8 << 10)):
                with self.assertRaises(ValueError) as caught:
                    pool.map(functions.raises_when_negative, [3 << 20] * 6 + [last], 7)
                self.assertEqual(caught.exception.args, ("x" * told,))
            with self.assertRaises(ValueError) as caught:
                pool.apply(functions.raises_with_data, (20 << 20,))
            self.assertEqual(caught.exception.args, ("small",))
            with self.assertRaises(lido.JobFailed) as failed:
                pool.map(functions.long_text, [3 << 20] * 4, 4)
            self.assertEqual(failed.exception.code, "output_limit")
            self.assertIn("chunksize=", str(failed.exception))
            self.assertEqual(pool._pool[0].pid, before)

    def test_events_logs_and_cancel(self):
        job = self.client.submit(functions.tells_slowly, [3], pool="plain")
        events = list(job.events())
        self.assertTrue(events[-1].data["ready"])
        self.assertIn({"value": 1}, [event.data for event in events if event.type == "item"])
        job = self.client.submit(functions.prints, ["hello"], pool="plain")
        job.wait(SECONDS_MAX)
        self.assertEqual(self.client.logs(job.id, stream="stdout"), "hello")
        with lido.Pool(1, url=self.client.transport.url) as pool:
            result = pool.apply_async(functions.prints, ("hello",))
            result.get(SECONDS_MAX)
            self.assertEqual(self.client.logs(result, stream="stdout"), "hello")
        job = self.client.submit(functions.loops, pool="plain")
        while job.wait(0)["state"] != "running":
            job.wait(0.05)
        job.cancel()
        with self.assertRaises(lido.JobCancelled):
            job.result(SECONDS_MAX)


@unittest.skipUnless(os.environ.get("LIDO_BIN"), "LIDO_BIN names no service")
class CrashTest(unittest.TestCase):
    """The service is killed while a call runs, and started again."""

    def test_calls_run_again_unless_they_are_to_fail(self):
        with real_service.Service(os.environ["LIDO_BIN"], folders=[HERE]) as service:
            paths = [service.place(name) for name in ("begun", "go")]
            for path in paths:
                os.mkfifo(path)
            begun, go = [os.open(path, os.O_RDWR) for path in paths]
            self.addCleanup(os.close, begun)
            with lido.Pool(2, url=service.url) as pool, \
                    lido.Pool(2, url=service.url, on_interrupt="fail") as other:
                again, failing = [
                    [one.apply_async(functions.tells_and_waits, (mark, *paths)),
                     one.starmap_async(functions.tells_and_waits, [(mark, *paths)])]
                    for one, mark in ((pool, "a"), (other, "f"))]
                self.assertEqual(self.marks(begun, 4), b"aaff")
                service.crash()
                for result in failing:
                    with self.assertRaises(lido.JobFailed) as caught:
                        result.get(SECONDS_MAX)
                    self.assertEqual(caught.exception.code, "interrupted")
                self.assertEqual(self.marks(begun, 2), b"aa")
                os.close(go)
                self.assertEqual([result.get(SECONDS_MAX) for result in again], ["", [""]])

    def marks(self, begun, count):
        """So many marks of calls that have begun, sorted."""
        found = b""
        while len(found) < count:
            self.assertTrue(select.select([begun], [], [], SECONDS_MAX)[0], found)
            found += os.read(begun, count)
        return bytes(sorted(found))

    def test_what_cannot_become_of_a_call(self):
        with self.assertRaises(ValueError):
            lido.Pool(url="http://127.0.0.1:9", on_interrupt="retry")


def of_the_script(x):
    return (x,)


if __name__ == "__main__":
    unittest.main()
