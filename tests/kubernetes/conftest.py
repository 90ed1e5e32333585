"""One installation for all tests of this folder, which run in the order of their files; see `where.py` for the cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from kubernetes.kube import RELEASE, Kube, flags
from kubernetes.servers import Servers, servers
from kubernetes.uploads import Uploads
from kubernetes.where import ROOT

NAMESPACE = "omniguard-test"
CHART = ROOT / "helm" / "omniguard"
VALUES = Path(__file__).with_name("values.yaml")
_KUBE = pytest.StashKey[Kube]()


class Service:
    """The release: `upgrade` changes values for good, `installed_seconds` is what the first `helm install --wait` took."""

    def __init__(self, kube: Kube, servers: Servers) -> None:
        self.kube, self.servers = kube, servers
        self._values: dict[str, object] = {"kafka.bootstrap": servers.kafka, "redis.url": servers.redis}
        self.installed_seconds = 0.0

    def install(self) -> None:
        began = time.monotonic()
        self.kube.helm("install", RELEASE, str(CHART), *self._with({}), "--wait", "--timeout", "5m")
        self.installed_seconds = time.monotonic() - began

    def upgrade(self, *options: str, **values: object) -> float:
        """`helm upgrade --wait` with further values, which stay; `__` in their names is a dot. Returns its seconds."""
        self._values |= {name.replace("__", "."): value for name, value in values.items()}
        began = time.monotonic()
        self.kube.helm("upgrade", RELEASE, str(CHART), *self._with({}), "--wait", "--timeout", "5m", *options)
        return time.monotonic() - began

    def upgrade_fails(self, seconds: int, **values: object) -> str:
        """An upgrade that cannot become ready and is to be rolled back; returns what helm said."""
        wrong = self._with({name.replace("__", "."): value for name, value in values.items()})
        options = ("--wait", "--rollback-on-failure", "--timeout", f"{seconds}s")
        return self.kube.helm("upgrade", RELEASE, str(CHART), *wrong, *options, check=False)

    def uninstall(self) -> float:
        began = time.monotonic()
        self.kube.helm("uninstall", RELEASE, "--wait", "--ignore-not-found", "--timeout", "3m")
        return time.monotonic() - began

    def _with(self, more: dict[str, object]) -> list[str]:
        return ["--values", str(VALUES), *flags({**self._values, **more})]


@pytest.fixture(scope="session")
def kube(pytestconfig: pytest.Config) -> Iterator[Kube]:
    """A namespace that admits nothing but PodSecurity `restricted`; gone at the end."""
    missing = [name for name in ("KUBECONFIG", "OMNIGUARD_TEST_HOST") if name not in os.environ]
    assert not missing, (
        f"found no {' and '.join(missing)}: these tests are run by `make test-cluster`, see tests/kubernetes/where.py"
    )
    made = Kube(NAMESPACE)
    made.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    made.kubectl("create", "namespace", NAMESPACE)
    levels = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
    made.kubectl("label", "namespace", NAMESPACE, *levels)
    pytestconfig.stash[_KUBE] = made
    yield made
    made.kubectl("delete", "namespace", NAMESPACE, "--wait")


@pytest.fixture(scope="session")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Kafka and Valkey beside the cluster."""
    with servers(os.environ["OMNIGUARD_TEST_HOST"], tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture(scope="session")
def service(kube: Kube, beside: Servers) -> Iterator[Service]:
    """The installed service."""
    made = Service(kube, beside)
    try:
        try:
            made.install()
        except AssertionError:
            print(kube.diagnosis())  # before it is uninstalled: afterwards there is nothing to look at
            raise
        yield made
    finally:
        made.uninstall()


@pytest.fixture
def uploads(service: Service) -> Callable[..., Uploads]:
    """Makes streams of uploads; every partition of the live lane gets its share."""
    partitions = 12
    return lambda per_second=5.0: Uploads(service.servers.kafka, partitions=partitions, per_second=per_second)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with what a person would look at next."""
    report = yield
    if report.failed and (kube := item.config.stash.get(_KUBE, None)):
        report.sections.append(("the cluster", kube.diagnosis()))
    return report
