#!/usr/bin/env python3
"""Settings: flag over environment over file over default; what is wrong is refused, and told.

Usage: LIDO_BIN=PATH [LIDO_TEST_BIN=PATH] settings.py
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

from checks import Checks
from lido_process import (
    MARK, Service, binary, clean_environment, end_processes, finished, marked, temporary_folder,
    wait_until)

#: Flag (without dashes): how /v1/info or /v1/pools/default shows it, three values as text, and the
#: three as they show. The key and the variable follow from the flag.
VISIBLE = {
    "processes": ("pool.processes", ("1", "2", "3"), (1, 2, 3)),
    "maxtasksperchild": ("pool.maxtasksperchild", ("10", "20", "30"), (10, 20, 30)),
    "snapshot-interval": ("info.durability.snapshot_interval", ("30", "2m", "500ms"),
                          (30, 120, 0.5)),
    "max-body": ("info.limits.body_bytes_max", ("65536", "1MiB", "512KiB"),
                 (65_536, 1 << 20, 512 << 10)),
    "max-connections": ("info.limits.connections_max", ("21", "22", "23"), (21, 22, 23)),
    "max-header": ("info.limits.header_bytes_max", ("4096", "16KiB", "32KiB"),
                   (4_096, 16 << 10, 32 << 10)),
    "header-timeout": ("info.limits.header_timeout", ("5", "1m", "500ms"), (5, 60, 0.5)),
    "body-timeout": ("info.limits.body_timeout", ("5", "1m", "500ms"), (5, 60, 0.5)),
    "max-queued": ("info.limits.open_jobs_max", ("11", "12", "13"), (11, 12, 13)),
    "max-queued-bytes": ("info.limits.open_bytes_max", ("65536", "1MiB", "1GiB"),
                         (65_536, 1 << 20, 1 << 30)),
    "retention-age": ("info.limits.retention_age", ("60", "5m", "48h"), (60, 300, 172_800)),
    "retention-count": ("info.limits.retention_jobs_max", ("5", "6", "7"), (5, 6, 7)),
    "retention-bytes": ("info.limits.retention_bytes_max", ("65536", "1MiB", "1GiB"),
                        (65_536, 1 << 20, 1 << 30)),
    "shutdown-grace": ("info.limits.shutdown_grace", ("1", "2s", "500ms"), (1, 2, 0.5)),
    "start-method": ("pool.start_method", ("forkserver", "spawn", "forkserver"),
                     ("forkserver", "spawn", "forkserver")),
}
DEFAULTS = {
    "snapshot-interval": 60, "max-body": 8 << 20, "max-queued": 1_000_000,
    "max-header": 8 << 10, "header-timeout": 10, "body-timeout": 60,
    "max-queued-bytes": 1 << 30, "retention-age": 86_400, "retention-count": 1_000_000,
    "retention-bytes": 1 << 30, "shutdown-grace": 8, "start-method": "forkserver",
}
#: Flags that only the command line and the environment have, or that a test sets anyway.
OTHERS = {"listen", "data", "config", "port-file", "sync", "log-level", "token-file", "insecure"}
#: Flag, value, and a word that says what would be right.
WRONG = [
    ("listen", "127.0.0.1:99999", "127.0.0.1:8080"), ("listen", "nonsense:port", "8080"),
    ("listen", "8090", "did you mean 127.0.0.1:8090?"), ("listen", "foo:80", "localhost"),
    ("listen", "x", "[::1]:8080"), ("data", "~/lido", "whole path"),
    ("processes", "0", "1"), ("processes", "-1", "1"), ("processes", "many", "auto"),
    ("processes", "1.5", "auto"), ("processes", "100000", "1000"),
    ("start-method", "thread", "forkserver"), ("start-method", "fork", "forkserver"),
    ("maxtasksperchild", "-1", "0"), ("maxtasksperchild", "x", "0"),
    ("sync", "sometimes", "always"), ("sync", "-5", "always"),
    ("snapshot-interval", "soon", "ms"), ("snapshot-interval", "-1", "ms"),
    ("max-connections", "0", "1"), ("max-header", "1", "4096"), ("header-timeout", "0", "ms"),
    ("body-timeout", "x", "ms"), ("max-body", "big", "MiB"), ("max-body", "8XiB", "MiB"),
    ("max-queued", "0", "1"),
    ("max-queued", "1.5", "1"), ("retention-age", "1y", "24h"), ("retention-count", "-3", "0"),
    ("retention-bytes", "lots", "MiB"), ("shutdown-grace", "x", "ms"),
    ("log-level", "loud", "debug"), ("insecure", "1", "true"), ("token-file", "~/t", "whole path"),
]


def variable(flag):
    """The environment variable of a flag."""
    return "LIDO_" + flag.replace("-", "_").upper()


def yaml_file(text):
    """A configuration file with this text."""
    path = os.path.join(temporary_folder(), "lido.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def shown(http, place):
    """The value at `info.a.b` or `pool.a`."""
    root, *names = place.split(".")
    value = http.get("/v1/info" if root == "info" else "/v1/pools/default").json
    for name in names:
        value = value.get(name)
    return value


def check_values(checks, what, service, index, flags):
    """Each of `flags` shows the value with this index."""
    with service.connection() as http:
        for flag in flags:
            place, _, values = VISIBLE[flag]
            checks.equal(f"{what}: {flag}", shown(http, place), values[index])


def precedence(checks):
    file = "".join(f"{f.replace('-', '_')}: {v[1][0]}\n" for f, v in VISIBLE.items())
    path = yaml_file(file + "sync: never\n")
    environment = {variable(flag): value[1][1] for flag, value in VISIBLE.items()}
    environment["LIDO_SYNC"] = "always"
    flags = [part for flag, value in VISIBLE.items() for part in (f"--{flag}", value[1][2])]
    sync = "info.durability.sync"
    with Service("--config", path) as service:
        check_values(checks, "file over default", service, 0, VISIBLE)
        with service.connection() as http:
            checks.equal("file over default: sync", shown(http, sync), "never")
    with Service("--config", path, environment=environment) as service:
        check_values(checks, "environment over file", service, 1, VISIBLE)
        with service.connection() as http:
            checks.equal("environment over file: sync", shown(http, sync), "always")
    with Service("--config", path, *flags, "--sync", "20", environment=environment) as service:
        check_values(checks, "flag over environment", service, 2, VISIBLE)
        with service.connection() as http:
            checks.that("flag over environment: sync", "20" in shown(http, sync), "20 ms",
                        shown(http, sync))


def defaults(checks):
    with Service() as service, service.connection() as http:
        for flag, value in DEFAULTS.items():
            checks.equal(f"default: {flag}", shown(http, VISIBLE[flag][0]), value)
        checks.equal("default: processes auto, one per usable CPU",
                     shown(http, "pool.processes"), len(os.sched_getaffinity(0)))
        checks.that("default: sync 50 ms", "50" in shown(http, "info.durability.sync"), "50",
                    shown(http, "info.durability.sync"))


def other_places(checks):
    """listen, data, port-file and config from the environment; listen and data from the file."""
    folder = temporary_folder()
    data, port_file = os.path.join(folder, "d"), os.path.join(folder, "p")
    path = yaml_file(f"listen: 127.0.0.1:0\ndata: {data}\nlog_level: debug\n")
    with Running([], {"LIDO_CONFIG": path, "LIDO_PORT_FILE": port_file}) as this:
        ready = wait_until(lambda: os.path.exists(port_file), 10)
        checks.that("LIDO_CONFIG and LIDO_PORT_FILE alone start a service", ready,
                    "a port file", this.output())
        checks.that("… in the folder that the file names", os.path.isdir(data), data,
                    os.listdir(folder))
    path = yaml_file("pools:\n  default: { processes: 3, start_method: spawn }\n")
    with Service("--config", path) as service, service.connection() as http:
        checks.equal("pools.default in the file", (shown(http, "pool.processes"), shown(
            http, "pool.start_method")), (3, "spawn"))
    with Service("--config", path, "--processes", 1) as service, service.connection() as http:
        checks.equal("… and a flag over it", shown(http, "pool.processes"), 1)
    path = yaml_file("pools: { default: { processes: 1 }, second: { processes: 1 } }\n")
    with Service("--config", path) as service, service.connection() as http:
        names = sorted(pool["name"] for pool in http.get("/v1/pools").json["pools"])
        checks.equal("two pools in the file", names, ["default", "second"])
        done = http.submit("square", 3, pool="second", target="/v1/jobs?wait=10").json
        checks.equal("… and a job in the second", (done["pool"], done["result"]), ("second", 9))
        done = http.submit("square", 3, target="/v1/jobs?wait=10").json
        checks.equal("a task that several pools have goes to default", done["pool"], "default")


def missing_parents(checks):
    folder = temporary_folder()
    with Service("--data", os.path.join(folder, "a", "b", "c")) as service:
        service.terminate()
        checks.that("a data folder is made with those above it",
                    "lock" in os.listdir(os.path.join(folder, "a", "b", "c")), "a lock",
                    service.log_text())


def help_texts(checks):
    run = _run(["serve", "--help"])
    checks.equal("serve --help: status", run.returncode, 0)
    # Help may break its lines at any width.
    flat = " ".join(run.stdout.split())
    for flag in sorted(set(VISIBLE) | OTHERS):
        checks.that(f"… names --{flag}", f"--{flag} " in flat, f"--{flag}", flat)
        after = flat.split(f"--{flag} ", 1)[-1].split(" --", 1)[0]
        checks.that(f"… with the default of --{flag}", "default" in after, "(default: …)", after)
        checks.that(f"… and its variable {variable(flag)}", variable(flag) in flat,
                    variable(flag), after)
    run = _run(["--help"])
    checks.that("--help names serve", run.returncode == 0 and "serve" in run.stdout, "serve", run)
    run = _run(["--version"])
    checks.that("--version", run.returncode == 0 and any(c.isdigit() for c in run.stdout), "N.N.N",
                run)


def _run(arguments, environment=None, mark=None):
    return subprocess.run(
        [binary(), *arguments], capture_output=True, text=True, timeout=3, check=False,
        env={**clean_environment(), **(environment or {}), MARK: mark or uuid.uuid4().hex},
        cwd=temporary_folder(), stdin=subprocess.DEVNULL)


class Running:
    """A program with just these flags and variables, ended at the end."""

    def __init__(self, flags, environment):
        self._mark = uuid.uuid4().hex
        folder = temporary_folder()
        self._log = os.path.join(folder, "log")
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [binary(), "serve", *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=folder, env={**clean_environment(), **environment, MARK: self._mark})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        wait_until(lambda: not marked(self._mark), 1)
        end_processes(marked(self._mark))

    def output(self):
        """What it wrote."""
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return file.read()


def check_refusal(checks, what, arguments, environment, mentions, data=None):
    """The program refuses to start: soon, with a status, a message, and nothing left behind."""
    mark = uuid.uuid4().hex
    folder = data or os.path.join(temporary_folder(), "data")
    given = " ".join(arguments)
    arguments = list(arguments)
    if "--listen" not in given and "LIDO_LISTEN" not in environment:
        arguments += ["--listen", "127.0.0.1:0"]
    if "--data" not in given and "LIDO_DATA" not in environment:
        arguments += ["--data", folder]
    began = time.monotonic()
    try:
        run = _run(["serve", *arguments], environment, mark)
    except subprocess.TimeoutExpired:
        end_processes(marked(mark))
        checks.that(f"{what} is refused", False, "to end", "it runs")
        return None
    took = time.monotonic() - began
    faults = []
    if run.returncode <= 0:
        faults.append(f"status {run.returncode}")
    if took > 1:
        faults.append(f"it took {took:.1f} s")
    faults += [f"{word!r} is not mentioned" for word in mentions if word not in run.stderr]
    if not wait_until(lambda: not marked(mark), 1):
        faults.append(f"left behind: {marked(mark)}")
    checks.that(f"{what} is refused", not faults, f"a message with {mentions}",
                f"{faults} in {run.stderr!r} {run.stdout!r}")
    return run


def wrong_values(checks):
    for flag, value, right in WRONG:
        arguments = [f"--{flag}={value}"]
        check_refusal(checks, f"--{flag}={value}", arguments, {}, [f"--{flag}", value, right])
    for flag, value, right in WRONG[::3]:
        check_refusal(checks, f"{variable(flag)}={value}", [], {variable(flag): value},
                      [variable(flag), value, right])
    folder = os.path.join(temporary_folder(), "data")
    for arguments, environment, name in (
        (["--listen", "8090"], {}, "--listen"), (["--listen", "foo:80"], {}, "--listen"),
        ([], {"LIDO_LISTEN": "x"}, "LIDO_LISTEN"), (["--max-body=1"], {}, "--max-body"),
    ):
        run = check_refusal(checks, f"{name} with {arguments} {environment}", arguments,
                            environment, [name, "lido serve --help"], data=folder)
        checks.equal("… with exit code 64, before a folder is made",
                     (run and run.returncode, os.path.exists(folder)), (64, False))
    check_refusal(checks, "an unknown flag", ["--procesess", "2"], {}, ["--procesess"])
    check_refusal(checks, "a flag without its value", ["--processes"], {}, ["--processes"])
    check_refusal(checks, "an argument too many", ["extra"], {}, ["extra"])
    check_refusal(checks, "an unknown variable LIDO_…", [], {"LIDO_PROCESESS": "2"},
                  ["LIDO_PROCESESS", "did you mean LIDO_PROCESSES?", "LIDO_MAX_BODY"])
    check_refusal(checks, "an unknown variable without a name near it", [], {"LIDO_COLOUR": ""},
                  ["LIDO_COLOUR", "LIDO_LISTEN", "LIDO_TOKENS"])
    others = {"LIDO_SEED": "1", "LIDO_BIN": "x", "LIDO_URL": "http://127.0.0.1:1",
              "LIDO_PORT": "tcp://10.0.0.1:8080", "LIDO_SERVICE_HOST": "10.0.0.1"}
    with Service(environment=others) as service, service.connection() as http:
        checks.equal("variables of tests, clients and Kubernetes are left alone",
                     http.get("/livez").status, 200)


def wrong_files(checks):
    for what, text, mentions in (
        ("a wrong value", "# a comment\nsync: always\nprocesses: none\n", [":3", "none", "auto"]),
        ("an unknown key", "sync: always\nprocesess: 2\n", [":2", "procesess", "processes"]),
        ("a list for a value", "processes: [1, 2]\n", [":1", "processes"]),
        ("no value", "sync: always\ndata: ~\n", [":2", "data", "empty"]),
        ("a wrong value of a pool", "pools:\n  default:\n    processes: no\n", [":3", "no"]),
        ("an unknown key of a pool", "pools: { default: { size: 2 } }\n", [":1", "size"]),
        ("a wrong name of a pool", "pools: { 'a b': { processes: 2 } }\n", [":1", "a b"]),
        ("no keys at all", "just text\n", ["lido.yaml"]),
        ("no YAML", "processes: [1\nsync: {\n", ["lido.yaml"]),
        ("a key twice", "processes: 1\nprocesses: 2\n", ["processes"]),
        ("a result beyond max_body", "max_body: 1MiB\ntasks:\n  a: { exec: [ls], output: 2MiB }\n",
         [":3", "output", "2097152", "max_body", "1048576"]),
        ("a result of a Swift task beyond it", "tasks: { echo: { output: 9MiB } }\n",
         [":1", "output", "max_body"]),
        ("two numbers for one pool", "processes: 3\npools:\n  default: { processes: 2 }\n",
         [":3", "processes", "lido.yaml:1"]),
        ("two numbers the other way", "pools:\n  default: { processes: 2 }\nprocesses: 3\n",
         [":3", "processes", "lido.yaml:2"]),
        ("a variable that the service sets", "tasks: { a: { exec: [ls], environment: { HOME: /x "
         "} } }\n", [":1", "HOME", "the service sets"]),
        ("one to inherit", "tasks: { a: { exec: [ls], inherit: [LIDO_TASK] } }\n",
         [":1", "LIDO_TASK", "the service sets"]),
        ("a program in default", "tasks:\n  a: { exec: [ls], pool: default }\n",
         [":2", "the pool 'default' runs"]),
        ("workers' settings of programs", "tasks: { a: { exec: [ls] } }\npools:\n"
         "  programs: { maxtasksperchild: 9 }\n", [":3", "programs", "no meaning"]),
    ):
        path = yaml_file(text)
        check_refusal(checks, f"a file with {what}", ["--config", path], {}, [path, *mentions])
    check_refusal(checks, "a file that is not there", ["--config", "/nowhere/lido.yaml"], {},
                  ["/nowhere/lido.yaml"])


def smaller_bodies(checks):
    """`output` is held against the bound in force, wherever that comes from."""
    path = yaml_file("tasks: { echo: { output: 2MiB } }\n")
    check_refusal(checks, "a result beyond --max-body", ["--config", path, "--max-body", "1MiB"],
                  {}, [path, ":1", "output", "--max-body"])
    path = yaml_file("tasks: { echo: { output: 9MiB } }\n")
    with Service("--config", path, "--max-body", "9MiB") as service:
        with service.connection() as http:
            checks.equal("a result as large as --max-body", http.get("/livez").status, 200)


#: An example in a comment, or in one of those: `# key: value`, indented as its place wants.
EXAMPLE = re.compile(r"( *)# ( *(?:# *)?[a-z_]+:(?: .*)?)")


def examples(checks):
    """deploy/lido.yaml with all that stands in comments as an example, in force."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(root, "deploy", "lido.yaml"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    text = []
    for line in lines:
        while (example := EXAMPLE.fullmatch(line)) is not None:
            line = example[1] + example[2]
        text.append(line + "\n")
    token = "0123456789abcdef"
    tokens = yaml_file(token + "\n")
    flags = "--config", yaml_file("".join(text)), "--token-file", tokens
    with Service(*flags) as service, service.connection() as http:
        authority = {"authorization": f"Bearer {token}"}
        tasks = {t["name"]: t for t in http.get("/v1/tasks", **authority).json["tasks"]}
        limits = tasks.get("thumbnail", {}).get("limits", {})
        checks.equal("every example of lido.yaml in force at once: the limits", sorted(limits),
                     ["cpu", "memory", "open_files", "output", "timeout"])
        if not has_image_magick():
            checks.skip("the thumbnail of lido.yaml", "there is no convert of ImageMagick's")
            return
        picture = os.path.join(service.folder, "a.ppm")
        with open(picture, "wb") as file:
            file.write(b"P6 64 64 255\n" + bytes(64 * 64 * 3))
        job = http.submit("thumbnail", kwargs={"picture": picture, "width": 16},
                          target="/v1/jobs?wait=30", headers=authority).json
        answer = http.get(f"/v1/jobs/{job['id']}/result", **authority)
        checks.equal("the thumbnail of lido.yaml is a picture",
                     (job["state"], answer.status, answer.get("content-type"), answer.body[:4]),
                     ("succeeded", 200, "image/png", b"\x89PNG"))


