"""One demo a folder: a second one would take the first one's parts down."""

from __future__ import annotations

from pathlib import Path

import pytest

from omniguard.entrypoints.demo import _alone
from omniguard.errors import Misconfigured


def test_a_second_demo_in_the_folder_is_refused_and_the_next_one_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with _alone(folder), pytest.raises(Misconfigured, match="a demo is up"), _alone(folder):
        pass
    with _alone(folder):
        pass
