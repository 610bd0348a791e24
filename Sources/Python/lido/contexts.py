"""Ways to start processes, as far as they mean something for a service's workers: what a program
that says `import lido as mp` asks of `multiprocessing` besides its Pool."""

import sys
from types import ModuleType
from typing import List, Optional

__all__ = ["get_all_start_methods", "get_context", "get_start_method", "set_start_method"]

#: With both, a worker has nothing of the program but what it imports, and the script as
#: `__mp_main__`; how the service starts its workers is a matter of its configuration.
_METHODS = ["spawn", "forkserver"]


def get_context(method: Optional[str] = None) -> ModuleType:
    """What has `Pool` and the rest for that way to start processes: this package, for all that it
    has. Raises `ValueError` for "fork": workers have nothing of the program's memory."""
    _check(method)
    return sys.modules["lido"]


def set_start_method(method: Optional[str], force: bool = False) -> None:
    """Takes "spawn" and "forkserver", which change nothing; raises like `get_context`."""
    _check(method)


def get_start_method(allow_none: bool = False) -> str:
    """Always "spawn": as with that, workers load the script."""
    return _METHODS[0]


def get_all_start_methods() -> List[str]:
    """What `get_context` takes."""
    return list(_METHODS)


def _check(method: Optional[str]) -> None:
    if method is not None and method not in _METHODS:
        raise ValueError(
            f"cannot find context for {method!r}: the workers are those of a service, and have "
            "nothing of this program's memory ('spawn' and 'forkserver' are the ways to start "
            "processes that do as much)")
