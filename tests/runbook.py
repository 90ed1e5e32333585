"""docs/runbook.md, taken apart: its sections, queries and commands."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/runbook.md"
_TEXT = PAGE.read_text()


def sections() -> dict[str, str]:
    """By the alert's name."""
    parts = re.split(r"^### (\w+)$", _TEXT, flags=re.MULTILINE)
    return {name: re.split(r"^## ", body, flags=re.MULTILINE)[0] for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def _lines(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", _TEXT, re.DOTALL | re.MULTILINE)
    return list(dict.fromkeys(line for block in found for line in block.splitlines()))


def queries() -> list[str]:
    """Each query once."""
    return _lines("promql")


def commands() -> list[str]:
    """Each line of shell once, those within the text included."""
    within = re.findall(r"`((?:omniguard|kubectl) [a-z-][^`\n]*)`", re.sub(r"```.*?```", "", _TEXT, flags=re.DOTALL))
    return list(dict.fromkeys([*_lines("bash"), *within]))
