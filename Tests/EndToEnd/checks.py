"""Counts and prints checks: one line each, a sum at the end.

A script makes one `Checks`, calls `run` with its parts and ends with `sys.exit(checks.finish())`.
A part that raises is a failed check and does not keep the next part from running. The whole is
bounded: when the time given to `Checks` is over, the part that runs is interrupted and the rest is
not begun, each with a FAILED line.
"""

import signal
import sys
import time
import traceback


class OutOfTime(BaseException):
    """The script's time is over. No `Exception`, so that no part swallows it."""


class Checks:
    """The checks of one script."""

    def __init__(self, seconds_max):
        """Bounds the script to `seconds_max` seconds from now."""
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self._is_over = False
        self._seconds_max = seconds_max
        signal.signal(signal.SIGALRM, self._time_is_over)
        # A second alarm follows the first, should clean-up itself hang.
        signal.setitimer(signal.ITIMER_REAL, seconds_max, 20)
        # A script that is told to end still has to end what it started.
        signal.signal(signal.SIGTERM, _told_to_end)

    def _time_is_over(self, _number, _frame):
        self._is_over = True
        raise OutOfTime(f"the script's {self._seconds_max} s are over")

    def that(self, what, is_so, expected=None, found=None):
        """One check. `expected` and `found` are printed when it fails. Answers `is_so`."""
        if is_so:
            self.passed += 1
            print(f"ok {what}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED {what}: expected {_short(expected)}, found {_short(found)}", flush=True)
        return bool(is_so)

    def equal(self, what, found, expected):
        """`found` equals `expected`, in type as well (`1` is not `True`)."""
        is_same = found == expected and isinstance(found, bool) == isinstance(expected, bool)
        return self.that(what, is_same, _shown(expected), _shown(found))

    def at_most(self, what, found, bound, unit=""):
        """`found` is a number of at most `bound`; prints it either way."""
        is_so = found is not None and found <= bound
        shown = None if found is None else f"{found:.1f} {unit}".strip()
        return self.that(f"{what} ({shown})", is_so, f"at most {bound} {unit}".strip(), shown)

    def member(self, what, found, allowed):
        """`found` is one of `allowed`."""
        return self.that(what, found in allowed, f"one of {sorted(allowed, key=str)}", found)

    def skip(self, what, why):
        """A check that cannot be made here: said, counted apart."""
        self.skipped += 1
        print(f"skipped {what}: {why}", flush=True)

    def note(self, text):
        """A figure or a remark that nothing depends on."""
        print(f"   {text}", flush=True)

    def run(self, *parts):
        """Calls each part; one that raises is a failed check."""
        for part, *arguments in (p if isinstance(p, tuple) else (p,) for p in parts):
            name = part.__name__.replace("_", " ")
            if self._is_over:
                self.that(f"{name} was begun in time", False, "to begin", "no time left")
                continue
            began = time.monotonic()
            try:
                part(self, *arguments)
            except (Exception, OutOfTime) as error:
                frames = traceback.extract_tb(error.__traceback__)
                places = " < ".join(f"{f.name}:{f.lineno}" for f in reversed(frames[1:]))
                self.that(
                    f"{name} ran to its end", False, "no exception",
                    f"{type(error).__name__}: {error} (in {places})")
            self.note(f"[{name}: {time.monotonic() - began:.1f} s]")

    def finish(self):
        """Prints the sum; the exit status of the script: 0 when nothing failed."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self.skipped:
            print(f"{self.skipped} skipped")
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 0 if self.failed == 0 and self.passed > 0 else 1


def _told_to_end(_number, _frame):
    sys.exit(1)


def _short(value, length=900):
    text = value if isinstance(value, str) else _shown(value)
    return text if len(text) <= length else text[:length] + f"… ({len(text)} characters)"


def _shown(value):
    return repr(value)
