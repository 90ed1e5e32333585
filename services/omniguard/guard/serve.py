"""Starts Triton in a container: `omniguard-triton [options] [options of tritonserver]`.

What every installation of ours needs is said here once: explicit model control, by which `omniguard supervise` replaces a model's
process; names of shared memory that can be swept; an end that is bounded; restricted protocols whose values come from files. The
process becomes tritonserver, so that signals reach it.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from omniguard.errors import Misconfigured
from omniguard.guard.wire import MODEL

__all__ = ["Serving", "arguments", "main", "sweep"]

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX puts shared memory on Linux
_INSTALLED = "/opt/tritonserver/bin/tritonserver"
# What a worker does not need: loading models above all. Health and metadata stay open to probes.
_ADMIN_GRPC = "model-repository,model-config,shared-memory,statistics,trace,logging"
_ADMIN_HTTP = "model-repository,model-config,inference,shared-memory,statistics,trace,logging"


@dataclass(frozen=True, slots=True)
class Serving:
    """How Triton is started. Times are in seconds; `exit_timeout` must be below what the container is given to end.

    `worker_value_file` and `admin_value_file` hold the values of the headers `omniguard` and `omniguard-admin`: with the first,
    only who sends it may infer; with the second, only who sends it may load, unload and configure, and HTTP has no inference.
    """

    repository: Path
    model: str = MODEL
    grpc_port: int = 8001
    http_port: int = 8000
    metrics_port: int = 8002
    exit_timeout: int = 25
    stub_timeout: int = 1800
    worker_value_file: Path | None = None
    admin_value_file: Path | None = None

    @property
    def prefix(self) -> str:
        """Start of the names of this server's shared memory: servers that share /dev/shm have not the same port."""
        return f"omniguard_{self.grpc_port}_"


def arguments(serving: Serving) -> list[str]:
    """The options of tritonserver.

    Raises:
        Misconfigured: the repository lacks the model, or a file with a value cannot be used.

    """
    if not (serving.repository / serving.model / "config.pbtxt").is_file():
        raise Misconfigured(
            f"found no {serving.model}/config.pbtxt in {serving.repository}, expected a model repository: mount one there, "
            "or name it by --models"
        )
    return [
        f"--model-repository={serving.repository}",
        # Explicit, so that unload and load replace a model process that has died: Triton never does so by itself.
        "--model-control-mode=explicit",
        f"--load-model={serving.model}",
        "--disable-auto-complete-config",
        f"--grpc-port={serving.grpc_port}",
        f"--http-port={serving.http_port}",
        f"--metrics-port={serving.metrics_port}",
        f"--exit-timeout-secs={serving.exit_timeout}",
        f"--backend-config=python,shm-region-prefix-name={serving.prefix}",
        f"--backend-config=python,stub-timeout-seconds={serving.stub_timeout}",
        *_restricted(serving),
    ]


def _restricted(serving: Serving) -> list[str]:
    options = []
    if serving.worker_value_file:
        options.append(f"--grpc-restricted-protocol=inference:omniguard={_value(serving.worker_value_file)}")
    if serving.admin_value_file:
        value = _value(serving.admin_value_file)
        options.append(f"--grpc-restricted-protocol={_ADMIN_GRPC}:omniguard-admin={value}")
        options.append(f"--http-restricted-api={_ADMIN_HTTP}:omniguard-admin={value}")
    return options


def _value(file: Path) -> str:
    try:
        value = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{file}: found {type(error).__name__}, expected a readable file with the header's value") from error
    if not value or not value.isprintable() or any(mark in value for mark in " :,="):
        raise Misconfigured(f"{file}: expected one line without spaces, colons, commas and equals signs, as the header's value")
    return value


def sweep(prefix: str, folder: Path = SHARED_MEMORY) -> int:
    """Remove the shared memory that a killed server of this prefix left; how many regions there were."""
    left = list(folder.glob(f"{prefix}*"))
    for region in left:
        region.unlink(missing_ok=True)
    return len(left)


def main(argv: Sequence[str] | None = None) -> None:
    """Become tritonserver. Exit status 2: the call, the repository or a file is wrong, or there is no server."""
    parser = _parser()
    ours, theirs = parser.parse_known_args(argv)
    serving = Serving(**{field.name: getattr(ours, field.name) for field in fields(Serving)})
    try:
        server = _server()
        options = arguments(serving)
        sweep(serving.prefix)
        if ours.pid_file:
            _write_number(ours.pid_file)
    except Misconfigured as error:
        parser.exit(2, f"omniguard-triton: {error}\n")
    os.execv(server, [server, *options, *theirs])  # noqa: S606 - no shell is meant: this process becomes the server


def _write_number(file: Path) -> None:
    try:
        file.write_text(f"{os.getpid()}\n", encoding="ascii")  # stays ours: this process becomes the server
    except OSError as error:
        raise Misconfigured(
            f"--pid-file {file}: found {error.strerror}, expected a folder that this user may write to"
        ) from error


def _server() -> str:
    named = os.environ.get("TRITONSERVER") or _INSTALLED
    found = shutil.which(named) or shutil.which("tritonserver")
    if found is None:
        raise Misconfigured(f"found no server at {named}, expected tritonserver: set TRITONSERVER to its path")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="omniguard-triton",
        description="Starts Triton with the guard model. Options not listed here are handed to tritonserver as they are.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--models", dest="repository", type=Path, default=Path("/models"), help="model repository")
    parser.add_argument("--model", default=MODEL, help="name of the model to load")
    parser.add_argument("--grpc-port", type=int, default=8001)
    parser.add_argument("--http-port", type=int, default=8000)
    parser.add_argument("--metrics-port", type=int, default=8002)
    parser.add_argument("--exit-timeout", type=int, default=25, help="seconds for requests under way after SIGTERM")
    parser.add_argument("--stub-timeout", type=int, default=1800, help="seconds the model may take to load")
    parser.add_argument("--pid-file", type=Path, help="file to write the server's process number to, for `omniguard supervise`")
    parser.add_argument("--worker-value-file", type=Path, help="file with the value that workers send to infer")
    parser.add_argument("--admin-value-file", type=Path, help="file with the value that the supervisor sends to load models")
    return parser


if __name__ == "__main__":
    main()
