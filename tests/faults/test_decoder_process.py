"""Whatever happens to a decoding process, one part suffers and no other."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest
import uvloop

from media_files.films import write
from media_files.pictures import png, quarters, saved
from omniguard.adapters.decoder import ProcessDecoder
from omniguard.domain.content import FetchedPart, Modality, Part, Segment
from omniguard.domain.deadline import NEVER, Deadline
from omniguard.domain.plan import ChunkPlan
from omniguard.errors import BadContent, Misconfigured, Reason, Retryable
from omniguard.media.limits import DecodeLimits

PLAN = ChunkPlan()
SMALL = ChunkPlan(window_seconds=1.0)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes: more segments than are decoded in advance, so that its process waits for us."""
    return write(tmp_path_factory.mktemp("film") / "long.mp4", seconds=120, fps=5, audio="aac")


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("still") / "a.png"
    path.write_bytes(saved(quarters(), "PNG"))
    return path


@pytest.fixture
async def decoder() -> AsyncIterator[ProcessDecoder]:
    async with ProcessDecoder(processes=2) as decoder:
        yield decoder


def part(path: Path, name: str = "p0") -> FetchedPart:
    return FetchedPart(Part(name, Modality.VIDEO), "", path.stat().st_size, "", path)


async def drain(segments: AsyncIterator[Segment]) -> int:
    return len([segment async for segment in segments])


async def examine(decoder: ProcessDecoder, path: Path, plan: ChunkPlan = PLAN, name: str = "p0") -> list[Segment]:
    info = await decoder.probe(part(path, name), NEVER)
    async with aclosing(decoder.segments(part(path, name), info, plan, NEVER)) as segments:
        return [segment async for segment in segments]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_killed_process_costs_one_part(number: signal.Signals, decoder: ProcessDecoder, film: Path, still: Path) -> None:
    info = await decoder.probe(part(film), NEVER)
    (child,) = decoder.pids
    async with aclosing(decoder.segments(part(film), info, SMALL, NEVER)) as segments:
        first = await anext(segments)
        other = asyncio.create_task(examine(decoder, film, name="other"))
        os.kill(child, number)
        with pytest.raises(BadContent, match=number.name) as caught:
            await drain(segments)
    assert (first.index, caught.value.reason, caught.value.part) == (0, Reason.DECODER_CRASHED, "p0")
    assert len(await other) == 20
    assert len(await examine(decoder, still)) == 1


async def test_a_process_killed_while_idle_costs_nothing(decoder: ProcessDecoder, still: Path) -> None:
    for _ in range(3):
        (child,) = decoder.pids
        os.kill(child, signal.SIGKILL)
        assert len(await examine(decoder, still)) == 1
        assert decoder.pids != (child,)


def test_the_same_on_uvloop(film: Path, still: Path) -> None:
    """The worker's loop closes a dead child's pipes in its own way."""

    async def scenario() -> None:
        async with ProcessDecoder(processes=2) as decoder:
            info = await decoder.probe(part(film), NEVER)
            segments = decoder.segments(part(film), info, SMALL, NEVER)
            await anext(segments)
            os.kill(decoder.pids[0], signal.SIGKILL)
            with pytest.raises(BadContent, match="SIGKILL"):
                await drain(segments)
            assert len(await examine(decoder, still)) == 1
            os.kill(decoder.pids[0], signal.SIGKILL)
            await asyncio.sleep(0.2)  # uvloop closes the pipes once it has seen the end; before that, the other path is taken
            assert len(await examine(decoder, still)) == 1

    uvloop.run(scenario())


async def test_a_process_that_hangs_is_ended(film: Path, still: Path) -> None:
    async with ProcessDecoder(processes=1, limits=DecodeLimits(stall_seconds=5.0)) as decoder:
        info = await decoder.probe(part(film), NEVER)
        (child,) = decoder.pids
        os.kill(child, signal.SIGSTOP)
        with pytest.raises(BadContent, match="did not go on within 5 s") as caught:
            await anext(decoder.segments(part(film), info, PLAN, NEVER))
        assert caught.value.reason is Reason.DAMAGED
        assert not psutil.pid_exists(child)
        assert len(await examine(decoder, still)) == 1


async def test_a_deadline_ends_the_process(decoder: ProcessDecoder, film: Path, still: Path) -> None:
    info = await decoder.probe(part(film), NEVER)
    (child,) = decoder.pids
    os.kill(child, signal.SIGSTOP)
    with pytest.raises(Retryable) as caught:
        await anext(decoder.segments(part(film), info, PLAN, Deadline(time.monotonic() + 0.3)))
    assert caught.value.reason is Reason.DEADLINE
    assert not psutil.pid_exists(child)
    assert len(await examine(decoder, still)) == 1


async def test_cancelling_ends_the_process(decoder: ProcessDecoder, film: Path, still: Path) -> None:
    started = asyncio.Event()

    async def slow_reader() -> None:
        info = await decoder.probe(part(film), NEVER)
        async with aclosing(decoder.segments(part(film), info, SMALL, NEVER)) as segments:
            async for _ in segments:
                started.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(slow_reader())
    await started.wait()
    (child,) = decoder.pids
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(child)
    assert len(await examine(decoder, still)) == 1


