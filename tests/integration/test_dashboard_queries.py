"""Every query of dashboards, rules and runbook against a real Prometheus that scraped the running service.

A worker on the genuine broker, store and guard, the supervisor beside that guard, and Triton itself; the samples were uploaded,
dead letters and indeterminates among them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import orjson
import pytest

from chart.rendering import NAMESPACE, RELEASE, of, rendered
from faults.harness import Installation
from faults.nursery import Nursery
from omniguard.contracts.policy_file import SHIPPED
from omniguard.devstack import StackUrls
from omniguard.observability import COUNTERS, GAUGES, HISTOGRAMS
from omniguard.observability.dashboards import BOARDS, scoped
from omniguard.samples import MEDIA, Sample, load
from origins import free_ports
from promql import selectors
from runbook import commands, queries
from scraping import Prometheus, scraping

pytestmark = [pytest.mark.stack, pytest.mark.slow]

HEAVY = {"video", "interleaved-post", "harmless-speech"}
"""Samples that take many seconds of speech recognition and show nothing that the others do not."""
NAME = f"{RELEASE}-omniguard"
"""What the chart's objects are called."""
CHOSEN = {"$namespace": NAMESPACE, "$release": RELEASE, "$lane": "live|backfill|late"}
EVERYTHING = dict.fromkeys(CHOSEN, ".*")


async def test_every_query_runs_and_what_must_have_an_answer_has_one(
    stack: StackUrls, topic_prefix: str, tmp_path: Path, nursery: Nursery
) -> None:
    async with service(stack, topic_prefix, tmp_path, nursery) as (found, pages):
        ours = [query for board in BOARDS for panel in board.panels for query in panel.queries]
        asked = {query.expression: scoped(query.expression) for query in ours}
        empty = {expression for expression, query in asked.items() if not found.has_answer(filled(query, CHOSEN))}
        must = {query.expression for board in BOARDS for panel in board.panels if panel.always for query in panel.queries}
        assert sorted(empty & must) == [], "panels without data"
        for query in asked.values():
            found.ask(filled(query, EVERYTHING))
        for query in queries():
            found.ask(query)
        for query in keda_queries():
            assert found.has_answer(query), query
        check_rules(found)
        check_names(found, [*asked, *queries()])
        check_pages(pages)


def keda_queries() -> list[str]:
    """Those by which the chart has Triton scaled."""
    scaled = [each for each in of(rendered("production"), "ScaledObject") if each["metadata"]["name"] == f"{NAME}-triton"]
    found = [trigger["metadata"]["query"] for each in scaled for trigger in each["spec"]["triggers"]]
    assert len(found) == 2
    return found


def check_rules(found: Prometheus) -> None:
    """Prometheus evaluated each and had nothing to say against it."""
    rules = [rule for group in found.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 40
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
    for rule in rules:
        found.ask(rule["query"])


def check_names(found: Prometheus, asked: list[str]) -> None:
    """What is scraped is what the catalog declares, and what is asked of Triton is there."""
    scraped = set(found.get("label/__name__/values"))
    declared = {*COUNTERS, *GAUGES, *(f"{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "count", "sum"))}
    assert {name for name in scraped if name.startswith("omniguard_")} <= declared
    of_triton = {name for query in asked for name in re.findall(r"\bnv_\w+", query)}
    assert {name for name in of_triton if not name.startswith("nv_gpu_")} <= scraped
    assert {name for query in asked for name, _ in selectors(query) if ":" in name} <= scraped


def check_pages(pages: dict[str, str]) -> None:
    """The runbook's look at each health page, as written, finds a service that is well."""
    looks = [line for line in commands() if line.startswith("curl ")]
    assert {re.sub(r".*\$(\w+)/.*", r"\1", line) for line in looks} == pages.keys()
    for line in looks:
        done = subprocess.run(["bash", "-c", line], env={**os.environ, **pages}, capture_output=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr.decode()}"
        assert orjson.loads(done.stdout)["status"] in {"ok", "ready"}, f"{line}: {done.stdout.decode()}"


@asynccontextmanager
async def service(
    stack: StackUrls, prefix: str, folder: Path, nursery: Nursery
) -> AsyncIterator[tuple[Prometheus, dict[str, str]]]:
    """A worker, a supervisor and Triton, scraped before and after the uploads; and the health addresses of the first two."""
    tenants = (SHIPPED / "tenants-demo.yaml").read_text()
    settings = {
        "triton__addresses": stack.triton,
        "policy__roots": orjson.dumps({"SAMPLES": str(MEDIA.absolute())}).decode(),
        "worker__live_seconds": "120",
        "worker__critique_timeout": "120",
    }
    made = Installation(nursery, stack.kafka, prefix, folder / "i", seed=0, redis=stack.redis, tenants=tenants)
    async with made as platform:
        await platform.create(partitions=1)
        worker = await platform.start(**settings)
        with supervisor(stack.triton, folder / "supervisor.log") as port:
            metrics = stack.triton_metrics.removeprefix("http://").removesuffix("/metrics")
            # As on Kubernetes: supervisor and Triton share a pod.
            addresses = {
                f"127.0.0.1:{worker.port}": f"{NAME}-worker-live",
                f"127.0.0.1:{port}": f"{NAME}-triton",
                metrics: f"{NAME}-triton",
            }
            (folder / "prometheus").mkdir()
            async with scraping(folder / "prometheus", addresses) as found:
                await found.until(f"sum(up) == {len(addresses)}")
                await found.until("sum(omniguard_canaries_total) > 0")
                await upload(platform, [sample for sample in load("dashboard-") if sample.name not in HEAVY])
                await found.until(f"sum(omniguard_events_finished_total) >= {len(load()) - len(HEAVY)}")
                await found.until("sum(omniguard_ledger_depth) == 0")
                yield found, {"WORKER": f"http://127.0.0.1:{worker.port}", "SUPERVISOR": f"http://127.0.0.1:{port}"}


async def upload(platform: Installation, samples: list[Sample]) -> None:
    """First those that wait for no other; returns when all have ended, critiques and dead letters included."""
    for later in (False, True):
        for sample in samples:
            if (sample.after is not None) is later:
                await platform.raw(sample.key, sample.value)
        await platform.observer.until_committed(120)


@contextmanager
def supervisor(triton: str, log: Path) -> Iterator[int]:
    """Beside that Triton; gives the port of its health pages."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "omniguard", "supervise", "--triton", triton, "--port", str(port), "--canary-every", "1"]
    with log.open("wb") as file:
        running = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        yield port
    finally:
        running.terminate()
        running.wait(30)


def filled(query: str, chosen: dict[str, str]) -> str:
    """As Grafana asks it."""
    for name, value in {**chosen, "$__rate_interval": "1m"}.items():
        query = query.replace(name, value)
    assert "$" not in query
    return query


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    """Starts the worker."""
    (tmp_path / "codes").mkdir()
    made = Nursery(tmp_path / "codes")
    yield made
    made.close()
