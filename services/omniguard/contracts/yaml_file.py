"""Operators' YAML files: read with line numbers, checked against a model, and refused with every mistake named at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from omniguard.contracts import wording
from omniguard.errors import Misconfigured

Loc = tuple[int | str, ...]
_SHOWN = 60


class FileModel(BaseModel):
    """A section of a file: a name that it does not know is a mistake, most often of spelling."""

    model_config = ConfigDict(frozen=True, extra="forbid")


M = TypeVar("M", bound=FileModel)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong: where, what was found and expected, and what to do."""

    loc: Loc
    found: str
    expected: str
    do: str


class YamlFile:
    """A parsed file that knows the line of each value."""

    def __init__(self, path: Path) -> None:
        """Read and parse.

        Raises:
            Misconfigured: no such file, not UTF-8, not YAML, or no names at its top.

        """
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise Misconfigured(f"{path}: cannot be read ({why}); expected a YAML file in UTF-8") from error
        try:
            document = YAML(typ="rt").load(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark
            line = f"{path}:{mark.line + 1}" if mark else f"{path}"
            problem = str(error.problem).split(' with value "')[0].removeprefix("but ")
            raise Misconfigured(f"{line}: not YAML: {problem}; correct this line or the one before") from error
        except YAMLError as error:
            raise Misconfigured(f"{path}: not YAML: {str(error).splitlines()[0]}; remove that character") from error
        if not isinstance(document, CommentedMap):
            raise Misconfigured(
                f"{path}:1: found {show(document)}; expected names with values; see the shipped files for the form"
            )
        self._document = document

    def line(self, loc: Loc) -> int:
        """The line of a value, or of the nearest thing that holds it; from 1."""
        node: Any = self._document
        line = 0
        for step in loc:
            if not isinstance(node, (CommentedMap, CommentedSeq)) or step not in (node.lc.data or {}):
                break
            line = node.lc.data[step][0]
            node = node[step]
        return int(line) + 1

    def load(self, model: type[M]) -> M:
        """Check the file against its model.

        Raises:
            Misconfigured: with one line for every mistake.

        """
        try:
            return model.model_validate(_plain(self._document))
        except ValidationError as error:
            details = error.errors(include_url=False)
            # pydantic counts only the valid elements of a list that has invalid ones, and then calls it too short.
            broken = {d["loc"][:-1] for d in details} | {d["loc"][:-2] for d in details}
            raise self.refuse(
                _mistake(d, model) for d in details if not (d["type"] == "too_short" and d["loc"] in broken and d["input"])
            ) from None

    def refuse(self, mistakes: Iterable[Mistake]) -> Misconfigured:
        """The error that names each mistake, in the order of the file."""
        lines = sorted((self.line(m.loc), self._say(m)) for m in mistakes)
        return Misconfigured("\n".join(text for _, text in lines))

    def _say(self, m: Mistake) -> str:
        return f"{self.path}:{self.line(m.loc)}: {wording.path(m.loc)}: found {m.found}; expected {m.expected}; {m.do}"


def show(value: object) -> str:
    """A value as the file has it, cut short."""
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _mistake(detail: Any, model: type[BaseModel]) -> Mistake:
    loc: Loc = detail["loc"]
    expected = wording.expected(detail)
    if detail["type"] == "missing":
        return Mistake(loc, "nothing", expected, "add it")
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(loc[-1]), _names(model), n=1)
        return Mistake(loc, f'the name "{loc[-1]}"', expected, f'did you mean "{near[0]}"?' if near else "remove it")
    return Mistake(loc, show(detail["input"]), expected, "change it")


def _names(model: type[BaseModel]) -> list[str]:
    """Every name that a file of this model may use anywhere."""
    schema = model.model_json_schema()
    objects = [schema, *schema.get("$defs", {}).values()]
    return sorted({name for o in objects for name in o.get("properties", {})})


def _plain(node: Any) -> Any:
    """ruamel's round-trip types as Python's own."""
    if isinstance(node, CommentedMap):
        return {key if isinstance(key, str) else show(key): _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node if node is None else str(node)
