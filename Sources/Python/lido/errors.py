"""What goes wrong, as exceptions."""

from typing import Any, Dict, List, Mapping, Optional

__all__ = [
    "JobCancelled", "JobFailed", "LidoError", "PoolTerminated", "RemoteError", "ServiceError",
    "TaskNotFound", "Unreachable",
]


class LidoError(Exception):
    """Every error of this package that is no other library's."""


class Unreachable(LidoError, ConnectionError):
    """The service could not be reached, or the connection broke and it is not known whether the
    request arrived."""


class ServiceError(LidoError):
    """The service refused a request (RFC 9457).

    `status` is HTTP's, `code` is stable, `detail` is for people, `errors` are places in the body
    (`{"detail", "pointer"}`), `retry_after` are seconds or None.
    """

    def __init__(
        self, status: int, code: str, detail: str = "", errors: Optional[List[Any]] = None,
        retry_after: Optional[float] = None,
    ) -> None:
        super().__init__(status, code, detail, errors, retry_after)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors or []
        self.retry_after = retry_after
        #: Whether the answer is to a repeat, and an earlier try may have been carried out.
        self.is_repeated = False

    def __str__(self) -> str:
        places = "".join(
            f"; {place.get('pointer', '')}: {place.get('detail', '')}" for place in self.errors
            if isinstance(place, dict))
        hint = " (LIDO_TOKEN, or token=, is what this program sends)" if self.status == 401 else ""
        return f"{self.status} {self.code}: {self.detail}{places}{hint}"


class JobFailed(LidoError):
    """A job or an item of a map has no value. `error` is the whole of what the service says;
    `code` is stable, `type` the name of the exception when the code is `raised`."""

    def __init__(self, error: Mapping[str, Any], job: Optional[str] = None) -> None:
        super().__init__(dict(error), job)
        self.error: Dict[str, Any] = dict(error)
        self.job = job
        self.code: str = str(error.get("code", "raised"))
        self.type: Optional[str] = error.get("type")
        self.message: str = str(error.get("message", ""))
        self.traceback: Optional[str] = error.get("traceback")
        self.exitcode: Optional[int] = error.get("exitcode")
        self.signal: Optional[int] = error.get("signal")

    def __str__(self) -> str:
        what = f"{self.type}: {self.message}" if self.type else self.message
        if self.code == "raised":
            return what
        return f"{self.code}: {what}" if what else self.code


class JobCancelled(JobFailed):
    """The job was cancelled before it had a value."""


class RemoteError(LidoError):
    """An exception of a worker whose class is not known here, or could not be made again. `type`,
    `module`, `message` and `arguments` are those of the original."""

    def __init__(
        self, type: str, message: str = "", module: Optional[str] = None,
        arguments: Optional[List[Any]] = None,
    ) -> None:
        super().__init__(type, message, module, arguments)
        self.type = type
        self.message = message
        self.module = module
        self.arguments = arguments

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


class PoolTerminated(LidoError):
    """The pool was terminated, or broke, before this had a value."""


class TaskNotFound(LidoError, LookupError):
    """A worker has no function of this name, or may not run it."""
