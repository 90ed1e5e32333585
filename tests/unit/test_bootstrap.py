from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from redis.asyncio import Redis, RedisCluster

from media_files.pictures import quarters, saved
from omniguard.adapters import _decoder_process
from omniguard.adapters.redis_store import RedisAssessmentStore
from omniguard.bootstrap import _decoder, _store, service
from omniguard.domain.content import FetchedPart, Modality, Part
from omniguard.domain.deadline import NEVER
from omniguard.errors import BadContent, Misconfigured
from omniguard.media.sandbox import PARTS
from omniguard.observability import METRICS
from omniguard.settings import load_settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("cluster", "client"), [(False, Redis), (True, RedisCluster)])
async def test_the_store_speaks_to_one_server_or_to_a_cluster(cluster: bool, client: type, tmp_path: Path) -> None:
    settings = load_settings(redis={"url": "redis://127.0.0.1:1", "cluster": cluster}, worker={"state_folder": tmp_path})
    async with _store(settings) as store:
        assert isinstance(store, RedisAssessmentStore)
        assert isinstance(store._link._client, client)


async def test_what_the_sandbox_is_made_of_is_logged_and_measured(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with _decoder(load_settings(decode={"max_pixels": 10}), tmp_path) as decoder:
            (path := tmp_path / "a.png").write_bytes(saved(quarters(), "PNG"))
            with pytest.raises(BadContent, match="at most 10"):
                await decoder.probe(FetchedPart(Part("p", Modality.IMAGE), "", 1, "", path), NEVER)
    assert logs == [{"event": "decoder_sandbox", "in_force": list(PARTS), "missing": [], "log_level": "info"}]
    assert [METRICS.value("omniguard_decoder_sandbox", part=part) for part in PARTS] == [1] * len(PARTS)


async def test_a_part_that_is_missing_is_a_warning_and_stops_the_start_where_it_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_decoder_process, "ENTRY", "faults.decoder_without_landlock")
    monkeypatch.setattr(_decoder_process, "_PACKAGE_ROOT", f"{ROOT / 'services'}:{ROOT / 'tests'}")
    with structlog.testing.capture_logs() as logs:
        async with _decoder(load_settings(), tmp_path):
            pass
    assert [(line["log_level"], line["missing"]) for line in logs] == [("warning", ["landlock"])]
    assert METRICS.value("omniguard_decoder_sandbox", part="landlock") == 0
    with pytest.raises(Misconfigured, match="found no landlock"):
        async with _decoder(load_settings(worker={"sandbox_required": ("seccomp", "landlock")}), tmp_path):
            pass


async def test_s3_credentials_that_tenants_name_and_nobody_set_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "tenants.yaml").write_text(
        "tenants: {acme: {policy: default, policy_epoch: 1, fetch: {s3: [{bucket: uploads, credentials: minio}]}}}"
    )
    settings = load_settings(policy={"tenants": tmp_path / "tenants.yaml"})
    with pytest.raises(Misconfigured, match=r"s3 credentials minio are named in tenants.yaml; expected OMNIGUARD_S3__MINIO__\*"):
        async with service(settings, progress=lambda: None):
            pass
