#!/usr/bin/env python3
"""`lido.Pool` over a service that is away for a while, or comes back without what it had.

Against the test double.

    python3 Tests/Python/pool_outage_tests.py [-v] [NAME …]
"""

import contextlib
import functools
import gc
import itertools
import os
import sys
import tempfile
import threading
import time
import unittest
import warnings
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "Sources", "Python")
sys.path[:0] = [HERE, SOURCES]

import lido  # noqa: E402
import worker_functions as functions  # noqa: E402
from double.pools import Refused  # noqa: E402
from double.service import Service  # noqa: E402
from lido.patience import pause_after  # noqa: E402
from lido.pool_core import _end_all  # noqa: E402
from lido.pool_streams import is_cut  # noqa: E402

SECONDS_MAX = 20


class OutageCase(unittest.TestCase):
    """A service of its own for each, and pools whose requests are tried again for a moment only:
    what goes on after that is the pool's own patience."""

    def setUp(self):
        self.service = Service(folders=[HERE])
        self.addCleanup(self.service.end)
        self.files = tempfile.TemporaryDirectory()
        self.addCleanup(self.files.cleanup)
        self.path = os.path.join(self.files.name, "go")
        os.mkfifo(self.path)
        self.writer = os.open(self.path, os.O_RDWR)

    def pool(self, is_ended=True):
        """A pool of two that ends with the test."""
        pool = lido.Pool(2, url=self.service.url)
        for transport in (pool._service.transport, pool._service._feed):
            transport._retry_seconds = 0.1
        if is_ended:
            self.addCleanup(pool.join)
            self.addCleanup(pool.terminate)
        return pool

    def go_on(self):
        """Lets every `wait_for` return."""
        os.rename(self.path, self.path + "ne")
        with open(self.path, "w", encoding="utf-8"):
            pass  # Whoever opens it now.
        os.close(self.writer)

    def until(self, is_so):
        """Waits under the lock of the double."""
        with self.service.changed:
            self.assertTrue(self.service.changed.wait_for(is_so, SECONDS_MAX))

    @contextlib.contextmanager
    def outage(self, *pools, proxied=None):
        """The service is away, and each of the pools has found that twice, before the block."""
        noted = [threading.Semaphore(0) for _ in pools]
        for pool, count in zip(pools, noted):
            endure = pool._core._endure

            def note(error, endure=endure, count=count):
                endure(error)
                count.release()
            pool._core._endure = note
        if proxied is None:
            self.service.go()
        else:
            self.service.proxied = proxied
            with self.service.changed:
                for pool in self.service.pools.values():
                    pool.wakes += 1
                self.service.changed.notify_all()
        for count in noted:
            for _ in range(2):
                self.assertTrue(count.acquire(timeout=SECONDS_MAX))
        try:
            yield
        finally:
            self.service.proxied = None
            if proxied is None:
                self.service.come()


