"""Settings of what the service connects to: addresses, logins, TLS files. `settings.py` has the whole tree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

__all__ = ["Count", "Group", "KafkaSettings", "RedisSettings", "Seconds", "TritonSettings", "by_commas"]

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
_HEADER = r"^[a-z0-9_.-]+$"


class Group(BaseModel):
    """A frozen group; an unknown name is an error, so that a misspelt variable does not pass unseen."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: Any) -> Any:
        """Fill each secret from its `*_file` twin."""
        if not isinstance(values, dict):
            return values
        for name in [
            n.removesuffix("_file")
            for n in cls.model_fields
            if n.endswith("_file") and n.removesuffix("_file") in cls.model_fields
        ]:
            path = values.get(f"{name}_file")
            if path is None:
                continue
            if values.get(name) is not None:
                raise ValueError(f"found both {name} and {name}_file, expected one of them: unset one")
            try:
                values = {**values, name: Path(path).read_text(encoding="utf-8").strip()}
            except OSError as error:
                raise ValueError(
                    f"{name}_file cannot be read ({error.strerror}): mount the secret or correct the path"
                ) from error
        return values


def _both_or_none(cert_file: Path | None, key_file: Path | None) -> None:
    if (cert_file is None) != (key_file is None):
        raise ValueError("found one of cert_file and key_file, expected both or none")


class KafkaSettings(Group):
    """The broker, and how to log in to it."""

    bootstrap: str = Field(default="127.0.0.1:9092", description="Comma-separated host:port of brokers.", min_length=3)
    topic_prefix: str = Field(
        default="", description="Put before every topic name.", pattern=r"^[A-Za-z0-9._-]*$", max_length=100
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="As in Kafka."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="As in Kafka."
    )
    username: str | None = Field(default=None, description="SASL user.")
    password: SecretStr | None = Field(default=None, description="SASL password.")
    password_file: Path | None = Field(default=None, description="File that holds the SASL password.")
    ca_file: Path | None = Field(default=None, description="PEM of the authorities to trust; the system's where unset.")
    cert_file: Path | None = Field(default=None, description="PEM of the client certificate (mutual TLS).")
    key_file: Path | None = Field(default=None, description="PEM of the client certificate's key.")
    check_hostname: bool = Field(default=True, description="Whether the broker's certificate must name its host.")
    compression: Literal["none", "gzip", "lz4", "zstd"] = Field(default="lz4", description="Of the records we publish.")
    max_message_bytes: Count = Field(
        default=1_114_112, description="Largest record we publish: the dead-letters topic's max.message.bytes."
    )
    session_timeout: Seconds = Field(
        default=20, description="Seconds of silence after which the broker gives a worker's partitions to others."
    )
    unknown_topic_seconds: Seconds = Field(default=15, description="How long a topic may be unknown to an answering broker.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.username and self.password):
            raise ValueError("SASL found without username or password, expected both: set username and password_file")
        _both_or_none(self.cert_file, self.key_file)
        return self


class RedisSettings(Group):
    """The store of assessments; without a URL each worker keeps its own, in memory, until it ends."""

    url: SecretStr | None = Field(default=None, description="redis://, rediss:// (TLS) or unix://; may hold user and password.")
    url_file: Path | None = Field(default=None, description="File that holds the URL.")
    username: str | None = Field(default=None, description="ACL user, where the URL names none.")
    password: SecretStr | None = Field(default=None, description="Password, where the URL holds none.")
    password_file: Path | None = Field(default=None, description="File that holds the password.")
    ca_file: Path | None = Field(default=None, description="PEM of the authorities to trust; the system's where unset.")
    cert_file: Path | None = Field(default=None, description="PEM of the client certificate (mutual TLS).")
    key_file: Path | None = Field(default=None, description="PEM of the client certificate's key.")
    check_hostname: bool = Field(default=True, description="Whether the server's certificate must name its host.")
    cluster: bool = Field(default=False, description="Whether the URL names a node of a Redis Cluster.")
    assessment_ttl: Seconds = Field(default=7 * 86_400, description="Seconds an assessment, or the memo of a segment, is kept.")
    attempts_ttl: Seconds = Field(default=86_400, description="Seconds a count of started attempts is kept.")
    ttl_jitter: float = Field(default=0.1, description="Share by which a TTL is longer or shorter, at random.", ge=0, lt=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        scheme = self.url.get_secret_value().partition("://")[0] if self.url else ""
        if self.url and scheme not in ("redis", "rediss", "unix"):
            raise ValueError("found a url of another scheme, expected redis://, rediss:// or unix://")
        if self.url and scheme != "rediss" and (self.ca_file or self.cert_file):
            raise ValueError("found ca_file or cert_file beside a url without TLS, expected rediss://: correct the url")
        _both_or_none(self.cert_file, self.key_file)
        return self


def by_commas(values: Any, name: str = "addresses") -> Any:
    """Several values as the environment has them: one text, by commas."""
    if isinstance(values, dict) and isinstance(values.get(name), str):
        return {**values, name: tuple(each.strip() for each in values[name].split(",") if each.strip())}
    return values


class TritonSettings(Group):
    """The guard model's servers."""

    addresses: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("127.0.0.1:8001",),
        description="gRPC host:port, comma-separated; a name with several addresses counts as several.",
        min_length=1,
    )
    model: str = Field(default="omniguard", description="Name of the model.")
    patience: Seconds = Field(default=60, description="Seconds an event without a deadline waits for a server.")
    longest: Seconds = Field(default=600, description="Seconds one request without a deadline may take.")

    tls: bool = Field(
        default=False, description="Whether the servers speak TLS; the name in `addresses` must be in their certificate."
    )
    ca_file: Path | None = Field(default=None, description="PEM of the authorities to trust; gRPC's own list where unset.")
    cert_file: Path | None = Field(default=None, description="PEM of the client certificate (mutual TLS).")
    key_file: Path | None = Field(default=None, description="PEM of the client certificate's key.")
    restricted_key: str = Field(
        default="omniguard",
        description="KEY of Triton's `--grpc-restricted-protocol=…:KEY=VALUE` for what every client of ours asks.",
        pattern=_HEADER,
    )
    restricted_value: SecretStr | None = Field(default=None, description="VALUE of the same; unset sends none.")
    restricted_value_file: Path | None = Field(default=None, description="File that holds that value.")
    admin_key: str = Field(
        default="omniguard-admin",
        description="KEY for the model repository, which `omniguard supervise` alone asks.",
        pattern=_HEADER,
    )
    admin_value: SecretStr | None = Field(default=None, description="VALUE of the same; only the supervisor should have it.")
    admin_value_file: Path | None = Field(default=None, description="File that holds that value.")

    @model_validator(mode="before")
    @classmethod
    def _split(cls, values: Any) -> Any:
        return by_commas(values)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("found ca_file or cert_file without tls, expected tls: set it to true")
        _both_or_none(self.cert_file, self.key_file)
        return self