def has_image_magick():
    """Whether `convert` is that program; others have the name, too."""
    if not shutil.which("convert"):
        return False
    shown = subprocess.run(["convert", "-version"], capture_output=True, text=True, timeout=10,
                           check=False)
    return shown.returncode == 0 and "ImageMagick" in shown.stdout


def places_that_are_taken(checks):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        check_refusal(checks, "a port in use", ["--listen", f"127.0.0.1:{port}"], {},
                      [port, "in use"])
    check_refusal(checks, "an address that is not this machine's", ["--listen", "192.0.2.1:0"], {},
                  ["192.0.2.1"])
    folder = temporary_folder()
    path = os.path.join(folder, "file")
    with open(path, "w", encoding="utf-8") as file:
        file.write("in the way")
    check_refusal(checks, "a data folder that is a file", ["--data", path], {}, [path])
    check_refusal(checks, "a data folder that cannot be made", ["--data", path + "/below"], {},
                  [path])
    for what, file, reason in (
        ("in a folder that is not there", "/nowhere/port", "No such file"),
        ("below a file", path + "/port", "Not a directory"),
        ("that is a folder", folder, "folder"),
        ("in a folder that takes no files", "/proc/port", "No such file"),
    ):
        check_refusal(checks, f"a port file {what}", ["--port-file", file], {}, [file, reason])
    checks.equal("… and nothing is left of it", sorted(os.listdir(folder)), ["file"])
    stale = os.path.join(folder, "stale")
    with open(stale, "w", encoding="utf-8") as file:
        file.write("1\n")
    flags = ["--port-file", stale, "--listen", "127.0.0.1:0", "--data", folder + "/data"]
    with Running(flags, {}) as this:
        checks.that("a port file that a crash left is replaced", wait_until(
            lambda: (_read(stale) or "1\n") != "1\n", 5), "another port", this.output())


