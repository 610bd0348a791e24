"""What the tests of `lido.Pool` share that run against the double and against the service."""

import functools
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "Sources", "Python")
sys.path[:0] = [HERE, SOURCES]

import lido  # noqa: E402

#: The service that is tested; the double without one.
PROGRAM = os.environ.get("POOL_TESTS_BIN")

if PROGRAM:
    import real_service
    Service = functools.partial(real_service.Service, PROGRAM)
else:
    from double.service import Service

#: Tests that only the double can run: the reason of each.
OF_THE_DOUBLE = {
    "test_many_calls_are_few_requests": "the double counts its requests",
    "test_answers_that_are_lost": "the double loses its answers",
    "test_calls_that_are_too_long_together_for_a_proxy": "the double has a proxy before it",
}


class PoolCase(unittest.TestCase):
    """One test double and a pool of two for all that leave it as it is."""

    @classmethod
    def setUpClass(cls):
        cls.service = Service(folders=[HERE])
        os.environ["LIDO_URL"] = cls.service.url
        cls.pool = lido.Pool(2)

    @classmethod
    def tearDownClass(cls):
        cls.pool.terminate()
        cls.pool.join()
        cls.service.end()

    def setUp(self):
        if PROGRAM and self._testMethodName in OF_THE_DOUBLE:
            self.skipTest(OF_THE_DOUBLE[self._testMethodName])

    def other_pool(self, *args, **kwargs):
        """A pool of its own, that ends with the test."""
        pool = lido.Pool(*args, **kwargs)

        def end():
            pool.terminate()
            pool.join()
        self.addCleanup(end)
        return pool


def main():
    """Runs the tests of the script, and tells what is left out."""
    program = unittest.main(exit=False)
    for name, reason in program.result.skipped if PROGRAM else ():
        print(f"left out: {name.id().rpartition('.')[2]}: {reason}")
    sys.exit(0 if program.result.wasSuccessful() else 1)
