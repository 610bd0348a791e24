"""`POST /v1/jobs`: acceptance, waiting, repeats."""

import gzip
import json
import time

from lido_process import finished

from .expectations import UUID7, check_handle, check_problem, seconds, tokens

THIRTY = "265252859812191058636308480000000"


def a_submission_is_accepted(checks, service):
    with service.connection() as http:
        began = time.time()
        response = http.submit("square", 7)
        checks.equal("POST /v1/jobs answers 202", response.status, 202)
        checks.equal("… as JSON", response.get("content-type"), "application/json")
        handle = response.json
        check_handle(
            checks, "… with a handle", handle, task="square", pool="default", max_attempts=1)
        checks.equal("Location is the job", response.get("location"), f"/v1/jobs/{handle['id']}")
        checks.that("its id is a UUIDv7", bool(UUID7.match(handle["id"])), "UUIDv7", handle["id"])
        created = seconds(handle["created_at"])
        checks.that(
            "created_at is now", began - 0.1 <= created <= time.time() + 0.1,
            f"about {began}", handle["created_at"])
        result = http.get(f"/v1/jobs/{handle['id']}/result?wait=5")
        checks.equal("its result is 49", (result.status, result.body.strip()), (200, b"49"))
        checks.equal("… as JSON", result.get("content-type"), "application/json")
        done = http.get(f"/v1/jobs/{handle['id']}").json
        check_handle(
            checks, "its handle is final", done, state="succeeded", result=49, attempt=1,
            created_at=handle["created_at"])
        kept = seconds(done["expires_at"]) - seconds(done["finished_at"])
        checks.equal("it is kept for 24 h by default", round(kept, 2), 86_400.0)
        second = http.submit("square", 7).json
        checks.that("another submission is another job", second["id"] != handle["id"],
                    f"not {handle['id']}", second["id"])
        checks.that("ids sort by age", second["id"] > handle["id"], f"> {handle['id']}", second)


def all_members_are_taken(checks, service):
    with service.connection() as http:
        body = {
            "task": "echo", "args": ["x"], "kwargs": {}, "pool": "default", "id": "All.of_it-1",
            "timeout": 20.5, "tags": ["a", "b c", "ü"], "max_attempts": 3, "on_interrupt": "fail",
        }
        response = http.post("/v1/jobs", body)
        checks.equal("a submission with every member is accepted", response.status, 202)
        done = finished(http, "All.of_it-1")
        check_handle(
            checks, "… and they show in its handle", done, id="All.of_it-1", pool="default",
            timeout=20.5, tags=["a", "b c", "ü"], max_attempts=3, attempt=1, result="x")
        nulls = {name: None for name in body if name != "task"}
        response = http.post("/v1/jobs", {**nulls, "task": "echo", "args": [1]})
        checks.equal("null is the same as left out", response.status, 202)
        plain = http.get(f"/v1/jobs/{response.json['id']}?include=args").json
        checks.equal("args show with ?include=args", plain.get("args"), [1])
        checks.equal("kwargs show with ?include=args", plain.get("kwargs"), {})
        without = http.get(f"/v1/jobs/{response.json['id']}").json
        checks.that("args do not show without", not {"args", "kwargs"} & set(without),
                    "neither args nor kwargs", without)
        bounds = {
            "task": "square", "args": [2], "id": "i" * 64, "tags": ["ü" * 100] * 32,
            "max_attempts": 100, "timeout": 31_536_000,
        }
        checks.equal("the largest members are accepted",
                     http.post("/v1/jobs", bounds).status, 202)
        whole = http.post(
            "/v1/jobs", b'{"task":"square","args":[2],"max_attempts":6.0}')
        checks.equal("6.0 attempts are 6", (whole.status, whole.json.get("max_attempts")), (202, 6))
        small = {"task": "square", "args": [2], "timeout": 30, "max_attempts": 1, "id": "i"}
        checks.equal("the smallest members are accepted", http.post("/v1/jobs", small).status, 202)


