"""Breakers towards the guard's servers: requests wait while a server is away, one probe asks, and all wake when it answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from omniguard.adapters.triton_channels import Server
from omniguard.adapters.triton_exchange import Unavailable
from omniguard.domain.breaker import Breaker, BreakerRules, BreakerState
from omniguard.errors import BadContent, Reason, Retryable
from omniguard.observability import Metrics
from omniguard.ports import Clock

log = structlog.get_logger(__name__)

__all__ = ["Gates"]

RULES = BreakerRules(failures=3, first_pause=0.1, longest_pause=2.0, probe_seconds=5.0)
_FORGOTTEN_AFTER = 60.0
"""Seconds after which a server is no longer probed nor counted if no request comes: the names are not looked up then."""

Probe = Callable[[Server], Awaitable[str | None]]
"""Asks a server which model it has, which costs nothing and risks no upload; raises Unavailable where it is away."""


class _Gate:
    """One server's breaker, and the task that probes it while it is open."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.breaker = Breaker(RULES)
        self.probing: asyncio.Task[None] | None = None
        self.asked_at = 0.0
        self.why = ""
        self.known = False
        """It has answered."""
        self.digest: str | None = None
        """Of its model, as far as it was told."""


class Gates:
    """Of one client. What counts is a server that cannot be asked.

    An answer that is late or wrong does not count: uploads can call both forth, by a short deadline or by what they hold.
    """

    def __init__(self, probe: Probe, clock: Clock, metrics: Metrics, part: str) -> None:
        """A server is tried until it fails; one that comes while another answers, once it has answered a probe.

        So a replica that is not ready yet costs no upload its time. `part` is the metric's word for them.
        """
        self._probe, self._clock, self._metrics, self._part = probe, clock, metrics, part
        self._gates: dict[str, _Gate] = {}
        self._opened = asyncio.Event()
        """Set and replaced whenever a server answers again."""
        self._closed = False
        self._in_force: str | None = None

    def keep(self, servers: Sequence[Server]) -> None:
        """These are there now. All others are forgotten: what is gone is neither probed nor counted."""
        gone = [gate for gate in self._gates.values() if gate.server not in servers]
        for gate in gone:
            del self._gates[gate.server.address]
            if gate.probing is not None:
                gate.probing.cancel()
        new = [self._begin(server) for server in servers if self._gate(server) is None]
        for gate in self._gates.values():
            gate.asked_at = self._clock.monotonic()
        if gone or new:
            self._tell()

    def open(self, servers: Iterable[Server]) -> list[Server]:
        """Those that may be asked now, in their order."""
        return [server for server in servers if self._is_open(server)]

    def of_one_model(self, servers: Sequence[Server]) -> list[Server]:
        """Of all open servers those that have the model in force, or may have: the model that most of them have.

        While another model is rolled out, an upload judged by both would be judged again and again.
        """
        digests = {server.address: gate.digest for server in servers if (gate := self._gate(server))}
        told = Counter(digest for digest in digests.values() if digest is not None)
        if told and told[self._in_force or ""] < max(told.values()):  # as many are not more: no going to and fro
            self._in_force = max(told, key=lambda digest: (told[digest], digest))
        return [server for server in servers if digests.get(server.address) in (None, self._in_force)]

    def known(self, server: Server) -> bool:
        """Whether it has answered, ever; or is gone, as only one that was there is."""
        gate = self._gate(server)
        return gate is None or gate.known

    def why(self, servers: Iterable[Server]) -> str:
        """What the first of them that is not asked failed by; empty where all are."""
        gates = (self._gate(server) for server in servers)
        return next((gate.why for gate in gates if gate and gate.breaker.state is not BreakerState.CLOSED), "")

    def away(self, servers: Iterable[Server]) -> int:
        """How many of them are there and not asked."""
        return sum(self._gate(server) is not None and not self._is_open(server) for server in servers)

    async def wait(self, seconds: float) -> None:
        """Until a server answers again, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._opened.wait()
        except TimeoutError:
            return

    def answered(self, server: Server, digest: str | None = None) -> None:
        """It is there: those who wait go on. `digest` is its model's, where the answer told."""
        gate = self._gate(server)
        if gate is None:
            return
        gate.digest = digest or gate.digest
        was, known = gate.breaker.state, gate.known
        gate.breaker.succeeded()
        gate.known = True
        if was is not BreakerState.CLOSED:
            news = "a server of the guard is back" if known else "a server of the guard answers for the first time"
            log.info(news, address=server.address, stage=self._part)
            opened, self._opened = self._opened, asyncio.Event()
            opened.set()
            self._tell()

    def failed(self, server: Server, why: str) -> None:
        """It could not be asked."""
        gate = self._gate(server)
        if gate is None:
            return
        gate.why = why
        gate.breaker.failed(self._clock.monotonic())
        away = gate.breaker.state is not BreakerState.CLOSED
        if away and not self._closed and (gate.probing is None or gate.probing.done()):
            log.warning(
                "a server of the guard cannot be asked: requests wait until it answers, or another does",
                address=server.address,
                stage=self._part,
            )
            self._begin_to_probe(gate)
        self._tell()

    async def close(self) -> None:
        """Probe no more, also where requests that end with the client find nobody."""
        self._closed = True
        tasks = [gate.probing for gate in self._gates.values() if gate.probing is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _gate(self, server: Server) -> _Gate | None:
        """None where its address is gone, or came back with another channel: how old requests end tells nothing of that."""
        gate = self._gates.get(server.address)
        return gate if gate is not None and gate.server == server else None

    def _is_open(self, server: Server) -> bool:
        gate = self._gate(server)
        return gate is not None and gate.breaker.state is BreakerState.CLOSED

    def _begin(self, server: Server) -> _Gate:
        others = any(each.known and each.breaker.state is BreakerState.CLOSED for each in self._gates.values())
        gate = self._gates[server.address] = _Gate(server)
        if others and not self._closed:
            gate.why = "a server that has not answered yet"
            gate.breaker.hold(self._clock.monotonic())
            self._begin_to_probe(gate)
        return gate

    def _begin_to_probe(self, gate: _Gate) -> None:
        gate.probing = asyncio.create_task(self._until_there(gate))

    async def _until_there(self, gate: _Gate) -> None:
        while self._gates.get(gate.server.address) is gate:
            await asyncio.sleep(gate.breaker.wait(self._clock.monotonic()))
            if self._clock.monotonic() - gate.asked_at > _FORGOTTEN_AFTER:
                del self._gates[gate.server.address]
                self._tell()
                return
            if not gate.breaker.admits(self._clock.monotonic()):
                continue
            self._tell()
            if await self._is_there(gate):
                self.answered(gate.server, gate.digest)
                return
            gate.breaker.failed(self._clock.monotonic())
            self._tell()

    async def _is_there(self, gate: _Gate) -> bool:
        try:
            gate.digest = await self._probe(gate.server)
        except Unavailable:
            return False
        except Retryable as error:  # nonsense is an answer too: the requests themselves will tell
            return error.reason is not Reason.DEADLINE
        except BadContent:
            return True
        return True

    def _tell(self) -> None:
        states = Counter(gate.breaker.state for gate in self._gates.values())
        for state in BreakerState:
            self._metrics.set("omniguard_breaker_state", states[state], part=self._part, state=state.value)
