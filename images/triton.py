"""Lays the server of the wheel `nvidia-pytriton` out as NVIDIA's image has it, with the files that a Python model needs.

    triton.py WHEEL SERVER PARTS.json

WHEEL is the unpacked wheel, SERVER the folder to fill (/opt/tritonserver), PARTS.json gets the list for the image's SBOM.
Libraries that neither the server nor its Python backend links stay out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def main(wheel: Path, server: Path, parts: Path) -> None:
    """Copy what is needed, and check that nothing is missing."""
    found = wheel / "pytriton/tritonserver"
    backend = server / "backends/python"
    backend.mkdir(parents=True)
    (server / "lib").mkdir()
    (server / "bin").mkdir()
    shutil.copy2(found / "bin/tritonserver", server / "bin")
    shutil.copytree(found / "backends/python", backend, dirs_exist_ok=True)
    shutil.copy2(found / f"python_backend_stubs/{PYTHON}/triton_python_backend_stub", backend)
    libraries = wheel / "nvidia_pytriton.libs"
    binaries = [server / "bin/tritonserver", backend / "libtriton_python.so", backend / "triton_python_backend_stub"]
    for library in sorted(set().union(*(_linked(binary, libraries) for binary in binaries))):
        shutil.copy2(libraries / library, server / "lib")
    for licence in wheel.glob("nvidia_pytriton-*.dist-info"):
        shutil.copytree(licence, server / "licences" / licence.name, ignore=shutil.ignore_patterns("RECORD", "INSTALLER"))
    parts.write_text(json.dumps([_component(wheel)]), encoding="utf-8")


def _linked(binary: Path, libraries: Path) -> set[str]:
    """Names of the wheel's libraries that `binary` needs, straight or by others."""
    told = subprocess.run(  # noqa: S603
        ["ldd", binary],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
    ).stdout
    if missing := [line.strip() for line in told.splitlines() if "not found" in line]:
        raise SystemExit(f"triton: {binary.name} lacks {', '.join(missing)}; the base needs libpython{PYTHON}")
    own = {Path(line.split("=>")[1].split()[0]) for line in told.splitlines() if "=>" in line}
    return {path.name for path in own if path.parent.resolve() == libraries.resolve()}


def _component(wheel: Path) -> dict[str, object]:
    version = next(wheel.glob("nvidia_pytriton-*.dist-info")).name.removeprefix("nvidia_pytriton-").removesuffix(".dist-info")
    return {
        "type": "application",
        "bom-ref": "tritonserver",
        "name": "tritonserver",
        "version": "2.51.0",
        "licenses": [{"license": {"id": "BSD-3-Clause"}}],
        "purl": f"pkg:pypi/nvidia-pytriton@{version}",
        "description": "the server inside the wheel nvidia-pytriton, laid out in /opt/tritonserver",
    }


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:4]))
