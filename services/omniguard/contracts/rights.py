"""Which rights each component needs at the broker, as Kafka's ACLs name them: derived from the declared topics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from omniguard.contracts.topics import WORKERS, Component, Topics

_OPERATOR = ("Create", "Alter", "AlterConfigs", "DescribeConfigs")
"""What `omniguard topics apply` does to a topic, beside reading and writing."""


@dataclass(frozen=True, slots=True)
class Right:
    """Operations allowed on one resource, by its exact name."""

    resource: Literal["topic", "group"]
    name: str
    operations: tuple[str, ...]


def rights(topics: Topics, component: Component) -> tuple[Right, ...]:
    """All that a component needs. Who reads with a group of its own choice (consumer) must add that group."""
    found = []
    for topic in topics.all:
        operations = ["Describe"] if component in topic.readers | topic.writers else []
        operations += ["Read"] * (component in topic.readers) + ["Write"] * (component in topic.writers)
        if component is Component.OPERATOR:
            operations += _OPERATOR
        if operations:
            found.append(Right("topic", topic.name, tuple(operations)))
    if component is Component.PROBE:  # it looks how far the workers are, and reads in no group
        return (*found, *(Right("group", topics.group(lane), ("Describe",)) for lane in WORKERS))
    return (*found, *(Right("group", name, ("Describe", "Read")) for name in _groups(topics, component)))


def _groups(topics: Topics, component: Component) -> list[str]:
    lanes = [topics.group(lane) for lane, worker in WORKERS.items() if worker is component]
    return [topics.emerging_group] if component is Component.EMERGING else lanes
