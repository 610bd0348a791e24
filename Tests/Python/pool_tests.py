#!/usr/bin/env python3
"""`lido.Pool`: what Python's own tests do not ask, and what it does better than they ask.

Against the test double, or with POOL_TESTS_BIN against the service; `own_pool_tests.py` runs
Python's own tests.

    [POOL_TESTS_BIN=.build/release/lido] python3 Tests/Python/pool_tests.py [-v] [NAME …]
"""

import functools
import gc
import itertools
import multiprocessing
import operator
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from multiprocessing.pool import MaybeEncodingError, RemoteTraceback

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "Sources", "Python")
sys.path[:0] = [HERE, SOURCES]

import lido  # noqa: E402
import pool_case  # noqa: E402
import worker_functions as functions  # noqa: E402
from pool_case import PROGRAM, Service  # noqa: E402

SECONDS_MAX = 20


class Thing:
    """Of the script itself, so a pickle of it names `__main__`."""

    def __init__(self, x):
        self.x = x

    def plus(self, y):
        return self.x + y

    def __eq__(self, other):
        return type(other) is type(self) and other.x == self.x


def set_up_with_thing(*args):
    functions.initialize(Thing(args))


def double_thing(thing):
    return Thing(thing.x * 2)


def nested(count, url):
    with lido.Pool(1, url=url) as pool:
        return pool.map(functions.square, range(count))


