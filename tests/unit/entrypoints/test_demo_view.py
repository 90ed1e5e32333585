from __future__ import annotations

import io

import pytest
from rich.console import Console

from omniguard.entrypoints import show
from omniguard.entrypoints.demo_view import Row, View, table
from unit.entrypoints.test_watch import critique, letter, verdict

PROBLEM = {"part": "p0", "reason": "damaged", "message": "it is cut off\x1b[2J"}


def rows(count: int) -> list[Row]:
    made = []
    for number in range(count):
        found = verdict(f"c{number}", critique=True, action="block")
        made.append(
            Row(
                f"sample-{number}",
                "about it",
                found,
                critique(found, "because [red]so[/red]\x1b[2J " * 40),
                seconds=1.5,
                wrong="",
            )
        )
    return made


def drawn(what: object, *, terminal: bool = True, height: int = 24) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, color_system=None, width=100, height=height)
    if isinstance(what, list):
        with View(console) as view:
            view.say("doing it")
            for row in what:
                view.answered(row)
    else:
        console.print(what)
    return out.getvalue()


def test_the_last_table_holds_every_sample_and_says_what_is_wrong() -> None:
    wrong = Row("never-came", "about it", wrong="no verdict came")
    broken = Row(
        "broken",
        "",
        verdict("b", status="indeterminate", reason="damaged", action="review", problems=(PROBLEM,)),
        None,
        letter(),
        0.5,
        "",
    )
    shown = drawn(table([*rows(30), wrong, broken]))
    assert all(f"sample-{number} " in shown for number in range(30))
    assert shown.count("✓") == 31
    assert shown.count("✗") == 1
    assert "no verdict came" in shown
    assert "indeterminate: damaged → review" in shown
    assert "\x1b[2J" not in shown
    assert "[red]so[/red]" in shown


@pytest.mark.parametrize("height", [10, 24, 60])
def test_while_it_runs_what_came_last_is_shown_and_fits(height: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=100, height=height)
    view = View(console)
    for row in rows(30):
        view.answered(row)
    with console.capture() as captured:
        console.print(view._picture())
    picture = captured.get()
    assert len(picture.splitlines()) < height
    assert "sample-29" in picture
    assert "sample-0 " not in picture


def test_elsewhere_than_in_a_terminal_each_answer_is_a_line() -> None:
    shown = drawn(rows(2), terminal=False)
    assert [line.split(" s ", 1)[1].split("  ")[0] for line in shown.splitlines()] == ["doing it", "sample-0", "sample-1"]
    assert "\x1b" not in shown


def test_a_panel_says_what_was_looked_at() -> None:
    coverage = {
        "p0": {"seconds": 24.0, "examined": 12.0, "frames": 1, "not_assessed": ("video:hate", "audio:hate", "audio:test")}
    }
    named = [
        {"name": n, "score": None, "severity": "low", "named": False, "assessed": False, "modalities": ()}
        for n in ("hate", "test", "privacy")
    ]
    model = {"name": "omniguard", "digest": "0123456789", "engine": "lite", "calibration": None}
    found = verdict(coverage=coverage, categories=named, model=model, problems=(PROBLEM,))
    shown = drawn(show.panel(found, None))
    assert "p0: 12.0 of 24.0 s, 1 frame; not assessed: video: hate; audio: all but privacy" in " ".join(
        shown.replace("│", "").split()
    )
    assert "it is cut off[2J (damaged)" in shown
    unjudged = drawn(show.panel(verdict(coverage=coverage), None))
    assert "not assessed" not in unjudged
    assert "no model" in unjudged
