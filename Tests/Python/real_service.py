"""The service itself, `lido serve`, with the surface that the tests use of the double."""

import os
import signal
import subprocess
import sys
import tempfile
import threading

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "Sources", "Python")

SECONDS_MAX = 20


class NotStarted(AssertionError):
    """The service ended, or was not ready in time; with what it logged."""


class Process:
    """A service with a data folder of its own, which is ready."""

    def __init__(self, program, configuration=None, *arguments):
        """`configuration`: the text of its `lido.yaml`."""
        self.folder = tempfile.TemporaryDirectory()
        self.program = program
        self.arguments = ["--port-file", self.place("port"), "--data", self.place("data"),
                          *arguments]
        if configuration is not None:
            with open(self.place("lido.yaml"), "w", encoding="utf-8") as file:
                file.write(configuration)
            self.arguments += ["--config", self.place("lido.yaml")]
        self.start(0)

    def start(self, port):
        """Starts it, and waits until it is ready."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("LIDO_")}
        with open(self.place("log"), "wb") as log:
            self.process = subprocess.Popen(
                [self.program, "serve", "--listen", f"127.0.0.1:{port}", *self.arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            self.url = f"http://127.0.0.1:{self.port()}"
        except NotStarted:
            self.end()
            raise

    def crash(self):
        """Ends it as a crash does, and starts it again with its data, where it was."""
        port = self.port()
        self.process.kill()
        self.process.wait()
        os.remove(self.place("port"))
        self.start(port)

    def place(self, name):
        """A path in its folder."""
        return os.path.join(self.folder.name, name)

    def port(self):
        """Where it listens: it writes that when it is ready."""
        waiting = threading.Event()
        for _ in range(SECONDS_MAX * 50):
            if os.path.exists(self.place("port")):
                with open(self.place("port"), encoding="utf-8") as file:
                    text = file.read().strip()
                if text:
                    return text
            if self.process.poll() is not None:
                break
            waiting.wait(0.02)
        with open(self.place("log"), encoding="utf-8", errors="replace") as file:
            raise NotStarted(f"the service does not start so: {file.read()[-4000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Ends it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.folder.cleanup()


class Service(Process):
    """One with a pool of Python workers, as the double is made."""

    def __init__(
        self, program, allow_pickle=True, allow_main=True, folders=(), directory=None, modules=(),
        jobs_max=None, body_bytes_max=None, max_arguments=None, maxtasksperchild=None,
    ):
        worker = ", ".join(f'"{part}"' for part in (sys.executable, "-m", "lido.worker", *modules))
        path = os.pathsep.join([os.path.realpath(SOURCES), *folders])
        pickle, main = str(bool(allow_pickle)).lower(), str(bool(allow_main)).lower()
        arguments = []
        if jobs_max is not None:
            arguments += ["--max-queued", str(jobs_max)]
        if body_bytes_max is not None:
            arguments += ["--max-body", str(body_bytes_max)]
        super().__init__(program, f"""
allow_pickle: {pickle}
pools:
  python:
    worker: [{worker}]
    processes: 2
    directory: "{directory or os.getcwd()}"
    allow_pickle: {pickle}
    allow_main: {main}
    environment: {{ PYTHONPATH: "{path}", PYTHONDONTWRITEBYTECODE: "1" }}
{f"    max_arguments: {max_arguments}" if max_arguments else ""}
{f"    maxtasksperchild: {maxtasksperchild}" if maxtasksperchild else ""}
""", *arguments)
