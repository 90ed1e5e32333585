"""Prometheus' own server and promtool: $PROMETHEUS and $PROMTOOL, then the PATH, then Debian's package, which is unpacked into
the cache without being installed.

Neither PyPI nor npm carries them, and Go cannot build them from the module proxy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from omniguard.devstack.cache import last_lines, once


def promtool() -> Path:
    """The executable. Fails, and says what to do, where there is none and no way to get one."""
    return _found("promtool")


def prometheus() -> Path:
    """The server; fails as `promtool` does."""
    return _found("prometheus")


def _found(program: str) -> Path:
    variable = program.upper()
    if named := os.environ.get(variable):
        assert os.access(named, os.X_OK), f"{variable} names {named}, which cannot be executed, expected Prometheus' {program}"
        return Path(named)
    if found := shutil.which(program):
        return Path(found)
    return once("prometheus-debian", _unpack, megabytes=400) / program


def _unpack(into: Path) -> None:
    """Take the two files out of the package; the package itself would start a server."""
    hint = (
        "install Prometheus (Debian, Ubuntu: apt-get install prometheus), or name its programs: PROMTOOL=/path/to/promtool "
        "PROMETHEUS=/path/to/prometheus"
    )
    assert shutil.which("apt-get"), f"found no Prometheus: {hint}"
    assert shutil.which("dpkg-deb"), f"found no Prometheus: {hint}"
    done = _download(into)
    if done.returncode and os.geteuid() == 0:  # a fresh container knows no packages yet
        subprocess.run(["apt-get", "update"], capture_output=True, check=False)
        done = _download(into)
    assert done.returncode == 0, f"found no Prometheus, and apt-get has none: {hint}\n{last_lines(done.stderr)}"
    (package,) = into.glob("prometheus_*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, into / "all"], check=True)
    for program in ("promtool", "prometheus"):
        (into / f"all/usr/bin/{program}").rename(into / program)
    shutil.rmtree(into / "all")
    package.unlink()


def _download(into: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["apt-get", "download", "prometheus"], cwd=into, capture_output=True, text=True, check=False)
