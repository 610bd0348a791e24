"""A job's events: what is told, and what to those who come late, come back or read slowly."""

import time

from lido_process import finished, wait_until

from .asking import resident, submit
from .events import Events


def events(checks, service, http):
    job = submit(http, "python", "say", 3, 0.1)
    with Events(service.port, job) as stream:
        found = list(stream)
        kind = stream.headers.get("content-type")
    checks.equal("events are told as such", kind, "text/event-stream")
    checks.equal("progress", [event.data for event in found if event.name == "progress"],
                 [{"value": step / 3, "message": f"step {step}"} for step in range(3)])
    checks.equal("items", [event.data["value"][0] for event in found if event.name == "item"],
                 [0, 1, 2])
    text = "".join(event.data["text"] for event in found if event.name == "log")
    checks.equal("the log", text, "line 0\nline 1\nline 2\n")
    states = [event.data["state"] for event in found if event.name == "state"]
    checks.equal("states, the final one last", (states[-1], found[-1].name),
                 ("succeeded", "state"))
    checks.equal("the last event is the handle", found[-1].data,
                 http.get(f"/v1/jobs/{job}").json)
    answer = http.get(f"/v1/jobs/{job}/events", last_event_id=found[-1].id)
    checks.equal("who has had it all is told not to come back", answer.status, 204)
    late = list(Events(service.port, job))
    checks.equal("who comes late gets the end",
                 [(event.name, event.data.get("state")) for event in late if event.name != "log"],
                 [("state", "succeeded")])
    for cut in range(len(found)):
        rest = list(Events(service.port, job, found[cut].id))
        # Progress and items go with the run.
        wanted = [event.data for event in found[cut + 1:] if event.name in ("log", "state")]
        joined = "".join(data["text"] for data in wanted if "text" in data)
        again = "".join(event.data["text"] for event in rest if event.name == "log")
        if (again, rest[-1:] and rest[-1].name) != (joined, wanted and "state" or []):
            checks.that(f"resuming after event {cut}", False, joined, again)
            break
    else:
        checks.that("resuming after each event repeats and loses nothing", True)


def resuming(checks, service, http):
    """A stream that is cut while the job runs goes on where it was."""
    job = submit(http, "python", "say", 30, 0.02)
    seen, last, cuts = [], None, 0
    while True:
        with Events(service.port, job, last) as stream:
            for event in stream:
                seen.append(event)
                last = event.id
                if len(seen) % 7 == 0:
                    cuts += 1
                    break
            else:
                break
    items = [event.data["value"][0] for event in seen if event.name == "item"]
    text = "".join(event.data["text"] for event in seen if event.name == "log")
    checks.equal("cut again and again, every item comes once", items, list(range(30)))
    checks.equal("… and every line", text, "".join(f"line {step}\n" for step in range(30)))
    checks.that(f"… over {cuts + 1} connections", cuts > 5, 5, cuts)


def progress_in_the_handle(checks, _service, http):
    job = submit(http, "python", "say", 2, 0.4)
    shown = wait_until(lambda: http.get(f"/v1/jobs/{job}").json.get("progress"), 5)
    checks.equal("the handle shows the progress", shown, {"value": 0.0, "message": "step 0"})
    checks.that("… while the job runs", "progress" not in finished(http, job), "none", None)


def slow_reader(checks, service, http):
    """It costs a bounded memory, is told how much it missed, and gets the end."""
    memory = resident(service.pid)
    job = submit(http, "bounded", "say", 2_000, 0, 50_000)
    with Events(service.port, job) as stream:
        stream.open()
        state = finished(http, job, 40)["state"]
        grown = (resident(service.pid) - memory) >> 20
        checks.equal("the job does not wait for who reads its events", state, "succeeded")
        checks.at_most("100 MB of items that nobody reads cost little", grown, 32, "MiB")
        found = list(stream)
    missed = sum(event.data["events"] for event in found if event.name == "missed")
    got = sum(event.name in ("item", "progress") for event in found)
    checks.that("who reads slowly is told how much it missed", missed > 1_000, 1_000, missed)
    checks.equal("… so that it adds up, as far as it was kept", got + missed <= 4_000, True)
    checks.equal("… and gets the end", found[-1].data["state"], "succeeded")


def keep_alive(checks, service, http):
    job = submit(http, "once", "say", 1, 16)
    began = time.monotonic()
    with Events(service.port, job) as stream:
        list(stream)
        times = [at - began for at, text in stream.comments if text == "keep-alive"]
    checks.that("a comment after 15 s says that the service is there",
                len(times) == 1 and 14.5 < times[0] < 16, 15, times)


def leaving(checks, service, http):
    job = submit(http, "python", "say", 1, 0.5)
    with Events(service.port, job) as stream:
        stream.open()
    checks.equal("a reader that leaves harms nobody", finished(http, job)["state"], "succeeded")
    for query in ("?a=1", "?after=3"):
        checks.equal(f"{query} is refused", http.get(f"/v1/jobs/{job}/events{query}").status, 400)
    checks.equal("of a job that is not there", http.get("/v1/jobs/nobody/events").status, 404)


PARTS = [events, resuming, progress_in_the_handle, slow_reader, leaving, keep_alive]
