"""At 80 columns every table is whole: no line is longer, nothing is cut off, and no heading or name is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from omniguard.contracts.policy_file import named_policy
from omniguard.domain.scores import GUARD_EVASION
from omniguard.entrypoints import assets, calibrate, dev, dlq_view, profile, show, topics, watch
from omniguard.entrypoints.demo_view import Row, table
from omniguard.entrypoints.letters import Letter
from omniguard.evaluation import pages
from omniguard.evaluation.fitting import Outcome
from omniguard.evaluation.metrics import Line, Report
from omniguard.evaluation.reliability import Reliability
from omniguard.guard.lite.measure import Estimate
from omniguard.guard.profiles.files import FALLBACKS, parse_profile
from unit.entrypoints.test_letters import letter
from unit.entrypoints.test_watch import critique, verdict

WIDTH = 80
LONGEST = "non_violent_wrongdoing (recall only)"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setenv("TERM", "dumb")


def whole(shown: str, *words: str) -> None:
    """Each of `words` stands there unbroken."""
    assert max(len(line) for line in shown.splitlines()) <= WIDTH, shown
    assert "…" not in shown, shown
    assert [word for word in words if word not in shown] == [], shown


def printed(capsys: Capture, *tables: object) -> str:
    Console().print(*tables)
    return capsys.readouterr().out


def test_eval(capsys: Capture) -> None:
    found = Estimate(0.987, 0.954, 0.999)
    line = Line("non_violent_wrongdoing", "unsafe", 1234, 5678, True, found, found, found, found, found, found)
    sources = tuple(replace(line, name=name, recall_only=False) for name in ("text+image+audio+video", "overall"))
    report = Report("omniguard", "d", 0.5, "c-12", 10, 1, {}, sources, sources, (line,), None, None, None, None, None)
    shown = printed(capsys, *pages.rich_tables(report, WIDTH))
    headings = ("harmful", "harmless", "AUC", "recall", "FPR", "accuracy", "5 %")
    whole(shown, *headings, "non_violent_wrongdoing", "overall", "1234", "5678", "0.987", "not assessed")


def test_calibrate(capsys: Capture) -> None:
    figures = Reliability(1000, 0.123, 0.234, ())
    outcome = Outcome("text+image+audio+video", "6-20", 12345, 2345, None, "", figures, figures, 0.9, 0.95)
    shown = printed(capsys, calibrate._table([outcome]))
    whole(shown, "modalities", "segments", "harmful", "ECE", "Brier", "AUC", "after", "12345", "2345", "6-20", "0.123", "0.950")
    assert shown.count("after") == 4


def test_dlq_list(capsys: Capture) -> None:
    listing = dlq_view.Listing(5)
    key = b"some-tenant|" + b"k" * 40
    for each in (letter(key=key, topic="omniguard.content-events.backfill"), Letter(letter().record, None)):
        listing.add(each)
    listing.show()
    shown = capsys.readouterr().out
    whole(
        shown,
        "error",
        "stage",
        "count",
        "newest",
        "2/17",
        "damaged at parse, try 2",
        key.decode(),
        "broken",
        "2026-11-21 10:00:00Z",
    )
    whole(shown, "from omniguard.content-events.backfill/1/5", "omniguard dlq show 2/17")


@pytest.mark.parametrize("family", ["qwen2_5_omni", "qwen2_5_vl"])
def test_profile_show(capsys: Capture, family: str) -> None:
    found = parse_profile((FALLBACKS / f"{family}.toml").read_bytes(), family)
    shown = printed(capsys, profile._categories(found))
    names = [c.name for c in found.categories if c.name]
    whole(shown, "id", "category", "policy's name", "assessed on", *names)


def test_watch_and_demo(capsys: Capture) -> None:
    categories = [
        {"name": c.name, "score": 0.97, "severity": "high", "named": True, "assessed": True, "modalities": ["text"]}
        for c in named_policy("default", Path()).categories[:2]
    ]
    found = verdict("post-" + "0123456789" * 3, action="block", categories=categories, critique=True)
    away = verdict("b", status="indeterminate", reason="guard_unavailable", action="review", signals=(GUARD_EVASION,))
    rows = watch._Rows()
    rows._contents |= {each.key: each for each in (found, away)}
    rows._critiques[found.critique_ref or ""] = critique(found)
    whole(printed(capsys, rows._table()), "content", "action", "found", "where", "critique", "guard_unavailable", "block")
    made = [Row("a-sample-of-a-long-name", "what it shows", each, None, None, 1.5, "") for each in (found, away)]
    shown = printed(capsys, table(made))
    whole(shown, "sample", "answer", "after", "a-sample-of-a-long-name", "guard_unavailable", *(c["name"] for c in categories))


def test_topics_and_dev(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from omniguard.adapters.topics_admin import Difference
    from omniguard.devstack import PartStatus

    topics._show(
        [Difference("content-events.backfill", "max.message.bytes", "1048576", "2097152", True, "omniguard topics apply")],
        False,
        "",
        "differs",
    )
    whole(capsys.readouterr().out, "topic", "setting", "found", "expected", "what to do", "1048576")
    well = PartStatus("triton", "running", 1, {"triton": "127.0.0.1:12345"}, "/x/triton.log", "+---+ a table +---+")
    dev._show([well], as_json=False, details=False)
    assert "a table" not in capsys.readouterr().out
    dev._show([replace(well, state="dead")], as_json=False, details=False)
    whole(capsys.readouterr().out, "part", "state", "address", "a table", "127.0.0.1:12345")


def test_assets(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    place = "/a/cache/of/somebody/with/a/long/name/omniguard/models/0123456789abcdef"
    monkeypatch.setattr(assets.assets, "find", lambda _: Path(place))
    assets.list_assets()
    shown = capsys.readouterr().out
    whole(shown, *(asset.name for asset in assets.assets.MODELS))
    assert "package" in shown


def test_what_nobody_judged_has_no_score(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    model: dict[str, object] = {"name": "omniguard", "digest": "d" * 16, "engine": "lite", "calibration": None}
    unread = verdict("c", status="indeterminate", reason="not_found", action="review", model=model)
    judged: Callable[..., object] = lambda **changes: show.panel(verdict("c", model=model, **changes), None)  # noqa: E731
    assert "unsafe" not in printed(capsys, show.panel(unread, None))
    assert "unsafe 0.00" in printed(capsys, judged())
    assert "unsafe 0.60" in printed(capsys, judged(status="indeterminate", reason="deadline", action="review", unsafe=0.6))
