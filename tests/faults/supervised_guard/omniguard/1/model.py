"""The guard's own service in Triton over an engine that is told what to do: by the text, and by files in a control folder.

    takes:SECONDS  the label takes so long; two labels are computed at once
    kills:WORD     the process kills itself over it, as a fault in native code would; told in `kills-WORD`

A file `hang`, `fail` or `refuse` that holds this process' number makes every label hang, raise or be refused as unavailable.
With a file `no-load` no process starts.
"""

import asyncio
import os
import signal
from pathlib import Path

from omniguard.guard.engine import Refusal
from omniguard.guard.service import GuardService
from omniguard.guard.triton_glue import TritonSender, elements
from omniguard.guard.wire import Capabilities, GuardErrorCode, LabelEvent

CONTROL = Path(os.environ["SUPERVISED_CONTROL"])


def told(name):
    note = CONTROL / name
    return note.exists() and note.read_text() == str(os.getpid())


class Engine:
    lanes = {"one": 2}

    def lane(self, request):
        return "one"

    def capabilities(self):
        limits = {"max_text_chars": 1000, "max_frames": 1, "max_pixels": 1, "max_audio_seconds": 1, "max_in_flight": 16}
        return Capabilities(engine="told", digest="d", modalities=("text",), assessed={"text": ()}, **limits)

    async def label(self, ask):
        verb, _, rest = (ask.request.parts[0].text or "").partition(" ")[0].partition(":")
        if told("fail"):
            raise ValueError("as told")
        if told("refuse"):
            raise Refusal(GuardErrorCode.UNAVAILABLE, "the engine's own process has died")
        while told("hang"):  # noqa: ASYNC110  a file that another process makes
            await asyncio.sleep(0.05)
        if verb == "takes":
            (CONTROL / "takes").touch()
            await asyncio.sleep(float(rest))
        if verb == "kills":
            with (CONTROL / f"kills-{rest}").open("a") as note:
                note.write("x")
            await asyncio.sleep(0.3)
            os.kill(os.getpid(), signal.SIGKILL)
        vouched = {"text": tuple(category.name for category in ask.request.policy)}
        yield LabelEvent(final=True, label="safe", unsafe=0.0, assessed=vouched)

    async def critique(self, ask):
        raise NotImplementedError
        yield

    def close(self):
        pass


class TritonPythonModel:
    def initialize(self, args):
        if (CONTROL / "no-load").exists():
            raise RuntimeError("told not to load")
        (CONTROL / "pid").write_text(str(os.getpid()))
        self.service = GuardService(Engine())

    def execute(self, requests):
        for request in requests:
            asked, media = elements(request)
            self.service.submit(asked, media, TritonSender(request))

    def finalize(self):
        self.service.close()
