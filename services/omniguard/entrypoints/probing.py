"""One probe: uploads of the reserved tenant go out, their verdicts come back; what does not is told by the step it stands at."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, for_code

from omniguard.adapters.kafka_client import client_options, quieten
from omniguard.adapters.kafka_publisher import discard
from omniguard.contracts import verdict
from omniguard.contracts.topics import Topics
from omniguard.contracts.verdict import VerdictData
from omniguard.domain.decision import Status
from omniguard.domain.lane import Lane
from omniguard.domain.policy import Action
from omniguard.domain.taxonomy import TEST, TEST_PHRASE
from omniguard.domain.tenant import RESERVED
from omniguard.entrypoints.reading import partitions, reader
from omniguard.entrypoints.uploads import content_event
from omniguard.errors import Misconfigured
from omniguard.settings import KafkaSettings

__all__ = ["Expect", "Outcome", "Step", "judge", "probe", "texts"]

LOOK_SECONDS = 10.0
"""For asking the broker about the group, once the verdict is late."""
_COMPONENT = "probe"
_PAUSE_SECONDS = 0.3


class Expect(StrEnum):
    """What counts as right: the right actions, or any final verdict, where nobody knows how well the engine judges."""

    RIGHT = "right"
    FINAL = "final"


class _NotTaken(Exception):
    """The broker's error."""


class Step(StrEnum):
    """How far an upload came."""

    NOT_TAKEN = "not_taken"
    NOT_CONSUMED = "not_consumed"
    NO_VERDICT = "no_verdict"
    INDETERMINATE = "indeterminate"
    WRONG = "wrong"
    RIGHT = "right"


@dataclass(slots=True)
class Outcome:
    """One upload, and what became of it. `partition` and `offset` are where the broker put it, `seconds` to the last verdict."""

    name: str
    content_id: str
    step: Step = Step.NOT_TAKEN
    message: str = ""
    partition: int | None = None
    offset: int | None = None
    committed: int | None = None
    seconds: float | None = None
    verdict: VerdictData | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """The record's key."""
        return f"{RESERVED}|{self.content_id}"


async def probe(kafka: KafkaSettings, lane: Lane, expect: Expect, seconds: float) -> list[Outcome]:
    """Publish a harmless and a harmful text, and wait for both verdicts, at most `seconds` in all.

    Raises:
        BrokerAway: no broker answers.
        Misconfigured: the broker does not let us in, a topic is missing, or a right.

    """
    quieten()
    topics, sent = Topics(kafka.topic_prefix), texts()
    outcomes = [Outcome(name, f"probe-{name}-{secrets.token_hex(6)}") for name in sent]
    began = time.monotonic()
    async with reader(kafka) as consumer:
        consumer.assign(await partitions(kafka, [topics.verdicts], component=_COMPONENT))
        await consumer.seek_to_end()
        for partition in consumer.assignment():
            await consumer.position(partition)  # else "the end" would be wherever it is at the first fetch
        try:
            async with asyncio.timeout(seconds):
                await _publish(kafka, topics.content(lane), outcomes, sent)
                await _read(consumer, outcomes, expect, began)
        except (TimeoutError, _NotTaken) as error:
            await _explain(kafka, topics, lane, outcomes, str(error) or f"no answer within {seconds:g} s")
    return outcomes


def judge(name: str, said: VerdictData, expect: Expect) -> tuple[Step, str] | None:
    """What a verdict on the upload of that name means; None where a better one may follow it."""
    if said.enforce:
        return Step.WRONG, f"found a verdict that says enforce; expected none for {RESERVED}: see who else publishes verdicts"
    if said.status is Status.INDETERMINATE:
        passing = said.reason is not None and said.reason.passing
        return None if passing else (Step.INDETERMINATE, _indeterminate(said))
    if said.status is not Status.FINAL:
        return None
    named = {category.name for category in said.categories if category.named}
    found = f"{said.action}{' for ' + ', '.join(sorted(named)) if named else ''}"
    if expect is Expect.FINAL or _is_right(name, said.action, named):
        return Step.RIGHT, found
    wanted = "allow" if name == "harmless" else f"review or block for {TEST}"
    return Step.WRONG, f"found {found}, expected {wanted}: the guard misjudges; see `omniguard eval`, or --expect final"


def _is_right(name: str, action: Action, named: set[str]) -> bool:
    return action is Action.ALLOW if name == "harmless" else action is not Action.ALLOW and TEST in named


def _indeterminate(said: VerdictData) -> str:
    problems = "; ".join(dict.fromkeys(problem.message for problem in said.problems))
    return f"found indeterminate: {said.reason}{f' ({problems})' if problems else ''}, expected a final verdict"