def _read(path):
    """The text of a file; None while it is not there."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def logs(checks):
    with Service("--log-level", "error") as quiet:
        quiet.terminate()
        checks.equal("--log-level error logs nothing of a normal life", quiet.log_text(), "")
    with Service() as usual:
        usual.terminate()
        text = usual.log_text()
        checks.that("by default the log names the port", f":{usual.port}" in text,
                    f":{usual.port}", text)


def ends_of_workers(checks):
    with Service("--processes", 1, "--log-level", "debug") as service:
        names = {process.name for process in service.remember_processes()}
        checks.equal("processes have names", names, {"lido", "lido-forks", "lido-worker"})
        with service.connection() as http:
            # The waits are for the worker to begin: what it has not begun is taken back.
            job = http.submit("sleep", 60, target="/v1/jobs?wait=0.3").json
            http.post(f"/v1/jobs/{job['id']}/cancel", {"grace": 5})
            finished(http, job)
            wait_until(lambda: "ended on request" in service.log_text(), 5)
            text = service.log_text()
            checks.that("a worker that a cancel ended is expected",
                        "worker ended on request" in text and "unexpectedly" not in text,
                        "worker ended on request", text)
            job = http.submit("sleep", 60, target="/v1/jobs?wait=0.3").json
            service.signal_worker(job["worker"]["pid"], signal.SIGKILL)
            finished(http, job)
            wait_until(lambda: "unexpectedly" in service.log_text(), 5)
            lines = [line for line in service.log_text().splitlines() if "unexpectedly" in line]
            checks.that("a worker that died names its job and task", len(lines) == 1 and all(
                word in lines[0] for word in (f"job={job['id']}", "task=sleep", "exitcode=-9")),
                "one line", lines)
            page = http.get("/metrics").text
            for reason in ("ended", "signalled"):
                sample = f'lido_worker_exits_total{{pool="default",reason="{reason}"}} 1'
                checks.that(f"one worker {reason} in the metrics", sample in page, sample, page)


def broken_pool(checks):
    if not os.environ.get("LIDO_TEST_BIN"):
        checks.skip("a service with a broken pool", "LIDO_TEST_BIN is not set")
        return
    path = yaml_file("pools: { default: { processes: 1 }, "
                     "other: { processes: 1, start_method: spawn } }\n")
    with Service("--config", path, program=binary("LIDO_TEST_BIN"),
                 environment={"E2E_NO_SPAWN": "1"}) as service, service.connection() as http:
        answer = http.get("/readyz")
        wrong = [check["name"] for check in answer.json["checks"] if not check["ok"]]
        checks.equal("a service with a broken pool is ready, and names it",
                     (answer.status, answer.json["ready"], wrong), (200, True, ["pool other"]))
        done = http.submit("sleep", 0, pool="default", target="/v1/jobs?wait=10").json
        checks.equal("… and its other pool works", done["state"], "succeeded")
        refused = http.submit("sleep", 0, pool="other")
        checks.equal("… and the broken one is refused", refused.json.get("code"),
                     "pool_not_running")


def main():
    checks = Checks(seconds_max=120)
    checks.run(
        help_texts, defaults, precedence, other_places, wrong_values, wrong_files,
        smaller_bodies, examples, places_that_are_taken, missing_parents, logs, ends_of_workers,
        broken_pool)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
