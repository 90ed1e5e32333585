"""Where Kafka and Triton are, for commands: the option, else the environment, else the developer stack that runs here."""

from __future__ import annotations

import importlib.util
import os
from typing import Annotated

import typer

from omniguard.settings import PREFIX, KafkaSettings, load_settings

Bootstrap = Annotated[
    str | None, typer.Option("--kafka", help="Bootstrap servers. [default: the environment, then the developer stack]")
]
Prefix = Annotated[
    str | None, typer.Option("--prefix", help="Put before every topic name. [default: OMNIGUARD_KAFKA__TOPIC_PREFIX]")
]


def kafka_settings(kafka: str | None, prefix: str | None) -> KafkaSettings:
    """Settings of the broker.

    Raises:
        Misconfigured: a setting is wrong.

    """
    given = {name: value for name, value in (("bootstrap", kafka), ("topic_prefix", prefix)) if value is not None}
    if kafka is None and f"{PREFIX}KAFKA__BOOTSTRAP" not in os.environ and (running := developer_stack().get("kafka")):
        given["bootstrap"] = running
    return load_settings(kafka=given).kafka


def triton_address(triton: str | None) -> str | None:
    """gRPC address; None if nobody named one and none runs here."""
    return triton or os.environ.get(f"{PREFIX}TRITON__ADDRESSES") or developer_stack().get("triton")


def developer_stack() -> dict[str, str]:
    """Addresses of the parts that `omniguard dev up` or `omniguard demo --keep` started and that serve now."""
    if importlib.util.find_spec("psutil") is None or importlib.util.find_spec("filelock") is None:
        return {}  # without the extra `dev` there is none
    from omniguard.devstack import Stack
    from omniguard.entrypoints.dev import default_state_dir

    for folder in (default_state_dir(), default_state_dir().with_name("demo")):
        urls = {name: url for part in Stack(folder).status() if part.healthy for name, url in part.urls.items()}
        if urls:
            return urls
    return {}
