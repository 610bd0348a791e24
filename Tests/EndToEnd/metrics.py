#!/usr/bin/env python3
"""What the service tells its operator: every counter is what was done, and the log is a line an
event, which is JSON where it is to be, and in which nobody else can write.

Usage: LIDO_BIN=PATH metrics.py
"""

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

import metrics_text
from checks import Checks
from lido_process import (
    Service, binary, finished, look_at, temporary_folder, wait_for_state, wait_until)

#: What http-api.md promises, and what an operator needs besides.
FAMILIES = {
    "counter": {
        "lido_maps_submitted_total", "lido_map_items_total",
        "lido_jobs_submitted_total", "lido_jobs_finished_total", "lido_job_failures_total",
        "lido_job_retries_total", "lido_job_interruptions_total", "lido_refusals_total",
        "lido_worker_exits_total", "lido_fork_server_exits_total", "lido_journal_failures_total",
        "lido_snapshot_failures_total", "lido_job_logs_dropped_total", "lido_http_requests_total",
        "process_cpu_seconds_total"},
    "histogram": {
        "lido_job_wait_seconds", "lido_job_run_seconds", "lido_journal_sync_seconds",
        "lido_snapshot_seconds", "lido_turn_seconds", "lido_http_request_seconds"},
    "gauge": {
        "lido_build_info", "lido_ready", "lido_read_only", "lido_draining", "lido_jobs",
        "lido_queue_oldest_job_age_seconds", "lido_workers", "lido_pool_broken",
        "lido_turn_longest_seconds",
        "lido_maps_open",
        "lido_open_jobs_max", "lido_open_bytes", "lido_open_bytes_max", "lido_retained_bytes",
        "lido_retained_bytes_max", "lido_retained_jobs_max", "lido_journal_bytes",
        "lido_journal_pending_records", "lido_snapshot_bytes", "lido_job_log_bytes",
        "lido_http_connections", "lido_http_connections_max", "lido_http_streams",
        "lido_waiting_requests", "process_resident_memory_bytes", "process_virtual_memory_bytes",
        "process_open_fds", "process_max_fds", "process_start_time_seconds"}}
