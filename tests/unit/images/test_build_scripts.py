"""The parts of the image build that need no builder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from images.absent import absent
from images.base import build
from images.slim import slim
from images.tools import BuildError

from images import tools


def test_slim_leaves_code_metadata_and_our_own_package(tmp_path: Path) -> None:
    kept = ["a/__init__.py", "a/testing/x.py", "a-1.dist-info/licenses/LICENSE", "omniguard/tests/x.py", "a/lib.so", "single.pyi"]
    gone = ["a/tests/x.py", "a/b/test/x.py", "a/core/include/x.h", "a/x.pyx", "a/x.pyi"]
    for name in [*kept, *gone]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1234")
    assert slim(tmp_path) == 4 * len(gone)
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()) == sorted(kept)


def test_of_a_lock_only_what_is_not_installed_is_left() -> None:
    lock = "orjson==1 \\\n    --hash=sha256:aa\nno-such-package==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
    assert list(absent(lock)) == ["no-such-package==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc"]


def test_uvs_settings_are_the_users_or_made_of_pips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_CONFIG_FILE", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.test/simple")
    with tools.secrets() as mounted:
        settings, certificates = (Path(word.partition("src=")[2]) for word in mounted)
        assert settings.read_text() == '[[index]]\nurl = "https://index.test/simple"\ndefault = true\n'
        assert b"BEGIN CERTIFICATE" in certificates.read_bytes()
    assert not settings.exists()
    (tmp_path / "uv.toml").write_text("native-tls = true\n")
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    with tools.secrets() as mounted:
        assert Path(mounted[0].partition("src=")[2]).read_text() == "native-tls = true\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "debian.sources",
            "Types: deb\n# URIs: http://old.test\nURIs: http://mirror.test/debian\nSuites: bookworm bookworm-updates\n",
        ),
        ("debian.list", "# deb http://old.test bookworm main\ndeb [signed-by=/k] http://mirror.test/debian bookworm main\n"),
    ],
)
def test_the_mirror_is_that_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str) -> None:
    monkeypatch.setattr(tools, "_APT", tmp_path)
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / name).write_text(told)
    (tmp_path / "sources.list.d" / "another.list").write_text("deb http://another.test nodistro main\n")
    assert tools.apt_mirror("bookworm") == "http://mirror.test/debian"
    assert [file.name for file in tools.apt_sources("bookworm")] == [name]
    assert tools.apt_mirror("trixie") is None


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BuildError, match="found no buildah on the PATH: install the package buildah"):
        tools.find("buildah")
    monkeypatch.setattr("images.base.output", lambda *_: "")
    with pytest.raises(BuildError, match=r"found no debootstrap on the PATH: .* BASE=IMAGE@sha256"):
        build(fresh=False)


def test_a_failed_step_ends_the_build() -> None:
    with pytest.raises(BuildError, match="ended with status 3; its output above says why"):
        tools.run(sys.executable, "-c", "raise SystemExit(3)")


def test_nvidias_image_is_built_on_a_base_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "buildah").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "buildah").chmod(0o755)
    command = [sys.executable, "-m", "images.build", "triton-nvidia", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=tools.ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "triton-nvidia needs --base: Triton's own image with vLLM" in done.stderr


def test_the_list_of_an_image_holds_debians_packages_pythons_and_others(tmp_path: Path) -> None:
    extra = tmp_path / "extra.json"
    extra.write_text(json.dumps([{"type": "file", "bom-ref": "x", "name": "x"}]))
    tool = tmp_path / "bin/cyclonedx-py"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\necho \'{"bomFormat": "CycloneDX", "components": [{"name": "a", "version": "1"}]}\'\n')
    dpkg = tmp_path / "bin/dpkg-query"
    dpkg.write_text("#!/bin/sh\nprintf 'ii \\tlibc6\\t1:2.36-9\\tamd64\\tglibc\\nrc \\tgone\\t1\\tamd64\\tgone\\n'\n")
    (tmp_path / "bin/python").symlink_to(sys.executable)
    for program in (tool, dpkg):
        program.chmod(0o755)
    out = tmp_path / "out.json"
    subprocess.run(
        [tmp_path / "bin/python", tools.ROOT / "images/sbom.py", "--name=n", "--python=p", f"--extra={extra}", f"--out={out}"],
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
        check=True,
    )
    parts = {part["name"]: part for part in json.loads(out.read_text())["components"]}
    assert set(parts) == {"a", "libc6", "x"}  # not the package that was removed
    assert parts["libc6"]["purl"].startswith("pkg:deb/debian/libc6@1%3A2.36-9?arch=amd64")
