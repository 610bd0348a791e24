"""Maps of the clients: what they sent, what they were told of each item, and what that means."""

import hashlib
import json
import os
import socket
import time

from http_connection import Broken
from ledger import FINAL, KILLED, answer_to

LINES = "application/x-ndjson"
#: How many of its maps a client lets be open, and how many final ones it keeps.
OPEN_MAX = 6
KEPT_MAX = 25
#: How long a stream may say nothing, in seconds. The service may be stopped meanwhile.
SILENCE_MAX = 30.0
#: What no attempt makes good.
ALWAYS = 1_000


class MapWish:
    """A map that a client means to have, exactly once, and what it was told of each of its items.

    For the thread of its client; others read it while they hold the ledger's lock."""

    def __init__(self, name, orders, options, key=None):
        self.name = name
        self.orders = orders
        self.options = options
        self.key = key
        #: Its id, once it was acknowledged.
        self.id = None
        #: Whether it may be there although nobody was told, as the answer was lost.
        self.is_unknown = False
        #: Whether nobody said that all its items came: then any beginning of them may be there.
        self.is_cut = False
        #: What was told when it was final: (ETag, digest of the handle, state, finished_at).
        self.told = None
        self.is_cancelled = self.may_be_cancelled = False
        self.is_deleted = self.is_being_deleted = False
        #: The line that was told of an item, by its index, and the lines in order of completion.
        self.lines = {}
        self.completed = []

    @property
    def members(self):
        """What goes with its items."""
        return {"task": "torture", "tags": [self.name], **self.options}

    def document(self):
        """What is sent, if all items are."""
        return {**self.members, "items": self.orders}

    # What was told of an item

    def note_line(self, order, place, text):
        """A line that a reader got; what is wrong with it, None when nothing is."""
        line = json.loads(text)
        if "done" in line:
            return self._fault_of_end_line(line, order, place)
        index = line["index"]
        known = self.lines.setdefault(index, text)
        if known != text:
            return f"item {index} has changed: {known!r}, now {text!r}"
        if order == "input":
            return None if index == place else f"line {place} is that of item {index}"
        if place < len(self.completed):
            if self.completed[place] != index:
                return f"item {self.completed[place]} ended at {place}, now {index} did"
        else:
            self.completed.append(index)
        return None

    def _fault_of_end_line(self, line, order, place):
        if line["done"] is not True:
            return f"the results end with {line}"
        counted = line["succeeded"] + line["failed"] + line.get("skipped", 0)
        if counted != place:
            return f"{place} lines by {order}, and {line}"
        return None

    def fault_of_items(self, handle):
        """What is wrong with the ends of all items; None when nothing is."""
        total, items = handle["total"], handle["items"]
        if sorted(self.lines) != list(range(total)):
            return f"of {total} items there are {sorted(self.lines)}"
        ends = [json.loads(self.lines[index]) for index in range(total)]
        counts = {"succeeded": 0, "failed": 0, "skipped": 0}
        for end in ends:
            code = end.get("error", {}).get("code")
            counts["succeeded" if not code else "skipped" if code == "skipped" else "failed"] += 1
        if counts != {word: items[word] for word in counts}:
            return f"{counts} lines, and {items}"
        size = self.options["chunksize"]
        for first in range(0, total, size):
            fault = self._fault_of_chunk(first, ends[first:first + size])
            if fault:
                return f"chunk {first}: {fault}"
        return None

    def _fault_of_chunk(self, first, ends):
        """A chunk is values, up to its end or to the first item that raised, after which the others
        are skipped; or it has one error, which may be anybody's; or it was not run at all."""
        codes = [end.get("error", {}).get("code") for end in ends]
        orders = self.orders[first:first + len(ends)]
        for end, order in zip(ends, orders):
            if "value" in end and (order["failures"] >= ALWAYS or end["value"] != answer_to(order)):
                return f"{order['name']} {order['end']}: wrong value {end}"
        values = codes.index(next(filter(None, codes), None))
        rest = codes[values:] if any(codes) else []
        if not rest:
            return None
        if rest[0] == "raised" and set(rest[1:]) <= {"skipped"}:
            raised = orders[values]
            is_ordered = raised["end"] == "raise" and raised["failures"]
            return None if is_ordered else f"{raised['name']} raised: {ends[values]}"
        if values > 0 or len(set(rest)) > 1:
            return f"nothing ends so: {codes}"
        if rest[0] == "skipped":
            return None if self.is_cancelled or self.may_be_cancelled else "it was never run"
        ways = {"exited": "exit", "signalled": "signal"}
        is_ordered = any(o["failures"] and o["end"] == ways.get(rest[0]) for o in orders)
        return None if is_ordered or rest[0] in KILLED else f"nobody asked for {ends[0]}"

    def fault_of_end(self, handle):
        """What is wrong with a final handle; None when nothing is."""
        state, items = handle["state"], handle["items"]
        error = handle.get("error", {}).get("code")
        if handle["tags"] != [self.name] or handle["task"] != "torture":
            return "it is another map"
        if handle["total"] != items["done"] or items["queued"] or items["running"]:
            return "it is final, and items are not"
        if handle["total"] > len(self.orders):
            return f"{len(self.orders)} items were sent"
        if handle["total"] < len(self.orders):
            if not self.is_cut and not self.is_cancelled and not self.may_be_cancelled:
                return f"{len(self.orders)} items were acknowledged"
            if error not in ("interrupted", "broken_off", "cancelled"):
                return "items are missing, and it does not say why"
        if self.is_cancelled or state == "cancelled":
            is_right = state == "cancelled" and (self.is_cancelled or self.may_be_cancelled)
            return None if is_right else "cancelled, and not cancelled"
        is_whole = items["succeeded"] == len(self.orders) and error is None
        return None if (state == "succeeded") == is_whole else "its items ended otherwise"