class WaitingTest(OutageCase):
    """The service comes back as it was."""

    def go_through(self, proxied=None):
        busy, idle = self.pool(), self.pool()
        before = [busy.apply_async(functions.wait_for, (self.path,)),
                  busy.map_async(functions.square, [1, 2])]
        self.until(lambda: self.service.jobs and self.service.maps)
        with self.outage(busy, idle, proxied=proxied):
            during = [busy.apply_async(functions.square, (3,)),
                      busy.map_async(functions.square, [3, 4])]
            self.assertFalse(before[0].ready() or during[0].ready() or during[1].ready())
        self.go_on()
        self.assertEqual([r.get(SECONDS_MAX) for r in before[1:] + during], [[1, 4], 9, [9, 16]])
        before[0].get(SECONDS_MAX)
        self.assertEqual(idle.apply(functions.square, (5,)), 25)
        self.assertIsNone(idle._core._error)

    def test_nothing_listens(self):
        self.go_through()

    def test_a_proxy_answers(self):
        self.go_through(502)

    def test_a_proxy_answers_otherwise(self):
        self.go_through(503)

    def test_an_idle_pool_waits_for_as_long_as_it_takes(self):
        pool = self.pool()
        with mock.patch("lido.patience.AWAY_SECONDS_MAX", 0), self.outage(pool):
            pass
        self.assertEqual(pool.apply(functions.square, (5,)), 25)

    def test_what_waits_too_long_fails_and_the_pool_goes_on(self):
        pool = self.pool()
        results = [pool.apply_async(functions.wait_for, (self.path,)),
                   pool.map_async(functions.wait_for, [self.path])]
        self.until(lambda: self.service.jobs and self.service.maps)
        with mock.patch("lido.patience.AWAY_SECONDS_MAX", 0.5), self.outage(pool):
            results.append(pool.apply_async(functions.square, (3,)))
            for result in results:
                with self.assertRaises(lido.Unreachable):
                    result.get(SECONDS_MAX)
        self.go_on()
        self.assertEqual(pool.apply(functions.square, (5,)), 25)

    def test_a_close_is_told_when_the_service_is_there(self):
        pool = self.pool()
        result = pool.map_async(functions.wait_for, [self.path])
        self.until(lambda: self.service.maps)
        with self.outage(pool):
            pool.close()
            self.go_on()
        pool.join()
        self.assertTrue(result.ready())
        self.assertEqual(self.service.pools[pool._service.name].state, "joined")

    def test_a_terminate_does_not_wait(self):
        pool = self.pool(is_ended=False)
        self.service.leave()
        result = pool.apply_async(functions.square, (3,))
        with self.assertRaises(lido.Unreachable):
            pool.terminate()
        with self.assertRaises(lido.PoolTerminated):
            result.get(0)
        for thread in pool._core._threads:
            thread.join(SECONDS_MAX)
            self.assertFalse(thread.is_alive())

    def test_a_terminate_that_failed_is_done_by_the_next(self):
        for again in (lambda pool: pool.terminate(), lambda pool: pool.join(),
                      lambda pool: _end_all()):
            pool = self.pool(is_ended=False)
            self.service.go()
            for _ in range(2):
                with self.assertRaises(lido.Unreachable):
                    pool.terminate()
            with self.assertRaises(lido.Unreachable):
                pool.join()
            self.service.come()
            double = self.service.pools[pool._service.name]
            self.assertEqual(double.state, "running")
            again(pool)
            self.until(lambda double=double: double.state == "joined")
            before = len(self.service.requests)
            pool.terminate()
            self.assertEqual(self.service.requests[before:], [])
            pool.join()

    def test_a_terminate_does_not_wait_for_a_service_that_hangs(self):
        pool = self.pool()
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def hang(method, path):
            if path.endswith("/terminate"):
                self.service.changed.release()
                go_on.wait(SECONDS_MAX)
                self.service.changed.acquire()
        self.service.refuse = hang
        with mock.patch("lido.pool_service._END_SECONDS_MAX", 0.1):
            with self.assertRaises(lido.Unreachable):
                pool.terminate()
        self.assertFalse(go_on.is_set())

    def test_a_service_that_is_ending_is_asked_again_soon(self):
        pool = self.pool()
        asked = []

        def refuse(method, path):
            if method == "POST" and len(asked) < 2:
                asked.append(path)
                raise Refused(503, "draining", "the service is shutting down", retry_after=5)
        self.service.refuse = refuse
        began = time.monotonic()
        self.assertEqual(pool.apply(functions.square, (5,)), 25)
        self.assertLess(time.monotonic() - began, 4)

    def test_a_service_that_is_ending_is_waited_for_by_who_waits_for_some_seconds(self):
        asked = []

        def refuse(method, path):
            asked.append((method, path))
            if asked.count((method, path)) == 1:
                raise Refused(503, "draining", "the service is shutting down", retry_after=5)
        self.service.refuse = refuse
        pool = self.pool()
        client = lido.Client(self.service.url)
        self.assertEqual(client.submit(
            "worker_functions:square", [3], pool=pool._service.name).result(SECONDS_MAX), 9)
        pool.terminate()
        name = f"pools/{pool._service.name}/terminate"
        for request in (("GET", "info"), ("POST", "pools"), ("POST", "jobs"), ("POST", name)):
            self.assertGreaterEqual(asked.count(request), 2, request)

    def test_what_is_waited_for(self):
        def pause(status, code="http_error", retry_after=None):
            return pause_after(lido.ServiceError(status, code, "", None, retry_after))
        self.assertEqual(pause(503, "queue_full", 2), 2)
        self.assertEqual(pause(503, "read_only", 5), 5)
        self.assertEqual(pause(503, retry_after=3600), 30)
        self.assertEqual(pause(503, "draining", 5), 0.5)
        for status in (429, 502, 503, 504):
            self.assertEqual(pause(status), 0.5)
        self.assertIsNone(pause(503, "too_many_names"))
        for status in (400, 401, 404, 409, 413, 500):
            self.assertIsNone(pause(status))


