"""Functions without a name: they travel as pickles, as with multiprocessing."""

from typing import Any, Callable, Iterable, List, Tuple

__all__ = ["call", "call_chunk"]


def call(_function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Calls a function that came as an argument."""
    return _function(*args, **kwargs)


def call_chunk(chunk: Tuple[Callable[..., Any], bool, Iterable[Any]]) -> List[Any]:
    """Calls a function (spread over its arguments if the second is true) for each item, in order;
    the first that fails ends it."""
    function, star, items = chunk
    if star:
        return [function(*item) for item in items]
    return [function(item) for item in items]
