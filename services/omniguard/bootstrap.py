"""The only file that picks concrete adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from omniguard.adapters.attempt_files import AttemptFiles
from omniguard.adapters.clock import SystemClock
from omniguard.adapters.decoder import ProcessDecoder
from omniguard.adapters.fetch_s3 import S3Credentials
from omniguard.adapters.kafka_publisher import KafkaPublisher
from omniguard.adapters.media_folder import media_folder
from omniguard.adapters.media_store import PartStore, fetchers
from omniguard.adapters.memory_assessments import MemoryAssessmentStore
from omniguard.adapters.redis_link import login_options
from omniguard.adapters.redis_store import RedisAssessmentStore, StoreSettings
from omniguard.adapters.triton_channels import Access
from omniguard.adapters.triton_guard import TritonGuard
from omniguard.contracts.calibration_file import load_calibration
from omniguard.contracts.tenants_file import load_tenants
from omniguard.contracts.topics import Topics
from omniguard.domain.cascade import Stage
from omniguard.domain.lane import Lane
from omniguard.domain.plan import ChunkPlan
from omniguard.domain.tenant import Tenants
from omniguard.errors import Misconfigured
from omniguard.media.limits import DecodeLimits
from omniguard.media.sandbox import PARTS
from omniguard.observability import METRICS
from omniguard.ports import AssessmentStore, Clock, GuardModel, Publisher
from omniguard.settings import Settings, s3_variables
from omniguard.stages.calibrated import Calibrated
from omniguard.stages.cascade import FirstStage, Patience
from omniguard.stages.chunk import Chunk
from omniguard.stages.critic import Critic
from omniguard.stages.decide import Decide
from omniguard.stages.examine import Examine
from omniguard.stages.explain import Explain
from omniguard.stages.ingest import Ingest
from omniguard.stages.intake import Intake
from omniguard.stages.judge import Judge
from omniguard.stages.letter_limit import LetterLimit, Limits
from omniguard.stages.model import LoadedModel
from omniguard.stages.moderate import LaneRules, Moderate
from omniguard.stages.pipeline import Pipeline
from omniguard.stages.publish import Publish
from omniguard.stages.quota import Quotas
from omniguard.stages.window import Window

log = structlog.get_logger("omniguard.worker")

OPEN_PER_WINDOW = 64
"""Offsets that may be open at once, as a multiple of the label and critique windows: what one slow head event may hold back."""


@dataclass(frozen=True, slots=True)
class Service:
    """Everything a worker runs, except what feeds it records."""

    lane: Lane
    topics: Topics
    pipeline: Pipeline
    window: Window
    intake: Intake
    critic: Critic
    model: LoadedModel
    letter_limit: LetterLimit
    store: AssessmentStore
    guard: GuardModel


@asynccontextmanager
async def service(
    settings: Settings,
    *,
    progress: Callable[[], None],
    publisher: Publisher | None = None,
    guard: GuardModel | None = None,
    first: GuardModel | None = None,
    store: AssessmentStore | None = None,
    live: bool = False,
) -> AsyncIterator[Service]:
    """Build the service and close it behind the block. What is passed in replaces the adapter that the settings name.

    `live` refuses a model that reasons before its label and has no first stage.

    Raises:
        Misconfigured: a policy, tenants or calibration file is wrong, or a folder cannot be written.

    """
    clock, lane = SystemClock(), settings.worker.lane
    topics = Topics(settings.kafka.topic_prefix)
    tenants = load_tenants(settings.policy.tenants, settings.policy.roots)
    if missing := [_not_given(name) for name in tenants.credentials if name not in settings.s3]:
        raise Misconfigured("\n".join(missing))
    calibrated = Calibrated(load_calibration(settings.policy.calibration) if settings.policy.calibration else None)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(media_folder(settings.worker.media_folder))
        decoder = await stack.enter_async_context(_decoder(settings, folder))
        asked = (
            guard
            if guard is not None
            else await stack.enter_async_context(_guard(settings, settings.triton.model, settings.triton.addresses))
        )
        kept = store if store is not None else await stack.enter_async_context(_store(settings))
        sent = publisher if publisher is not None else await stack.enter_async_context(kafka_publisher(settings))
        model = LoadedModel(asked, clock)
        stack.push_async_callback(model.close)
        worker = settings.worker
        limit = LetterLimit(Limits(worker.dead_letter_run, worker.dead_letter_ratio, worker.dead_letter_ratio_over))
        publish = Publish(sent, topics, settings.output.mode, limit)
        decide = Decide(clock, calibrated)
        chunk = Chunk(decoder)
        examine = Examine(
            model,
            Ingest(PartStore(fetchers(_s3_credentials(settings))), clock, concurrency=settings.worker.fetch_concurrency),
            chunk,
            Judge(asked, kept, clock, concurrency=settings.worker.judge_concurrency),
            kept,
            clock,
            ChunkPlan(),
            calibrated,
            await _first_stage(settings, first, chunk, kept, clock, stack),
            live=live,
        )
        critic = Critic(
            asked,
            concurrency=settings.worker.critique_concurrency,
            queue=settings.worker.critique_window,
            timeout=settings.worker.critique_timeout,
            tokens=settings.worker.critique_tokens,
            least_tokens=settings.worker.critique_tokens_least,
        )
        explain = Explain(examine, critic, publish, clock)
        moderate = Moderate(_rules(settings, lane), examine, decide, publish, explain, clock, folder)
        quotas = Quotas(clock, at_once=settings.worker.window_events // 2)
        pipeline = Pipeline(lane, _fixed(tenants), moderate, explain, decide, publish, quotas, kept)
        window = Window(
            pipeline.carry,
            max_events=settings.worker.window_events,
            max_bytes=settings.worker.window_bytes,
            max_open=OPEN_PER_WINDOW * (settings.worker.window_events + settings.worker.critique_window),
            progress=progress,
        )
        yield Service(lane, topics, pipeline, window, Intake(window, kept, limit), critic, model, limit, kept, asked)


@asynccontextmanager
async def _decoder(settings: Settings, folder: Path) -> AsyncIterator[ProcessDecoder]:
    """Decoders that read this process' own media alone; what their sandbox is made of is logged and measured."""
    worker, limits = settings.worker, DecodeLimits(**settings.decode.model_dump())
    async with ProcessDecoder(
        processes=worker.decode_processes, limits=limits, folder=folder, required=worker.sandbox_required
    ) as decoder:
        for part in PARTS:
            METRICS.set("omniguard_decoder_sandbox", part in decoder.sandbox, part=part)
        missing = [part for part in PARTS if part not in decoder.sandbox]
        tell = log.warning if missing else log.info
        tell("decoder_sandbox", in_force=list(decoder.sandbox), missing=missing)
        yield decoder


