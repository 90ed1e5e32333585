"""What a stack remembers and answers without any server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from omniguard.devstack import DevStackError, Stack, StackUrls, state
from omniguard.devstack.kafka import Kafka
from omniguard.devstack.process import Running, port_is_free
from omniguard.devstack.stack import choose_ports
from omniguard.devstack.state import PartState, State
from omniguard.entrypoints.dev import dev_app

_HAD = PartState({"kafka": 20001, "controller": 20002}, ("java", ""), "/log", {"kafka": "127.0.0.1:20001"}, Running(7, 1.5))


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_state_survives_the_file(tmp_path: Path) -> None:
    stopped = PartState({}, (), "", {"redis": "redis://host:1"}, None, external=True)
    state.save(tmp_path / "state.json", State({"kafka": _HAD, "redis": stopped}))
    assert state.load(tmp_path / "state.json") == State({"kafka": _HAD, "redis": stopped})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 2, "parts": {}}', "has version 2, expected 1"),
        ("{", "is not a state file"),
        ("[]", "is not a state file"),
        ('{"version": 1, "parts": {"kafka": {"running": null}}}', "is not a state file"),
    ],
)
def test_a_state_file_that_is_not_ours(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(DevStackError, match=rf"{message}.*delete its folder"):
        Stack(tmp_path).status()


def test_an_address_that_the_stack_does_not_have() -> None:
    urls = StackUrls({"kafka": "127.0.0.1:1"})
    assert urls.kafka == "127.0.0.1:1"
    with pytest.raises(DevStackError, match="no address 'redis'; it has kafka"):
        _ = urls.redis


def test_ports_are_kept_when_free_and_new_when_taken(listener: socket.socket) -> None:
    taken = listener.getsockname()[1]
    first = choose_ports(Kafka(), None, same=False)
    assert len(set(first.values())) == 2
    assert all(port_is_free(port) for port in first.values())
    assert choose_ports(Kafka(), first, same=False) == first
    assert taken not in choose_ports(Kafka(), {"kafka": taken, "controller": first["controller"]}, same=False).values()


def test_a_port_taken_by_others_when_clients_rely_on_it(listener: socket.socket) -> None:
    taken = listener.getsockname()[1]
    with pytest.raises(DevStackError, match=rf"kafka cannot start again: another process listens on \[{taken}\]"):
        choose_ports(Kafka(), {"kafka": taken, "controller": 20_001}, same=True)


def test_down_where_nothing_was_started_deletes_nothing(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    Stack(tmp_path).down(purge=True)
    assert (tmp_path / "precious").exists()


def test_a_part_that_was_never_started(tmp_path: Path) -> None:
    with pytest.raises(DevStackError, match="kafka is not a part that this stack started"):
        Stack(tmp_path).kill("kafka")


def test_somebody_elses_part_is_reported_as_such(tmp_path: Path, listener: socket.socket) -> None:
    url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    result = CliRunner().invoke(dev_app, ["up", "--state", str(tmp_path), "--parts", "redis", "--redis", url, "--json"])
    assert result.exit_code == 0, result.output
    (part,) = json.loads(result.stdout)
    assert (part["state"], part["urls"]) == ("external", {"redis": url})
    listener.close()
    gone = CliRunner().invoke(dev_app, ["status", "--state", str(tmp_path)])
    assert gone.exit_code == 1
    assert "nobody answers at this address" in gone.stdout


def test_status_of_nothing(tmp_path: Path) -> None:
    result = CliRunner().invoke(dev_app, ["status", "--state", str(tmp_path), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == []
    assert "omniguard dev up" in result.stderr


def test_an_unknown_part(tmp_path: Path) -> None:
    result = CliRunner().invoke(dev_app, ["up", "--state", str(tmp_path), "--parts", "kafka,zookeeper"])
    assert result.exit_code == 2
    assert "no part zookeeper" in result.stderr


def test_an_error_is_a_message_not_a_traceback(tmp_path: Path) -> None:
    result = CliRunner().invoke(dev_app, ["up", "--state", str(tmp_path), "--kafka", "127.0.0.1:9", "--parts", "kafka"])
    assert result.exit_code == 1
    assert "error: --kafka 127.0.0.1:9: nobody answers" in result.stderr
    assert "Traceback" not in result.output
