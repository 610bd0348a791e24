"""Requests about pools, for the scripts that make some."""

import json


def create(http, **members):
    """Creates a pool; its handle."""
    answer = http.post("/v1/pools", members)
    if answer.status != 201:
        raise AssertionError(f"{members}: {answer}")
    return answer.json


def post(http, target):
    """A request without a body."""
    return http.request("POST", target)


def pool(http, name, query=""):
    """The handle of a pool."""
    return http.get(f"/v1/pools/{name}{query}").json


def patch(http, name, members):
    """A PATCH of a pool."""
    body = json.dumps(members).encode()
    return http.request("PATCH", f"/v1/pools/{name}", body, {"content_type": "application/json"})


def change(http, name, **members):
    """Changes a pool; the answer."""
    return patch(http, name, members)


def end(http, name, how="terminate"):
    """Ends a pool and waits until it is joined; its handle."""
    answer = post(http, f"/v1/pools/{name}/{how}")
    if answer.status != 200:
        raise AssertionError(f"{how} {name}: {answer}")
    return pool(http, name, "?wait_joined=20")


def names(http):
    """The names of the pools that are not joined."""
    listed = http.get("/v1/pools").json["pools"]
    return [found["name"] for found in listed if found["state"] != "joined"]
