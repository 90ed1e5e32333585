"""Files of measured coefficients, as `python -m loadtests.coefficients` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from omniguard.domain.capacity import GUARD, UNITS, Coefficients
from omniguard.errors import Misconfigured

__all__ = ["SHIPPED", "load_coefficients"]

SHIPPED = Path(__file__).parent.parent / "coefficients" / "lite-cpu.json"
"""Measured here: the worker, its decoders, Redis, and the engine lite on a CPU."""

Text = Annotated[StrictStr, Field(min_length=1)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    value: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
    unit: Text
    source: Text


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Text
    guard_unit: Text
    coefficients: dict[str, _Entry]


def load_coefficients(path: Path | None = None) -> Coefficients:
    """The shipped coefficients, or with a file those that it names in their place.

    Raises:
        Misconfigured: the file is wrong, or mixes one guard's coefficients with another's.

    """
    shipped = _read(SHIPPED)
    if path is None:
        return _built(shipped, shipped)
    given = _read(path)
    if unknown := sorted(set(given.coefficients) - set(UNITS)):
        raise Misconfigured(f"{path}: found {', '.join(unknown)}, expected names of {', '.join(UNITS)}: correct them")
    missing = [name for name in GUARD if name not in given.coefficients]
    if missing and len(missing) < len(GUARD):
        raise Misconfigured(f"{path}: found no {', '.join(missing)}, expected all of one guard or none: measure them too")
    if missing and given.guard_unit != shipped.guard_unit:
        raise Misconfigured(
            f"{path}: found a guard of unit {given.guard_unit} without its coefficients, expected them: measure it"
        )
    return _built(given, shipped)


def _read(path: Path) -> _File:
    try:
        return _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be read ({error.strerror}); expected a file of coefficients") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "the file"
        raise Misconfigured(f"{path}: {where}: {first['msg']}; write it by `python -m loadtests.coefficients`") from None


def _built(given: _File, shipped: _File) -> Coefficients:
    every = {**shipped.coefficients, **given.coefficients}
    values, sources = ({name: getattr(every[name], part) for name in UNITS} for part in ("value", "source"))
    return Coefficients(given.name, given.guard_unit, values, sources)
