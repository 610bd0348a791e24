"""Starts, kills and looks at the service under test, and nothing else.

The binary comes from the environment's `LIDO_BIN`. Only processes that this module started are
ever ended, by their pid; a pid is trusted only while its start time (`/proc/PID/stat`) is the one
that was seen, so that a reused pid is never hit.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

from http_connection import Broken, Connection

#: The variable that marks a service and everything that it starts. It does not begin with `LIDO_`,
#: which the service would take for a setting.
MARK = "E2E_MARK"
#: How often a state that has no event is looked at, in seconds.
POLL = 0.005


def binary(variable="LIDO_BIN"):
    """The path of the program under test."""
    path = os.environ.get(variable, "")
    if not path or not os.access(path, os.X_OK):
        sys.exit(f"{variable} does not name a program: {path!r}")
    return os.path.abspath(path)


def wait_until(condition, seconds):
    """Looks at `condition` until it answers something true, at most `seconds`; the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(POLL)


_folders = []


def temporary_folder():
    """A folder that is removed when the script ends."""
    path = tempfile.mkdtemp(prefix="lido-e2e-")
    _folders.append(path)
    return path


def free_port():
    """A port that is free now and that the system does not give to outgoing connections: a client
    that reconnects while the service is down must not end up connected to itself."""
    start = 20_000 + (os.getpid() * 7) % 10_000
    for port in range(start, start + 2_000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


# Processes, as /proc shows them


class Process:
    """A process as it was seen once."""

    def __init__(self, pid, name, state, parent, session, started):
        self.pid = pid
        self.name = name
        self.state = state
        self.parent = parent
        self.session = session
        self.started = started

    def __repr__(self):
        return f"{self.name}[{self.pid}, parent {self.parent}, state {self.state}]"

    @property
    def is_alive(self):
        """Whether this very process still runs; a zombie does not."""
        now = look_at(self.pid)
        return now is not None and now.started == self.started and now.state not in "ZX"


def look_at(pid):
    """The process with this pid, or None. A zombie is one: see `Process.state`."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    # The name is in parentheses and may hold anything (man 5 proc).
    name = text[text.index("(") + 1:text.rindex(")")]
    fields = text[text.rindex(")") + 2:].split(" ")
    return Process(int(pid), name, fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


def all_processes():
    """Every process of the machine, by pid."""
    seen = (look_at(name) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in seen if process is not None}


def descendants(pid):
    """The living children of `pid`, theirs, and so on; without `pid` itself."""
    processes = all_processes()
    children = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    found, open_pids = [], [pid]
    while open_pids:
        for child in children.get(open_pids.pop(), []):
            open_pids.append(child.pid)
            if child.state not in "ZX":
                found.append(child)
    return found


def marked(mark):
    """Every living process whose environment holds the mark, wherever it hangs in the tree."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                is_marked = wanted in file.read().split(b"\0")
        except OSError:
            continue
        process = look_at(name) if is_marked else None
        if process is not None and process.state not in "ZX":
            found.append(process)
    return found


def end_processes(processes):
    """`kill -9` of those that still live."""
    for process in processes:
        if process.is_alive:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # It ended by itself in between.


# The service


class NotReady(Exception):
    """The service ended, or did not become ready in time; with what it logged."""


_services = []


class Service:
    """A service with a data folder of its own, which can be killed and started again.

    `flags` are those of `lido serve` beyond `--listen`, `--data` and `--port-file`. All starts of
    one `Service` share the folder, and the mark that its processes are known by.
    """

    def __init__(self, *flags, folder=None, program=None, environment=None, port=0):
        self.flags = [str(flag) for flag in flags]
        self.folder = folder or temporary_folder()
        self.data = os.path.join(self.folder, "data")
        self.port_file = os.path.join(self.folder, "port")
        self.log = os.path.join(self.folder, "log")
        self.mark = uuid.uuid4().hex
        self.environment = {**clean_environment(), **(environment or {}), MARK: self.mark}
        self.program = program or binary()
        self.wanted_port = port
        self.port = 0
        self.process = None
        self._seen = []
        _services.append(self)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.end()

    @property
    def pid(self):
        """The service's own process."""
        return self.process.pid

    def launch(self, *more_flags, leads_session=False):
        """Starts the program and does not wait for it to be ready. In a session of its own its
        process group is that of nobody else, as in a terminal."""
        if os.path.exists(self.port_file):
            os.remove(self.port_file)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [
                    self.program, "serve", "--listen", f"127.0.0.1:{self.wanted_port}",
                    "--data", self.data, "--port-file", self.port_file, *self.flags, *more_flags,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                cwd=self.folder, start_new_session=leads_session)
        return self

    def wait_ready(self, seconds=15.0):
        """Waits for the port file, which is written when the service is ready."""
        def is_ready():
            return os.path.exists(self.port_file) or self.process.poll() is not None
        wait_until(is_ready, seconds)
        if not os.path.exists(self.port_file):
            status = self.process.poll()
            state = "is not ready" if status is None else f"ended with {status}"
            raise NotReady(f"the service {state}; its log ends: {self.log_text()[-600:]!r}")
        with open(self.port_file, encoding="utf-8") as file:
            self.port = int(file.read())
        try:
            with self.connection(timeout=5) as http:
                http.get("/livez")
        except Broken as error:
            raise NotReady(f"the service wrote its port and then: {error}") from error
        return self

    def start(self, *more_flags):
        """Starts the service and waits until it is ready."""
        self.launch(*more_flags)
        try:
            return self.wait_ready()
        except NotReady:
            self.end()
            raise

    def connection(self, timeout=20.0):
        """A new connection to it."""
        return Connection(self.port, timeout)

    def log_text(self):
        """What it wrote to stderr so far."""
        if not os.path.exists(self.log):
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def remember_processes(self):
        """Notes its processes, so that `left` knows them wherever they end up; answers them."""
        seen = descendants(self.pid) + marked(self.mark)
        by_pid = {process.pid: process for process in seen}
        self._seen = [p for p in self._seen if p.is_alive and p.pid not in by_pid]
        self._seen += by_pid.values()
        return list(by_pid.values())

    def left(self):
        """The processes that the service started, ever, and that still live; itself included."""
        alive = {p.pid: p for p in self._seen if p.is_alive}
        alive.update((p.pid, p) for p in marked(self.mark))
        return list(alive.values())

    def signal(self, number):
        """Sends a signal to the service's own process."""
        self.process.send_signal(number)

    def signal_worker(self, pid, number):
        """Sends a signal to a process that the service named, after a look whether it is one of
        its own: a wrong or old pid must not hit anybody else's process."""
        process = look_at(pid)
        if process is None or pid not in {own.pid for own in self.remember_processes()}:
            raise AssertionError(f"pid {pid} is no living process of the service: {process}")
        os.kill(pid, number)

    def wait_end(self, seconds):
        """The exit status, or None when it still runs after `seconds`."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        """`kill -9` of the service's own process, and only of it."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, seconds=15.0):
        """SIGTERM, and the exit status; None when it did not end in time."""
        self.signal(signal.SIGTERM)
        return self.wait_end(seconds)

    def end(self):
        """Ends it and whatever it left behind, however it stands."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.remember_processes()
            self.kill()
        wait_until(lambda: not self.left(), 1.0)
        end_processes(self.left())


def configured(text, *flags, program=None):
    """A service with a configuration file of this text."""
    service = Service(*flags, program=program)
    path = os.path.join(service.folder, "lido.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    service.flags += ["--config", path]
    return service


def is_listening(service):
    """Whether it takes requests, ready or not."""
    try:
        with service.connection() as http:
            return http.get("/livez").status == 200
    except Broken:
        return False


def clean_environment():
    """The environment without settings of the service."""
    return {k: v for k, v in os.environ.items() if not k.startswith("LIDO_") and k != MARK}


@atexit.register
def _end_all():
    for service in _services:
        service.end()
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)


# Jobs, as a client sees them

FINAL = {"succeeded", "failed", "cancelled"}


def finished(connection, job, seconds=20):
    """Waits for a job to be final and answers its handle."""
    identifier = job["id"] if isinstance(job, dict) else job
    response = connection.get(f"/v1/jobs/{identifier}?wait={seconds}")
    if response.status != 200 or not response.json.get("ready"):
        raise AssertionError(f"job {identifier} is not final after {seconds} s: {response}")
    return response.json


def run(connection, task, *args, **members):
    """Submits a job, waits for its end, and answers its handle."""
    answer = connection.submit(task, *args, **members)
    if answer.status != 202:
        raise AssertionError(f"{task}: {answer}")
    return finished(connection, answer.json)


def wait_for_state(connection, identifier, state, seconds=10.0):
    """Waits until a job is in a state; the handle, or None."""
    def look():
        handle = connection.get(f"/v1/jobs/{identifier}").json
        return handle if handle.get("state") == state else None
    return wait_until(look, seconds)


def pages(connection, target):
    """Every page of a list of jobs, as lists of handles, in order."""
    while target is not None:
        response = connection.get(target)
        if response.status != 200:
            raise AssertionError(f"GET {target}: {response}")
        page = response.json
        yield page["jobs"]
        target = page.get("next")


def all_jobs(connection, query="limit=1000"):
    """Every job that the service knows and that the query asks for."""
    return [job for page in pages(connection, f"/v1/jobs?{query}") for job in page]


__all__ = [
    "all_jobs", "binary", "Broken", "clean_environment", "configured", "Connection",
    "descendants", "end_processes", "FINAL", "finished", "free_port", "look_at", "MARK",
    "marked", "NotReady", "pages", "Process", "run", "Service", "temporary_folder",
    "wait_for_state", "wait_until",
]
