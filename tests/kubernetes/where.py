"""Which cluster the suite runs on, and what it brings there before the first test.

- OMNIGUARD_LOAD_IMAGE set: the cluster that KUBECONFIG names. The variable is a command that takes an image archive as its last
  argument (`kind load image-archive`; `true` where the nodes have the images already), OMNIGUARD_TEST_HOST the address of this
  machine at which pods reach the Kafka and the Valkey that the suite starts. Pods are killed and a node is drained there: name no
  cluster that anybody else uses.
- else a cluster of two nodes that `kt` makes in a temporary folder and ends: $KT, the `kt` on the PATH, or ../shared/kubetest/kt
  beside this checkout.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from omniguard.errors import OmniGuardError

ROOT = Path(__file__).parents[2]
IMAGES = ("worker", "triton")
_NODES = "2"
_KT_HOST = "10.250.0.2"
_BUSY = "another run has the one cluster that kt makes on this machine; waiting for it"


class NoCluster(OmniGuardError):
    """There is nothing to run on; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Where:
    """A cluster. `inside` comes before a command that must reach pods and services by their addresses."""

    kubeconfig: str
    host: str
    load: tuple[str, ...]
    inside: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def bring(self, archive: Path) -> None:
        """Load an image archive on every node."""
        done = subprocess.run(
            [*self.load, str(archive)],
            capture_output=True,
            text=True,
            env={**os.environ, "KUBECONFIG": self.kubeconfig},
            check=False,
        )
        if done.returncode:
            raise NoCluster(f"{shlex.join(self.load)} {archive}: exit code {done.returncode}\n{done.stdout}{done.stderr}")


@contextmanager
def cluster(*, keep: bool) -> Iterator[Where]:
    """The cluster, for as long as the context lasts; `keep` leaves one of kt's up and says where it is.

    Raises:
        NoCluster: none is named and there is no kt, a variable is missing, or it did not come up.

    """
    if command := os.environ.get("OMNIGUARD_LOAD_IMAGE"):
        yield _named(command)
        return
    kt = _kt()
    folder = Path(tempfile.gettempdir()) / f"omniguard-kt-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = FileLock(folder / "lock")
    if not _free(lock):
        say(_BUSY)
    with lock:
        yield from _made(kt, folder / "state", keep=keep)


def archives() -> list[Path]:
    """The images' archives, as `make images` leaves them.

    Raises:
        NoCluster: one is not there.

    """
    found = [ROOT / "out" / "images" / f"{name}.tar" for name in IMAGES]
    missing = [str(path.relative_to(ROOT)) for path in found if not path.exists()]
    if missing:
        raise NoCluster(f"found no {' and no '.join(missing)}, expected the images: run `make images` first")
    return found


def say(text: str) -> None:
    """A line for who waits."""
    print(f"test-cluster: {text}", file=sys.stderr, flush=True)


def _free(lock: FileLock) -> bool:
    try:
        with lock.acquire(blocking=False):
            return True
    except TimeoutError:
        return False


def _named(command: str) -> Where:
    missing = [name for name in ("KUBECONFIG", "OMNIGUARD_TEST_HOST") if not os.environ.get(name)]
    if missing:
        raise NoCluster(
            f"found OMNIGUARD_LOAD_IMAGE without {' and '.join(missing)}, expected KUBECONFIG of a cluster for tests, and in "
            "OMNIGUARD_TEST_HOST the address at which its pods reach this machine"
        )
    return Where(os.environ["KUBECONFIG"], os.environ["OMNIGUARD_TEST_HOST"], tuple(shlex.split(command)))


def _kt() -> Path:
    beside = ROOT.parent / "shared" / "kubetest" / "kt"
    found = os.environ.get("KT") or shutil.which("kt") or (str(beside) if beside.exists() else None)
    if found is None or not os.access(found, os.X_OK):
        raise NoCluster(
            f"found no cluster to run on (kt: {found or 'none'}): name one by KUBECONFIG, OMNIGUARD_TEST_HOST and "
            "OMNIGUARD_LOAD_IMAGE (docs/cluster.md says how for kind), or the path of kt by KT"
        )
    if os.geteuid() != 0:
        raise NoCluster("found kt and a user that is not root, expected root: kt makes namespaces, bridges and control groups")
    return Path(found)


def _made(kt: Path, state: Path, *, keep: bool) -> Iterator[Where]:
    _down(kt, state)  # one that somebody's kill -9 left
    began = time.monotonic()
    up = subprocess.run([kt, "up", state, _NODES], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    try:
        if up.returncode:
            raise NoCluster(f"kt made no cluster:\n{up.stdout}")
        say(f"a cluster of {_NODES} nodes after {time.monotonic() - began:.0f} s")
        inside = (str(kt), "run", str(state))
        yield Where(str(state / "kubeconfig"), _KT_HOST, (str(kt), "load", str(state)), inside)
    finally:
        if keep:
            say(f"left up: {kt} kubectl {state} get pods -A; end it by {kt} down {state}")
        else:
            _down(kt, state)


def _down(kt: Path, state: Path) -> None:
    if state.exists():
        subprocess.run([kt, "down", state], stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(state)
