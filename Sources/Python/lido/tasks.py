"""What a function of a worker may say while it runs, and under which names it is called."""

import contextvars
from typing import Any, Callable, Dict, NamedTuple, Optional, Protocol, TypeVar, Union, overload

__all__ = ["Job", "cancelled", "current_job", "item", "progress", "task"]

Function = TypeVar("Function", bound=Callable[..., Any])

#: Functions by registered name.
registered: Dict[str, Callable[..., Any]] = {}

#: True while a worker loads the script of a submitter: no pool may be made then.
is_loading_script = False


class Job(NamedTuple):
    """The job that this process runs. `attempt` counts from 1."""

    id: str
    task: str
    attempt: int


class Teller(Protocol):
    """Where a worker tells what a running call says."""

    job: Job

    def progress(self, value: Optional[float], message: Optional[str]) -> None:
        """Tells how far the call is."""

    def item(self, value: Any) -> None:
        """Tells a value of the call before its result."""

    def is_cancelled(self) -> bool:
        """Whether the call is to be given up."""


#: Set by the worker while a call runs: for the main thread and what was started with its context,
#: for as long as that lives, and for all other threads.
teller_of_context: "contextvars.ContextVar[Optional[Teller]]" = contextvars.ContextVar(
    "lido teller", default=None)
teller: Optional[Teller] = None


def forget() -> None:
    """In a child of a fork, which is no worker: nothing that is said there is told, in no context
    that was copied before either."""
    global teller, teller_of_context
    teller = None
    teller_of_context = contextvars.ContextVar("lido teller", default=None)


def _current() -> Optional[Teller]:
    """Where the call of this thread, or the one that runs, is told of."""
    return teller_of_context.get() or teller


@overload
def task(function: Function) -> Function: ...
@overload
def task(*, name: Optional[str] = None) -> Callable[[Function], Function]: ...


def task(
    function: Optional[Function] = None, *, name: Optional[str] = None
) -> Union[Function, Callable[[Function], Function]]:
    """Registers a function under a name, its own by default, and answers it as it is.

    A generator function that is registered streams what it yields as items, and its result is what
    it returns. Raises `ValueError` for a name that another function has.
    """
    def register(function: Function) -> Function:
        chosen = function.__name__ if name is None else name
        other = registered.get(chosen)
        if other is not None and _place(other) != _place(function):
            raise ValueError(f"the task {chosen!r} is {_place(other)} already")
        registered[chosen] = function
        return function

    return register if function is None else register(function)


def progress(value: Optional[float], message: Optional[str] = None) -> None:
    """Tells how far the running job is: `value` from 0 to 1 by custom, `message` for people. Does
    nothing outside of a worker, so that the function runs anywhere, nor after the job's end. A
    child that a worker forks is outside."""
    current = _current()
    if current is not None:
        current.progress(value, message)


def item(value: Any) -> None:
    """Streams a value to those who follow the events of the running job. It is not kept. Does
    nothing outside of a worker. Raises what encoding the value raises."""
    current = _current()
    if current is not None:
        current.item(value)


def cancelled() -> bool:
    """Whether the running job is to be given up. A worker also raises `lido.Cancelled` in the
    function then; this is for functions that are mostly in C."""
    current = _current()
    return current is not None and current.is_cancelled()


def current_job() -> Optional[Job]:
    """The job that this process runs, or None outside of a worker. In a thread that was started
    with a copy of the function's context (`contextvars.copy_context().run`), and in `asyncio`: the
    job that started it, even after its end."""
    current = _current()
    return None if current is None else current.job


def _place(function: Callable[..., Any]) -> str:
    module = getattr(function, "__module__", "?")
    return f"{module}:{getattr(function, '__qualname__', repr(function))}"
