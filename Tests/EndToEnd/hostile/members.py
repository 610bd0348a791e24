"""Members of a submission: unknown, repeated, of a wrong type, out of range."""

import json

from .case import ACCEPTED, Case, invalid, post, refused

#: What each member may not be, besides what stands below.
WRONG_TYPES = {
    "task": ("null", "true", "7", "[]", "{}"),
    "args": ("true", "7", '"x"', "{}"),
    "kwargs": ("true", "7", '"x"', "[]"),
    "pool": ("true", "7", "[]", "{}"),
    "id": ("true", "7", "[]", "{}"),
    "timeout": ("true", '"5"', "[]", "{}", "[5]"),
    "tags": ("true", "7", '"x"', "{}"),
    "max_attempts": ("true", '"2"', "[]", "{}"),
    "on_interrupt": ("true", "7", "[]", "{}"),
}
#: What is of the right type and still wrong. `timeout` of less than a millisecond counts as one,
#: and
#: would end its worker: so none here.
OUT_OF_RANGE = {
    "task": ('""', json.dumps("t" * 201), json.dumps("ü" * 201), json.dumps("t" * 100_000)),
    "id": ('""', '"."', '".."', '"a b"', '"a/b"', '"../a"', '"a\\u0000"', '"\\u0000"', '"ü"',
           '"a\\n"', '"a\\r\\nX-A: b"', '"%00"', '"😀"', json.dumps("i" * 65),
           json.dumps("i" * 100_000)),
    "timeout": ("0", "-0", "-1", "0.0", "31536001", "31536000.001", "1e8", "1e400", "-1e400",
                "1e-400", "1e999999999999999999", "9" * 400, "1" + "0" * 100_000),
    "max_attempts": ("0", "-1", "101", "1.5", "1e3", "99.9999", "1e400", "-1e400",
                     "1e-400", "18446744073709551617", "1" + "0" * 100_000),
    "on_interrupt": ('""', '"x"', '"REQUEUE"', '"requeue "', '"fail\\u0000"'),
}
TAGS = (
    ('["a",1]', "/tags/1"), ('["a",null]', "/tags/1"), ('["a","b",""]', "/tags/2"),
    ('[["a"]]', "/tags/0"), ("[{}]", "/tags/0"), (json.dumps(["t" * 101]), "/tags/0"),
    (json.dumps(["a", "ü" * 101]), "/tags/1"), (json.dumps(["t"] * 33), "/tags"),
    (json.dumps(["t"] * 100_000), "/tags"),
)
UNKNOWN = (
    ("arg", "/arg"), ("Task", "/Task"), ("task ", "/task "), ("", "/"), ("a/b~c", "/a~1b~0c"),
    ("priority", "/priority"), ("__proto__", "/__proto__"), ("\0", "/\0"), ("tаsk", "/tаsk"),
    ("~́", "/~0́"), ("x" * 100_000, "/" + "x" * 100_000),
)


def submission(member, value):
    """A submission with this member, and a task of its own if that is another."""
    task = "" if member == "task" else '"task":"square","args":[2],'
    if member == "args":
        task = '"task":"square",'
    return f'{{{task}"{member}":{value}}}'


def named(member, value):
    """The name of a case."""
    shown = value if len(value) < 40 else f"{value[:30]}… ({len(value)})"
    return f"{member} {shown}"


def repeated(member, value, escaped):
    """A member twice, the second time with an escape in its name, or without."""
    name = f"\\u{ord(member[0]):04x}{member[1:]}" if escaped else member
    task = "" if member == "task" else '"task":"echo",'
    return f'{{{task}"{member}":{value},"{name}":{value}}}'


SAMPLES = {
    "task": '"echo"', "args": "[1]", "kwargs": "{}", "pool": '"default"', "id": '"twice"',
    "timeout": "60", "tags": '["t"]', "max_attempts": "1", "on_interrupt": '"fail"',
}

