"""What schemathesis cannot know from the document: see Tests/schemathesis.sh.

Only requests that are good are changed: what is wrong about the others must stay so.
"""

import json
import random
import re

import schemathesis

#: Made by the script, before the first request.
FINAL = ["doc-value", "doc-bytes", "doc-failed", "doc-raised"]
IDS = FINAL + ["doc-running", "doc-scheduled"]
MAPS = ["doc-map", "doc-failed-map"]
#: Answers that do not end before what they tell of does: only of what is final.
STREAMS = {"get_events": FINAL, "stream_map_results": MAPS}
#: What ends a pool, or keeps its jobs waiting, is done to one that is there for it.
POOLS = {"close_pool": ["doc-ended"], "terminate_pool": ["doc-ended"], "change_pool": ["doc-pool"],
         "create_pool": ["doc-made-1", "doc-made-2"]}
TASKS = ["square", "echo", "fail", "sort", "upper", "picture", "noisy", "pair", "sleep"]
#: Seconds that are waited at most: what a wait answers does not depend on its length.
WAIT_MAX = 0.05
IDS_BYTES_MAX, IDS_COUNT_MAX = 7_000, 50
LINES = "application/x-ndjson"
FILTERS = ("state", "task", "pool", "tag", "map", "after", "limit")


@schemathesis.serializer(LINES)
def lines(_context, value):
    """Lines as they are; what is no text, as one line of JSON."""
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace")


def is_good(case):
    """Whether it was made to be accepted."""
    return case.meta is not None and case.meta.generation.mode.is_positive


def is_stateful(case):
    """Whether its parts come from earlier answers."""
    return case.meta.phase.name.value == "stateful"


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """Shortens waits; gives half of the good requests a job or task that there is; parts what the
    document says in words does not go together."""
    bound_waits(case)
    shorten_ids(case)
    if not is_good(case):
        return
    is_one = isinstance(case.body, dict) and case.media_type != LINES
    is_map = case.operation.path.startswith("/v1/maps")
    name = case.operation.definition.raw.get("operationId")
    dice = random.Random(repr((case.path_parameters, case.query, case.body)))
    if not is_stateful(case) and dice.random() < 0.5:
        if "id" in (case.path_parameters or {}):
            # A log is followed until its job is final.
            is_followed = "follow" in (case.query or {})
            case.path_parameters["id"] = dice.choice(
                MAPS if is_map else FINAL if is_followed else IDS)
        if "name" in (case.path_parameters or {}):
            case.path_parameters["name"] = dice.choice(["default", "doc-pool"])
        if name == "submit_job" and is_one:
            case.body["task"] = dice.choice(TASKS)
            case.body["args"] = [dice.choice([0, 0.01, "text", [3, 1, 2]])]
        if name == "submit_map" and is_one:
            case.body["task"] = dice.choice(TASKS)
    if name == "submit_map":
        case.query = map_query(case, dice.choice(TASKS))
        # What is assigned is looked at again, and nothing is taken for no body.
        if case.media_type == LINES and isinstance(case.body, (str, bytes)):
            case.body = items(case.body)
    if name in STREAMS:
        case.path_parameters["id"] = dice.choice(STREAMS[name])
    if name in POOLS:
        keep_pools(case, dice.choice(POOLS[name]), is_new=name == "create_pool")
    if name == "list_jobs" and case.query:
        dropped = FILTERS if case.query.get("id") else ("wait",)
        for parameter in dropped:
            case.query.pop(parameter, None)
    if name == "submit_job" and not is_one and case.headers:
        case.headers.pop("Idempotency-Key", None)


def map_query(case, task):
    """With lines the options stand in the query, and the task must; with a document, in that."""
    query = case.query or {}
    if case.media_type == LINES:
        return {"task": task, **query}
    return {name: value for name, value in query.items() if name == "wait"}


def items(body):
    """The lines of a map are JSON: what is none becomes a text, line by line."""
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    return "\n".join(line if re.fullmatch("[1-9]?[0-9]?", line) else json.dumps(line)
                     for line in body.split("\n"))


def keep_pools(case, name, is_new):
    """The pool that is meant is that one, and small; what of a pool depends on its template's kind
    is left out."""
    if is_new and not isinstance(case.body, dict):
        case.body, case.media_type = {}, "application/json"
    if isinstance(case.body, dict):
        if "processes" in case.body:
            case.body["processes"] = 1
        for member in ("template", "initializer", "initargs", "main", "start_method"):
            case.body.pop(member, None)
    if is_new:
        case.body["name"] = name
    else:
        case.path_parameters["name"] = name


def shorten_ids(case):
    """Makes long lists of ids fit into the header, beyond which libmicrohttpd answers for itself,
    in HTML: as many as there were where they are ids, and the first ones where they are not."""
    ids = (case.query or {}).get("id")
    if isinstance(ids, list) and sum(len(str(item)) + 4 for item in ids) > IDS_BYTES_MAX:
        case.query["id"] = ["a"] * len(ids) if all(map(is_id, ids)) else ids[:IDS_COUNT_MAX]


def is_id(item):
    """Whether it is an id."""
    return isinstance(item, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,64}", item) is not None


def bound_waits(case):
    """At most `WAIT_MAX`, where it is a wait at all."""
    for name in ("wait", "wait_joined"):
        try:
            if case.query and float(case.query[name]) > WAIT_MAX:
                case.query[name] = WAIT_MAX
        except (KeyError, TypeError, ValueError):
            pass  # None, or none that is one.
    if case.headers and str(case.headers.get("Prefer", "")).startswith("wait="):
        case.headers["Prefer"] = f"wait={WAIT_MAX}"
