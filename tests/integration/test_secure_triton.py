"""Triton with TLS, client certificates and restricted protocols: who may ask what, and what is said where the door is shut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from tritonclient.grpc import service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from faults.harness import Installation
from faults.nursery import Nursery
from omniguard.adapters.triton_channels import Access, Channels
from omniguard.adapters.triton_control import TritonControl
from omniguard.adapters.triton_guard import TritonGuard
from omniguard.domain.taxonomy import TEST_PHRASE
from omniguard.errors import Misconfigured, Reason, Retryable
from omniguard.guard.wire import MODEL
from omniguard.observability import Metrics
from omniguard.settings import TritonSettings
from security_stack import VALUES, Secured, SecureTriton

pytestmark = [pytest.mark.triton, pytest.mark.xdist_group("secure-triton")]

WRONG = "n0t-the-value"


def settings(secured: Secured, **more: Any) -> TritonSettings:
    """TLS, and the value that opens inference; `more` replaces some of it."""
    given = {"tls": True, "ca_file": secured.authority, "restricted_value": VALUES["omniguard"], **more}
    return TritonSettings(**given)


async def capabilities(address: str, access: Access, patience: float = 30.0) -> None:
    guard = TritonGuard([address], patience=patience, metrics=Metrics(), access=access)
    try:
        await guard.capabilities()
    finally:
        await guard.close()


async def repository(address: str, access: Access) -> None:
    """Ask for the index of the model repository."""
    channel = access.channel(address, ())
    try:
        await access.opening(GRPCInferenceServiceStub(channel).RepositoryIndex)(service_pb2.RepositoryIndexRequest(), timeout=30)
    finally:
        await channel.close()


async def test_a_worker_gets_its_answers_and_no_hand_on_the_repository(secure_triton: SecureTriton, secured: Secured) -> None:
    access = Access.of(settings(secured, admin_value=VALUES["omniguard-admin"]))
    await capabilities(secure_triton.restricted, access)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await repository(secure_triton.restricted, access)
    assert "restricted" in str(caught.value.details())


async def test_a_supervisor_may_do_both(secure_triton: SecureTriton, secured: Secured) -> None:
    access = Access.of(settings(secured, admin_value=VALUES["omniguard-admin"]), admin=True)
    await repository(secure_triton.restricted, access)
    control = TritonControl(secure_triton.restricted, MODEL, access)
    assert await control.live(30)
    await control.canary()
    await control.reload(30, 60)
    await control.close()
    await capabilities(secure_triton.restricted, Access.of(settings(secured)))


async def test_mutual_tls(secure_triton: SecureTriton, secured: Secured) -> None:
    files = {"cert_file": secured.worker.cert, "key_file": secured.worker.key}
    await capabilities(secure_triton.mutual, Access.of(settings(secured, **files)))


async def test_a_host_behind_several_addresses_is_checked_by_its_name(secure_triton: SecureTriton, secured: Secured) -> None:
    channels = Channels([secure_triton.restricted], access=Access.of(settings(secured)))
    (server,) = await channels.servers()
    assert server.address.startswith("127.0.0.1:")
    await channels.close()


@pytest.mark.parametrize(
    ("server", "more", "says"),
    [
        ("restricted", {"restricted_value": None}, "this protocol restricted; set triton.restricted_key"),
        ("restricted", {"restricted_value": WRONG}, "this protocol restricted; set triton.restricted_key"),
        ("restricted", {"restricted_key": "other"}, "this protocol restricted; set triton.restricted_key"),
        ("restricted", {"ca_file": "stranger"}, "a certificate that is not trusted; correct triton.ca_file"),
        ("restricted", {"ca_file": None}, "a certificate that is not trusted; correct triton.ca_file"),
        ("restricted", {"tls": False, "ca_file": None}, "the connection closed at once; see triton.tls"),
        ("mutual", {}, "the connection closed at once; see triton.tls, and triton.cert_file"),
        ("mutual", {"cert_file": "stranger", "key_file": "stranger"}, "the connection closed at once; see triton.tls"),
    ],
)
async def test_a_shut_door_is_told_once_and_waited_at(
    secure_triton: SecureTriton, secured: Secured, server: str, more: dict[str, Any], says: str
) -> None:
    strange = {"ca_file": secured.stranger_authority, "cert_file": secured.stranger.cert, "key_file": secured.stranger.key}
    given = {name: strange[name] if value == "stranger" else value for name, value in more.items()}
    access = Access.of(settings(secured, **given))
    with structlog.testing.capture_logs() as logs, pytest.raises(Retryable, match="expected an answer within") as caught:
        await capabilities(getattr(secure_triton, server), access, patience=3.0)
    assert caught.value.reason is Reason.GUARD_UNAVAILABLE
    (told,) = {str(entry["exc_info"]) for entry in logs if entry["event"] == "Triton does not let us in"}
    assert says in told
    said = told + str(caught.value) + str(logs)
    assert not any(secret in said for secret in (*VALUES.values(), WRONG))


async def test_another_host_name_is_refused(secure_triton: SecureTriton, secured: Secured) -> None:
    channel = Access.of(settings(secured)).channel(secure_triton.restricted, (), "triton.example")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await GRPCInferenceServiceStub(channel).ServerLive(service_pb2.ServerLiveRequest(), timeout=30)
    assert "Hostname Verification" in str(caught.value.details())
    await channel.close()


def test_files_that_cannot_be_read_are_told_at_the_start(secured: Secured, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    pairs: list[dict[str, Any]] = [
        {"ca_file": empty},
        {"ca_file": tmp_path / "none.pem"},
        {"cert_file": secured.worker.cert, "key_file": secured.stranger.key},
    ]
    for more in pairs:
        with pytest.raises(Misconfigured, match=r"triton's TLS files: found .*, expected readable PEM"):
            Access.of(settings(secured, **more))


async def test_a_worker_judges_through_it_and_its_log_keeps_the_value(
    kafka_url: str, secure_triton: SecureTriton, secured: Secured, nurse: Nursery, topic_prefix: str, tmp_path: Path
) -> None:
    value = tmp_path / "value"
    value.write_text(VALUES["omniguard"])
    async with Installation(nurse, kafka_url, topic_prefix, tmp_path, seed=0) as installation:
        await installation.create(1)
        worker = await installation.start(
            triton__addresses=secure_triton.restricted,
            triton__tls="true",
            triton__ca_file=str(secured.authority),
            triton__restricted_value_file=str(value),
            telemetry__log_level="DEBUG",
        )
        await installation.upload("one", TEST_PHRASE)
        await installation.observer.until(lambda seen: seen.verdicts_of("one"))
        (verdict,) = installation.observer.seen.verdicts_of("one")
    assert "test" in {category.name for category in verdict.categories}
    assert VALUES["omniguard"] not in worker.log.read_text()
