"""Genuine Tritons that come and go under a stream of labels: the load spreads, moves away, and no request fails."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceServicer, add_GRPCInferenceServiceServicer_to_server

from faults.worker import eventually
from omniguard.adapters import triton_channels
from omniguard.adapters.triton_guard import TritonGuard
from omniguard.devstack import Stack
from omniguard.domain.deadline import Deadline
from omniguard.guard.wire import GuardRequest, Mode, WirePart
from omniguard.observability import Metrics
from stage_bench import Bench, text_part

pytestmark = [pytest.mark.triton, pytest.mark.slow]

MODEL = Path(__file__).parents[1] / "contract" / "scripted_guard"
NOBODY = "127.0.0.1:9"  # discard: refused at once
WITHIN = 30.0
DEADLINE_MS = 60_000


@contextmanager
def a_triton(folder: Path, digest: str = "d") -> Iterator[Stack]:
    """With the scripted model, which says that it has that digest; "play:who" tells its process."""
    stack = Stack(
        folder,
        parts=("triton",),
        model_repository=MODEL,
        triton_env={"OMNIGUARD_SCRIPT_NOTES": str(folder), "OMNIGUARD_SCRIPT_DIGEST": digest},
        owner=os.getpid(),
    )
    try:
        stack.up()
        yield stack
    finally:
        stack.down(grace=1.0)


class _Silent(GRPCInferenceServiceServicer):  # type: ignore[misc]
    async def ModelStreamInfer(self, requests: object, context: object) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """A server that takes every request and answers none, as a replica that hangs while it starts."""
    server = grpc.aio.server()
    add_GRPCInferenceServiceServicer_to_server(_Silent(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


class Names:
    """The name service: what the name of the guard leads to now."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(self, _: str) -> list[str]:
        return list(self.addresses)


class Flow:
    """Labels, each of another content, 60 a second; now and then a critique behind the label. Whatever fails is kept."""

    def __init__(self, guard: TritonGuard) -> None:
        self._guard = guard
        self._numbers = itertools.count()
        self.by: Counter[float] = Counter()
        self.sent = self.answered = 0
        self.critiques = Counter[bool]()
        self.errors: list[BaseException] = []

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self._run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _run(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        try:
            while True:
                self.sent += 1
                tasks.add(asyncio.create_task(self._one(next(self._numbers))))
                await asyncio.sleep(1 / 60)
        finally:
            await asyncio.gather(*tasks)

    async def _one(self, number: int) -> None:
        try:
            label = await self._guard.label(_asking(Mode.LABEL), (), affinity=f"content-{number}")
            (told,) = label.event.evidence
            assert told.start is not None
            self.by[told.start] += 1
            if number % 10 == 0:
                critique = await self._guard.critique(_asking(Mode.CRITIQUE), (), affinity=f"content-{number}")
                self.critiques[float(critique.text) == told.start] += 1
            self.answered += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            self.errors.append(error)


def _asking(mode: Mode) -> GuardRequest:
    part = WirePart(id="p0", modality="text", text="play:who:0.05")
    return GuardRequest(mode=mode, parts=(part,), deadline_ms=DEADLINE_MS, label="safe" if mode is Mode.CRITIQUE else None)


@pytest.mark.long
async def test_one_triton_becomes_three_and_one_again_and_no_request_fails(
    tmp_path: Path, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as running:
        one = await asyncio.to_thread(running.enter_context, a_triton(tmp_path / "0"))
        names = Names(one.urls().triton)
        monkeypatch.setattr(triton_channels, "_resolve", names.resolve)
        guard = TritonGuard(["guard:8001"], metrics=Metrics())
        flow = Flow(guard)
        async with flow.flowing():
            await eventually(lambda: flow.by, WITHIN, "a first answer")
            names.addresses += [NOBODY, silent]  # listed before they are ready: no upload may wait for them
            others = [await asyncio.to_thread(running.enter_context, a_triton(tmp_path / str(n))) for n in (1, 2)]
            names.addresses += [other.urls().triton for other in others]
            await eventually(lambda: len(flow.by) == 3, WITHIN, "labels from all three")
            names.addresses = names.addresses[:1] + names.addresses[3:]
            flow.by.clear()
            flow.critiques.clear()
            await eventually(lambda: flow.by.total() > 600, 60, "600 labels from three servers")
            shares = [count / flow.by.total() for count in flow.by.values()]
            assert len(shares) == 3
            assert max(shares) < 1.25 / 3
            assert flow.critiques == {True: flow.critiques.total()}
            # An orderly end, of which the name service hears late: as a rolling upgrade ends a replica.
            await asyncio.gather(*(asyncio.to_thread(each.stop, "triton") for each in (one, others[0])))
            names.addresses = names.addresses[-1:]
            flow.by.clear()
            await eventually(lambda: flow.by.total() > 600, 60, "600 labels from the one that is left, past a look at the names")
            assert len(flow.by) == 1
        assert flow.errors == []
        assert flow.answered == flow.sent
        assert [server.address for server in await guard._channels.servers()] == names.addresses
        await guard.close()


@pytest.mark.long
async def test_another_model_rolled_out_over_two_replicas_leaves_no_upload_without_a_judgement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One replica more, then one of the old ones ends, and so again: maxUnavailable 0, maxSurge 1."""
    names, reasons, digests = Names(), Counter[str](), Counter[str]()
    monkeypatch.setattr(triton_channels, "_resolve", names.resolve)
    guard = TritonGuard(["guard:8001"], metrics=Metrics())
    guard._channels._refresh = 0.5
    bench = Bench(tmp_path, guard=guard)  # type: ignore[arg-type]

    async def upload(number: int) -> None:
        exam = await bench.examined(text_part(f"upload {number}"), deadline=Deadline(bench.clock.monotonic() + 60))
        reasons.update(problem.reason for problem in exam.findings.problems)
        digests[exam.model.digest] += 1

    async def stream(uploads: asyncio.TaskGroup) -> None:
        for number in itertools.count():
            uploads.create_task(upload(number))
            await asyncio.sleep(0.05)

    async def more(digest: str) -> None:
        before = digests[digest]
        await eventually(lambda: digests[digest] > before + 40, 60, f"uploads judged by {digest}")

    with ExitStack() as running:

        async def begin(digest: str) -> Stack:
            folder = tmp_path / f"triton-{len(names.addresses)}-{digest}"
            stack = await asyncio.to_thread(running.enter_context, a_triton(folder, digest))
            names.addresses = [*names.addresses, stack.urls().triton]
            return stack

        async def end(stack: Stack) -> None:
            names.addresses = [address for address in names.addresses if address != stack.urls().triton]
            await asyncio.to_thread(stack.stop, "triton")

        old = [await begin("old"), await begin("old")]
        async with asyncio.TaskGroup() as uploads:
            streaming = uploads.create_task(stream(uploads))
            await more("old")
            for replica in old:
                await begin("new")
                await asyncio.sleep(1)
                await end(replica)
            await more("new")
            streaming.cancel()
    assert reasons == {}
    assert set(digests) == {"old", "new"}
    await bench.model.close()
    await guard.close()
