"""Values as text that other processes read: JSON where the round trip is exact, else a pickle.

Exact means that what is read equals what was written, type for type: None, bool, int of any size,
finite float, str without lone surrogates, list, and dict whose keys are str, none of them a
subclass, none of the containers twice in the same value (a copy would be two), at most `DEPTH_MAX`
of them within one another. All else, if pickles are allowed, is `{"pickle": "<base64>"}`; so is a
dict that looks just like that, so that nothing is ambiguous. The service opens neither.
"""

import base64
import io
import json
import pickle
from typing import Any, Dict, List, Optional, Sequence, Set, cast

from lido.errors import TaskNotFound

__all__ = [
    "DEPTH_MAX", "EncodingError", "decode", "decode_list", "encode", "encode_lines", "encode_list",
    "loads", "not_imported", "unpickle"]

#: The most containers within one another that travel as JSON. The service reads 64, those of its
#: own around the value included.
DEPTH_MAX = 48

#: Understood by every Python from 3.8 on, so that the two ends may be of different versions.
PICKLE_PROTOCOL = 5

#: Python refuses to convert longer numbers from and to text (`sys.set_int_max_str_digits`), but
#: never those of at most 640 digits.
_DIGITS_MAX = 600

_SCALARS = frozenset({type(None), bool, int, float, str})
_NUMBERS = frozenset({type(None), bool, int, float})
_KEYS = frozenset({str})
_encoder = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))


#: Modules of which no pickle may be, with the reason: this program is such a one itself, and
#: unpickling would import another copy of it, whose classes are not the program's.
not_imported: Dict[str, str] = {}


class EncodingError(TypeError):
    """A value that JSON cannot carry exactly, where pickles are not allowed."""


def encode(value: Any, pickles: bool = False) -> bytes:
    """A value as JSON text in UTF-8.

    Raises `EncodingError` for what JSON cannot carry when `pickles` is false, and whatever
    pickling raises when it is true.
    """
    if _is_plain(value, DEPTH_MAX, set()) and not _looks_pickled(value, pickles):
        text = _json(value)
        if text is not None:
            return text
    if not pickles:
        raise EncodingError(_reason(value))
    packed = base64.b64encode(pickle.dumps(value, PICKLE_PROTOCOL))
    return b'{"pickle":"' + packed + b'"}'


def encode_list(values: Sequence[Any], pickles: bool = False) -> bytes:
    """Values of which each travels by itself, as a JSON array. Raises like `encode`."""
    if not isinstance(values, list):
        values = list(values)
    # Mostly all of them are exact, and then one pass in C writes them.
    if _is_plain(values, DEPTH_MAX + 1, set()):
        if not pickles or not any(_looks_pickled(value, True) for value in values):
            text = _json(values)
            if text is not None:
                return text
    return b"[" + b",".join([encode(value, pickles) for value in values]) + b"]"


def encode_lines(values: List[Any], pickles: bool = False) -> List[bytes]:
    """Values of which each travels by itself, each as a line without its end. Raises like
    `encode`."""
    if _NUMBERS.issuperset(map(type, values)):
        # Numbers have no commas: one pass in C writes them all.
        text = _json(values)
        if text is not None:
            return text[1:-1].split(b",") if values else []
    return [encode(value, pickles) for value in values]


def loads(text: bytes) -> Any:
    """JSON as Python's values, numbers of any length too. Raises `ValueError`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # A number that is too long for int().
        return json.loads(text, parse_int=_long_integer)


def decode(value: Any, pickles: bool = False) -> Any:
    """The value that `loads` read a part of. Pickles are opened only when `pickles` is true, and
    then whatever unpickling raises comes out of here."""
    if pickles and _looks_pickled(value, True) and type(value["pickle"]) is str:
        return unpickle(base64.b64decode(value["pickle"], validate=True))
    return value


def unpickle(packed: bytes) -> Any:
    """What a pickle holds. Raises whatever that raises, and `TaskNotFound` for what is of one
    of `not_imported`."""
    return _Unpickler(io.BytesIO(packed)).load() if not_imported else pickle.loads(packed)


class _Unpickler(pickle.Unpickler):
    """One that leaves `not_imported` alone."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle names."""
        if module in not_imported:
            raise TaskNotFound(f"a value is of {module}.{name}, and {not_imported[module]}")
        return super().find_class(module, name)


