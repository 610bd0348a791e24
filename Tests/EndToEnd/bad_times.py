#!/usr/bin/env python3
"""The queue is full, the machine is short of room, descriptors or processes, the fork server stands
still: what can go on goes on, what cannot waits or is refused at once, and all of it recovers
without a restart. (`full_disk.py` is about the journal, `bad_workers.py` about workers.)

Usage: LIDO_BIN=PATH bad_times.py

Parts that need mount(2), or another user, are skipped where that is not permitted.
"""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from email.utils import parsedate_to_datetime

from api_checks.expectations import check_handle, check_problem
from checks import Checks
from lido_process import (
    MARK, Broken, Service, finished, free_port, look_at, wait_for_state, wait_until)

#: The longest that a client is told to stay away, in seconds.
RETRY_MAX = 60
#: What a service may use of one CPU while there is nothing that it can do, in percent.
IDLE_PERCENT = 10.0
CONFIGURATION = f"""
tasks:
  shell: {{ exec: [sh, -c, "{{0}}"], inherit: [{MARK}] }}
pools:
  programs: {{ processes: 2 }}
"""


def service_with_programs(*flags, **keywords):
    """A service with a task that is a program."""
    service = Service(*flags, **keywords)
    path = os.path.join(service.folder, "lido.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(CONFIGURATION)
    service.flags += ["--config", path]
    return service


def cpu_seconds(pid):
    """The CPU time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        text = file.read()
    fields = text[text.rindex(")") + 2:].split(" ")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def check_idle(checks, what, pids, seconds=1.0):
    """Over `seconds` these processes together use next to no CPU time: nobody spins."""
    before = sum(map(cpu_seconds, pids))
    time.sleep(seconds)
    used = sum(map(cpu_seconds, pids)) - before
    checks.at_most(f"{what}: of a CPU", used / seconds * 100, IDLE_PERCENT, "%")


def retry_after(checks, what, response):
    """The seconds of `Retry-After`, which must be sane."""
    text = response.get("retry-after") or ""
    seconds = int(text) if text.isdigit() else 0
    checks.that(f"{what}: Retry-After is sane", 1 <= seconds <= RETRY_MAX, f"1 to {RETRY_MAX}",
                text)
    return seconds


def workers(http, pool="default"):
    """The workers of a pool that are there."""
    listed = http.get(f"/v1/pools/{pool}/workers").json["workers"]
    return [worker for worker in listed if "exitcode" not in worker]


def ready_workers(http, count):
    """The workers that take calls, if they are as many."""
    found = [worker for worker in workers(http) if worker["state"] in ("idle", "busy")]
    return found if len(found) == count else None


def pool_check(http, name):
    """What /readyz says of a pool: whether it is fine, and in words."""
    checks = http.get("/readyz").json["checks"]
    check = next(check for check in checks if check["name"] == f"pool {name}")
    return check["ok"], check["detail"]


def sample(http, name):
    """A sample of /metrics."""
    lines = http.get("/metrics").text.splitlines()
    return float(next(line.split(" ")[-1] for line in lines if line.startswith(name)))


# The queue


def a_full_queue(checks):
    """503 with the seconds after which there is room, from the rate at which jobs end."""
    with Service("--processes", 2, "--max-queued", 40) as service, service.connection() as http:
        jobs = [http.submit("sleep", 60).json["id"] for _ in range(40)]
        refused = http.submit("sleep", 60)
        check_problem(checks, "the queue is full", refused, 503, "queue_full")
        checks.equal("… and nothing is known of when it won't be", refused.get("retry-after"), "5")
        for job in jobs:
            http.post(f"/v1/jobs/{job}/cancel", {"grace": 0})
        wait_until(lambda: ready_workers(http, 2), 5)
        # Kept full for a while, so that there is a rate: 2 workers, 50 ms each.
        refused, end = None, time.monotonic() + 2.5
        while time.monotonic() < end:
            response = http.submit("sleep", 0.05)
            if response.status == 503:
                refused = response
                time.sleep(0.01)
        check_problem(checks, "full again", refused, 503, "queue_full")
        refused = wait_until(
            lambda: next((r for r in [http.submit("sleep", 0.05)] if r.status == 503), None), 5)
        seconds = retry_after(checks, "at 40 jobs/s, one of 40 to go", refused)
        checks.equal("… and small", seconds, 1)
        checks.that("… the words say the same", f"about {seconds} s" in refused.json["detail"],
                    seconds, refused.json)
        time.sleep(seconds)
        checks.equal("who comes back then is let in", http.submit("square", 1).status, 202)
        a_full_queue_in_bulk(checks, http)


def a_full_queue_in_bulk(checks, http):
    """Of many submissions, those that fit are taken."""
    values = [{"task": "sleep", "args": [0.05]} for _ in range(100)]
    answer = http.post("/v1/jobs", values)
    items = answer.json["jobs"]
    taken = [item for item in items if "state" in item]
    errors = [item["error"] for item in items if "error" in item]
    checks.equal("of 100 at once, those that fit are taken, the others refused",
                 (answer.status, len(taken) + len(errors), len(taken) in range(1, 41)),
                 (200, 100, True))
    checks.that("… each with its own time to come back",
                all((e["status"], e["code"]) == (503, "queue_full")
                    and 1 <= e["retry_after"] <= RETRY_MAX for e in errors),
                "503 queue_full, retry_after", errors[:2])
    for item in taken:
        finished(http, item)


def a_queue_full_of_bytes(checks):
    """The same by bytes, also for one that is larger than the others."""
    with Service("--processes", 1, "--max-queued-bytes", 100_000) as service, \
            service.connection() as http:
        http.submit("sleep", 1)
        while (response := http.submit("echo", "x" * 9_000)).status == 202:
            pass
        check_problem(checks, "bytes: the queue is full", response, 503, "queue_full")
        retry_after(checks, "bytes", response)
        checks.equal("a smaller one is let in", http.submit("square", 1).status, 202)
        large = http.submit("echo", "x" * 95_000)
        check_problem(checks, "a larger one is not", large, 503, "queue_full")
        seconds = retry_after(checks, "a larger one", large)
        time.sleep(seconds)
        checks.equal("… but when it comes back then", http.submit("echo", "x" * 95_000).status, 202)
        never = http.submit("echo", "x" * 101_000)
        check_problem(checks, "one that never fits", never, 413, "payload_too_large")


# The disk


@contextlib.contextmanager
def mounted(folder, options):
    """A small file system at `folder`."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder],
                   check=True, capture_output=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False, timeout=10)


