"""Scores labelled rows as a worker would judge them: the same fetching, cutting, asking and attribution, without Kafka."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.adapters.memory_publisher import MemoryPublisher
from omniguard.adapters.triton_channels import Access
from omniguard.adapters.triton_control import TritonControl
from omniguard.bootstrap import Service, service
from omniguard.contracts.policy_file import named_policy
from omniguard.domain.cache_keys import content_hash, digest
from omniguard.domain.content import Identity, Modality, Part, Upload
from omniguard.domain.deadline import Deadline
from omniguard.domain.decision import decide
from omniguard.domain.fetching import FetchRules
from omniguard.domain.plan import ChunkPlan
from omniguard.domain.policy import Policy, Threshold
from omniguard.domain.reason import Reason
from omniguard.domain.scores import JOINT, Critique, SegmentScore
from omniguard.domain.taxonomy import TEST
from omniguard.domain.tenant import Tenant
from omniguard.entrypoints.moderate import settings_alone
from omniguard.entrypoints.scoring import How
from omniguard.errors import Misconfigured, OmniGuardError
from omniguard.evaluation.dataset import Example, parts
from omniguard.evaluation.scorer import ExampleScore
from omniguard.guard.wire import Capabilities, Priority
from omniguard.ports import GuardModel
from omniguard.stages.examine import Examination, Task, wire_categories

_LOOK_SECONDS = 5.0
_EVERYTHING = 1e-6
"""A lowest threshold that every score reaches: each medium is then judged alone as well."""


class ModelChanged(OmniGuardError):
    """Another model answered than at the start: the scores would belong to two."""


class GuardAway(OmniGuardError):
    """No guard answers."""


class JudgedRows:
    """A `Scorer` over a running guard. Make it by `judged_rows`."""

    def __init__(self, built: Service, how: How, policy: Policy, capabilities: Capabilities, roots: Sequence[Path]) -> None:
        """`roots` are the folders that media may come from."""
        self._built, self._how, self.capabilities, self.policy = built, how, capabilities, policy
        rules = FetchRules(file_roots=tuple(str(root) for root in roots))
        self._tenant = Tenant("eval", policy, 0, fetch=rules)
        self.name = capabilities.engine
        self.digest = digest((capabilities.digest, ChunkPlan().digest, policy.prompt_digest, policy.floor, how.critiques))

    async def scores(self, examples: Sequence[Example]) -> AsyncIterator[tuple[Example, ExampleScore]]:
        """Each row with its score, in the order in which they are done; at most `how.concurrency` are under way.

        Raises:
            ModelChanged: another model answered than at the start.

        """
        waiting = iter(examples)
        running: set[asyncio.Task[tuple[Example, ExampleScore]]] = set()
        try:
            while True:
                while len(running) < self._how.concurrency and (example := next(waiting, None)) is not None:
                    running.add(asyncio.create_task(self._score(example)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _score(self, example: Example) -> tuple[Example, ExampleScore]:
        moderate = self._built.pipeline.moderate
        with tempfile.TemporaryDirectory(prefix="row-", dir=moderate.media_folder) as folder:  # where the decoder may read
            upload = _upload(example)
            started = time.monotonic()
            deadline = Deadline(started + self._how.seconds)
            task = Task(upload, self._tenant, deadline, Priority.BACKFILL_LABEL, Path(folder), None, weigh=lambda _: None)
            exam = Examination(self.policy.floor)
            await moderate.examine.examine(task, exam)
            seconds = time.monotonic() - started
            if exam.model.digest != self.capabilities.digest:
                raise ModelChanged("the guard changed its model under way: run again, and the rows already scored are kept apart")
            written = await self._critique(upload, exam) if self._how.critiques else False
        ended = time.monotonic() - started if written else None
        return example, _example_score(exam, alone=self._how.alone, seconds=seconds, critique_seconds=ended)

    async def _critique(self, upload: Upload, exam: Examination) -> bool:
        """Ask for a critique as the policy says; True if one was written."""
        decision = decide(exam.assessment, self.policy, {p.id: p.modality for p in upload.parts}, exam.findings.problems)
        segments = exam.findings.kept(decision.deciding)
        if not decision.critique_wanted or not segments:
            return False
        written = await self._built.critic.write(
            decision,
            segments,
            tenant=self._tenant.name,
            affinity=content_hash(self._tenant.name, exam.fetched),
            categories=wire_categories(self.policy),
            context=upload.context,
            traceparent=None,
        )
        return isinstance(written, Critique)


@asynccontextmanager
async def judged_rows(how: How, examples: Sequence[Example], *, guard: GuardModel | None = None) -> AsyncIterator[JudgedRows]:
    """A scorer over the guard at `how.triton`, or over `guard` where one is given. Scores are the model's own: uncalibrated.

    Raises:
        Misconfigured: the policy or a setting of the environment is wrong, or Triton has no such model.
        GuardAway: no guard answers within `how.seconds`.

    """
    roots = sorted({path.parent.resolve() for example in examples for path in (example.media or {}).values()})
    policy = replace(named_policy(how.policy, Path()), cascade=None)
    if how.alone:
        thresholds = {key: Threshold(_EVERYTHING, t.block) for key, t in policy.thresholds.items()}
        policy = replace(policy, thresholds=thresholds)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="omniguard-eval-")))
        over = {"policy": {"calibration": None}, "triton": {"model": how.model}}
        settings = settings_alone(folder, how.policy, roots, how.triton, how.seconds, over)
        built = await stack.enter_async_context(
            service(
                settings,
                progress=lambda: None,
                publisher=MemoryPublisher(),
                store=MemoryAssessmentStore(),
                guard=guard,
            )
        )
        if guard is None:
            await _ensure_model(how, Access.of(settings.triton))
        try:
            async with asyncio.timeout(how.seconds):
                capabilities = await built.model.capabilities()
        except TimeoutError:
            raise GuardAway(
                f"found no guard {how.model} at {how.triton} within {how.seconds:g} s, expected one: see address and --model"
            ) from None
        yield JudgedRows(built, how, policy, capabilities, roots)


async def _ensure_model(how: How, access: Access) -> None:
    """Raise where a server answers and says that it has no such model: waiting for it would not bring it."""
    for address in how.triton.split(","):
        control = TritonControl(address.strip(), how.model, access)
        try:
            if await control.has_model(_LOOK_SECONDS) is not False:
                return
        finally:
            await control.close()
    raise Misconfigured(f"Triton at {how.triton}: found no model {how.model}, expected the guard's: correct --model")


def _upload(example: Example) -> Upload:
    made = []
    for number, (modality, content) in enumerate(parts(example)):
        if isinstance(content, Path):
            made.append(Part(f"p{number}", modality, uri=content.resolve().as_uri()))
        else:
            made.append(Part(f"p{number}", Modality.TEXT, text=content))
    return Upload(Identity("eval", f"{example.source}/{example.id}", 1), tuple(made), context=example.context)


def _example_score(exam: Examination, *, alone: bool, seconds: float, critique_seconds: float | None) -> ExampleScore:
    segments = exam.assessment.segments
    vouched = any(set(names) - {TEST} for segment in segments for names in segment.assessed.values())
    problems = exam.findings.problems
    reason = problems[0].reason if problems else None if vouched else Reason.NOT_ASSESSED
    return ExampleScore(
        single={m.value: score for m in Modality if (score := _highest(segments, m.value)) is not None},
        categories=_categories(segments),
        joint=_highest(segments, JOINT),
        assessed=reason is None,
        alone=alone,
        segments=len(segments),
        seconds=seconds if exam.cache is None else None,
        critique_seconds=critique_seconds,
        reason=reason.value if reason else None,
    )


def _highest(segments: Sequence[SegmentScore], key: str) -> float | None:
    return max((segment.scores[key] for segment in segments if key in segment.scores), default=None)


def _categories(segments: Sequence[SegmentScore]) -> dict[str, float]:
    """A named category carries the score of the segment that named it."""
    found: dict[str, float] = {}
    for segment in segments:
        for category in segment.categories:
            found[category.name] = max(found.get(category.name, 0.0), segment.unsafe)
    return found