def texts() -> dict[str, str]:
    """What is published, by the upload's name: new words each time, for what was judged before is answered from the cache."""
    number = secrets.randbelow(900_000) + 100_000
    return {
        "harmless": f"We planted tulips and herbs in the garden this morning. Order number {number} is ready for pickup.",
        "harmful": f"{TEST_PHRASE} {number}",
    }


async def _publish(kafka: KafkaSettings, topic: str, outcomes: Sequence[Outcome], words: Mapping[str, str]) -> None:
    try:
        async with _producer(kafka) as producer:
            for each in outcomes:
                parts = [{"id": "p0", "modality": "text", "text": words[each.name]}]
                sent = content_event(topic, parts, tenant=RESERVED, content_id=each.content_id)
                taken = await producer.send_and_wait(sent.topic, sent.value, sent.key, headers=list(sent.headers.items()))
                each.step, each.partition, each.offset = Step.NOT_CONSUMED, taken.partition, taken.offset
    except TopicAuthorizationFailedError as error:
        raise Misconfigured(
            f"found no right to write to {topic}, expected it: add what `omniguard topics acls {_COMPONENT}` lists"
        ) from error
    except KafkaError as error:
        raise _NotTaken(type(error).__name__) from error


@asynccontextmanager
async def _producer(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(acks="all", client_id="omniguard-probe", **client_options(kafka))
    try:
        await producer.start()
        yield producer
    finally:
        await discard(producer)


async def _read(consumer: AIOKafkaConsumer, outcomes: Sequence[Outcome], expect: Expect, began: float) -> None:
    open_ = {each.key.encode(): each for each in outcomes}
    while open_:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                each = open_.get(record.key)
                if each is None:
                    continue
                each.verdict = verdict.decode(record.value, dict(record.headers))
                each.seconds = round(time.monotonic() - began, 3)
                if (meaning := judge(each.name, each.verdict, expect)) is not None:
                    each.step, each.message = meaning
                    del open_[record.key]


async def _explain(kafka: KafkaSettings, topics: Topics, lane: Lane, outcomes: Sequence[Outcome], why: str) -> None:
    """Say of each late upload at which step it stands."""
    topic, group = topics.content(lane), topics.group(lane)
    late = [each for each in outcomes if each.step in (Step.NOT_TAKEN, Step.NOT_CONSUMED)]
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            committed, state = await _group(kafka, group)
    except (KafkaError, TimeoutError) as error:
        committed, state = {}, f"group {group} cannot be asked ({type(error).__name__})"
    for each in late:
        if each.partition is None or each.offset is None:
            each.message = f"not taken into {topic} by the broker at {kafka.bootstrap} ({why}): see the brokers"
            continue
        each.committed = committed.get(TopicPartition(topic, each.partition))
        where = f"taken into {topic} {each.partition}/{each.offset}"
        past = each.committed is not None and each.committed > each.offset
        if each.verdict is not None:
            each.step = Step.INDETERMINATE
            each.message = f"{where}; {_indeterminate(each.verdict)} ({why}); this reason may pass"
        elif past:
            each.step = Step.NO_VERDICT
            each.message = (
                f"{where}, group {group} has committed past it, and no verdict came ({why}): it is on a slower lane or "
                "a dead letter; see `omniguard dlq list`"
            )
        else:
            stands = "nothing" if each.committed is None else f"offset {each.committed}"
            each.message = f"{where}; group {group} has committed {stands}, not past it ({why}); {state}"


async def _group(kafka: KafkaSettings, group: str) -> tuple[dict[TopicPartition, int], str]:
    """The group's committed offsets, and in words whether anybody is in it."""
    admin = AIOKafkaAdminClient(**client_options(kafka))
    try:
        await admin.start()
        while True:
            try:
                offsets = await admin.list_consumer_group_offsets(group)
                (answer,) = await admin.describe_consumer_groups([group])
                (code, _, state, _, _, members, *_), *_ = answer.groups
                if not for_code(code).retriable:
                    break
            except KafkaError as error:
                if not error.retriable:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)  # a new cluster makes the topic of offsets when it is first asked for
    finally:
        await admin.close()
    if code:
        return {}, f"found no right to see group {group}: add what `omniguard topics acls {_COMPONENT}` lists"
    many = f"{len(members)} worker{'' if len(members) == 1 else 's'} in the group"
    told = f"{many}, {state.lower()}" if members else "no worker is in the group: see that one runs on this lane, and its log"
    return {p: found.offset for p, found in offsets.items() if found.offset >= 0}, told
