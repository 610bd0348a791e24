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

#: For `python -m`: what it prints is whether its classes and those of what comes back are the same.
AS_MODULE = """
import enum
import sys
import lido
{imports}

class Color(enum.Enum):
    RED = 1

class Thing:
    def __init__(self, x):
        self.x = x
    def is_thing(self, other):
        return type(other) is Thing

class Trouble(Exception):
    pass

def is_red(color):
    return color is Color.RED

def thing(x):
    return Thing(x)

def fail(x):
    raise Trouble(x)

def set_up(x):
    assert is_red(x)
    global seen
    seen = x

def count(x):
    return 2 * x, sum(name in sys.modules for name in ("program", "pack.program"))

if __name__ == "__main__":
    def attempt(name, call):
        try:
            print(name, call())
        except Exception as error:
            print(name, type(error).__name__, "allow_main: true" in str(error))
    with lido.Pool(1) as pool:
        attempt("count", lambda: pool.apply(count, (2,)))
        attempt("is_red", lambda: pool.map(is_red, [Color.RED]))
        attempt("thing", lambda: type(pool.apply(thing, (1,))) is Thing)
        attempt("imap", lambda: [type(one) is Thing for one in pool.imap(thing, [1])])
        attempt("is_thing", lambda: pool.apply(Thing(1).is_thing, (Thing(2),)))
        attempt("fail", lambda: pool.apply(fail, (1,)))
        {calls}
    def set_up_with(color):
        with lido.Pool(1, set_up, (color,)) as other:
            return other.apply(is_red, (1,))
    attempt("set_up", lambda: set_up_with(Color.RED))
    print("again", sum(name in sys.modules for name in ("program", "pack.program")))
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

    def run_program(self, *arguments, text=None, folder=None, **variables):
        """What a program prints; it must end well."""
        found = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=SECONDS_MAX,
            env={**os.environ, "PYTHONPATH": SOURCES, **variables}, check=False, input=text,
            cwd=folder)
        self.assertEqual(found.returncode, 0, found.stderr)
        return found.stdout

    def modules(self):
        """A folder with the module `program`, and the package `pack` with `program`, `__main__` and
        `beside`."""
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        package = os.path.join(temporary.name, "pack")
        os.mkdir(package)
        within = AS_MODULE.format(
            imports="from . import here\nfrom .beside import double",
            calls='attempt("double", lambda: pool.map(double, range(3)))')
        for path, text in (
                ("program.py", AS_MODULE.format(imports="", calls="pass")),
                ("pack/__init__.py", "here = 1\n"), ("pack/program.py", within),
                ("pack/__main__.py", within), ("pack/beside.py", "def double(x): return 2 * x\n")):
            with open(os.path.join(temporary.name, path), "w", encoding="utf-8") as file:
                file.write(text)
        return temporary.name

    def test_a_program_that_imports_lido_as_mp(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "program.py")
            with open(path, "w", encoding="utf-8") as file:
                file.write(AS_MP)
            self.assertEqual(
                self.run_program(path), "[0, 1, 4, 9]\nTimeoutError 1\n32 spawn True\n")

    def test_a_program_that_is_a_module(self):
        """Its classes are one with those of the workers: it is loaded once, as its script is."""
        expected = (
            "count (4, 0)\nis_red [True]\nthing True\nimap [True]\nis_thing True\n"
            "fail Trouble False\n{}set_up False\nagain 0\n")
        folder = self.modules()
        self.assertEqual(
            self.run_program("-m", "program", folder=folder), expected.format(""))
        # Of a package, whose root is on the workers' path; they are elsewhere.
        for name in ("pack.program", "pack"):
            self.assertEqual(
                self.run_program("-m", name, folder=folder), expected.format("double [0, 2, 4]\n"))

    def test_a_program_that_is_a_module_where_it_is_not_loaded(self):
        """By the name of its module, if workers can import that; never with classes of another."""
        from double.service import Service

        folder = self.modules()
        with Service(allow_main=False, folders=[folder]) as service:
            self.assertEqual(
                self.run_program("-m", "program", folder=folder, LIDO_URL=service.url),
                "count (4, 1)\nis_red TaskNotFound True\nthing TaskNotFound True\n"
                "imap TaskNotFound True\nis_thing TaskNotFound True\nfail Trouble False\n"
                "set_up ServiceError True\nagain 0\n")
        with Service(allow_main=False) as service:
            self.assertIn(
                "count TaskNotFound True\n",
                self.run_program("-m", "program", folder=folder, LIDO_URL=service.url))

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
