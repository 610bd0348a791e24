"""Requests that are wrong, and how the answer says so."""

import json

from .expectations import check_problem

#: (what, body, pointer): refused with 400 `invalid_request`; None: no pointer is asked for.
WRONG_MEMBERS = [
    ("no task", {"args": [1]}, "/task"),
    ("a task that is a number", {"task": 7}, "/task"),
    ("a task that is null", {"task": None}, "/task"),
    ("a task without a name", {"task": ""}, "/task"),
    ("a task of 201 characters", {"task": "t" * 201}, "/task"),
    ("args that are an object", {"task": "square", "args": {}}, "/args"),
    ("args that are a number", {"task": "square", "args": 7}, "/args"),
    ("kwargs that are an array", {"task": "square", "kwargs": []}, "/kwargs"),
    ("a pool that is a number", {"task": "square", "pool": 1}, "/pool"),
    ("an id that is a number", {"task": "square", "id": 1}, "/id"),
    ("a timeout that is a text", {"task": "square", "timeout": "5"}, "/timeout"),
    ("a timeout of 0", {"task": "square", "timeout": 0}, "/timeout"),
    ("a negative timeout", {"task": "square", "timeout": -1}, "/timeout"),
    ("a timeout of more than a year", {"task": "square", "timeout": 31_536_001}, "/timeout"),
    ("a timeout of 1e400", b'{"task":"square","timeout":1e400}', "/timeout"),
    ("tags that are a text", {"task": "square", "tags": "a"}, "/tags"),
    ("a tag that is a number", {"task": "square", "tags": ["a", 1]}, "/tags/1"),
    ("a tag without a letter", {"task": "square", "tags": ["a", "b", ""]}, "/tags/2"),
    ("a tag of 101 characters", {"task": "square", "tags": ["t" * 101]}, "/tags/0"),
    ("33 tags", {"task": "square", "tags": [f"t{n}" for n in range(33)]}, "/tags"),
    ("max_attempts 0", {"task": "square", "max_attempts": 0}, "/max_attempts"),
    ("max_attempts 101", {"task": "square", "max_attempts": 101}, "/max_attempts"),
    ("max_attempts 1.5", {"task": "square", "max_attempts": 1.5}, "/max_attempts"),
    ("max_attempts as a text", {"task": "square", "max_attempts": "2"}, "/max_attempts"),
    ("max_attempts 1e400", b'{"task":"square","max_attempts":1e400}', "/max_attempts"),
    ("max_attempts 10^30", {"task": "square", "max_attempts": 10 ** 30}, "/max_attempts"),
    ("max_attempts true", {"task": "square", "max_attempts": True}, "/max_attempts"),
    ("on_interrupt of another word", {"task": "square", "on_interrupt": "x"}, "/on_interrupt"),
    ("on_interrupt as a number", {"task": "square", "on_interrupt": 1}, "/on_interrupt"),
    ("an unknown member", {"task": "square", "arg": [7]}, "/arg"),
    ("a member of a later version", {"task": "square", "priority": 1}, "/priority"),
    ("an unknown member to be escaped", {"task": "square", "a/b~c": 1}, "/a~1b~0c"),
    ("a repeated member", b'{"task":"square","task":"square"}', "/task"),
    ("a member repeated by an escape", b'{"args":[1],"task":"square","\\u0061rgs":[1]}', "/args"),
]

