"""The clients: each a thread with a connection and a plan of its own."""

import os
import random
import threading
import time

from http_connection import Broken, Connection
from ledger import FINAL, Wish
from map_deeds import MapDeeds

#: How many of its jobs a client lets be open.
OPEN_MAX = 60
#: How many final jobs a client keeps before it deletes the oldest.
KEPT_MAX = 400
#: How long the service may take for an answer, in seconds. It may be stopped meanwhile.
ANSWER_MAX = 30.0


class Unanswered(Exception):
    """The end of the script came first."""


class Client(MapDeeds, threading.Thread):
    """Submits, waits, looks, cancels and deletes; outlives every crash. The part that has to do
    with maps is `MapDeeds`."""

    def __init__(self, number, service, ledger, folder, seed):
        super().__init__(daemon=True)
        self._number = number
        self._ledger = ledger
        self._folder = folder
        self._random = random.Random(f"{seed} client {number}")
        self._http = Connection(service.wanted_port, ANSWER_MAX)
        self._count = 0
        self._open = []
        self._final = []
        self._open_maps = []
        self._final_maps = []
        #: Set when no more is to be begun.
        self.is_over = threading.Event()
        #: Set when nothing is to be waited for any more.
        self.is_given_up = threading.Event()

    def run(self):
        deeds = [(self._single, 40), (self._bulk, 8), (self._waiting, 12), (self._look, 20),
                 (self._look_at_result, 6), (self._cancel, 6), (self._twice, 5),
                 (self._document, 4), (self._lines, 4), (self._look_at_map, 6), (self._follow, 5),
                 (self._cancel_map, 1)]
        try:
            while not self.is_over.is_set():
                self._random.choices([d for d, _ in deeds], [w for _, w in deeds])[0]()
                self._leave_room()
                self._leave_room_for_maps()
        except Unanswered:
            self._ledger.fault(f"client {self._number} got no answer before the end")
        except Exception as error:  # pylint: disable=broad-except
            self._ledger.fault(f"client {self._number}: {type(error).__name__}: {error}")
        self._http.close()

    def gone(self):
        """Every job and map of this client is to be final: looks at those that it has not been told
        of."""
        for wish in list(self._open):
            self._get(wish)
        for wish in list(self._open_maps):
            self._get_map(wish)

    # Submissions

    def _wish(self, is_named=None):
        """A new wish, by the plan."""
        plan = self._random
        self._count += 1
        name = f"c{self._number}-{self._count}"
        order = self._order(name, plan.choice([0, 0, 0, 1, 2, 5, 10, 30]))
        options = {}
        kind = plan.random()
        if kind < 0.04:
            order.update(end=plan.choice(["raise", "exit", "signal"]), failures=1_000)
        elif kind < 0.10:
            order.update(end=plan.choice(["raise", "exit", "signal"]), failures=1)
            options["max_attempts"] = 3
        elif kind < 0.13:
            order["milliseconds"] = plan.choice([200, 400, 800])
        elif kind < 0.16:
            order["milliseconds"], options["timeout"] = 60_000, 0.1
        elif kind < 0.18:
            order["filling"] = "x" * plan.choice([5_000, 70_000, 300_000])
        elif kind < 0.20:
            order["letters"] = plan.choice([5_000, 70_000, 300_000])
        if plan.random() < 0.05:
            options["on_interrupt"] = "fail"
        key = None
        naming = plan.random()
        if is_named or (is_named is None and naming < 0.3):
            options["id"] = name
        elif is_named is None and naming < 0.65:
            key = f"key-{name}"
        wish = Wish(name, order, options, key)
        self._ledger.add(wish)
        self._ledger.count("jobs meant")
        return wish

    def _order(self, name, milliseconds):
        return {"folder": self._folder, "name": name, "end": "return", "failures": 0, "filling": "",
                "letters": 0, "milliseconds": milliseconds}

    def _single(self):
        self._submit(self._wish())

    def _twice(self):
        """As a client that does not know that its first try went well."""
        wish = self._wish(is_named=self._random.random() < 0.5 or None)
        if not wish.key and "id" not in wish.options:
            return
        self._submit(wish)
        response = self._submit(wish)
        if response is not None and response.get("idempotent-replayed") != "true":
            self._ledger.fault(f"{wish.name} was submitted twice, and is new: {response}")
        self._ledger.count("repeats")

    def _waiting(self):
        wait = self._random.choice(["0.2", "2"])
        wish = self._wish()
        response = self._submit(wish, {"Prefer": f"wait={wait}"})
        if response is not None and response.status == 200:
            self._ledger.told(wish, response)

    def _submit(self, wish, headers=None):
        headers = dict(headers or {})
        if wish.key:
            headers["Idempotency-Key"] = wish.key
        can_repeat = wish.key or "id" in wish.options
        while True:
            response = self._try(lambda: self._http.post(
                "/v1/jobs", wish.submission(), **headers))
            if response is None and not can_repeat:
                wish.is_unknown = True
                self._ledger.count("answers lost of jobs without a name")
                return None
            if response is None:
                self._ledger.count("repeats after a loss")
                continue
            if response.status in (200, 202):
                self._accepted(wish, response.json)
                return response
            self._refused(response)

    def _bulk(self):
        wishes = [self._wish(is_named=True) for _ in range(self._random.choice([2, 10, 50]))]
        open_wishes = wishes
        while open_wishes:
            body = [wish.submission() for wish in open_wishes]
            response = self._try(lambda b=body: self._http.post("/v1/jobs", b))
            if response is None:
                self._ledger.count("repeats after a loss")
                continue
            if response.status != 200:
                self._refused(response)
                continue
            left = []
            for wish, item in zip(open_wishes, response.json["jobs"]):
                if "state" in item:
                    self._accepted(wish, item)
                elif item["error"]["code"] in ("queue_full", "read_only", "draining",
                                               "pool_not_running"):
                    left.append(wish)
                else:
                    self._ledger.fault(f"{wish.name} in bulk: {item}")
            open_wishes = left
        self._ledger.count("bulk submissions")

    def _accepted(self, wish, handle):
        if wish.id is None:
            self._open.append(wish)
            self._ledger.count("jobs acknowledged")
        self._ledger.acknowledge(wish, handle)

    def _refused(self, response):
        """It is tried again, if the service asks for that."""
        if response.status != 503:
            self._ledger.fault(f"client {self._number} was refused: {response}")
            raise Unanswered
        self._ledger.count(f"refused: {response.json.get('code')}")
        self._pause(0.05)

    # Everything else

    def _look(self):
        wishes = self._final if self._final and self._random.random() < 0.5 else self._open
        if wishes:
            self._get(self._random.choice(wishes))

    def _get(self, wish, wait=""):
        response = self._persist(lambda: self._http.get(f"/v1/jobs/{wish.id}{wait}"))
        if response.status != 200:
            self._ledger.fault(f"{wish.name}, {wish.id} was acknowledged and is lost: {response}")
            self._forget(wish)
        elif self._ledger.told(wish, response) and wish in self._open:
            self._open.remove(wish)
            self._final.append(wish)

    def _look_at_result(self):
        if not self._final:
            return
        wish = self._random.choice(self._final)
        response = self._persist(lambda: self._http.get(f"/v1/jobs/{wish.id}/result"))
        wanted = 200 if wish.told[2] == "succeeded" else 424
        if response.status != wanted:
            self._ledger.fault(f"{wish.name} ended as {wish.told}, its result: {response}")
        elif wanted == 200 and response.json != wish.answer():
            self._ledger.fault(f"{wish.name}: wrong result {response}")

    def _cancel(self):
        if not self._open:
            return
        wish = self._random.choice(self._open)
        wish.may_be_cancelled = True
        response = self._try(lambda: self._http.post(
            f"/v1/jobs/{wish.id}/cancel", {"grace": self._random.choice([0.02, 0.3])}))
        if response is None or response.status == 503:
            return
        if response.status == 202:
            wish.is_cancelled = True
            self._ledger.count("cancels accepted")
        elif response.status != 409:
            self._ledger.fault(f"cancel of {wish.name}: {response}")

    def _leave_room(self):
        while len(self._open) > OPEN_MAX and not self.is_over.is_set():
            self._get(self._open[0], "?wait=1")
            # It may be one that waits for long; the others have their turn.
            if self._open:
                self._open.append(self._open.pop(0))
        while len(self._final) > KEPT_MAX:
            self._drop(self._final[0])

    def _drop(self, wish):
        self._drop_at(wish, f"/v1/jobs/{wish.id}")
        self._forget(wish)

    def _drop_at(self, wish, target):
        wish.is_being_deleted = True
        while True:
            response = self._try(lambda: self._http.delete(target))
            if response is None:
                continue
            if response.status == 503:
                self._refused(response)
                continue
            # 410: an earlier try did it, and its answer was lost.
            if response.status not in (204, 410):
                self._ledger.fault(f"DELETE of {wish.name}: {response}")
            break
        self._ledger.count("deleted")

    def _forget(self, wish):
        wish.is_being_deleted = wish.is_deleted = True
        for wishes in (self._open, self._final):
            if wish in wishes:
                wishes.remove(wish)
        # What it was told and brought along is of no more use; that it was there is.
        wish.order = {"milliseconds": 0, "failures": 0, "end": "", "filling": "", "letters": 0}
        try:
            os.remove(os.path.join(self._folder, f"{wish.name}.lock"))
        except FileNotFoundError:
            if wish.told and wish.told[2] == "succeeded":
                self._ledger.fault(f"{wish.name} succeeded and never ran")

    # Answers

    def _try(self, request):
        """An answer, or None when the connection was lost on the way."""
        try:
            return request()
        except Broken:
            self._ledger.count("connections lost")
            if self.is_given_up.is_set():
                raise Unanswered from None
            self._pause(0.01)
            return None

    def _persist(self, request):
        while True:
            response = self._try(request)
            if response is not None and response.status != 503:
                return response

    def _pause(self, seconds):
        if self.is_given_up.wait(0):
            raise Unanswered
        time.sleep(seconds)


__all__ = ["Client", "FINAL"]