def waiting_for_a_submission(checks, service):
    with service.connection() as http:
        response = http.submit("factorial", 30, headers={"Prefer": "wait=5"})
        checks.equal("Prefer: wait=5 answers 200", response.status, 200)
        checks.that("30! is exact", f'"result":{THIRTY}' in response.text.replace(" ", ""),
                    THIRTY, response.text)
        check_handle(checks, "… in a final handle", response.json, state="succeeded")
        checks.equal("Preference-Applied", response.get("preference-applied"), "wait=5")
        checks.that("Vary names Prefer", "prefer" in (response.get("vary") or "").lower(),
                    "Prefer", response.get("vary"))
        checks.equal("… with Location too", response.get("location"),
                     f"/v1/jobs/{response.json['id']}")
        response = http.submit("factorial", 30, target="/v1/jobs?wait=5")
        checks.equal("?wait=5 answers 200", response.status, 200)
        checks.that("… exact as well", THIRTY in response.text, THIRTY, response.text)
        response = http.submit("fail", "boom", headers={"Prefer": "wait=5"})
        checks.equal("a failed job that was waited for is 200", response.status, 200)
        check_handle(checks, "… with a failed handle", response.json, state="failed")
        response = http.submit("square", 3, headers={"Prefer": "wait=3600"})
        checks.equal("a wait is capped at 60 s", (response.status, tokens(
            response, "preference-applied")), (200, {"wait=60"}))
        began = time.monotonic()
        response = http.submit("sleep", 20, headers={"Prefer": "wait=1"})
        took = time.monotonic() - began
        checks.equal("a wait that is over is 202", response.status, 202)
        checks.that("… after the wait", 0.9 <= took <= 2.0, "1 s", f"{took:.2f} s")
        check_handle(checks, "… with the handle as it is", response.json, state="running")
        checks.equal("… and Preference-Applied", response.get("preference-applied"), "wait=1")
        cancelled = http.post(f"/v1/jobs/{response.json['id']}/cancel", {"grace": 0})
        checks.equal("(it is cancelled)", cancelled.status, 202)


def preferences(checks, service):
    with service.connection() as http:
        began = time.monotonic()
        response = http.submit("sleep", 0.5, headers={"Prefer": "respond-async"})
        took = time.monotonic() - began
        checks.equal("Prefer: respond-async is 202", response.status, 202)
        checks.that("… at once", took < 0.4, "< 0.4 s", f"{took:.2f} s")
        checks.equal("… and applied", tokens(response, "preference-applied"), {"respond-async"})
        response = http.submit("square", 3)
        checks.equal("without Prefer nothing is applied", response.get("preference-applied"), None)
        checks.that("… but the answer varies by it",
                    "prefer" in (response.get("vary") or "").lower(), "Prefer", response)
        response = http.submit("square", 3, headers={"Prefer": "handling=lenient, wait=5; x=1"})
        checks.equal("unknown preferences are ignored", (response.status, tokens(
            response, "preference-applied")), (200, {"wait=5"}))
        response = http.submit("sleep", 1, headers={"Prefer": "wait=0.2"})
        checks.equal("a part of a second is waited, and told as granted", (
            response.status, response.get("preference-applied")), (202, "wait=0.2"))
        response = http.submit("sleep", 1, target="/v1/jobs?wait=0", headers={"Prefer": "wait=5"})
        checks.equal("?wait= wins over Prefer, which is then not applied", (
            response.status, response.get("preference-applied")), (202, None))
        response = http.submit("square", 3, headers={"Prefer": "wait=soon"})
        checks.equal("a malformed preference is ignored", (response.status, response.get(
            "preference-applied")), (202, None))
        for text in ("soon", "-1", ""):
            response = http.submit("square", 3, target=f"/v1/jobs?wait={text}")
            check_problem(checks, f"?wait={text} is refused", response, 400, "invalid_request")


def content_types(checks, service):
    body = json.dumps({"task": "square", "args": [4]}).encode()
    form = "application/x-www-form-urlencoded"
    with service.connection() as http:
        for content_type in (
            "application/json", "application/json; charset=utf-8", "Application/JSON",
            "application/vnd.example+json", form, form + "; charset=utf-8",
        ):
            response = http.post("/v1/jobs", body, content_type)
            checks.equal(f"{content_type} is taken as JSON", response.status, 202)
        own = f"http://127.0.0.1:{service.port}"
        response = http.post("/v1/jobs", body, form, Origin=own)
        check_problem(
            checks, "a form with an Origin is refused", response, 415, "unsupported_media_type")
        response = http.post("/v1/jobs", body, Origin=own)
        checks.equal("JSON with the service's own Origin is taken", response.status, 202)
        response = http.post("/v1/jobs", body, Origin="http://example.org")
        check_problem(checks, "… and with another it is refused", response, 403, "forbidden")
        for content_type in ("text/plain", "application/xml", "multipart/form-data; boundary=x"):
            response = http.post("/v1/jobs", body, content_type)
            check_problem(checks, f"{content_type} is refused", response, 415,
                          "unsupported_media_type")
        response = http.post("/v1/jobs", body, Content_Encoding="identity")
        checks.equal("Content-Encoding: identity is no coding", response.status, 202)
        for target, packed, content_type in (
            ("/v1/jobs", gzip.compress(body), "application/json"),
            ("/v1/jobs", gzip.compress(body), "application/x-ndjson"),
            ("/v1/jobs/any/cancel", gzip.compress(b"{}"), "application/json"),
        ):
            response = http.post(target, packed, content_type, Content_Encoding="gzip")
            check_problem(checks, f"a packed {content_type} to {target} is refused", response, 415,
                          "unsupported_media_type", mentions=["Content-Encoding", "gzip"])
            checks.equal("… and told what would be right", response.get("accept-encoding"),
                         "identity")