def can_mount(checks, what):
    """Whether a tmpfs can be mounted here; says so if not."""
    folder = Service().folder
    try:
        with mounted(folder, "size=4k"):
            return True
    except (OSError, subprocess.SubprocessError) as error:
        checks.skip(what, f"no mount: {getattr(error, 'stderr', None) or error}")
        return False


def results_while_the_journal_takes_nothing(checks):
    """What runs ends and is held; nothing further is begun, however much waits."""
    with Service("--processes", 2) as service, service.connection() as http:
        running = [http.submit("sleep", 0.7).json["id"] for _ in range(2)]
        for job in running:
            wait_for_state(http, job, "running")
        values = [{"task": "echo", "args": ["x" * 1_000]} for _ in range(1_000)]
        queued = [job["id"] for job in http.post("/v1/jobs", values).json["jobs"]]
        before = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (4_096, before[1]))
        check_problem(checks, "the journal takes nothing", http.submit("square", 1), 503,
                      "read_only")
        wait_until(lambda: sample(http, 'lido_jobs{state="running"') == 0, 5)
        checks.equal("… what ran has ended", sample(http, 'lido_jobs{state="running"'), 0.0)
        check_idle(checks, "… meanwhile", [service.pid], 0.5)
        checks.equal("… and none of 1,000 jobs was begun",
                     sample(http, 'lido_jobs{state="queued"'), 1_000.0)
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, before)
        ends = [finished(http, job)["state"] for job in running + queued]
        checks.equal("with room again all of them succeed", ends, ["succeeded"] * 1_002)


