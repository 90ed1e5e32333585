"""What the images hold, and what they do not."""

from __future__ import annotations

import json
import re

import pytest

from containers import ROOT, TRITON, WORKER, Podman, sbom

BOTH = pytest.mark.parametrize("image", [WORKER, TRITON], ids=["worker", "triton"])
UID = 10001
_INSTALLED = """
import importlib.metadata as m, json
print(json.dumps(sorted([d.metadata['Name'].lower().replace('_', '-').replace('.', '-'), d.version] for d in m.distributions())))
"""
_SIZES = """
import importlib.metadata as m, os, subprocess
site = sum(os.lstat(f.locate()).st_size for d in m.distributions() for f in d.files or () if f.locate().is_file())
told = subprocess.run(['dpkg-query', '-Wf', '${Installed-Size}\\n'], capture_output=True, text=True).stdout
debian = 1024 * sum(int(n) for n in told.split())
folders = ('/opt/tritonserver', '/opt/omniguard-assets')
other = sum(os.lstat(os.path.join(p, f)).st_size for r in folders for p, _, fs in os.walk(r) for f in fs)
print(site + debian + other)
"""


def python(podman: Podman, image: str, code: str) -> str:
    return podman.run(image, "-I", "-c", code, entrypoint="python")


def components(image: str, kind: str) -> dict[str, str]:
    found = sbom(image)["components"]
    return {part["name"]: part["version"] for part in found if part.get("purl", "").startswith(f"pkg:{kind}/")}


@BOTH
def test_the_list_of_contents_is_what_is_installed(podman: Podman, image: str) -> None:
    held = podman.run(image, "/opt/omniguard/sbom.cdx.json", entrypoint="cat")
    assert json.loads(held) == sbom(image)
    installed = dict(json.loads(python(podman, image, _INSTALLED)))
    listed = {name.lower().replace("_", "-").replace(".", "-"): version for name, version in components(image, "pypi").items()}
    listed.pop("tritonserver", None)  # comes from a wheel that is not installed
    listed.setdefault("omniguard", installed["omniguard"])  # ours has no address at a registry
    assert listed == installed
    debian = podman.run(image, "-c", "dpkg-query -Wf '${Package} ${Version}\\n'", entrypoint="sh")
    assert components(image, "deb") == dict(line.split(" ") for line in debian.splitlines())


@BOTH
def test_the_list_names_ours_and_what_stands_in(image: str) -> None:
    parts = sbom(image)["components"]
    assert any(part["name"] == "omniguard" for part in parts)
    assert {part["name"].split("/")[1].split("-")[0] for part in parts if part["bom-ref"].startswith("stub:av")} == {
        "libx264",
        "libx265",
    }


def test_the_model_files_are_listed_with_their_digests(podman: Podman) -> None:
    models = {p["name"]: p["hashes"][0]["content"] for p in sbom(TRITON)["components"] if p["type"] == "machine-learning-model"}
    told = podman.run(TRITON, "-c", "cd /opt/omniguard-assets && sha256sum */*", entrypoint="sh")
    assert models == {name: digest for digest, name in (line.split() for line in told.splitlines())}
    assert len(models) >= 8


@BOTH
def test_the_packages_are_those_of_the_lock(podman: Podman, image: str) -> None:
    lock = (ROOT / f"services/locks/{'worker' if image == WORKER else 'triton-lite'}.txt").read_text()
    locked = dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", lock, re.MULTILINE))
    installed = dict(json.loads(python(podman, image, _INSTALLED)))
    assert {name: version for name, version in installed.items() if name != "omniguard"} == locked


@BOTH
def test_neither_torch_nor_tools_to_build_with(podman: Podman, image: str) -> None:
    absent = ["torch", "transformers", "vllm", "pip", "uv", "hatchling", "pytriton", "elftools"]
    absent += ["onnxruntime", "faster_whisper", "rapidocr"] if image == WORKER else ["faust", "aiokafka", "redis", "tritonclient"]
    found = python(podman, image, f"import importlib.util as u; print([n for n in {absent} if u.find_spec(n)])")
    assert found.strip() == "[]"
    programs = podman.run(
        image, "-c", "for p in cc gcc c++ ld make uv pip zig git curl wget; do command -v $p; done; :", entrypoint="sh"
    )
    assert programs == ""


@BOTH
def test_no_file_raises_rights_and_none_is_its_users(podman: Podman, image: str) -> None:
    raised = podman.run(image, "-c", "find / -xdev -perm /6000 -type f 2>/dev/null; :", entrypoint="sh")
    assert raised == ""
    own = podman.run(image, "-c", f"find / -xdev -user {UID} ! -path '/tmp*' ! -path '/proc*' 2>/dev/null; :", entrypoint="sh")
    assert own == ""


