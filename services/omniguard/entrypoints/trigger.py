"""`omniguard trigger`: the phrase, the picture and the tone that always raise the category `test`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from omniguard.domain.taxonomy import TEST_PHRASE
from omniguard.entrypoints.console import WRONG_CALL, fail
from omniguard.guard.trigger import make_picture, make_tone

trigger_app = typer.Typer()


class Kind(StrEnum):
    """What to make."""

    PHRASE = "phrase"
    PICTURE = "picture"
    TONE = "tone"


@trigger_app.command()
def trigger(
    kind: Annotated[Kind, typer.Argument(help="phrase (printed), picture (PNG) or tone (WAV).")],
    out: Annotated[Path | None, typer.Option("--out", help="File to write the picture or the tone to.")] = None,
) -> None:
    """Print the test phrase, or write the test picture or tone: upload it, and its verdict names the category `test`.

    Exit status: 0 made, 2 no file was named for a picture or a tone, or it cannot be written.
    """
    if kind is Kind.PHRASE:
        print(TEST_PHRASE)
        return
    if out is None:
        raise fail(f"found no file for the {kind}, expected one: omniguard trigger {kind} --out FILE", WRONG_CALL)
    try:
        out.write_bytes(make_picture() if kind is Kind.PICTURE else make_tone())
    except OSError as error:
        raise fail(f"{out} cannot be written ({error.strerror}): name another file", WRONG_CALL) from error
    print(out)
