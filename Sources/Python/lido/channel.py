"""A worker's side of the worker protocol: JSON messages, one a line, over one socket."""

import os
import socket
import sys
import threading
from typing import Callable, Iterator, List, Optional

__all__ = ["Channel", "ChannelClosed"]


class ChannelClosed(Exception):
    """The service is gone, or does not want this worker any more."""


class Channel:
    """One end of a socket pair. Any thread may send; one reads."""

    def __init__(self, number: int) -> None:
        """Takes the descriptor of that number over."""
        # Neither programs that the functions start nor children that they fork may hold the
        # channel open: its end is how the service sees that this worker has ended.
        os.set_inheritable(number, False)
        self._socket = socket.socket(fileno=number)
        self._socket.setblocking(True)
        self._lock = threading.Lock()
        self._main = threading.main_thread().ident
        # Whether the main thread, in which signals are handled, is in the middle of lines; and what
        # its signals have left to be done after them.
        self._is_in_lines = False
        self._deferred: List[Callable[[], None]] = []
        os.register_at_fork(after_in_child=self._socket.close)

    @classmethod
    def from_environment(cls) -> "Channel":
        """The channel that `LIDO_CHANNEL` names. Raises `SystemExit` where there is none."""
        text = os.environ.pop("LIDO_CHANNEL", "")
        try:
            return cls(int(text))
        except (ValueError, OSError) as error:
            sys.exit(
                "lido.worker: LIDO_CHANNEL names no socket; the service starts this program, for "
                f"a pool with `worker: [python3, -m, lido.worker, MODULE…]` ({error})")

    def defers(self, act: Callable[[], None]) -> bool:
        """For the handlers of signals: whether lines are being sent, which may not be broken off
        in their middle. What the signal wants is done after them then, and may raise."""
        if self._is_in_lines:
            self._deferred.append(act)
        return self._is_in_lines

    def send(self, lines: bytes) -> None:
        """Writes whole lines, never mixed with those of another thread. Raises `ChannelClosed`,
        and what a signal raises that came meanwhile."""
        if threading.get_ident() != self._main:
            self._write(lines)
            return
        self._is_in_lines = True
        try:
            self._write(lines)
        finally:
            self._is_in_lines = False
            while self._deferred:
                self._deferred.pop(0)()

    def _write(self, lines: bytes) -> None:
        try:
            with self._lock:
                self._socket.sendall(lines)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def lines(self) -> Iterator[bytes]:
        """The lines that come, without their ends, until the channel does. Half a line at its end
        is nothing."""
        rest = bytearray()
        while True:
            part = self._receive()
            if not part:
                return
            end = part.find(b"\n")
            if end < 0:
                rest += part
                continue
            if rest:
                rest += part[:end]
                yield bytes(rest)
                rest.clear()
            else:
                yield part[:end]
            *whole, last = part[end + 1:].split(b"\n")
            yield from whole
            rest += last

    def _receive(self) -> Optional[bytes]:
        try:
            return self._socket.recv(1 << 18)
        except OSError:
            return None
