"""Builds the container images, and writes them with their lists of contents to out/images.

    python -m images.build [worker] [triton] [triton-nvidia]
        [--base IMAGE] [--tag TAG] [--out DIR] [--fresh]

Needs buildah and an OCI runtime. Without --base, the base is Debian 12, made by debootstrap as root; name your own by digest.
What has not changed is not built again. An archive is a docker-archive: `podman load -i`, `docker load -i`, `ctr images import`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
import time
import tomllib
from pathlib import Path
from typing import IO

from images.tools import ROOT, BuildError, find, output, run, runtime, secrets, uv_folder

from images import base

SBOM = "opt/omniguard/sbom.cdx.json"
NAMES = {"worker": "worker", "triton": "triton", "triton-nvidia": "triton"}
INPUTS = ("images", "model_repository", "pyproject.toml", "README.md", "services/locks", "services/omniguard")


def main() -> None:
    """Build what was asked for."""
    asked = _arguments()
    try:
        find("buildah")
        given: str | None = asked.base
        if "triton-nvidia" in asked.images and not given:
            raise BuildError("triton-nvidia needs --base: Triton's own image with vLLM, 26.01 or newer, by digest")
        name = given or base.build(asked.fresh)
        for image in asked.images:
            _image(image, name, asked.tag, asked.out)
    except BuildError as error:
        sys.exit(f"images: {error}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", choices=[*NAMES, []], help="default: worker triton")
    parser.add_argument("--base", help="base image, best by digest; without it Debian 12 by debootstrap")
    parser.add_argument("--tag", default="test")
    parser.add_argument("--out", type=Path, default=ROOT / "out/images")
    parser.add_argument("--fresh", action="store_true", help="make the base anew, with today's packages")
    asked = parser.parse_args()
    asked.images = asked.images or ["worker", "triton"]
    return asked


def _image(image: str, base_name: str, tag: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    name = f"localhost/omniguard/{NAMES[image]}:{tag}"
    began = time.monotonic()
    print(f"images: {name} from {base_name}", flush=True)
    identifier = out / f"{image}.id"
    with secrets() as mounted:
        run(
            *("buildah", "bud", "--layers", "--isolation=oci", f"--runtime={runtime()}", "--network=host", "--format=docker"),
            *("--pull=false", f"--ignorefile={ROOT / 'images/.containerignore'}", f"--build-context=uv={uv_folder()}"),
            *mounted,
            *(f"--build-arg={key}={value}" for key, value in _facts(base_name).items()),
            *(f"--file={ROOT / 'images' / f'{image}.Containerfile'}", f"--tag={name}", ROOT),
        )
    built = output("buildah", "images", "--quiet", "--no-trunc", name)
    archive = out / f"{image}.tar"
    if not archive.exists() or not identifier.exists() or identifier.read_text(encoding="utf-8") != built:
        archive.unlink(missing_ok=True)
        run("buildah", "push", "--quiet", name, f"docker-archive:{archive}:{name}")
        _extract(archive, out / f"{image}.cdx.json")
        identifier.write_text(built, encoding="utf-8")
    print(f"images: {archive}, {archive.stat().st_size / 1e6:.0f} MB, after {time.monotonic() - began:.0f} s", flush=True)


def _facts(base_name: str) -> dict[str, str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    digest = output("buildah", "inspect", "--type=image", "--format={{.FromImageDigest}}", base_name)
    return {
        "BASE": base_name,
        "BASE_NAME": base_name.partition("@")[0],
        "BASE_DIGEST": digest,
        "VERSION": version,
        "REVISION": output("git", "log", "-1", "--format=%H", "--", *INPUTS) or "unknown",
    }


def _extract(archive: Path, to: Path) -> None:
    """The list of contents, out of the image itself."""
    with tarfile.open(archive) as image:
        manifest = json.load(_member(image, "manifest.json"))
        for layer in reversed(manifest[0]["Layers"]):
            with tarfile.open(fileobj=_member(image, layer)) as files:
                if SBOM in files.getnames():
                    to.write_bytes(_member(files, SBOM).read())
                    return
    raise BuildError(f"found no /{SBOM} in {archive}; the Containerfile should write it")


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    if found is None:
        raise BuildError(f"found no file {name} in an image's archive")
    return found


if __name__ == "__main__":
    main()
