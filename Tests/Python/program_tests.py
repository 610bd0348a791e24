#!/usr/bin/env python3
"""Whole programs that use `lido.Pool`, each in a process of its own.

The service is the one at LIDO_URL, whose pool `python` (or LIDO_POOL) has `allow_main` and
`allow_pickle`; without LIDO_URL it is the test double.

    python3 Tests/Python/program_tests.py [-v] [NAME …]
"""

import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "Sources", "Python")
sys.path[:0] = [HERE, SOURCES]

SECONDS_MAX = 30

#: The same with `import multiprocessing as mp`, but for the names of the workers.
AS_MP = """
import lido as mp

def work(number):
    process = mp.current_process()
    return number * number, process.name, process._identity

def fail(number):
    raise mp.TimeoutError(number)

if __name__ == "__main__":
    mp.freeze_support()
    mp.set_start_method("spawn", force=True)
    assert mp.current_process().name == "MainProcess"
    with mp.Pool(min(2, mp.cpu_count())) as pool:
        found = pool.map(work, range(4))
        print([value for value, _, _ in found])
        for _, name, identity in found:
            assert identity in ((1,), (2,)), identity
            assert name == f"LidoPoolWorker-{identity[0]}", name
        try:
            pool.apply(fail, (1,))
        except mp.TimeoutError as error:
            print("TimeoutError", error)
    context = mp.get_context("spawn")
    with context.Pool(1) as pool:
        print(pool.apply(pow, (2, 5)), mp.get_start_method(), context.cpu_count() > 0)
"""


class ProgramTest(unittest.TestCase):
    """One test for each program."""

    @classmethod
    def setUpClass(cls):
        if not os.environ.get("LIDO_URL"):
            from double.service import Service

            service = Service()
            os.environ["LIDO_URL"] = service.url
            cls.addClassCleanup(os.environ.pop, "LIDO_URL")
            cls.addClassCleanup(service.end)

    def run_program(self, *arguments, text=None):
        """What a program prints; it must end well."""
        found = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=SECONDS_MAX,
            env={**os.environ, "PYTHONPATH": SOURCES}, check=False, input=text)
        self.assertEqual(found.returncode, 0, found.stderr)
        return found.stdout

    def test_a_program_that_imports_lido_as_mp(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "program.py")
            with open(path, "w", encoding="utf-8") as file:
                file.write(AS_MP)
            self.assertEqual(
                self.run_program(path), "[0, 1, 4, 9]\nTimeoutError 1\n32 spawn True\n")

    def test_what_lido_has_not_of_multiprocessing(self):
        import lido

        with self.assertRaisesRegex(AttributeError, "'Queue'.*multiprocessing"):
            lido.Queue()
        self.assertFalse(hasattr(lido, "Process"))
        with self.assertRaisesRegex(ValueError, "'fork'"):
            lido.get_context("fork")
        with self.assertRaisesRegex(ValueError, "'fork'"):
            lido.set_start_method("fork")
        self.assertIs(lido.get_context(), lido)
        for name in lido.__all__:
            self.assertTrue(hasattr(lido, name), name)

    def test_a_program_that_is_no_file(self):
        program = textwrap.dedent("""
            import lido
            class A: pass
            def f(x): return x
            with lido.Pool(1) as pool:
                print(pool.apply(abs, (-1,)))
                for call in (lambda: pool.apply(f, (1,)), lambda: pool.map(f, [1]),
                             lambda: pool.apply(id, (A(),)), lambda: pool.map(id, [A()]),
                             lambda: lido.Pool(1, f, (1,))):
                    try:
                        call()
                    except lido.TaskNotFound as error:
                        print("there is no script" in str(error), "allow_main" in str(error))
            """)
        for arguments, text in ((["-c", program], None), (["-"], program)):
            self.assertEqual(
                self.run_program(*arguments, text=text), "1\n" + "True False\n" * 5)


if __name__ == "__main__":
    unittest.main()
