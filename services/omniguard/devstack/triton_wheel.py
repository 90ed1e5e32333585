"""Finds a Triton server, and makes the one inside the wheel `nvidia-pytriton` runnable.

The wheel lays its files out for its own launcher. A folder in the cache has copies of them as Triton expects a backend:
library, helper module and the stub of one Python version side by side.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from omniguard.devstack.cache import last_lines, once
from omniguard.devstack.errors import MissingPrerequisite

_INSTALLED = Path("/opt/tritonserver/bin/tritonserver")
_OLDEST_GLIBC = (2, 35)
_ASK = """
import importlib.metadata as m, json, sys, sysconfig
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return ""
libdir = sysconfig.get_config_var("LIBDIR") or ""
print(json.dumps({"minor": "%d.%d" % sys.version_info[:2], "libdir": libdir, "numpy": version("numpy")}))
"""
_OWN = "or set TRITONSERVER to an installed tritonserver, or use your own by --triton HOST:PORT"


@dataclass(frozen=True, slots=True)
class Server:
    """An executable server. `backends` is None where the server knows its own folder."""

    binary: Path
    backends: Path | None
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Environment:
    minor: str
    libdir: str
    numpy: str


def find_server(python: Path) -> Server:
    """$TRITONSERVER, then the usual place of NVIDIA's image, then the wheel, for models that run in `python`'s environment.

    Raises MissingPrerequisite when there is none, or when this machine or that environment cannot run it.
    """
    path = {"PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}  # the stub takes the first python3 there
    if named := os.environ.get("TRITONSERVER"):
        if not os.access(named, os.X_OK):
            raise MissingPrerequisite(f"TRITONSERVER names {named}, which cannot be executed", "set it to a tritonserver binary")
        return Server(Path(named), None, path)
    if _INSTALLED.exists():
        return Server(_INSTALLED, None, path)
    return _from_wheel(python, path)


def _from_wheel(python: Path, path: Mapping[str, str]) -> Server:
    _check_machine()
    found = importlib.util.find_spec("pytriton")  # found, never imported: importing it starts to look for servers
    if found is None or found.origin is None:
        raise MissingPrerequisite("no Triton server was found", f"pip install 'omniguard[dev]' brings one, {_OWN}")
    package = Path(found.origin).parent
    environment = _ask(python)
    _check_numpy(environment, python)
    stub = package / "tritonserver" / "python_backend_stubs" / environment.minor / "triton_python_backend_stub"
    if not stub.exists():
        raise MissingPrerequisite(
            f"Triton's wheel has no stub for Python {environment.minor} ({python})", f"use Python 3.11, {_OWN}"
        )
    libraries = f"{environment.libdir}{os.pathsep}{package.parent / 'nvidia_pytriton.libs'}"
    _check_libraries(stub, libraries)
    digest = hashlib.sha256(stub.read_bytes()).hexdigest()
    backends = once(f"triton-backends-{digest[:12]}", lambda into: _arrange(package, stub, into), megabytes=5)
    return Server(package / "tritonserver" / "bin" / "tritonserver", backends, {**path, "LD_LIBRARY_PATH": libraries})


def _arrange(package: Path, stub: Path, into: Path) -> None:
    """Copies, as the cache must not point into an environment that may be deleted. 3 MB."""
    backend = into / "python"
    shutil.copytree(package / "tritonserver" / "backends" / "python", backend)
    shutil.copy2(stub, backend)


def _check_machine() -> None:
    library, version = platform.libc_ver()
    numbers = tuple(int(number) for number in version.split(".")[:2]) if library == "glibc" else ()
    if platform.machine() != "x86_64" or numbers < _OLDEST_GLIBC:
        raise MissingPrerequisite(
            "Triton's wheel needs Linux on x86-64 with glibc 2.35 or newer; "
            f"this is {platform.machine()} with {library or 'no glibc'} {version}",
            f"use Debian 12, Ubuntu 22.04 or newer, {_OWN}",
        )


@functools.cache
def _ask(python: Path) -> _Environment:
    done = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise MissingPrerequisite(f"{python} does not run:\n{last_lines(done.stderr)}", "name a Python interpreter by --python")
    return _Environment(**json.loads(done.stdout))


def _check_numpy(environment: _Environment, python: Path) -> None:
    if not environment.numpy.startswith("1."):
        raise MissingPrerequisite(
            f"the model's environment ({python}) has numpy {environment.numpy or 'not installed'}; "
            "Triton 2.51 reads numpy 2 arrays wrongly without an error",
            f"{python} -m pip install 'numpy<2'",
        )


@functools.cache
def _check_libraries(stub: Path, libraries: str) -> None:
    ldd = shutil.which("ldd")
    if ldd is None:
        return  # the server's own message will have to do
    said = subprocess.run(  # noqa: S603
        [ldd, stub], capture_output=True, text=True, check=False, env={**os.environ, "LD_LIBRARY_PATH": libraries}
    ).stdout
    missing = [line.split()[0] for line in said.splitlines() if "not found" in line]
    if missing:
        raise MissingPrerequisite(
            f"Triton's Python stub lacks {', '.join(missing)} (looked in {libraries})",
            "apt-get install libpython3.11, or use a Python built with --enable-shared",
        )
