"""The decoder process: `python -m omniguard.media.child LIMITS FOLDER`, where LIMITS is `DecodeLimits` as JSON.

Reads requests from standard input and answers on standard output, one at a time, until the input ends. It holds no
secrets, and before it opens the first file below FOLDER it gives up all else: a codec's fault may be somebody's tool.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from omniguard.domain.plan import ChunkPlan
from omniguard.errors import BadContent, Reason
from omniguard.media.container import silence_ffmpeg
from omniguard.media.decode import decode, probe
from omniguard.media.framing import PREFIX, lengths, pack, pack_info, pack_segment
from omniguard.media.limits import DecodeLimits
from omniguard.media.sandbox import confine


def main(limits_given: str, folder: str) -> int:
    """Serve until the input ends; 0 then, 1 after an error of our own (a codec's crash ends the process by signal)."""
    limits = DecodeLimits(**orjson.loads(limits_given))
    requests, answers = _private_streams()
    silence_ffmpeg()
    begun = pack({"kind": "begun", "sandbox": confine(limits, Path(folder))})
    while prefix := requests.read(PREFIX.size):
        head, body = lengths(prefix)
        request = orjson.loads(requests.read(head + body)[:head])
        _allow_cpu(limits.cpu_seconds)
        _send(answers, begun)
        if not _serve(request, answers, limits):
            return 1
    return 0


def _serve(request: Mapping[str, Any], answers: BinaryIO, limits: DecodeLimits) -> bool:
    """Answer one request; False if the process should not be used again."""
    again, last = True, pack({"kind": "end"})
    try:
        path = Path(request["path"])
        if request["op"] == "probe":
            last = pack_info(probe(path, limits))
        else:
            for segment in decode("", path, ChunkPlan(**request["plan"]), limits):
                _send(answers, pack_segment(segment))
    except BadContent as error:
        last = pack({"kind": "error", "reason": error.reason, "message": str(error)})
    except MemoryError:
        again, last = False, _error(Reason.TOO_LARGE, "decoding needs more memory than the limit: send a smaller file")
    except BrokenPipeError:
        return False
    except Exception as error:  # noqa: BLE001 - the border of the process: whatever a file provokes becomes a typed answer
        again, last = False, _error(Reason.DECODER_CRASHED, f"the decoder failed with {_where(error)}; the file may be hostile")
    _send(answers, last)
    return again


def _error(reason: Reason, message: str) -> bytes:
    return pack({"kind": "error", "reason": reason, "message": message})


def _where(error: Exception) -> str:
    """Type and place of an error, without its message, which may quote the file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else "an unknown place"
    return f"{type(error).__name__} at {place}"


def _send(answers: BinaryIO, message: bytes) -> None:
    answers.write(message)
    answers.flush()


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes for us: what a library prints goes nowhere."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)
    return requests, answers


def _allow_cpu(seconds: int) -> None:
    """So much more processor time from now on; then SIGXCPU ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + seconds + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
