"""Everything that is not a job: tasks, pools, checks, metrics, the description of the surface."""

import os
import re

from lido_process import Service, descendants, finished, look_at, wait_until

from .expectations import MOMENT, check_problem, faults_of_problem

BUILT_IN = {"square", "factorial", "primes", "sort", "echo", "sleep", "burn", "fail", "crash"}
#: Every route of this version, with its methods.
ROUTES = {
    "/v1/jobs": {"get", "post"},
    "/v1/jobs/{id}": {"get", "delete"},
    "/v1/jobs/{id}/result": {"get"},
    "/v1/jobs/{id}/cancel": {"post"},
    "/v1/jobs/{id}/logs": {"get"},
    "/v1/jobs/{id}/events": {"get"},
    "/v1/maps": {"get", "post"},
    "/v1/maps/{id}": {"get", "delete"},
    "/v1/maps/{id}/result": {"get"},
    "/v1/maps/{id}/results": {"get"},
    "/v1/maps/{id}/cancel": {"post"},
    "/v1/tasks": {"get"},
    "/v1/info": {"get"},
    "/v1/pools": {"get", "post"},
    "/v1/pools/{name}": {"get", "patch"},
    "/v1/pools/{name}/workers": {"get"},
    "/v1/pools/{name}/completions": {"get"},
    "/v1/pools/{name}/close": {"post"},
    "/v1/pools/{name}/terminate": {"post"},
    "/livez": {"get"},
    "/readyz": {"get"},
    "/healthz": {"get"},
    "/metrics": {"get"},
    "/openapi.json": {"get"},
    "/openapi.yaml": {"get"},
}
COUNTERS = {
    "lido_jobs_submitted_total", "lido_jobs_finished_total", "lido_worker_exits_total",
    "lido_http_requests_total",
}
HISTOGRAMS = {
    "lido_job_wait_seconds", "lido_job_run_seconds", "lido_journal_sync_seconds",
    "lido_snapshot_seconds", "lido_turn_seconds", "lido_http_request_seconds",
}
GAUGES = {"lido_jobs", "lido_queue_oldest_job_age_seconds", "lido_workers", "lido_build_info"}


def tasks_and_what_is_in_force(checks, service):
    with service.connection() as http:
        response = http.get("/v1/tasks")
        tasks = {task["name"]: task["pools"] for task in response.json["tasks"]}
        checks.equal("GET /v1/tasks names the built-in tasks", set(tasks), BUILT_IN)
        checks.equal("… with their pool", tasks.get("square"), ["default"])
        info = http.get("/v1/info").json
        checks.equal("GET /v1/info: name", info.get("name"), "lido")
        checks.equal("… pid", info.get("pid"), service.pid)
        checks.equal("… cpu_count", info.get("cpu_count"), len(os.sched_getaffinity(0)))
        checks.equal("… ready", info.get("ready"), True)
        checks.that("… version", bool(re.match(r"\d+\.\d+", str(info.get("version")))), "N.N", info)
        checks.that("… started_at", bool(MOMENT.match(str(info.get("started_at")))), "a moment",
                    info)
        checks.that("… start_methods", {"forkserver", "spawn"} <= set(
            info.get("start_methods", [])), "forkserver and spawn", info)
        checks.that("… durability", "sync" in info.get("durability", {}), "sync", info)
        checks.that("… limits", len(info.get("limits", {})) >= 3, "limits", info)
        for target in ("/v1/tasks", "/v1/info", "/v1/pools", "/v1/pools/default",
                       "/v1/pools/default/workers"):
            check_problem(checks, f"{target} refuses a query that it does not know",
                          http.get(target + "?pool=default"), 400, "invalid_request",
                          mentions=["pool"])
        for target in ("/livez", "/readyz", "/healthz", "/metrics", "/openapi.json",
                       "/openapi.yaml"):
            checks.equal(f"{target} ignores its query", http.get(target + "?_=1").status, 200)


