"""The declared topics against those of a broker: compare, create, and raise. Never deletes, never lowers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidPartitionsError, KafkaError, TopicAlreadyExistsError, for_code

from omniguard.adapters.kafka_client import refusal
from omniguard.contracts.topics import Topic
from omniguard.errors import Misconfigured

_SETTLE_SECONDS = 10
_TOPIC_CONFIG = 1  # config_source DYNAMIC_TOPIC_CONFIG: set on the topic itself
_APPLY = "omniguard topics apply"
_TOPIC = "topic"
_EXACT = {"cleanup.policy": "set it by hand: records may be deleted once it is changed", "message.timestamp.type": _APPLY}
_KEPT = {
    "retention.ms": "records are kept longer than declared: lower it by hand, or say so where you say how long data are kept",
    "segment.ms": _APPLY,
}
"""Settings that keep records longer when they are larger, and what to do then."""
_INTERNAL = frozenset({"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"})


class NoBroker(Misconfigured):
    """Nobody answers at the address. One may do so later."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting of a topic that is not as declared. `apply` would mend it where `mendable`; elsewhere `do` says who must."""

    topic: str
    setting: str
    found: str
    expected: str
    mendable: bool
    do: str

    @property
    def missing(self) -> bool:
        """True where there is no such topic at all, so that nobody can work with it."""
        return self.setting == _TOPIC


@dataclass(frozen=True, slots=True)
class _Existing:
    partitions: int
    configs: Mapping[str, str]
    own: Mapping[str, str]


