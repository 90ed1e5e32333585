"""`omniguard policy`: check policy and tenants files before a worker reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from omniguard.contracts.policy_file import SHIPPED, load_policy, named_policy, shipped_names
from omniguard.contracts.tenants_file import load_tenants
from omniguard.domain.content import Modality
from omniguard.domain.policy import Policy
from omniguard.entrypoints.console import FAILED, Json, errors_as_exit_codes, print_json, untrusted
from omniguard.errors import Misconfigured
from omniguard.settings import load_settings, s3_variables

policy_app = typer.Typer(help="Check policy and tenants files; show what a policy says.", no_args_is_help=True)


@policy_app.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Policy files; a file named tenants*.yaml is read as a tenants file.")
    ],
    roots: Annotated[
        list[str] | None, typer.Option("--root", metavar="NAME=DIR", help="What ${NAME} stands for in file_roots. Repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Load each file as the worker would, and name every mistake with its line.

    S3 credentials that a tenants file names and this environment does not hold are told too; they are no mistake of the file.

    Exit status: 0 all are right, 1 one is wrong, 2 the call is wrong.
    """
    variables = dict(_pair(root) for root in roots or ())
    found = [(path, _mistakes(path, variables)) for path in files]
    with errors_as_exit_codes():
        unset = {path: () if mistakes else _not_at_hand(path, variables) for path, mistakes in found}
    if as_json:
        print_json([{"file": str(path), "mistakes": wrong, "credentials_not_set": unset[path]} for path, wrong in found])
    else:
        for path, mistakes in found:
            Console(stderr=bool(mistakes)).print(untrusted("\n".join(mistakes) or f"{path}: right"), soft_wrap=True)
            for name in unset[path]:
                note = f"{path}: s3 credentials {name} are not set here; a worker does not start without {s3_variables(name)}"
                Console(stderr=True).print(untrusted(note, "yellow"), soft_wrap=True)
    if any(mistakes for _, mistakes in found):
        raise typer.Exit(FAILED)


@policy_app.command()
def show(
    policy: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A policy file, or the name of a shipped policy.")],
    as_json: Json = False,
) -> None:
    """Show what a policy says. Exit status: 0 shown, 2 there is no such policy or it is wrong."""
    with errors_as_exit_codes():
        found = named_policy(policy, Path())
    if as_json:
        print_json(_plain(found))
        return
    Console().print(_summary(found), _table(found))


@policy_app.command("list")
def list_policies(as_json: Json = False) -> None:
    """List the shipped policies and the folder they lie in, to be copied from."""
    if as_json:
        print_json({"folder": str(SHIPPED), "policies": list(shipped_names())})
        return
    Console().print("\n".join(shipped_names()), f"in {SHIPPED}", soft_wrap=True, highlight=False)


def _mistakes(path: Path, variables: dict[str, str]) -> list[str]:
    try:
        if path.name.startswith("tenants"):
            load_tenants(path, variables)
        else:
            load_policy(path)
    except Misconfigured as error:
        return str(error).splitlines()
    return []


def _not_at_hand(path: Path, variables: dict[str, str]) -> tuple[str, ...]:
    """S3 credentials that a right file names and the environment lacks."""
    named = load_tenants(path, variables).credentials if path.name.startswith("tenants") else ()
    held = load_settings().s3 if named else {}
    return tuple(name for name in named if name not in held)


def _pair(root: str) -> tuple[str, str]:
    name, equals, folder = root.partition("=")
    if not (name and equals and folder):
        raise typer.BadParameter(f"found {root}, expected NAME=DIR", param_hint="--root")
    return name, folder


def _summary(policy: Policy) -> str:
    blocks = "may block" if policy.allow_uncalibrated else "call for review at most"
    return (
        f"{policy.id} version {policy.version}, digest {policy.digest[:12]}. Without a judgement: {policy.fallback}. "
        f"Harm that no category names: {policy.uncategorized} at most. Uncalibrated scores {blocks}. "
        f"Critiques for: {', '.join(sorted(policy.critique_for)) or 'nothing'}, and {policy.critique_sample:.1%} of the rest. "
        f"First stage: {_bounds(policy) or 'none'}."
    )


def _bounds(policy: Policy) -> str:
    return ", ".join(f"{m} under {bound:g}" for m, bound in (policy.cascade.bounds if policy.cascade else {}).items())


def _table(policy: Policy) -> Table:
    table = Table("category", "severity", "at most", "required on", caption=_thresholds(policy))
    for category in policy.categories:
        required = [m.value for m in Modality if category.name in policy.required.get(m, ())]
        table.add_row(category.name, category.severity, category.at_most, ", ".join(required))
    return table


def _thresholds(policy: Policy) -> str:
    return "; ".join(f"{key}: review from {t.review:g}, block from {t.block:g}" for key, t in policy.thresholds.items())


def _plain(policy: Policy) -> dict[str, Any]:
    return {
        "id": policy.id,
        "version": policy.version,
        "digest": policy.digest,
        "categories": [
            {"name": c.name, "description": c.description, "severity": c.severity, "at_most": c.at_most}
            for c in policy.categories
        ],
        "thresholds": {key: {"review": t.review, "block": t.block} for key, t in policy.thresholds.items()},
        "required": {m.value: sorted(names) for m, names in policy.required.items()},
        "fallback": policy.fallback,
        "uncategorized": policy.uncategorized,
        "allow_uncalibrated": policy.allow_uncalibrated,
        "critique_for": sorted(policy.critique_for),
        "borderline_margin": policy.borderline_margin,
        "critique_sample": policy.critique_sample,
        "cascade": policy.cascade and {"bounds": dict(policy.cascade.bounds), "audit": policy.cascade.audit},
    }