def pools_and_workers(checks, service):
    with service.connection() as http:
        listed = http.get("/v1/pools").json["pools"]
        checks.equal("GET /v1/pools", [pool["name"] for pool in listed], ["default"])
        pool = http.get("/v1/pools/default").json
        checks.equal("GET /v1/pools/default", {name: pool.get(name) for name in (
            "name", "state", "start_method", "processes", "queued", "running")}, {
                "name": "default", "state": "running", "start_method": "forkserver",
                "processes": 2, "queued": 0, "running": 0})
        checks.equal("… its tasks", set(pool["tasks"]), BUILT_IN)
        workers = _present(http)
        checks.equal("GET …/workers: one for each slot", {w["slot"] for w in workers}, {0, 1})
        own = {process.pid for process in descendants(service.pid)}
        checks.that("… whose pids are processes below the service", {
            worker["pid"] for worker in workers} <= own, own, workers)
        checks.that("… with their start", all(MOMENT.match(w["started_at"]) for w in workers),
                    "moments", workers)
        starts = {tuple(w["started_at"] for w in _present(http)) for _ in range(100)}
        checks.equal("… which stays the same", len(starts), 1)
        job = http.submit("sleep", 1).json["id"]
        busy = wait_until(lambda: [w for w in _present(http) if w.get("job") == job], 5)
        checks.that("a worker shows the job that it runs", bool(busy), job, _present(http))
        counts = http.get("/v1/pools/default").json
        checks.equal("… and the pool counts it", (counts["running"], counts["queued"]), (1, 0))
        handle = http.get(f"/v1/jobs/{job}").json
        if busy and "worker" in handle:
            checks.equal("… with the pid of the handle", busy[0]["pid"], handle["worker"]["pid"])
        finished(http, job)
        calls = sum(worker["calls"] for worker in _present(http))
        http.submit("square", 2, target="/v1/jobs?wait=5")
        checks.equal("calls are counted", sum(w["calls"] for w in _present(http)), calls + 1)
        for target in ("/v1/pools/nobody", "/v1/pools/nobody/workers"):
            check_problem(checks, f"GET {target}", http.get(target), 404, "not_found")


def _present(http):
    """The workers that are there, without those of the past."""
    workers = http.get("/v1/pools/default/workers").json["workers"]
    return [worker for worker in workers if "exitcode" not in worker]


def health(checks, service):
    with service.connection() as http:
        for target in ("/livez", "/readyz", "/healthz"):
            response = http.get(target)
            checks.equal(f"GET {target}", response.status, 200)
            head = http.request("HEAD", target)
            checks.equal(f"HEAD {target}", (head.status, head.body, head.get("content-length")),
                         (200, b"", response.get("content-length")))
        checks.that("no answer to HEAD has a body", not http.has_unread, "nothing", "more bytes")


# Metrics

SAMPLE = re.compile(
    r'\A([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(.*)\})? (-?(?:\d+(?:\.\d*)?(?:e[-+]?\d+)?|\+?Inf)|NaN)\Z')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|\Z)')


