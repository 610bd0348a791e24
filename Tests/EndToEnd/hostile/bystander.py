"""A client that is good, and must not notice the others."""

import re

from lido_process import wait_until

from .judge import jobs_in
from .wire import Ended, Silent, Wire


class Bystander:
    """A connection with good requests, each with a mark that its answer must hold; and the workers
    as they were before."""

    def __init__(self, port, token=None):
        self.wire = Wire(port)
        self.lines = b"Host: localhost\r\n"
        if token:
            self.lines += b"Authorization: Bearer %s\r\n" % token.encode()
        self.count = 0
        #: Every job that anybody was told of.
        self.jobs = set()
        # The service is ready with its first worker; the others have no pid before they start.
        wait_until(lambda: all(pid > 0 for pid, _ in self._workers()), seconds=10)
        self.workers = self._workers()

    def mark(self):
        """A new mark."""
        self.count += 1
        return b"m%d" % self.count

    def query(self, mark):
        """A GET whose answer holds this mark."""
        return b"GET /v1/jobs?id=%s HTTP/1.1\r\n%s\r\n" % (mark, self.lines)

    def submission(self, mark):
        """A POST whose answer holds this mark."""
        body = b'{"task":"echo","args":["%s"]}' % mark
        return (b"POST /v1/jobs?wait=10 HTTP/1.1\r\n%sContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (self.lines, len(body), body))

    def faults(self):
        """What is wrong with the service in the eyes of somebody else."""
        mark = self.mark()
        self.wire.send(self.submission(mark) + self.query(mark))
        found = self.faults_of(self.wire, mark, True) + self.faults_of(self.wire, mark, False)
        workers = self._workers()
        if workers != self.workers:
            found.append(f"the workers were {self.workers} and are {workers}")
        return found

    def faults_of(self, wire, mark, is_submission):
        """What is wrong with the next answer on a connection, which must hold this mark."""
        try:
            reply = wire.answer()
        except (Ended, Silent, ValueError) as error:
            return [f"no answer to a good request: {error}"]
        if reply.status != 200:
            return [f"a good request is answered with {reply}"]
        value = reply.value
        if is_submission:
            self.jobs |= jobs_in(reply)
            held = value.get("result")
        else:
            held = "".join(job["id"] for job in value.get("jobs", []))
        return [] if held == mark.decode() else [f"the answer of another: {reply}"]

    def _get(self, target):
        self.wire.send(b"GET %s HTTP/1.1\r\n%s\r\n" % (target, self.lines))
        return self.wire.answer()

    def _workers(self):
        """The pids of those that live, and how many are gone."""
        workers = self._get(b"/v1/pools/default/workers").value["workers"]
        return [(worker["pid"], worker["state"] == "gone") for worker in workers]

    def metric(self, name):
        """The sum of a metric's samples."""
        text = self._get(b"/metrics").body.decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if re.match(name + "[{ ]", line))
