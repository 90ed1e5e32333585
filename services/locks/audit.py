"""Looks for known vulnerabilities of the locked packages in a folder of OSV advisories; asks nobody.

    python -m locks.audit FOLDER [--lock NAME …] [--oldest DAYS]

FOLDER is a checkout of PyPA's advisory database (github.com/pypa/advisory-database), or OSV's own dump of PyPI, unpacked
(osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip). The exit status is 1 where a package is
affected, 2 where the advisories are too old to tell: what was found since, they do not know.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from packaging.utils import canonicalize_name
from packaging.version import Version
from ruamel.yaml import YAML

from locks.licences import LOCKS, locked

_YAML = YAML(typ="safe")


@dataclass(frozen=True, slots=True)
class Finding:
    """One advisory about one locked package. `fixed` is empty where no version mends it."""

    lock: str
    package: str
    version: str
    advisory: str
    fixed: str


def advisories(folder: Path, names: set[str]) -> Iterator[Mapping[str, Any]]:
    """Every advisory in force that may speak of one of `names`."""
    for path in sorted(folder.rglob("*.json")):
        yield from _in_force(orjson.loads(path.read_bytes()))
    for path in sorted(folder.rglob("*.yaml")):
        if canonicalize_name(path.parent.name) in names:  # its folder is the package's name; reading all of them takes minutes
            yield from _in_force(_YAML.load(path.read_text()))


def _in_force(advisory: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "affected" in advisory and "withdrawn" not in advisory:
        yield advisory


def affected(advisory: Mapping[str, Any], name: str, version: str) -> str | None:
    """The first version that mends it, or "", where this version of the package is affected; else None."""
    for entry in advisory["affected"]:
        package = entry.get("package", {})
        if package.get("ecosystem") != "PyPI" or canonicalize_name(package.get("name", "")) != name:
            continue
        ranges = [each["events"] for each in entry.get("ranges", ()) if each.get("type") == "ECOSYSTEM"]
        within = [fixed for events in ranges for fixed in _within(events, Version(version))]
        if within:
            return within[0]
        if version in map(str, entry.get("versions", ())):
            return ""
    return None


def _within(events: list[Mapping[str, Any]], version: Version) -> Iterator[str]:
    """The end of each span of versions that holds `version`; "" for a span without an end."""
    start: Version | None = None
    for event in events:
        if "introduced" in event:
            start = Version(str(event["introduced"]))
        elif start is not None and (end := event.get("fixed") or event.get("last_affected")):
            last = Version(str(end))
            if start <= version and (version < last or ("fixed" not in event and version == last)):
                yield str(end) if "fixed" in event else ""
            start = None
    if start is not None and start <= version:
        yield ""


def audit(folder: Path, locks: list[str]) -> tuple[list[Finding], int, datetime | None]:
    """What is affected, how many advisories were compared, and when the newest of them was changed."""
    packages = {lock: dict(locked(lock)) for lock in locks}
    names = {str(canonicalize_name(name)) for lock in packages.values() for name in lock}
    found: list[Finding] = []
    newest: datetime | None = None
    count = 0
    for advisory in advisories(folder, names):
        count += 1
        changed = _time(advisory.get("modified") or advisory.get("published"))
        newest = max(newest, changed) if newest and changed else newest or changed
        for lock, versions in packages.items():
            for name, version in versions.items():
                fixed = affected(advisory, canonicalize_name(name), version)
                if fixed is not None:
                    found.append(Finding(lock, name, version, str(advisory["id"]), fixed))
    return found, count, newest


def _time(said: Any) -> datetime | None:
    if said is None:
        return None
    time = said if isinstance(said, datetime) else datetime.fromisoformat(str(said).replace("Z", "+00:00"))
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def main() -> int:
    """Print what was found and how far that can be trusted."""
    parser = argparse.ArgumentParser(description="Known vulnerabilities of the locked packages.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lock", action="append", choices=[*LOCKS, "dev"], default=None)
    parser.add_argument("--oldest", type=int, default=30, metavar="DAYS")
    given = parser.parse_args()
    locks = given.lock or list(LOCKS)
    found, count, newest = audit(given.folder, locks)
    if not count:
        print(f"{given.folder}: found no advisory on any locked package, expected OSV advisories: see docs/security.md")
        return 2
    for each in found:
        mended = f"mended in {each.fixed}" if each.fixed else "no version mends it"
        print(f"{each.lock}: {each.package} {each.version} is affected by {each.advisory}; {mended}")
    until = newest.date() if newest else "no known day"
    print(f"{count} advisories on the packages of {', '.join(locks)}; {len(found)} apply; the newest is of {until}")
    if found:
        return 1
    if newest is None or newest < datetime.now(UTC) - timedelta(days=given.oldest):
        print(f"nothing is known of what was found since: bring {given.folder} up to date, expected {given.oldest} days at most")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
