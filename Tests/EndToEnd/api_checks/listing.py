"""`GET /v1/jobs`: filters and pages."""

from lido_process import finished, pages

from .expectations import check_problem, faults_of_handle

TOTAL = 250


def _submit_many(http):
    """250 jobs under one tag: every fifth fails, every second has another tag as well."""
    ids = []
    for number in range(TOTAL):
        tags = ["list-all"] + (["list-even"] if number % 2 == 0 else [])
        if number % 5 == 0:
            response = http.submit("fail", f"number {number}", tags=tags)
        else:
            response = http.submit("square", number, tags=tags)
        ids.append(response.json["id"])
    for identifier in ids:
        finished(http, identifier)
    return ids


def pages_of_a_list(checks, service):
    with service.connection() as http:
        ids = _submit_many(http)
        first = http.get("/v1/jobs?tag=list-all")
        checks.equal("GET /v1/jobs", (first.status, first.get("content-type")),
                     (200, "application/json"))
        checks.equal("its members", set(first.json), {"jobs", "next"})
        for limit in (1, 7, 100, 250, 1000):
            found = list(pages(http, f"/v1/jobs?tag=list-all&limit={limit}"))
            listed = [job["id"] for page in found for job in page]
            checks.that(f"all 250 jobs, newest first, with limit={limit}", listed == ids[::-1],
                        f"{TOTAL} ids", f"{len(listed)} ids, {len(set(listed))} different")
            checks.that("… no page longer than the limit", max(map(len, found)) <= limit, limit,
                        [len(page) for page in found])
        checks.that("100 is the default limit", len(first.json["jobs"]) <= 100, 100,
                    len(first.json["jobs"]))
        bad = [f for page in pages(http, "/v1/jobs?limit=1000") for job in page
               for f in faults_of_handle(job)]
        checks.that("every job of the list is a whole handle", not bad, [], bad[:5])
        checks.that("a list without filter ends", sum(
            len(page) for page in pages(http, "/v1/jobs?limit=1000")) >= TOTAL, TOTAL, "fewer")


def pages_while_jobs_arrive(checks, service):
    with service.connection() as http:
        before = [job["id"] for page in pages(http, "/v1/jobs?tag=list-all") for job in page]
        seen = []
        for page in pages(http, "/v1/jobs?tag=list-all&limit=20"):
            seen += [job["id"] for job in page]
            for number in range(5):
                http.submit("square", number, tags=["list-all"])
        checks.that("new jobs do not shift the pages", seen == before, f"{len(before)} ids",
                    f"{len(seen)} ids, {len(set(seen))} different")


def filters(checks, service):
    with service.connection() as http:
        def count(query):
            jobs = [job for page in pages(http, f"/v1/jobs?{query}&limit=1000") for job in page]
            return jobs
        failed = count("tag=list-all&state=failed")
        checks.equal("state=failed", {job["state"] for job in failed}, {"failed"})
        checks.equal("… all 50", len(failed), 50)
        even = count("tag=list-even")
        checks.equal("tag=list-even", len(even), 125)
        checks.equal("task=fail and a tag", len(count("tag=list-even&task=fail")), 25)
        checks.equal("task=square, tag and state", len(count(
            "tag=list-even&task=square&state=succeeded")), 100)
        checks.equal("pool=default is every pool here", len(count("tag=list-even&pool=default")),
                     125)
        checks.equal("a tag that nobody has", count("tag=nobody"), [])
        checks.equal("a state that no job is in", count("tag=list-all&state=scheduled"), [])
        checks.equal("an escaped tag", len(count("tag=list%2Deven")), 125)


def queries_that_are_wrong(checks, service):
    with service.connection() as http:
        for query in ("limit=0", "limit=1001", "limit=-1", "limit=many", "limit=", "state=ready",
                      "after=nonsense", "stat=failed", "foo", "limit=5&limit=6"):
            check_problem(checks, f"GET /v1/jobs?{query}", http.get(f"/v1/jobs?{query}"), 400,
                          "invalid_request")
        for query in ("foo=1", "wait=5"):
            problem = http.get(f"/v1/jobs?{query}")
            checks.that(f"GET /v1/jobs?{query} names ?id= among what is known",
                        problem.status == 400 and "id" in problem.json["detail"].replace(
                            "=", " ").replace("?", " ").replace(",", " ").split(), "id", problem)
        check_problem(checks, "POST with an unknown member of the query",
                      http.submit("square", 1, target="/v1/jobs?weight=5"), 400,
                      "invalid_request")


PARTS = [pages_of_a_list, pages_while_jobs_arrive, filters, queries_that_are_wrong]
