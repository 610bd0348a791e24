#!/usr/bin/env python3
"""`lido.Pool`: what happens at bad moments. Whatever it is, no `get` may hang and no thread stay.

Against the test double.

    python3 Tests/Python/pool_race_tests.py [-v] [NAME …]
"""

import contextlib
import functools
import os
import signal
import socket
import sys
import threading
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
from lido.pool_core import _end_all  # noqa: E402
from lido.pool_streams import IteratorStream  # noqa: E402
from lido.results import Values  # noqa: E402
from lido.streams import MapInput, ResultStream  # noqa: E402
from lido.transport import Transport  # noqa: E402

SECONDS_MAX = 20


class Acting:
    """Items of which the first does something when it is read."""

    def __init__(self, act, *items):
        self.act = act
        self.items = items

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        self.act()
        return iter(self.items)


class PoolCase(unittest.TestCase):
    """A test double."""

    @classmethod
    def setUpClass(cls):
        cls.service = Service(folders=[HERE])
        cls.addClassCleanup(cls.service.end)

    def pool(self, *args, service=None, **kwargs):
        """A pool that ends with the test."""
        pool = lido.Pool(*(args or (1,)), url=(service or self.service).url, **kwargs)

        def end():
            pool.terminate()
            pool.join()
        self.addCleanup(end)
        return pool

    def double(self, pool, service=None):
        """The same pool as the test double has it."""
        return (service or self.service).pools[pool._service.name]

    def assert_ended(self, core):
        """That its threads end by themselves."""
        for thread in core._threads:
            thread.join(SECONDS_MAX)
            self.assertFalse(thread.is_alive(), thread.name)


