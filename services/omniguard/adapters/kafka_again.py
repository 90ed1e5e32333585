"""Bootstrap servers are asked again where no broker that a client knows answers.

aiokafka asks only the brokers of the last answer it had. One that is given while a cluster elects a controller may name a single
broker, and all may be replaced while a worker is parted from them: then it would wait for ever for addresses that nobody has. One
may even name no broker at all: then it would end by an AssertionError, and the worker with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, NodeNotReadyError
from aiokafka.protocol.metadata import MetadataRequest

__all__ = ["ask_bootstrap_servers_again"]

_OPTIONS = (
    "client_id",
    "request_timeout_ms",
    "ssl_context",
    "security_protocol",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
)
_ask_known = AIOKafkaClient._metadata_update  # noqa: SLF001
_any_known = AIOKafkaClient.get_random_node


def ask_bootstrap_servers_again() -> None:
    """Let every client of this process do so, those of Faust included."""
    AIOKafkaClient._metadata_update = _ask  # noqa: SLF001
    AIOKafkaClient.get_random_node = _any


async def _ask(client: Any, cluster: Any, topics: Iterable[str]) -> bool:
    """In the place of aiokafka's own: True if the cluster's metadata are new."""
    return bool(await _ask_known(client, cluster, topics)) or await _ask_bootstrap(client, cluster, topics)


def _any(client: Any) -> int:
    """In the place of aiokafka's own, which returns None where no broker is known; callers ask again after this error."""
    node: int | None = _any_known(client)
    if node is None:
        raise NodeNotReadyError("no broker was named so far")
    return node


async def _ask_bootstrap(client: Any, cluster: Any, topics: Iterable[str]) -> bool:
    options = {name: getattr(client, f"_{name}") for name in _OPTIONS}
    for host, port, _ in client.hosts:
        try:
            connection = await create_conn(host, port, **options)
            try:
                answer = await connection.send(MetadataRequest(list(topics) if topics else None))
            finally:
                connection.close()
        except (OSError, KafkaError, TimeoutError):
            continue
        if answer.brokers:
            cluster.update_metadata(answer)
            return True
    return False