class TopicsAdmin:
    """Speaks to one cluster. Use as an async context manager.

    Every method raises:
        NoBroker: nobody answers, or the brokers cannot now (told where the block ends); it is a Misconfigured.
        Misconfigured: the broker refuses (no right, a setting that it does not take).
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        """`options` are those of `kafka_client.client_options`."""
        self._options = options

    async def __aenter__(self) -> Self:
        """Connect."""
        self._client = AIOKafkaAdminClient(**{"request_timeout_ms": 15_000, **self._options})
        try:
            await self._client.start()
        except KafkaError as error:
            await self._client.close()
            if found := await refusal(self._options):
                raise Misconfigured(found.message) from error
            where = self._options.get("bootstrap_servers")
            raise NoBroker(f"no Kafka answers at {where}; expected a broker: start it, or correct the address") from error
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._client.close()
        if isinstance(error, KafkaError) and error.retriable:
            where = self._options.get("bootstrap_servers")
            raise NoBroker(f"found {type(error).__name__} of Kafka at {where}, expected an answer: see the brokers") from error

    async def check(self, topics: Sequence[Topic]) -> list[Difference]:
        """Compare; empty if the broker has what is declared or more of it."""
        existing = await self._existing(topics)
        return [d for topic in topics for d in compare(topic, existing.get(topic.name))]

    async def apply(
        self, topics: Sequence[Topic], *, replication: int | None = None
    ) -> tuple[list[Difference], list[Difference]]:
        """Create what is missing and raise what is too small; return the differences mended, and those left.

        Args:
            topics: the declared ones.
            replication: copies of a new topic's partitions; None takes three, or as many as there are brokers.

        """
        existing = await self._existing(topics)
        missing = [t for t in topics if t.name not in existing]
        if missing:
            await self._create(missing, replication or min(3, await self._brokers()))
        for topic in topics:
            if topic.name in existing:
                await self._raise(topic, existing[topic.name])
        mended = [d for topic in topics for d in compare(topic, existing.get(topic.name)) if d.mendable]
        return mended, await self._settled(topics)

    async def _settled(self, topics: Sequence[Topic]) -> list[Difference]:
        """What is left once the brokers have heard of the changes, which they do a little after the controller agreed."""
        for _ in range(_SETTLE_SECONDS * 10):
            left = await self.check(topics)
            if not any(d.mendable for d in left):
                break
            await asyncio.sleep(0.1)
        return left

    async def _create(self, topics: Sequence[Topic], replication: int) -> None:
        new = [NewTopic(t.name, t.partitions, replication, topic_configs=t.configs) for t in topics]
        response = await self._client.create_topics(new)
        for name, code, message in response.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise _refused(f"create topic {name}", for_code(code), message)

    async def _raise(self, topic: Topic, found: _Existing) -> None:
        wrong = {d.setting: d.expected for d in compare(topic, found) if d.mendable}
        if wrong.pop("partitions", None) is not None:
            try:
                await self._client.create_partitions({topic.name: NewPartitions(topic.partitions)})
            except InvalidPartitionsError:
                pass  # somebody raised them at the same time; what is left is looked for at the end
            except KafkaError as error:
                raise _refused(f"raise the partitions of {topic.name}", type(error), str(error)) from error
        if not wrong:
            return
        # This request replaces all that is set on the topic, so what the operator set beside ours goes along.
        resource = ConfigResource(ConfigResourceType.TOPIC, topic.name, {**found.own, **wrong})
        for response in await self._client.alter_configs([resource]):
            for code, message, *_ in response.resources:
                if code:
                    raise _refused(f"change the settings of {topic.name}", for_code(code), message)

    async def _existing(self, topics: Sequence[Topic]) -> dict[str, _Existing]:
        # All topics, not ours by name: brokers that create topics by themselves would create those asked for.
        named = {t.name for t in topics}
        partitions = {}
        for found in await self._client.describe_topics():
            if found["topic"] in named:
                if found["error_code"]:
                    raise _refused(f"describe topic {found['topic']}", for_code(found["error_code"]), None)
                partitions[found["topic"]] = len(found["partitions"])
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in partitions]
        configs = await self._client.describe_configs(resources) if resources else []
        return {
            name: _Existing(partitions[name], {e[0]: e[1] for e in entries}, _own(entries))
            for response in configs
            for name, entries in _entries(response)
        }

    async def _brokers(self) -> int:
        return len((await self._client.describe_cluster())["brokers"])


def compare(topic: Topic, found: _Existing | None) -> list[Difference]:
    """What differs. More partitions, a longer retention and larger messages than declared are no fault of the service's.

    But a longer retention keeps users' data longer than docs/data.md says: it is told, and left to the operator, who may want it.
    """
    if found is None:
        return [Difference(topic.name, _TOPIC, "none", f"{topic.partitions} partitions", True, _APPLY)]
    result = []
    if found.partitions < topic.partitions:
        do = "omniguard topics apply; keys move to other partitions, so let the topic run empty first"
        result.append(Difference(topic.name, "partitions", str(found.partitions), str(topic.partitions), True, do))
    told = (_difference(topic, setting, found.configs.get(setting, ""), declared) for setting, declared in topic.configs.items())
    return [*result, *(d for d in told if d is not None)]


def _difference(topic: Topic, setting: str, value: str, declared: str) -> Difference | None:
    if setting in _EXACT:
        differs, do = value != declared, _EXACT[setting]
    elif _above(value, declared):
        differs, do = setting in _KEPT, _KEPT.get(setting, _APPLY)
    else:
        differs, do = value != declared and setting != "segment.ms", _APPLY
    return Difference(topic.name, setting, value, declared, do == _APPLY, do) if differs else None


def _above(value: str, declared: str) -> bool:
    return value == "-1" or int(value or 0) > int(declared)


def _entries(response: Any) -> list[tuple[str, list[Any]]]:
    result = []
    for code, message, _, name, entries in response.resources:
        if code:
            raise _refused(f"read the settings of {name}", for_code(code), message)
        result.append((name, entries))
    return result


def _own(entries: Sequence[Any]) -> dict[str, str]:
    return {e[0]: e[1] for e in entries if e[3] == _TOPIC_CONFIG and e[1] is not None and e[0] not in _INTERNAL}


def _refused(what: str, error: type[BaseException], message: str | None) -> Misconfigured:
    why = f"{error.__name__} {message or ''}".strip()
    return Misconfigured(f"the broker refused to {what}: {why}; expected an account with the rights of `operator`")
