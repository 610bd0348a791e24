"""Lido's Python side: a drop-in for `multiprocessing.Pool` over a Lido service, a client for the
service, and what a worker's functions use. `python3 -m lido.worker MODULE…` is the worker."""

from typing import TYPE_CHECKING, Any

from lido.cancellation import Cancelled
from lido.codec import EncodingError
from lido.errors import (
    JobCancelled, JobFailed, LidoError, PoolTerminated, RemoteError, ServiceError, TaskNotFound,
    Unreachable)
from lido.tasks import Job, cancelled, current_job, item, progress, task

if TYPE_CHECKING:
    from multiprocessing import TimeoutError as TimeoutError
    from multiprocessing import cpu_count as cpu_count
    from multiprocessing import current_process as current_process
    from multiprocessing import freeze_support as freeze_support

    from lido.client import Client as Client
    from lido.contexts import get_all_start_methods as get_all_start_methods
    from lido.contexts import get_context as get_context
    from lido.contexts import get_start_method as get_start_method
    from lido.contexts import set_start_method as set_start_method
    from lido.pool import Pool as Pool
    from lido.results import AsyncResult as AsyncResult

__version__ = "0.1.0"

__all__ = [
    "AsyncResult", "Cancelled", "Client", "EncodingError", "Job", "JobCancelled", "JobFailed",
    "LidoError", "Pool", "PoolTerminated", "RemoteError", "ServiceError", "TaskNotFound",
    "TimeoutError", "Unreachable", "cancelled", "cpu_count", "current_job", "current_process",
    "freeze_support", "get_all_start_methods", "get_context", "get_start_method", "item",
    "progress", "set_start_method", "task",
]

# A worker needs none of these, and starts sooner without HTTP.
_LATER = {
    "AsyncResult": "lido.results", "Client": "lido.client", "Pool": "lido.pool",
    "TimeoutError": "multiprocessing", "cpu_count": "multiprocessing",
    "current_process": "multiprocessing", "freeze_support": "multiprocessing",
    "get_all_start_methods": "lido.contexts", "get_context": "lido.contexts",
    "get_start_method": "lido.contexts", "set_start_method": "lido.contexts",
}

# What a program that says `import lido as mp` may miss.
_ONLY_THEIRS = {
    "Array", "Barrier", "BoundedSemaphore", "Condition", "Event", "JoinableQueue", "Lock",
    "Manager", "Pipe", "Process", "Queue", "RLock", "RawArray", "RawValue", "Semaphore",
    "SimpleQueue", "Value", "active_children", "parent_process",
}


def __getattr__(name: str) -> Any:
    if name in _ONLY_THEIRS:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}: of multiprocessing it has the Pool "
            "and what belongs to that; the rest, which is of this machine, is multiprocessing's")
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value
