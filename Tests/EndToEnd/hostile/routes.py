"""Every path with the methods that it does not have."""

from .case import DONE, SUBMISSION, Case, get, invalid, post, refused

WRONG_METHOD = refused(405, "method_not_allowed")
READ_ONLY = (
    "/v1/tasks", "/v1/pools/default/workers", "/v1/info",
    "/livez", "/readyz", "/healthz", "/metrics", "/openapi.yaml", "/openapi.json",
    f"/v1/jobs/{DONE}/result", f"/v1/jobs/{DONE}/logs",
    f"/v1/jobs/{DONE}/events",
)
#: Paths, and the methods that each of them refuses.
REFUSED = [(path, ("POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY")) for path in READ_ONLY] + [
    ("/v1/jobs", ("PUT", "PATCH", "DELETE", "TRACE", "QUERY")),
    (f"/v1/jobs/{DONE}", ("POST", "PUT", "PATCH", "TRACE", "QUERY")),
    ("/v1/pools", ("PUT", "PATCH", "DELETE", "TRACE", "QUERY")),
    ("/v1/pools/default", ("POST", "PUT", "DELETE", "TRACE", "QUERY")),
    ("/v1/pools/default/close", ("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "QUERY")),
    ("/v1/pools/default/terminate", ("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "QUERY")),
    (f"/v1/jobs/{DONE}/cancel", ("GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "QUERY")),
]
BODILESS = ("GET", "HEAD", "TRACE", "DELETE")
BAD_POOLS = (
    ("a pool that is not there", "nowhere", refused(404, "not_found")),
    ("a pool with an escaped letter beyond ASCII", "%C3%A4", refused(404, "not_found")),
    ("a pool with an escaped NUL", "default%00", invalid()),
    ("a pool of dots", "..", refused(404, "not_found")),
    ("a pool of 1,000", "x" * 1_000, refused(404, "not_found")),
)

CASES = [
    Case(f"{method} {path}",
         get(path, method=method) if method in BODILESS
         else post(SUBMISSION, target=path, method=method), WRONG_METHOD)
    for path, methods in REFUSED for method in methods
] + [
    Case(f"{what}{below}", get(f"/v1/pools/{name}{below}"), answer)
    for what, name, answer in BAD_POOLS for below in ("", "/workers")
]
