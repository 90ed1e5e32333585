"""Grafana's dashboards, declared here and written beside: `python -m omniguard.observability.dashboards [--check] [FOLDER]`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from omniguard.observability.dashboards.grafana import Board, Panel, Query, Row, quantile, scoped
from omniguard.observability.dashboards.model import MODEL
from omniguard.observability.dashboards.operations import OPERATIONS
from omniguard.observability.dashboards.verdicts import VERDICTS

__all__ = ["BOARDS", "FOLDER", "Board", "Panel", "Query", "Row", "files", "quantile", "scoped", "stale"]

BOARDS: Final = (VERDICTS, OPERATIONS, MODEL)
FOLDER: Final = Path(__file__).parent


def files() -> dict[str, str]:
    """Each board's file name and what it must hold."""
    return {f"{board.uid}.json": json.dumps(board.json_model(), indent=1, ensure_ascii=False) + "\n" for board in BOARDS}


def stale(folder: Path) -> list[str]:
    """Names of files in `folder` that are missing, not what the declaration says, or of no board of ours."""
    wanted = files()
    wrong = [name for name, text in wanted.items() if not _same(folder / name, text)]
    return wrong + sorted(path.name for path in folder.glob("*.json") if path.name not in wanted)


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text
