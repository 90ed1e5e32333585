"""Settings of the engine `lite`, from the parameters in config.pbtxt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omniguard.errors import Misconfigured

__all__ = ["LiteSettings"]

_SPEECH = ("base", "tiny.en")


@dataclass(frozen=True, slots=True)
class LiteSettings:
    """Threads inside one model call, calls for media at once, requests held at most, speech model, seconds loading may take."""

    threads: int = 1
    media_workers: int = 2
    max_in_flight: int = 64
    whisper: str = "base"
    load_seconds: int = 120

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> LiteSettings:
        """Read the parameters; absent ones keep their defaults, others' are ignored.

        Raises:
            Misconfigured: a number is none or out of range, or the speech model is unknown.

        """
        default = cls()
        whisper = parameters.get("whisper", default.whisper)
        if whisper not in _SPEECH:
            raise Misconfigured(
                f"parameter whisper: found {whisper!r}, expected one of {', '.join(_SPEECH)}; correct it in config.pbtxt"
            )
        return cls(
            threads=_number(parameters, "threads", default.threads, 256),
            media_workers=_number(parameters, "media_workers", default.media_workers, 64),
            max_in_flight=_number(parameters, "max_in_flight", default.max_in_flight, 4096),
            whisper=whisper,
            load_seconds=_number(parameters, "load_seconds", default.load_seconds, 3600),
        )


def _number(parameters: Mapping[str, str], name: str, default: int, most: int) -> int:
    found = parameters.get(name, str(default))
    if not found.isdecimal() or not 1 <= int(found) <= most:
        raise Misconfigured(
            f"parameter {name}: found {found!r}, expected a whole number from 1 to {most}; correct it in config.pbtxt"
        )
    return int(found)