class PoolTest(pool_case.PoolCase):
    """Functions, values, errors, results, and the life of a pool."""

    # Functions and values

    def test_functions_of_every_kind(self):
        pool = self.pool
        self.assertEqual(pool.apply(operator.add, (1, 2)), 3)
        self.assertEqual(pool.map(functools.partial(pow, 2), range(6)), [1, 2, 4, 8, 16, 32])
        self.assertEqual(pool.starmap(functools.partial(functions.add, 1), [[2], [3]]), [3, 4])
        self.assertEqual(list(pool.imap(functools.partial(pow, 2), range(5), 2)), [1, 2, 4, 8, 16])
        self.assertEqual(pool.apply(Thing(40).plus, (2,)), 42)
        self.assertEqual(pool.map(str.upper, ["a", "b"]), ["A", "B"])
        self.assertEqual(pool.map(Thing, [1, 2]), [Thing(1), Thing(2)])
        self.assertEqual(pool.map(double_thing, [Thing(1), Thing(2)]), [Thing(2), Thing(4)])
        self.assertEqual(pool.starmap(operator.mul, zip("ab", (2, 3))), ["aa", "bbb"])

    def test_keywords_of_any_name(self):
        call = functools.partial(dict, a=1)
        for name in ("_function", "self", "function", "args"):
            self.assertEqual(self.pool.apply(call, (), {name: 2}), {"a": 1, name: 2})

    def test_functions_that_cannot_travel(self):
        def inner():
            pass
        for function in (lambda: 1, inner):
            try:
                pickle.dumps(function)
            except Exception as error:
                expected = type(error)
            with self.assertRaises(expected):
                self.pool.apply(function)
            with self.assertRaises(expected):
                next(self.pool.imap(function, [1]))

    def test_values_keep_their_types(self):
        values = [(1, 2), {1, 2}, {1: 2}, b"x", 1.5, float("inf"), 10 ** 6000, "\ud800", None,
                  {"pickle": "x"}, [(), []], range(3), 1j]
        self.assertEqual(self.pool.map(functions.pair, values), [(x, x) for x in values])
        self.assertEqual(
            list(map(type, self.pool.imap(functions.pair, values))), [tuple] * len(values))

    def test_a_pool_without_pickles(self):
        pool = self.other_pool(1, allow_pickle=False)
        self.assertEqual(pool.map(functions.square, range(4)), [0, 1, 4, 9])
        with self.assertRaises(lido.EncodingError):
            pool.apply(functions.square, ((1,),))
        with self.assertRaises(pickle.PicklingError):
            pool.apply(functools.partial(pow, 2), (2,))
        with self.assertRaises(MaybeEncodingError):
            pool.apply(functions.pair, (1,))
        with self.assertRaises(KeyError) as caught:
            pool.apply(functions.fail_at_three, (3,))
        self.assertEqual(caught.exception.args, ("three", 3))
        with self.assertRaises(FileNotFoundError) as caught:
            pool.apply(functions.opens, ("/no/file",))
        self.assertEqual(caught.exception.filename, "/no/file")

    def test_a_service_without_pickles(self):
        with Service(allow_pickle=False, folders=[HERE]) as service:
            with lido.Pool(1, url=service.url) as pool:
                self.assertEqual(pool.map(functions.square, range(4)), [0, 1, 4, 9])
            with self.assertRaises(lido.ServiceError) as caught:
                lido.Pool(1, url=service.url, allow_pickle=True)
            self.assertEqual(caught.exception.code, "pickle_not_allowed")

    def test_a_pool_that_does_not_load_the_script(self):
        with Service(allow_main=False, folders=[HERE]) as service:
            with lido.Pool(1, url=service.url) as pool:
                self.assertEqual(pool.apply(functions.square, (3,)), 9)
                with self.assertRaises(lido.TaskNotFound) as caught:
                    pool.apply(double_thing, (1,))
                self.assertIn("two ways out", str(caught.exception))
                self.assertIn("allow_main: true", str(caught.exception))
                for call in (pool.apply, lambda f, args: pool.map(f, args)):
                    with self.assertRaises(lido.TaskNotFound) as caught:
                        call(functions.pair, (Thing(1),))
                    self.assertIn("allow_main: true", str(caught.exception))
            with self.assertRaises(lido.TaskNotFound):
                lido.Pool(1, double_thing, (1,), url=service.url)

    def test_a_module_that_the_workers_cannot_import(self):
        place = {"directory": "/"}
        with Service(allow_main=False, **place) as service, \
                lido.Pool(1, url=service.url) as pool:
            with self.assertRaises(lido.TaskNotFound) as caught:
                pool.apply(functions.square, (1,))
            self.assertIn("PYTHONPATH", str(caught.exception))
        # A worker that may load the script also finds what lies beside it.
        with Service(**place) as service, lido.Pool(1, url=service.url) as pool:
            self.assertEqual(pool.apply(functions.square, (3,)), 9)

    def test_a_pool_in_a_worker(self):
        self.assertEqual(self.pool.apply(nested, (3, self.service.url)), [0, 1, 4])

    def test_a_child_of_a_fork_leaves_the_pool_alone(self):
        result = self.pool.apply_async(functions.rest, (0.2,))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of forks with threads: that is the point.
            child = os.fork()
        if child == 0:
            try:
                self.pool.terminate()
                self.assertEqual(lido.Client().apply(functions.square, 3), 9)
            except BaseException:
                os._exit(1)
            os._exit(0)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(result.get(SECONDS_MAX), 0.2)

    # Errors

    def test_errors_are_those_of_the_worker(self):
        with self.assertRaises(KeyError) as caught:
            self.pool.map(functions.fail_at_three, range(5))
        self.assertEqual(caught.exception.args, ("three", 3))
        self.assertIs(type(caught.exception.__cause__), RemoteTraceback)
        self.assertIn('raise KeyError("three", x)', caught.exception.__cause__.tb)

    def test_an_error_that_cannot_be_read_fails_its_call_only(self):
        with self.assertRaises(lido.RemoteError) as caught:
            self.pool.apply(functions.trouble, (1,))
        self.assertEqual(caught.exception.type, "Trouble")
        self.assertIsInstance(caught.exception.__cause__, RemoteTraceback)
        self.assertEqual(self.pool.apply(functions.square, (3,)), 9)

    def test_a_worker_that_dies_fails_its_call_only(self):
        results = [self.pool.apply_async(functions.square, (n,)) for n in range(50)]
        lost = self.pool.apply_async(functions.die)
        left = self.pool.apply_async(functions.leave, (3,))
        results += [self.pool.apply_async(functions.square, (n,)) for n in range(50)]
        self.assertEqual(
            [result.get(SECONDS_MAX) for result in results], [n * n for n in range(50)] * 2)
        with self.assertRaises(lido.JobFailed) as caught:
            lost.get(SECONDS_MAX)
        self.assertEqual((caught.exception.code, caught.exception.signal), ("signalled", 9))
        with self.assertRaises(lido.JobFailed) as caught:
            left.get(SECONDS_MAX)
        self.assertEqual((caught.exception.code, caught.exception.exitcode), ("exited", 3))

    def test_a_map_whose_workers_are_killed(self):
        pool = self.other_pool(2)
        values, lost = [], 0
        iterator = pool.imap_unordered(functions.rest_and_square, range(400))
        for count in itertools.count(1):
            try:
                values.append(next(iterator))
            except lido.JobFailed as error:
                self.assertEqual((error.code, error.signal), ("signalled", 9))
                lost += 1
            except StopIteration:
                break
            if count % 40 == 0:
                os.kill(pool._pool[0].pid, signal.SIGKILL)
        self.assertEqual(len(set(values)) + lost, 400)
        self.assertTrue(0 < lost <= 10, lost)
        self.assertLessEqual(set(values), {n * n for n in range(400)})

    def test_a_raising_callback_fails_its_call_only(self):
        def callback(value):
            raise ZeroDivisionError(value)
        result = self.pool.apply_async(functions.square, (3,), callback=callback)
        with self.assertRaises(ZeroDivisionError):
            result.get(SECONDS_MAX)
        self.assertEqual(self.pool.apply(functions.square, (3,)), 9)

    # Results

    def test_callbacks_run_in_one_thread_before_the_result_is_ready(self):
        seen = []
        results = []

        def callback(value):
            seen.append((value, threading.current_thread().name, results[value].ready()))
        for number in range(200):
            results.append(None)
            results[number] = self.pool.apply_async(functions.add, (number, 0), callback=callback)
        for result in results:
            result.wait(SECONDS_MAX)
        self.assertEqual(sorted(value for value, _, _ in seen), list(range(200)))
        self.assertEqual({name for _, name, _ in seen}, {"lido pool results"})
        self.assertEqual({ready for _, _, ready in seen}, {False})

    def test_many_calls_are_few_requests(self):
        before = len(self.service.requests)
        results = [self.pool.apply_async(functions.square, (n,)) for n in range(2000)]
        self.assertEqual([result.get() for result in results], [n * n for n in range(2000)])
        made = self.service.requests[before:]
        self.assertLess(made.count("POST /v1/jobs"), 400)

    def test_answers_that_are_lost(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "calls")
            self.pool.apply(functions.append, (path, "first"))
            self.service.breaks = 3
            results = [self.pool.apply_async(functions.append, (path, n)) for n in range(20)]
            for result in results:
                result.get(SECONDS_MAX)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(len(file.read().split()), 21)

    def test_results_have_the_id_of_their_job_or_map(self):
        client = lido.Client()
        result = self.pool.apply_async(functions.prints, ("hello",))
        result.get(SECONDS_MAX)
        self.assertEqual(client.job(result.id)["task"], "worker_functions:prints")
        self.assertTrue(client.wait(result)["successful"])
        if not PROGRAM:  # The service has the log of a job before the job is final.
            double = self.service.pools[self.pool._service.name]
            with self.service.changed:
                self.service.changed.wait_for(lambda: b"hello" in double.output, SECONDS_MAX)
        self.assertIn("hello", client.logs(result, stream="stdout"))
        for found in (
                self.pool.map_async(functions.square, range(3)),
                self.pool.map_async(functools.partial(pow, 2), range(3)),
                self.pool.imap(functions.square, range(3)),
                self.pool.imap_unordered(functions.square, range(3))):
            list(found.get(SECONDS_MAX) if hasattr(found, "get") else found)
            self.assertTrue(client.map_handle(found, SECONDS_MAX)["successful"])
        self.assertIsNone(self.pool.map_async(functions.square, []).id)
        with self.assertRaises(ValueError):
            client.map_handle(self.pool.map_async(functions.square, []))

    def test_chunks(self):
        with self.assertRaises(ValueError):
            self.pool.map_async(functions.square, [1], chunksize=0)
        for size in (0, -1):
            with self.assertRaises(ValueError):
                self.pool.imap(functions.square, [1], size)
        with self.assertRaises(TypeError):
            self.pool.apply(functions.square, (), {1: 2})
        iterator = self.pool.imap(functions.fail_at_three, range(8), 2)
        values = []
        with self.assertRaises(KeyError):
            for value in iterator:
                values.append(value)
        self.assertEqual(values, [0, 1, 2])
        self.assertEqual(list(iterator), [])

    def test_imap_goes_on_after_an_error(self):
        iterator = self.pool.imap(functions.fail_at_three, range(6))
        values = []
        while True:
            try:
                values.append(next(iterator))
            except KeyError:
                values.append(None)
            except StopIteration:
                break
        self.assertEqual(values, [0, 1, 2, None, 4, 5])

    def test_imap_is_lazy(self):
        taken = []

        def numbers():
            for number in itertools.count():
                taken.append(number)
                yield number
        for kind in (self.pool.imap, self.pool.imap_unordered):
            taken.clear()
            iterator = kind(functions.square, numbers(), buffersize=5)
            self.assertEqual(len({next(iterator) for _ in range(200)}), 200)
            # The processes and the buffer, and one more that waits to be sent.
            self.assertLessEqual(len(taken), 200 + 2 + 5 + 1)
            iterator._values.terminate()

    def assert_nothing_stays(self, threads, identifiers):
        """That all threads but these end, and so many maps on the service; their totals."""
        for thread in set(threading.enumerate()) - threads:
            if thread.name.startswith("lido map"):
                thread.join(SECONDS_MAX)
                self.assertFalse(thread.is_alive(), thread.name)
        client = lido.Client()
        handles = [client.map_handle(name, SECONDS_MAX) for name in identifiers]
        self.assertEqual({handle["state"] for handle in handles}, {"succeeded"})
        return [handle["total"] for handle in handles]

    def test_an_iterator_that_is_dropped(self):
        pool = self.other_pool(2)
        before = set(threading.enumerate())
        seen = []
        begin = pool._core.begin_stream

        def note(stream):
            seen.append(stream.identifier)
            begin(stream)
        pool._core.begin_stream = note
        for call in (
                lambda: any(pool.imap_unordered(functions.square, range(1, 200))),
                lambda: any(pool.imap(functions.square, range(1, 200), 3)),
                lambda: pool.imap(functools.partial(pow, 2), range(1, 200)),
                lambda: next(pool.imap_unordered(functools.partial(pow, 2), [1] * 199))):
            call()
        # As with multiprocessing, the rest is done.
        self.assertEqual(self.assert_nothing_stays(before, seen), [199] * 4)
        self.assertEqual(pool._core._streams, set())

    def test_an_iterator_over_what_may_have_no_end_that_is_dropped(self):
        pool = self.other_pool(2)
        before = set(threading.enumerate())
        taken, seen = [], []

        def numbers(numbers):
            for number in numbers:
                taken.append(number)
                yield number
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "calls")
            append = functools.partial(functions.append, path)
            for iterator in (
                    pool.imap(functions.square, numbers(itertools.count()), buffersize=5),
                    pool.imap_unordered(append, numbers(range(100)), buffersize=5)):
                next(iterator)
                seen.append(iterator.id)
                del iterator
            totals = self.assert_nothing_stays(before, seen)
            self.assertLess(max(totals), 20)
            self.assertLessEqual(len(taken), sum(totals) + 2)
            self.assertEqual(pool.apply(functions.square, (3,)), 9)
            left = {stream.identifier: stream for stream in pool._core._left}
            self.assertEqual(set(left), set(seen))
            # The one that has no end is not to be waited for.
            pool._core._left.remove(left[seen[0]])
            pool.close()
            pool.join()
            with open(path, encoding="utf-8") as file:
                self.assertEqual(sorted(map(int, file.read().split())), list(range(100)))

    def test_next_with_a_timeout(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "fifo")
            os.mkfifo(path)
            iterator = self.pool.imap(functions.wait_for, [path])
            with self.assertRaises(multiprocessing.TimeoutError):
                iterator.next(0.05)
            with open(path, "w", encoding="utf-8") as file:
                file.write("now")
            self.assertEqual(iterator.next(SECONDS_MAX), "now")

    # The life of a pool

    def test_get_after_terminate_raises_at_once(self):
        pool = self.other_pool(1)
        results = [pool.apply_async(functions.rest, (60,)), pool.map_async(functions.rest, [60])]
        iterator = pool.imap(functions.rest, [60, 60])
        pool.terminate()
        for result in results:
            with self.assertRaises(lido.PoolTerminated):
                result.get()
        with self.assertRaises(lido.PoolTerminated):
            next(iterator)
        with self.assertRaises(StopIteration):
            next(iterator)
        with self.assertRaises(ValueError) as caught:
            pool.apply_async(functions.square, (1,))
        self.assertEqual(str(caught.exception), "Pool not running")

    def test_terminate_within_a_callback(self):
        pool = self.other_pool(1)
        done = threading.Event()

        def callback(_):
            pool.terminate()
            done.set()
        pool.apply_async(functions.square, (1,), callback=callback)
        self.assertTrue(done.wait(SECONDS_MAX))

    def test_close_and_join_do_all_that_was_asked(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "calls")
            pool = self.other_pool(2)
            results = [pool.apply_async(functions.append, (path, n)) for n in range(20)]
            # Nobody reads these, and yet they are done; more than are ever sent ahead.
            unread = pool.imap(functools.partial(functions.append, path), range(20, 220))
            also = pool.imap_unordered(functions.square, range(300))
            with self.assertRaises(ValueError) as caught:
                pool.join()
            self.assertEqual(str(caught.exception), "Pool is still running")
            pool.close()
            with self.assertRaises(ValueError):
                pool.map(functions.square, [1])
            pool.join()
            self.assertTrue(all(result.ready() for result in results))
            with open(path, encoding="utf-8") as file:
                self.assertEqual(sorted(map(int, file.read().split())), list(range(220)))
            self.assertEqual(len(list(unread)) + len(list(also)), 500)
            self.assertEqual([worker for worker in pool._pool if worker.is_alive()], [])
            pool.join()

    def test_initializer(self):
        pool = self.other_pool(2, functions.initialize, (1, (2, 3)))
        self.assertEqual(pool.map(functions.settings, range(4), 1), [(1, (2, 3))] * 4)
        pool = self.other_pool(1, Thing, (1,))
        self.assertEqual(pool.apply(functions.square, (2,)), 4)
        pool = self.other_pool(1, functools.partial(functions.initialize, 5))
        self.assertEqual(pool.apply(functions.settings), (5,))
        with self.assertRaises(lido.ServiceError) as caught:
            lido.Pool(2, functions.initialize, ("fail",))
        self.assertEqual(caught.exception.code, "pool_not_started")
        self.assertIn("no set-up today", str(caught.exception))
        with self.assertRaises(TypeError):
            lido.Pool(1, 1)

    def test_initializers_that_need_the_script(self):
        pool = self.other_pool(1, functools.partial(set_up_with_thing, 1), (2,))
        self.assertEqual(pool.apply(functions.settings), (Thing((1, 2)),))
        pool = self.other_pool(1, functions.initialize, (Thing(1),))
        self.assertEqual(pool.apply(functions.settings), (Thing(1),))
        with Service(allow_main=False, folders=[HERE]) as service:
            with lido.Pool(1, functions.initialize, (1,), url=service.url) as pool:
                self.assertEqual(pool.apply(functions.settings), (1,))
            for initializer, args in (
                    (functools.partial(set_up_with_thing, 1), ()),
                    (functions.initialize, (Thing(1),))):
                with self.assertRaises(lido.ServiceError) as caught:
                    lido.Pool(1, initializer, args, url=service.url)
                self.assertIn("allow_main: true", str(caught.exception))

    def test_initargs_that_are_too_long(self):
        for size, status in ((1 << 20, 400), (9 << 20, 413)):
            with self.assertRaises(lido.ServiceError) as caught:
                lido.Pool(1, functions.initialize, ("x" * size,))
            self.assertEqual(caught.exception.status, status)
            for part in ("initargs", f"take {size + 4} bytes", "1 MiB", "from a file"):
                self.assertIn(part, str(caught.exception))

    def test_maxtasksperchild_is_of_chunks(self):
        pool = self.other_pool(1, maxtasksperchild=1)
        self.assertEqual(len(set(pool.map(functions.pid, range(6), chunksize=3))), 2)
        self.assertEqual(len(set(pool.map(functions.pid, range(4), chunksize=1))), 4)

    def test_maxtasksperchild_that_is_left_out_is_the_service_s(self):
        with Service(maxtasksperchild=1, folders=[HERE]) as service:
            for given, pids in (({}, 4), ({"maxtasksperchild": None}, 1)):
                with lido.Pool(1, url=service.url, **given) as pool:
                    self.assertEqual(
                        len(set(pool.map(functions.pid, range(4), chunksize=1))), pids)
        for wrong in (0, -1, 0.5, "12"):
            with self.assertRaises(ValueError):
                lido.Pool(1, maxtasksperchild=wrong)

    def test_a_pool_that_nobody_holds_ends(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            pool = lido.Pool(1)
            core, text = pool._core, repr(pool)
            del pool
            gc.collect()
        self.assertEqual(
            [str(warning.message) for warning in caught],
            [f"unclosed running multiprocessing pool {text}"])
        for thread in core._threads:
            thread.join(SECONDS_MAX)
            self.assertFalse(thread.is_alive())
        self.assertTrue(core.service.is_joined())
        # But one whose result somebody waits for does its work.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.assertEqual(lido.Pool(1).map_async(functions.square, [1, 2]).get(), [1, 4])

    def test_a_program_that_leaves_its_pool_open_ends(self):
        program = (
            "import lido\nproblem = None\n"
            "class A:\n    def __init__(self): self.pool = lido.Pool(1)\n"
            "def test():\n    global problem\n    problem = A()\n"
            "    print(problem.pool.map(float, tuple(range(10)))[9])\n"
            "    problem.result = problem.pool.apply_async(max, (1, 2))\n"
            "if __name__ == '__main__': test()\n")
        found = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS_MAX,
            env={**os.environ, "PYTHONPATH": SOURCES}, check=False)
        self.assertEqual((found.returncode, found.stdout, found.stderr), (0, "9.0\n", ""))
        transport = lido.Client().transport
        name = transport.json("GET", "/v1/pools")["pools"][-1]["name"]
        handle = transport.json(
            "GET", f"/v1/pools/{name}?wait_joined={SECONDS_MAX}", wait=SECONDS_MAX)
        self.assertEqual(handle["state"], "joined")

    def test_a_service_that_was_never_there(self):
        began = time.monotonic()
        with self.assertRaises(lido.Unreachable) as caught:
            lido.Pool(1, url="http://127.0.0.1:9")
        self.assertLess(time.monotonic() - began, 5)
        for part in ("http://127.0.0.1:9 ", "LIDO_URL", "`lido serve`"):
            self.assertIn(part, str(caught.exception))
        self.assertIsNone(caught.exception.__cause__)

    def test_it_does_not_travel(self):
        with self.assertRaises(NotImplementedError):
            pickle.dumps(self.pool)
        self.assertEqual(repr(self.pool), "<lido.pool.Pool state=RUN pool_size=2>")


if __name__ == "__main__":
    pool_case.main()
