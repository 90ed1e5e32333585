"""Lists the licence of every locked package in docs/licenses.md, and fails on one that nobody has agreed to.

    python -m locks.licences            write the page
    python -m locks.licences --check    compare it with the locks of the worker and of the lite engine

A licence is read from the metadata of the installed package: of this environment, or of .venv-engines where that is. Without the
latter the section of the torch engines stays as it is.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageMetadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/licenses.md"
LOCKS = {"worker": "The worker", "triton-lite": "Triton with the lite engine", "triton-torch": "Triton with the torch engines"}
CHECKED = ("worker", "triton-lite")
_ENGINES = ROOT / ".venv-engines/lib/python3.11/site-packages"

ALLOWED = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "ISC", "LLVM-exception", "MIT",
        "MIT-0", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Unlicense",
        "LicenseRef-Repoze-BSD",
    }
)  # fmt: skip
"""SPDX names that any package may have."""

AGREED = {
    "pycountry": ("LGPL-2.1-only", "of vllm; Python source that is installed beside ours, unchanged"),
    "soxr": ("LGPL-2.1-or-later", "resamples sound for Qwen2.5-Omni; a shared library of its own, unchanged"),
    "intel-openmp": ("LicenseRef-Intel-EULA", "run time of torch on a CPU; may be redistributed unchanged"),
    "intel-cmplr-lib-ur": ("LicenseRef-Intel-EULA", "run time of torch on a CPU; may be redistributed unchanged"),
    "cuda-toolkit": ("LicenseRef-NVIDIA-Proprietary", "an empty package that names the CUDA libraries below"),
    **dict.fromkeys(
        (
            "nvidia-cublas", "nvidia-cuda-cupti", "nvidia-cuda-nvrtc", "nvidia-cuda-runtime", "nvidia-cudnn-cu13", "nvidia-cufft",
            "nvidia-cufile", "nvidia-curand", "nvidia-cusolver", "nvidia-cusparse", "nvidia-cusparselt-cu13", "nvidia-nccl-cu13",
            "nvidia-nvjitlink", "nvidia-nvshmem-cu13", "nvidia-nvtx",
        ),
        ("LicenseRef-NVIDIA-Proprietary", "of torch, for NVIDIA hardware; its EULA allows to run it and to redistribute it"),
    ),
}  # fmt: skip
"""Licences outside `ALLOWED` that were agreed to for one package, and why."""

KNOWN = {
    "httpcore2": "BSD-3-Clause",
    "httpx2": "BSD-3-Clause",
    "oss-harmony": "Apache-2.0",
    "setuptools": "MIT",
    "truststore": "MIT",
}
"""Licences of packages whose metadata name none, or that no environment of a checkout holds."""

BUNDLED = {
    "av": "its wheel carries FFmpeg (LGPL-3.0-or-later), and with it x264 and x265 (GPL-2.0-or-later), GnuTLS, LAME and others "
    "as shared libraries; our images hold empty stand-ins for x264 and x265 (docs/images.md), and the rest with its terms",
    "numpy": "its wheel carries OpenBLAS (BSD-3-Clause) and libgfortran (GPL-3.0 with the GCC exception)",
    "opencv-python-headless": "its wheel carries FFmpeg (LGPL-2.1-or-later), OpenSSL 1.1; not in our images (docs/images.md)",
    "pillow": "its wheel carries libjpeg-turbo, libtiff, libwebp, dav1d and others under permissive licences",
    "soundfile": "its wheel carries libsndfile (LGPL-2.1-or-later)",
}
"""What wheels hold that their metadata do not say."""

_SPELLINGS = (
    (r"apache( software)?( license)?[, ]*(version )?2?(\.0)?( license)?", "Apache-2.0"),
    (r"(the )?mit( license)?", "MIT"),
    (r"(3-clause bsd|bsd[- ]3-clause)( license)?|bsd( license)?", "BSD-3-Clause"),
    (r"isc license( \(iscl\))?", "ISC"),
    (r"mozilla public license 2\.0 \(mpl 2\.0\)", "MPL-2.0"),
    (r"python software foundation license", "PSF-2.0"),
    (r"the unlicense \(unlicense\)", "Unlicense"),
    (r"repoze public license|bsd-derived .*repoze.*", "LicenseRef-Repoze-BSD"),
)
_WORDS = re.compile(r"[A-Za-z0-9.+-]+")


class NotAgreed(Exception):
    """A package has a licence that is not in `ALLOWED`, or none that can be read."""


def licence(name: str, found: PackageMetadata | None) -> str:
    """The SPDX expression of a package.

    Raises:
        NotAgreed: it is not allowed, or unknown.

    """
    if name in AGREED:
        return AGREED[name][0]
    said = _said(found) if found is not None else None
    expression = said or KNOWN.get(name)
    if expression is None:
        raise NotAgreed(f"{name}: found no licence in its metadata, expected one: read its files and name it in KNOWN")
    wrong = [word for word in _WORDS.findall(expression) if word not in ALLOWED and word not in ("AND", "OR", "WITH")]
    if wrong:
        raise NotAgreed(
            f"{name}: found {expression}, expected licences of ALLOWED: replace it, or add it to AGREED with a reason"
        )
    return expression


def _said(found: PackageMetadata) -> str | None:
    if expression := found.get_all("License-Expression"):
        return str(expression[0])
    classified = [c.rpartition(" :: ")[2] for c in found.get_all("Classifier") or [] if c.startswith("License ::")]
    stated = "".join(found.get_all("License") or []).strip()
    short = [stated] if 0 < len(stated) < 60 and stated != "UNKNOWN" else []
    texts = [*short, *(c for c in classified if c != "OSI Approved"), *stated.splitlines()[:1]]
    return _spdx(texts[0]) if texts else None


def _spdx(text: str) -> str:
    for pattern, name in _SPELLINGS:
        if re.fullmatch(pattern, text, re.IGNORECASE):
            return name
    return text


def locked(lock: str) -> Iterator[tuple[str, str]]:
    """Name and version of every package of a lock file."""
    for line in (ROOT / f"services/locks/{lock}.txt").read_text().splitlines():
        if match := re.match(r"([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", line):
            yield match[1], match[2]


def metadata(name: str) -> PackageMetadata | None:
    """Of a package that is installed here or among the engines."""
    for path in (*sys.path, str(_ENGINES)):
        for distribution in importlib.metadata.distributions(name=name, path=[path]):
            return distribution.metadata
    return None


def section(lock: str) -> str:
    """The part of the page on one lock.

    Raises:
        NotAgreed: every licence that nobody has agreed to, one a line.

    """
    rows, wrong = [], []
    for name, version in locked(lock):
        try:
            note = AGREED[name][1] if name in AGREED else BUNDLED.get(name, "")
            rows.append(f"| {name} | {version} | {licence(name, metadata(name))} | {note} |")
        except NotAgreed as error:
            wrong.append(str(error))
    if wrong:
        raise NotAgreed("\n".join(wrong))
    head = (f"## {LOCKS[lock]}", "", f"`services/locks/{lock}.txt`, {len(rows)} packages.", "")
    return "\n".join((*head, "| package | version | licence | note |", "|---|---|---|---|", *rows, ""))


HEAD = """# Licences