LEVELS = {"trace", "debug", "info", "notice", "warning", "error", "critical"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
#: Would be a line of its own, a cleared screen, a member, the end of a string.
EVIL = 'x\n2026-01-01T00:00:00.000Z info forged\r\n{"message":"forged"}\u001b[2K\u009b1A\u2028"=\\'

CONFIGURATION = """
processes: 1
tasks:
  count: { exec: [wc, -c], stdin: "{0}" }
  grumble: { exec: [sh, -c, "echo no paper >&2; exit 3"] }
"""


def configuration():
    """A file with a pool of workers, and two programs as tasks."""
    path = os.path.join(temporary_folder(), "lido.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(CONFIGURATION)
    return path


# Counters


def do_every_outcome(http):
    """Jobs of every end, with what is to be counted for each: task, outcome, code, retries."""
    def submit(task, *args, **members):
        return http.submit(task, *args, **members).json["id"]
    runs = [(submit("square", n), "square", "succeeded", None, 0) for n in range(5)]
    runs += [(submit("fail", EVIL), "fail", "failed", "raised", 0) for _ in range(3)]
    runs += [
        (submit("fail", "twice", max_attempts=2), "fail", "failed", "raised", 1),
        (submit("crash", {"exit": 3}), "crash", "failed", "exited", 0),
        (submit("crash", {"signal": 9}), "crash", "failed", "signalled", 0),
        (submit("square", "x"), "square", "failed", "argument_decoding", 0),
        (submit("sleep", 60, timeout=0.2), "sleep", "failed", "timed_out", 0),
        (submit("count", "seven  "), "count", "succeeded", None, 0),
        (submit("grumble"), "grumble", "failed", "exited", 0)]
    for job, *_ in runs:
        finished(http, job)
    running, queued = submit("sleep", 60), submit("sleep", 60)
    wait_for_state(http, running, "running")
    for job in (queued, running):
        http.post(f"/v1/jobs/{job}/cancel", {"grace": 1})
        finished(http, job)
        runs.append((job, "sleep", "cancelled", None, 0))
    return runs


def counters(checks):
    with Service("--config", configuration()) as service, service.connection() as http:
        before = metrics_text.read(http)
        for task in ("square", "fail", "crash", "sleep"):
            checks.equal(f"{task} is there before its first job", before.value(
                "lido_jobs_submitted_total", task=task, pool="default"), 0.0)
        runs = do_every_outcome(http)
        for body in (b'{"task":"nothing"}', b'[{"task":"nothing"},{"task":"square","args":[1]}]'):
            http.post("/v1/jobs?wait=5", body)
        http.get("/nowhere")
        http.request("PUT", "/v1/jobs")
        page = metrics_text.read(http)
        check_jobs(checks, page, runs)
        check_the_rest(checks, page, http, service)
        text = http.get("/metrics").text
        shown = [run[0] for run in runs if run[0] in text]
        checks.equal("no id of a job is in the page", shown, [])
        found = metrics_text.promtool(text)
        if found is None:
            checks.skip("promtool check metrics", "promtool is not installed")
        else:
            checks.equal("promtool check metrics", found, "")


def check_jobs(checks, page, runs):
    """What was counted for jobs is what was done; a square was submitted among many besides."""
    runs = runs + [("", "square", "succeeded", None, 0)]
    pools = {"count": "programs", "grumble": "programs"}
    for task in sorted({run[1] for run in runs}):
        own = [run for run in runs if run[1] == task]
        where = {"task": task, "pool": pools.get(task, "default")}
        checks.equal(f"{task}: submitted", page.value("lido_jobs_submitted_total", **where),
                     float(len(own)))
        for outcome in ("succeeded", "failed", "cancelled"):
            count = sum(run[2] == outcome for run in own)
            checks.equal(f"{task}: {outcome}", page.value(
                "lido_jobs_finished_total", outcome=outcome, **where), float(count))
        codes = {code: sum(run[3] == code for run in own) for code in {run[3] for run in own}}
        codes.pop(None, None)
        found = {labels["code"]: page.value("lido_job_failures_total", **labels)
                 for labels in page.labels("lido_job_failures_total") if labels["task"] == task}
        checks.equal(f"{task}: failures by code", found, {c: float(n) for c, n in codes.items()})
        checks.equal(f"{task}: retries", page.total("lido_job_retries_total", task=task),
                     float(sum(run[4] for run in own)))
    begun = len(runs) - 1  # All but the one that was cancelled in the queue.
    for name in ("lido_job_wait_seconds", "lido_job_run_seconds"):
        checks.equal(f"{name} has every job that began", page.value(name + "_count"), float(begun))
    short = page.value("lido_job_run_seconds_bucket", le="1.0")
    checks.that("… the short ones among the short", short >= begun - 4, begun - 4, short)
    checks.equal("as many are held", page.total("lido_jobs"), float(len(runs)))


def check_the_rest(checks, page, http, service):
    """Workers, requests, the process; and every family that is promised."""
    exits = {labels["reason"]: page.value("lido_worker_exits_total", **labels)
             for labels in page.labels("lido_worker_exits_total") if labels["pool"] == "default"}
    # Ended: the one that ran too long, and the one that was cancelled, unless its call was taken
    # back before the worker had begun it.
    ended = exits.pop("ended", None)
    checks.that("workers that were ended", ended in (1.0, 2.0), "1 or 2", ended)
    checks.equal("ends of workers, by reason", exits, {
        "exited": 1.0, "lost": 0.0, "retired": 0.0, "signalled": 1.0})
    checks.equal("a refusal, and one among many", page.value(
        "lido_refusals_total", code="unknown_task"), 2.0)
    for labels, count in (
            ({"route": "none", "method": "GET", "code": "404"}, 1.0),
            ({"route": "none", "method": "PUT", "code": "405"}, 1.0),
            ({"route": "submit_job", "method": "POST", "code": "422"}, 1.0),
            ({"route": "cancel_job", "method": "POST", "code": "202"}, 2.0)):
        checks.equal(f"requests {labels}", page.value("lido_http_requests_total", **labels), count)
    for kind, names in FAMILIES.items():
        found = {name for name in names if page.types.get(name) == kind}
        checks.equal(f"each promised {kind} is there", sorted(names - found), [])
    checks.equal("… and nothing else but the last snapshot", sorted(
        set(page.types) - set().union(*FAMILIES.values())
        - {"lido_snapshot_last_success_timestamp_seconds"}), [])
    resident = page.value("process_resident_memory_bytes")
    checks.that("the service's memory is what /proc says", abs(
        resident - resident_bytes(service.pid)) < 8 << 20, resident_bytes(service.pid), resident)
    checks.that("open descriptors are counted", 5 < page.value("process_open_fds") < 100,
                "some", page.value("process_open_fds"))
    checks.that("it started lately", abs(
        page.value("process_start_time_seconds") - time.time()) < 120, "now", page.value(
            "process_start_time_seconds"))
    checks.equal("one connection is open", page.value("lido_http_connections"), 1.0)
    workers = http.get("/v1/pools/default/workers").json["workers"]
    wrong = [worker for worker in workers if ("exitcode" in worker) != (
        worker.get("resident_memory_bytes", 0) < 1 << 20)]
    checks.equal("living workers tell their memory, those that are gone have none", wrong, [])


def resident_bytes(pid):
    """The resident memory of a process, as /proc/PID/statm has it."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def dropped_at_once(checks):
    """A job that retention drops in the turn of its end has ended, too."""
    with Service("--retention-count", 0) as service, service.connection() as http:
        for _ in range(5):
            http.submit("square", 7, target="/v1/jobs?wait=5")
        def ended():
            return metrics_text.read(http).total("lido_jobs_finished_total", outcome="succeeded")
        checks.that("jobs that are not kept are counted", wait_until(
            lambda: ended() == 5, 5), 5.0, ended())


# The log


def json_lines(checks, service, what):
    """The lines of a log, each an object; none is left out."""
    lines, wrong = [], []
    for text in service.log_text().splitlines():
        try:
            line = json.loads(text)
            is_right = (
                TIME.fullmatch(line["time"]) and line["level"] in LEVELS
                and isinstance(line["message"], str) and len(text.encode()) < 4096)
        except (ValueError, KeyError, TypeError):
            line, is_right = {}, False
        (lines if is_right else wrong).append(line if is_right else text)
    checks.equal(f"{what}: every line is an object with time, level and message", wrong, [])
    return lines


def check_messages(checks, lines, what, *expected):
    """Each of these messages stands there, at its level."""
    for level, message in expected:
        found = [line["level"] for line in lines if line["message"].startswith(message)]
        checks.that(f"{what}: {message}", level in found, level, found)


def restrict(service, size):
    """Lets no file of the service grow beyond `size` bytes; answers the limit of before."""
    before = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (size, before[1]))
    return before


def whole_life(checks):
    """Start, work, the death of a worker and of the fork server, a journal that cannot be written,
    kill -9, another start, and the end."""
    service = Service("--config", configuration(), "--log-format", "json", "--log-level", "debug",
                      "--shutdown-grace", 0.3)
    with service, service.connection() as http:
        http.request("GET", "/v1/jobs/a%0Ab", None, {"x-request-id": "first-one"})
        # No id: the evil text would be refused as one.
        http.submit("fail", EVIL, target="/v1/jobs?wait=5", tags=[EVIL[:50]])
        http.post("/v1/jobs", {"task": EVIL})
        http.submit("crash", {"signal": 9}, target="/v1/jobs?wait=5")
        accepted = unwritable(checks, service, http)
        server = next(p for p in service.remember_processes() if p.name == "lido-forks")
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: "a fork server runs again" in service.log_text(), 5)
        http.submit("square", 7, target="/v1/jobs?wait=5")
        http.submit("sleep", 60, id="cut")
        wait_for_state(http, "cut", "running")
        page = metrics_text.read(http)
        checks.equal("a fork server was lost", page.value("lido_fork_server_exits_total"), 1.0)
        checks.equal("what was refused is not counted as submitted", page.total(
            "lido_jobs_submitted_total"), float(accepted + 4))
        service.kill()
    lines = json_lines(checks, service, "a life that ends by kill -9")
    check_messages(
        checks, lines, "the log", ("info", "starting"), ("info", "recovered"),
        ("info", "listening"), ("info", "ready"), ("warning", "worker ended unexpectedly"),
        ("error", "the journal cannot be written"), ("notice", "the journal can be written again"),
        ("error", "the fork server ended"), ("notice", "a fork server runs again"))
    check_lines(checks, lines)
    os.truncate(service.log, 0)
    with service.start().connection() as http:
        wait_for_state(http, "cut", "running")
        page = metrics_text.read(http)
        checks.equal("the crash interrupted one attempt", page.value(
            "lido_job_interruptions_total", reason="crash"), 1.0)
    checks.equal("SIGTERM: exit status", service.terminate(), 0)
    lines = json_lines(checks, service, "a life that is drained")
    check_messages(
        checks, lines, "the log", ("info", "recovered"), ("info", "draining"),
        ("warning", "the grace is over"), ("debug", "snapshot written"), ("info", "stopped"))
    end = lines[-1]
    checks.equal("the last line says what is left, and how long it took", (
        end["message"], end["open"], 0.3 <= end["seconds"] < 10), ("stopped", 1, True))


def unwritable(checks, service, http):
    """The journal cannot be written for a while; answers how many jobs were accepted meanwhile."""
    before = restrict(service, 8_192)
    accepted = 0
    while http.submit("echo", "x" * 3_000).status == 202:
        accepted += 1
    page = metrics_text.read(http)
    checks.equal("read-only: the page says so", (
        page.value("lido_read_only"), page.value("lido_ready")), (1.0, 0.0))
    checks.that("… and counts the failure", page.value("lido_journal_failures_total") >= 1, 1,
                page.value("lido_journal_failures_total"))
    checks.that("… and the refusal", page.value("lido_refusals_total", code="read_only") >= 1, 1,
                page.samples)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, before)
    wait_until(lambda: http.get("/readyz").status == 200, 5)
    page = metrics_text.read(http)
    checks.equal("writable again: the page says so", (
        page.value("lido_read_only"), page.value("lido_ready")), (0.0, 1.0))
    return accepted


def check_lines(checks, lines):
    """The members of single lines."""
    death = next(line for line in lines if line["message"] == "worker ended unexpectedly")
    checks.equal("a death names task and exit code, as a number", (
        death["task"], death["exitcode"], isinstance(death["pid"], int)), ("crash", -9, True))
    ends = [line for line in lines if line["message"] == "job ended"]
    evil = [line for line in ends if line.get("error") == EVIL]
    checks.equal("an evil message comes back as it was", (
        len(evil), evil[0]["code"] if evil else None), (1, "raised"))
    checks.equal("no line is forged", [x for x in lines if x["message"] == "forged"], [])
    request = [line for line in lines if line.get("request_id") == "first-one"]
    checks.equal("a request has its line", [
        (line["message"], line["route"], line["method"], line["status"]) for line in request],
        [("request", "get_job", "GET", 404)])
    recovered = next(
        line for line in lines if line["message"].startswith("the journal can be written"))
    checks.that("… that the journal was written again says how long it took", isinstance(
        recovered["seconds"], float) and recovered["records"] >= 1, "seconds, records", recovered)


def forged_lines(checks):
    """A line of text is one line, too, and its values cannot be taken for others."""
    with Service("--log-level", "debug") as service, service.connection() as http:
        http.submit("fail", EVIL, target="/v1/jobs?wait=5")
        service.terminate()
        lines = service.log_text().splitlines()
        wrong = [line for line in lines if not re.match(r"[0-9T:.Z-]{24} [a-z]+ [a-z]", line)]
        checks.equal("every line begins with its time and level", wrong, [])
        checks.equal("none is forged", [x for x in lines if " info forged" in x[:40]], [])
        steering = [line for line in lines if re.search("[\x00-\x1f\x7f-\x9f\u2028]", line)]
        checks.equal("nothing steers a terminal", steering, [])
        checks.that("the message is there", any("info forged" in line for line in lines),
                    "escaped", "not there")


def full_queue(checks):
    """A queue that is full is told once, and when it is over."""
    with Service("--processes", 1, "--max-queued", 2) as service, service.connection() as http:
        for _ in range(2):
            http.submit("sleep", 1.5)
        refused = [http.submit("square", 7).status for _ in range(20)]
        checks.equal("twenty submissions are refused", refused, [503] * 20)
        wait_until(lambda: "room again" in service.log_text(), 10)
        lines = [line for line in service.log_text().splitlines() if "the queue" in line]
        checks.that("… in two lines, the second with their number", len(lines) == 2 and (
            "warning the queue is full" in lines[0] and "refused=20" in lines[1]), "two", lines)
        checks.equal("… and as many in the metrics", metrics_text.read(http).value(
            "lido_refusals_total", code="queue_full"), 20.0)


def denials(checks):
    """Whoever asks without a token fills no log."""
    token = "0123456789abcdef"
    with Service(environment={"LIDO_TOKENS": token}) as service, service.connection() as http:
        began = time.monotonic()
        statuses = {http.get("/v1/info").status for _ in range(300)}
        seconds = time.monotonic() - began
        checks.equal("300 requests without a token", statuses, {401})
        def told():
            counts = re.findall(r"requests were not let in .*requests=(\d+)", service.log_text())
            return [int(count) for count in counts]
        # Being ready was asked without one, too.
        wait_until(lambda: sum(told()) >= 300, 3)
        checks.that("… are told in a line a second, with their number",
                    300 <= sum(told()) <= 301 and len(told()) <= seconds + 3, "300", told())


def few_connections(checks):
    """Connections that cannot be had are told once, and that they can be had again."""
    program = os.path.join(temporary_folder(), "few-files")
    with open(program, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nulimit -n 96\nexec {binary()} "$@"\n')
    os.chmod(program, 0o700)
    with Service(program=program) as service:
        with service.connection() as http:
            most = int(metrics_text.read(http).value("lido_http_connections_max"))
        check_episode(
            checks, service, "all connections", most,
            ("all connections are taken", "connections are free again"))
        text = service.log_text()
        checks.that("a limit of open files that is low is told at the start",
                    "notice the limit of open files leaves room for fewer" in text, "told", text)
    with Service() as service:
        with service.connection() as http:
            open_now = int(metrics_text.read(http).value("process_open_fds"))
        before = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (open_now + 4, before[1]))
        check_episode(
            checks, service, "all descriptors", 20,
            ("no descriptor, or no memory, is left", "there are descriptors"),
            lambda: resource.prlimit(service.pid, resource.RLIMIT_NOFILE, before))


def check_episode(checks, service, what, count, messages, relieve=lambda: None):
    """With more clients than there is room for, a line; without them, another."""
    with contextlib.ExitStack() as stack:
        for _ in range(count + 4):
            http = stack.enter_context(service.connection())
            # Half a request: who is idle would be closed to make room.
            http.send_bytes(b"GET /livez HTTP/1.1\r\n")
        wait_until(lambda: messages[0] in service.log_text(), 5)
        # Held on for a while, it is still one episode.
        time.sleep(0.6)
        relieve()
    wait_until(lambda: messages[1] in service.log_text(), 5)
    lines = [line for line in service.log_text().splitlines() if any(m in line for m in messages)]
    checks.that(f"{what} are taken: a line, and another when they are not", len(lines) == 2
                and f"warning {messages[0]}" in lines[0] and f"notice {messages[1]}" in lines[1],
                messages, lines)


def request_ids(checks):
    with Service("--log-level", "debug") as service, service.connection() as http:
        for target, status in (("/livez", 200), ("/v1/jobs/none", 404), ("/nowhere", 404)):
            response = http.get(target, x_request_id="mine-1")
            checks.equal(f"GET {target} repeats an X-Request-Id", (
                response.status, response.get("x-request-id")), (status, "mine-1"))
        response = http.submit("sleep", 0.1, target="/v1/jobs?wait=5",
                               headers={"x_request_id": "mine-2"})
        checks.equal("… so does an answer that was waited for",
                     response.get("x-request-id"), "mine-2")
        checks.equal("one that went well has none of its own",
                     http.get("/livez").get("x-request-id"), None)
        made = [http.get("/nowhere").get("x-request-id") for _ in range(2)]
        checks.that("an error has one of its own, and each another", all(
            re.fullmatch(r"[0-9a-z]+-\d+", identifier or "") for identifier in made)
            and made[0] != made[1], "two", made)
        bad = http.get("/nowhere", x_request_id="a b").get("x-request-id")
        checks.that("one that cannot be used is none", bad not in (None, "a b"), "made", bad)
        text = service.log_text()
        for identifier in ["mine-1", "mine-2"] + made:
            checks.that(f"{identifier} stands in the log", f"request_id={identifier} " in text,
                        identifier, text[-900:])


class UnreadService(Service):
    """A service whose standard error is a pipe that is read when it is told to."""

    def __init__(self, *flags, **settings):
        super().__init__(*flags, **settings)
        self._reader = None

    def launch(self, *more_flags, leads_session=False):
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        if os.path.exists(self.port_file):
            os.remove(self.port_file)
        with contextlib.closing(os.fdopen(writer, "wb")) as log:
            self.process = subprocess.Popen(
                [self.program, "serve", "--listen", "127.0.0.1:0", "--data", self.data,
                 "--port-file", self.port_file, *self.flags, *more_flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                cwd=self.folder, start_new_session=leads_session)
        return self

    def log_text(self):
        """What can be read now, and was not before."""
        parts = []
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._reader, 1 << 16):
                parts.append(part)
        return b"".join(parts).decode()


def unread_log(checks):
    """Nobody reads standard error: nobody waits for that, and what is missing is told."""
    with UnreadService("--log-level", "debug", "--log-format", "json") as service:
        with service.connection(timeout=5) as http:
            statuses = {http.get("/livez").status for _ in range(2_000)}
            checks.equal("2,000 requests, each with a line that nobody reads", statuses, {200})
            checks.that("the service runs", look_at(service.pid).state in "SR", "running", "not")
            text = service.log_text()
            checks.that("a pipe holds some of the lines", 0 < text.count('"request"') < 2_000,
                        "some", text.count('"request"'))
            http.get("/livez")
            lines = []
            def is_told():
                lines.extend(json.loads(line) for line in service.log_text().splitlines())
                return len(lines) >= 2
            wait_until(is_told, 5)
            lost = [line["lines"] for line in lines if line["message"].startswith("log lines were")]
            missing = 2_000 - text.count('"request"')
            checks.that("the next line says how many are missing", len(lost) == 1 and abs(
                lost[0] - missing) <= 1, missing, lost)


def main():
    checks = Checks(seconds_max=120)
    checks.run(counters, dropped_at_once, whole_life, forged_lines, full_queue, denials,
               few_connections, request_ids, unread_log)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
