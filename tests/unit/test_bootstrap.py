from __future__ import annotations

from pathlib import Path

import pytest
from redis.asyncio import Redis, RedisCluster

from omniguard.adapters.redis_store import RedisAssessmentStore
from omniguard.bootstrap import _store
from omniguard.settings import load_settings


@pytest.mark.parametrize(("cluster", "client"), [(False, Redis), (True, RedisCluster)])
async def test_the_store_speaks_to_one_server_or_to_a_cluster(cluster: bool, client: type, tmp_path: Path) -> None:
    settings = load_settings(redis={"url": "redis://127.0.0.1:1", "cluster": cluster}, worker={"state_folder": tmp_path})
    async with _store(settings) as store:
        assert isinstance(store, RedisAssessmentStore)
        assert isinstance(store._link._client, client)
