"""`omniguard profile`: what a checkpoint was trained to be asked, imported, checked and shown."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from omniguard.entrypoints.console import FAILED, Json, errors_as_exit_codes, fail, print_json, table, untrusted
from omniguard.errors import Misconfigured
from omniguard.guard.profiles import golden
from omniguard.guard.profiles.emit import to_toml
from omniguard.guard.profiles.files import FALLBACKS, FILE, family_of, parse_profile, profile_for
from omniguard.guard.profiles.importing import import_profile
from omniguard.guard.profiles.profile import Form, Golden, Profile
from omniguard.guard.profiles.tokens import Tokens

profile_app = typer.Typer(help="Import, check and show what a guard checkpoint was trained to be asked.", no_args_is_help=True)

Model = Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="The checkpoint: weights, config.json, tokenizer.json.")]
Named = Annotated[
    Path | None,
    typer.Option("--profile", metavar="FILE", help="Instead of MODEL_DIR/profile.toml, or the fallback shipped for the family."),
]


@profile_app.command()
def check(model: Model, named: Named = None, as_json: Json = False) -> None:
    """Compare the token ids that profile and tokenizer give with the profile's golden ones.

    Checked are a fixed request in each form, the assistant's prefix and both labels; and that one token decides the label
    where it stands. Exit status: 0 as pinned, 1 not so, 2 the profile is wrong or there is no such checkpoint.
    """
    with errors_as_exit_codes():
        profile = profile_for(model, named)
        found = list(golden.differences(profile, Tokens.load(model)))
    if as_json:
        print_json({"profile": profile.name, "digest": profile.digest, "differences": found})
    elif found:
        raise fail("\n".join(f"{profile.name}: {each}" for each in found), FAILED)
    else:
        Console().print(untrusted(f"{profile.name}: right"), soft_wrap=True)
    if found:
        raise typer.Exit(FAILED)


@profile_app.command()
def show(
    model: Model,
    named: Named = None,
    write: Annotated[bool, typer.Option("--write", help="Put the golden token ids into the profile's file.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a checkpoint is asked, with which categories, and how its answer is read.

    Exit status: 0 shown, 2 the profile is wrong or there is no such checkpoint.
    """
    with errors_as_exit_codes():
        profile = profile_for(model, named)
        tokens = Tokens.load(model)
        ids = golden.golden_ids(profile, tokens)
        if write:
            golden.write(_own_file(model, named), ids)
            profile = profile_for(model, named)
    if as_json:
        print_json({**asdict(profile), "ids": asdict(ids)})
        return
    Console().print(_summary(profile, ids), *_forms(profile), _categories(profile))


@profile_app.command("import")
def import_(
    checkout: Annotated[Path, typer.Argument(metavar="CHECKOUT", help="A checkout of the checkpoint's published evaluator.")],
    model: Annotated[Path, typer.Option("--model", metavar="DIR", help="The checkpoint, for its tokenizer.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Default: profile.toml in the checkpoint.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write profile.toml from the published evaluator of OmniGuard or ProGuard. Its code is parsed, never run.

    Exit status: 0 written, 2 the checkout, the checkpoint or the file is not what it should be; nothing is written then.
    """
    path = out or model / FILE
    with errors_as_exit_codes():
        if path.exists() and not force:
            raise Misconfigured(f"{path}: found a file; expected none; name another with --out, or replace it with --force")
        profile = import_profile(checkout)
        if profile.family != family_of(model):
            raise Misconfigured(
                f"{model}: found a checkpoint of {family_of(model)}; expected {profile.family}, which {checkout} evaluates; "
                "name the checkpoint that belongs to the evaluator"
            )
        pinned = replace(profile, golden=golden.golden_ids(_reread(profile, path), Tokens.load(model)))
        _reread(pinned, path)
        try:
            path.write_text(to_toml(pinned), encoding="utf-8")
        except OSError as error:
            raise Misconfigured(f"{path}: cannot be written ({error.strerror}); name another with --out") from error
    Console().print(untrusted(f"{path}: {profile.name}, from {profile.source}"), soft_wrap=True)


def _reread(profile: Profile, path: Path) -> Profile:
    """The profile as it will be once it is a file."""
    return parse_profile(to_toml(profile).encode(), str(path))


def _own_file(model: Path, named: Path | None) -> Path:
    path = named or model / FILE
    shipped = FALLBACKS / f"{family_of(model)}.toml"
    if not path.exists() or path.resolve().is_relative_to(FALLBACKS.resolve()):
        raise Misconfigured(
            f"{path}: found no profile of the checkpoint's own; expected one to write into; import one, or copy {shipped} there"
        )
    return path


def _summary(profile: Profile, ids: Golden) -> Table:
    answer = profile.answer
    order = "label first" if profile.label_first else f"reasoning first, at most {answer.max_reasoning_tokens} tokens"
    pinned = (
        "as pinned" if profile.golden == ids else "not pinned" if profile.golden is None else "not as pinned: see profile check"
    )
    rows = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 2))
    for name, value in (
        ("profile", f"{profile.name} ({profile.family}), digest {profile.digest[:12]}"),
        ("source", profile.source or "not said"),
        ("modalities", ", ".join(profile.modalities)),
        ("answer", f"{profile.parser}, {order}"),
        ("prefix", f"{answer.prefix!r} {list(ids.prefix)}"),
        (
            "labels",
            f"{answer.safe!r} {ids.safe}, {answer.unsafe!r} {ids.unsafe}" + "".join(f", behind {f}" for f in answer.fields),
        ),
        ("token ids", pinned),
        ("markers", " ".join(profile.markers)),
    ):
        rows.add_row(name, untrusted(value))
    return rows


def _forms(profile: Profile) -> list[Panel]:
    forms = (("conversation", profile.conversation), ("mixed", profile.mixed), ("image", profile.image))
    return [Panel(_form(form), title=name, title_align="left") for name, form in forms if form]


def _form(form: Form) -> Group:
    media = Text("image, video, audio", style="dim")
    user = untrusted(form.user)
    system = [Text("system", style="bold"), untrusted(form.system)] if form.system is not None else []
    return Group(*system, Text("user", style="bold"), *((media, user) if form.media == "before" else (user, media)))


def _categories(profile: Profile) -> Table:
    text = "in its own words" if profile.trained_text else "in the policy's words"
    shown = table(
        Column("id", no_wrap=True),
        "category",
        Column("policy's name", no_wrap=True),
        "assessed on",
        caption=f"What it knows is shown {text}; the rest in the policy's.",
    )
    for category in profile.categories:
        assessed = [modality for modality, names in profile.assessed.items() if category.name in names]
        title = ("  " if category.under else "") + category.title
        shown.add_row(category.id, untrusted(title), category.name or "-", ", ".join(assessed))
    return shown
