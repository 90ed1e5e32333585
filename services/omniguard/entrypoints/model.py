"""`omniguard model fetch`: a model's folder from where the operator keeps it, checked by its digest; for init containers."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bar

from omniguard.adapters.fetch_s3 import S3Credentials
from omniguard.adapters.model_files import ModelFolder, ModelSource, Progress, model_source
from omniguard.entrypoints.console import Json, errors_as_exit_codes, print_json, untrusted
from omniguard.errors import Misconfigured
from omniguard.settings import load_settings, s3_variables

model_app = typer.Typer(no_args_is_help=True, help="Model folders: fetched once, checked by digest.")

LINE_SECONDS = 10.0
"""Between two lines where no terminal shows a bar."""
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@model_app.callback()
def _group() -> None:
    pass


@model_app.command()
def fetch(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="https://…, s3://bucket/key, or a path: an archive, or a list of digests.")
    ],
    to: Annotated[
        Path, typer.Option("--to", help="The model's folder; it is put in place whole. Not a volume's own mount point.")
    ],
    sha256: Annotated[str, typer.Option("--sha256", help="Of the archive, or of the list.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Put it in the place of another model that this command brought.")
    ] = False,
    max_bytes: Annotated[int, typer.Option(min=1, help="Most bytes to download, and to unpack.")] = 512 * 1024**3,
    token_file: Annotated[Path | None, typer.Option(help="File with a bearer token for https.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="PEM of the authorities to trust. [default: the system's]")] = None,
    endpoint: Annotated[str | None, typer.Option(help="The S3 store's URL. [default: AWS]")] = None,
    region: Annotated[str | None, typer.Option(help="The bucket's region. [default: us-east-1]")] = None,
    credentials: Annotated[
        str | None,
        typer.Option(help="NAME of OMNIGUARD_S3__NAME__ACCESS_KEY_ID and …SECRET_ACCESS_KEY_FILE. [default: anonymous]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch a model folder, check it, and put it in place by one rename; do nothing where it is there already.

    An archive is tar, tar.gz or tar.zst, told by its bytes; the volume needs room for it and for what it holds. A list is what
    `sha256sum` writes; its files lie beside it, and each is brought and checked by itself. A download that was cut off goes on
    where it ended, also in the next run.

    Exit status: 0 the model is there; 1 the source is away or the volume full, which may pass; 2 the call, the digest, the
    archive or what lies in the folder's place must be changed.
    """
    with errors_as_exit_codes():
        if not _SHA256.fullmatch(sha256):
            raise Misconfigured("--sha256: found something else, expected 64 hexadecimal digits, as sha256sum prints them")
        began = _source(source, token_file, ca_file, endpoint, region, credentials)
        with _shown() as progress:
            folder = ModelFolder(to, limit=max_bytes, progress=progress)
            found = asyncio.run(folder.ensure(began, sha256.lower(), replace=replace))
    if as_json:
        print_json(
            {"path": str(to), "sha256": sha256.lower(), "already": found.already, "files": found.files, "bytes": found.size}
        )
    else:
        done = "is there already" if found.already else "fetched"
        typer.echo(f"{to}: {done}, {found.files} files, {found.size / 1e9:.2f} GB, sha256 {sha256.lower()}")


def _source(
    address: str, token_file: Path | None, ca_file: Path | None, endpoint: str | None, region: str | None, credentials: str | None
) -> ModelSource:
    return model_source(
        address,
        token=_read(token_file, "--token-file").strip() if token_file else None,
        tls=_tls(ca_file) if ca_file else None,
        endpoint=endpoint,
        region=region,
        credentials=_keys(credentials) if credentials else None,
    )


def _read(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{option} {path}: cannot be read ({type(error).__name__}); expected a mounted file") from error


def _tls(path: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=_read(path, "--ca-file"))
    except ssl.SSLError as error:
        raise Misconfigured(f"--ca-file {path}: found no certificate in PEM, expected one at least") from error


def _keys(name: str) -> S3Credentials:
    keys = load_settings().s3.get(name.lower())
    if keys is None or keys.secret_access_key is None:
        raise Misconfigured(f"--credentials {name}: found no such keys, expected {s3_variables(name)} to be set")
    token = keys.session_token.get_secret_value() if keys.session_token else None
    return S3Credentials(keys.access_key_id, keys.secret_access_key.get_secret_value(), token)


@contextmanager
def _shown() -> Iterator[Progress]:
    """A bar in a terminal, lines elsewhere; on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        yield _Bars(bar)


class _Bars:
    """One bar, for whatever is being done."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self._name = bar, ""
        self._task: TaskID | None = None

    def __call__(self, name: str, done: int, total: int | None) -> None:
        if self._task is None or name != self._name:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._name, self._task = name, self._bar.add_task(untrusted(name[-60:], lines=False).plain, total=total)
        self._bar.update(self._task, completed=done, total=total)


class _Lines:
    """A line now and then."""

    def __init__(self, console: Console) -> None:
        self._console, self._told = console, time.monotonic()

    def __call__(self, name: str, done: int, total: int | None) -> None:
        if time.monotonic() - self._told < LINE_SECONDS:
            return
        self._told = time.monotonic()
        of = "" if total is None else f" of {total / 1e9:.2f}"
        self._console.print(untrusted(f"{name}: {done / 1e9:.2f}{of} GB", lines=False), soft_wrap=True)
