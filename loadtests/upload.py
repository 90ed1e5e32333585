"""What benchmarks and load tests send."""

from __future__ import annotations

from omniguard.entrypoints.uploads import content_event


def upload(tenant: str, content_id: str, text: str) -> tuple[bytes, bytes]:
    """Key and value of an upload of one text, as a platform would send it."""
    parts = [{"id": "p0", "modality": "text", "text": text}]
    message = content_event("", parts, tenant=tenant, content_id=content_id)
    assert message.key is not None
    assert message.value is not None
    return message.key, message.value
