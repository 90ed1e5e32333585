"""The sink counts, hashes, keeps a head, and ends senders that drip."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from omniguard.adapters.sink import GRACE_SECONDS, MIN_BYTES_PER_SECOND, Sink
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent, Retryable
from omniguard.media.sniff import HEAD_BYTES


class Hands:
    """A clock that tests turn."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_size_hash_and_head_are_of_all_that_was_written(tmp_path: Path) -> None:
    data = os.urandom(HEAD_BYTES * 3)
    with Sink(tmp_path, 10**6) as sink:
        for start in range(0, len(data), 1000):
            sink.write(data[start : start + 1000])
    assert (sink.size, sink.sha256, sink.head) == (len(data), hashlib.sha256(data).hexdigest(), data[:HEAD_BYTES])
    assert sink.path.read_bytes() == data


def test_one_byte_over_the_limit_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with Sink(tmp_path, 10) as sink:
        sink.write(bytes(10))
        with pytest.raises(BadContent) as caught:
            sink.write(b"x")
    assert caught.value.reason is Reason.TOO_LARGE
    assert sink.path.stat().st_size == 10


def test_leaving_with_an_error_removes_the_file(tmp_path: Path) -> None:
    with pytest.raises(BadContent), Sink(tmp_path, 10) as sink:
        sink.write(bytes(11))
    assert list(tmp_path.iterdir()) == []


def test_a_sender_of_single_bytes_is_ended_after_the_grace(tmp_path: Path) -> None:
    clock = Hands()
    with Sink(tmp_path, 10**6, clock) as sink:
        sink.write(b"x")
        clock.now += GRACE_SECONDS
        sink.write(b"x")
        clock.now += 1
        with pytest.raises(Retryable) as caught:
            sink.write(b"x")
    assert caught.value.reason is Reason.FETCH_FAILED


def test_a_sender_at_the_minimum_rate_may_go_on(tmp_path: Path) -> None:
    clock = Hands()
    with Sink(tmp_path, 10**7, clock) as sink:
        for _ in range(60):
            clock.now += 1
            sink.write(bytes(MIN_BYTES_PER_SECOND))
    assert sink.size == 60 * MIN_BYTES_PER_SECOND


def test_a_folder_that_cannot_be_written_may_be_there_later(tmp_path: Path) -> None:
    with pytest.raises(Retryable, match="folder for media"):
        Sink(tmp_path / "none" / "event", 10)


def test_the_folder_of_an_event_comes_with_its_first_file(tmp_path: Path) -> None:
    with Sink(tmp_path / "event", 10) as sink:
        sink.write(b"x")
    assert [path.parent for path in tmp_path.glob("*/*")] == [tmp_path / "event"]


def test_a_full_disk_may_have_space_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full answers every write as a full disk does."""
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: (os.open("/dev/full", os.O_WRONLY), str(tmp_path / "part")))
    with pytest.raises(Retryable, match="No space left"), Sink(tmp_path, 100) as sink:
        sink.write(b"x")