#: (what, bytes): not JSON at all.
NOT_JSON = [
    ("nothing", b""), ("blanks", b"  \n"), ("half an object", b'{"task":'),
    ("half a text", b'{"task":"squa'), ("a word", b"square"),
    ("single quotes", b"{'task':'square'}"), ("a name without quotes", b'{task:"square"}'),
    ("a comma too many", b'{"task":"square",}'),
    ("a comma too many in args", b'{"task":"echo","args":[1,]}'),
    ("no comma", b'{"task":"echo" "args":[1]}'), ("something after it", b'{"task":"echo"} x'),
    ("two values", b'{"task":"echo","args":[1]}{"task":"echo","args":[1]}'),
    ("a comment", b'{"task":"echo"/**/,"args":[1]}'),
    ("NaN", b'{"task":"echo","args":[NaN]}'), ("Infinity", b'{"task":"echo","args":[-Infinity]}'),
    ("a leading zero", b'{"task":"echo","args":[01]}'),
    ("a number that ends in a point", b'{"task":"echo","args":[1.]}'),
    ("a number that begins with a point", b'{"task":"echo","args":[.5]}'),
    ("a plus sign", b'{"task":"echo","args":[+1]}'),
    ("hexadecimal", b'{"task":"echo","args":[0x1]}'),
    ("an unknown escape", b'{"task":"echo","args":["\\x41"]}'),
    ("half an escape", b'{"task":"echo","args":["\\u12"]}'),
    ("a control character in a text", b'{"task":"echo","args":["a\nb"]}'),
    ("a NUL", b'{"task":"echo","args":["a\0b"]}'),
    ("a byte order mark", b'\xef\xbb\xbf{"task":"echo","args":[1]}'),
    ("a byte that is not UTF-8", b'{"task":"echo","args":["\xff"]}'),
    ("an overlong UTF-8 form", b'{"task":"echo","args":["\xc0\xaf"]}'),
    ("a surrogate in UTF-8", b'{"task":"echo","args":["\xed\xa0\x80"]}'),
    ("half a UTF-8 character", b'{"task":"echo","args":["\xe2\x82"]}'),
    ("beyond U+10FFFF", b'{"task":"echo","args":["\xf4\x90\x80\x80"]}'),
    ("a lone high surrogate", b'{"task":"echo","args":["\\ud800"]}'),
    ("a lone low surrogate", b'{"task":"echo","args":["\\udc00x"]}'),
    ("two high surrogates", b'{"task":"echo","args":["\\ud800\\ud800"]}'),
    ("a lone surrogate in a name", b'{"task":"echo","kwargs":{"\\ud800":1}}'),
    ("brackets that do not match", b'{"task":"echo","args":[1}]'),
    ("UTF-16", '{"task":"echo"}'.encode("utf-16")),
]


def members_that_are_wrong(checks, service):
    with service.connection() as http:
        for what, body, pointer in WRONG_MEMBERS:
            check_problem(checks, f"{what} is refused", http.post("/v1/jobs", body), 400,
                          "invalid_request", pointer)
        for what, body in (("a number", 7), ("a text", "square"),
                           ("null", None), ("true", True)):
            check_problem(checks, f"{what} for an object is refused", http.post("/v1/jobs", body),
                          400, "invalid_request")
        checks.that("nothing of it became a job", not [
            job for job in http.get("/v1/jobs?limit=1000&tag=t1").json["jobs"]], [], "jobs")
        checks.equal("the connection goes on", http.get("/livez").status, 200)


def texts_that_are_not_json(checks, service):
    with service.connection() as http:
        for what, body in NOT_JSON:
            check_problem(checks, f"{what} is refused", http.post("/v1/jobs", body), 400,
                          "invalid_request")
        deep = b'{"task":"echo","args":' + b"[" * 64 + b"]" * 64 + b"}"
        check_problem(checks, "a nesting of 65 is refused", http.post("/v1/jobs", deep), 400,
                      "invalid_request")
        deep = b'{"task":"echo","args":' + b"[" * 63 + b"]" * 63 + b"}"
        checks.equal("a nesting of 64 is taken", http.post("/v1/jobs?wait=5", deep).status, 200)
        deeper = b'{"task":"echo","args":' + b"[" * 200_000
        check_problem(checks, "a nesting of 200,000 is refused", http.post("/v1/jobs", deeper),
                      400, "invalid_request")
        response = http.post("/v1/jobs", b'{"task":"echo",\n "args":[1,,2]}')
        check_problem(checks, "the problem says where the mistake is", response, 400,
                      "invalid_request", mentions=["2"])
        checks.that("… in words", any(c.isdigit() for c in response.json["detail"]),
                    "a position", response.json["detail"])


