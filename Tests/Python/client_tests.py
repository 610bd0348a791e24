#!/usr/bin/env python3
"""`lido.Client`, against the test double.

    python3 Tests/Python/client_tests.py [-v] [NAME …]
"""

import contextlib
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
import unittest
import uuid
import warnings
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "Sources", "Python")
sys.path[:0] = [HERE, SOURCES]

import lido  # noqa: E402
import worker_functions as functions  # noqa: E402
from double.service import Service  # noqa: E402
from lido.streams import post_map  # noqa: E402

SECONDS_MAX = 20


class ClientTest(unittest.TestCase):
    """One test double, two workers."""

    @classmethod
    def setUpClass(cls):
        cls.service = Service(folders=[HERE], modules=["worker_functions"])
        cls.client = lido.Client(cls.service.url)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.service.end()

    def requests(self, before):
        """The requests since so many."""
        return self.service.requests[before:]

    def test_jobs(self):
        job = self.client.submit("registered", [1])
        self.assertEqual(job.result(SECONDS_MAX), 2)
        self.assertTrue(job.wait()["successful"])
        self.assertEqual(self.client.apply(functions.add, 1, y=5), 6)
        self.assertEqual(self.client.result(job.id), 2)
        job.delete()
        for name, expected in ((job.id, (410, "gone")), ("no-such-job", (404, "not_found"))):
            with self.assertRaises(lido.ServiceError) as caught:
                self.client.job(name)
            self.assertEqual((caught.exception.status, caught.exception.code), expected)

    def test_a_job_that_fails(self):
        job = self.client.submit(functions.fail_at_three, [3], wait=SECONDS_MAX)
        self.assertEqual(job.handle["state"], "failed")
        with self.assertRaises(lido.JobFailed) as caught:
            job.result()
        error = caught.exception
        self.assertEqual((error.code, error.type, error.job), ("raised", "KeyError", job.id))
        self.assertIn("fail_at_three", error.traceback)
        job = self.client.submit(functions.die)
        with self.assertRaises(lido.JobFailed) as caught:
            job.result(SECONDS_MAX)
        self.assertEqual((caught.exception.code, caught.exception.signal), ("signalled", 9))

    def test_cancel_and_timeout(self):
        job = self.client.submit(functions.rest, [60])
        with self.assertRaises(TimeoutError):
            job.result(0.05)
        self.assertFalse(job.wait(0)["ready"])
        job.cancel()
        with self.assertRaises(lido.JobCancelled):
            job.result(SECONDS_MAX)
        with self.assertRaises(lido.ServiceError) as caught:
            job.cancel()
        self.assertEqual(caught.exception.status, 409)

    def resting_and_done(self):
        """A job and a map that rest, and a job and a map that are final."""
        client = self.client
        self.addCleanup(self.free_workers)
        done = client.submit("registered", [1], wait=SECONDS_MAX), f"done-{uuid.uuid4()}"
        client.map("registered", [1], id=done[1])
        rest = client.submit(functions.rest, [60]), f"rest-{uuid.uuid4()}"
        client.transport.json("POST", "/v1/maps", json.dumps({
            "task": "worker_functions:rest", "items": [60], "id": rest[1]}).encode())
        return rest, done

    def free_workers(self):
        """Ends what still runs or waits."""
        with self.service.changed:
            pool = self.service.pools["default"]
            pool.queue.clear()
            for worker in pool.workers:
                if worker.unit is not None:
                    worker.kill(signal.SIGKILL)

    def cancel_and_delete(self, before):
        """Cancels and deletes jobs and maps; `before` is called before each request."""
        client = self.client
        rest, done = self.resting_and_done()
        for call, what in ((client.cancel, rest[0]), (client.cancel_map, rest[1])):
            before()
            self.assertIn(call(what)["state"], ("running", "cancelled"))
        for call, what in ((client.delete, done[0]), (client.delete_map, done[1])):
            before()
            self.assertIsNone(call(what))
        self.assertEqual(client.wait(rest[0], SECONDS_MAX)["state"], "cancelled")
        self.assertEqual(client.map_handle(rest[1], SECONDS_MAX)["state"], "cancelled")
        for look, what in ((client.job, done[0]), (client.map_handle, done[1])):
            with self.assertRaises(lido.ServiceError) as caught:
                look(what)
            self.assertEqual(caught.exception.status, 410)

    def test_connections_that_the_service_has_closed_meanwhile(self):
        def close():
            for connection in list(self.service.server.connections):
                with contextlib.suppress(OSError):  # It has ended by itself.
                    connection.shutdown(socket.SHUT_RDWR)
        before = len(self.service.requests)
        self.cancel_and_delete(close)
        made = self.requests(before)
        # None of them was sent where nobody reads, and then again.
        self.assertEqual(len([one for one in made if one.startswith("DELETE")]), 2)
        self.assertEqual(len([one for one in made if one.endswith("/cancel")]), 2)

    def test_a_service_that_was_away_meanwhile(self):
        def restart():
            self.service.go()
            self.service.come()
        self.cancel_and_delete(restart)

    def test_cancels_and_deletes_whose_answers_are_lost(self):
        def lose():
            self.service.breaks = 1
        self.cancel_and_delete(lose)
        # What a repeat is forgiven, a first try is not.
        rest, done = self.resting_and_done()
        done[0].delete()
        rest[0].cancel()
        for call, what, status in (
                (self.client.delete, done[0], 410), (self.client.cancel, done[1], 404),
                (self.client.delete_map, "none", 404), (self.client.cancel_map, done[1], 409)):
            with self.assertRaises(lido.ServiceError) as caught:
                call(what)
            self.assertEqual(caught.exception.status, status)
        # Nor is the repeat of a cancel that found the map final.
        self.service.breaks = 1
        with self.assertRaises(lido.ServiceError) as caught:
            self.client.cancel_map(done[1])
        self.assertEqual(caught.exception.code, "not_cancellable")
        self.client.cancel_map(rest[1])

    def test_values_that_json_does_not_have(self):
        with self.assertRaises(lido.EncodingError):
            self.client.submit(functions.pair, [(1, 2)])
        job = self.client.submit(functions.pair, [{1, 2}], pickle=True)
        self.assertEqual(job.result(SECONDS_MAX), ({1, 2}, {1, 2}))
        with self.assertRaises(ValueError):
            self.client.submit(lambda: 1)

    def test_many_at_once(self):
        before = len(self.service.requests)
        jobs = self.client.submit_many(
            [{"task": "registered", "args": [n]} for n in range(100)]
            + [{"task": "registered", "args": [1], "pool": "none"}])
        self.assertEqual(self.requests(before), ["POST /v1/jobs"])
        self.assertEqual([job.result(SECONDS_MAX) for job in jobs[:100]], list(range(1, 101)))
        self.assertEqual((jobs[100].status, jobs[100].code), (422, "unknown_pool"))

    def test_a_repeat_after_a_lost_answer_is_the_same_job(self):
        self.client.job(self.client.submit("registered", [1]).id)
        count = len(self.service.jobs)
        self.service.breaks = 2
        job = self.client.submit("registered", [41])
        self.assertEqual(job.result(SECONDS_MAX), 42)
        self.assertEqual(len(self.service.jobs), count + 1)

    def test_a_service_that_is_not_there(self):
        client = lido.Client("http://127.0.0.1:9")
        client.transport._retry_seconds = 60  # Of which nothing is taken where nothing was.
        with mock.patch("lido.transport.FIRST_SECONDS", 0.1):
            for call in (
                    lambda: client.job("a"), lambda: list(client.events("a")),
                    lambda: list(client.stream("square", [1])),
                    lambda: list(client.map_results("a"))):
                began = time.monotonic()
                with self.assertRaises(lido.Unreachable) as caught:
                    call()
                self.assertLess(time.monotonic() - began, 5)
                self.assertIn("nothing listens at http://127.0.0.1:9 ", str(caught.exception))
                self.assertIn("`lido serve`", str(caught.exception))
        with self.assertRaises(ValueError):
            lido.Client("localhost:80")

    def test_a_service_that_was_there_is_waited_for(self):
        service = Service()
        client = lido.Client(service.url)
        client.transport.json("GET", "/v1/info")
        client.transport._retry_seconds = 2
        service.leave()
        with mock.patch("lido.transport.FIRST_SECONDS", 0):
            began = time.monotonic()
            with self.assertRaises(lido.Unreachable):
                client.job("a")
            self.assertGreater(time.monotonic() - began, 0.5)

    def test_a_refusal_that_comes_while_the_body_is_sent(self):
        with Service(body_bytes_max=1000) as service:
            client = lido.Client(service.url)
            for size in (2000, 1 << 20, 20 << 20):
                before = len(service.requests)
                with self.assertRaises(lido.ServiceError) as caught:
                    client.submit("square", ["x" * size])
                self.assertEqual(caught.exception.status, 413)
                self.assertEqual(service.requests[before:], ["POST /v1/jobs"])

    def test_maps_that_are_longer_than_the_body_of_a_request(self):
        with Service(body_bytes_max=1_000_000, modules=["builtins"]) as service:
            client = lido.Client(service.url)
            for count in (900, 3000, 6000):
                self.assertEqual(client.map("builtins:len", ["x" * 1000] * count), [1000] * count)
            self.assertEqual(service.requests.count("GET /v1/info"), 1)
            # What is too long by itself is not sent, neither streamed nor again and again.
            before = len(service.requests)
            for call in (
                    lambda: client.map("builtins:len", ["x", "y" * 1_500_000]),
                    lambda: post_map(client.transport, {}, b"[" + b"1," * 600_000 + b"1]", 10_000)):
                with self.assertRaises(lido.ServiceError) as caught:
                    call()
                self.assertEqual(
                    (caught.exception.status, caught.exception.code), (413, "payload_too_large"))
            self.assertEqual(service.requests[before:], [])

    def test_what_is_no_service(self):
        with Service() as service:
            for status in (200, 404):
                service.proxied = status
                for call in (lambda: lido.Pool(url=service.url),
                             lambda: lido.Client(service.url).map("square", [1])):
                    with self.assertRaises(lido.ServiceError) as caught:
                        call()
                    told = f"what answers at {service.url} is no Lido service; LIDO_URL says"
                    self.assertIn(told, str(caught.exception))
            service.proxied = 200
            with self.assertRaises(lido.ServiceError) as caught:
                lido.Client(service.url).submit("square", [1])
            self.assertIn("no Lido service", str(caught.exception))

    def test_a_job_stands_for_its_id(self):
        client = self.client
        job = client.submit("registered", [1])
        self.assertTrue(client.wait(job)["successful"])
        self.assertEqual((client.job(job)["id"], client.result(job)), (job.id, 2))
        self.assertEqual(client.logs(job), job.logs(stream="stdout"))
        with self.assertRaises(lido.ServiceError) as caught:
            client.cancel(job)
        self.assertEqual(caught.exception.status, 409)
        client.delete(lido.Job(job.id, "registered", 1))
        with self.assertRaises(lido.ServiceError):
            client.job(job.id)
        for other in (None, 1, {"id": "a"}, client):
            with self.assertRaises(TypeError) as caught:
                client.wait(other)
            self.assertIn("the id of one", str(caught.exception))

    def test_a_connection_per_thread_is_kept(self):
        made = []
        original = self.client.transport.open

        def count(timeout):
            made.append(threading.current_thread())
            return original(timeout)
        self.client.transport.open = count
        self.addCleanup(delattr, self.client.transport, "open")

        def work():
            for number in range(5):
                self.client.apply("registered", number)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS_MAX)
        self.assertEqual(len(made), len(set(made)))
        self.assertEqual(len(made), 4)

    def test_map(self):
        self.assertEqual(self.client.map(functions.square, range(100)), [n * n for n in range(100)])
        self.assertEqual(self.client.map(functions.add, [(1, 2), [3]], star=True), [3, 4])
        self.assertEqual(self.client.map("registered", []), [])
        with self.assertRaises(lido.JobFailed) as caught:
            self.client.map(functions.fail_at_three, range(8), chunksize=2)
        self.assertEqual(caught.exception.type, "KeyError")

    def test_a_map_that_is_larger_than_a_request(self):
        items = ["x" * 100_000 + str(number) for number in range(60)]
        before = len(self.service.requests)
        values = self.client.map("builtins:len", items, pickle=True, chunksize=4)
        self.assertEqual(values, [len(item) for item in items])
        self.assertIn("/results", "".join(self.requests(before)))

    def test_a_map_that_takes_too_long(self):
        began = time.monotonic()
        for size in (1, 6 << 20):
            job = self.client.submit(functions.rest, [60])
            other = self.client.submit(functions.rest, [60])
            with self.assertRaises(TimeoutError):
                self.client.map(functions.square, ["x" * size], timeout=0.2)
            job.cancel()
            other.cancel()
        # A service that takes connections and says nothing.
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            client = lido.Client(f"http://127.0.0.1:{listener.getsockname()[1]}")
            with self.assertRaises(TimeoutError):
                client.map("square", ["x" * (6 << 20)], timeout=0.2)
        self.assertLess(time.monotonic() - began, SECONDS_MAX)

    def test_streams(self):
        self.assertEqual(
            list(self.client.stream(functions.square, range(50))), [n * n for n in range(50)])
        self.assertEqual(
            sorted(self.client.stream(functions.square, range(50), ordered=False, chunksize=7)),
            [n * n for n in range(50)])
        found = list(self.client.stream_items(functions.fail_at_three, range(5), chunksize=1))
        self.assertEqual([(index, value) for index, value, error in found if not error],
                         [(0, 0), (1, 1), (2, 2), (4, 4)])
        self.assertEqual(found[3][2].type, "KeyError")
        with self.assertRaises(lido.JobFailed):
            list(self.client.stream(functions.fail_at_three, range(5), chunksize=1))

    def test_a_stream_without_an_end(self):
        taken = []

        def numbers():
            for number in itertools.count():
                taken.append(number)
                yield number
        stream = self.client.stream(functions.square, numbers(), chunksize=1, buffersize=4)
        self.assertEqual([next(stream) for _ in range(100)], [n * n for n in range(100)])
        # What was read, what may be out, and one that waits to be sent.
        self.assertLessEqual(len(taken), 100 + 4 + 1)
        stream.close()

    def test_an_input_that_fails(self):
        def numbers():
            yield from range(3)
            raise RuntimeError("no more")
        stream = self.client.stream(functions.square, numbers(), chunksize=1)
        values = []
        with self.assertRaises(RuntimeError):
            for value in stream:
                values.append(value)
        self.assertEqual(values, [0, 1, 4])

    def test_a_stream_that_is_refused(self):
        with self.assertRaises(lido.ServiceError) as caught:
            list(self.client.stream("registered", range(3), pool="none"))
        self.assertEqual((caught.exception.status, caught.exception.code), (422, "unknown_pool"))

    def test_a_stream_that_is_refused_while_its_input_waits(self):
        client, go = lido.Client(self.service.url), threading.Event()
        client.transport._retry_seconds = 0.3  # So long the map may be coming.
        self.addCleanup(go.set)

        def numbers():
            yield 1
            go.wait(SECONDS_MAX)
        with self.assertRaises(lido.ServiceError) as caught:
            list(client.stream("registered", numbers(), pool="none"))
        self.assertEqual((caught.exception.status, caught.exception.code), (422, "unknown_pool"))
        self.assertFalse(go.is_set())

    def test_a_stream_that_a_child_of_a_fork_lets_go_of(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def numbers():
            yield 1
            go.wait(SECONDS_MAX)
            yield from range(2, 50)
        for ordered in (True, False):
            go.clear()
            stream = self.client.stream(
                functions.square, numbers(), ordered=ordered, chunksize=1, buffersize=8)
            self.assertEqual(next(stream), 1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Of forks with threads: that is the point.
                child = os.fork()
            if child == 0:
                signal.alarm(SECONDS_MAX)
                try:
                    stream.close()  # As when the child leaves the loop, or ends.
                except BaseException:
                    os._exit(1)
                os._exit(0)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            go.set()
            self.assertEqual(sorted(stream), [number * number for number in range(2, 50)])

    def test_a_stream_of_results_goes_on_after_a_break(self):
        identifier = "broken-stream"
        self.service.breaks = 0
        self.client.map(functions.square, range(10_000), id=identifier)
        self.service.breaks = 2
        found = list(self.client.map_results(identifier))
        self.assertEqual([value for _, value, _ in found], [n * n for n in range(10_000)])
        self.assertEqual(self.service.breaks, 0)
        rest = list(self.client.map_results(identifier, after=9990))
        self.assertEqual([index for index, _, _ in rest], list(range(9990, 10_000)))
        self.assertTrue(self.client.map_handle(identifier)["successful"])
        self.client.delete_map(identifier)


if __name__ == "__main__":
    unittest.main()
