#!/usr/bin/env python3
"""The tutorials' programs print with lido.Pool what they print with multiprocessing.Pool.

Each is run as it stands, and once with the import that its comment names. The service is the one
at LIDO_URL, whose pool `python` (or LIDO_POOL) has `allow_main` and `allow_pickle`; without
LIDO_URL it is the test double.

    python3 Tests/Python/example_tests.py [-v]
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(HERE, "..", "..", "Sources")
sys.path[:0] = [HERE, os.path.join(SOURCES, "Python")]

OURS = "from lido import Pool  # from multiprocessing import Pool\n"
THEIRS = "from multiprocessing import Pool\n"


class ExampleTest(unittest.TestCase):
    """One test for each program."""

    service = None

    @classmethod
    def setUpClass(cls):
        if not os.environ.get("LIDO_URL"):
            from double.service import Service

            cls.service = Service()
            os.environ["LIDO_URL"] = cls.service.url
            cls.addClassCleanup(os.environ.pop, "LIDO_URL")
            cls.addClassCleanup(cls.service.end)

    def run_program(self, path, *arguments):
        """What a program prints; it must end well."""
        found = subprocess.run(
            [sys.executable, path, *arguments], capture_output=True, text=True, timeout=60,
            env={**os.environ, "PYTHONPATH": os.path.join(SOURCES, "Python")}, check=False)
        self.assertEqual(found.returncode, 0, found.stderr)
        return found.stdout

    def check(self, name, *arguments, with_folder=False):
        """The program prints the same with both pools."""
        path = os.path.join(SOURCES, "Examples", "Python", f"{name}.py")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(text.count(OURS), 1)
        printed = []
        with tempfile.TemporaryDirectory() as folder:
            original = os.path.join(folder, f"{name}.py")
            with open(original, "w", encoding="utf-8") as file:
                file.write(text.replace(OURS, THEIRS))
            for place, program in enumerate((original, path)):
                given = list(arguments)
                if with_folder:
                    given.append(os.path.join(folder, str(place)))
                    os.mkdir(given[-1])
                printed.append(self.run_program(program, *given))
        self.assertEqual(printed[0], printed[1])
        return printed[1]

    def test_square(self):
        self.assertIn("map: [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]", self.check("square"))

    def test_process_item(self):
        printed = self.check("process_item")
        self.assertIn("16 became 160", printed)
        self.assertIn("failed: ValueError('13 is no item', 13)", printed)

    def test_factorial(self):
        self.assertIn("15! = 1307674368000", self.check("factorial"))

    @unittest.skipUnless(importlib.util.find_spec("PIL"), "Pillow is not installed")
    def test_blur_image(self):
        self.assertIn("the same results: True", self.check("blur_image", with_folder=True))


if __name__ == "__main__":
    unittest.main()
