"""The test phrase, picture and tone as an operator gets them are those that the guard knows."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from omniguard.domain.taxonomy import TEST, holds_test_phrase
from omniguard.entrypoints.trigger import trigger_app
from omniguard.guard.trigger import find
from omniguard.guard.wire import WirePart

runner = CliRunner()


def test_the_phrase_is_printed() -> None:
    result = runner.invoke(trigger_app, ["phrase"])
    assert result.exit_code == 0
    assert holds_test_phrase(result.stdout)


def test_the_picture_is_written_and_seen(tmp_path: Path) -> None:
    file = tmp_path / "test.png"
    assert runner.invoke(trigger_app, ["picture", "--out", str(file)]).exit_code == 0
    part = WirePart(id="p", modality="image", media=(0, 1), encoding="png")
    assert [e.category for e in find(part, [file.read_bytes()], 602_112, 30.0)] == [TEST]


def test_the_tone_is_written_as_a_wave_file(tmp_path: Path) -> None:
    file = tmp_path / "test.wav"
    assert runner.invoke(trigger_app, ["tone", "--out", str(file)]).exit_code == 0
    pcm = file.read_bytes()[44:]  # behind the header of a plain PCM file
    part = WirePart(id="p", modality="audio", media=(0, 1), encoding="pcm16", sample_rate=16_000)
    assert [e.category for e in find(part, [pcm], 602_112, 30.0)] == [TEST]


def test_a_picture_needs_a_file_that_can_be_written(tmp_path: Path) -> None:
    assert runner.invoke(trigger_app, ["picture"]).exit_code == 2
    assert runner.invoke(trigger_app, ["picture", "--out", str(tmp_path / "no" / "folder.png")]).exit_code == 2