def read_metrics(http):
    """The metrics page: the types by family, the values by (name, labels); raises when it is not
    well-formed."""
    response = http.get("/metrics")
    if response.status != 200 or not response.text.endswith("\n"):
        raise AssertionError(f"the page of metrics: {response}")
    types, values, helped = {}, {}, set()
    for line in response.text[:-1].split("\n"):
        if line.startswith("# HELP "):
            helped.add(line.split(" ", 3)[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            if name in types or kind not in ("counter", "gauge", "histogram"):
                raise AssertionError(f"type given twice, or unknown: {line}")
            types[name] = kind
        else:
            key, value = _sample(line, types)
            if key in values:
                raise AssertionError(f"a sample stands twice: {line}")
            values[key] = value
    if helped != set(types):
        raise AssertionError(f"help and type for different families: {helped ^ set(types)}")
    return types, values, response


def _sample(line, types):
    match = SAMPLE.match(line)
    if not match:
        raise AssertionError(f"no sample: {line!r}")
    name, labels = match.group(1), match.group(3) or ""
    if LABEL.sub("", labels):
        raise AssertionError(f"labels that cannot be read: {line!r}")
    family = re.sub(r"_(bucket|sum|count)\Z", "", name)
    if types.get(name) not in ("counter", "gauge") and types.get(family) != "histogram":
        raise AssertionError(f"a sample of no declared family: {line!r}")
    pairs = tuple(sorted((m.group(1), m.group(2)) for m in LABEL.finditer(labels)))
    return (name, pairs), float(match.group(4).replace("Inf", "inf"))


def total(values, name, **labels):
    """The sum of the samples of `name` that have these labels."""
    return sum(
        value for (key, pairs), value in values.items()
        if key == name and set(labels.items()) <= set(pairs))


def metrics(checks, service):
    with service.connection() as http:
        types, before, response = read_metrics(http)
        checks.that("the metrics' content type is Prometheus' text format",
                    (response.get("content-type") or "").startswith("text/plain; version=0.0.4"),
                    "text/plain; version=0.0.4", response.get("content-type"))
        for kind, names in (("counter", COUNTERS), ("histogram", HISTOGRAMS), ("gauge", GAUGES)):
            found = {name for name in names if types.get(name) == kind}
            checks.equal(f"the promised metrics of type {kind}", found, names)
        _check_histograms(checks, before)
        jobs = [http.submit("square", n).json["id"] for n in range(7)]
        jobs += [http.submit("fail", "x").json["id"] for _ in range(3)]
        jobs += [http.submit("crash", {"signal": 9}).json["id"]]
        for job in jobs:
            finished(http, job)
        _, after, response = read_metrics(http)
        def moved(name, **labels):
            return total(after, name, **labels) - total(before, name, **labels)
        checks.equal("7 squares more were submitted", moved(
            "lido_jobs_submitted_total", task="square", pool="default"), 7.0)
        checks.equal("7 squares more succeeded", moved(
            "lido_jobs_finished_total", task="square", pool="default", outcome="succeeded"), 7.0)
        checks.equal("3 fails more failed", moved(
            "lido_jobs_finished_total", task="fail", outcome="failed"), 3.0)
        checks.equal("a worker more has ended", moved("lido_worker_exits_total",
                                                     pool="default"), 1.0)
        checks.equal("11 more jobs were timed", moved("lido_job_run_seconds_count"), 11.0)
        checks.equal("11 requests more were submissions", moved(
            "lido_http_requests_total", method="POST", code="202"), 11.0)
        checks.equal("11 more jobs are kept", moved("lido_jobs"), 11.0)
        checks.equal("7 of them succeeded, in the pool", moved(
            "lido_jobs", state="succeeded", pool="default"), 7.0)
        states = {dict(pairs)["state"] for name, pairs in after if name == "lido_jobs"}
        checks.equal("lido_jobs has every state", states, {
            "scheduled", "queued", "running", "succeeded", "failed", "cancelled"})
        checks.equal("two workers are there", total(after, "lido_workers", pool="default"), 2.0)
        def syncs():
            return total(read_metrics(http)[1], "lido_journal_sync_seconds_count")
        # The default is a sync 50 ms after a write.
        checks.that("syncs of the journal are timed", wait_until(
            lambda: syncs() > total(before, "lido_journal_sync_seconds_count"), 2), "more", syncs())
        checks.that("no job's id is in them", not any(job in response.text for job in jobs),
                    "none", "an id")
        routes = {dict(p).get("route") for (n, p) in after if n == "lido_http_requests_total"}
        checks.that("routes are templates", not any(re.search(r"[0-9a-f]{8}-", r or "")
                                                    for r in routes), "templates", routes)


def _check_histograms(checks, values):
    for name in sorted(HISTOGRAMS):
        buckets = [(dict(p), v) for (n, p), v in values.items() if n == name + "_bucket"]
        bounds = sorted((float(p["le"].replace("Inf", "inf")), v) for p, v in buckets)
        counts = [value for _, value in bounds]
        is_so = (
            bool(bounds) and bounds[-1][0] == float("inf") and counts == sorted(counts)
            and counts[-1] == values.get((name + "_count", ()))
            and values.get((name + "_sum", ()), -1) >= 0)
        checks.that(f"{name} is a whole histogram", is_so, "rising buckets up to _count", bounds)


# The description of the surface


def description(checks, service):
    with service.connection() as http:
        as_json = http.get("/openapi.json")
        checks.equal("GET /openapi.json", (as_json.status, as_json.get("content-type")),
                     (200, "application/json"))
        document = as_json.json
        checks.that("it is OpenAPI 3.1", str(document.get("openapi")).startswith("3.1"), "3.1",
                    document.get("openapi"))
        methods = {"get", "post", "put", "delete", "patch", "head", "options"}
        described = {path: methods & set(item) for path, item in document["paths"].items()}
        checks.equal("it describes every route and no other", described, ROUTES)
        as_yaml = http.get("/openapi.yaml")
        checks.equal("GET /openapi.yaml", as_yaml.status, 200)
        checks.that("… as YAML", "yaml" in (as_yaml.get("content-type") or ""),
                    "application/yaml", as_yaml.get("content-type"))
        checks.equal("both describe the same routes", _routes_in_yaml(as_yaml.text), described)
        references = set(re.findall(r'"\$ref": ?"#/([^"]*)"', as_json.text))
        lost = [ref for ref in references if not _resolves(document, ref)]
        checks.that("every reference in it leads somewhere", not lost, [], lost)
        version = http.get("/v1/info").json.get("version")
        checks.equal("its version is the service's", document["info"].get("version"), version)
        unknown = []
        for path, described_methods in ROUTES.items():
            target = path.replace("{id}", "nobody").replace("{name}", "nobody")
            for method in described_methods:
                response = http.request(method.upper(), target, b"{}" if method == "post" else None)
                if response.status in (405, 501) or (
                        response.status == 404 and "{" not in path):
                    unknown.append((method, path, response.status))
        checks.that("every route that it describes is served", not unknown, [], unknown)


def _routes_in_yaml(text):
    """Paths and methods by indentation: no YAML library is needed for `/path:` and `get:`."""
    found, path, is_inside = {}, None, False
    for line in text.split("\n"):
        if re.match(r"\S", line):
            is_inside = line.startswith("paths:")
        if not is_inside:
            continue
        as_path = re.match(r"""\A  ["']?(/[^"':]*)["']?:""", line)
        as_method = re.match(r"\A    (get|post|put|delete|patch|head|options):", line)
        if as_path:
            path = as_path.group(1)
            found[path] = set()
        elif as_method and path is not None:
            found[path].add(as_method.group(1))
    return found


def _resolves(document, reference):
    place = document
    for part in reference.split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, dict) or part not in place:
            return False
        place = place[part]
    return True


def another_start_method(checks, _service):
    with Service("--processes", 2, "--start-method", "spawn") as service:
        with service.connection() as http:
            pool = http.get("/v1/pools/default").json
            checks.equal("--start-method spawn", pool.get("start_method"), "spawn")
            done = http.submit("factorial", 20, target="/v1/jobs?wait=10").json
            checks.equal("… runs jobs", done.get("result"), 2432902008176640000)
            crashed = http.submit("crash", {"signal": 9}, target="/v1/jobs?wait=10").json
            checks.equal("… and reports a crash", crashed.get("error", {}).get("exitcode"), -9)
            done = http.submit("square", 5, target="/v1/jobs?wait=10").json
            checks.equal("… and goes on", done.get("result"), 25)
            # 0: the successor of the one that crashed has not started yet.
            listed = http.get("/v1/pools/default/workers").json["workers"]
            pid = next(worker["pid"] for worker in listed if worker["pid"] > 0)
            checks.that("… with workers below the service", look_at(pid) is not None and pid in {
                process.pid for process in descendants(service.pid)}, pid, "not there")


def replacement_of_workers(checks, _service):
    with Service("--processes", 1, "--maxtasksperchild", 5) as service:
        with service.connection() as http:
            results = [http.submit("square", n, target="/v1/jobs?wait=10").json.get("result")
                       for n in range(23)]
            checks.equal("jobs across replacements by --maxtasksperchild", results,
                         [n * n for n in range(23)])
            pool = http.get("/v1/pools/default").json
            checks.equal("… which the pool shows", pool.get("maxtasksperchild"), 5)
            def exits():
                _, values, _ = read_metrics(http)
                return total(values, "lido_worker_exits_total", pool="default") >= 4
            checks.that("… 4 workers were replaced", wait_until(exits, 5), "4 exits",
                        http.get("/metrics").text[-900:])


def bounds_of_the_service(checks, _service):
    flags = ("--processes", 1, "--max-queued", 5, "--retention-count", 3,
             "--max-queued-bytes", 1_024)
    with Service(*flags) as service, service.connection() as http:
        jobs = [http.submit("sleep", 1) for _ in range(5)]
        checks.equal("--max-queued 5 takes 5 jobs", [job.status for job in jobs], [202] * 5)
        refused = http.submit("square", 1)
        checks.equal("… and refuses the sixth", faults_of_problem(refused, 503, "queue_full"), [])
        after = refused.get("retry-after") or ""
        checks.that("… with Retry-After", after.isdigit() and int(after) >= 1, "seconds", refused)
        too_large = http.submit("echo", "x" * 1_024)
        checks.equal("one that is larger than --max-queued-bytes is not told to come back",
                     faults_of_problem(too_large, 413, "payload_too_large"), [])
        for job in jobs[1:]:
            http.post(f"/v1/jobs/{job.json['id']}/cancel", {})
        checks.equal("then it takes jobs again", http.submit("square", 1).status, 202)
        finished(http, jobs[0].json)
        last = [http.submit("square", n, target="/v1/jobs?wait=10").json["id"] for n in range(6)]
        gone = wait_until(lambda: http.get(f"/v1/jobs/{last[0]}").status == 410, 5)
        checks.that("--retention-count 3 forgets the oldest", gone, 410,
                    http.get(f"/v1/jobs/{last[0]}"))
        kept = [http.get(f"/v1/jobs/{job}").status for job in last[3:]]
        checks.equal("… and keeps the newest 3", kept, [200] * 3)


PARTS = [
    tasks_and_what_is_in_force, pools_and_workers, health, metrics, description,
    another_start_method, replacement_of_workers, bounds_of_the_service,
]
