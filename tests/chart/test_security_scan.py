"""checkov over what the chart makes. What it finds is mended, or stands in security.yaml with a reason."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from chart.rendering import MATRIX, template

CHECKOV = "checkov@3.3.30"
SCANNED = ("download", "everything", "image-copy", "lite", "production", "strimzi")
EXCEPTIONS = YAML(typ="safe").load(Path(__file__).with_name("security.yaml").read_text())


def _checkov() -> list[str]:
    """The scanner: $CHECKOV, else a pinned one in an environment of its own, for its dependencies do not go with ours."""
    if named := os.environ.get("CHECKOV"):
        return [named]
    uv = Path(sys.executable).with_name("uv")
    assert uv.exists(), f"found no {uv}, expected it from `make setup`; or name a checkov: CHECKOV=/path/to/checkov"
    return [str(uv), "tool", "run", "--python", sys.executable, CHECKOV]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_a_scanner_finds_has_a_reason(tmp_path: Path) -> None:
    for name in SCANNED:
        (tmp_path / f"{name}.yaml").write_text(template("--values", str(MATRIX / f"{name}.yaml")).stdout)
    command = [
        *_checkov(),
        "--directory",
        tmp_path,
        "--framework",
        "kubernetes",
        "--output",
        "json",
        "--quiet",
        "--skip-download",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 1000
    found: dict[str, set[str]] = defaultdict(set)
    for finding in report["results"]["failed_checks"]:
        found[finding["check_id"]].add(f"{finding['resource']} in {finding['file_path']}: {finding['check_name']}")
    unreasoned = {
        f"{check}: {about}"
        for check, all_about in found.items()
        for about in all_about
        if check not in EXCEPTIONS or not re.match(EXCEPTIONS[check]["objects"], about)
    }
    assert not unreasoned
    assert not EXCEPTIONS.keys() - found.keys(), "nothing is found any more: take the exception out"
    assert not [about for about in found["CKV_K8S_43"] if "production.yaml" in about], "with digests there is nothing to find"


def test_every_exception_says_why() -> None:
    for check, exception in EXCEPTIONS.items():
        assert exception.keys() == {"objects", "reason"}, check
        assert len(exception["reason"].split()) >= 2, check
