"""Requests that were good before they were cut, repeated and stirred."""

import random
import re
import select
import time

from .case import DONE, END, NOISY, chunk, chunked, get, post
from .judge import is_of_library, jobs_in
from .wire import Wire, parse

#: Requests under way at a time.
CONNECTIONS = 32
#: Seconds without a byte after which a client takes it that there is no more.
QUIET = 0.02
#: The most that an answer may take, once it has begun.
WHOLE = 5.0
#: The only answers of 5xx that a client can be to blame for: a method, coding or version that is
#: not known.
NOT_KNOWN = {501, 505}
MARK = re.compile(rb"z\d+z")
LINES = "Content-Type: application/x-ndjson"
#: What is put into requests, besides parts of themselves.
WORDS = [
    b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b";", b",", b"&", b"?", b"%",
    b"%00",
    b"=", b"/", b"..", b'"', b"\\", b"{", b"}", b"[", b"]", b"\xff", b"\xc0\x80", b"\xed\xa0\x80",
    b"-1", b"0", b"1e999", b"18446744073709551616", b"null", b"true", b"NaN", b"[" * 200,
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n",
    b"Expect: 100-continue\r\n",
    b"\r\n ", b"HTTP/1.1", b"HTTP/1.0", b"chunked", b"Connection: close\r\n", b"a" * 3_000,
    b"a=1&" * 300, b"X: y\r\n" * 200,
]


def seeds(mark):
    """Good requests; what they submit and ask for has this mark."""
    body = b'{"task":"echo","args":["%s",{"a":[1.5e3,null]}],"tags":["%s"]}' % (mark, mark)
    small = b'{"task":"square","args":[7],"id":"%s"}' % mark
    return [
        get(f"/v1/jobs/{DONE}?include=args", 'If-None-Match: "1-1"', "Prefer: wait=1"),
        get(b"/v1/jobs?id=%s,%s&wait=1" % (mark, DONE.encode()), "Cookie: a=b; c=d"),
        get(f"/v1/jobs/{NOISY}/logs?stream=stderr&after=1"),
        get(f"/v1/jobs/{DONE}/result?wait=0.5", "Accept: */*"),
        get("/livez?x=1&y=%20", version="HTTP/1.0"), get("http://localhost:80/v1/info"),
        get("/v1/jobs", method="OPTIONS"), get(b"/v1/jobs/%s" % mark, method="DELETE"),
        post(body, "Prefer: wait=1, respond-async"), post(body, b"Idempotency-Key: \"%s\"" % mark),
        post(small, "Expect: 100-continue", target="/v1/jobs?wait=1"),
        chunked(b"".join(chunk(body[at:at + 9]) for at in range(0, len(body), 9)) + END),
        chunked(chunk(body) + b"0\r\nX-Trailer: a\r\n\r\n"),
        post(b"[" + body + b"," + small + b"]"), post(body + b"\n" + small + b"\n", media=LINES),
        post(b'{"grace":0.5}', target=f"/v1/jobs/{DONE}/cancel"),
    ]


def stirred(number, seed):
    """The bytes that this number stands for."""
    dice = random.Random(f"{seed}/{number}")
    mark = b"z%dz" % number
    good = seeds(mark)
    data = dice.choice(good)
    if dice.random() < 0.2:
        data += dice.choice(good)
    for _ in range(dice.choice((1, 1, 2, 3, 6))):
        data = _change(data, dice, good)
    return data


def _change(data, dice, good):
    if not data:
        return data
    at = dice.randrange(len(data))
    to = min(len(data), at + dice.choice((1, 1, 2, 4, 16, 64)))
    # Structure is near the ends of lines.
    ends = [match.end() for match in re.finditer(rb"\r\n|[:?&=,{}\[\]]", data)]
    near = dice.choice(ends) if ends and dice.random() < 0.5 else at
    change = dice.randrange(9)
    if change == 0:
        return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1:]
    if change == 1:
        return data[:near] + dice.choice(WORDS) + data[near:]
    if change == 2:
        return data[:at] + dice.choice(WORDS) + data[to:]
    if change == 3:
        return data[:at] + data[to:]
    if change == 4:
        return data[:to] + data[at:to] * dice.choice((1, 2, 50)) + data[to:]
    if change == 5:
        return data[:at]
    if change == 6:
        lines = data.split(b"\r\n")
        dice.shuffle(lines)
        return b"\r\n".join(lines)
    if change == 7:
        other = dice.choice(good)
        return data[:near] + other[dice.randrange(len(other)):]
    return re.sub(rb"\d+", lambda found: dice.choice((found[0], b"0", b"-1", b"9" * 30)), data)


class Stirred:
    """A request that is under way."""

    def __init__(self, port, number, seed):
        self.number = number
        self.data = stirred(number, seed)
        self.wire = Wire(port)
        self.wire.send(self.data)
        self.begun = self.seen = time.monotonic()

    def is_done(self, now):
        """Whether nothing more is to be expected of it."""
        return self.wire.is_ended or now - self.seen > QUIET

    def faults(self):
        """What is wrong with its answers; and the jobs that they tell of."""
        jobs = set()
        rest = self.wire.rest
        while rest:
            try:
                reply, rest = parse(rest, is_ended=self.wire.is_ended)
            except ValueError as error:
                return [str(error)], jobs
            if reply is None:
                # The rest may be on its way.
                if not self.wire.is_ended and time.monotonic() - self.begun < WHOLE:
                    return None, jobs
                return [f"half an answer: {rest[:300]!r}"], jobs
            if is_of_library(reply):
                return [], jobs  # Which may say it twice, and then closes.
            if reply.status >= 500 and reply.status not in NOT_KNOWN:
                return [f"{reply}"], jobs
            jobs |= jobs_in(reply)
            is_list = reply.body.startswith(b'{"jobs":') and b"created_at" in reply.body
            # Its own may lie in two chunks; another that it was stirred into is its own as well.
            strange = [mark for mark in MARK.findall(reply.body)
                       if mark != b"z%dz" % self.number and mark not in self.data]
            if strange and not is_list:
                return [f"it has {strange}: {reply}"], jobs
        return [], jobs


def run(port, count, seed, after_each):
    """Sends so many; calls `after_each` with the number of each that is done, its bytes, what is
    wrong with it, and its jobs."""
    under_way = []
    numbers = iter(range(count))
    is_over = False
    while under_way or not is_over:
        while len(under_way) < CONNECTIONS and not is_over:
            number = next(numbers, None)
            is_over = number is None
            if not is_over:
                under_way.append(Stirred(port, number, seed))
        readable = select.select([one.wire for one in under_way], [], [], QUIET)[0]
        now = time.monotonic()
        for one in list(under_way):
            if one.wire in readable:
                one.wire.read_some()
                one.seen = now
            if one.is_done(now):
                found, jobs = one.faults()
                if found is not None:
                    one.wire.close()
                    under_way.remove(one)
                    after_each(one.number, one.data, found, jobs)
