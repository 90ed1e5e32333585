"""When a model counts as hung: by what it says, and by what was seen of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from omniguard.adapters.triton_process import TritonProcess
from omniguard.entrypoints.supervisor import Rules, is_hung, tell_waiting
from omniguard.guard.wire import StatusEvent, Waiting
from omniguard.observability import PRIORITIES, Metrics


def status(**changes: Any) -> StatusEvent:
    """A canary is computed, and nothing has left for 6 s."""
    fields = {"held": 1, "answered": 100, "silent_ms": 6000.0, "canary": "computing", "canary_ms": 6000.0}
    return StatusEvent.model_validate({**fields, **changes})


@pytest.mark.parametrize(
    ("hang_after", "slowest", "silence"),
    [(None, 0.0, 5.0), (None, 1.0, 5.0), (None, 4.0, 12.0), (None, 1000.0, 120.0), (2.0, 50.0, 2.0)],
)
def test_patience_grows_with_what_was_seen(hang_after: float | None, slowest: float, silence: float) -> None:
    assert Rules(hang_after=hang_after).silence(slowest) == silence


@pytest.mark.parametrize(
    ("changes", "slowest", "hung"),
    [
        ({}, 0.0, True),
        ({}, 3.0, False),
        ({"silent_ms": 4000.0}, 0.0, False),  # others are answered
        ({"canary_ms": 100.0}, 0.0, False),  # one slow request, and the canary has just come
        ({"canary": "none", "canary_ms": 0.0, "silent_ms": 90_000.0}, 0.0, False),  # nobody waits
        ({"canary": "waiting"}, 0.0, False),  # slow requests in every place
        ({"canary": "waiting", "canary_ms": 130_000.0, "silent_ms": 130_000.0}, 0.0, True),
        ({"answered": 0}, 0.0, False),  # the first answer after a load
        ({"answered": 0, "canary_ms": 61_000.0, "silent_ms": 61_000.0}, 0.0, True),
    ],
)
def test_hung_is_a_canary_without_answer_while_nobody_is_answered(changes: dict[str, Any], slowest: float, hung: bool) -> None:
    assert is_hung(status(**changes), Rules(), slowest) is hung


def test_the_gauges_of_waits_are_by_priority_and_fall_to_zero() -> None:
    metrics = Metrics()

    def told() -> dict[str, tuple[float, float]]:
        names = "omniguard_model_waiting_requests", "omniguard_model_oldest_wait_seconds"
        return {p: (metrics.value(names[0], priority=p), metrics.value(names[1], priority=p)) for p in PRIORITIES}

    waiting = [Waiting(priority=number, requests=number, oldest_ms=number * 500.0) for number in (1, 3, 4, 9)]
    tell_waiting(waiting, metrics)
    assert told() == {"live": (1, 0.5), "backfill": (0, 0), "late": (3, 1.5), "critique": (13, 4.5)}
    tell_waiting((), metrics)
    assert set(told().values()) == {(0, 0)}
    assert b'omniguard_model_waiting_requests{priority="live"} 0.0' in metrics.render()


def test_another_program_with_its_number_is_not_triton(tmp_path: Any) -> None:
    file = tmp_path / "pid"
    assert TritonProcess(file, "omniguard").find() is None
    file.write_text("not a number")
    assert TritonProcess(file, "omniguard").find() is None
    file.write_text("1")
    assert TritonProcess(file, "omniguard").find() is None
    assert TritonProcess(file, "omniguard").kill_model() == 0


async def test_a_triton_of_another_user_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["tritonserver", "-c", "import time; time.sleep(60)"]
    running = subprocess.Popen(command, executable=sys.executable)  # noqa: ASYNC220 - ends with the test
    try:
        process = TritonProcess(running.pid, "omniguard")
        async with asyncio.timeout(10):
            while process.find() is None:  # noqa: ASYNC110 - its name appears a moment after its start
                await asyncio.sleep(0.01)
        with monkeypatch.context() as patched:
            patched.setattr(os, "kill", refuse)
            assert await process.end(0.1) is False
        assert running.poll() is None
        assert await process.end(10.0) is True
        assert running.wait(10) == -signal.SIGTERM
    finally:
        running.kill()


def refuse(*_: object) -> None:
    raise PermissionError