async def test_a_slow_reader_keeps_nobody_waiting(decoder: ProcessDecoder, film: Path, still: Path) -> None:
    """Two long films are read slowly; at most one of the two processes waits for them, and a picture gets the other."""
    info = await decoder.probe(part(film), NEVER)
    first, second = (decoder.segments(part(film, name), info, SMALL, NEVER) for name in ("a", "b"))
    async with aclosing(first), aclosing(second):
        assert (await anext(first)).index == 0
        waiting = asyncio.create_task(anext(second))
        assert len(await examine(decoder, still)) == 1
        assert not waiting.done()
        assert await drain(first) == 119
        assert (await waiting).index == 0


@pytest.mark.long
async def test_processor_time_is_bounded(tmp_path: Path, still: Path) -> None:
    path = write(tmp_path / "heavy.mp4", seconds=20, size=(1280, 720), audio=None)
    every_frame = ChunkPlan(fps=25, max_frames=200, max_pixels=1_000_000)
    async with ProcessDecoder(processes=1, limits=DecodeLimits(cpu_seconds=1)) as decoder:
        with pytest.raises(BadContent, match="within 1 s of processor time") as caught:
            await examine(decoder, path, every_frame)
        assert caught.value.reason is Reason.DAMAGED
        assert len(await examine(decoder, still)) == 1


async def test_memory_is_bounded(tmp_path: Path, still: Path) -> None:
    (path := tmp_path / "large.png").write_bytes(png(7_000, 7_000, colour=6))
    async with ProcessDecoder(processes=1, limits=DecodeLimits(memory_bytes=500 * 1024**2)) as decoder:
        with pytest.raises(BadContent, match="more memory") as caught:
            await examine(decoder, path)
        assert caught.value.reason is Reason.TOO_LARGE
        assert len(await examine(decoder, still)) == 1


async def test_processes_are_renewed(still: Path) -> None:
    seen = set()
    async with ProcessDecoder(processes=1, max_tasks=4) as decoder:
        for _ in range(4):
            seen.update(decoder.pids)
            await examine(decoder, still)
    assert len(seen) >= 2
    assert not any(psutil.pid_exists(pid) for pid in seen)


async def test_a_child_inherits_no_secret_and_cannot_write(
    decoder: ProcessDecoder, monkeypatch: pytest.MonkeyPatch, still: Path
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-pass-on")
    async with ProcessDecoder(processes=1) as other:
        await examine(other, still)
        (pid,) = other.pids
        child = psutil.Process(pid)
        assert set(child.environ()) == {"PYTHONPATH", "LC_ALL", "OPENBLAS_NUM_THREADS"}
        assert child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert child.rlimit(psutil.RLIMIT_AS)[1] == DecodeLimits().memory_bytes
        assert not child.net_connections()


async def test_closing_leaves_no_process(film: Path) -> None:
    decoder = ProcessDecoder(processes=2)
    await decoder.start()
    info = await decoder.probe(part(film), NEVER)
    segments = decoder.segments(part(film), info, SMALL, NEVER)
    await anext(segments)
    pids = decoder.pids
    await decoder.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    await segments.aclose()


@pytest.mark.parametrize(
    ("command", "words"),
    [("/bin/false", "does not start"), ("/nonexistent", "could not be started"), ("/bin/echo", "does not work")],
)
async def test_a_broken_installation_is_told_at_the_start(command: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", command)
    decoder = ProcessDecoder()
    with pytest.raises(Misconfigured, match=words):
        await decoder.start()
    assert not decoder.pids


@pytest.mark.parametrize(("command", "words"), [("/bin/false", "does not start"), ("/nonexistent", "could not be started")])
async def test_a_process_that_cannot_be_replaced_costs_one_part(
    command: str, words: str, decoder: ProcessDecoder, monkeypatch: pytest.MonkeyPatch, still: Path
) -> None:
    os.kill(decoder.pids[0], signal.SIGKILL)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", command)
        with pytest.raises(BadContent, match=words) as caught:
            await examine(decoder, still)
    assert caught.value.reason is Reason.DECODER_CRASHED
    assert len(await examine(decoder, still)) == 1


def test_a_child_ends_when_its_owner_is_killed() -> None:
    code = (
        "import asyncio\nfrom omniguard.adapters.decoder import ProcessDecoder\n"
        "async def main():\n    decoder = ProcessDecoder()\n    await decoder.start()\n    print(decoder.pids[0], flush=True)\n"
        "    await asyncio.sleep(600)\nasyncio.run(main())"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    child = psutil.Process(int(owner.stdout.readline()))
    owner.kill()
    owner.wait()
    owner.stdout.close()
    child.wait(timeout=20)


def test_the_child_imports_neither_the_worker_nor_the_guard() -> None:
    code = "import sys, omniguard.media.child; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"faust", "aiokafka", "grpc", "tritonclient", "pydantic", "onnxruntime", "aiohttp"}
    assert not heavy & set(found)
    assert not [name for name in found if name.startswith(("omniguard.adapters", "omniguard.stages", "omniguard.guard"))]
