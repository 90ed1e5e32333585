"""Plugins of the whole suite."""

from importlib.util import find_spec

import pytest

pytest.register_assert_rewrite("guard_contract", "engines.contract.batches")  # suites that test modules import

# The engines' environment has no worker in it, hence nothing to fetch media with.
pytest_plugins = ["stack", "marker", *(["origins", "security_stack", "cluster"] if find_spec("obstore") else [])]
