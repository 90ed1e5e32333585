"""Advisories that apply to a locked version are found, and old ones are said to be old."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from locks import audit
from locks.licences import locked

NOW = datetime.now(UTC).isoformat()


def advisory(name: str, *events: dict[str, str], versions: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    package = {"ecosystem": "PyPI", "name": name}
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    return {
        "id": "PYSEC-1",
        "modified": NOW,
        "affected": [{"package": package, "ranges": ranges, "versions": list(versions)}],
        **more,
    }


@pytest.mark.parametrize(
    ("events", "version", "expected"),
    [
        (({"introduced": "0"}, {"fixed": "2.0"}), "1.9", "2.0"),
        (({"introduced": "0"}, {"fixed": "2.0"}), "2.0", None),
        (({"introduced": "0"}, {"fixed": "1.10"}), "1.9", "1.10"),
        (({"introduced": "1.5"}, {"fixed": "2.0"}), "1.4", None),
        (({"introduced": "1.5"},), "9", ""),
        (({"introduced": "1"}, {"last_affected": "2"}), "2", ""),
        (({"introduced": "1"}, {"last_affected": "2"}), "2.1", None),
        (({"introduced": "0"}, {"fixed": "1"}, {"introduced": "3"}, {"fixed": "4"}), "3.5", "4"),
    ],
)
def test_versions_are_compared(events: tuple[dict[str, str], ...], version: str, expected: str | None) -> None:
    assert audit.affected(advisory("Some.Package", *events), "some-package", version) == expected
    assert audit.affected(advisory("other", *events), "some-package", version) is None


def test_a_listed_version_is_affected() -> None:
    assert audit.affected(advisory("a", versions=("1.0",)), "a", "1.0") == ""
    assert audit.affected(advisory("a", versions=("1.0",)), "a", "1.1") is None


def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["audit", str(folder), "--lock", "worker"])
    return audit.main()


@pytest.mark.parametrize(
    ("entry", "code", "words"),
    [
        ({}, 1, "aiohttp {version} is affected by PYSEC-1; no version mends it"),
        ({"withdrawn": NOW}, 2, "found no advisory on any locked package"),
        ({"affected": []}, 0, "0 apply"),
        ({"affected": [], "modified": "2024-07-11T00:00:00Z"}, 2, "nothing is known of what was found since"),
    ],
)
def test_what_is_printed(
    entry: dict[str, Any],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "PYSEC-1.json").write_text(json.dumps(advisory("aiohttp", {"introduced": "0"}, **entry)))
    assert run(tmp_path, monkeypatch) == code
    assert words.format(version=dict(locked("worker"))["aiohttp"]) in capsys.readouterr().out


def test_yaml_of_a_checkout_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (folder := tmp_path / "vulns/aiohttp").mkdir(parents=True)
    (folder / "PYSEC-1.yaml").write_text(json.dumps(advisory("aiohttp", {"introduced": "0"})))  # JSON is YAML
    assert run(tmp_path, monkeypatch) == 1
    assert "worker: aiohttp" in capsys.readouterr().out