class EndTest(PoolCase):
    """Calls that meet the end of their pool."""

    def calls(self, pool, act):
        """Calls that have begun when something happens, each in a pool that runs."""
        large = "x" * (pool._service.body_bytes_max // 2)
        return [
            lambda: pool.map_async(functions.square, Acting(act, 1, 2)),
            lambda: pool.map_async(len, Acting(act, large, large, large)),
            lambda: pool.map_async(unpicklable, Acting(act, 1)),
            lambda: pool.apply_async(functions.square, Acting(act, unpicklable)),
        ]

    def test_calls_that_meet_a_terminate(self):
        for place in range(4):
            pool = self.pool()
            result = self.calls(pool, pool.terminate)[place]()
            with self.assertRaises(lido.PoolTerminated):
                result.get(SECONDS_MAX)

    def test_calls_that_meet_a_close(self):
        for place in range(4):
            pool = self.pool()
            told = []

            def close(pool=pool):
                pool.close()
                pool.join()
            result = self.calls(pool, close)[place]()
            with self.assertRaises(Exception) as caught:
                result.get(SECONDS_MAX)
            self.assertNotIsInstance(caught.exception, lido.PoolTerminated)
            self.assertNotIsInstance(caught.exception, lido.TimeoutError)
            # And what is told of it is told.
            pool._core.fail(lido.results.ApplyResult(pool, None, told.append), KeyError(1))
            self.assertEqual([type(error) for error in told], [KeyError])

    def test_a_callback_that_ends_its_pool_keeps_its_value(self):
        pool = self.pool()
        result = pool.apply_async(functions.square, (3,), callback=lambda _: pool.terminate())
        self.assertEqual(result.get(SECONDS_MAX), 9)
        self.assertTrue(result.successful())

    def test_a_callback_that_runs_while_its_pool_is_ended(self):
        for call, value in ((functions.square, 9), (functions.fail_at_three, None)):
            pool = self.pool()
            running, go_on = threading.Event(), threading.Event()
            self.addCleanup(go_on.set)

            def wait(_, running=running, go_on=go_on):
                running.set()
                go_on.wait(SECONDS_MAX)
            result = pool.apply_async(call, (3,), callback=wait, error_callback=wait)
            waiting = pool.apply_async(functions.rest, (60,))
            self.assertTrue(running.wait(SECONDS_MAX))
            pool.terminate()
            self.assertFalse(result.ready())
            with self.assertRaises(lido.PoolTerminated):
                waiting.get(0)
            go_on.set()
            if value is not None:
                self.assertEqual(result.get(SECONDS_MAX), value)
            else:
                with self.assertRaises(KeyError):
                    result.get(SECONDS_MAX)


class CreationTest(PoolCase):
    """Pools that begin badly."""

    def test_an_answer_that_is_lost(self):
        self.service.breaks = 2  # Of /info, and the pool.
        pool = self.pool()
        self.assertEqual(self.double(pool).options["idle_timeout"], 600)
        self.assertEqual(pool.apply(functions.square, (3,)), 9)

    def test_a_pool_that_is_still_starting(self):
        with self.patched(lambda handle: {**handle, "state": "starting"}, 3):
            pool = self.pool()
        self.assertEqual(pool.apply(functions.square, (3,)), 9)

    def test_a_pool_that_is_forgotten(self):
        pool = self.pool()
        pool.close()
        pool.join()
        del self.service.pools[pool._service.name]
        self.assertEqual(pool._pool, [])
        pool.terminate()
        pool.join()

    @contextlib.contextmanager
    def patched(self, change, times):
        """Changes so many handles of pools."""
        from lido.pool_service import Transport
        original = Transport.json

        def json(transport, method, target, *arguments, **further):
            nonlocal times
            answer = original(transport, method, target, *arguments, **further)
            if target.startswith("/v1/pools") and times > 0:
                times -= 1
                answer = change(answer)
            return answer
        with mock.patch.object(Transport, "json", json):
            yield
        self.assertEqual(times, 0)


class InterruptTest(PoolCase):
    """Who is impatient, and whose pool ends none the less."""

    def assert_joined(self, double):
        """That the double ends it."""
        with self.service.changed:
            self.assertTrue(self.service.changed.wait_for(
                lambda: double.state == "joined", SECONDS_MAX))

    def test_a_second_interrupt_while_the_pool_ends(self):
        pool = self.pool()
        result = pool.apply_async(functions.rest, (60,))
        with mock.patch.object(pool._service, "terminate", side_effect=KeyboardInterrupt):
            with self.assertRaises(KeyboardInterrupt), pool:
                raise KeyboardInterrupt
        self.assert_joined(self.double(pool))
        with self.assertRaises(lido.PoolTerminated):
            result.get(SECONDS_MAX)
        pool.join()

    def test_an_interrupt_while_the_pool_is_made(self):
        from lido.pool_service import PoolService
        original = PoolService._create

        def create(service, body):
            original(service, body)
            raise KeyboardInterrupt
        with mock.patch.object(PoolService, "_create", create):
            with self.assertRaises(KeyboardInterrupt):
                self.pool()
        self.assert_joined(list(self.service.pools.values())[-1])


class FeedTest(PoolCase):
    """The feed of completions does not tell what is waited for. Each has a service of its own."""

    def setUp(self):
        self.service = Service(folders=[HERE])
        self.addCleanup(self.service.end)
        self.asked = 0

    def answer_feed(self, refused, times=None):
        """Refuses so many requests of the feed, or all."""
        def refuse(_method, path):
            self.service.changed.notify_all()
            if path.endswith("/completions"):
                self.asked += 1
                if times is None or self.asked <= times:
                    raise refused
        self.service.refuse = refuse
        # Whoever waits already goes on.
        for pool in self.service.pools.values():
            pool.wakes += 1
        with self.service.changed:
            self.service.changed.notify_all()

    def submit_later(self, pool):
        """Results of a map and a job that the service hears of when the event is set."""
        go = threading.Event()
        original = pool._core._submit

        def submit(batch):
            go.wait(SECONDS_MAX)
            original(batch)
        pool._core._submit = submit
        found = pool.map_async(functions.square, [1, 2]), pool.apply_async(functions.square, (3,))
        return go, found

    def test_a_feed_that_has_turned_while_a_map_is_on_its_way(self):
        pool = self.pool()
        go, (whole, one) = self.submit_later(pool)
        self.answer_feed(Refused(410, "gone", "too long ago", next=0), 1)
        self.until(lambda: "maps/" in "".join(self.service.requests) or self.asked > 1)
        go.set()
        self.assertEqual((whole.get(SECONDS_MAX), one.get(SECONDS_MAX)), ([1, 4], 9))

    def test_what_has_ended_before_the_feed_begins_again(self):
        pool = self.pool()
        result = pool.apply_async(functions.rest, (0.1,))
        whole = pool.map_async(functions.square, [1, 2])
        self.answer_feed(Refused(410, "gone", "too long ago", next=10_000))
        self.assertEqual(result.get(SECONDS_MAX), 0.1)
        self.assertEqual(whole.get(SECONDS_MAX), [1, 4])

    def test_a_feed_that_is_always_behind_is_not_asked_all_the_time(self):
        pool = self.pool()
        self.answer_feed(Refused(410, "gone", "too long ago", next=0))
        threading.Event().wait(0.7)
        self.assertLess(self.asked, 12)
        self.assertEqual(pool.apply(functions.square, (3,)), 9)

    def test_what_was_dropped_fails(self):
        pool = self.pool()
        results = [pool.apply_async(functions.rest, (60,)), pool.map_async(functions.rest, [60])]
        self.until(lambda: self.service.jobs and self.service.maps)
        self.service.jobs.clear()
        self.service.maps.clear()
        self.answer_feed(Refused(410, "gone", "too long ago", next=0), 1)
        for result in results:
            with self.assertRaises(lido.ServiceError) as caught:
                result.get(SECONDS_MAX)
            self.assertEqual(caught.exception.status, 404)

    def test_a_service_that_is_busy(self):
        pool = self.pool()
        self.answer_feed(Refused(503, "queue_full", "later"), 1)
        self.assertEqual(pool.apply(functions.square, (3,)), 9)

    def test_answers_that_nobody_understands(self):
        pool = self.pool()
        result = pool.apply_async(functions.rest, (60,))
        pool._service.completions = lambda after: ([{"seq": 1, "job": {}}], 1)
        self.answer_feed(Refused(410, "gone", "too long ago", next=0), 1)
        with self.assertRaises(KeyError):
            result.get(SECONDS_MAX)
        with self.assertRaises(KeyError):
            pool.apply(functions.square, (3,))

    def test_an_answer_to_a_submission_that_nobody_understands(self):
        pool = self.pool()
        pool._service.submit = lambda bodies: [{}]
        with self.assertRaises(KeyError):
            pool.apply_async(functions.square, (3,)).get(SECONDS_MAX)
        pool.close()
        pool.join()

    def test_callbacks_that_want_the_thread_to_end(self):
        pool = self.pool()
        result = pool.apply_async(functions.square, (3,), callback=sys.exit)
        with self.assertRaises(SystemExit):
            result.get(SECONDS_MAX)
        self.assertEqual(pool.apply(functions.square, (3,)), 9)

    def test_a_value_that_wants_the_thread_to_end(self):
        pool = self.pool()
        for iterator in (
                pool.imap(functions.exiting, range(1000)),
                pool.imap_unordered(functions.exiting, range(1000))):
            with self.assertRaises(SystemExit):
                iterator.next(SECONDS_MAX)
            with self.assertRaises(StopIteration):
                iterator.next(SECONDS_MAX)
        large = "x" * (pool._service.body_bytes_max // 2)
        with self.assertRaises(SystemExit):
            pool.map_async(functions.exiting, [large] * 3).get(SECONDS_MAX)
        pool.close()
        pool.join()

    def test_an_input_that_wants_the_thread_to_end(self):
        pool = self.pool()
        iterator = pool.imap(functions.square, (sys.exit(item) for item in range(3)))
        with self.assertRaises(SystemExit):
            iterator.next(SECONDS_MAX)
        pool.close()
        pool.join()

    def test_a_pool_that_the_service_ends(self):
        pool = self.pool()
        results = [pool.apply_async(functions.rest, (60,)), pool.map_async(functions.rest, [60])]
        self.until(lambda: self.service.jobs and self.service.maps)
        with self.service.changed:
            self.double(pool).terminate()
        for result in results:
            with self.assertRaises(lido.PoolTerminated):
                result.get(SECONDS_MAX)
        pool._core._threads[1].join(SECONDS_MAX)
        self.assertFalse(pool._core._threads[1].is_alive())
        with self.assertRaises(lido.ServiceError) as caught:
            pool.apply(functions.square, (3,))
        self.assertEqual(caught.exception.code, "pool_not_running")

    def test_a_pool_that_the_service_has_forgotten(self):
        pool = self.pool()
        lost = pool.apply_async(functions.rest, (60,))
        done = pool.map_async(functions.square, [1, 2])
        self.until(lambda: self.service.jobs and self.service.maps)
        with self.service.changed:
            self.double(pool).terminate()
            del self.service.pools[pool._service.name]
            self.service.jobs.clear()
            self.service.changed.notify_all()
        with self.assertRaises((lido.ServiceError, lido.PoolTerminated)):
            lost.get(SECONDS_MAX)
        with self.assertRaises(lido.PoolTerminated):
            done.get(SECONDS_MAX)
        with self.assertRaises(lido.ServiceError):
            pool.apply(functions.square, (3,))
        pool.close()
        pool.join()

    def until(self, is_so):
        """Waits under the lock of the double."""
        with self.service.changed:
            self.assertTrue(self.service.changed.wait_for(is_so, SECONDS_MAX))


class StreamTest(unittest.TestCase):
    """The results of a map that is read while it is being submitted."""

    class Late(ResultStream):
        """The map comes while the first answer, that there is none, is on its way."""

        def _read(self):
            if not self.is_coming:
                return iter([{"index": 0, "value": 1}, {"done": True}])
            self.is_coming = False
            raise lido.ServiceError(404, "not_found")

    def test_a_map_that_comes_after_it_was_looked_for(self):
        stream = self.Late(Transport("http://127.0.0.1:1"), "m", True, is_coming=True)
        self.assertEqual([message.get("value") for message in stream], [1, None])

    def test_a_connection_whose_answer_may_come_late_is_kept_alive(self):
        with Service() as service:
            source = MapInput(Transport(service.url), {"task": "f"})
            source.begin()
            sock = source._connection.sock
            self.assertIsNone(sock.gettimeout())
            self.assertTrue(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            source.abort()
            source.close()

    def test_a_map_that_never_comes(self):
        stream = self.Late(Transport("http://127.0.0.1:1"), "m", True)
        stream._read = mock.Mock(side_effect=lido.ServiceError(404, "not_found"))
        with self.assertRaises(lido.ServiceError):
            next(iter(stream))


class DroppedTest(unittest.TestCase):
    """An iterator that nobody holds, over an input that may have no end."""

    def test_a_join_that_comes_while_its_input_ends(self):
        values = Values(lambda: None, 1)
        values.leave()
        acquire = values.acquire

        def meet_a_join(units):
            room = acquire(units)
            values.lift()
            return room
        values.acquire = meet_a_join
        stream = IteratorStream(
            Transport("http://127.0.0.1:9"), {"id": "a"}, True, False, values,
            iter([(1, [b"1"]), (1, [b"2"])]), False, False)
        stream.send(None)
        self.assertTrue(stream.has_rest)
        self.assertEqual(list(stream.rest()._chunks), [(1, [b"1"]), (1, [b"2"])])


class ThreadlessTest(PoolCase):
    """No thread can be started any more."""

    @contextlib.contextmanager
    def starting(self, name):
        """Threads of this name cannot be started."""
        original = threading.Thread.start

        def start(thread):
            if thread.name == name:
                raise RuntimeError("can't start new thread")
            original(thread)
        with mock.patch.object(threading.Thread, "start", start):
            yield

    def test_a_streamed_map(self):
        for name in ("lido map input", "lido map results"):
            pool = self.pool()
            before = threading.enumerate()
            with self.starting(name):
                result = pool.map_async(functools.partial(functions.add, y=2), [1, 2])
                with self.assertRaises(RuntimeError):
                    result.get(SECONDS_MAX)
                with self.assertRaises(RuntimeError):
                    pool.imap(functions.square, range(1000))
            self.assertEqual(pool.apply(functions.square, (3,)), 9)
            self.assert_gone(before)
            pool.close()
            self.assert_ended(pool._core)
            pool.join()

    def test_a_pool(self):
        for name in ("lido pool sender", "lido pool feed", "lido pool results"):
            before = threading.enumerate()
            with self.starting(name), self.assertRaises(RuntimeError):
                self.pool()
            self.assert_gone(before)
            double = list(self.service.pools.values())[-1]
            with self.service.changed:
                self.assertTrue(self.service.changed.wait_for(
                    lambda double=double: double.state == "joined", SECONDS_MAX))

    def assert_gone(self, before):
        """That no thread of the package stays that was not there before."""
        for thread in set(threading.enumerate()) - set(before):
            if thread.name.startswith("lido"):
                thread.join(SECONDS_MAX)
                self.assertFalse(thread.is_alive(), thread.name)


class ForkTest(PoolCase):
    """Children of the program."""

    def test_a_child_that_was_forked_while_a_lock_was_held(self):
        pool = self.pool()
        pool.apply(functions.square, (3,))
        held, release = threading.Event(), threading.Event()

        def hold():
            with pool._core._changed:
                held.set()
                release.wait(SECONDS_MAX)
        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(SECONDS_MAX)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of forks with threads: that is the point.
            child = os.fork()
        if child == 0:
            signal.alarm(SECONDS_MAX)
            try:
                self.use(pool)
                pool.close()
                pool.join()
                _end_all()  # As at the end of every program.
            except BaseException:
                os._exit(1)
            os._exit(0)
        release.set()
        holder.join()
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(pool.apply(functions.square, (3,)), 9)

    def use(self, pool):
        """What a child can do with its parent's pool."""
        for call in (pool.apply_async, pool.map_async, pool.imap):
            with self.assertRaises(ValueError):
                call(functions.square, [1])
        pool.terminate()


class ThreadTest(PoolCase):
    """Threads of pools that are closed, and not joined."""

    def test_they_end_when_all_is_done(self):
        pool = self.pool()
        result = pool.apply_async(functions.square, (3,))
        values = pool.imap(functions.square, range(3))
        lines = pool.map_async(len, ["x" * (pool._service.body_bytes_max // 2)] * 3)
        pool.close()
        self.assert_ended(pool._core)
        self.assertEqual((result.get(0), list(values), len(lines.get(0))), (9, [0, 1, 4], 3))
        pool.join()

    def test_they_end_when_nothing_was_asked(self):
        pool = self.pool()
        pool.close()
        self.assert_ended(pool._core)

    def test_they_end_when_the_last_thing_fails(self):
        pool = self.pool()
        pool.map_async(unpicklable, [1])
        pool.close()
        self.assert_ended(pool._core)


def _unpicklable():
    return lambda: 1


unpicklable = _unpicklable()


if __name__ == "__main__":
    unittest.main()
