"""The corpus of hostile requests: bytes, and the answer that each of them must get."""

from . import bodies, bulk, framing, headers, lines, media, members, parameters, routes

#: Every case, by where its fault lies.
CASES = [
    case
    for module in (
        lines, headers, framing, routes, parameters, media, bodies, members, bulk)
    for case in module.CASES
]

_names = [case.name for case in CASES]
assert len(set(_names)) == len(_names), {name for name in _names if _names.count(name) > 1}