def methods_and_paths(checks, service):
    with service.connection() as http:
        for method, target, allowed in (
            ("PUT", "/v1/jobs", {"GET", "POST"}), ("DELETE", "/v1/jobs", {"GET", "POST"}),
            ("PATCH", "/v1/jobs/x", {"GET", "DELETE"}), ("POST", "/v1/jobs/x/result", {"GET"}),
            ("GET", "/v1/jobs/x/cancel", {"POST"}), ("POST", "/metrics", {"GET"}),
            ("DELETE", "/livez", {"GET"}), ("POST", "/v1/info", {"GET"}),
        ):
            response = http.request(method, target, b"{}" if method != "GET" else None)
            check_problem(checks, f"{method} {target}", response, 405, "method_not_allowed")
            allow = {part.strip() for part in (response.get("allow") or "").split(",")}
            checks.equal("… with Allow", allow - {"HEAD", "OPTIONS"}, allowed)
        for target in ("/v1/nothing", "/v2/jobs", "/nothing", "/v1/jobs/a/b/c", "/V1/JOBS"):
            check_problem(checks, f"GET {target}", http.get(target), 404, "not_found")
        checks.that("GET / says where to look", "/openapi.yaml" in http.get("/").json["detail"])
        for target in ("/v1/jobs/%zz", "/v1/jobs/a%00b", "/v1/jobs/%ff"):
            check_problem(checks, f"GET {target}", http.get(target), 400, "invalid_request")
        for target, allowed in (("/v1/jobs", "GET, HEAD, POST, OPTIONS"),
                                ("/livez", "GET, HEAD, OPTIONS")):
            response = http.request("TRACE", target)
            check_problem(checks, f"TRACE {target}", response, 405, "method_not_allowed")
            checks.equal("… with Allow", response.get("allow"), allowed)
        check_problem(checks, "TRACE where nothing is", http.request("TRACE", "/v1/nothing"), 404,
                      "not_found")
        check_problem(checks, "an unknown method", http.request("BREW", "/v1/jobs"), 501,
                      "not_implemented")


def tasks_and_pools_that_are_not_there(checks, service):
    with service.connection() as http:
        check_problem(checks, "an unknown task", http.submit("nothing", 1), 422, "unknown_task",
                      mentions=["nothing"])
        check_problem(checks, "an unknown pool", http.submit("square", 1, pool="nowhere"), 422,
                      "unknown_pool", mentions=["nowhere"])
        check_problem(checks, "an unknown task of a known pool",
                      http.submit("nothing", 1, pool="default"), 422, "unknown_task")
        response = http.submit("square", 4, pool="default")
        checks.equal("a known task of a known pool", response.status, 202)
        odd = 'quote" back\\slash \n\u0001'
        response = http.submit(odd, 1)
        check_problem(checks, "a task whose name has to be escaped", response, 422, "unknown_task")


def bodies_that_are_too_large(checks, service, limit):
    """The service of these checks runs with `--max-body` `limit`."""
    body = json.dumps({"task": "echo", "args": ["x" * limit]}).encode()
    with service.connection() as http:
        check_problem(checks, "a body over the limit", http.post("/v1/jobs", body), 413,
                      "payload_too_large", mentions=[str(limit)])
    with service.connection() as http:
        fits = json.dumps({"task": "echo", "args": [""]}).encode()
        fits = json.dumps({"task": "echo", "args": ["x" * (limit - len(fits))]}).encode()
        checks.equal("a body of just the limit is taken",
                     http.post("/v1/jobs?wait=5", fits).status, 200)
    with service.connection() as http:
        head = (
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n")
        half = body[:len(body) // 2]
        chunks = b"%x\r\n%s\r\n" % (len(half), half)
        http.send_bytes(head + chunks + chunks + chunks + b"0\r\n\r\n")
        check_problem(checks, "a body over the limit in chunks", http.receive(), 413,
                      "payload_too_large")
    with service.connection() as http:
        small = b'{"task":"square","args":[12]}'
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in small)
        head = head.replace(b"/v1/jobs ", b"/v1/jobs?wait=5 ")
        http.send_bytes(head + chunks + b"0\r\n\r\n")
        response = http.receive()
        checks.equal("a body in chunks of one byte", (response.status, response.json.get("result")),
                     (200, 144))
        checks.equal("and the service is well", http.get("/livez").status, 200)


def requests_that_break_off(checks, service):
    """Half requests and early ends hurt nobody."""
    for data in (b"", b"GET", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n",
                 b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 100):
        connection = service.connection()
        connection.send_bytes(data)
        connection.close()
    with service.connection() as http:
        checks.equal("after requests that broke off the service is well",
                     http.submit("square", 6, target="/v1/jobs?wait=5").json.get("result"), 36)
        two = (
            b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        http.send_bytes(two)
        statuses = [http.receive().status for _ in range(3)]
        checks.equal("three requests sent at once get three answers", statuses, [200] * 3)


PARTS = [
    members_that_are_wrong, texts_that_are_not_json, methods_and_paths,
    tasks_and_pools_that_are_not_there, requests_that_break_off,
]
