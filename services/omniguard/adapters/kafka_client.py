"""How every Kafka client of ours connects and logs in."""

from __future__ import annotations

import ssl
from typing import Any

from omniguard.errors import Misconfigured
from omniguard.settings import KafkaSettings

__all__ = ["client_options", "tls_context"]


def tls_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """The TLS context, or None where the protocol has no TLS.

    Raises:
        Misconfigured: a certificate or key cannot be read.

    """
    if settings.security_protocol not in ("SSL", "SASL_SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        context.check_hostname = settings.check_hostname
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except OSError as error:
        raise Misconfigured(
            f"Kafka's TLS files: found {type(error).__name__} ({error.strerror}), "
            "expected readable PEM in kafka.ca_file, cert_file and key_file"
        ) from error
    return context


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
