"""Pools of the test double: real worker processes over the worker protocol."""

import collections
import json
import os
import signal
import socket
import subprocess
import sys
import threading

from .work import now

SOURCES = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "Sources", "Python")


class Refused(Exception):
    """A problem: status, code, detail, and further members."""

    def __init__(self, status, code, detail="", **members):
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.members = {
            "type": "about:blank", "title": code, "status": status, "code": code,
            "detail": detail, **members}


class Worker:
    """One process. All but `start` and `send` happen in the thread that reads its channel."""

    numbers = 0

    def __init__(self, pool, slot):
        self.pool = pool
        self.slot = slot
        self.is_ready = False
        self.is_retiring = False
        self.is_stopped = False
        self.failed = None
        self.unit = None
        self.number = None
        self.calls = 0
        self.started_at = now()
        self.exitcode = None
        self.start()

    def start(self):
        """Starts the process and a thread that reads what it says."""
        ours, theirs = socket.socketpair()
        # Nothing of this process but PATH; the rest as in a pool's `environment:`.
        environment = {
            "PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join([SOURCES, *self.pool.folders]),
            "PYTHONDONTWRITEBYTECODE": "1", "LIDO_URL": self.pool.service.url,
            "LIDO_CHANNEL": str(theirs.fileno())}
        self.channel = ours
        self.log_reader, log_writer = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lido.worker", *self.pool.modules], stdin=subprocess.DEVNULL,
            stdout=log_writer, stderr=log_writer, pass_fds=[theirs.fileno()], env=environment,
            cwd=self.pool.directory, start_new_session=True)
        theirs.close()
        os.close(log_writer)
        self.pid = self.process.pid
        setup = {
            "protocol": 1, "pool": self.pool.name, "slot": self.slot,
            "initializer": self.pool.options.get("initializer"),
            "initargs": self.pool.options.get("initargs", []),
            "encoding": "pickle" if self.pool.options.get("allow_pickle") else "json",
            "allow_main": self.pool.allow_main,
            "calls_max": self.pool.calls_max,
            "line_bytes_max": self.pool.line_bytes_max}
        if self.pool.options.get("main"):
            setup["main"] = self.pool.options["main"]
        self.send({"setup": setup})
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.read_log, daemon=True).start()

    def send(self, message):
        """Sends a message; a worker that is gone is found by who reads."""
        try:
            text = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
            self.channel.sendall(text.encode("utf-8") + b"\n")
        except OSError:
            pass

    def read(self):
        """Reads messages to the end of the process."""
        rest = b""
        while True:
            try:
                part = self.channel.recv(1 << 16)
            except OSError:
                part = b""
            if not part:
                break
            *lines, rest = (rest + part).split(b"\n") if b"\n" in part else [rest + part]
            with self.pool.service.changed:
                for line in lines:
                    self.take(json.loads(line))
                self.pool.dispatch()
                self.pool.service.changed.notify_all()
        self.exitcode = self.process.wait()
        self.channel.close()
        with self.pool.service.changed:
            self.pool.worker_ended(self)
            self.pool.service.changed.notify_all()

    def read_log(self):
        """Keeps what it prints as the log of the job that it runs."""
        with open(self.log_reader, "rb", buffering=0) as file:
            while True:
                part = file.read(1 << 16)
                if not part:
                    return
                with self.pool.service.changed:
                    self.pool.output += part
                    self.pool.service.changed.notify_all()

    def take(self, message):
        """One message. Its first member names it: a `raise` has an `item`, too."""
        name = next(iter(message))
        if name == "ready":
            self.is_ready = True
            self.pool.announced = message["ready"]
        elif name == "failed":
            self.failed = message["failed"]
        elif name == "retiring":
            self.is_retiring = True
        elif name in ("progress", "item"):
            self.pool.service.told.append(message)
        else:
            assert message[name] == self.number, message
            unit, self.unit = self.unit, None
            self.calls += 1
            if name == "return":
                unit.ended(None, message["value"], None, None)
            elif self.pool.state == "terminating":
                # A worker that is terminated may tell so, or end.
                unit.ended(self.pool.terminated, None, None, None)
            else:
                unit.ended(message["error"], None, message.get("item"), message.get("values"))

    def give(self, unit):
        """Gives it a unit to run."""
        Worker.numbers += 1
        self.unit, self.number = unit, Worker.numbers
        if unit.owner.kind == "job":
            unit.owner.handle.update(state="running", attempt=1, started_at=now())
        self.send({"call": self.number, **unit.members})

    def kill(self, number):
        """Ends it, and all that it has started."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    @property
    def handle(self):
        """As `/workers` shows it."""
        state = "gone" if self.exitcode is not None else "starting" if not self.is_ready else (
            "busy" if self.unit else "idle")
        shown = {
            "slot": self.slot, "pid": self.pid, "state": state, "calls": self.calls,
            "started_at": self.started_at}
        if self.exitcode is not None:
            shown["exitcode"] = self.exitcode
        return shown


class Pool:
    """A pool: all under the service's lock."""

    def __init__(self, service, name, options):
        self.service = service
        self.name = name
        self.options = options
        self.processes = options.get("processes") or 2
        self.folders = service.folders
        self.directory = service.directory
        self.modules = service.modules
        self.allow_main = service.allow_main
        self.line_bytes_max = service.line_bytes_max
        # As the service has it: 0 is never.
        self.calls_max = options.get("maxtasksperchild", service.maxtasksperchild) or None
        self.state = "running"
        self.failure = None
        self.announced = {}
        self.output = b""
        self.queue = collections.deque()
        self.workers = []
        self.gone = []
        self.completions = []
        self.wakes = 0
        for slot in range(self.processes):
            self.workers.append(Worker(self, slot))

    def enqueue(self, unit):
        """Takes work."""
        if self.state != "running" and unit.owner.kind == "job":
            raise Refused(409, "pool_not_running", f"{self.name} is {self.state}")
        self.queue.append(unit)
        self.dispatch()

    def dispatch(self):
        """Gives work to the idle, and ends them when there will be none."""
        for worker in self.workers:
            is_idle = worker.is_ready and worker.unit is None and not worker.is_retiring
            if is_idle and self.queue:
                worker.give(self.queue.popleft())
        if self.state == "closing" and not self.queue:
            for worker in self.workers:
                if worker.unit is None and not worker.is_stopped:
                    worker.is_stopped = True
                    worker.send({"stop": True})

    def worker_ended(self, worker):
        """A worker is gone: what it ran has failed, and another takes its place."""
        self.workers.remove(worker)
        self.gone = [*self.gone, worker][-16:]
        unit, worker.unit = worker.unit, None
        if worker.failed is not None:
            failed = worker.failed
            self.failure = (
                f"the initializer failed: {failed.get('type')}: {failed.get('message')} "
                f"(exited with code {worker.exitcode})")
        if unit is not None:
            # Of a chunk nothing is known then: no item of it has an outcome of its own.
            error = self.terminated if self.state == "terminating" else ended(worker.exitcode)
            unit.ended(error, None, None, None)
        needs_more = self.state == "running" or (self.state == "closing" and (
            self.queue or any(other.unit for other in self.workers)))
        if needs_more and self.failure is None:
            self.workers.append(Worker(self, worker.slot))
        if not self.workers and self.state in ("closing", "terminating"):
            self.state = "joined"
        self.dispatch()

    def completed(self, owner):
        """Adds to the feed."""
        self.completions.append(owner)
        self.service.changed.notify_all()

    def close(self):
        """Takes no more."""
        if self.state == "running":
            self.state = "closing"
        self.dispatch()

    def terminate(self):
        """Ends all."""
        if self.state == "joined":
            return
        self.state = "terminating"
        units, self.queue = self.queue, collections.deque()
        for unit in units:
            unit.ended(self.terminated, None, None, None)
        for worker in self.workers:
            worker.kill(signal.SIGTERM)
        for owner in self.service.maps.values():
            if owner.pool is self and not owner.is_whole:
                owner.finish_input(self.terminated)

    @property
    def handle(self):
        """What the client holds."""
        return {
            "name": self.name, "state": self.state, "kind": "persistent", "dynamic": True,
            "processes": self.processes, "tasks": self.announced.get("tasks", []),
            "queued": len(self.queue), "running": sum(1 for w in self.workers if w.unit),
            "allow_pickle": bool(self.options.get("allow_pickle")),
            "allow_main": self.allow_main}

    @property
    def terminated(self):
        """The error of what a terminate ends."""
        return {
            "code": "pool_terminated", "type": "PoolTerminated",
            "message": f"the pool '{self.name}' was terminated"}


def ended(code):
    """The error of what a worker ran that has ended so."""
    if code < 0:
        return {
            "code": "signalled", "type": "WorkerSignalled", "exitcode": code, "signal": -code,
            "message": f"the worker was ended by signal {-code} while it ran the job"}
    return {
        "code": "exited", "type": "WorkerExited", "exitcode": code,
        "message": f"the worker ended with exit status {code} while it ran the job"}
