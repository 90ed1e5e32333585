"""Faust that does not start."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from omniguard.adapters.faust_worker import Consuming, build_app, running
from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.domain.record import Record
from omniguard.settings import KafkaSettings
from omniguard.stages.intake import Intake
from omniguard.stages.window import Slot, Window
from origins import free_ports


async def nothing(record: Record, slot: Slot) -> None:
    """No record comes."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # Faust's own thread tells it twice
async def test_a_broker_that_is_lost_before_the_start_leaves_no_thread_that_keeps_the_process(tmp_path: Path) -> None:
    window = Window(nothing, max_events=1, max_bytes=1, max_open=1, progress=lambda: None)
    kafka = KafkaSettings(bootstrap=f"127.0.0.1:{free_ports(1)[0]}")
    consuming = Consuming("content-events", "workers", window=1, drain_timeout=1.0, state_folder=tmp_path)
    before = {*threading.enumerate()}
    with pytest.raises(KafkaConnectionError):
        async with running(build_app(kafka, consuming, window, Intake(window, MemoryAssessmentStore()))):
            pytest.fail("nobody is there to consume from")
    assert {*threading.enumerate()} <= before
