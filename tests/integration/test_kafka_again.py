"""A client whose brokers have all gone finds the cluster again by its bootstrap servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.structs import BrokerMetadata

from omniguard.adapters import kafka_again
from omniguard.adapters.kafka_again import ask_bootstrap_servers_again
from origins import free_ports

pytestmark = pytest.mark.stack


@pytest.fixture
def as_it_was() -> Iterator[None]:
    before = AIOKafkaClient._metadata_update, AIOKafkaClient.get_random_node
    AIOKafkaClient._metadata_update, AIOKafkaClient.get_random_node = kafka_again._ask_known, kafka_again._any_known
    yield
    AIOKafkaClient._metadata_update, AIOKafkaClient.get_random_node = before


async def test_brokers_that_have_gone_are_replaced_by_those_that_the_bootstrap_servers_name(
    kafka_url: str, as_it_was: None
) -> None:
    client = AIOKafkaClient(bootstrap_servers=kafka_url, request_timeout_ms=5_000)
    await client.bootstrap()
    try:
        (known,) = client.cluster.brokers()
        client.cluster._brokers = {9: BrokerMetadata(9, "127.0.0.1", free_ports(1)[0], None)}
        assert not await client.force_metadata_update()
        ask_bootstrap_servers_again()
        assert await client.force_metadata_update()
        assert list(client.cluster.brokers()) == [known]
    finally:
        await client.close()


async def test_where_no_bootstrap_server_answers_either_nothing_is_new(kafka_url: str, as_it_was: None) -> None:
    client = AIOKafkaClient(bootstrap_servers=kafka_url, request_timeout_ms=5_000)
    await client.bootstrap()
    try:
        client.cluster._brokers = {9: BrokerMetadata(9, "127.0.0.1", free_ports(1)[0], None)}
        client._bootstrap_servers = f"127.0.0.1:{free_ports(1)[0]}"
        ask_bootstrap_servers_again()
        assert not await client.force_metadata_update()
    finally:
        await client.close()


async def test_an_answer_without_a_broker_is_asked_about_again(kafka_url: str, as_it_was: None) -> None:
    """As a broker gives it that is parted from its controller: the group's coordinator is looked for once there are brokers."""
    consumer = AIOKafkaConsumer(group_id="again", bootstrap_servers=kafka_url, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition("again", 0)])
        consumer._client.cluster._brokers = {}
        ask_bootstrap_servers_again()
        assert await consumer.committed(TopicPartition("again", 0)) is None
    finally:
        await consumer.stop()
