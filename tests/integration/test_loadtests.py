"""The load tests' exit statuses, on a genuine broker: 0 kept, 1 missed, 2 nothing was measured."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from loadtests.__main__ import FAILED, KEPT, MISSED, main

from omniguard.adapters.topics_admin import TopicsAdmin
from omniguard.contracts.topics import Topics
from origins import free_ports

pytestmark = pytest.mark.stack
PNG = b"\x89PNG"


@pytest.fixture(autouse=True)
def _level_as_it_was() -> Iterator[None]:
    """The command silences the Kafka client, in this process here."""
    logger = logging.getLogger("aiokafka")
    before = logger.level
    yield
    logger.setLevel(before)


def test_a_run_that_keeps_its_thresholds_writes_its_report_and_a_picture(
    kafka_url: str, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--kafka", kafka_url, "--redis", redis_url, "--out", str(tmp_path)]
    assert main(["run", "steady", "--rate", "10", "--seconds", "3", *options]) == KEPT
    told = json.loads((tmp_path / "steady.json").read_text())
    assert (told["report"]["sent"], told["report"]["answered"], told["report"]["lost"]) == (30, 30, 0)
    assert told["report"]["cpu_ms_per_upload"] > 0
    assert told["report"]["guard_ms_per_upload"] > 0
    assert (tmp_path / "steady.png").read_bytes().startswith(PNG)
    capsys.readouterr()
    assert main(["table", str(tmp_path / "steady.json")]) == KEPT
    assert capsys.readouterr().out.splitlines()[-1].startswith("| steady | steady | 30 |")


def test_uploads_that_nobody_answers_are_a_miss(kafka_url: str, topic_prefix: str, tmp_path: Path) -> None:
    async def create() -> None:
        async with TopicsAdmin({"bootstrap_servers": kafka_url}) as admin:
            await admin.apply(Topics(topic_prefix).all)

    asyncio.run(create())
    options = ["--bootstrap", kafka_url, "--topic-prefix", topic_prefix, "--out", str(tmp_path), "--patience", "1"]
    assert main(["run", "steady", "--rate", "5", "--seconds", "1", *options]) == MISSED
    assert json.loads((tmp_path / "steady.json").read_text())["missed"] == [
        "5 of 5 uploads ended without their answer; expected none"
    ]


def test_without_a_broker_nothing_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)
    assert main(["run", "steady", "--seconds", "1", "--bootstrap", f"127.0.0.1:{port}", "--out", str(tmp_path)]) == FAILED
    assert "no load test" in capsys.readouterr().out
    assert not (tmp_path / "steady.json").exists()


@pytest.mark.parametrize("scenario", ["slow", "poison", "video"])
def test_what_needs_workers_of_its_own_is_sent_to_nobody_elses(
    scenario: str, kafka_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", scenario, "--bootstrap", kafka_url, "--out", str(tmp_path)]) == FAILED
    assert "without --bootstrap" in capsys.readouterr().out