@BOTH
def test_nothing_can_be_written_but_the_mounts(podman: Podman, image: str) -> None:
    """Tried by writing, for a read-only file system shows no bits."""
    code = """
import os
for top in ('/',):
    for path, folders, _ in os.walk(top):
        folders[:] = [f for f in folders if os.path.join(path, f) not in ('/proc', '/sys')]
        try:
            with open(os.path.join(path, '.try'), 'w'): pass
        except OSError:
            continue
        print(path)
"""
    found = set(python(podman, image, code).split())
    assert found - {"/dev/mqueue"} == {"/tmp", "/dev/shm"}, found


@BOTH
def test_nothing_of_the_builders_machine_is_in_it(podman: Podman, image: str) -> None:
    left = podman.run(
        image,
        "-c",
        "ls -A /run/secrets /var/cache/uv /var/lib/apt/lists /var/cache/apt /etc/apt/sources.list /etc/apt/sources.list.d"
        " /source /locks /etc/pip.conf /etc/uv 2>/dev/null; :",
        entrypoint="sh",
    )
    folders = {"", "archives", "auxfiles", "partial"}
    assert [line for line in left.splitlines() if line not in folders and not line.endswith(":")] == []
    told = json.loads(podman("inspect", image).stdout)[0]
    words = json.dumps([told["Config"], told["History"]])
    assert not re.search(r"https?://|index-url|proxy", words, re.IGNORECASE), words


@BOTH
def test_labels_user_and_entry(podman: Podman, image: str) -> None:
    config = json.loads(podman("inspect", image).stdout)[0]["Config"]
    labels = config["Labels"]
    assert config["User"] == f"{UID}:{UID}"
    assert config["Entrypoint"] == (["omniguard"] if image == WORKER else ["omniguard-triton"])
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert labels["org.opencontainers.image.version"] == version.group(1)
    for name in ("title", "description", "revision", "base.name", "base.digest"):
        assert labels[f"org.opencontainers.image.{name}"], name
    assert labels["org.opencontainers.image.base.digest"].startswith("sha256:")


@BOTH
def test_it_is_not_much_larger_than_what_is_installed(podman: Podman, image: str) -> None:
    """No cache, no second copy of a layer: at most a tenth over the files that packages, server and models have."""
    installed = int(python(podman, image, _SIZES))
    size = int(json.loads(podman("inspect", image).stdout)[0]["Size"])
    assert size < 1.1 * installed, f"{size / 1e6:.0f} MB for {installed / 1e6:.0f} MB installed"


@BOTH
def test_what_stands_in_holds_nothing_and_what_is_needed_works(podman: Podman, image: str) -> None:
    sizes = podman.run(
        image, "-c", "cd /opt/omniguard/lib/python3.*/site-packages/av.libs && stat -c '%s %n' libx26*", entrypoint="sh"
    )
    found = {line.split()[1].split("-")[0]: int(line.split()[0]) for line in sizes.splitlines()}
    assert set(found) == {"libx264", "libx265"}
    assert max(found.values()) < 65_536
    code = """
import io, av
o = av.open(io.BytesIO(), 'w', format='mp4')
for name in ('libx264', 'libx265'):
    s = o.add_stream(name, rate=10); s.width = s.height = 64; s.pix_fmt = 'yuv420p'
    try: s.codec_context.open(); print(name)
    except av.error.FFmpegError: pass
print(all(n in av.codecs_available for n in ('h264', 'hevc', 'vp9', 'av1', 'aac', 'opus', 'mp3', 'flac')))
"""
    assert python(podman, image, code).strip() == "True"


def test_ocr_has_what_it_needs_of_opencv_and_no_old_openssl(podman: Podman) -> None:
    left = podman.run(TRITON, "-c", "ls /opt/omniguard/lib/python3.*/site-packages/opencv_python_headless.libs", entrypoint="sh")
    assert not re.search("libssl|libcrypto|libvpx|libswresample", left), left
    code = "import cv2; print(cv2.VideoCapture('/nothing.mp4').isOpened(), cv2.getVersionMajor())"
    assert python(podman, TRITON, code).split() == ["False", "4"]


def test_help(podman: Podman) -> None:
    assert "worker" in podman.run(WORKER, "--help")
    assert "Exit status" in podman.run(WORKER, "worker", "--help")
    assert "--exit-timeout" in podman.run(TRITON, "--help")