class LossTest(OutageCase):
    """The service comes back without what it had."""

    def test_the_pool_is_lost(self):
        pool = self.pool()
        results = [pool.apply_async(functions.wait_for, (self.path,)),
                   pool.map_async(functions.wait_for, [self.path])]
        self.until(lambda: self.service.jobs and self.service.maps)
        with self.outage(pool):
            with self.service.changed:
                lost = self.service.pools.pop(pool._service.name)
                self.service.jobs.clear()
                self.service.maps.clear()
                lost.terminate()
        for result in results:
            with self.assertRaises(lido.PoolTerminated) as caught:
                result.get(SECONDS_MAX)
            self.assertIn("has no pool", str(caught.exception))
        with self.assertRaises(lido.ServiceError) as refused:
            pool.apply(functions.square, (5,))
        self.assertEqual(
            (refused.exception.status, refused.exception.code), (422, "unknown_pool"))

    def test_a_stream_whose_items_the_service_had_is_lost(self):
        pool = self.pool()
        iterator = pool.imap(functions.wait_for, [self.path])
        listed = pool.map_async(functools.partial(functions.wait_for), [self.path])
        self.until(lambda: [found.is_whole for found in self.service.maps.values()] == [True] * 2)
        # The answers to the inputs, too, are there.
        with pool._core._changed:
            self.assertTrue(pool._core._changed.wait_for(
                lambda: not any(s.is_sending for s in pool._core._streams), SECONDS_MAX))
        with self.outage(pool), self.service.changed:
            self.service.maps.clear()
        for end in (lambda: iterator.next(SECONDS_MAX), lambda: listed.get(SECONDS_MAX)):
            with self.assertRaises(lido.PoolTerminated) as caught:
                end()
            self.assertIn("data was lost", str(caught.exception))


class StreamTest(OutageCase):
    """Streamed maps, whose items are sent once."""

    def stream(self, *more):
        """A pool, and an iterator of which the first value is there and the items are not."""
        pool = self.pool()
        sent = threading.Event()
        self.addCleanup(sent.set)

        def items():
            yield 3
            sent.wait(SECONDS_MAX)
            yield from more
        iterator = pool.imap(functions.square, items())
        self.assertEqual(next(iterator), 9)
        return pool, iterator, sent

    def assert_interrupted(self, iterator):
        with self.assertRaises(lido.JobFailed) as caught:
            iterator.next(SECONDS_MAX)
        self.assertEqual(caught.exception.code, "interrupted")
        self.assertIn("on their way", str(caught.exception))
        with self.assertRaises(StopIteration):
            iterator.next(SECONDS_MAX)

    def test_one_whose_items_the_service_has(self):
        pool = self.pool()
        iterator = pool.imap(functions.wait_for, [self.path])
        self.until(lambda: any(found.is_whole for found in self.service.maps.values()))
        with self.outage(pool):
            pass
        self.go_on()
        iterator.next(SECONDS_MAX)
        with self.assertRaises(StopIteration):
            iterator.next(SECONDS_MAX)

    def test_one_that_is_ended_by_the_restart(self):
        pool, iterator, _ = self.stream(4)
        with self.outage(pool), self.service.changed:
            for found in self.service.maps.values():
                if not found.is_whole:
                    found.finish_input({"code": "interrupted", "message": "the service ended"})
        self.assert_interrupted(iterator)

    def test_one_of_which_the_service_knows_nothing(self):
        pool, iterator, _ = self.stream(4)
        with self.outage(pool), self.service.changed:
            self.service.maps.clear()
        self.assert_interrupted(iterator)

    def test_one_whose_sender_finds_out_first(self):
        pool, iterator, sent = self.stream(*range(100_000))
        with self.outage(pool):
            sent.set()
        with self.assertRaises(lido.JobFailed) as caught:
            list(iterator)
        self.assertEqual(caught.exception.code, "interrupted")

    def test_what_cuts_an_input_off(self):
        for error in (
                lido.Unreachable("x"), lido.JobFailed({"code": "broken_off"}),
                lido.ServiceError(503, "draining"), lido.ServiceError(502, "http_error")):
            self.assertTrue(is_cut(error), error)
        for error in (
                lido.ServiceError(404, "not_found"), lido.ServiceError(503, "queue_full"),
                lido.JobFailed({"code": "cancelled"}), lido.PoolTerminated("x"), ValueError()):
            self.assertFalse(is_cut(error), error)


