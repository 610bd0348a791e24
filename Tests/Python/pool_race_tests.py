#!/usr/bin/env python3
"""`lido.Pool`: what happens at bad moments. Whatever it is, no `get` may hang and no thread stay.

Against the test double.

    python3 Tests/Python/pool_race_tests.py [-v] [NAME …]
"""

import os
import signal
import sys
import threading
import unittest
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "Sources", "Python")
sys.path[:0] = [HERE, SOURCES]

import lido  # noqa: E402
import worker_functions as functions  # noqa: E402
from double.service import Service  # noqa: E402
from lido.pool_core import _end_all  # noqa: E402

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


def _unpicklable():
    return lambda: 1


unpicklable = _unpicklable()


if __name__ == "__main__":
    unittest.main()