def idempotency_keys(checks, service):
    with service.connection() as http:
        def post(key, *args, **members):
            return http.submit("square", *args, headers={"Idempotency-Key": key}, **members)
        first = post('"key-1"', 5)
        checks.equal("the first use of a key", (first.status, first.get("idempotent-replayed")),
                     (202, None))
        again = post('"key-1"', 5)
        checks.equal("a repeat is the first job", (again.status, again.json["id"]),
                     (202, first.json["id"]))
        checks.equal("… marked as such", again.get("idempotent-replayed"), "true")
        checks.equal("… with its Location", again.get("location"), first.get("location"))
        bare = post("key-1", 5)
        checks.equal("the bare key is the same key", (bare.json["id"], bare.get(
            "idempotent-replayed")), (first.json["id"], "true"))
        spaced = http.post(
            "/v1/jobs", b'{ "args" : [ 5 ] ,\n "task":"square" }', Idempotency_Key="key-1")
        checks.equal("… and spaces and order of members do not matter",
                     (spaced.status, spaced.json.get("id")), (202, first.json["id"]))
        finished(http, first.json)
        waited = http.submit("square", 5, headers={"Idempotency-Key": "key-1", "Prefer": "wait=5"})
        checks.equal("a repeat that waits gets the result", (waited.status, waited.json.get(
            "result"), waited.get("idempotent-replayed")), (200, 25, "true"))
        for what, response in (
            ("other arguments", post("key-1", 6)),
            ("another task", http.submit("echo", 5, headers={"Idempotency-Key": "key-1"})),
            ("another option", post("key-1", 5, max_attempts=2)),
        ):
            check_problem(checks, f"the key with {what} is refused", response, 422,
                          "idempotency_mismatch")
        other = post("key-2", 5)
        checks.that("another key is another job", other.json["id"] != first.json["id"],
                    f"not {first.json['id']}", other.json["id"])
        checks.equal("a key of 255 characters is taken", post("k" * 255, 5).status, 202)
        for what, key in (("an empty key", '""'), ("a key of 256 characters", "k" * 256),
                          ("a key that is not ASCII", "schlüssel"),
                          ("a key with a space", "a b"), ("half a quote", '"abc')):
            check_problem(checks, f"{what} is refused", post(key, 5), 400, "invalid_request")
        deleted = http.delete(f"/v1/jobs/{first.json['id']}")
        checks.equal("(the job of the key is forgotten)", deleted.status, 204)
        fresh = post("key-1", 6)
        checks.equal("a key lives as long as its job", (fresh.status, fresh.get(
            "idempotent-replayed")), (202, None))


def ids_of_the_client(checks, service):
    with service.connection() as http:
        first = http.submit("square", 5, id="mine.1")
        checks.equal("a job under the client's id", (first.status, first.get("location")),
                     (202, "/v1/jobs/mine.1"))
        again = http.submit("square", 5, id="mine.1")
        checks.equal("a repeat is the same job", (again.status, again.json["id"], again.get(
            "idempotent-replayed")), (202, "mine.1", "true"))
        checks.equal("… created once", again.json["created_at"], first.json["created_at"])
        check_problem(checks, "the id with other arguments is refused",
                      http.submit("square", 6, id="mine.1"), 422, "idempotency_mismatch")
        checks.equal("its result is that of the first", finished(http, "mine.1")["result"], 25)
        for identifier in ("", ".", "..", "a/b", "a b", "ä", "x" * 65, "a\n", "%41"):
            check_problem(checks, f"the id {identifier!r} is refused",
                          http.submit("square", 5, id=identifier), 400, "invalid_request", "/id")


PARTS = [
    a_submission_is_accepted, all_members_are_taken, waiting_for_a_submission, preferences,
    content_types, idempotency_keys, ids_of_the_client,
]