Of every package that an image of OmniGuard holds, by its metadata. Written by `make licences`; `make check` fails where a lock
has changed since, and where a package comes with a licence that is neither on the list of `services/locks/licences.py` nor agreed
to there with a reason. What wheels hold beside their own code is in the notes, as far as it is known. The
image of Triton for CPUs holds the server out of nvidia-pytriton as well: [images.md](images.md). Kafka, Valkey and Java, which
`omniguard dev` starts, are for a developer's machine and in no image of ours.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, *(section(lock) for lock in CHECKED)]
    old = PAGE.read_text() if PAGE.exists() else ""
    torch = f"## {LOCKS['triton-torch']}"
    if _ENGINES.exists():
        parts.append(section("triton-torch"))
    elif torch in old:
        parts.append(old[old.index(torch) :])
    return "\n".join(parts)


def current() -> bool:
    """True if the page's sections on the locks that are checked are as the locks have it."""
    text = PAGE.read_text() if PAGE.exists() else ""
    return all(section(lock) in text for lock in CHECKED)


def main() -> int:
    """Write or check; 1 where something must be done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    try:
        if parser.parse_args().check:
            if current():
                return 0
            print("docs/licenses.md differs from the locks: run `make licences`", file=sys.stderr)
            return 1
        PAGE.write_text(page())
        print(f"written: {PAGE.relative_to(ROOT)}")
    except NotAgreed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
