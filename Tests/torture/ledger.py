"""What the clients were told, kept outside the service, and what that means for what there is."""

import hashlib
import threading
import time

FINAL = ("succeeded", "failed", "cancelled")
#: How an attempt may end that somebody killed, whatever its job was told to do.
KILLED = {"signalled", "interrupted"}


class Wish:
    """A job that a client means to have, exactly once, and what it was told of it.

    For the thread of its client; others read it while they hold the ledger's lock."""

    def __init__(self, name, order, options, key=None):
        self.name = name
        self.order = order
        self.options = options
        self.key = key
        #: Its id, once it was acknowledged.
        self.id = None
        #: Whether it may be there although nobody was told: the answer was lost, and it cannot be
        #: asked for again.
        self.is_unknown = False
        #: What was told when it was final: (ETag, digest of the handle, state, finished_at).
        self.told = None
        #: Whether a cancel was accepted, so that no other end is right.
        self.is_cancelled = False
        #: Whether a cancel was asked for whose answer was lost.
        self.may_be_cancelled = False
        self.is_deleted = False
        self.is_being_deleted = False

    def submission(self):
        """What is sent."""
        return {"task": "torture", "args": [self.order], "tags": [self.name], **self.options}

    def fault_of_end(self, handle):
        """What is wrong with a final handle; None when nothing is."""
        state, code = handle["state"], handle.get("error", {}).get("code")
        if handle["tags"] != [self.name] or handle["task"] != "torture":
            return "it is another job"
        if self.is_cancelled and state != "cancelled":
            return "its cancel was accepted"
        if state == "cancelled":
            return None if self.is_cancelled or self.may_be_cancelled else "nobody cancelled it"
        if state == "failed":
            return self._fault_of_failure(handle, code)
        if self.order["failures"] >= 1_000 or self._has_to_time_out:
            return "it had to fail"
        if "outcome_omitted" in handle:
            return None
        return None if handle["result"] == self.answer() else "its result is wrong"

    def _fault_of_failure(self, handle, code):
        if code in KILLED:
            return None
        if self._has_to_time_out:
            return None if code == "timed_out" else "it had to time out"
        # One that was to raise once and was killed the other times raised last, perhaps.
        wanted = {"raise": "raised", "exit": "exited", "signal": "signalled"}
        if self.order["failures"] and code == wanted.get(self.order["end"]):
            return None if handle["attempt"] == handle["max_attempts"] else "it had attempts left"
        if "outcome_omitted" in handle:
            return None
        return "it failed in a way that nobody asked for"

    @property
    def _has_to_time_out(self):
        return "timeout" in self.options

    def answer(self):
        """The result that is right."""
        return answer_to(self.order)


def answer_to(order):
    """What `torture` answers to an order that it can follow."""
    return {"name": order["name"], "fillingBytes": len(order["filling"]),
            "letters": "y" * order["letters"]}


class Ledger:
    """All wishes, and what was found to be wrong."""

    def __init__(self):
        self.lock = threading.Lock()
        self.wishes = {}
        self.maps = {}
        self.faults = []
        self.counts = {}
        self.began = time.monotonic()
        #: The kill that was made last.
        self.kill = 0

    def fault(self, text):
        """Something is wrong; the first are printed at once."""
        with self.lock:
            self.faults.append(text)
            if len(self.faults) <= 20:
                after = time.monotonic() - self.began
                print(f"FAILED at {after:.1f} s, kill {self.kill}: {text[:1_200]}", flush=True)

    def count(self, what, number=1):
        """Counts for the summary."""
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + number

    def add(self, wish):
        """Before anything of it is sent."""
        with self.lock:
            self.wishes[wish.name] = wish

    def add_map(self, wish):
        """Likewise."""
        with self.lock:
            self.maps[wish.name] = wish

    def acknowledge(self, wish, handle):
        """The service has said that it has the job, or the map."""
        with self.lock:
            known, wish.id = wish.id, handle["id"]
        if known not in (None, wish.id):
            self.fault(f"{wish.name} was acknowledged as {known} and as {wish.id}")
        if handle["tags"] != [wish.name]:
            self.fault(f"{wish.name} was answered with another job: {handle}")

    def told(self, wish, response):
        """A client got a whole handle of this job: what is final must not change any more."""
        handle = response.json
        if handle.get("id") != wish.id:
            self.fault(f"{wish.name}, {wish.id}: {response}")
        if handle["state"] not in FINAL:
            if wish.told:
                self.fault(f"{wish.name} was told as final, {wish.told}, and is not: {response}")
            return False
        found = (response.get("etag"), hashlib.sha256(response.body).hexdigest(), handle["state"],
                 handle["finished_at"])
        if wish.told is None:
            fault = wish.fault_of_end(handle)
            if fault:
                self.fault(f"{wish.name} {wish.options} {wish.order['end']}: {fault}: {response}")
            with self.lock:
                wish.told = found
            self.count("finals told")
            code = handle.get("error", {}).get("code", "")
            self.count(f"ended: {handle['state']} {code}".strip())
        elif wish.told != found:
            self.fault(f"{wish.name} has changed: {wish.told}, now {found}: {response}")
        else:
            self.count("finals told again, the same")
        return True

    def expected(self):
        """The jobs that have to be there from now on, until they are deleted, and what was told of
        each by now: by id."""
        return self._expected(self.wishes)

    def expected_maps(self):
        """The same of maps."""
        return self._expected(self.maps)

    def _expected(self, wishes):
        with self.lock:
            return {wish.id: (wish, wish.told) for wish in wishes.values()
                    if wish.id and not wish.is_being_deleted}

    def compare(self, wish, told, handle, where):
        """A handle of a list with what was told of its job, or map, before the list was asked
        for."""
        if handle["tags"] != [wish.name]:
            self.fault(f"{where}: {wish.id} is {wish.name}, not {handle['tags']}")
        if told and (handle["state"], handle.get("finished_at")) != told[2:]:
            self.fault(f"{where}: {wish.name} has changed: {told}, now {handle}")
