"""`omniguard demo`: the whole of it on this machine, from upload to verdict and critique, on genuine parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from filelock import FileLock, Timeout
from rich.console import Console

from omniguard.adapters.kafka_publisher import KafkaPublisher
from omniguard.contracts.topics import Topics
from omniguard.devstack import DevStackError
from omniguard.domain.lane import Lane
from omniguard.entrypoints.answers import Answer, Answers
from omniguard.entrypoints.console import FAILED, errors_as_exit_codes, print_json
from omniguard.entrypoints.demo_cases import Cases
from omniguard.entrypoints.demo_models import fetch_models, missing_megabytes
from omniguard.entrypoints.demo_site import Site, forget_settings
from omniguard.entrypoints.demo_view import View, table
from omniguard.entrypoints.dev import default_state_dir
from omniguard.errors import Misconfigured
from omniguard.observability import configure_logging
from omniguard.samples import MEDIA
from omniguard.settings import KafkaSettings

demo_app = typer.Typer()


@demo_app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything up at the end, until Ctrl-C.")] = False,
    state: Annotated[Path | None, typer.Option(help="Folder of logs and data. [default: XDG state folder]")] = None,
    model_repository: Annotated[Path, typer.Option(help="Triton's model repository.")] = Path("model_repository"),
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for all answers, from the first publication.")] = 240.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON; everything else goes to standard error.")
    ] = False,
) -> None:
    """Start Kafka, Valkey, Triton and three workers, publish the sample uploads, and compare each answer with the expected one.

    Exit status: 0 every sample got the answer it should, 1 one did not, or something did not start.
    """
    console = Console(stderr=as_json)
    folder = (state or default_state_dir().with_name("demo")).absolute()
    run = Run(console, folder, model_repository, timeout)
    with errors_as_exit_codes(), _alone(folder):
        try:
            asyncio.run(run.run(keep=keep))
        except KeyboardInterrupt:
            console.print("ended")
    if as_json:
        print_json(run.cases.results())
    if run.cases.wrong:
        raise typer.Exit(FAILED)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder: a second demo in it would take the first one's parts down.

    Raises:
        Misconfigured: another demo holds it.

    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{folder.name}.lock"), blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise Misconfigured(
            f"a demo is up in {folder} already: end it with Ctrl-C where it runs, or name another --state"
        ) from None
    try:
        yield
    finally:
        lock.release()


class Run:
    """One demo."""

    def __init__(self, console: Console, folder: Path, repository: Path, timeout: float) -> None:
        """Starts nothing."""
        self._began = time.monotonic() - (time.time() - psutil.Process().create_time())  # with the imports before this line
        self._first: float | None = None
        self._console, self._timeout = console, timeout
        self.cases = Cases()
        self._view = View(console, self._began)
        self._site = Site(folder, repository=repository, samples=MEDIA, report=self._view.say)

    async def run(self, *, keep: bool) -> None:
        """Start, publish, show, compare, end.

        Raises:
            DevStackError: a part or a worker did not start, or has died.
            Misconfigured: a model's files cannot be had.

        """
        forget_settings()
        configure_logging(level="ERROR", json=False)
        self._announce(keep=keep)
        try:
            with self._view:
                await self._start_and_listen()
            self._conclude()
            if keep:
                await self._keep()
        finally:
            with self._console.status("ending what was started"):
                await asyncio.to_thread(self._site.close)

    def _announce(self, *, keep: bool) -> None:
        folder = self._site.stack.dir
        end = "stays up until Ctrl-C" if keep else "ends what it started"
        self._console.print(
            f"This starts Kafka, Valkey, Triton and three workers on loopback ports, publishes {len(self.cases)} sample uploads, "
            f"and compares each answer with the expected one. Then it {end}. Logs and data: {folder}",
            soft_wrap=not self._console.is_terminal,
            highlight=False,
        )
        if megabytes := missing_megabytes():
            self._console.print(f"It first downloads {megabytes} MB, this once.", highlight=False)

    async def _start_and_listen(self) -> None:
        await asyncio.to_thread(fetch_models, self._view.say)
        await asyncio.to_thread(self._site.stack.down, purge=True)  # of an earlier demo
        starting = asyncio.create_task(asyncio.to_thread(self._site.stack.up))
        try:
            await self._site.chosen(starting)
            live = self._site.start_worker(
                Lane.LIVE
            )  # it imports while the others start, and waits for the broker and the topics
            await self._site.serving("kafka", starting)
            await self._site.create_topics()
            await starting
            self._view.say("live worker: waiting until it consumes")
            await self._site.ready(live)
        finally:
            await asyncio.wait({starting})
        kafka = KafkaSettings(bootstrap=self._site.urls.kafka)
        publisher = KafkaPublisher(kafka)
        await publisher.start()
        try:
            async with Answers(kafka, earliest=True).opened() as answers:
                await self._publish_due(publisher)
                for lane in (Lane.BACKFILL, Lane.LATE):
                    self._site.start_worker(lane)
                await self._listen(self._hear(answers, publisher))
        finally:
            await publisher.stop()

    async def _publish_due(self, publisher: KafkaPublisher) -> None:
        for case in self.cases.due:
            case.published = time.monotonic()
            await publisher.publish(case.message(Topics().content(Lane.LIVE)))

    async def _listen(self, hear: Coroutine[Any, Any, None]) -> None:
        """Until every case has its answer, the time is over, or a worker dies."""
        hearing = asyncio.create_task(hear)
        until = time.monotonic() + self._timeout
        try:
            while not hearing.done() and time.monotonic() < until:
                self._view.progress(len(self.cases) - self.cases.waiting, len(self.cases))
                self._site.check_workers()
                await asyncio.wait({hearing}, timeout=0.5)
        finally:
            hearing.cancel()
            await asyncio.wait({hearing})
        if not hearing.cancelled():
            hearing.result()

    async def _hear(self, answers: AsyncIterator[Answer], publisher: KafkaPublisher) -> None:
        async for answer in answers:
            case = self.cases.take(answer)
            if case is None:
                continue
            if self._first is None and case.row.verdict is not None:
                self._first = time.monotonic() - self._began
            self._view.answered(case.row)
            if self.cases.complete:
                return
            await self._publish_due(publisher)

    def _conclude(self) -> None:
        self.cases.close()
        self._console.print(table(case.row for case in self.cases))
        right = len(self.cases) - len(self.cases.wrong)
        style = "red" if self.cases.wrong else "green"
        self._console.print(f"{right} of {len(self.cases)} samples got the answer they should.", style=style, highlight=False)
        if self._first is not None:
            all_after = time.monotonic() - self._began
            self._console.print(
                f"First verdict {self._first:.1f} s after the command, everything after {all_after:.1f} s.", highlight=False
            )

    async def _keep(self) -> None:
        """Show how to go on, and stay until Ctrl-C or a death."""
        urls = self._site.urls
        lines = [
            "",
            "Everything stays up until Ctrl-C, or until a part of it dies.",
            "In another terminal, with the same .venv:",
            '  omniguard publish "some text" photo.jpg     publish an upload of your own',
            "  omniguard watch                             see verdicts and critiques as they come",
            '  omniguard moderate "some text"              the same pipeline without Kafka',
            f"Kafka {urls.kafka}  Valkey {urls.redis}",
            f"Triton {urls.triton} (gRPC), {urls.triton_http}",
            *(f"{w.lane} worker: {w.health}/readyz, {w.health}/metrics" for w in self._site.workers),
        ]
        self._console.print("\n".join(lines), soft_wrap=True, highlight=False)
        while True:
            await asyncio.sleep(1)
            self._site.check_workers()
            if dead := [part for part in await asyncio.to_thread(self._site.stack.status) if part.state == "dead"]:
                raise DevStackError("; ".join(f"{part.name} has died: {part.detail}" for part in dead))
