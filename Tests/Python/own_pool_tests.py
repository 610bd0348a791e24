#!/usr/bin/env python3
"""Python's own tests of its Pool, with `lido.Pool` in its place.

They are those of the interpreter that runs this (`test._test_multiprocessing`), unchanged. The
service is the one at LIDO_URL, whose pool `python` (or LIDO_POOL) has `allow_main` and
`allow_pickle`; without LIDO_URL it is the test double.

    python3 Tests/Python/own_pool_tests.py [-v] [NAME …]
"""

import multiprocessing
import os
import subprocess
import sys
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "Sources", "Python")]

import lido  # noqa: E402

try:
    from test import _test_multiprocessing as original
except ImportError:
    original = None

#: Tests that cannot apply, or show another behaviour on purpose: the reason of each.
EXCEPTIONS = {
    "test_worker_finalization_via_atexit_handler_of_multiprocessing":
        "it starts a program of its own that imports multiprocessing.Pool: lido's would not be "
        "tested; pool_tests.py has a program of the same kind that leaves a lido.Pool open",
}

if original is None:
    class NoTests(unittest.TestCase):
        """This interpreter came without its tests."""

        def test_nothing(self):
            self.skipTest("this interpreter has no test._test_multiprocessing")
else:
    class LidoPools(original.ProcessesMixin):
        """As the original tests are told which Pool to use."""

        Pool = staticmethod(lido.Pool)

        def setUp(self):
            reason = EXCEPTIONS.get(self._testMethodName)
            if reason is not None:
                self.skipTest(reason)
            super().setUp()

    class PoolTest(original._TestPool, LidoPools, unittest.TestCase):
        """Calls, maps, iterators, the life of a pool."""

    class PoolWorkerErrorsTest(original._TestPoolWorkerErrors, LidoPools, unittest.TestCase):
        """Errors of workers."""

    class PoolWorkerLifetimeTest(original._TestPoolWorkerLifetime, LidoPools, unittest.TestCase):
        """maxtasksperchild."""


def main():
    """Runs them against LIDO_URL, or the test double."""
    service = None
    if not os.environ.get("LIDO_URL"):
        # In a process of its own, since the tests look at the threads of this one.
        service = subprocess.Popen(
            [sys.executable, "-m", "double.service", HERE], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, cwd=HERE)
        os.environ["LIDO_URL"] = service.stdout.readline().strip()
    try:
        with mock.patch.object(multiprocessing, "Pool", lido.Pool):
            program = unittest.main(exit=False)
    finally:
        if service is not None:
            service.communicate()
    for name, reason in EXCEPTIONS.items():
        print(f"left out: {name}: {reason}")
    sys.exit(0 if program.result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
