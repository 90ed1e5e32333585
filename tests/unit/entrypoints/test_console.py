from __future__ import annotations

import io
import json

import pytest
import typer
from rich.console import Console

from omniguard.contracts.critique import CritiqueData
from omniguard.entrypoints import show
from omniguard.entrypoints.console import errors_as_exit_codes, plain, print_json
from omniguard.errors import BadContent, Misconfigured, Reason

HOSTILE = "a\x1b[2Jb\x07\x9b31mc\u202edlrow\u200b\u2066 \x00[bold]d[/bold] \U000e0041e"


def test_nothing_a_terminal_would_obey_is_left() -> None:
    shown = plain(HOSTILE)
    assert shown == "a[2Jb31mcdlrow [bold]d[/bold] e"


@pytest.mark.parametrize("harmless", ["Grüße, 世界! 👩\u200d👩\u200d👧 ½ “quoted”", "شكرا\u200cلكم", "a\nb"])
def test_ordinary_writing_is_left_alone(harmless: str) -> None:
    assert plain(harmless) == harmless


def test_line_feeds_become_spaces_where_one_line_is_wanted() -> None:
    assert plain("a\r\nb\tc\u2028d", lines=False) == "a b c d"


def test_a_critique_is_neither_markup_nor_escape_sequence() -> None:
    critique = CritiqueData(
        tenant="acme", content_id="c", content_version=1, verdict_id="v", policy_epoch=1, revision=1, text=HOSTILE, none=None
    )
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system=None, width=100).print(show.critique_text(critique))
    assert "\x1b" not in out.getvalue()
    assert "[bold]d[/bold]" in out.getvalue()


def test_json_can_be_shown_in_a_terminal_and_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": HOSTILE}, indent=False)
    printed = capsys.readouterr().out
    assert printed.strip().isprintable()
    assert json.loads(printed) == {"text": HOSTILE}


@pytest.mark.parametrize(("error", "code"), [(Misconfigured("wrong"), 2), (BadContent(Reason.DAMAGED, "broken"), 1)])
def test_our_errors_are_exit_codes(error: Exception, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, errors_as_exit_codes():
        raise error
    assert ended.value.exit_code == code
    assert capsys.readouterr().err.strip() == str(error)


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), errors_as_exit_codes():
        1 / 0  # noqa: B018
