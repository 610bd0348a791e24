"""Maps that workers in other languages run: item by item, or in whole chunks."""

import json
import os

from lido_process import configured

PYTHON = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "Sources",
                      "Python")
LINES = "application/x-ndjson"


def mapped(http, task, items, **members):
    """Submits a map, and answers its handle when it has ended."""
    answer = http.post("/v1/maps?wait=30", {"task": task, "items": items, **members})
    if answer.status != 200:
        raise AssertionError(f"no map of {task} that ends: {answer}")
    return answer.json


def result(http, handle):
    """The list of a map."""
    return http.get(handle["result_url"]).json


def results(http, handle):
    """The lines of a map's stream."""
    return [json.loads(line) for line in http.get(handle["results_url"]).body.splitlines()]


def look_at_errors(checks, http, handle, kind):
    """Looks at a map of a six, an error and another item in one chunk, and a six in the next."""
    found = results(http, handle)
    checks.equal("… the values before an item that fails stay", found[0],
                 {"index": 0, "value": 6})
    error = found[1].get("error", {})
    checks.equal("… its error is the worker's", (error.get("type"), error.get("module")),
                 (kind, "builtins"))
    checks.equal("… the rest of its chunk is skipped",
                 found[2].get("error", {}).get("code"), "skipped")
    checks.equal("… other chunks run", found[3:], [
        {"index": 3, "value": 6}, {"done": True, "succeeded": 2, "failed": 1, "skipped": 1}])
    job = http.get(f"/v1/jobs?map={handle['id']}&state=failed").json["jobs"][0]
    checks.equal("… the chunk's job says which item", (job["error"]["item"],
                                                       job["error"]["values"]), (1, [6]))


def item_by_item(checks, _service, http):
    """A worker that takes no chunks gets their items as calls, one after the other."""
    handle = mapped(http, "square", list(range(10)), pool="python", chunksize=3)
    checks.equal("a map item by item", (handle["chunks"], result(http, handle)),
                 (4, [number * number for number in range(10)]))
    handle = mapped(http, "divide", [[6, 1], [6, 0], [6, 2], [6, 1]], pool="python", star=True,
                    chunksize=3)
    look_at_errors(checks, http, handle, "ZeroDivisionError")
    handle = mapped(http, "end", [9, 9], pool="python", chunksize=2)
    found = [line["error"]["code"] for line in results(http, handle)[:-1]]
    checks.equal("a worker that ends fails all of its chunk", found, ["exited", "exited"])


def values_of_python(checks, _service, http):
    """Pickle, scripts and bounds: as with jobs."""
    handle = mapped(http, "show", [{"pickle": "gAQ="}] * 3, pool="python", encoding="pickle",
                    chunksize=2)
    found = [(shown["call"]["encoding"], shown["call"]["args"])
             for shown in result(http, handle)]
    checks.equal("items in pickle", found, [("pickle", [{"pickle": "gAQ="}])] * 3)
    checks.equal("… told by the handle", handle["encoding"], "pickle")
    answer = http.post("/v1/maps?wait=30&task=show&pool=python&encoding=pickle",
                       b'{"pickle":"gAQ="}\n', content_type=LINES)
    found = result(http, answer.json)[0]["call"]["args"] if answer.status == 200 else answer
    checks.equal("… one a line", found, [{"pickle": "gAQ="}])
    handle = mapped(http, "show", [1], pool="once", main="/tmp/a b.py")
    checks.equal("a script", result(http, handle)[0]["call"]["main"], "/tmp/a b.py")
    for pool, members, code in [("once", {"encoding": "pickle"}, "pickle_not_allowed"),
                                ("python", {"main": "/a.py"}, "main_not_allowed")]:
        answer = http.post("/v1/maps", {"task": "show", "items": [1], "pool": pool, **members})
        checks.equal(f"{next(iter(members))} elsewhere", (answer.status, answer.json["code"]),
                     (422, code))
    items = ["x" * 400_000] * 4
    answer = http.post("/v1/maps", {"task": "count", "items": items, "pool": "python",
                                    "chunksize": 4})
    checks.equal("a chunk of more than max_arguments", (answer.status, answer.json["code"]),
                 (413, "payload_too_large"))
    handle = mapped(http, "count", items, pool="python", chunksize=2)
    checks.equal("… smaller ones", handle["state"], "succeeded")
    lines = "".join(f'"{item}"\n' for item in items).encode()
    # As many as fit, and without a count at most 256 KiB and what an item has beyond.
    for chunk_size, chunks in (("&chunksize=4", 2), ("", 4)):
        answer = http.post(f"/v1/maps?wait=30&task=count&pool=python{chunk_size}", lines,
                           content_type=LINES)
        handle = answer.json
        checks.equal(f"lines keep max_arguments by smaller chunks ({chunk_size})",
                     (answer.status, handle["state"], handle["items"]["succeeded"]),
                     (200, "succeeded", 4))
        checks.equal("… of as much as fits", handle["chunks"], chunks)
    answer = http.post("/v1/maps?wait=30&task=count&pool=python&id=long-line",
                       b'"a"\n\n"' + b"x" * (1 << 20) + b'"\n', content_type=LINES)
    checks.equal("an item of more than max_arguments", (answer.status, answer.json["code"]),
                 (400, "invalid_request"))
    checks.that("… is named by its line", "line 3 makes arguments of 1048580 bytes; a job of its "
                "pool may have 1048576" in answer.json["detail"], "line 3", answer.json["detail"])
    handle = http.get("/v1/maps/long-line?wait=30").json
    checks.equal("… and ends the map with those before it",
                 (handle["error"]["code"], handle["items"]["succeeded"], handle["total"]),
                 ("invalid_item", 1, 1))


def whole_chunks(checks):
    """Python's worker takes whole chunks."""
    text = ("pools: { python: { worker: [python3, -m, lido.worker, math], processes: 2, "
            f'environment: {{ PYTHONPATH: "{os.path.realpath(PYTHON)}", '
            'PYTHONDONTWRITEBYTECODE: "1" } } }')
    with configured(text, "--processes", 1) as service, service.connection(timeout=60) as http:
        handle = mapped(http, "math:gcd", [[12, number] for number in range(100)], star=True)
        checks.equal("a map in chunks of Python's rule", handle["chunksize"], 13)
        checks.equal("… its list", result(http, handle)[:5], [12, 1, 2, 3, 4])
        handle = mapped(http, "math:perm", [[6, 1], [6, -1], [6, 2], [6, 1]], star=True,
                        chunksize=3)
        look_at_errors(checks, http, handle, "ValueError")
        handle = mapped(http, "no_such_module:f", [1, 2], pool="python")
        checks.equal("a name that cannot be found", handle["error"]["type"], "TaskNotFound")


PARTS = [item_by_item, values_of_python]
