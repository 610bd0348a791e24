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

    from lido.client import Client as Client
    from lido.pool import Pool as Pool
    from lido.results import AsyncResult as AsyncResult

__version__ = "0.1.0"

__all__ = [
    "AsyncResult", "Cancelled", "Client", "EncodingError", "Job", "JobCancelled", "JobFailed",
    "LidoError", "Pool", "PoolTerminated", "RemoteError", "ServiceError", "TaskNotFound",
    "TimeoutError", "Unreachable", "cancelled", "current_job", "item", "progress", "task",
]

# A worker needs none of these, and starts sooner without HTTP.
_LATER = {
    "AsyncResult": "lido.results", "Client": "lido.client", "Pool": "lido.pool",
    "TimeoutError": "multiprocessing",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = value
    return value
