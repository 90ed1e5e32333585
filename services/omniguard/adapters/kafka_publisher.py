"""Publishes to Kafka: idempotent, acknowledged by every in-sync replica, and waiting where the broker is away."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidRequiredAcksError,
    InvalidTopicError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    ProducerClosed,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnsupportedForMessageFormatError,
)

from omniguard.adapters.kafka_client import client_options, nobody_answers, quieten, refusal
from omniguard.errors import Misconfigured
from omniguard.observability import METRICS, Metrics
from omniguard.ports import Message
from omniguard.settings import KafkaSettings

__all__ = ["KafkaPublisher", "discard"]

_log = structlog.get_logger(__name__)

_REFUSED: dict[type[KafkaError], str] = {
    TopicAuthorizationFailedError: "the right to write: add what `omniguard topics acls` lists",
    ClusterAuthorizationFailedError: "the right to write idempotently: grant IdempotentWrite on the cluster",
    MessageSizeTooLargeError: "a record that fits: raise the topic's max.message.bytes and kafka.max_message_bytes",
    RecordListTooLargeError: "a record that fits: raise the topic's max.message.bytes and segment.bytes",
    InvalidTopicError: "a valid name: correct kafka.topic_prefix",
    InvalidRequiredAcksError: "a broker that takes acks=all",
    PolicyViolationError: "a record that the broker's policy takes",
    UnsupportedForMessageFormatError: "a topic of message format 2 or later",
}
"""Errors that no retry heals, with what was expected."""
_BATCH_BYTES = 64 * 1024
_HANDED_OVER = 256
"""Records handed to the producer at once: each time a batch leaves, aiokafka wakes every caller that waits for room."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class KafkaPublisher:
    """`ports.Publisher` over one idempotent producer, which is made anew where it cannot recover by itself.

    Records of one key keep the order in which their `publish` calls began. Where the producer had to be made anew in
    between, a record may be there twice.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        request_timeout: float = 20.0,
        stall: float = 60.0,
        watch: float = 5.0,
        metrics: Metrics = METRICS,
    ) -> None:
        """A record unacknowledged for `stall` seconds costs the producer its place; the broker is asked every `watch`."""
        self._settings = settings
        self._request_timeout = request_timeout
        self._stall = stall
        self._watch = watch
        self._metrics = metrics
        self._producer: Any = None
        self._making = asyncio.Lock()
        self._handed_over = asyncio.Semaphore(_HANDED_OVER)
        self._tasks: set[asyncio.Task[None]] = set()
        self._available = False
        self._was_in = False
        self._told = ""
        self._away_since = time.monotonic()
        self._failures = 0
        self._stopped = False
        metrics.set("omniguard_publisher_available", 0)

    @property
    def available(self) -> bool:
        """True while the broker answers; readiness shows it."""
        return self._available

    async def start(self) -> None:
        """Connect, waiting as long as no broker answers, and watch it from then on.

        Raises:
            Misconfigured: the brokers do not let us in, or not publish at all. Once in, a refused login is waited out like a
                broker that is away: it may be the broker's own trouble, and what is under way is not lost.

        """
        quieten()
        await self._current()
        self._background(self._keep_watch())

    async def stop(self, limit: float = 10.0) -> None:
        """Wait at most `limit` seconds for what is being published; what is then unfinished fails in its `publish`."""
        self._stopped = True
        producer, self._producer = self._producer, None
        for task in tuple(self._tasks):
            task.cancel()
        if producer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await producer.flush()
            await discard(producer)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._available = False
        self._metrics.set("omniguard_publisher_available", 0)

    async def publish(self, message: Message) -> None:
        """Return when every in-sync replica has the record; wait as long as the broker is away.

        Raises:
            Misconfigured: the broker refuses the record for good; the message says why, without its content.
            ValueError: neither key nor value.
            RuntimeError: the publisher was stopped.

        """
        if message.key is None and message.value is None:
            raise ValueError(f"record for {message.topic}: found neither key nor value, expected one at least")
        async with self._handed_over:
            await self._publish(message)

    async def _publish(self, message: Message) -> None:
        while True:
            producer, sent = await self._current(), False
            try:
                acknowledged = await self._hand_over(producer, message)
                sent = True
                await asyncio.wait_for(acknowledged, self._stall)
            except KafkaTimeoutError:
                continue  # the batch was full for the whole request time-out; nothing was handed over
            except tuple(_REFUSED) as error:
                if sent:
                    self._replace(producer, error)
                raise _refusal(message.topic, error) from error
            except (KafkaError, TimeoutError) as error:
                self._replace(producer, error)  # the pause before the next one is in `_make`, so that all wait in line
            else:
                self._failures = 0
                self._set_available(True)
                self._metrics.count("omniguard_published_total")
                return

    async def _hand_over(self, producer: Any, message: Message) -> asyncio.Future[Any]:
        if producer.client.cluster.partitions_for_topic(message.topic) is None:
            await self._await_topic(producer, message.topic)
        headers = list(message.headers.items())
        future: asyncio.Future[Any] = await producer.send(message.topic, message.value, message.key, headers=headers)
        return future

    async def _await_topic(self, producer: Any, topic: str) -> None:
        """Wait until the topic is known. Only an answering broker's word counts: without one, it is no more than away."""
        since: float | None = None
        cluster = producer.client.cluster
        producer.client.add_topic(topic)
        while True:
            # The limit also ends the wait on a client that was closed meanwhile: its updates never come.
            answered = await asyncio.wait_for(producer.client.force_metadata_update(), self._request_timeout)
            self._set_available(answered)
            if cluster.partitions_for_topic(topic) is not None:
                return
            if topic in cluster.unauthorized_topics:
                raise TopicAuthorizationFailedError(topic)
            now = time.monotonic()
            since = (since or now) if answered else None
            if since is not None and now - since > self._settings.unknown_topic_seconds:
                raise Misconfigured(
                    f"topic {topic}: found unknown to the broker, expected it to exist: run `omniguard topics apply`"
                )
            await asyncio.sleep(_FIRST_PAUSE)

    async def _current(self) -> Any:
        """The producer in force. The lock is fair, so callers go on in the order in which they came, also after a failure."""
        async with self._making:
            if self._producer is None:
                self._producer = await self._make()
            return self._producer

    async def _make(self) -> Any:
        while not self._stopped:
            if self._failures:
                pause = min(_FIRST_PAUSE * 2 ** min(self._failures, 10), _LONGEST_PAUSE)
                await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311  jitter
            producer = self._build()
            try:
                await producer.start()
            except tuple(_REFUSED) as error:
                await discard(producer)
                raise _refusal("any topic", error) from error
            except (KafkaError, OSError, TimeoutError):
                await discard(producer)
                self._failures += 1
                self._set_available(False)
                await self._explain()
            except asyncio.CancelledError:
                await discard(producer)
                raise
            else:
                self._set_available(True)
                self._told = ""
                return producer
        raise RuntimeError("found a record to publish, expected none after stop()")

    async def _explain(self) -> None:
        """Tell once why no broker lets us in; raise it where we never were in and only an operator can help."""
        found = await refusal(client_options(self._settings))
        reason = nobody_answers(self._settings.bootstrap) if found is None else Misconfigured(found.message)
        if found is not None and found.final and not self._was_in:
            raise reason
        if str(reason) != self._told:
            _log.error("waiting for a broker" if found is None else "the broker does not let us in", exc_info=reason)
        self._told = str(reason)

    def _build(self) -> Any:
        codec = self._settings.compression
        return AIOKafkaProducer(
            **client_options(self._settings),
            client_id="omniguard-publisher",
            acks="all",
            enable_idempotence=True,
            compression_type=None if codec == "none" else codec,
            max_batch_size=_BATCH_BYTES,
            max_request_size=self._settings.max_message_bytes,
            request_timeout_ms=round(self._request_timeout * 1000),
            metadata_max_age_ms=60_000,
        )

    def _replace(self, producer: Any, error: BaseException) -> None:
        """Give a producer up: after a failed batch its sequence numbers have a hole that no later batch gets over."""
        if producer is self._producer:
            self._producer = None
            self._failures += 1
            self._metrics.count("omniguard_publisher_replaced_total")
            _log.warning("producer given up", error_type=type(error).__name__)
            self._background(discard(producer))

    async def _keep_watch(self) -> None:
        """Ask the broker now and then: an idempotent producer waits in silence while it is away."""
        while True:
            await asyncio.sleep(self._watch)
            try:
                producer = await self._current()
            except Misconfigured:  # every `publish` tells it; here it only means not ready
                continue
            answered = False
            with contextlib.suppress(TimeoutError):
                answered = await asyncio.wait_for(producer.client.force_metadata_update(), self._watch)
            self._set_available(answered)
            if not answered and time.monotonic() - self._away_since > self._stall:
                self._replace(producer, KafkaConnectionError())  # the brokers may have moved: ask the bootstrap servers anew

    def _set_available(self, available: bool) -> None:
        if available is not self._available:
            _log.info("broker answers the publisher" if available else "broker does not answer the publisher")
            self._away_since = time.monotonic()
        self._available = available
        self._was_in = self._was_in or available
        self._metrics.set("omniguard_publisher_available", int(available))

    def _background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _refusal(topic: str, error: KafkaError) -> Misconfigured:
    expected = next(what for kind, what in _REFUSED.items() if isinstance(error, kind))
    return Misconfigured(f"topic {topic}: found {type(error).__name__} from the broker, expected {expected}")


async def discard(producer: Any) -> None:
    """Stop a producer now. What it still holds fails back to its callers, who hand it to the next one.

    aiokafka's own `stop` flushes without a limit, which never ends while the broker is away; failing its batches first is
    what its sender does itself when it dies.
    """
    producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001
    # KeyError: its sender was about to put back a batch that has just been failed, and ends on missing it.
    with contextlib.suppress(TimeoutError, KeyError):
        async with asyncio.timeout(5.0):
            await producer.stop()
    await producer.client.close()
