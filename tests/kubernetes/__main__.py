"""Bring a cluster, its images and the suite's servers together, and run the suite there: `make test-cluster`.

What is downloaded is downloaded before, for a cluster of kt cannot reach anything outside itself.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from types import FrameType

import helm
from kubernetes.where import ROOT, archives, cluster, say
from omniguard.devstack.kafka import Kafka
from omniguard.devstack.valkey import Valkey
from omniguard.errors import OmniGuardError

_OPTIONS = ("-p", "no:randomly", "--timeout", "600", "-vv", "-s", "--durations=20")  # in order, and what was measured is shown


def main(*args: str) -> int:
    """The exit code of pytest, which gets `args`; 2 where there is nothing to run on."""
    signal.signal(signal.SIGTERM, _end)
    try:
        Kafka().fetch(say)
        Valkey().fetch(say)
        tools = {"HELM": str(helm.helm()), "KUBECTL": str(helm.kubectl())}
        images = archives()
        with cluster(keep=bool(os.environ.get("KEEP"))) as where:
            for archive in images:
                began = time.monotonic()
                where.bring(archive)
                size = archive.stat().st_size / 1e6
                say(f"{archive.name} ({size:.0f} MB) is on every node after {time.monotonic() - began:.0f} s")
            env = {
                **os.environ,
                **tools,
                "KUBECONFIG": where.kubeconfig,
                "OMNIGUARD_TEST_HOST": where.host,
                "CLUSTER_MEASURED": os.environ.get("CLUSTER_MEASURED", str(ROOT / "out" / "cluster.jsonl")),
            }
            pytest = [sys.executable, "-m", "pytest", "tests/kubernetes", *_OPTIONS, *args]
            command = [*where.inside, *pytest]
            say(shlex.join(command))
            return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    except OmniGuardError as error:
        say(str(error))
        return 2


def _end(signum: int, _: FrameType | None) -> None:
    """Leave by an exception, so that the cluster is ended."""
    sys.exit(128 + signum)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
