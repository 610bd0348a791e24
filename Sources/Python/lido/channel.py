"""A worker's side of the worker protocol: JSON messages, one a line, over one socket."""

import os
import socket
import sys
import threading
from typing import Iterator, Optional

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

    def send(self, lines: bytes) -> None:
        """Writes whole lines, never mixed with those of another thread. Raises
        `ChannelClosed`."""
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
