"""`omniguard watch`: verdicts and their critiques as they arrive."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from omniguard.consume import VerdictTable
from omniguard.contracts.critique import CritiqueData
from omniguard.contracts.verdict import VerdictData
from omniguard.entrypoints import show
from omniguard.entrypoints.addresses import Bootstrap, Prefix, kafka_settings
from omniguard.entrypoints.answers import Answer, Answers, Letter
from omniguard.entrypoints.console import FAILED, errors_as_exit_codes, print_json, table, untrusted
from omniguard.observability import configure_logging
from omniguard.settings import KafkaSettings

watch_app = typer.Typer()


@watch_app.command()
def watch(
    earliest: Annotated[bool, typer.Option("--earliest", help="Begin with the oldest that is kept, rather than now.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="End after this many verdicts, each with its critique.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="End after this many seconds.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Show this tenant only.")] = None,
    kafka: Bootstrap = None,
    prefix: Prefix = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each record's data as one JSON line.")] = False,
) -> None:
    """Show verdicts, critiques and dead letters as they arrive; records that a newer one displaces are not shown again.

    Exit status: 0 ended by --limit, by --timeout without a limit, or by Ctrl-C; 1 --timeout came before the limit, or no broker
    answers; 2 the call or a setting is wrong.
    """
    configure_logging(level="ERROR", json=False)
    with errors_as_exit_codes():
        settings = kafka_settings(kafka, prefix)
        seen = Seen(limit, tenant)
        view = _Lines() if as_json else _Rows()
        try:
            asyncio.run(_watch(settings, earliest, timeout, seen, view))
        except KeyboardInterrupt:
            return
    if limit is not None and not seen.enough:
        raise typer.Exit(FAILED)


class Seen:
    """Which answers count: applied by the contract's rule, of one tenant, and how many are still to come."""

    def __init__(self, limit: int | None = None, tenant: str | None = None) -> None:
        """Nothing seen yet."""
        self._limit, self._tenant = limit, tenant
        self._standing = VerdictTable()
        self._verdicts = 0
        self._awaited: set[str] = set()
        self._early: set[str] = set()

    @property
    def enough(self) -> bool:
        """True once `limit` verdicts and their critiques were seen."""
        return self._limit is not None and self._verdicts >= self._limit and not self._awaited

    def take(self, answer: Answer) -> bool:
        """Whether to show it."""
        if self._tenant is not None and _tenant(answer) != self._tenant:
            return False
        if isinstance(answer, Letter):
            return True
        if isinstance(answer, CritiqueData):
            self._awaited.discard(answer.verdict_id)
            self._early.add(answer.verdict_id)
            return True
        if (self._limit is not None and self._verdicts >= self._limit) or not self._standing.apply(answer):
            return False
        self._verdicts += 1
        if answer.critique_ref is not None and answer.critique_ref not in self._early:
            self._awaited.add(answer.critique_ref)
        return True


def _tenant(answer: Answer) -> str:
    return answer.key.partition("|")[0] if isinstance(answer, Letter) else answer.tenant


async def _watch(settings: KafkaSettings, earliest: bool, timeout: float | None, seen: Seen, view: _Lines | _Rows) -> None:
    try:
        async with asyncio.timeout(timeout), Answers(settings, earliest=earliest).opened() as answers:
            with view:
                await _take(answers, seen, view)
    except TimeoutError:
        return


async def _take(answers: AsyncIterator[Answer], seen: Seen, view: _Lines | _Rows) -> None:
    async for answer in answers:
        if seen.take(answer):
            view.add(answer)
        if seen.enough:
            return


class _Lines:
    """One JSON line a record."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, answer: Answer) -> None:
        print_json(_data(answer), indent=False)


def _data(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, Letter):
        return {"dead_letter": {"key": answer.key, **answer.headers.model_dump(mode="json", by_alias=True)}}
    name = "verdict" if isinstance(answer, VerdictData) else "critique"
    return {name: answer.model_dump(mode="json")}


class _Rows:
    """A table that grows in a terminal: a row a content, the critique below its verdict. Elsewhere plain lines."""

    def __init__(self) -> None:
        self._console = Console()
        self._contents: OrderedDict[str, VerdictData] = OrderedDict()
        self._critiques: dict[str, CritiqueData] = {}
        self._letters = 0
        self._live = Live(console=self._console, get_renderable=self._table, auto_refresh=False)

    def __enter__(self) -> None:
        if self._console.is_terminal:
            self._live.start()

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def add(self, answer: Answer) -> None:
        if isinstance(answer, VerdictData):
            self._contents[answer.key] = answer
            self._contents.move_to_end(answer.key)
        elif isinstance(answer, CritiqueData):
            self._critiques[answer.verdict_id] = answer
        else:
            self._letters += 1
        if self._console.is_terminal:
            self._live.refresh()
        else:
            self._console.print(line(answer), soft_wrap=True)

    def _table(self) -> Table:
        caption = f"{len(self._contents)} contents, {self._letters} dead letters; Ctrl-C ends"
        rows = table("content", "action", "found", "where", "critique", caption=caption, expand=True)
        for key, verdict in list(self._contents.items())[-self._room :]:
            critique = self._critiques.get(verdict.critique_ref or "")
            awaited = Text("…", style="dim") if verdict.critique_ref and critique is None else show.critique_text(critique)
            rows.add_row(
                untrusted(key, lines=False), show.answer(verdict), show.categories(verdict), show.where(verdict.segments), awaited
            )
        return rows

    @property
    def _room(self) -> int:
        """Contents that fit, at three lines each."""
        return max(1, (self._console.height - 6) // 3)


def line(answer: Answer) -> Text:
    """An answer in one line."""
    if isinstance(answer, Letter):
        return untrusted(f"dead letter  {answer.key}  {answer.headers.error}: {answer.headers.reason}", lines=False)
    key = untrusted(f"{answer.tenant}|{answer.content_id}", lines=False)
    if isinstance(answer, CritiqueData):
        return Text.assemble("critique  ", key, "  ", untrusted(show.critique_text(answer).plain, lines=False))
    return Text("  ").join([Text("verdict"), key, show.answer(answer), show.categories(answer), show.where(answer.segments)])
