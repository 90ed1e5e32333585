"""`omniguard contract`: write the published form of the contract, or check that it is what the code says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from omniguard.contracts.schemas import documents
from omniguard.entrypoints.console import Json, print_json

contract_app = typer.Typer(help="JSON Schemas and AsyncAPI of every message, generated from the code.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", help="Folder of the generated files.")]
_DEFAULT = Path("docs/contract")


@contract_app.command()
def export(out: Out = _DEFAULT, as_json: Json = False) -> None:
    """Write every generated file."""
    written = documents()
    for name, content in written.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    _say({"written": sorted(written)}, f"wrote {len(written)} files below {out}", as_json)


@contract_app.command()
def check(out: Out = _DEFAULT, as_json: Json = False) -> None:
    """Compare the files with the code.

    Exit status: 0 they agree, 1 a file differs or is missing.
    """
    stale = stale_files(out)
    lines = "\n".join(f"{out / name}: differs from the code; run `omniguard contract export`" for name in stale)
    _say({"stale": stale}, lines or "every file agrees with the code", as_json)
    if stale:
        raise typer.Exit(1)


def stale_files(folder: Path) -> list[str]:
    """Names of generated files that are missing, differ, or that nothing generates any more."""
    current = documents()
    differing = {name for name, content in current.items() if not _same(folder / name, content)}
    left_over = {f"schemas/{path.name}" for path in (folder / "schemas").glob("*.json")} - current.keys()
    return sorted(differing | left_over)


def _same(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _say(data: object, text: str, as_json: bool) -> None:
    if as_json:
        print_json(data)
    else:
        Console(soft_wrap=True).print(text, markup=False, highlight=False)