def no_room_for_programs(checks):
    """Neither working folders nor logs are worth a job."""
    if not can_mount(checks, "a disk without room for working folders"):
        return
    service = service_with_programs("--processes", 1)
    with service, service.connection() as http:
        done = finished(http, http.submit("shell", "echo a >&2; pwd").json)
        work = os.path.dirname(done["result"].strip())
        with mounted(os.path.join(service.data, "logs"), "nr_inodes=1,mode=700"):
            jobs = [http.submit("shell", "echo log >&2; echo out").json for _ in range(5)]
            ends = [finished(http, job) for job in jobs]
            checks.equal("logs that cannot be kept cost no job",
                         [(job["state"], job.get("result")) for job in ends],
                         [("succeeded", "out\n")] * 5)
            checks.equal("… and are told once", service.log_text().count("cannot be kept"), 1)
        finished(http, http.submit("shell", "echo log >&2").json)
        said = service.log_text().splitlines()[-1]
        checks.that("… and when they can be kept again, with their number",
                    "logs of jobs are kept again" in said and "dropped=5" in said, "dropped=5",
                    said)
    no_room_for_folders(checks, work)


def no_room_for_folders(checks, known):
    """A program waits while its working folder cannot be made."""
    service = service_with_programs("--processes", 1)
    os.mkdir(service.data, 0o700)
    with mounted(service.data, "nr_inodes=40,mode=700"), service, service.connection() as http:
        checks.that("a data folder with 40 names", known.endswith("work-programs"), "a name", known)
        finished(http, http.submit("shell", "true").json)
        fillers = []
        with contextlib.suppress(OSError):
            while True:
                path = os.path.join(service.data, f"filler-{len(fillers)}")
                with open(path, "xb"):
                    fillers.append(path)
        job = http.submit("shell", "echo done")
        checks.equal("no name is left for a working folder: the job is taken", job.status, 202)
        said = wait_until(lambda: "processes cannot be started" in service.log_text(), 5)
        checks.that("… the log says why it waits", said and "working folder" in service.log_text(),
                    "in the log", service.log_text()[-300:])
        is_fine, words = pool_check(http, "programs")
        checks.equal("… and /readyz", (is_fine, "No space left" in words), (False, True))
        checks.equal("… it has not failed", http.get(job.json["result_url"]).status, 409)
        checks.equal("… other pools go on",
                     finished(http, http.submit("square", 3).json).get("result"), 9)
        check_idle(checks, "… meanwhile", [service.pid])
        checks.equal("… and it is told once",
                     service.log_text().count("processes cannot be started"), 1)
        for path in fillers:
            os.remove(path)
        check_handle(checks, "with room it runs", finished(http, job.json), state="succeeded",
                     attempt=1, result="done\n")
        checks.equal("… and /readyz is fine", pool_check(http, "programs"), (True, "running"))


# Descriptors


def first_free(pid):
    """The lowest descriptor number that a process does not use."""
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    return next(number for number in range(len(used) + 1) if number not in used)


