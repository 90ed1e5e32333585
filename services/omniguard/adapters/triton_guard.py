"""The guard model in Triton, over gRPC."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog

from omniguard.adapters.clock import SystemClock
from omniguard.adapters.lru import Lru
from omniguard.adapters.triton_balance import Loads
from omniguard.adapters.triton_channels import Access, Channels, Server
from omniguard.adapters.triton_exchange import AnyEvent, Gone, HungUp, Shut, Unavailable, Unreachable, ask, encode, malformed
from omniguard.adapters.triton_gates import Gates
from omniguard.adapters.triton_watch import Watch
from omniguard.domain.cascade import Stage
from omniguard.domain.scores import Critique, NamedCategory
from omniguard.domain.taxonomy import TEST, UNCATEGORIZED
from omniguard.errors import BadContent, Misconfigured, ModelDied, Reason, Retryable
from omniguard.guard.wire import MODEL, Capabilities, CategoriesEvent, CritiqueEvent, GuardRequest, LabelEvent, Mode
from omniguard.observability import METRICS, Metrics, span, traceparent
from omniguard.ports import Clock, Label

__all__ = ["TritonGuard"]

log = structlog.get_logger(__name__)

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_PROBE_SECONDS = 5.0
_LABELS_KEPT = 10_000
_LABEL_SECONDS = 600.0
_OUTCOMES = {
    Reason.GUARD_UNAVAILABLE: "unavailable",
    Reason.GUARD_FAILED: "failed",
    Reason.DEADLINE: "deadline",
    Reason.UNSUPPORTED: "unsupported",
    Reason.NOT_ASSESSED: "not_assessed",
}


class TritonGuard:
    """`ports.GuardModel` over one or more Triton servers.

    A request goes to the server that its affinity picks within bounded loads (`Loads`), a critique to the one that gave the
    label; to the next one where that is away, and round again after a growing pause, until the request's `deadline_ms` is used
    up; without a deadline, for `patience` seconds. One request without a deadline may take `longest` seconds. Cancelling a call
    cancels the request inside Triton. While no server can be asked, requests wait for one without trying (`Gates`).
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        model: str = MODEL,
        patience: float = 60.0,
        longest: float = 600.0,
        clock: Clock | None = None,
        metrics: Metrics = METRICS,
        stage: Stage = Stage.FULL,
        access: Access | None = None,
    ) -> None:
        """`addresses` are host:port of Triton's gRPC; nothing is connected yet. `stage` tells the metrics which model this is.

        `access` is how to log in; without one the servers must be open.
        """
        self._stage = stage.value
        self._channels = Channels(addresses, access=access)
        self._model = model
        self._patience = patience
        self._longest = longest
        self._clock = clock or SystemClock()
        self._metrics = metrics
        self._watches: dict[str, Watch] = {}
        self._loads = Loads()
        self._labelled: Lru[str] = Lru(_LABELS_KEPT, _LABEL_SECONDS)
        """Who gave the last label, by affinity."""
        part = "triton" if stage is Stage.FULL else "first_stage"
        self._gates = Gates(self._probe, self._clock, metrics, part)
        self._closed = False
        self._told: set[tuple[str, str]] = set()

    @property
    def away(self) -> tuple[int, int]:
        """How many servers cannot be asked, and how many are known."""
        servers = self._channels.known
        return self._gates.away(servers), len(servers)

    async def capabilities(self) -> Capabilities:
        """What the loaded engine can take."""
        limit = round(self._patience * 1000)
        events = await self._ask(GuardRequest(mode=Mode.CAPABILITIES, deadline_ms=limit), (), "")
        match events:
            case [Capabilities() as found]:
                return found
        raise malformed(_kinds(events), "one capabilities event")

    async def label(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> Label:
        """Label, then categories where the label calls for them. A name of the model's own becomes `uncategorized`."""
        events = await self._ask(request, media, affinity)
        match events:
            case [LabelEvent() as label] if label.unsafe < request.categories_from:
                return Label(label)
            case [LabelEvent() as label, CategoriesEvent() as named] if label.unsafe >= request.categories_from:
                self._metrics.count("omniguard_unmapped_names_total", sum(each.name is None for each in named.categories))
                return Label(label, _names(named, request), tuple(each.free for each in named.categories if each.free))
        raise malformed(_kinds(events), f"a label, and categories with it from {request.categories_from} on")

    async def critique(self, request: GuardRequest, media: Sequence[bytes], *, affinity: str = "") -> Critique:
        """The whole critique; `segments` is the caller's to fill."""
        started = self._clock.monotonic()
        events = await self._ask(request, media, affinity)
        pieces = [event for event in events if isinstance(event, CritiqueEvent)]
        if len(pieces) != len(events):
            raise malformed(_kinds(events), "critique events alone")
        last = pieces[-1]
        return Critique(
            text="".join(piece.text for piece in pieces),
            language=last.language,
            tokens=last.usage.output_tokens,
            duration_ms=round((self._clock.monotonic() - started) * 1000),
            conditioned=last.conditioned,
        )

    async def close(self) -> None:
        """Close every channel; calls in flight end as guard_unavailable."""
        self._closed = True
        await asyncio.gather(self._gates.close(), *(watch.close() for watch in self._watches.values()))
        await self._channels.close()

    async def _ask(self, request: GuardRequest, media: Sequence[bytes], affinity: str) -> list[AnyEvent]:
        with span("omniguard.guard", mode=request.mode.value), self._counted(request.mode):
            asked = request.model_copy(update={"traceparent": request.traceparent or traceparent()})
            return await self._until_answered(asked, media, affinity)

    async def _until_answered(self, request: GuardRequest, media: Sequence[bytes], affinity: str) -> list[AnyEvent]:
        if request.deadline_ms == 0:
            raise await self._no_time()
        seconds = self._patience if request.deadline_ms is None else request.deadline_ms / 1000
        until = self._clock.monotonic() + seconds
        pause = _FIRST_PAUSE
        found = ""
        while self._clock.monotonic() < until and not self._closed:
            servers = await self._servers()
            for server in self._in_turn(servers, request.mode, affinity):
                try:
                    with self._loads.under_way(server.address):
                        events = await self._try(server, request, media, until)
                except Unavailable as error:
                    found = str(error)
                    self._metrics.count("omniguard_guard_retries_total", mode=request.mode.value, stage=self._stage)
                except Retryable as error:
                    if error.reason is not Reason.DEADLINE or not found:
                        raise
                    break  # the last attempt of many had little time left: what kept us is that no server was there
                else:
                    if request.mode is Mode.LABEL and affinity:
                        self._labelled.put(affinity, server.address)
                    return events
            left = until - self._clock.monotonic()
            if servers and self._gates.away(servers) == len(servers):
                found = self._gates.why(servers)
                await self._gates.wait(min(left, _LONGEST_PAUSE))  # and then look whether the names lead elsewhere
                continue
            # Full jitter: workers that lost the same server do not come back together.
            await asyncio.sleep(min(left, random.uniform(_FIRST_PAUSE / 2, pause)))  # noqa: S311
            pause = min(pause * 2, _LONGEST_PAUSE)
        raise _away(found, seconds)

    async def _servers(self) -> list[Server]:
        servers = await self._channels.servers()
        self._gates.keep(servers)
        return servers

    def _in_turn(self, servers: Sequence[Server], mode: Mode, affinity: str) -> Iterator[Server]:
        """Those that may be asked, each once: loads and gates are looked at again before each."""
        tried: set[str] = set()
        while left := {s.address: s for s in self._gates.of_one_model(self._gates.open(servers)) if s.address not in tried}:
            # The prefix that the label left in that server's cache is worth more to a critique than a shorter queue elsewhere.
            labelled = self._labelled.get(affinity) if mode is Mode.CRITIQUE else None
            address = labelled if labelled in left else self._loads.choose(affinity, list(left))
            tried.add(address)
            yield left[address]

    async def _no_time(self) -> Retryable:
        """Why a request that comes too late is not answered: it would not have been in time either, where nobody is there."""
        servers = await self._servers()
        if servers and self._gates.away(servers) == len(servers):
            return _away(self._gates.why(servers), 0.0)
        return Retryable(Reason.DEADLINE, "guard model: found no time left to ask, expected a deadline in the future")

    async def _try(self, server: Server, request: GuardRequest, media: Sequence[bytes], until: float) -> list[AnyEvent]:
        """Ask one server, and note whether it is there."""
        try:
            events = await self._once(server, request, media, until)
        except Unreachable as error:
            self._gates.failed(server, str(error))
            if isinstance(error, Shut) and not (isinstance(error, HungUp) and self._gates.known(server)):
                self._tell(server.address, str(error))
            raise
        except Gone as error:
            if request.mode is Mode.CAPABILITIES:
                raise
            raise ModelDied(f"guard model: found that {error}, expected an answer", death=error.death) from error
        except (Retryable, BadContent) as error:
            if error.reason is not Reason.DEADLINE:
                self._gates.answered(server)
            raise
        self._gates.answered(server, _digest(events))
        return events

    async def _probe(self, server: Server) -> str | None:
        request = GuardRequest(mode=Mode.CAPABILITIES, deadline_ms=round(_PROBE_SECONDS * 1000))
        return _digest(await ask(server.infer, encode(self._model, request, ()), timeout=_PROBE_SECONDS, traceparent=None))

    def _tell(self, address: str, found: str) -> None:
        """Say once at each server why it does not let us in."""
        if (address, found) not in self._told:
            self._told.add((address, found))
            log.error("Triton does not let us in", exc_info=Misconfigured(f"Triton at {address}: found {found}"))

    async def _once(self, server: Server, request: GuardRequest, media: Sequence[bytes], until: float) -> list[AnyEvent]:
        timeout = self._longest
        if request.deadline_ms is not None:
            timeout = until - self._clock.monotonic()
            if timeout <= 0:
                raise Unavailable("its time was used up by others")
            request = request.model_copy(update={"deadline_ms": int(timeout * 1000)})
        message = encode(self._model, request, media)
        async with self._watch(server).alive():
            return await ask(server.infer, message, timeout=timeout, traceparent=request.traceparent)

    def _watch(self, server: Server) -> Watch:
        found = self._watches.get(server.address)
        if found is None or found.infer is not server.infer:
            self._watches = {address: watch for address, watch in self._watches.items() if watch.busy}
            found = self._watches[server.address] = Watch(server.infer, self._model)
        return found

    @contextmanager
    def _counted(self, mode: Mode) -> Iterator[None]:
        outcome = "ok"
        try:
            with self._metrics.timed("omniguard_guard_duration_seconds", mode=mode.value, stage=self._stage):
                yield
        except (Retryable, BadContent) as error:
            outcome = _OUTCOMES[error.reason]
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self._metrics.count("omniguard_guard_requests_total", mode=mode.value, stage=self._stage, outcome=outcome)


def _away(found: str, seconds: float) -> Retryable:
    return Retryable(
        Reason.GUARD_UNAVAILABLE,
        f"guard model: found {found or 'no address'}, expected an answer within {seconds:g} s: see that Triton runs",
    )


def _digest(events: Sequence[AnyEvent]) -> str | None:
    """Of the model that answered, where the answer tells."""
    first = events[0]
    return (first.digest or None) if isinstance(first, Capabilities | LabelEvent) else None


def _names(event: CategoriesEvent, request: GuardRequest) -> tuple[NamedCategory, ...]:
    """Each name once, with its highest confidence, in the model's order."""
    allowed = {category.name for category in request.policy} | {TEST}
    names: dict[str, float] = {}
    for named in event.categories:
        if named.name is not None and named.name not in allowed:
            raise malformed("a category that the request did not name", "one of the policy's")
        name = named.name or UNCATEGORIZED
        names[name] = max(names.get(name, 0.0), named.confidence)
    return tuple(NamedCategory(name, confidence) for name, confidence in names.items())


def _kinds(events: Sequence[AnyEvent]) -> str:
    return f"events {', '.join(event.kind for event in events)}"
