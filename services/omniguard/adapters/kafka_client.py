"""How every Kafka client of ours connects and logs in, and why a broker does not let one in."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from omniguard.adapters.tls import is_hang_up, tls_fault
from omniguard.adapters.tls import tls_context as context_of
from omniguard.errors import Misconfigured
from omniguard.settings import KafkaSettings

__all__ = ["Refusal", "client_options", "nobody_answers", "quieten", "refusal", "tls_context"]

_LOOK_MS = 5_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why brokers that are there do not let us in. `final` where only an operator can change that; else it may pass."""

    message: str
    final: bool


def tls_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """The TLS context, or None where the protocol has no TLS.

    Raises:
        Misconfigured: a certificate or key cannot be read.

    """
    if settings.security_protocol not in ("SSL", "SASL_SSL"):
        return None
    return context_of(settings, "kafka", check_hostname=settings.check_hostname)


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments that aiokafka's producer, consumer and admin client share. Holds the password: do not log it."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security_protocol,
        "ssl_context": tls_context(settings),
    }
    if settings.security_protocol.startswith("SASL"):
        assert settings.password is not None  # KafkaSettings demands it
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.username,
            "sasl_plain_password": settings.password.get_secret_value(),
        }
    return options


def nobody_answers(bootstrap: str) -> Misconfigured:
    """What a command says, and a process that waits logs, where no broker is there."""
    return Misconfigured(
        f"no Kafka answers at {bootstrap}; expected a broker: start it, or correct the address (OMNIGUARD_KAFKA__BOOTSTRAP)"
    )


def quieten() -> None:
    """Keep aiokafka from logging every try to connect: who waits for a broker says so once."""
    logging.getLogger("aiokafka").addFilter(_no_single_try)


def _no_single_try(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Unable connect to")


async def refusal(options: Mapping[str, Any]) -> Refusal | None:
    """Ask the bootstrap servers one by one; None if one lets us in, or none is there.

    For the moment after a client could not start: aiokafka then only says that it reached nobody. `options` are those of
    `client_options`. A server that is merely away hides no refusal of another, but makes none of them final.
    """
    found: list[Refusal | None] = []
    for host, port, _ in collect_hosts(options["bootstrap_servers"]):
        try:
            connection = await create_conn(
                host,
                port,
                request_timeout_ms=_LOOK_MS,
                **{name: value for name, value in options.items() if name.startswith(("security", "ssl", "sasl"))},
            )
            # A listener that wants a login answers the first words of those who do not, and nothing more.
            try:
                await connection.send(MetadataRequest([]))
            finally:
                connection.close()
        except (OSError, KafkaError, TimeoutError) as error:
            found.append(_refusal(f"{host}:{port}", error, options))
        else:
            return None
    said = [each for each in found if each is not None]
    if not said:
        return None
    final = all(each is not None and each.final for each in found)
    return Refusal(next((each for each in said if each.final), said[0]).message, final)


def _refusal(where: str, error: BaseException, options: Mapping[str, Any]) -> Refusal | None:
    cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
    protocol, user = options["security_protocol"], options.get("sasl_plain_username")
    match cause:
        case ssl.SSLError() if not is_hang_up(cause):
            return Refusal(tls_fault(cause, f"Kafka at {where}", "kafka", "kafka.bootstrap or security_protocol"), final=True)
        case SaslAuthenticationFailed() | AuthenticationFailedError():
            said = f"found the login of user {user} refused, expected it to be taken: correct kafka.username and password_file"
        case UnsupportedSaslMechanismError() | IllegalSaslStateError():
            said = f"found {options['sasl_mechanism']} not offered, expected it: correct kafka.sasl_mechanism, or the port"
        case KafkaError() | ConnectionResetError() | ssl.SSLError():
            return Refusal(
                f"Kafka at {where}: found the connection closed after our first words, expected an answer: "
                f"see that this listener speaks {protocol}",
                final=False,
            )
        case _:
            return None
    return Refusal(f"Kafka at {where}: {said}", final=True)