def limit_descriptors(pid, spare):
    """Lets a process open `spare` more descriptors; answers the limits of before."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (first_free(pid) + spare, before[1]))
    return before


def out_of_descriptors(checks):
    """Workers, programs and new clients wait; nothing is lost."""
    service = service_with_programs("--processes", 2, "--snapshot-interval", 1)
    with service, service.connection() as http, service.connection() as late:
        wait_until(lambda: ready_workers(http, 2), 5)
        late.get("/livez")
        job = http.submit("sleep", 600).json["id"]
        wait_for_state(http, job, "running")
        before = limit_descriptors(service.pid, 0)
        idle = next(worker for worker in workers(http) if worker["state"] == "idle")
        service.signal_worker(idle["pid"], signal.SIGKILL)
        said = wait_until(lambda: "processes cannot be started" in service.log_text(), 5)
        checks.that("out of descriptors: no worker can be started, which is told", said,
                    "in the log", service.log_text()[-300:])
        is_fine, words = pool_check(http, "default")
        checks.equal("… also by /readyz", (is_fine, "Too many open files" in words), (False, True))
        program = http.submit("shell", "echo done >&2").json
        square = http.submit("square", 7).json
        newcomer = service.connection(timeout=10)
        newcomer.send("GET", "/livez")  # The kernel takes it; the service cannot.
        checks.equal("… who is connected is served", late.get("/livez").status, 200)
        check_idle(checks, "… meanwhile", [service.pid], 2.5)
        checks.equal("… jobs wait", [http.get(f"/v1/jobs/{j['id']}").json["state"]
                                     for j in (program, square)], ["queued"] * 2)
        checks.equal("… and it is told once",
                     service.log_text().count("processes cannot be started"), 2)
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, before)
        check_handle(checks, "with descriptors again: the program runs", finished(http, program),
                     state="succeeded", attempt=1)
        check_handle(checks, "… and so does the other job", finished(http, square),
                     state="succeeded", attempt=1, result=49)
        checks.equal("… who came meanwhile is answered", newcomer.receive().status, 200)
        newcomer.close()
        checks.equal("… what ran all the time still runs",
                     http.get(f"/v1/jobs/{job}").json["state"], "running")
        checks.that("… both slots are filled", wait_until(lambda: ready_workers(http, 2), 10), 2,
                    workers(http))
        checks.equal("… /readyz is fine", wait_until(
            lambda: pool_check(http, "programs")[0] and pool_check(http, "default"), 5),
                     (True, "running"))
        service.kill()
        service.start()
        with service.connection() as again:
            checks.equal("after kill -9 and a start nothing is lost",
                         [again.get(f"/v1/jobs/{j['id']}").json["state"]
                          for j in (program, square)], ["succeeded"] * 2)


def snapshots_out_of_descriptors(checks):
    """However few can be opened, a snapshot that is due does not end the service."""
    with Service("--processes", 1, "--snapshot-interval", 0.5) as service, \
            service.connection() as http:
        wait_until(lambda: ready_workers(http, 1), 5)
        for spare in (0, 1, 2, 3):
            finished(http, http.submit("square", spare).json)
            before = limit_descriptors(service.pid, spare)
            check_idle(checks, f"a snapshot is due, {spare} descriptors are left", [service.pid],
                       1.2)
            done = http.submit("square", 7, target="/v1/jobs?wait=5")
            checks.equal("… and the service goes on", done.json.get("result"), 49)
            resource.prlimit(service.pid, resource.RLIMIT_NOFILE, before)
        finished(http, http.submit("square", 9).json)
        snapshots = wait_until(lambda: [name for name in os.listdir(service.data)
                                        if name.startswith("snapshot-")], 5)
        checks.that("with descriptors again it is written", snapshots, "one",
                    os.listdir(service.data))


# Processes


class OtherUser:
    """A user that nobody else is: root is not held by RLIMIT_NPROC, which counts per user."""

    def __init__(self):
        self.number = 41_000 + os.getpid() % 20_000

    @property
    def can_be(self):
        """Whether this script may become it."""
        return os.geteuid() == 0 and shutil.which("setpriv") and shutil.which("prlimit")

    def service(self, *flags, processes_max=None, **keywords):
        """A service that is run by this user, from the beginning with so few processes."""
        service = service_with_programs(*flags, **keywords)
        os.chown(service.folder, self.number, self.number)
        os.chmod(service.folder, 0o755)
        path = os.path.join(service.folder, "run")
        limit = f"prlimit --nproc={processes_max}: " if processes_max else ""
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nexec setpriv --reuid={self.number} --regid={self.number} "
                       f"--clear-groups {limit}{service.program} \"$@\"\n")
        os.chmod(path, 0o755)
        service.program = path
        return service

    def limit(self, pid, processes_max):
        """Sets the soft limit of a process of this user, by that user; None: to the hard one."""
        with open(f"/proc/{pid}/limits", encoding="ascii") as file:
            line = next(line for line in file if line.startswith("Max processes"))
        resource_limit = line.split()[3] if processes_max is None else str(processes_max)
        subprocess.run(
            ["setpriv", f"--reuid={self.number}", f"--regid={self.number}", "--clear-groups",
             "prlimit", f"--pid={pid}", f"--nproc={resource_limit}:"],
            check=True, capture_output=True, timeout=10)


def out_of_processes(checks, user):
    """fork(2) says EAGAIN: it is tried again, and jobs wait."""
    if not user.can_be:
        checks.skip("a machine out of processes", "needs root, setpriv and prlimit")
        return
    service = user.service("--processes", 2)
    with service, service.connection() as http:
        wait_until(lambda: ready_workers(http, 2), 5)
        idle = workers(http)[0]["pid"]
        fork_server = look_at(idle).parent
        user.limit(fork_server, 1)
        service.signal_worker(idle, signal.SIGKILL)
        said = wait_until(lambda: "processes cannot be started" in service.log_text(), 5)
        checks.that("no process can be forked: it is told", said and "fork: " in service.log_text(),
                    "in the log", service.log_text()[-300:])
        is_fine, words = pool_check(http, "default")
        checks.equal("… also by /readyz", (is_fine, "Resource temporarily unavailable" in words),
                     (False, True))
        program = http.submit("shell", "echo done").json
        checks.equal("… the other worker goes on",
                     finished(http, http.submit("square", 7).json).get("result"), 49)
        check_idle(checks, "… meanwhile", [service.pid, fork_server], 1.5)
        checks.equal("… the program waits", http.get(f"/v1/jobs/{program['id']}").json["state"],
                     "queued")
        checks.equal("… and its pool says so", pool_check(http, "programs")[0], False)
        user.limit(fork_server, None)
        check_handle(checks, "with processes again: the program runs", finished(http, program),
                     state="succeeded", attempt=1, result="done\n")
        checks.that("… both slots are filled", wait_until(lambda: ready_workers(http, 2), 10), 2,
                    workers(http))
        checks.equal("… and the log says it, once for each pool",
                     (service.log_text().count("processes cannot be started"),
                      service.log_text().count("processes can be started again")), (2, 2))


class NoWorkerYet:
    """A service that cannot start its first worker. Begun first and judged last, as those who come
    before that worker are kept for ten seconds."""

    def __init__(self, user):
        self._user = user
        self._began = time.time()
        if not user.can_be:
            return
        # The service, its thread for syncs and the fork server: no more.
        self._service = user.service("--processes", 1, processes_max=3, port=free_port())
        self._service.launch()
        self._service.port = self._service.wanted_port
        self._clients = []
        wait_until(self._is_listening, 10)
        for task, body in (("square", b'{"task":"square","args":[7]}'),
                           ("bulk", b'[{"task":"square","args":[7]},{"task":"square"}]')):
            client = self._service.connection(timeout=30)
            client.send("POST", "/v1/jobs", body, {"content-type": "application/json"})
            self._clients.append((task, client))

    def _is_listening(self):
        try:
            with self._service.connection() as http:
                return http.get("/livez").status == 200
        except Broken:
            return False

    def submissions_before_the_first_worker(self, checks):
        """They are refused in the end, and not kept for ever."""
        if not self._user.can_be:
            checks.skip("a first worker that cannot be started", "needs root, setpriv and prlimit")
            return
        service, answers = self._service, {}
        for task, client in self._clients:
            answers[task] = client.receive()
        took = parsedate_to_datetime(answers["square"].get("date")).timestamp() - self._began
        check_problem(checks, "no worker was ever ready: who waited is refused", answers["square"],
                      503, "pool_not_running")
        retry_after(checks, "… for now", answers["square"])
        checks.that("… after ten seconds", 8 < took < 14, "10 s", took)
        items = [item["error"]["code"] for item in answers["bulk"].json["jobs"]]
        checks.equal("… and so are many at once", items, ["pool_not_running"] * 2)
        with service.connection() as http:
            began = time.monotonic()
            check_problem(checks, "who comes later is refused at once", http.submit("square", 7),
                          503, "pool_not_running")
            checks.at_most("… in time", (time.monotonic() - began) * 1_000, 100, "ms")
            ready = http.get("/readyz")
            checks.equal("/readyz says that the service is not ready",
                         (ready.status, "fork: " in ready.text), (503, True))
            checks.equal("a task that is a program is known, and waits",
                         http.submit("shell", "echo done", id="program").status, 202)
            check_idle(checks, "… meanwhile", [service.pid])
            fork_server = next(
                int(pid) for pid in os.listdir("/proc")
                if pid.isdigit() and getattr(look_at(pid), "parent", None) == service.pid)
            self._user.limit(fork_server, None)
            service.wait_ready(10)
            checks.equal("with processes it becomes ready, and the job runs",
                         finished(http, "program").get("result"), "done\n")
            checks.equal("… and others are taken",
                         finished(http, http.submit("square", 7).json).get("result"), 49)


# The fork server


def a_fork_server_that_stands_still(checks):
    """Living workers go on; what needs it is done when it goes on. (That one which never does is
    replaced after 30 s is shown by MultiprocessingTests.)"""
    service = service_with_programs("--processes", 2)
    with service, service.connection() as http:
        wait_until(lambda: ready_workers(http, 2), 5)
        fork_server = look_at(workers(http)[0]["pid"]).parent
        service.signal_worker(fork_server, signal.SIGSTOP)
        try:
            began = time.monotonic()
            values = [http.submit("square", n, target="/v1/jobs?wait=5").json.get("result")
                      for n in range(200)]
            checks.equal("the fork server stands still: workers go on", values,
                         [n * n for n in range(200)])
            checks.at_most("… as fast as ever", (time.monotonic() - began) * 1_000, 2_000, "ms")
            program = http.submit("shell", "echo done").json
            sleeping = http.submit("sleep", 600).json["id"]
            wait_for_state(http, sleeping, "running")
            time.sleep(0.1)
            cancel = http.post(f"/v1/jobs/{sleeping}/cancel", {"grace": 0.2})
            checks.equal("… a cancel is accepted", cancel.status, 202)
            waited = http.get(f"/v1/jobs/{program['id']}?wait=0.5")
            checks.that("… a program waits for it", not waited.json["ready"], "not ready",
                        waited.json)
            check_idle(checks, "… meanwhile", [service.pid])
        finally:
            service.signal_worker(fork_server, signal.SIGCONT)
        check_handle(checks, "it goes on: the program runs", finished(http, program),
                     state="succeeded", attempt=1, result="done\n")
        check_handle(checks, "… and the cancelled job ends", finished(http, sleeping),
                     state="cancelled")
        both = wait_until(lambda: ready_workers(http, 2), 10) or []
        checks.equal("… it is the same fork server, and both slots are filled",
                     [look_at(worker["pid"]).parent for worker in both], [fork_server] * 2)


def main():
    checks = Checks(seconds_max=100)
    user = OtherUser()
    early = NoWorkerYet(user)
    checks.run(
        a_full_queue, a_queue_full_of_bytes, results_while_the_journal_takes_nothing,
        no_room_for_programs, out_of_descriptors, snapshots_out_of_descriptors,
        (out_of_processes, user), a_fork_server_that_stands_still,
        early.submissions_before_the_first_worker)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
