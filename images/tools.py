"""What the build asks of the machine: programs, and the machine's own configuration of package sources."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
_APT = Path("/etc/apt")
_CERTIFICATES = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pki/tls/certs/ca-bundle.crt"))
_HOWTO = {
    "buildah": "install the package buildah",
    "debootstrap": "install the package debootstrap and run as root, or name a base image of your own: BASE=IMAGE@sha256:...",
    "runc": "install the package runc or crun",
    "uv": "run `make setup`, or put uv on the PATH",
}


class BuildError(Exception):
    """A build that cannot go on; the message says what was found and what to do."""


def find(name: str) -> str:
    """Path of a program.

    Raises:
        BuildError: it is not on the PATH; the message says what to install.

    """
    if found := shutil.which(name):
        return found
    raise BuildError(f"found no {name} on the PATH: {_HOWTO[name]}")


def run(*command: str | Path) -> None:
    """Run a program, its output going where ours goes.

    Raises:
        BuildError: it ended with another status than 0.

    """
    status = subprocess.run([str(part) for part in command], check=False, cwd=ROOT).returncode  # noqa: S603
    if status:
        raise BuildError(f"{Path(command[0]).name} ended with status {status}; its output above says why")


def output(*command: str | Path) -> str:
    """What a program writes to standard output, or nothing where it fails or is not there."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else ""


def runtime() -> str:
    """The OCI runtime that runs the build's steps."""
    return "crun" if shutil.which("crun") else Path(find("runc")).name


def uv_folder() -> Path:
    """The folder of uv's binary: the one that `make setup` installed, else that of the PATH."""
    own = ROOT / ".venv/bin/uv"
    return (own if own.is_file() else Path(find("uv"))).resolve().parent


@contextmanager
def secrets() -> Iterator[list[str]]:
    """Arguments that mount uv's settings and the trusted certificates for single steps; no layer keeps them.

    uv's settings are the user's, or made of what pip uses: an index that only pip knows is then uv's as well.
    """
    with tempfile.TemporaryDirectory(prefix="omniguard-images-") as folder:
        settings = Path(folder) / "uv.toml"
        settings.write_text(_uv_settings(), encoding="utf-8")
        certificates = Path(folder) / "certificates"
        certificates.write_bytes(_certificates())
        yield [f"--secret=id=uv.toml,src={settings}", f"--secret=id=certificates,src={certificates}"]


def _uv_settings() -> str:
    named = [os.environ.get("UV_CONFIG_FILE"), str(Path.home() / ".config/uv/uv.toml"), "/etc/uv/uv.toml"]
    for file in [Path(name) for name in named if name]:
        if file.is_file():
            return file.read_text(encoding="utf-8")
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL") or os.environ.get("PIP_INDEX_URL")
    index = index or output("pip3", "config", "get", "global.index-url")
    return f'[[index]]\nurl = "{index}"\ndefault = true\n' if index else ""


def _certificates() -> bytes:
    named = os.environ.get("SSL_CERT_FILE")
    for file in ([Path(named)] if named else []) + list(_CERTIFICATES):
        if file.is_file():
            return file.read_bytes()
    raise BuildError("found no list of trusted certificates: install ca-certificates, or name one by SSL_CERT_FILE")


def apt_sources(suite: str) -> list[Path]:
    """The machine's own lists of packages that have `suite`, security updates among them."""
    lists = [_APT / "sources.list", *sorted(_APT.glob("sources.list.d/*.list")), *sorted(_APT.glob("sources.list.d/*.sources"))]
    return [file for file in lists if file.is_file() and re.search(rf"\b{suite}(-security)?\b.*", _uncommented(file))]


def apt_mirror(suite: str) -> str | None:
    """The first address that the machine's own lists give for `suite`; None leaves it to debootstrap."""
    addresses = (
        re.search(r"(?:^URIs:|^deb (?:\[[^\]]*\] )?)\s*(\S+)", _uncommented(file), re.MULTILINE) for file in apt_sources(suite)
    )
    return next((found.group(1) for found in addresses if found), None)


def _uncommented(file: Path) -> str:
    return re.sub(r"^\s*#.*$", "", file.read_text(encoding="utf-8", errors="replace"), flags=re.MULTILINE)
