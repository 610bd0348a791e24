#!/usr/bin/env python3
"""Who is let in: tokens, the addresses that ask for them, and what a web page may not do.

Usage: LIDO_BIN=PATH door.py
"""

import os
import signal
import sys

from api_checks.expectations import check_problem, faults_of_problem
from checks import Checks
from lido_process import Service, temporary_folder, wait_until
from settings import check_refusal, yaml_file

ONE = "zq7-one.token_of~the/end+to=="
TWO = "zq7-the-second-token-of-the-end-to-end-tests"
THREE = "zq7-the-third-token-of-the-end-to-end-tests"
MISSING = 'Bearer realm="lido"'
WRONG = 'Bearer realm="lido", error="invalid_token"'
METHODS = ("get", "post", "put", "delete", "patch")


def token_file(text, mode=0o600):
    """A file with this text, for its owner only unless `mode` says otherwise."""
    path = os.path.join(temporary_folder(), "tokens")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def bearer(token):
    """The header that sends a token."""
    return {"Authorization": f"Bearer {token}"}


def ask(http, line, *headers, body=b""):
    """A request of just these headers, and its answer."""
    head = "\r\n".join([line + " HTTP/1.1", *headers, f"Content-Length: {len(body)}"])
    http.send_bytes(head.encode() + b"\r\n\r\n" + body)
    return http.receive(is_head=line.startswith("HEAD"))


def check_denied(checks, what, response, challenge):
    """401, with this challenge, and nothing told but that."""
    faults = faults_of_problem(response, 401, "unauthorized")
    if response.get("www-authenticate") != challenge:
        faults.append(f"WWW-Authenticate is {response.get('www-authenticate')!r}")
    faults += [f"it has {name}" for name in ("allow", "access-control-allow-origin")
               if response.get(name) is not None]
    return checks.that(what, not faults, f"401 with {challenge}", f"{faults} in {response}")


# With tokens


def every_route(checks):
    """Without a token, with a wrong one and with each right one, as the document says."""
    path = token_file(f"# for CI\n{ONE}\n\n  {TWO} # for us\n")
    with Service("--processes", 1, "--token-file", path) as service, service.connection() as http:
        document = http.request("GET", "/openapi.json", None, bearer(ONE)).json
        checks.equal("by default a token may be asked for", document["security"],
                     [{}, {"bearer": []}])
        for template, item in document["paths"].items():
            target = template.replace("{id}", "nobody").replace("{name}", "default")
            for method in METHODS:
                if method in item:
                    is_open = item[method].get("security") == []
                    _route(checks, http, method.upper(), target, is_open)
        opened = {path for path, item in document["paths"].items()
                  if item.get("get", {}).get("security") == []}
        checks.equal("only the health checks need none", opened, {"/livez", "/readyz", "/healthz"})
        for line in ("GET /nowhere", "GET /v1/jobs/", "PUT /v1/jobs", "POST /livez",
                     "BREW /v1/jobs", "OPTIONS /v1/jobs", "OPTIONS *", "TRACE /v1/jobs",
                     "GET /v1/jobs/%zz", "GET /v1/jobs?access_token=" + ONE):
            check_denied(checks, f"{line} without a token tells nothing", ask(
                http, line, "Host: localhost"), MISSING)
        checks.equal("… and with one what is so", ask(
            http, "GET /nowhere", "Host: localhost", f"Authorization: Bearer {ONE}").status, 404)
        response = http.request("HEAD", "/v1/info")
        checks.equal("HEAD without a token", (response.status, response.body), (401, b""))
        checks.that("no answer to HEAD has a body", not http.has_unread, "nothing", "more bytes")
        info = http.request("GET", "/v1/info", None, bearer(TWO)).json
        checks.equal("/v1/info says that a token is needed", info["authentication"], "bearer")
        checks.that("the log says so", "authentication=bearer" in service.log_text(),
                    "authentication=bearer", service.log_text())
        checks.that("… and no token", "zq7" not in service.log_text(), "none", service.log_text())


def _route(checks, http, method, target, is_open):
    body = b'{"task":"square","args":[3]}' if method == "POST" else None
    def answer(headers):
        return http.request(method, target, body, headers)
    what = f"{method} {target}"
    right = [answer(bearer(ONE)), answer(bearer(TWO)), answer({"authorization": f"bearer  {ONE} "})]
    statuses = {response.status for response in right}
    checks.that(f"{what} with a token is served", not statuses & {401, 403, 405, 501}, "an answer",
                right)
    if is_open:
        checks.equal(f"{what} without one, too", {
            answer(None).status, answer(bearer("wrong")).status}, {200})
        return
    check_denied(checks, f"{what} without a token", answer(None), MISSING)
    check_denied(checks, f"{what} with a wrong one", answer(bearer(ONE + "x")), WRONG)


