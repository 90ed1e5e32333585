"""Prometheus' own promtool: $PROMTOOL, then the PATH, then Debian's package, unpacked into the cache without being installed.

Neither PyPI nor npm carries it, and Go cannot build it from the module proxy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from omniguard.devstack.cache import last_lines, once

HINT = "install Prometheus (Debian, Ubuntu: apt-get install prometheus), or name its promtool: PROMTOOL=/path/to/promtool"


def promtool() -> Path:
    """The executable. Fails, and says what to do, where there is none and no way to get one."""
    if named := os.environ.get("PROMTOOL"):
        assert os.access(named, os.X_OK), f"PROMTOOL names {named}, which cannot be executed, expected Prometheus' promtool"
        return Path(named)
    if found := shutil.which("promtool"):
        return Path(found)
    return once("promtool-debian", _unpack, megabytes=250) / "promtool"


def _unpack(into: Path) -> None:
    """Take the one file out of the package; the package itself would start a server."""
    assert shutil.which("apt-get"), f"found no promtool: {HINT}"
    assert shutil.which("dpkg-deb"), f"found no promtool: {HINT}"
    done = _download(into)
    if done.returncode and os.geteuid() == 0:  # a fresh container knows no packages yet
        subprocess.run(["apt-get", "update"], capture_output=True, check=False)
        done = _download(into)
    assert done.returncode == 0, f"found no promtool, and apt-get has none: {HINT}\n{last_lines(done.stderr)}"
    (package,) = into.glob("prometheus_*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, into / "all"], check=True)
    (into / "all/usr/bin/promtool").rename(into / "promtool")
    shutil.rmtree(into / "all")
    package.unlink()


def _download(into: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["apt-get", "download", "prometheus"], cwd=into, capture_output=True, text=True, check=False)
