"""Builds the wheel of this package (PEP 517, PEP 660) with the standard library alone.

A wheel is a zip file of the package and three files about it; there is nothing to compile, and so
`pip install` works without the network.
"""

import base64
import hashlib
import os
import re
import tarfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def build_wheel(folder, config_settings=None, metadata_directory=None):
    """Writes the wheel into a folder; its file name."""
    files = {}
    for name in sorted(os.listdir(os.path.join(ROOT, "lido"))):
        if name.endswith((".py", ".typed")):
            files[f"lido/{name}"] = _read(os.path.join("lido", name))
    return _write(folder, files)


def build_editable(folder, config_settings=None, metadata_directory=None):
    """Writes a wheel that leads to the sources."""
    return _write(folder, {"lido.pth": (ROOT + "\n").encode()})


def build_sdist(folder, config_settings=None):
    """Writes the sources as an archive; its file name."""
    name = f"lido-{_version()}"
    with tarfile.open(os.path.join(folder, f"{name}.tar.gz"), "w:gz") as archive:
        for part in ("lido", "build_backend", "pyproject.toml", "README.md"):
            archive.add(
                os.path.join(ROOT, part), f"{name}/{part}",
                filter=lambda entry: None if "__pycache__" in entry.name else entry)
    return f"{name}.tar.gz"


def _version():
    text = _read(os.path.join("lido", "__init__.py")).decode()
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE).group(1)


def _metadata():
    project = _read("pyproject.toml").decode()
    summary = re.search(r'^description = "(.+)"$', project, re.MULTILINE).group(1)
    return (
        f"Metadata-Version: 2.1\nName: lido\nVersion: {_version()}\nSummary: {summary}\n"
        "Requires-Python: >=3.9\nDescription-Content-Type: text/markdown\n\n"
        + _read("README.md").decode()).encode()


def _write(folder, files):
    about = f"lido-{_version()}.dist-info"
    files[f"{about}/METADATA"] = _metadata()
    files[f"{about}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: lido_build\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    records = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
        records.append(f"{name},sha256={digest},{len(text)}")
    records.append(f"{about}/RECORD,,")
    files[f"{about}/RECORD"] = ("\n".join(records) + "\n").encode()
    wheel = f"lido-{_version()}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            # A moment of its own would make every wheel another.
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return wheel


def _read(path):
    with open(os.path.join(ROOT, path), "rb") as file:
        return file.read()