def headers_that_are_no_token(checks):
    path = token_file(ONE)
    with Service("--processes", 1, "--token-file", path) as service, service.connection() as http:
        for value, challenge in (
            (ONE, MISSING), (f"Basic {ONE}", MISSING), ("Bearer", MISSING), ("", MISSING),
            (f"Bearer{ONE}", MISSING), (f"Bearer {ONE[:-1]}", WRONG), (f"Bearer {ONE} x", WRONG),
            (f"Bearer {ONE},{ONE}", WRONG), ("Bearer " + "a" * 7_000, WRONG),
            ("Bearer \xff\xfe", WRONG), (f"Bearer {ONE.upper()}", WRONG),
        ):
            response = http.request("GET", "/v1/info", None, {"Authorization": value})
            check_denied(checks, f"Authorization: {value[:40]!r}", response, challenge)
        twice = [f"Authorization: Bearer {ONE}"] * 2
        check_denied(checks, "two tokens are none", ask(
            http, "GET /v1/info", "Host: localhost", *twice), MISSING)
        both = ask(http, "POST /v1/jobs", "Host: lido.example.org", "Origin: http://example.org",
                   f"Authorization: Bearer {ONE}", "Content-Type: application/json",
                   body=b'{"task":"square","args":[4]}')
        checks.equal("with a token any Host is served, and any page", both.status, 202)
        form = ask(http, "POST /v1/jobs", "Host: x", "Origin: http://example.org",
                   f"Authorization: Bearer {ONE}",
                   "Content-Type: application/x-www-form-urlencoded", body=b'{"task":"square"}')
        check_problem(checks, "… but no form of a page", form, 415, "unsupported_media_type")


def bodies_of_strangers(checks):
    with Service("--processes", 1, "--token-file", token_file(ONE)) as service:
        for what, length in (
            ("a body of 1 GB", "Content-Length: 1000000000"),
            ("a body of 100 KB", "Content-Length: 100000"),
            ("a body without an end", "Transfer-Encoding: chunked"),
            ("a body that waits to be asked for",
             "Content-Length: 100000\r\nExpect: 100-continue"),
        ):
            with service.connection(timeout=5) as http:
                head = f"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n"
                http.send_bytes(head.encode())
                check_denied(checks, f"{what} is refused before it comes", http.receive(), MISSING)
        with service.connection() as http:
            for _ in range(3):
                check_denied(checks, "after a short one the connection goes on", http.post(
                    "/v1/jobs", {"task": "square"}), MISSING)
            jobs = http.request("GET", "/v1/jobs", None, bearer(ONE)).json["jobs"]
            checks.equal("nothing of it became a job", jobs, [])


def health_for_strangers(checks):
    with Service("--processes", 1, "--token-file", token_file(ONE)) as service:
        with service.connection() as http:
            answer = http.get("/readyz")
            checks.equal("/readyz tells strangers only what fails",
                         (answer.status, answer.json), (200, {"ready": True, "checks": []}))
            http.request("POST", "/v1/jobs", b'{"task":"sleep","args":[3]}', bearer(ONE))
            service.signal(signal.SIGTERM)
            def draining():
                answer = http.get("/readyz")
                return answer if answer.status == 503 else None
            answer = wait_until(draining, 2)
            checks.equal("… which it names", answer and [
                check["name"] for check in answer.json["checks"]], ["service"])


# The variable


def places_of(service, token):
    """Where a token can be seen: in which processes' environments and memory."""
    found = []
    for pid in {service.pid, *(process.pid for process in service.remember_processes())}:
        with open(f"/proc/{pid}/environ", "rb") as file:
            text = file.read()
        if token.encode() in text or b"LIDO_TOKENS" in text:
            found.append(f"environ of {pid}")
        if token.encode() in memory_of(pid):
            found.append(f"memory of {pid}")
    return found


def memory_of(pid):
    """What a process holds in memory that it may have written."""
    parts = []
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, \
            open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split(" ")[:2]
            if not rights.startswith("rw"):
                continue
            start, end = (int(number, 16) for number in span.split("-"))
            try:
                memory.seek(start)
                parts.append(memory.read(min(end - start, 64 << 20)) or b"")
            except (OSError, OverflowError, ValueError):
                continue  # A region of the kernel's, or one that has just gone.
    return b"".join(parts)


