"""A real Prometheus that scrapes what a test names, with the project's rules loaded, and answers queries."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from ruamel.yaml import YAML

from chart.rendering import NAMESPACE, RELEASE
from faults.worker import eventually
from origins import free_ports
from promtool import prometheus

SCRAPED_EVERY = "3s"
"""Also how long a scrape may take, on a machine that is busy with the rest of the suite."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A server of this test. What it refuses is an AssertionError with its words."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of /api/v1."""
        question = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(question, timeout=30) as response:
                answer = orjson.loads(response.read())
        except urllib.error.HTTPError as error:
            answer = orjson.loads(error.read())
        assert answer["status"] == "success", f"{parameters or path}: {answer.get('error')}"
        assert not answer.get("warnings"), f"{parameters or path}: {answer['warnings']}"
        return answer["data"]

    def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """Each series with its value now."""
        data = self.get("query", query=query)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]

    def has_answer(self, query: str) -> bool:
        """Whether any series has a value that is a number."""
        return any(math.isfinite(value) for _, value in self.ask(query))

    async def until(self, query: str, seconds: float = 120.0) -> None:
        """Wait for an answer."""
        try:
            await eventually(lambda: self.has_answer(query), seconds, f"an answer to {query}")
        except AssertionError as error:
            targets = self.get("targets")["activeTargets"]
            raise AssertionError(
                f"{error}; targets: {[(t['scrapeUrl'], t['health'], t['lastError']) for t in targets]}"
            ) from None


@asynccontextmanager
async def scraping(folder: Path, targets: Mapping[str, str]) -> AsyncIterator[Prometheus]:
    """Scrape each host:port, of the pod named, and evaluate the rules as often; everything lies below `folder`."""
    (port,) = free_ports(1)
    _write_rules(folder / "rules.yaml")
    labels = {"namespace": NAMESPACE, "release": RELEASE}
    jobs = [
        {"job_name": each, "static_configs": [{"targets": [each], "labels": {**labels, "pod": f"{pod}-0"}}]}
        for each, pod in targets.items()
    ]
    settings = {"global": {"scrape_interval": SCRAPED_EVERY}, "rule_files": ["rules.yaml"], "scrape_configs": jobs}
    (folder / "prometheus.yaml").write_text(json.dumps(settings))
    command = [str(prometheus()), f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "prometheus.log").open("wb") as log:
        running = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)  # noqa: ASYNC220
    made = Prometheus(f"http://127.0.0.1:{port}")
    try:
        await eventually(lambda: running.poll() is not None or _ready(made.url), 60, "a Prometheus that is ready")
        assert running.poll() is None, (folder / "prometheus.log").read_text()[-2000:]
        yield made
    finally:
        running.send_signal(signal.SIGTERM)
        await asyncio.to_thread(running.wait, 60)


def _write_rules(path: Path) -> None:
    """The rules as shipped, but looked at more often: a test does not wait for a minute."""
    yaml = YAML()
    rules = yaml.load(files("omniguard.observability").joinpath("alerts.yaml").read_text())
    for group in rules["groups"]:
        group["interval"] = SCRAPED_EVERY
    with path.open("w") as file:
        yaml.dump(rules, file)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False
