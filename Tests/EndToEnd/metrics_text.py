"""Reads a page of Prometheus' text format 0.0.4, as strictly as it is written down.

https://prometheus.io/docs/instrumenting/exposition_formats/: a family stands in one piece, its HELP
and TYPE once and before its samples; no sample stands twice; a counter's name ends in `_total`;
the buckets of a histogram rise up to `+Inf`, which is `_count`.
"""

import re
import shutil
import subprocess

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(
    r"(%s)(?:\{(.*)\})? (NaN|[+-]?Inf|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)" % _NAME)
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|\Z)')
_SUFFIXES = ("_bucket", "_sum", "_count")


class Malformed(Exception):
    """The page is not what the format allows."""


class Page:
    """A page: `types` and `helps` by family, `samples` by name and sorted labels."""

    def __init__(self, text):
        self.types, self.helps, self.samples = {}, {}, {}
        self._family = None
        if not text.endswith("\n"):
            raise Malformed("the last line has no end")
        for line in text[:-1].split("\n"):
            if line.startswith("# "):
                self._read_comment(line)
            else:
                self._read_sample(line)
        if set(self.types) != set(self.helps):
            raise Malformed(f"help or type is missing: {set(self.types) ^ set(self.helps)}")
        for family, kind in self.types.items():
            if kind == "histogram":
                self._check_histogram(family)
            elif (kind == "counter") != family.endswith("_total"):
                raise Malformed(f"{family} is a {kind}")

    def value(self, name, **labels):
        """The one sample with exactly these labels, or None."""
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def total(self, name, **labels):
        """The sum of the samples of a name that have these labels."""
        return sum(value for (key, pairs), value in self.samples.items()
                   if key == name and set(labels.items()) <= set(pairs))

    def labels(self, name):
        """The labels of each sample of a name, as dictionaries."""
        return [dict(pairs) for key, pairs in self.samples if key == name]

    def _read_comment(self, line):
        match = re.fullmatch(r"# (HELP|TYPE) (%s) (\S.*)" % _NAME, line)
        if not match:
            raise Malformed(f"neither help nor type: {line!r}")
        what, name, text = match.groups()
        known = self.helps if what == "HELP" else self.types
        if name in known:
            raise Malformed(f"a family stands twice: {line!r}")
        if what == "HELP" and self._family is not None and not self._has_samples(self._family):
            raise Malformed(f"{self._family} has no sample")
        if what == "TYPE" and (name != self._family or text not in (
                "counter", "gauge", "histogram")):
            raise Malformed(f"not the type of the family before it: {line!r}")
        known[name] = text
        self._family = name

    def _has_samples(self, family):
        return any(name in [family] + [family + suffix for suffix in _SUFFIXES]
                   for name, _ in self.samples)

    def _read_sample(self, line):
        match = _SAMPLE.fullmatch(line)
        if not match:
            raise Malformed(f"no sample: {line!r}")
        name, labels, value = match.groups()
        if labels is not None and (_LABEL.sub("", labels) or not labels):
            raise Malformed(f"labels that cannot be read: {line!r}")
        kind = self.types.get(self._family)
        names = [self._family + suffix for suffix in _SUFFIXES]
        if name not in (names if kind == "histogram" else [self._family]):
            raise Malformed(f"outside of its family {self._family}: {line!r}")
        pairs = [match.groups() for match in _LABEL.finditer(labels or "")]
        if len({name for name, _ in pairs}) != len(pairs):
            raise Malformed(f"a label stands twice: {line!r}")
        key = (name, tuple(sorted(pairs)))
        if key in self.samples:
            raise Malformed(f"a sample stands twice: {line!r}")
        self.samples[key] = float(value)

    def _check_histogram(self, family):
        buckets = [(float(dict(pairs)["le"]), value) for (name, pairs), value
                   in self.samples.items() if name == family + "_bucket"]
        bounds, counts = [b for b, _ in buckets], [c for _, c in buckets]
        if not bounds or bounds != sorted(set(bounds)) or bounds[-1] != float("inf"):
            raise Malformed(f"the bounds of {family} are {bounds}")
        if counts != sorted(counts) or counts[-1] != self.value(family + "_count"):
            raise Malformed(f"the buckets of {family} are {counts}")
        if (self.value(family + "_sum") or 0) < 0:
            raise Malformed(f"the sum of {family} is negative")


def read(http):
    """The page of a service; raises `Malformed`."""
    response = http.get("/metrics")
    kind = response.get("content-type") or ""
    if response.status != 200 or not kind.startswith("text/plain; version=0.0.4"):
        raise Malformed(f"no page: {response}")
    return Page(response.text)


def promtool(text):
    """What `promtool check metrics` finds in a page; None where it is not installed."""
    program = shutil.which("promtool")
    if program is None:
        return None
    done = subprocess.run(
        [program, "check", "metrics"], input=text.encode(), capture_output=True, timeout=30,
        check=False)
    found = (done.stdout + done.stderr).decode().strip()
    return found or (f"exit status {done.returncode}" if done.returncode else "")
