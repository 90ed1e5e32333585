"""Writes what an image holds as CycloneDX JSON: Debian's packages, Python's, and files that no package manager knows.

    sbom.py --name NAME --python PYTHON [--extra FILE.json]... --out FILE

Runs inside the build, on the very files that the image gets: `dpkg-query` for the system, `cyclonedx-py` for the environment of
PYTHON. An extra file is a JSON list of CycloneDX components.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

Component = dict[str, Any]
_DPKG = "${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\n"


def main() -> None:
    """Write the file, and print how much is in it."""
    arguments = _arguments()
    bom = _environment(arguments.python, arguments.name)
    system = _system()
    extra = [component for file in arguments.extra for component in json.loads(file.read_text(encoding="utf-8"))]
    python = len(bom["components"])
    bom["components"] += system + extra
    arguments.out.write_text(json.dumps(bom, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"sbom: {len(system)} Debian packages, {python} Python packages, {len(extra)} others")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--python", required=True, type=Path)
    parser.add_argument("--extra", action="append", default=[], type=Path)
    parser.add_argument("--out", required=True, type=Path)
    return parser.parse_args()


def _environment(python: Path, name: str) -> dict[str, Any]:
    """The environment of `python` by cyclonedx-py, which checks its output against CycloneDX' schema."""
    tool = Path(sys.executable).with_name("cyclonedx-py")
    done = subprocess.run(  # noqa: S603
        [tool, "environment", "--spec-version", "1.6", "--output-format", "JSON", "--output-reproducible", python],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"sbom: cyclonedx-py ended with {done.returncode}:\n{done.stderr}")
    bom: dict[str, Any] = json.loads(done.stdout)
    bom.setdefault("components", [])
    bom.setdefault("metadata", {})["component"] = {"type": "container", "bom-ref": name, "name": name}
    return bom


def _system() -> list[Component]:
    """Debian's packages; none where the base has no dpkg, which is said aloud."""
    if shutil.which("dpkg-query") is None:
        print("sbom: the base has no dpkg; its packages are not listed", file=sys.stderr)
        return []
    told = subprocess.run(  # noqa: S603
        ["dpkg-query", "--show", f"--showformat={_DPKG}"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    distribution = platform.freedesktop_os_release()
    system, release = distribution["ID"], distribution.get("VERSION_ID", "")
    rows = [line.split("\t") for line in told.stdout.splitlines()]
    return [
        {
            "type": "library",
            "bom-ref": f"deb:{name}:{architecture}",
            "name": name,
            "version": version,
            "purl": f"pkg:deb/{system}/{name}@{version.replace(':', '%3A')}?arch={architecture}&distro={system}-{release}",
            "properties": [{"name": "dpkg:source", "value": source}],
        }
        for status, name, version, architecture, source in rows
        if status.startswith("ii")
    ]


if __name__ == "__main__":
    main()
