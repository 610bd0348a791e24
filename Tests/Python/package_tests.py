#!/usr/bin/env python3
"""What `pip install Sources/Python` does: the back end of its pyproject.toml is asked as PEP 517
has it, and what it makes is unpacked and imported; with pip itself where the interpreter has it.

    python3 Tests/Python/package_tests.py
"""

import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.realpath(os.path.join(HERE, "..", "..", "Sources", "Python"))


def output(arguments, **options):
    """What a program prints; fails with what it said."""
    found = subprocess.run(arguments, capture_output=True, text=True, check=False, **options)
    if found.returncode != 0:
        raise AssertionError(f"{arguments}: {found.stdout}{found.stderr}")
    return found.stdout.strip()


def built(hook, folder):
    """The path of what a hook of the back end makes."""
    code = (
        f"import sys; sys.path.insert(0, 'build_backend'); import lido_build; "
        f"print(lido_build.{hook}({folder!r}))")
    return os.path.join(folder, output(
        [sys.executable, "-c", code], cwd=PACKAGE,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}))


def imported_from(folder):
    """Where `lido` is imported from, without PYTHONPATH, and its version."""
    code = (
        f"import sys; sys.path.insert(0, {folder!r}); import lido, lido.worker; "
        "print(lido.__file__, lido.__version__)")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return output([sys.executable, "-c", code], env=environment, cwd=folder).split()


class PackageTests(unittest.TestCase):
    """The wheel, the archive, pip."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def test_the_wheel(self):
        path = built("build_wheel", self.folder.name)
        with zipfile.ZipFile(path) as archive:
            self.assertIsNone(archive.testzip())
            names = archive.namelist()
            about = next(name for name in names if name.endswith("/METADATA"))
            metadata = archive.read(about).decode()
            archive.extractall(self.folder.name)
        modules = {f"lido/{name}" for name in os.listdir(os.path.join(PACKAGE, "lido"))
                   if name.endswith((".py", ".typed"))}
        self.assertEqual({name for name in names if name.startswith("lido/")}, modules)
        self.assertIn("lido/py.typed", names)
        place, version = imported_from(self.folder.name)
        self.assertTrue(place.startswith(self.folder.name), place)
        self.assertRegex(metadata, rf"(?m)^Version: {re.escape(version)}$")
        self.assertRegex(metadata, r"(?m)^Requires-Python: >=3\.9$")
        with open(os.path.join(PACKAGE, "pyproject.toml"), encoding="utf-8") as file:
            self.assertIn(f'version = "{version}"', file.read())

    def test_the_archive(self):
        with tarfile.open(built("build_sdist", self.folder.name)) as archive:
            names = archive.getnames()
        for part in ("pyproject.toml", "README.md", "build_backend/lido_build.py", "lido/pool.py"):
            self.assertTrue(any(name.endswith("/" + part) for name in names), part)

    @unittest.skipUnless(importlib.util.find_spec("pip"), "this interpreter has no pip")
    def test_pip(self):
        # Without an index: nothing is fetched, whatever this machine can reach.
        output([sys.executable, "-m", "pip", "install", "--quiet", "--no-index",
                "--disable-pip-version-check", "--target", self.folder.name, PACKAGE])
        self.assertTrue(imported_from(self.folder.name)[0].startswith(self.folder.name))


if __name__ == "__main__":
    unittest.main()
