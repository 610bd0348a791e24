"""The service under torture: its processes by role, and what it costs."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid

from lido_process import (
    MARK, Service, binary, descendants, look_at, marked, temporary_folder, wait_until)

#: How long what a killed service leaves behind may live, in seconds.
LEFT_MAX = 1.0


class Target(Service):
    """A service that is killed; each of its lives has a mark of its own."""

    def __init__(self, *flags, port, ledger):
        super().__init__(*flags, port=port, program=binary("LIDO_TEST_BIN"))
        self._ledger = ledger
        #: Lives that have ended: (moment at which all of it must be gone, mark, its processes).
        self._ended = []
        #: The slowest end of such a life, in seconds, and the most of what the service used.
        self.slowest_end = self.slowest_start = 0.0
        self.resident = []
        self.descriptors_max = 0

    def launch(self, *more_flags, **keywords):
        """Starts another life."""
        self.mark = uuid.uuid4().hex
        self.environment[MARK] = self.mark
        return super().launch(*more_flags, **keywords)

    # Roles

    def by_role(self):
        """Its processes: `forks` (one or none), `workers`, `snapshots`, `all`."""
        found = {"forks": [], "workers": [], "snapshots": [], "all": descendants(self.pid)}
        for process in found["all"]:
            # A fork server that was replaced is executed anew and not yet named, for a moment.
            role = {"lido-forks": "forks", "lido-worker": "workers",
                    "lido-snapshot": "snapshots"}.get(process.name)
            if role:
                found[role].append(process)
        return found

    def await_compactor(self, seconds):
        """A compactor that works just now, or None. Looks without a pause: it lives for some
        milliseconds."""
        forks = self.by_role()["forks"]
        deadline = time.monotonic() + seconds
        while forks and time.monotonic() < deadline:
            path = f"/proc/{forks[0].pid}/task/{forks[0].pid}/children"
            try:
                with open(path, encoding="ascii") as file:
                    children = [look_at(pid) for pid in file.read().split()]
            except OSError:
                return None
            for child in children:
                if child is not None and child.name == "lido-snapshot" and child.state not in "ZX":
                    return child
            time.sleep(0.001)
        return None

    def hit(self, process, number=signal.SIGKILL):
        """Sends a signal to this very process, if it is there still; whether it was."""
        if not process.is_alive:
            return False
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return False
        return True

    # Lives

    def kill_life(self):
        """`kill -9` of the service alone. What it leaves is looked for by `check_ended`."""
        left = self.by_role()["all"]
        self.kill()
        self._ended.append((time.monotonic(), self.mark, left))
        return left

    def restart(self, *more_flags):
        """Starts it again, and waits until it is ready."""
        began = time.monotonic()
        self.start(*more_flags)
        self.slowest_start = max(self.slowest_start, time.monotonic() - began)

    def check_ended(self, since=None):
        """Everything of the lives that ended is gone, a second after (or after `since`)."""
        for ended, mark, left in self._ended:
            began = since or ended
            wait_until(lambda l=left: not [p for p in l if p.is_alive],
                       max(0, began + LEFT_MAX - time.monotonic()))
            alive = {p.pid: p for p in left if p.is_alive}
            alive.update((p.pid, p) for p in marked(mark))
            if alive and time.monotonic() - began < LEFT_MAX:
                wait_until(lambda m=mark: not marked(m), began + LEFT_MAX - time.monotonic())
                alive = {p.pid: p for p in marked(mark)}
            if alive:
                self._ledger.fault(f"{time.monotonic() - began:.1f} s after kill -9 there are "
                                   f"still {list(alive.values())}")
            self.slowest_end = max(self.slowest_end, time.monotonic() - began)
        self._ended = []

    def tear_tail(self, plan):
        """Leaves the folder as a power loss might: a part of a record at the end of the journal, of
        which nobody was told. For when the service does not run."""
        name = max(n for n in os.listdir(self.data) if re.fullmatch(r"journal-\d+\.jsonl", n))
        with open(os.path.join(self.data, name), "r+b") as file:
            text = file.read()
            line = text[text.rstrip(b"\n").rfind(b"\n") + 1:].rstrip(b"\n")
            if text.endswith(b"\n") and len(line) > 2:
                file.write(line[:plan.randrange(1, len(line))])
                return True
        return False

    # Costs

    def measure(self):
        """Notes memory and descriptors."""
        try:
            with open(f"/proc/{self.pid}/statm", encoding="ascii") as file:
                self.resident.append(int(file.read().split()[1]) * 4096)
            count = len(os.listdir(f"/proc/{self.pid}/fd"))
        except OSError:
            return
        self.descriptors_max = max(self.descriptors_max, count)

    def torn_tails(self):
        """How many starts found a torn tail, of how many."""
        tails = [int(n) for n in re.findall(r"torn_bytes=(\d+)", self.log_text())]
        return sum(n > 0 for n in tails), len(tails)


class FolderChecks:
    """`lido check` of the data folder as a kill has left it: of a copy, while the next life is."""

    def __init__(self, ledger):
        self._ledger = ledger
        self._running = []
        self.statuses = {}

    def begin(self, service):
        """Copies the folder; the service must not run."""
        copy = temporary_folder()
        for name in os.listdir(service.data):
            try:
                if os.path.isfile(os.path.join(service.data, name)):
                    shutil.copy(os.path.join(service.data, name), copy)
            except FileNotFoundError:
                pass  # The compactor was still there: it has renamed its file, or removed others.
        self._running = [t for t in self._running if t.is_alive()]
        thread = threading.Thread(target=self._check, args=(service.program, copy), daemon=True)
        thread.start()
        self._running.append(thread)

    def _check(self, program, copy):
        done = subprocess.run([program, "check", copy], check=False, capture_output=True,
                              text=True, timeout=60)
        self.statuses[done.returncode] = self.statuses.get(done.returncode, 0) + 1
        if done.returncode not in (0, 1):
            self._ledger.fault(f"lido check: {done.returncode}: {done.stdout[-800:]}{done.stderr}")
            return
        shutil.rmtree(copy, ignore_errors=True)

    def finish(self):
        """Waits for those that run."""
        for thread in self._running:
            thread.join(60)


if __name__ == "__main__":
    sys.exit("this is a part of torture.py")
