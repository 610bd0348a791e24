#!/usr/bin/env python3
"""`lido.Pool` at the limits of its service: what is too long, and a queue that is full.

Against the test double, or with POOL_TESTS_BIN against the service.

    [POOL_TESTS_BIN=.build/release/lido] python3 Tests/Python/pool_limit_tests.py [-v] [NAME …]
"""

import functools
import os
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "Sources", "Python")
sys.path[:0] = [HERE, SOURCES]

import lido  # noqa: E402
import pool_case  # noqa: E402
import worker_functions as functions  # noqa: E402
from pool_case import PROGRAM, Service  # noqa: E402

SECONDS_MAX = 20


class LimitTest(pool_case.PoolCase):
    """Each limit with a service of its own."""

    def test_a_queue_that_is_full(self):
        with Service(jobs_max=3, folders=[HERE]) as service:
            with lido.Pool(1, url=service.url) as pool:
                # To each that is refused the service says to wait for some seconds; but when
                # those that it has taken have ended there is room.
                began = time.monotonic()
                results = [pool.apply_async(functions.square, (n,)) for n in range(40)]
                self.assertEqual(
                    [result.get(SECONDS_MAX) for result in results], [n * n for n in range(40)])
                self.assertLess(time.monotonic() - began, SECONDS_MAX)

    def test_large_maps_are_streamed(self):
        items = ["x" * 200_000 + str(number) for number in range(60)]
        self.assertEqual(self.pool.map(len, items), list(map(len, items)))
        with self.assertRaises(TypeError):
            self.pool.map(abs, items)

    def test_calls_that_are_too_long_together_for_a_proxy(self):
        with Service(folders=[HERE]) as service, lido.Pool(1, url=service.url) as pool:
            service.proxy_bytes_max = 100_000
            before = len(service.requests)
            with pool._core._changed:  # So that they are sent together.
                results = [pool.apply_async(len, ("x" * 2000,)) for _ in range(300)]
                long = pool.apply_async(len, ("x" * 200_000,))
                results.append(pool.apply_async(len, ("x" * 2000,)))
            self.assertEqual([result.get(SECONDS_MAX) for result in results], [2000] * 301)
            with self.assertRaises(lido.ServiceError) as caught:
                long.get(SECONDS_MAX)
            self.assertEqual(caught.exception.status, 413)
            # What was learned of one batch is true of the others.
            posted = [one for one in service.requests[before:] if one == "POST /v1/jobs"]
            self.assertLess(len(posted), 25)

    def test_a_map_that_is_larger_than_the_limit_of_the_service(self):
        with Service(body_bytes_max=100_000, folders=[HERE]) as service:
            with lido.Pool(2, url=service.url) as pool:
                self.assertEqual(
                    pool.map(functions.square, range(20_000)), [n * n for n in range(20_000)])

    def test_a_map_whose_chunks_are_larger_than_the_arguments_of_a_job_may_be(self):
        with Service(max_arguments=10_000, folders=[HERE]) as service:
            with lido.Pool(2, url=service.url) as pool:
                items = [str(number).rjust(1000, "0") for number in range(200)]
                for size in (None, 1, 60):
                    self.assertEqual(pool.map(int, items, size), list(range(200)))
                self.assertEqual(pool.starmap(int, [(item, 10) for item in items])[-1], 199)
                self.assertEqual(list(pool.imap(int, items[:50])), list(range(50)))
                name = pool._service.name
                self.assertEqual(
                    lido.Client(service.url).map(int, items, pool=name), list(range(200)))
                # One that does not fit by itself is refused, and nothing of its map is done.
                with tempfile.TemporaryDirectory() as folder:
                    path = os.path.join(folder, "calls")
                    calls = [(path, 1)] * 50 + [(path, "x" * 20_000)]
                    with self.assertRaises(lido.ServiceError) as caught:
                        pool.starmap(functions.append, calls)
                    error = caught.exception
                    self.assertEqual((error.status, error.code), (413, "payload_too_large"))
                    self.assertFalse(os.path.exists(path))

    def test_chunks_of_a_function_without_a_name_that_are_larger_than_the_limit(self):
        items = [bytes([place]) * 10_000 for place in range(40)]
        call = functools.partial(functions.add, y=b"")
        with Service(body_bytes_max=100_000, folders=[HERE]) as service:
            with lido.Pool(1, url=service.url) as pool:
                self.assertEqual(pool.map(call, items), items)
                result = pool.map_async(call, items, chunksize=40)
                self.assertEqual(result.get(SECONDS_MAX), items)
                count = lido.Client(service.url).map_handle(result)["total"]
                self.assertEqual(list(pool.imap(call, items, chunksize=15)), items)
                pairs = [(item, b"") for item in items]
                self.assertEqual(pool.starmap(functools.partial(functions.add), pairs), items)
        # The chunk of forty is halved until its lines have two items or one: 8 times 2, 1, 2.
        self.assertEqual(count, 8 * 3)

    def test_values_that_are_larger_than_the_limit_of_the_service(self):
        with Service(body_bytes_max=100_000, folders=[HERE]) as service:
            with lido.Pool(2, url=service.url) as pool:
                before = len(service.requests) if not PROGRAM else None
                for size in (100_000, 20 << 20):
                    large = "x" * size
                    for call in (
                            lambda: pool.apply(len, (large,)), lambda: pool.map(len, [1, large]),
                            lambda: pool.map(functools.partial(pow, 1), [large])):
                        with self.assertRaises(lido.ServiceError) as caught:
                            call()
                        error = caught.exception
                        self.assertEqual((error.status, error.code), (413, "payload_too_large"))
                        self.assertIn("100000", str(error))
                if not PROGRAM:
                    made = service.requests[before:]
                    self.assertEqual([one for one in made if one.startswith("POST")], [])
                values = pool.imap(len, ["a", "ab", large])
                self.assertEqual([next(values), next(values)], [1, 2])
                with self.assertRaises(lido.ServiceError):
                    next(values)
                self.assertEqual(pool.apply(len, ("x" * 99_000,)), 99_000)


if __name__ == "__main__":
    pool_case.main()