CASES = [
    Case(named(member, value), post(submission(member, value)), invalid("/" + member))
    for table in (WRONG_TYPES, OUT_OF_RANGE) for member, values in table.items()
    for value in values
] + [
    Case(named("tags", value), post(submission("tags", value)), invalid(pointer))
    for value, pointer in TAGS
] + [
    Case(named("an unknown member", json.dumps(name, ensure_ascii=True)),
         post('{"task":"square","args":[2],' + json.dumps(name) + ":1}"), invalid(pointer))
    for name, pointer in UNKNOWN
] + [
    Case(f"{member} twice" + (", once escaped" if escaped else ""),
         post(repeated(member, value, escaped)), invalid("/" + member))
    for member, value in SAMPLES.items() for escaped in (False, True)
] + [
    Case(f"{member} null and once more", post(
        f'{{"task":"echo","{member}":null,"{member}":{value}}}'), invalid("/" + member))
    for member, value in SAMPLES.items() if member != "task"
] + [
    Case(f"{what} for a submission", post(body), invalid(""))
    for what, body in (
        ("null", "null"), ("true", "true"), ("a number", "7"), ("a text", '"square"'))
] + [
    Case("no task", post('{"args":[2]}'), invalid("/task")),
    Case("an empty object", post("{}"), invalid("/task")),
    Case("an unknown task", post('{"task":"nothing"}'), refused(422, "unknown_task", "/task")),
    Case("a task of 200", post(json.dumps({"task": "t" * 200})),
         refused(422, "unknown_task", "/task")),
    Case("a task in capitals", post('{"task":"SQUARE"}'), refused(422, "unknown_task", "/task")),
    Case("a task with a blank", post('{"task":"square "}'), refused(422, "unknown_task", "/task")),
    Case("a task with a NUL", post('{"task":"square\\u0000"}'),
         refused(422, "unknown_task", "/task")),
    Case("a task that is a path", post('{"task":"../../bin/sh"}'),
         refused(422, "unknown_task", "/task")),
    Case("a task with a line", post('{"task":"a\\nb\\u0001\\u2028"}'),
         refused(422, "unknown_task", "/task")),
    Case("a task with a lone surrogate", post('{"task":"\\ud800"}'), invalid("")),
    Case("a task that is not UTF-8", post(b'{"task":"\xff"}'), invalid("")),
    Case("a member that is not UTF-8", post(b'{"task":"square","\xff":1}'), invalid("")),
    Case("a member with a lone surrogate", post('{"task":"square","\\udead":1}'), invalid("")),
    Case("a tag that is not UTF-8", post(b'{"task":"square","tags":["\xff"]}'), invalid("")),
    Case("an id with a lone surrogate", post('{"task":"square","id":"\\ud800"}'), invalid("")),
    Case("an unknown pool", post('{"task":"square","pool":"nowhere"}'),
         refused(422, "unknown_pool", "/pool")),
    Case("an empty pool", post('{"task":"square","pool":""}'),
         refused(422, "unknown_pool", "/pool")),
    Case("a pool with a NUL", post('{"task":"square","pool":"default\\u0000"}'),
         refused(422, "unknown_pool", "/pool")),
    Case("a pool of 100,000", post(json.dumps({"task": "square", "pool": "p" * 100_000})),
         refused(422, "unknown_pool", "/pool")),
    Case("a task of another pool", post('{"task":"square","pool":"programs"}'),
         refused(422, "unknown_task", "/task")),
    Case("too few arguments for a program", post('{"task":"pair","args":[]}'),
         refused(422, "invalid_arguments", "/args/0")),
    Case("too many arguments for a program", post('{"task":"pair","args":[1,2,3]}'),
         refused(422, "invalid_arguments", "/args/1")),
    Case("a NUL in an argument of a program", post('{"task":"pair","args":["a\\u0000b"],"kwargs":'
                                                   '{"name":1}}'),
         refused(422, "invalid_arguments", "/args/0")),
    Case("an id of another job", post('{"task":"square","args":[3],"id":"hostile-done"}'),
         refused(422, "idempotency_mismatch")),
] + [
    Case(f"{what} is taken", post(json.dumps({"task": "square", "args": [2], **more})), ACCEPTED)
    for what, more in (
        ("an id of 64", {"id": "i" * 64}), ("an id of three dots", {"id": "..."}),
        ("an id that begins with a dash", {"id": "--help"}),
        ("a tag with a NUL", {"tags": ["a\0b"]}),
        ("32 tags of 100", {"tags": ["ü" * 100] * 32}), ("a year", {"timeout": 31_536_000}),
        ("100 attempts", {"max_attempts": 100}), ("a whole number with a point",
                                                 {"max_attempts": 2.0}),
        ("null for all that may be left out", dict.fromkeys(
            ("kwargs", "pool", "id", "timeout", "tags", "max_attempts", "on_interrupt"))),
    )
]