class MapReader:
    """A stream of results, read line by line."""

    def __init__(self, port, identifier, order, after):
        try:
            self._socket = socket.create_connection(("127.0.0.1", port), SILENCE_MAX)
            # HTTP/1.0: the body is what comes, to the end of the connection.
            self._socket.sendall(
                f"GET /v1/maps/{identifier}/results?order={order}&after={after} HTTP/1.0\r\n"
                f"Host: 127.0.0.1:{port}\r\n\r\n".encode())
            self._file = self._socket.makefile("rb")
            status = self._file.readline().split()
            while self._file.readline().strip():
                pass
        except OSError as error:
            raise Broken(f"{error}") from error
        if len(status) < 2:
            raise Broken("no answer")
        self.status = int(status[1])

    def lines(self):
        """Whole lines, as far as they come."""
        try:
            for line in self._file:
                if not line.endswith(b"\n"):
                    return
                yield line.decode()
        except OSError:
            return

    def close(self):
        """Leaves."""
        self._file.close()
        self._socket.close()


class MapDeeds:
    """What a client does with maps; a part of `Client`."""

    def _map_wish(self, is_named):
        """A new map, by the plan."""
        plan = self._random
        self._count += 1
        name = f"c{self._number}-{self._count}"
        orders = []
        for index in range(plan.choice([1, 3, 10, 40])):
            order = self._order(f"{name}-{index}", plan.choice([0, 0, 0, 1, 3]))
            kind = plan.random()
            if kind < 0.03:
                order.update(end="raise", failures=ALWAYS)
            elif kind < 0.04:
                order.update(end=plan.choice(["exit", "signal"]), failures=ALWAYS)
            elif kind < 0.07:
                order.update(end=plan.choice(["raise", "exit", "signal"]), failures=1)
            elif kind < 0.08:
                order["filling"] = "x" * 5_000
            elif kind < 0.09:
                order["letters"] = 5_000
            orders.append(order)
        options = {"chunksize": plan.choice([1, 1, 2, 5, 100])}
        if plan.random() < 0.3:
            options["max_attempts"] = 3
        if plan.random() < 0.1:
            options["on_interrupt"] = "fail"
        naming = 0 if is_named else plan.random()
        if naming < 0.4:
            options["id"] = name
        wish = MapWish(name, orders, options, f"key-{name}" if 0.4 <= naming < 0.8 else None)
        self._ledger.add_map(wish)
        self._ledger.count("maps meant")
        return wish

    def _document(self):
        """All items at once; what has a name is sent until it is answered."""
        wish = self._map_wish(is_named=False)
        target = "/v1/maps" + self._random.choice(["", "", "?wait=0.5"])
        headers = {"Idempotency-Key": wish.key} if wish.key else {}
        while True:
            response = self._try(lambda: self._http.post(target, wish.document(), **headers))
            if response is None and not wish.key and "id" not in wish.options:
                wish.is_unknown = True
                return
            if response is None:
                self._ledger.count("repeats after a loss")
            elif response.status in (200, 202):
                return self._map_accepted(wish, response)
            else:
                self._refused(response)

    def _lines(self):
        """One item after the other, until the last is there or the service is not."""
        wish = self._map_wish(is_named=True)
        members = {**wish.members, "tags": wish.name}
        query = "&".join(f"{name}={value}" for name, value in members.items())
        response = self._try(lambda: self._upload(f"/v1/maps?{query}", wish.orders))
        if response is not None and response.status in (200, 202):
            return self._map_accepted(wish, response)
        self._http.close()
        if response is not None and response.status != 503:
            self._ledger.fault(f"the lines of {wish.name}: {response}")
        # What came may be there, and has ended.
        wish.is_cut = True
        response = self._persist(lambda: self._http.get(f"/v1/maps/{wish.name}"))
        if response.status == 200:
            self._ledger.count("maps whose lines were cut off")
            return self._map_accepted(wish, response)
        wish.is_unknown = True

    def _upload(self, target, orders):
        self._http.send_bytes(
            f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1:{self._http.port}\r\n"
            f"Content-Type: {LINES}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for order in orders:
            line = json.dumps(order).encode() + b"\n"
            self._http.send_bytes(b"%x\r\n%s\r\n" % (len(line), line))
            if self._random.random() < 0.2:
                time.sleep(self._random.choice([0.001, 0.01, 0.06]))
        self._http.send_bytes(b"0\r\n\r\n")
        return self._http.receive()

    def _map_accepted(self, wish, response):
        self._ledger.count("maps acknowledged")
        self._ledger.acknowledge(wish, response.json)
        self._open_maps.append(wish)
        self._note_map(wish, response)

    # Looking

    def _look_at_map(self):
        wishes = self._final_maps if self._random.random() < 0.4 else self._open_maps
        if wishes:
            self._get_map(self._random.choice(wishes))

    def _get_map(self, wish, wait=""):
        response = self._persist(lambda: self._http.get(f"/v1/maps/{wish.id}{wait}"))
        if response.status != 200:
            self._ledger.fault(f"map {wish.name} was acknowledged and is lost: {response}")
            self._forget_map(wish)
        else:
            self._note_map(wish, response)

    def _note_map(self, wish, response):
        handle = response.json
        if handle["state"] not in FINAL:
            if wish.told:
                self._ledger.fault(f"map {wish.name} was final, {wish.told}, now {response}")
            return
        found = (response.get("etag"), hashlib.sha256(response.body).hexdigest(), handle["state"],
                 handle["finished_at"])
        if wish.told is None:
            fault = wish.fault_of_end(handle)
            with self._ledger.lock:
                wish.told = found
            self._ledger.count(f"maps ended: {handle['state']}")
            if not self._read_results(wish, self._random.choice(["input", "completion"]), 0):
                fault = fault or "its results are not whole"
            fault = fault or wish.fault_of_items(handle)
            if fault:
                self._ledger.fault(f"map {wish.name} {wish.options}: {fault}: {response}")
            self._ledger.count("items compared with their own record", len(wish.lines))
        elif wish.told != found:
            self._ledger.fault(f"map {wish.name} has changed: {wish.told}, now {found}: {response}")
        if wish in self._open_maps:
            self._open_maps.remove(wish)
            self._final_maps.append(wish)

    def _read_results(self, wish, order, after):
        """Reads what is there or still comes, and takes notes; whether it came to its end. Of a
        final map it goes on until it does."""
        while True:
            place = after
            try:
                reader = MapReader(self._http.port, wish.id, order, after)
            except Broken:
                reader = None
            if reader is not None and reader.status == 200:
                for text in reader.lines():
                    fault = wish.note_line(order, place, text)
                    if fault:
                        self._ledger.fault(f"map {wish.name} by {order}: {fault}")
                        return True
                    if text.startswith('{"done"'):
                        reader.close()
                        return True
                    place += 1
                self._ledger.count("lines read of streams that were cut", place - after)
            elif reader is not None and reader.status != 503:
                self._ledger.fault(f"the results of map {wish.name}: {reader.status}")
                return True
            if reader is not None:
                reader.close()
            if wish.told is None:
                return False
            # On it goes where it was cut off.
            after = place
            self._pause(0.02)

    def _follow(self):
        """Reads a map's results while it runs, from the beginning or from where it was."""
        if not self._open_maps:
            return
        wish = self._random.choice(self._open_maps)
        known = len(wish.completed)
        if self._random.random() < 0.5:
            self._read_results(wish, "completion", self._random.choice([0, known]))
        else:
            known = next(i for i in range(len(wish.lines) + 1) if i not in wish.lines)
            self._read_results(wish, "input", self._random.choice([0, known]))
        self._ledger.count("streams followed")

    # Ends

    def _cancel_map(self):
        if not self._open_maps:
            return
        wish = self._random.choice(self._open_maps)
        wish.may_be_cancelled = True
        response = self._try(lambda: self._http.post(
            f"/v1/maps/{wish.id}/cancel", {"grace": self._random.choice([0.02, 0.3])}))
        if response is None or response.status == 503:
            return
        if response.status == 202:
            wish.is_cancelled = True
            self._ledger.count("cancels of maps accepted")
        elif response.status != 409:
            self._ledger.fault(f"cancel of map {wish.name}: {response}")

    def _leave_room_for_maps(self):
        while len(self._open_maps) > OPEN_MAX and not self.is_over.is_set():
            self._get_map(self._open_maps[0], "?wait=1")
            if self._open_maps:
                self._open_maps.append(self._open_maps.pop(0))
        while len(self._final_maps) > KEPT_MAX:
            wish = self._final_maps[0]
            self._drop_at(wish, f"/v1/maps/{wish.id}")
            self._forget_map(wish)

    def _forget_map(self, wish):
        wish.is_being_deleted = wish.is_deleted = True
        for wishes in (self._open_maps, self._final_maps):
            if wish in wishes:
                wishes.remove(wish)
        for index, order in enumerate(wish.orders):
            try:
                os.remove(os.path.join(self._folder, f"{order['name']}.lock"))
            except FileNotFoundError:
                if '"value"' in wish.lines.get(index, ""):
                    self._ledger.fault(f"{order['name']} succeeded and never ran")
        wish.orders, wish.lines, wish.completed = [], {}, []


def map_pages(connection):
    """Every map, by id."""
    maps, target = {}, "/v1/maps?limit=1000"
    while target is not None:
        response = connection.get(target)
        if response.status != 200:
            raise AssertionError(f"GET {target}: {response}")
        maps.update({one["id"]: one for one in response.json["maps"]})
        target = response.json.get("next")
    return maps
