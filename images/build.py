"""Builds the container images, and writes them with their lists of contents to out/images.

    python -m images.build [worker] [triton] [triton-nvidia]
        [--base IMAGE] [--tag TAG] [--out DIR] [--fresh]

Needs buildah and an OCI runtime. Without --base, the base is Debian 12, made by debootstrap as root; name your own by digest.
What has not changed is not built again. An archive is a docker-archive: `podman load -i`, `docker load -i`, `ctr images import`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tarfile
import time
import tomllib
from collections.abc import Mapping
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
        if given:
            run("buildah", "pull", "--quiet", "--policy=missing", given)
        name = given or base.build(asked.fresh)
        for image in asked.images:
            _image(image, name, asked.tag, asked.out)
    except BuildError as error:
        sys.exit(f"images: {error}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"of {', '.join(NAMES)}; without any, worker and triton")
    parser.add_argument("--base", help="base image, best by digest; without it Debian 12 by debootstrap")
    parser.add_argument("--tag", default="test")
    parser.add_argument("--out", type=Path, default=ROOT / "out/images")
    parser.add_argument("--fresh", action="store_true", help="make the base anew, with today's packages")
    asked = parser.parse_args()
    asked.images = asked.images or ["worker", "triton"]
    if unknown := set(asked.images) - set(NAMES):
        parser.error(f"found no image {', '.join(sorted(unknown))}, expected some of {', '.join(NAMES)}")
    return asked


def _image(image: str, base_name: str, tag: str, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    name = f"localhost/omniguard/{NAMES[image]}:{tag}"
    archive, made_of = out / f"{image}.tar", out / f"{image}.made-of"
    facts = _facts(base_name)
    inputs = _inputs(image, facts)
    if archive.exists() and made_of.exists() and made_of.read_text(encoding="ascii") == f"{inputs} {_identifier(name)}":
        print(f"images: {archive} is up to date", flush=True)
        return
    began = time.monotonic()
    print(f"images: {name} from {base_name}; minutes where its packages have changed", flush=True)
    _build(image, name, facts)
    archive.unlink(missing_ok=True)  # a docker-archive is added to, never replaced
    run("buildah", "push", "--quiet", name, f"docker-archive:{archive}:{name}")
    _extract(archive, out / f"{image}.cdx.json")
    made_of.write_text(f"{inputs} {_identifier(name)}", encoding="ascii")
    print(f"images: {archive}, {archive.stat().st_size / 1e6:.0f} MB, after {time.monotonic() - began:.0f} s", flush=True)


def _build(image: str, name: str, facts: Mapping[str, str]) -> None:
    with secrets() as mounted:
        run(
            *("buildah", "bud", "--layers", "--isolation=oci", f"--runtime={runtime()}", "--network=host", "--format=docker"),
            *("--pull=false", f"--ignorefile={ROOT / 'images/.containerignore'}", f"--build-context=uv={uv_folder()}"),
            *mounted,
            *(f"--build-arg={key}={value}" for key, value in facts.items()),
            *(f"--file={ROOT / 'images' / f'{image}.Containerfile'}", f"--tag={name}", ROOT),
        )


def _identifier(name: str) -> str:
    return output("buildah", "images", "--quiet", "--no-trunc", name)


def _inputs(image: str, facts: Mapping[str, str]) -> str:
    """Digest of all that the image is made of, so that a build of the same is not begun."""
    tops = (ROOT / top for top in INPUTS)
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file()]
    digest = hashlib.sha256(json.dumps([image, facts, _identifier(facts["BASE"])], sort_keys=True).encode())
    for file in sorted(file for file in files if "__pycache__" not in file.parts):
        digest.update(f"\0{file.relative_to(ROOT)}\0{file.stat().st_mode:o}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _facts(base_name: str) -> dict[str, str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    named, _, digest = base_name.partition("@")
    digest = digest or output("buildah", "inspect", "--type=image", "--format={{.FromImageDigest}}", base_name)
    return {
        "BASE": base_name,
        "BASE_NAME": named,
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
