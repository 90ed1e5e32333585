"""One tree of settings. Each leaf is read from OMNIGUARD_<GROUP>__<NAME>; `docs/settings.md` is generated from this file.

Secrets are masked wherever settings are shown, and each has a `*_file` twin for a mounted secret.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from omniguard.domain.lane import Lane
from omniguard.errors import Misconfigured
from omniguard.settings_links import Count, Group, KafkaSettings, RedisSettings, Seconds, TritonSettings, by_commas

__all__ = [
    "PREFIX",
    "CascadeSettings",
    "DecodeSettings",
    "EmergingSettings",
    "Group",
    "KafkaSettings",
    "OutputSettings",
    "PolicySettings",
    "RedisSettings",
    "S3Keys",
    "Settings",
    "TelemetrySettings",
    "TritonSettings",
    "WorkerSettings",
    "load_settings",
]

PREFIX = "OMNIGUARD_"
_SCRATCH = Path("/tmp/omniguard")  # noqa: S108  a default for one machine; the chart mounts a volume of its own
Tokens = Annotated[int, Field(ge=1, le=4096)]
Port = Annotated[int, Field(ge=0, le=65_535)]
SandboxPart = Literal["limits", "privileges", "namespaces", "landlock", "seccomp"]


class CascadeSettings(Group):
    """A cheaper first stage, for policies with a cascade; without a model's name there is none."""

    model: str | None = Field(default=None, description="Name of the first stage's model, such as omniguard_lite.")
    addresses: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="gRPC host:port of its servers, comma-separated; empty: those of the full model."
    )
    share: float = Field(default=0.2, description="Share of an event's time left that it may take.", gt=0, lt=1)
    seconds: Seconds = Field(default=2, description="Seconds it may take at most.")
    salt: SecretStr | None = Field(
        default=None, description="Any long random text, the same in every worker: keeps secret which uploads are audited."
    )
    salt_file: Path | None = Field(default=None, description="File that holds the salt.")

    @model_validator(mode="before")
    @classmethod
    def _split(cls, values: Any) -> Any:
        return by_commas(values)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.model is not None and self.salt is None:
            raise ValueError("found model without salt, expected both: set salt_file")
        return self


class WorkerSettings(Group):
    """One worker process."""

    lane: Lane = Field(default=Lane.LIVE, description="Which lane's topic it consumes.")
    window_events: Count = Field(default=32, description="Events examined at once.")
    window_bytes: Count = Field(default=256 * 1024 * 1024, description="Bytes of media held at once.")
    critique_window: Count = Field(default=256, description="Critiques that may wait to be written; more are shed.")
    critique_concurrency: Count = Field(default=4, description="Critiques written at once.")
    critique_timeout: Seconds = Field(default=30, description="Seconds a critique may take.")
    critique_tokens: Tokens = Field(default=256, description="Tokens a critique may have while none waits.")
    critique_tokens_least: Tokens = Field(
        default=64, description="Tokens a critique may have while as many wait as may; in between the fewer, the more wait."
    )
    drain_timeout: Seconds = Field(
        default=20, description="Seconds to finish work on revoke and SIGTERM; the rebalance time-out is 10 s more.", lt=60
    )
    live_seconds: Seconds = Field(default=30, description="Event time limit of the live lane.")
    backfill_seconds: Seconds = Field(default=600, description="Event time limit of the backfill lane; the late lane has none.")
    heavy_seconds: Seconds = Field(default=600, description="Media longer than this goes to a slower lane.")
    dead_letter_run: int = Field(
        default=100, ge=0, description="Dead letters in a row on a partition after which the worker stops; 0: no limit."
    )
    dead_letter_ratio: float = Field(
        default=0.5, gt=0, le=1, description="Share of a partition's last events above which it stops; 1: no limit."
    )
    dead_letter_ratio_over: Count = Field(default=200, description="How many last events that share is of.")
    late_max_age: Seconds = Field(default=86_400, description="Age in seconds at which the late lane gives up asking again.")
    late_try_seconds: Seconds = Field(
        default=14_400,
        description="Seconds one try on the late lane may take; the next goes on from the segments judged.",
    )
    media_folder: Path = Field(default=_SCRATCH / "media", description="Where fetched media lie while examined.")
    state_folder: Path = Field(default=_SCRATCH / "state", description="Where starts of events are counted, beside Redis.")
    decode_processes: Count = Field(default=2, description="Processes that decode media.")
    sandbox_required: Annotated[tuple[SandboxPart, ...], NoDecode] = Field(
        default=(),
        description="Parts of the decoders' sandbox without which the worker does not start, by commas: limits, privileges, "
        "namespaces, landlock, seccomp; see security.md.",
    )
    fetch_concurrency: Count = Field(default=32, description="Parts fetched at once; half as many of one tenant.")
    judge_concurrency: Count = Field(default=16, description="Requests to the guard at once.")
    health_host: str = Field(default="127.0.0.1", description="Address of /healthz, /readyz and /metrics.")
    health_port: Port = Field(default=8080, description="Port of /healthz, /readyz and /metrics; 0 takes a free one.")

    @model_validator(mode="before")
    @classmethod
    def _split(cls, values: Any) -> Any:
        return by_commas(values, "sandbox_required")

    @model_validator(mode="after")
    def _shrinks(self) -> Self:
        if self.critique_tokens_least > self.critique_tokens:
            raise ValueError("found critique_tokens_least above critique_tokens, expected at most as many: lower it")
        return self

    @property
    def event_time_limit(self) -> float | None:
        """Seconds an event of this lane may take; None on the late lane."""
        return {Lane.LIVE: self.live_seconds, Lane.BACKFILL: self.backfill_seconds, Lane.LATE: None}[self.lane]


