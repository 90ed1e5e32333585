"""Faust drives the consumer; the window decides what is acknowledged (docs/adr/0002-acknowledgement.md).

Faust's own acknowledgement is switched off (`acks=False`): with it, an agent that raises, a concurrency above one, or a record
skipped after a rebalance commits offsets past unfinished events. Offsets go to the broker only from `Window.take_committable`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faust
import structlog
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.app.base import BootStrategy
from faust.exceptions import ConsumerNotStarted
from faust.types import TP
from faust.types.auth import CredentialsT
from mode.utils.queues import ThrowableQueue

from omniguard.adapters.kafka_again import ask_bootstrap_servers_again
from omniguard.adapters.kafka_client import tls_context
from omniguard.adapters.kafka_records import read_any_header_name
from omniguard.adapters.kafka_rewind import rewind_to_first_records
from omniguard.domain.record import Partition, Record
from omniguard.observability import METRICS
from omniguard.settings import KafkaSettings
from omniguard.stages.intake import Intake
from omniguard.stages.window import Window

log = structlog.get_logger("omniguard.worker")

COMMIT_SECONDS = 1.0
LAST_COMMIT_SECONDS = 5.0
READ_AHEAD = 8
"""Records read ahead, as a multiple of the window: with a buffer of one window Faust keeps pausing and resuming partitions."""
READ_AHEAD_BYTES = 16 * 1024 * 1024
"""Bytes read ahead at which reading stops, whatever the number of records: up to here memory grows with the size of events."""
LEAVE_SECONDS = 5.0
START_SECONDS = 10.0
"""How long a stop waits for a start that is under way."""
METADATA_SECONDS = 10.0
"""After which a worker asks anew who leads which partition: a leader that hangs or is cut off cannot say that it was replaced."""
NEVER_EVICT_SECONDS = 7 * 86_400.0
"""Faust stops polling while its buffer is full, and an event may take an hour: we watch liveness, not the poll interval."""


@dataclass(frozen=True, slots=True)
class Consuming:
    """What to consume, and how long a revoke or a stop may wait for running events, in seconds."""

    topic: str
    group: str
    window: int
    drain_timeout: float
    state_folder: Path


class _Boot(BootStrategy):
    """No web server (Faust's listens on every address), no producer (the publisher is our own)."""

    enable_web = False
    enable_kafka_producer = False


class ReadAhead(ThrowableQueue[Any]):
    """Faust's buffer of a stream, full at a number of bytes as well as of records: records may be a mebibyte each."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._bytes = 0
        super().__init__(*args, **kwargs)

    def full(self) -> bool:
        """True while whoever reads must wait."""
        return self._bytes >= READ_AHEAD_BYTES or bool(super().full())

    def clear(self) -> None:
        """Forget everything: the partitions were moved."""
        super().clear()
        self._bytes = 0

    def _put(self, item: Any) -> None:
        self._bytes += _size(item.message)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self._bytes -= _size(item.message)
        return item


class GuardApp(faust.App):
    """A Faust app whose wait on revoke and stop is the window's bounded drain, and whose reading ahead is bounded in bytes."""

    BootStrategy = _Boot
    window: Window
    intake: Intake
    drain_timeout: float

    def FlowControlQueue(self, maxsize: int | None = None, *, clear_on_resume: bool = False) -> ReadAhead:  # noqa: N802
        """Faust's hook for the buffer of a stream."""
        return ReadAhead(maxsize=maxsize, flow_control=self.flow_control, clear_on_resume=clear_on_resume)

    async def commit_released(self) -> None:
        """Commit what the window has released. What a rebalance takes away is dropped: its records come again."""
        epoch, offsets = self.window.epoch, self.window.take_committable()
        owned = self.consumer.assignment()
        wanted = {TopicPartition(*p): OffsetAndMetadata(offset, "") for p, offset in offsets.items() if TP(*p) in owned}
        if not wanted:
            return
        # Not by Faust's own `_commit`: it ends the app with every error.
        thread: Any = self.consumer._thread  # type: ignore[attr-defined]  # noqa: SLF001
        try:
            await thread.call_thread(thread._ensure_consumer().commit, wanted)  # noqa: SLF001
        except (CommitFailedError, IllegalStateError):
            log.info("offsets were not committed: the partitions were moved", count=len(wanted))
        except KafkaError as error:
            log.warning("offsets were not committed and will be offered again", error_type=type(error).__name__)
            self.window.put_back(offsets, epoch)

    async def records_wait(self) -> bool:
        """True if the broker has records that were not read yet. Hangs where the broker is away."""
        try:
            for tp in self.consumer.assignment():
                position = await self.consumer.position(tp)
                end = self.consumer.highwater(tp)
                if position is not None and end is not None and end > position:
                    return True
        except (KafkaError, ConsumerNotStarted):  # a rebalance under way
            return False
        return False

    def on_rebalance_start(self) -> None:
        """Faust's hook."""
        METRICS.count("omniguard_rebalances_total")
        super().on_rebalance_start()

    @property
    def consuming(self) -> bool:
        """True once partitions are assigned, or no partition is left for this worker, and no rebalance is under way."""
        return bool(self.started) and not self.rebalancing

    async def _consumer_wait_empty(self, consumer: Any, logger: Any) -> None:  # noqa: ARG002  Faust's hook for revoke and stop
        with METRICS.timed("omniguard_drain_seconds"):
            cancelled = await self.intake.drain(self.drain_timeout)
        METRICS.count("omniguard_drain_cancelled_events_total", cancelled)
        log.info("drained the window", count=cancelled)
        try:
            async with asyncio.timeout(LAST_COMMIT_SECONDS):
                await self.commit_released()
        except TimeoutError:
            log.warning("the last offsets were not committed in time; their events come again", limit_seconds=LAST_COMMIT_SECONDS)


def build_app(kafka: KafkaSettings, consuming: Consuming, window: Window, intake: Intake) -> GuardApp:
    """An app with one agent on one topic; start it with `running`."""
    read_any_header_name()
    ask_bootstrap_servers_again()
    rewind_to_first_records()
    # A coordinator that hangs is waited for as long as one request may take: Faust's 90 s would stop commits for so long. But
    # joining is a request too, and is answered when the slowest worker has drained.
    rebalance = consuming.drain_timeout + LAST_COMMIT_SECONDS + LEAVE_SECONDS
    app = GuardApp(
        consuming.group,
        broker=[f"kafka://{address}" for address in kafka.bootstrap.split(",")],
        broker_credentials=_credentials(kafka),
        broker_max_poll_interval=NEVER_EVICT_SECONDS,
        broker_max_poll_records=consuming.window,  # a poll is held whole, beside the buffer
        broker_rebalance_timeout=rebalance,
        broker_request_timeout=max(rebalance, kafka.session_timeout) + LEAVE_SECONDS,
        broker_session_timeout=kafka.session_timeout,
        broker_heartbeat_interval=kafka.session_timeout / 4,
        consumer_metadata_max_age_ms=round(METADATA_SECONDS * 1000),
        consumer_auto_offset_reset="earliest",  # for partitions added later; a first start is decided by `start_offsets`
        datadir=consuming.state_folder / "faust",
        stream_buffer_maxsize=READ_AHEAD * consuming.window,
        stream_wait_empty=False,
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )
    app.window, app.intake, app.drain_timeout = window, intake, consuming.drain_timeout
    topic = app.topic(consuming.topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=False)

    async def carry(stream: Any) -> None:
        try:
            async for event in stream.events():
                await intake.take(to_record(event.message))
        except Exception as error:  # noqa: BLE001  an agent that raises would go on behind the lost record: end the process instead
            window.fail(error)

    app.agent(topic, name="omniguard.carry")(carry)
    return app


def _credentials(kafka: KafkaSettings) -> CredentialsT | None:
    context = tls_context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        assert kafka.password is not None  # KafkaSettings demands it
        return faust.SASLCredentials(
            username=kafka.username,
            password=kafka.password.get_secret_value(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def _size(message: Any) -> int:
    return len(message.key or b"") + len(message.value or b"")


def to_record(message: Any) -> Record:
    """From Faust's message. Of duplicate header keys the last one is kept; a null header is read as an empty one."""
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return Record(
        partition=Partition(message.topic, message.partition),
        offset=message.offset,
        key=message.key,
        value=message.value,
        timestamp=_time(message.timestamp),
        headers={name: value or b"" for name, value in pairs},
    )


def _time(seconds: float | None) -> datetime:
    """The record's time; now where a producer wrote nonsense into it."""
    try:
        return datetime.fromtimestamp(seconds or 0.0, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.now(UTC)


@asynccontextmanager
async def running(app: GuardApp) -> AsyncIterator[asyncio.Task[None]]:
    """Run the app and commit what is released, until the block ends. The task it gives ends only by failing."""
    app.finalize()
    await _start(app)
    committing = asyncio.create_task(_commit_for_ever(app))
    failing = asyncio.create_task(_fail_with(app, committing))
    try:
        yield failing
    finally:
        failing.cancel()
        await _stop(app)
        committing.cancel()
        await asyncio.gather(failing, committing, return_exceptions=True)


async def _start(app: GuardApp) -> None:
    """Start Faust. Cut off or failed midway it would leave its consumer's thread behind, with the process and its partitions."""
    starting = asyncio.create_task(app.start())
    try:
        await asyncio.shield(starting)
    except BaseException:
        await asyncio.wait({starting}, timeout=START_SECONDS)
        await _stop(app)
        starting.cancel()
        raise


async def _stop(app: GuardApp) -> None:
    """Stop Faust. Without a broker its consumer waits for ever to leave the group: then the process ends without its farewell."""
    stopping = asyncio.create_task(app.stop())
    await asyncio.wait({stopping}, timeout=app.drain_timeout + LAST_COMMIT_SECONDS + LEAVE_SECONDS)
    if stopping.done():
        stopping.result()
    else:
        log.warning("the consumer did not leave its group in time", limit_seconds=LEAVE_SECONDS)
        stopping.cancel()


async def _commit_for_ever(app: GuardApp) -> None:
    while True:
        await asyncio.sleep(COMMIT_SECONDS)
        await app.commit_released()


async def _fail_with(app: GuardApp, committing: asyncio.Task[None]) -> None:
    """Raise as soon as the window, the commits or Faust itself have failed."""
    stopped = asyncio.create_task(app.wait_until_stopped())
    try:
        await asyncio.wait({stopped, committing, app.window.crashed}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
    for failed in (app.window.crashed, committing):
        if failed.done():
            failed.result()
    raise RuntimeError(f"Faust stopped by itself: {app.crash_reason!r}")
