"""The test double's HTTP side: as much of the service's as the Python package uses."""

import http.server
import json
import os
import signal
import socket
import sys
import threading
import uuid
from urllib.parse import parse_qs, unquote, urlsplit

from .pools import Pool, Refused
from .work import Job, Map

if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)


class Service:
    """A service on a port of its own. `changed` guards all that it holds."""

    def __init__(
        self, allow_pickle=True, allow_main=True, folders=(), directory=None, modules=(),
        line_bytes_max=64 << 20, jobs_max=None, body_bytes_max=8 << 20, max_arguments=None,
        maxtasksperchild=None,
    ):
        self.changed = threading.Condition()
        self.allow_pickle = allow_pickle
        self.allow_main = allow_main
        self.folders = list(folders)
        self.directory = directory
        self.modules = list(modules)
        self.line_bytes_max = line_bytes_max
        self.jobs_max = jobs_max
        self.maxtasksperchild = maxtasksperchild  # What pools have that say nothing.
        self.body_bytes_max = body_bytes_max
        self.max_arguments = max_arguments
        self.jobs = {}
        self.maps = {}
        self.pools = {}
        self.dropped = set()  # The ids of jobs and maps that were deleted.
        self.told = []  # Progress and items.
        self.requests = []  # Methods and paths, in order.
        self.keys = {}
        self.refuse = lambda method, path: None  # May raise `Refused` for any request.
        self.breaks = 0  # So many next answers are lost with their connections.
        self.is_buffered = False  # Whether a proxy before it hands inputs on when they are whole.
        self.proxy_bytes_max = None  # What a proxy before it takes of a body.
        self.proxied = None  # The status by which a proxy before it says that it is away.
        self.listen(0)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def listen(self, port):
        """Takes requests there."""
        self.server = Server(("127.0.0.1", port), Handler)
        self.server.service = self
        threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Ends every process that it started."""
        self.server.shutdown()
        self.server.server_close()
        with self.changed:
            for pool in self.pools.values():
                pool.state = "terminating"
                for worker in pool.workers:
                    worker.kill(signal.SIGKILL)
            self.changed.notify_all()
            self.changed.wait_for(
                lambda: not any(pool.workers for pool in self.pools.values()), 10)

    def leave(self):
        """Goes away without a word, as after `kill -9`."""
        self.go()
        self.end()

    def go(self):
        """Every connection breaks, and nothing listens until `come`; what it holds goes on."""
        self.server.shutdown()
        self.server.server_close()
        for connection in list(self.server.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # It has ended by itself.

    def come(self):
        """Is there again, at the same address."""
        self.listen(self.server.server_address[1])

    def wait(self, is_so, seconds):
        """Waits under the lock."""
        self.changed.wait_for(is_so, min(seconds, 60))

    # Pools

    def create_pool(self, options):
        """A pool whose workers are ready."""
        if options.get("allow_pickle") and not self.allow_pickle:
            raise Refused(422, "pickle_not_allowed", "the service permits no pickles")
        if options.get("main") and not self.allow_main:
            raise Refused(422, "main_not_allowed", "the pool loads no script")
        if len(json.dumps(options.get("initargs"))) > 1 << 20:
            place = {"pointer": "/initargs", "detail": "at most 1048576 bytes"}
            raise Refused(400, "invalid_request", place["detail"], errors=[place])
        name = options.get("name") or f"pool-{uuid.uuid4().hex[:8]}"
        if name in self.pools:
            raise Refused(409, "conflict", f"there is a pool {name}")
        pool = self.pools[name] = Pool(self, name, options)
        self.wait(lambda: pool.failure or all(w.is_ready for w in pool.workers), 30)
        if pool.failure:
            pool.terminate()
            raise Refused(
                503, "pool_not_started", f"the pool was not created: {pool.failure}")
        return pool

    def pool(self, name):
        """A pool by its name; without one the first, made at need."""
        if name is None:
            if "default" not in self.pools:
                self.create_pool({"name": "default", "allow_pickle": self.allow_pickle})
            name = "default"
        if name not in self.pools:
            raise Refused(
                422, "unknown_pool", f"there is no pool named '{name}'",
                errors=[{"detail": "not a pool", "pointer": "/pool"}])
        return self.pools[name]

    def absent(self, what, name):
        """The refusal of what is not there: not any more, or never was."""
        if what != "pools" and name in self.dropped:
            return Refused(410, "gone", f"{name} was dropped")
        return Refused(404, "not_found", f"there is no {name}")

    # Jobs and maps

    def check(self, body, pool):
        """What the service refuses."""
        if body.get("encoding") == "pickle" and not pool.options.get("allow_pickle"):
            raise Refused(422, "pickle_not_allowed", "the pool takes no pickles")
        if body.get("main") and not pool.allow_main:
            raise Refused(422, "main_not_allowed", "the pool loads no script")

    def check_arguments(self, arguments):
        """Refuses those of a job, or a chunk, that are too long."""
        text = json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)
        if self.max_arguments is not None and len(text.encode()) > self.max_arguments:
            raise Refused(
                413, "payload_too_large",
                f"the arguments of a job may have {self.max_arguments} bytes")

    def submit(self, body, key=None):
        """A job."""
        known = self.keys.get(key) if key else self.jobs.get(body.get("id"))
        if known is not None:
            if known.body != body:
                raise Refused(422, "idempotency_mismatch")
            return known
        pool = self.pool(body.get("pool"))
        self.check(body, pool)
        self.check_arguments(body.get("args", []))
        if self.jobs_max is not None and len(pool.queue) >= self.jobs_max:
            raise Refused(503, "queue_full", "the queue is full", retry_after=5)
        identifier = body.get("id") or uuid.uuid4().hex
        job = Job(identifier, pool, body)
        pool.enqueue(job.unit)
        self.jobs[identifier] = job
        if key:
            self.keys[key] = job
        return job

    def submit_map(self, options):
        """A map without its items."""
        identifier = options.get("id") or uuid.uuid4().hex
        pool = self.pool(options.get("pool"))
        self.check(options, pool)
        if pool.state != "running":
            raise Refused(409, "pool_not_running", f"{pool.name} is {pool.state}")
        self.maps[identifier] = Map(identifier, pool, options)
        self.changed.notify_all()
        return self.maps[identifier]


class Server(http.server.ThreadingHTTPServer):
    """Threads that end with the process."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments):
        self.connections = set()
        super().__init__(*arguments)

    def process_request(self, request, address):
        """Remembers the connection."""
        self.connections.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request):
        """Forgets the connection."""
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, _request, _address):
        """A client that left is nothing to tell of."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(_request, _address)


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    @property
    def service(self):
        return self.server.service

    def log_message(self, *_):
        """Quiet."""

    def do_GET(self):
        self.answer_to("GET")

    def do_POST(self):
        self.answer_to("POST")

    def do_DELETE(self):
        self.answer_to("DELETE")

    def answer_to(self, method):
        """Answers one request."""
        parts = urlsplit(self.path)
        names = [unquote(part) for part in parts.path.split("/")[2:]]
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.service.requests.append(f"{method} {parts.path}")
        is_stream = "chunked" in self.headers.get("Transfer-Encoding", "")
        length = int(self.headers.get("Content-Length", 0))
        if length > (self.service.proxy_bytes_max or length):
            self.close_connection = True
            self.send(413, b"<html>", "text/html")
            return
        if length > self.service.body_bytes_max:
            # As the service does: nothing of it is read.
            self.close_connection = True
            self.send(*problem_of(Refused(413, "payload_too_large", "the body is too long")))
            return
        body = None if is_stream else self.rfile.read(length)
        if is_stream and self.service.is_buffered and not self.buffer_body():
            return
        try:
            with self.service.changed:
                is_away = self.service.proxied is not None
                answer = None if is_away else self.route(method, names, body)
        except Refused as refused:
            answer = problem_of(refused)
            if is_stream:
                # As the service does: it answers after the body, of which it reads so much.
                self.close_connection = True
                if not self.is_read(self.service.body_bytes_max):
                    return
        if self.service.proxied is not None:
            answer = self.service.proxied, b"<html>", "text/html"
        if answer is not None:
            self.send(*answer)

    def buffer_body(self):
        """Has a chunked body here before anything of it is looked at; whether it is whole."""
        parts = []
        while not parts or parts[-1] not in (b"", b"\0"):
            parts.append(self.read_part())
        held = iter(parts)
        self.read_part = lambda: next(held)
        return parts[-1] == b"\0"

    def is_read(self, bytes_max):
        """Reads a chunked body that nobody wants; whether it came to its end."""
        size, part = 0, b""
        while part != b"\0" and size <= bytes_max:
            part = self.read_part()
            if not part:
                return False
            size += len(part)
        return part == b"\0"

    def send(self, status, value, kind=None):
        """Sends a whole answer."""
        if self.service.breaks > 0:
            self.service.breaks -= 1
            self.close_connection = True
            return
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        default = "application/problem+json" if status >= 400 else "application/json"
        self.send_header("Content-Type", kind or default)
        self.send_header("Content-Length", str(len(text)))
        if status >= 400 and isinstance(value, dict) and "retry_after" in value:
            self.send_header("Retry-After", str(value["retry_after"]))
        self.end_headers()
        self.wfile.write(text)
        self.wfile.flush()

    def route(self, method, names, body):
        """The answer to a request, under the lock; None when it was sent already."""
        service = self.service
        what, rest = names[0], names[1:]
        service.refuse(method, "/".join(names))
        if what == "info":
            return 200, {"name": "lido", "limits": {"body_bytes_max": service.body_bytes_max}}
        if method == "POST" and what == "jobs" and not rest:
            return self.post_jobs(json.loads(body))
        if method == "POST" and what == "maps" and not rest:
            return self.post_map(body)
        if method == "GET" and what == "pools" and not rest:
            return 200, {"pools": [pool.handle for pool in service.pools.values()]}
        if method == "POST" and what == "pools" and not rest:
            return 201, service.create_pool(json.loads(body)).handle
        if what == "jobs" and not rest:
            names = self.query["id"].split(",")
            return 200, {"jobs": [
                service.jobs[name].handle if name in service.jobs
                else {"error": service.absent(what, name).members} for name in names]}
        table = {"jobs": service.jobs, "maps": service.maps, "pools": service.pools}[what]
        if rest[0] not in table:
            raise service.absent(what, rest[0])
        found = table[rest[0]]
        if what == "pools":
            return self.pool_answer(method, found, rest[1:])
        return self.owner_answer(method, found, table, rest[1:])

    def post_jobs(self, body):
        if not isinstance(body, list):
            job = self.service.submit(body, self.headers.get("Idempotency-Key"))
            self.service.wait(lambda: job.handle["ready"], float(self.query.get("wait", 0)))
            return (200 if job.handle["ready"] else 202), job.handle
        entries = []
        for submission in body:
            try:
                entries.append(self.service.submit(submission).handle)
            except Refused as refused:
                entries.append({"error": refused.members})
        return 200, {"jobs": entries}

    def pool_answer(self, method, pool, rest):
        wait = float(self.query.get("wait", self.query.get("wait_joined", 0)))
        if method == "POST":
            pool.close() if rest == ["close"] else pool.terminate()
        elif rest == ["workers"]:
            return 200, {"workers": [w.handle for w in [*pool.workers, *pool.gone]]}
        elif rest == ["completions"]:
            after = int(self.query["after"])
            # The tests wake who waits, to have the next request.
            wakes = pool.wakes
            self.service.wait(
                lambda: len(pool.completions) > after or pool.state == "joined"
                or pool.wakes > wakes, wait)
            entries = pool.completions[after:after + 1000]
            return 200, {"next": after + len(entries), "completions": [
                {"seq": after + place + 1, owner.kind: owner.handle}
                for place, owner in enumerate(entries)]}
        else:
            self.service.wait(lambda: pool.state == "joined", wait)
        return 200, pool.handle

    def owner_answer(self, method, owner, table, rest):
        wait = float(self.query.get("wait", 0))
        if method == "DELETE":
            if not owner.handle["ready"]:
                raise Refused(409, "conflict", "it is not final")
            del table[owner.id]
            self.service.dropped.add(owner.id)
            return 204, b""
        if rest == ["cancel"]:
            return 202, self.cancel(owner)
        if rest == ["results"]:
            self.stream(owner)
            return None
        if rest == ["logs"]:
            return 200, owner.pool.output, "text/plain"
        self.service.wait(lambda: owner.handle["ready"], wait)
        handle = owner.handle
        if rest != ["result"]:
            return 200, handle
        if not handle["ready"]:
            raise Refused(409, "not_ready", "it is not final")
        if not handle["successful"]:
            error = {"error": handle["error"]} if "error" in handle else {}
            raise Refused(424, "job_failed", "it has no value", **error)
        if owner.kind == "job":
            return 200, handle["result"]
        return 200, [owner.lines[index]["value"] for index in range(owner.items)]

    def cancel(self, owner):
        if owner.handle["ready"]:
            raise Refused(409, "not_cancellable", "it is final")
        owner.is_cancelled = True
        for unit in [unit for unit in owner.pool.queue if unit.owner is owner]:
            owner.pool.queue.remove(unit)
            unit.ended({}, None, None, None)
        for worker in owner.pool.workers:
            if worker.unit is not None and worker.unit.owner is owner:
                # It ends, even if it has answered already: it gets nothing more.
                worker.is_retiring = True
                worker.send({"cancel": worker.number})
                worker.kill(signal.SIGTERM)
        if owner.kind == "map":
            owner.finish_input({"code": "cancelled", "message": "the map was cancelled"})
        return owner.handle

    # Maps

    def post_map(self, body):
        service = self.service
        if body is not None:
            options = json.loads(body)
            known = service.maps.get(options.get("id"))
            if known is not None:
                return 202, known.handle
            items = options.pop("items")
            workers = service.pool(options.get("pool")).processes
            size = options.get("chunksize") or max(1, -(-len(items) // (4 * workers)))
            for start in range(0, len(items), size):
                service.check_arguments(items[start:start + size])
            found = service.submit_map(options)
            found.chunksize = size
            found.add(items)
            found.finish_input()
            return 202, found.handle
        options = dict(self.query)
        for name in ("chunksize", "buffersize"):
            if name in options:
                options[name] = int(options[name])
        options["star"] = options.get("star") == "true"
        found = service.submit_map(options)
        self.take_items(found, options.get("buffersize", 1000))
        return 202, found.handle

    def take_items(self, found, buffersize):
        """Reads lines while not too many chunks are out; the lock is open meanwhile."""
        service, rest, broken = self.service, b"", None
        while not found.is_whole:
            service.changed.release()
            try:
                part = self.read_part()
            finally:
                service.changed.acquire()
            if not part:
                broken = {"code": "interrupted", "message": "the input broke off"}
            if not part or part == b"\0":
                break
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                service.changed.wait_for(lambda: found.out <= buffersize or found.is_whole)
                if not found.is_whole:
                    found.add([json.loads(line)])
            service.changed.notify_all()
        if found.is_whole:
            self.close_connection = True
        else:
            found.finish_input(broken)
            service.changed.notify_all()

    def read_part(self):
        """A part of a chunked body: b"\\0" for its end, b"" when it broke off."""
        try:
            size = int(self.rfile.readline(), 16)
            part = self.rfile.read(size)
            self.rfile.readline()
            return part if size else b"\0"
        except (ValueError, OSError):
            self.close_connection = True
            return b""

    def stream(self, found):
        """Lines as they come; called with the lock, which is open while it writes."""
        order, place = self.query["order"], int(self.query.get("after", 0))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()  # The head comes before there is a result.
        is_over, service = False, self.service
        while not is_over:
            service.changed.wait_for(lambda: found.line(order, place) is not None)
            part = b""
            while not is_over and len(part) < 1 << 16:
                line = found.line(order, place)
                if line is None:
                    break
                part += json.dumps(line).encode() + b"\n"
                place += 1
                is_over = "done" in line
            self.write(part)
            if service.breaks > 0 and not is_over:
                service.breaks -= 1
                self.close_connection = True
                return
        self.write(b"")

    def write(self, part):
        """A part of a chunked answer."""
        self.service.changed.release()
        try:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.flush()
        finally:
            self.service.changed.acquire()


def problem_of(refused):
    """Status and body."""
    return refused.status, refused.members


def main():
    """Runs one until its standard input ends, and prints where it is."""
    folders = [folder for folder in sys.argv[1:]]
    with Service(folders=folders, directory=os.getcwd()) as service:
        print(service.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