def decode_list(values: List[Any], pickles: bool = False) -> List[Any]:
    """What `encode_list` wrote and `loads` read."""
    if not pickles or dict not in set(map(type, values)):
        return values
    return [decode(value, True) if type(value) is dict else value for value in values]


def _looks_pickled(value: Any, pickles: bool) -> bool:
    return pickles and type(value) is dict and len(value) == 1 and "pickle" in value


def _is_plain(value: Any, depth: int, seen: Set[int]) -> bool:
    """Whether types and containers are such that JSON may carry them; numbers and text are judged
    when they are written."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is list:
        parts = value
    elif kind is dict:
        if not _KEYS.issuperset(map(type, value)):
            return False
        parts = value.values()
    else:
        return False
    if depth == 0 or id(value) in seen:
        return False
    seen.add(id(value))
    if _SCALARS.issuperset(map(type, parts)):
        return True
    return all(_is_plain(part, depth - 1, seen) for part in parts)


def _json(value: Any) -> Optional[bytes]:
    """Plain values as text; None when a number is not finite or a text has a lone surrogate."""
    try:
        return _encoder.encode(value).encode("utf-8")
    except ValueError:
        pass
    # A long integer, perhaps: the ordinary way does not write those.
    try:
        return _slowly(value).encode("utf-8")
    except ValueError:
        return None


def _slowly(value: Any) -> str:
    kind = type(value)
    if kind is int:
        return _digits(value) if value >= 0 else "-" + _digits(-value)
    if kind is list:
        return "[" + ",".join([_slowly(part) for part in value]) + "]"
    if kind is dict:
        members = [_encoder.encode(key) + ":" + _slowly(part) for key, part in value.items()]
        return "{" + ",".join(members) + "}"
    return _encoder.encode(value)


def _digits(number: int) -> str:
    """A number that is not negative, in halves that are short enough."""
    if number.bit_length() < _DIGITS_MAX * 3:
        return str(number)
    low_count = int(number.bit_length() * 0.30103) // 2
    high, low = divmod(number, cast(int, 10 ** low_count))
    return _digits(high) + _digits(low).rjust(low_count, "0")


def _long_integer(text: str) -> int:
    if text[0] == "-":
        return -_long_integer(text[1:])
    if len(text) <= _DIGITS_MAX:
        return int(text)
    middle = len(text) // 2
    scale = cast(int, 10 ** (len(text) - middle))
    return _long_integer(text[:middle]) * scale + _long_integer(text[middle:])


def _reason(value: Any) -> str:
    """Why a value cannot travel as JSON, for people."""
    found = _find(value, DEPTH_MAX, set(), "")
    return (
        f"{found or 'the value'}; it can travel as a pickle only, which needs a pool with "
        "allow_pickle and a service that permits it")


def _find(value: Any, depth: int, seen: Set[int], place: str) -> Optional[str]:
    where = f"at {place}: " if place else ""
    kind = type(value)
    if kind in _SCALARS:
        if _json(value) is None:
            return f"{where}{'a text' if kind is str else value!r} that JSON has no form for"
        return None
    if kind is not list and kind is not dict:
        return f"{where}a {kind.__module__}.{kind.__qualname__}, which JSON does not have"
    if depth == 0:
        return f"{where}more than {DEPTH_MAX} containers within one another"
    if id(value) in seen:
        return f"{where}a {kind.__name__} that is in the value twice"
    seen.add(id(value))
    for key, part in value.items() if kind is dict else enumerate(value):
        if kind is dict and (type(key) is not str or _json(key) is None):
            return f"{where}a key that is not a text which JSON can hold: {key!r}"
        found = _find(part, depth - 1, seen, f"{place}/{key}")
        if found is not None:
            return found
    return None
