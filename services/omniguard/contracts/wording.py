"""What a validation error expected, in words of the file or message at hand rather than of Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FIXED = {
    "missing": "a value",
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "names with values",
    "model_type": "names with values",
    "model_attributes_type": "names with values",
    "extra_forbidden": "no such name",
}
_LIMITS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "a text that matches {pattern}",
    "enum": "{expected}",
    "literal_error": "{expected}",
}


def expected(error: Mapping[str, Any]) -> str:
    """What one of pydantic's error details asks for. Never contains the value that was found."""
    kind = error["type"]
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _LIMITS:
        return _LIMITS[kind].format(**error.get("ctx", {}))
    # Our own PydanticCustomErrors say it in full.
    return str(error["msg"]).removeprefix("expected ")


def path(loc: tuple[int | str, ...]) -> str:
    """`parts[1].uri`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc).removeprefix(".")
