"""What the test double runs: jobs, maps, and the units of work that workers get."""

import collections
import datetime


def now():
    """This moment, as the service writes it."""
    moment = datetime.datetime.now(datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


class Unit:
    """One call: a job, or a chunk of a map. `ended(error, value, item, values)` is called under the
    service's lock."""

    def __init__(self, owner, members, ended):
        self.owner = owner
        self.members = members
        self.ended = ended


class Job:
    """A job and its handle."""

    kind = "job"

    def __init__(self, identifier, pool, body):
        self.id = identifier
        self.pool = pool
        self.body = body
        self.handle = {
            "id": identifier, "task": body["task"], "pool": pool.name, "state": "queued",
            "ready": False, "successful": None, "attempt": 0, "max_attempts": 1,
            "created_at": now(), "result_url": f"/v1/jobs/{identifier}/result"}
        self.log = b""
        self.is_cancelled = False
        members = {"task": body["task"], "args": body.get("args", []),
                   "kwargs": body.get("kwargs", {}), "job": identifier}
        self.unit = Unit(self, with_options(members, body), self.ended)

    def ended(self, error, value, _item, _values):
        """Makes it final."""
        state = "succeeded" if error is None else "failed"
        if error is None:
            self.handle["result"] = value
        elif self.is_cancelled:
            state = "cancelled"
        else:
            self.handle["error"] = {"code": "raised", "attempt": 1, **error}
        self.handle.update(
            state=state, ready=True, successful=error is None, finished_at=now())
        self.pool.completed(self)


class Map:
    """A map: its chunks as units, its values by index, its lines in both orders."""

    kind = "map"

    def __init__(self, identifier, pool, options):
        self.id = identifier
        self.pool = pool
        self.options = options
        self.chunksize = options.get("chunksize") or 1
        self.items = 0
        self.is_whole = False  # Whether its input has ended.
        self.lines = {}
        self.completed = []  # Indexes in order of completion.
        self.error = None  # Of the first chunk that failed.
        self.broken = None
        self.is_cancelled = False
        self.out = 0
        self.pending = []
        self.is_final = False

    def add(self, items):
        """Takes items, and submits the chunks that are whole."""
        self.pending += items
        while len(self.pending) >= self.chunksize:
            self.submit(self.pending[:self.chunksize])
            del self.pending[:self.chunksize]

    def submit(self, items):
        """Submits one chunk."""
        first, count = self.items, len(items)
        self.items += count
        self.out += 1
        members = {
            "task": self.options["task"], "items": items, "star": bool(self.options.get("star")),
            "job": f"{self.id}-{first}"}

        def ended(error, value, item, values):
            self.out -= 1
            self.chunk_ended(first, count, error, value, item, values)
        self.pool.enqueue(Unit(self, with_options(members, self.options), ended))

    def finish_input(self, broken=None):
        """There are no more items."""
        if self.pending and broken is None:
            self.submit(self.pending)
        self.pending = []
        self.is_whole = True
        self.broken = broken
        self.check_final()

    def chunk_ended(self, first, count, error, value, item, values):
        """Keeps what a chunk has come to."""
        if error is not None:
            error = {"code": "raised", "attempt": 1, **error}
            if self.is_cancelled:
                error, item = {"code": "skipped"}, None
            else:
                self.error = self.error or error
            value = values or []
        for place in range(count):
            index = first + place
            if error is None or (item is not None and place < len(value)):
                line = {"index": index, "value": value[place]}
            elif item is None or place == item:
                line = {"index": index, "error": error}
            else:
                line = {"index": index, "error": {"code": "skipped"}}
            self.lines[index] = line
            self.completed.append(index)
        self.check_final()

    def check_final(self):
        """Makes it final when all chunks have ended."""
        if self.is_whole and not self.is_final and len(self.completed) == self.items:
            self.is_final = True
            self.pool.completed(self)

    def line(self, order, place):
        """The line at a place of a stream, the last one included; None when it has not come."""
        index = place if order == "input" else (
            self.completed[place] if place < len(self.completed) else None)
        found = self.lines.get(index)
        if found is not None or not self.is_final or place != self.items:
            return found
        counts = collections.Counter(
            "succeeded" if "value" in line else
            "skipped" if line["error"]["code"] == "skipped" else "failed"
            for line in self.lines.values())
        last = {"done": True, "succeeded": counts["succeeded"], "failed": counts["failed"]}
        if counts["skipped"]:
            last["skipped"] = counts["skipped"]
        if self.broken:
            last["error"] = self.broken
        return last

    @property
    def handle(self):
        """What the client holds."""
        failure = self.error or self.broken
        state = "running" if not self.is_final else "succeeded"
        if failure and self.is_final:
            state = "cancelled" if self.is_cancelled else "failed"
        handle = {
            "id": self.id, "task": self.options["task"], "pool": self.pool.name, "state": state,
            "ready": self.is_final, "successful": not failure if self.is_final else None,
            "total": self.items if self.is_whole else None,
            "result_url": f"/v1/maps/{self.id}/result",
            "results_url": f"/v1/maps/{self.id}/results"}
        if state == "failed":
            handle["error"] = failure
        return handle


def with_options(members, body):
    """What a call says besides its values."""
    for name in ("encoding", "main"):
        if body.get(name) is not None and body.get(name) != "json":
            members[name] = body[name]
    return {**members, "attempt": 1}
