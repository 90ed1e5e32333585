"""Runs the built images by podman, under the chart's own security context and limits."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
OUT = ROOT / "out/images"
WORKER, TRITON = "localhost/omniguard/worker:test", "localhost/omniguard/triton:test"
VALUES: dict[str, Any] = YAML(typ="safe").load(ROOT / "helm/omniguard/values.yaml")
PIDS = 512
"""What a kubelet's podPidsLimit might be; the chart has none of its own."""


@dataclass(frozen=True, slots=True)
class Mounts:
    """What a container may write: path to options of a tmpfs, as the chart's emptyDirs; and what it may read from here."""

    written: dict[str, str]
    read: dict[Path, str]


def security() -> list[str]:
    """The chart's security contexts in podman's words. Fails on a field that it has no word for."""
    pod, container = dict(VALUES["podSecurityContext"]), dict(VALUES["securityContext"])
    assert pod.pop("runAsNonRoot") is True
    assert pod.pop("seccompProfile") == {"type": "RuntimeDefault"}  # podman's own default
    assert container.pop("allowPrivilegeEscalation") is False
    assert container.pop("readOnlyRootFilesystem") is True
    assert container.pop("capabilities") == {"drop": ["ALL"]}
    user, group = pod.pop("runAsUser"), pod.pop("runAsGroup")
    assert (pod.pop("fsGroup"), pod.pop("fsGroupChangePolicy")) == (group, "OnRootMismatch")
    assert (pod, container) == ({}, {}), "a new field of the chart's security context: say here what it is in podman"
    restricted = ["--read-only", "--read-only-tmpfs=false", "--cap-drop=all", "--security-opt=no-new-privileges"]
    return [*restricted, f"--user={user}:{group}", f"--pids-limit={PIDS}", "--network=host"]


class Podman:
    """podman as this machine can run it."""

    def __init__(self, folder: Path) -> None:
        path = shutil.which("podman")
        assert path, "found no podman on the PATH: install the package podman"
        self._path = path
        runtime = "crun" if shutil.which("crun") else "runc"
        _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Limits that this very process may set: a container asks for more by default.
        limits = f'"nofile={min(files, 4096)}:{min(files, 4096)}", "nproc=4096:4096"'
        config = folder / "containers.conf"
        engine = f'[engine]\nruntime = "{runtime}"\nevents_logger = "file"\n'
        engine += "" if Path("/run/systemd/system").is_dir() else 'cgroup_manager = "cgroupfs"\n'
        config.write_text(f"{engine}[containers]\ndefault_ulimits = [{limits}]\n")
        self._env = {**os.environ, "CONTAINERS_CONF": str(config)}

    def __call__(self, *words: str, timeout: float = 120, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([self._path, *words], env=self._env, capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, f"podman {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def load(self, image: str) -> None:
        """Bring the image from its archive, unless local storage has that very one."""
        archive = OUT / f"{image.split('/')[-1].partition(':')[0]}.tar"
        assert archive.exists(), f"found no {archive}: make images"
        built = archive.with_suffix(".made-of").read_text().split(":")[-1]
        if self("image", "inspect", "--format={{.Id}}", image, check=False).stdout.strip() != built:
            self("load", "--quiet", "--input", str(archive), timeout=600)

    def run(
        self, image: str, *words: str, entrypoint: str | None = None, mounts: Mounts | None = None, check: bool = True
    ) -> str:
        """Run to the end; standard output."""
        chosen = [f"--entrypoint={entrypoint}"] if entrypoint else []
        done = self("run", "--rm", *security(), "--memory=1g", *_mounted(mounts or plain()), *chosen, image, *words, check=check)
        return done.stdout

    @contextmanager
    def started(
        self, image: str, *words: str, memory: str, mounts: Mounts, env: dict[str, str] | None = None, options: Sequence[str] = ()
    ) -> Iterator[Container]:
        """A container that runs until it is stopped; it is removed at the end."""
        name = f"omniguard-test-{uuid.uuid4().hex[:10]}"
        given = [f"--env={key}={value}" for key, value in (env or {}).items()]
        limits = [f"--memory={memory.removesuffix('i').lower()}", *options]
        self("run", "--detach", f"--name={name}", *security(), *limits, *_mounted(mounts), *given, image, *words)
        try:
            yield Container(self, name)
        finally:
            self("rm", "--force", "--time=0", name)


@dataclass(frozen=True, slots=True)
class Container:
    """One that was started."""

    podman: Podman
    name: str

    def logs(self) -> str:
        done = self.podman("logs", self.name)
        return done.stdout + done.stderr

    def running(self) -> bool:
        return self.podman("inspect", "--format={{.State.Running}}", self.name).stdout.strip() == "true"

    def stop(self, grace: int) -> tuple[int, float]:
        """SIGTERM, and SIGKILL after `grace` seconds; exit status and seconds it took."""
        began = time.monotonic()
        self.podman("stop", f"--time={grace}", self.name, timeout=grace + 60)
        return int(self.podman("inspect", "--format={{.State.ExitCode}}", self.name).stdout), time.monotonic() - began

    def wait_for(self, true: Callable[[], bool], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert self.running(), f"the container ended before {what}:\n{self.logs()[-4000:]}"
            assert time.monotonic() < end, f"{what}: not within {seconds} s\n{self.logs()[-4000:]}"
            time.sleep(0.2)


def plain() -> Mounts:
    """/tmp alone."""
    return Mounts({"/tmp": "mode=1777,size=64m"}, {})


def _mounted(mounts: Mounts) -> list[str]:
    written = [f"--tmpfs={path}:{options}" for path, options in mounts.written.items()]
    return [*written, *(f"--volume={path}:{where}:ro" for path, where in mounts.read.items())]


def answers(url: str) -> bool:
    """Whether a GET is answered by 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def text(url: str) -> str:
    """The body of a GET."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


def sbom(image: str) -> dict[str, Any]:
    """The list of contents beside the archive."""
    file = OUT / f"{image.split('/')[-1].partition(':')[0]}.cdx.json"
    found: dict[str, Any] = json.loads(file.read_text())
    return found