async def _first_stage(
    settings: Settings, guard: GuardModel | None, chunk: Chunk, store: AssessmentStore, clock: Clock, stack: AsyncExitStack
) -> FirstStage | None:
    """The cascade's, where the settings name one; it is asked for its capabilities before the first event comes."""
    cascade = settings.cascade
    if cascade.model is None or cascade.salt is None:
        return None
    addresses = cascade.addresses or settings.triton.addresses
    asked = (
        guard if guard is not None else await stack.enter_async_context(_guard(settings, cascade.model, addresses, Stage.FIRST))
    )
    model = LoadedModel(asked, clock)
    stack.push_async_callback(model.close)
    model.ask()
    judge = Judge(asked, store, clock, concurrency=settings.worker.judge_concurrency, name=cascade.model)
    salt, patience = cascade.salt.get_secret_value(), Patience(cascade.share, cascade.seconds)
    return FirstStage(cascade.model, model, judge, chunk, store, clock, ChunkPlan(), salt=salt, patience=patience)


def _rules(settings: Settings, lane: Lane) -> LaneRules:
    heavy = settings.worker.heavy_seconds if lane is Lane.LIVE else None
    worker = settings.worker
    return LaneRules(lane, worker.event_time_limit, heavy, worker.late_max_age, worker.late_try_seconds)


def _fixed(tenants: Tenants) -> Callable[[], Tenants]:
    return lambda: tenants


@asynccontextmanager
async def _guard(
    settings: Settings, model: str, addresses: tuple[str, ...], stage: Stage = Stage.FULL
) -> AsyncIterator[TritonGuard]:
    triton = settings.triton
    guard = TritonGuard(
        addresses, model=model, patience=triton.patience, longest=triton.longest, stage=stage, access=Access.of(triton)
    )
    try:
        yield guard
    finally:
        await guard.close()


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[AssessmentStore]:
    redis = settings.redis
    if redis.url is None:
        yield MemoryAssessmentStore(attempts=AttemptFiles(settings.worker.state_folder, _count_store_error, redis.attempts_ttl))
        return
    times = StoreSettings(ttl=redis.assessment_ttl, jitter=redis.ttl_jitter, attempts_ttl=int(redis.attempts_ttl))
    store = RedisAssessmentStore.at(
        redis.url.get_secret_value(),
        state=settings.worker.state_folder,
        on_error=_count_store_error,
        settings=times,
        cluster=redis.cluster,
        login=login_options(redis),
    )
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def kafka_publisher(settings: Settings) -> AsyncIterator[KafkaPublisher]:
    """A started publisher: waits for the broker first."""
    publisher = KafkaPublisher(settings.kafka)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()


def _count_store_error(kind: str) -> None:
    METRICS.count("omniguard_redis_errors_total", kind=kind)


def _not_given(name: str) -> str:
    return f"s3 credentials {name} are named in tenants.yaml; expected {s3_variables(name)} to be set"


def _s3_credentials(settings: Settings) -> Callable[[str], S3Credentials]:
    def resolve(name: str) -> S3Credentials:
        keys = settings.s3.get(name)
        if keys is None:
            raise Misconfigured(_not_given(name))  # a tenants file read later
        return S3Credentials(
            keys.access_key_id,
            keys.secret_access_key.get_secret_value() if keys.secret_access_key else "",
            keys.session_token.get_secret_value() if keys.session_token else None,
        )

    return resolve