class DecodeSettings(Group):
    """What one part's media may cost. Bytes are limited for each tenant, by `max_bytes` of its fetch rules."""

    max_pixels: Count = Field(default=50_000_000, description="Pixels of one picture or one frame.")
    max_animation_frames: Count = Field(default=3_000, description="Pictures of one animation.")
    max_animation_pixels: Count = Field(default=2_000_000_000, description="Pixels of all pictures of an animation together.")
    max_seconds: Seconds = Field(default=7_200, description="Length of sound and film.")
    max_frames_per_window: Count = Field(default=3_000, description="Frames of a film decoded for one segment.")
    max_streams: Count = Field(default=16, description="Tracks of one file: pictures, sounds, subtitles, data.")
    memory_bytes: Annotated[int, Field(ge=512 * 1024 * 1024)] = Field(
        default=3 * 1024**3, description="Address space of one decoding process, its libraries included: bounds what unpacks."
    )
    cpu_seconds: Count = Field(default=1_800, description="Processor time for one part.")
    stall_seconds: Seconds = Field(default=60, description="Seconds without a segment after which decoding has failed.")


class EmergingSettings(Group):
    """What gathers freely given names, `omniguard emerging`."""

    least: Annotated[int, Field(ge=2)] = Field(
        default=5, description="Contents for which a risk must be named before it is told."
    )
    window_days: Annotated[int, Field(ge=1, le=30)] = Field(
        default=28, description="Days after which a name no longer counts; the topic keeps them twice as long."
    )
    health_host: str = Field(default="127.0.0.1", description="Address of /healthz, /readyz and /metrics.")
    health_port: Port = Field(default=8081, description="Port of /healthz, /readyz and /metrics; 0 takes a free one.")


class S3Keys(Group):
    """Credentials that a tenant's S3 source may name."""

    access_key_id: str = Field(description="Access key id.")
    secret_access_key: SecretStr | None = Field(default=None, description="Secret access key.")
    secret_access_key_file: Path | None = Field(default=None, description="File that holds the secret access key.")
    session_token: SecretStr | None = Field(default=None, description="Session token of temporary credentials.")
    session_token_file: Path | None = Field(default=None, description="File that holds the session token.")


class PolicySettings(Group):
    """Who is judged by what."""

    tenants: Path = Field(default=Path("tenants.yaml"), description="The tenants file; it names the policies.")
    calibration: Path | None = Field(
        default=None, description="What `omniguard calibrate` wrote for the loaded model; without it block becomes review."
    )
    roots: dict[str, str] = Field(default_factory=dict, description="What ${NAME} stands for in the tenants' file_roots; JSON.")


class OutputSettings(Group):
    """The form of what we publish."""

    mode: Literal["structured", "binary"] = Field(default="structured", description="CloudEvents content mode.")


class TelemetrySettings(Group):
    """Logs and traces."""

    otlp_endpoint: str | None = Field(
        default=None, description="Full OTLP/HTTP URL for traces, ending in /v1/traces; unset exports none."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Of our own logs; libraries log from WARNING."
    )
    json_logs: bool = Field(default=True, description="JSON lines; false writes for a console.")


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    triton: TritonSettings = Field(default_factory=TritonSettings)
    cascade: CascadeSettings = Field(default_factory=CascadeSettings)
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    decode: DecodeSettings = Field(default_factory=DecodeSettings)
    emerging: EmergingSettings = Field(default_factory=EmergingSettings)
    s3: dict[str, S3Keys] = Field(default_factory=dict)
    policy: PolicySettings = Field(default_factory=PolicySettings)
    output: OutputSettings = Field(default_factory=OutputSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)


def s3_variables(name: str) -> str:
    """The environment variables that hold the S3 credentials of this name."""
    return f"OMNIGUARD_S3__{name.upper()}__*"


def load_settings(**groups: Mapping[str, Any]) -> Settings:
    """Read the environment; `groups` (such as `kafka={"bootstrap": …}`) win over it, name by name.

    Raises:
        Misconfigured: a value is wrong or a variable unknown; the message names it and never shows a value.

    """
    # Without "__" it is none of ours: Kubernetes makes OMNIGUARD_PORT and the like for a Service of that name.
    named = {n: n.removeprefix(PREFIX).partition("__") for n in os.environ if n.startswith(PREFIX)}
    unknown = [n for n, (group, nested, _) in named.items() if nested and group.lower() not in Settings.model_fields]
    if unknown:
        raise Misconfigured(f"found {', '.join(sorted(unknown))}, expected names of docs/settings.md: correct or unset them")
    try:
        build: Any = Settings
        settings: Settings = build(**{name: dict(values) for name, values in groups.items()})
    except SettingsError as error:
        raise Misconfigured(f"settings: {error}; expected one variable per setting, as in docs/settings.md") from None
    except ValidationError as error:
        lines = [
            f"{PREFIX}{'__'.join(str(part).upper() for part in e['loc'])}: {e['msg']}" for e in error.errors(include_input=False)
        ]
        raise Misconfigured("settings: " + "; ".join(lines)) from None
    return settings
