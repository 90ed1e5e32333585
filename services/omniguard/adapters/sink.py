"""Where fetched bytes go: a file, a hash and a head, under a size limit and above a minimum rate."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from omniguard.domain.reason import Reason
from omniguard.errors import BadContent, Retryable
from omniguard.media.sniff import HEAD_BYTES

MIN_BYTES_PER_SECOND = 32 * 1024
GRACE_SECONDS = 10.0


class Sink:
    """Takes a part's bytes in order. Use it as a context: leaving with an error removes the file.

    After `GRACE_SECONDS` the average must be at least `MIN_BYTES_PER_SECOND`, so that a sender of single bytes cannot hold a
    worker where no deadline binds.
    """

    def __init__(self, into: Path, max_bytes: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Open a file of a fresh name below `into`, which is made if its parent is there.

        Raises:
            Retryable: the file cannot be made (fetch_failed).

        """
        try:
            into.mkdir(mode=0o700, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix="part-", dir=into)
        except OSError as error:
            raise _disk(error) from error
        self.path = Path(name)
        self.size = 0
        self.head = b""
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._hash = hashlib.sha256()
        self._max_bytes = max_bytes
        self._monotonic = monotonic
        self._began = monotonic()

    def write(self, chunk: bytes | memoryview) -> None:
        """Append.

        Raises:
            BadContent: more than the limit (too_large).
            Retryable: slower than the minimum rate, or the disk refuses (fetch_failed).

        """
        self.expect(self.size + len(chunk))
        self.size += len(chunk)
        self._hash.update(chunk)
        if len(self.head) < HEAD_BYTES:
            self.head += bytes(chunk[: HEAD_BYTES - len(self.head)])
        try:
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise _disk(error) from error
        elapsed = self._monotonic() - self._began - GRACE_SECONDS
        if elapsed > 0 and self.size < elapsed * MIN_BYTES_PER_SECOND:
            raise Retryable(
                Reason.FETCH_FAILED,
                f"{self.size} bytes came in {elapsed + GRACE_SECONDS:.0f} s; expected {MIN_BYTES_PER_SECOND} a second",
            )

    def expect(self, size: int) -> None:
        """Check a size announced or reached against the limit.

        Raises:
            BadContent: too_large.

        """
        check_size(size, self._max_bytes)

    @property
    def sha256(self) -> str:
        """Of what was written."""
        return self._hash.hexdigest()

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        if kind is not None:
            # A disk that turned read-only keeps the file: the event's folder goes as a whole later, and the first error stands.
            with contextlib.suppress(OSError):
                self.path.unlink()


def check_size(size: int, limit: int) -> None:
    """Compare bytes with a limit.

    Raises:
        BadContent: too_large.

    """
    if size > limit:
        raise BadContent(
            Reason.TOO_LARGE, f"the part has {size} bytes or more; expected at most {limit}, the limit of its kind and tenant"
        )


def _disk(error: OSError) -> Retryable:
    return Retryable(
        Reason.FETCH_FAILED, f"the folder for media cannot be written: {error.strerror}; free space, or give another one"
    )
