"""Puts the lite engine's model files into a folder, as OMNIGUARD_ASSETS expects them.

    models.py FOLDER PARTS.json

Fetched through uv or pip, each file compared with its pinned sha256; PARTS.json gets the list for the image's SBOM.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from omniguard.guard import assets

# Whisper tiny.en is for machines of developers: the model repository of the image names `base`.
USED = (assets.MINILM, assets.OPEN_NSFW, assets.SILERO_VAD, assets.WHISPER_BASE)


def main(folder: Path, parts: Path) -> None:
    """Fetch and copy."""
    components = []
    for asset in USED:
        found = assets.path(asset)
        source = found.parent if found.is_file() else found
        shutil.copytree(source, folder / asset.name)
        components += [_component(asset, file) for file in asset.sha256]
    parts.write_text(json.dumps(components), encoding="utf-8")


def _component(asset: assets.Asset, file: str) -> dict[str, object]:
    wheels = sorted({f"{member.wheel.package}@{member.wheel.version}" for member in asset.members if member.file == file})
    return {
        "type": "machine-learning-model",
        "bom-ref": f"asset:{asset.name}/{file}",
        "name": f"{asset.name}/{file}",
        "version": wheels[0].partition("@")[2],
        "hashes": [{"alg": "SHA-256", "content": asset.sha256[file]}],
        "licenses": [{"expression": asset.licence}],
        "properties": [{"name": "omniguard:wheel", "value": wheel} for wheel in wheels],
    }


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:3]))