class RefusalTest(OutageCase):
    """Streamed maps that the service refuses: it says so when their input is over."""

    def setUp(self):
        super().setUp()
        brief = mock.patch("lido.pool_streams._DOUBT_SECONDS", 0.25)
        brief.start()
        self.addCleanup(brief.stop)

    def calls(self, pool):
        """Every kind of streamed map, and what it comes to."""
        large = "x" * (pool._service.body_bytes_max // 3)
        partial = functools.partial(functions.add, y=1)
        return [
            (lambda: pool.imap(functions.square, range(3)), [0, 1, 4]),
            (lambda: pool.imap(functions.square, range(1000)), [x * x for x in range(1000)]),
            (lambda: pool.imap_unordered(functions.square, [2]), [4]),
            (lambda: pool.map_async(partial, [1, 2]), [2, 3]),
            (lambda: pool.map_async(len, [large] * 7), [len(large)] * 7)]

    def outcome(self, result):
        """All values of an iterator, or of a map."""
        if isinstance(result, lido.results.MapResult):
            return result.get(SECONDS_MAX)
        return [result.next(SECONDS_MAX), *result]

    def refuse_inputs(self, refused, times=None):
        """Refuses so many streamed maps, or all."""
        asked = []

        def refuse(method, path):
            if (method, path) == ("POST", "maps") and (times is None or len(asked) < times):
                asked.append(path)
                self.service.changed.notify_all()
                raise refused
        self.service.refuse = refuse
        return asked

    def test_one_that_is_refused_for_now(self):
        pool = self.pool()
        refused = Refused(503, "pool_not_running", "not yet", retry_after=0.05)
        asked = self.refuse_inputs(refused, 20)
        results = [(call(), value) for call, value in self.calls(pool)]
        for result, value in results:
            self.assertEqual(self.outcome(result), value)
        self.assertEqual(len(asked), 20)
        self.assertFalse(pool._service.transport.is_held_back)

    def test_one_that_is_welcome_a_moment_later(self):
        pool = self.pool()
        # Refused itself, or what is asked for in its place, too: of neither anything was sent.
        for code, times in (("queue_full", 1), ("draining", 2)):
            self.refuse_inputs(Refused(503, code, "later", retry_after=0.05), times)
            self.assertEqual(list(pool.imap(functions.square, range(1000))),
                             [x * x for x in range(1000)])
        self.assertFalse(pool._service.transport.is_held_back)

    def test_one_that_is_refused(self):
        pool = self.pool()
        self.refuse_inputs(Refused(422, "unknown_pool", "there is no such pool"))
        results = [call() for call, _ in self.calls(pool)]
        for result in results:
            with self.assertRaises(lido.ServiceError) as caught:
                self.outcome(result)
            self.assertEqual(caught.exception.code, "unknown_pool")
        pool.close()
        pool.join()

    def test_one_that_waits_too_long(self):
        pool = self.pool()
        self.refuse_inputs(Refused(503, "queue_full", "later", retry_after=0.05))
        with mock.patch("lido.patience.AWAY_SECONDS_MAX", 0.5):
            iterator = pool.imap(functions.square, range(1000))
            with self.assertRaises(lido.ServiceError) as caught:
                iterator.next(SECONDS_MAX)
        self.assertEqual(caught.exception.code, "queue_full")

    def test_a_pool_that_ends_while_one_is_refused(self):
        pool = self.pool()
        asked = self.refuse_inputs(Refused(503, "queue_full", "later", retry_after=60))
        iterator = pool.imap(functions.square, range(1000))
        streams = list(pool._core._streams)
        self.until(lambda: asked)
        pool.terminate()
        with self.assertRaises(lido.PoolTerminated):
            iterator.next(0)
        with pool._core._changed:
            self.assertTrue(pool._core._changed.wait_for(
                lambda: not any(stream.is_sending for stream in streams), SECONDS_MAX))

    def test_a_proxy_that_hands_inputs_on_when_they_are_whole(self):
        pool = self.pool()
        self.service.is_buffered = True
        for call, value in self.calls(pool):
            if value[1:] != [x * x for x in range(1, 1000)]:
                self.assertEqual(self.outcome(call()), value)


class AbandonedTest(OutageCase):
    """Iterators that nobody reads to their end."""

    def test_a_pool_and_its_iterator_that_nobody_holds_end(self):
        for size in (1, 3):
            pool = lido.Pool(2, url=self.service.url)
            core, name = pool._core, pool._service.name
            before = set(threading.enumerate())
            for value in pool.imap(functions.square, range(10_000), size):
                self.assertEqual(value, 0)
                break
            threads = set(threading.enumerate()) - before | set(core._threads)
            self.assertTrue(core._streams)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                del pool
                gc.collect()
            for thread in threads:
                if thread.name.startswith("lido"):
                    thread.join(SECONDS_MAX)
                    self.assertFalse(thread.is_alive(), thread.name)
            self.until(lambda name=name: self.service.pools[name].state == "joined")

    def test_a_pool_that_was_closed_ends_without_a_join(self):
        endless = (number for number in itertools.count())
        for size, items in ((1, range(10_000)), (3, range(10_000)), (1, endless), (3, endless)):
            before = set(threading.enumerate())
            pool = lido.Pool(2, url=self.service.url)
            name = pool._service.name
            next(iter(pool.imap(functions.square, items, size)))
            pool.close()
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                del pool
                gc.collect()
            self.assertEqual(told, [])
            for thread in set(threading.enumerate()) - before:
                if thread.name.startswith("lido"):
                    thread.join(SECONDS_MAX)
                    self.assertFalse(thread.is_alive(), thread.name)
            self.until(lambda name=name: self.service.pools[name].state == "joined")

    def test_a_pool_that_was_closed_does_what_somebody_waits_for(self):
        pool = lido.Pool(2, url=self.service.url)
        result = pool.apply_async(functions.wait_for, (self.path,))
        iterator = pool.imap(functions.square, range(200))
        next(pool.imap_unordered(functions.square, range(10_000)))
        name = pool._service.name
        pool.close()
        del pool
        gc.collect()
        self.go_on()
        result.wait(SECONDS_MAX)
        self.assertTrue(result.successful())
        self.assertEqual(list(iterator), [x * x for x in range(200)])
        self.until(lambda: self.service.pools[name].state == "joined")

    def test_a_pool_that_ends_with_a_rest_that_nobody_asked_for(self):
        for end in (lambda pool: pool.terminate(), lambda pool: pool.close()):
            pool = lido.Pool(2, url=self.service.url)
            name, core = pool._service.name, pool._core
            next(pool.imap(functions.square, itertools.count()))
            with core._changed:
                self.assertTrue(core._changed.wait_for(lambda core=core: core._left, SECONDS_MAX))
            end(pool)
            del pool
            gc.collect()
            for thread in core._threads:
                thread.join(SECONDS_MAX)
                self.assertFalse(thread.is_alive(), thread.name)
            self.assertEqual(core._left, [])
            self.until(lambda name=name: self.service.pools[name].state == "joined")

    def test_an_iterator_keeps_its_pool(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            iterator = lido.Pool(2, url=self.service.url).imap(functions.square, range(100))
            gc.collect()
            self.assertEqual(list(iterator), [x * x for x in range(100)])

    def test_the_calls_of_one_that_was_dropped_are_done_by_a_join(self):
        pool = self.pool()
        next(pool.imap(functions.square, range(200)))
        pool.imap_unordered(functions.square, range(200))
        gc.collect()
        pool.close()
        pool.join()
        with self.service.changed:
            self.assertEqual(
                [len(found.lines) for found in self.service.maps.values()], [200, 200])


if __name__ == "__main__":
    unittest.main()
