"""Bootstrap servers are asked again where no broker that a client knows answers.

aiokafka asks only the brokers of the last answer it had. One that is given while a cluster elects a controller may name a single
broker, and all may be replaced while a worker is parted from them: then it would wait for ever for addresses that nobody has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
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


def ask_bootstrap_servers_again() -> None:
    """Let every client of this process do so, those of Faust included."""
    AIOKafkaClient._metadata_update = _ask  # noqa: SLF001


async def _ask(client: Any, cluster: Any, topics: Iterable[str]) -> bool:
    """In the place of aiokafka's own: True if the cluster's metadata are new."""
    return bool(await _ask_known(client, cluster, topics)) or await _ask_bootstrap(client, cluster, topics)


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
