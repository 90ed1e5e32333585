"""Writes what the chart holds copies of into helm/omniguard/files, since Helm reads nothing outside a chart.

python -m deploy.files            write
python -m deploy.files --check    fail where one of them differs, and name it
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from omniguard.contracts.rights import rights
from omniguard.contracts.topics import Component, Topic, Topics

ROOT = Path(__file__).parents[2]
FILES = ROOT / "helm/omniguard/files"
OBSERVABILITY = ROOT / "services/omniguard/observability"


def wanted() -> dict[str, str]:
    """Path below `files` → contents."""
    copies = {"alerts.yaml": OBSERVABILITY / "alerts.yaml", "config.pbtxt": ROOT / "model_repository/omniguard/config.pbtxt"}
    copies |= {f"dashboards/{path.name}": path for path in sorted((OBSERVABILITY / "dashboards").glob("*.json"))}
    return {"topics.json": _topics(), **{name: path.read_text(encoding="utf-8") for name, path in copies.items()}}


def _topics() -> str:
    topics = Topics()
    declared = {
        "topics": [_topic(topic) for topic in topics.all],
        "rights": {component.value: [asdict(right) for right in rights(topics, component)] for component in Component},
    }
    return json.dumps(declared, indent=1) + "\n"


def _topic(topic: Topic) -> dict[str, object]:
    return {"name": topic.name, "partitions": topic.partitions, "configs": topic.configs}


def differences() -> list[str]:
    """Names of files that are not as wanted, missing and superfluous ones among them."""
    found = {str(path.relative_to(FILES)): path.read_text(encoding="utf-8") for path in FILES.rglob("*") if path.is_file()}
    expected = wanted()
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def main() -> None:
    """Write, or with `--check` only look."""
    differing = differences()
    if sys.argv[1:] == ["--check"]:
        if differing:
            sys.exit(f"helm/omniguard/files differs from the package in {', '.join(differing)}: python -m deploy.files")
        return
    expected = wanted()
    for name in differing:
        path = FILES / name
        if name not in expected:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(expected[name], encoding="utf-8")


if __name__ == "__main__":
    main()