def no_copy_is_left(checks):
    """Neither in the environment nor in the memory of the service or of what it starts."""
    path = token_file(f"{TWO}\n")
    config = yaml_file("pools: { default: { processes: 1 }, "
                       "other: { processes: 1, start_method: spawn } }\n")
    with Service("--config", config, "--token-file", path,
                 environment={"LIDO_TOKENS": f"{ONE},\n{THREE}"}) as service:
        names = {process.name for process in service.remember_processes()}
        checks.equal("a service with workers of both kinds", names,
                     {"lido", "lido-forks", "lido-worker"})
        try:
            checks.that("the search finds what is there",
                        service.mark.encode() in memory_of(service.pid), "the mark", "nothing")
            for what, token in (("of the variable", ONE), ("of the variable", THREE),
                                ("of the file", TWO)):
                checks.equal(f"a token {what} is nowhere to be seen", places_of(service, token), [])
        except PermissionError as error:
            checks.skip("memory of the processes", f"it cannot be read: {error}")
        with service.connection() as http:
            for token in (ONE, TWO, THREE):
                checks.equal("… and opens the door", http.request(
                    "GET", "/v1/info", None, bearer(token)).status, 200)
        server = next(p for p in service.remember_processes() if p.name == "lido-forks")
        os.kill(server.pid, signal.SIGKILL)
        def is_replaced():
            return [p for p in service.remember_processes()
                    if p.name == "lido-forks" and p.pid != server.pid] and len(
                [p for p in service.remember_processes() if p.name == "lido-worker"]) == 2
        checks.that("another fork server", wait_until(is_replaced, 10), "one",
                    service.remember_processes())
        found = []
        for process in service.remember_processes():
            with open(f"/proc/{process.pid}/environ", "rb") as file:
                if b"zq7" in file.read():
                    found.append(process)
        checks.equal("… inherits none of it either", found, [])


# Addresses


def addresses(checks):
    for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:8080"):
        run = check_refusal(checks, f"--listen {address} without a token", ["--listen", address],
                            {}, [address.split(":0")[0], "--token-file", "LIDO_TOKENS",
                                 "--insecure"])
        checks.equal("… with exit code 64", run and run.returncode, 64)
    check_refusal(checks, "… by the variable", [], {"LIDO_LISTEN": "0.0.0.0:0"}, ["0.0.0.0"])
    path = yaml_file("insecure: true\n")
    check_refusal(checks, "… with a flag over the variable and the file",
                  ["--config", path, "--insecure=false"],
                  {"LIDO_INSECURE": "true", "LIDO_LISTEN": "0.0.0.0:0"}, ["0.0.0.0", "--insecure"])
    with Service("--listen", "0.0.0.0:0", environment={"LIDO_TOKENS": ONE}) as service:
        with service.connection() as http:
            check_denied(checks, "with a token every address will do", http.get("/v1/info"),
                         MISSING)
    for what, flags, environment in (
        ("--insecure", ["--insecure"], {}), ("LIDO_INSECURE", [], {"LIDO_INSECURE": "true"}),
        ("insecure: true", ["--config", path], {}),
    ):
        with Service("--processes", 1, *flags, "--listen", "0.0.0.0:0",
                     environment=environment) as service, service.connection() as http:
            line = [line for line in service.log_text().splitlines() if "insecure" in line]
            checks.that(f"{what} opens every address, and warns",
                        len(line) == 1 and "warning" in line[0], "a warning", service.log_text())
            checks.equal("… to any Host", ask(
                http, "GET /v1/info", "Host: lido.example.org").status, 200)
            check_problem(checks, "… but not to a page of another origin", ask(
                http, "POST /v1/jobs", "Host: lido.example.org", "Origin: http://example.org",
                body=b"{}"), 403, "forbidden")


