"""The base image of machines that have none: Debian 12 with Python 3.11, by debootstrap from the machine's own mirror."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from images.tools import BuildError, apt_mirror, apt_sources, find, output, run, runtime

NAME = "localhost/omniguard/base:bookworm"
SUITE = "bookworm"
# The interpreter, and its shared library, which Triton's Python stub links.
PACKAGES = "ca-certificates,libpython3.11,netbase,python3.11,tzdata"
# What debootstrap copies from the machine: its name, its resolver, and the address of its mirror.
COPIED = ("etc/apt/sources.list", "etc/hostname", "etc/resolv.conf")
# Licences (usr/share/doc/*/copyright) stay: whoever passes an image on passes these on.
UNUSED = (
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
    "var/log",
)


def build(fresh: bool) -> str:
    """Name of the base image in local storage; made where it is not there yet, or where `fresh` asks for the newest packages.

    Raises:
        BuildError: debootstrap or root's rights are missing, or a step failed.

    """
    if not fresh and output("buildah", "images", "--quiet", NAME):
        return NAME
    program = find("debootstrap")
    if os.geteuid() != 0:
        raise BuildError("debootstrap needs root: run as root, or name a base image of your own: BASE=IMAGE@sha256:...")
    with tempfile.TemporaryDirectory(prefix="omniguard-base-") as folder:
        root = Path(folder) / "root"
        print(f"images: Debian {SUITE} by debootstrap, about a minute", flush=True)
        run(program, "--variant=minbase", f"--include={PACKAGES}", SUITE, root, *filter(None, [apt_mirror(SUITE)]))
        container = output("buildah", "from", "scratch")
        try:
            _fill(container, root, Path(folder))
            run("buildah", "commit", "--quiet", container, NAME)
        finally:
            run("buildah", "rm", container)
    return NAME


def _fill(container: str, root: Path, scratch: Path) -> None:
    lists = scratch / "lists"
    lists.mkdir()
    for file in apt_sources(SUITE):
        shutil.copy2(file, lists)
    for name in COPIED:
        (root / name).unlink(missing_ok=True)
    run("buildah", "add", "--quiet", container, root, "/")
    keys = Path("/usr/share/keyrings")
    mounts = [f"--volume={lists}:/etc/apt/sources.list.d:ro", *([f"--volume={keys}:{keys}:ro"] if keys.is_dir() else [])]
    script = (
        "export DEBIAN_FRONTEND=noninteractive && apt-get -qq update && apt-get -qq -y upgrade && apt-get clean && "
        "find /usr/share/doc -type f ! -name copyright -delete && find /usr/share/doc -type l ! -name copyright -delete && "
        + " && ".join(f"find /{path} -type f -delete" for path in UNUSED)
    )
    step = ["buildah", "run", "--isolation=oci", f"--runtime={runtime()}", "--network=host", *mounts, container, "--"]
    run(*step, "sh", "-c", script)