def tokens_that_are_refused(checks):
    for what, text, mentions in (
        ("without a token", "# none\n", ["no token"]), ("with a short one", f"{ONE}\nshort\n",
                                                        [":2", "16"]),
        ("with two on a line", f"{ONE} {TWO}\n", [":1", "RFC 6750"]),
    ):
        path = token_file(text)
        for flags, environment in ((["--token-file", path], {}), ([], {"LIDO_TOKEN_FILE": path}),
                                   (["--config", yaml_file(f"token_file: {path}\n")], {})):
            run = check_refusal(checks, f"a token file {what}", flags, environment,
                                [path, *mentions])
            checks.that("… and its tokens are not told", run and "zq7" not in run.stderr
                        and run.returncode == 64, "64, no token", run)
    check_refusal(checks, "a token file that is not there", ["--token-file", "/nowhere/t"], {},
                  ["/nowhere/t", "No such file"])
    for value, mention in (("", "no token"), (f"{ONE},short", "token 2")):
        run = check_refusal(checks, f"LIDO_TOKENS with {mention}", [], {"LIDO_TOKENS": value},
                            ["LIDO_TOKENS", mention])
        checks.that("… and no token is told", run and "zq7" not in run.stderr, "none", run)
    path = token_file(ONE, mode=0o644)
    with Service("--processes", 1, "--token-file", path) as service:
        checks.that("a token file that others may read is warned of",
                    "warning" in service.log_text() and path in service.log_text(), path,
                    service.log_text())


# Web pages, where there is no token


def names_of_this_machine(checks):
    with Service("--processes", 1) as service, service.connection() as http:
        port = service.port
        checks.that("the log says that no token is needed",
                    "authentication=none" in service.log_text(), "authentication=none",
                    service.log_text())
        for host in ("localhost", f"localhost:{port}", f"127.0.0.1:{port}", "[::1]:80",
                     "LOCALHOST:1", "127.1.2.3"):
            checks.equal(f"Host: {host}", ask(http, "GET /v1/info", f"Host: {host}").status, 200)
        for host in ("example.org", f"example.org:{port}", "0.0.0.0", "localhost.example.org",
                     "127.0.0.1.example.org", "10.0.0.1", "", "lido"):
            for line in ("GET /v1/info", "POST /v1/jobs", "GET /livez", "GET /nowhere"):
                check_problem(checks, f"{line} with Host: {host}", ask(
                    http, line, f"Host: {host}", body=b"{}" if "POST" in line else b""), 403,
                    "forbidden")
        http.send_bytes(b"GET /v1/info HTTP/1.0\r\n\r\n")
        checks.equal("HTTP/1.0 needs no Host", http.receive().status, 200)
        checks.equal("/v1/info says that none is needed", http.get(
            "/v1/info").json["authentication"], "none")


def pages_of_others(checks):
    with Service("--processes", 1) as service, service.connection() as http:
        host = f"Host: localhost:{service.port}"
        own = f"Origin: http://localhost:{service.port}"
        body = b'{"task":"square","args":[5],"id":"five"}'
        json = "Content-Type: application/json"
        for what, headers in (
            ("another origin", ["Origin: http://example.org"]), ("no origin", ["Origin: null"]),
            ("another port", ["Origin: http://localhost:3000"]),
            ("another name of it", [f"Origin: http://127.0.0.1:{service.port}"]),
            ("another site", ["Sec-Fetch-Site: cross-site"]),
            ("another origin of the site", ["Sec-Fetch-Site: same-site"]),
            ("two origins", [own, "Origin: http://example.org"]),
        ):
            for line in ("POST /v1/jobs", "POST /v1/jobs/five/cancel", "DELETE /v1/jobs/five"):
                check_problem(checks, f"{line} of a page of {what}", ask(
                    http, line, host, json, *headers, body=body), 403, "forbidden")
            response = ask(http, "GET /v1/info", host, *headers)
            checks.equal("… a GET is answered, without a word to read it by",
                         (response.status, response.get("access-control-allow-origin")),
                         (200, None))
        checks.equal("nothing of it became a job", http.get("/v1/jobs").json["jobs"], [])
        preflight = ask(http, "OPTIONS /v1/jobs", host, "Origin: http://example.org",
                        "Access-Control-Request-Method: POST")
        checks.that("no preflight is granted", not [
            name for name in preflight.headers if name.startswith("access-control")], "none",
            preflight)
        checks.equal("a page of its own is served", ask(
            http, "POST /v1/jobs", host, json, own, "Sec-Fetch-Site: same-origin",
            body=body).status, 202)
        checks.equal("and so is curl", http.post("/v1/jobs", body,
                     "application/x-www-form-urlencoded").status, 202)


def main():
    checks = Checks(seconds_max=120)
    checks.run(
        every_route, headers_that_are_no_token, bodies_of_strangers, health_for_strangers,
        no_copy_is_left, addresses, tokens_that_are_refused, names_of_this_machine,
        pages_of_others)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
