"""Answers as the request's text says: "play:NAME" runs a scene below, anything else is judged by the test phrase alone."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb

PHRASE = "OMNIGUARD-STANDARD-TEST-PHRASE"
FINAL = pb.TRITONSERVER_RESPONSE_COMPLETE_FINAL
NOTES = Path(os.environ["OMNIGUARD_SCRIPT_NOTES"])
NAN = float("nan")
DIGEST = os.environ.get("OMNIGUARD_SCRIPT_DIGEST", "d")


def response(event, unsafe):
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    return pb.InferenceResponse(
        [pb.Tensor("EVENT", np.array([raw], dtype=np.object_)), pb.Tensor("UNSAFE", np.array(unsafe, dtype=np.float32))]
    )


class Scene:
    """One request."""

    def __init__(self, request):
        self.sender = request.get_response_sender()
        self.asked = json.loads(pb.get_input_tensor_by_name(request, "REQUEST").as_numpy().reshape(-1)[0])
        media = pb.get_input_tensor_by_name(request, "MEDIA")
        self.media = [] if media is None else [bytes(element) for element in media.as_numpy().reshape(-1)]
        self.text = next((p["text"] for p in self.asked["parts"] if p.get("text")), "")

    def send(self, event, unsafe=NAN, last=True):
        self.sender.send(response(event, [unsafe]), flags=FINAL if last else 0)

    def label(self, unsafe, final=True, sequence=0, last=None, tensor=None, **more):
        label = "unsafe" if unsafe >= 0.5 else "safe"
        told = {"kind": "label", "label": label, "unsafe": unsafe, "digest": DIGEST}
        event = {**told, "final": final, "sequence": sequence, **more}
        self.send(event, unsafe if tensor is None else tensor, final if last is None else last)

    def categories(self, names, sequence=1):
        named = [{"name": name, "confidence": 0.75, "free": None if name else "Election interference"} for name in names]
        self.send({"kind": "categories", "categories": named, "sequence": sequence, "final": True})

    def error(self, code):
        self.send({"kind": "error", "code": code, "message": "as scripted", "final": True, "sequence": 0})

    def run(self):
        name, _, argument = self.text.partition(":")
        if name == "play":
            getattr(self, argument.partition(":")[0])(*argument.split(":")[1:])
        else:
            known = {"label": self.judge, "critique": self.explain, "capabilities": self.tell}
            known.get(self.asked["mode"], lambda: self.error("invalid_request"))()

    def judge(self):
        assessed = {p["modality"]: ["hate", "test"] for p in self.asked["parts"]}
        if PHRASE not in self.text:
            return self.label(0.125, assessed=assessed)
        self.label(1.0, final=False, assessed=assessed)
        return self.categories(["test"])

    def explain(self):
        for number, piece in enumerate(("This is ", "a test.")):
            self.send({"kind": "critique", "text": piece, "sequence": number, "final": number == 1}, last=number == 1)

    def tell(self):
        limits = {"max_text_chars": 1000, "max_frames": 8, "max_pixels": 10, "max_audio_seconds": 30, "max_in_flight": 4}
        assessed = {"modalities": ["text"], "assessed": {"text": ["hate", "test"]}}
        self.send({"kind": "capabilities", "engine": "scripted", "digest": DIGEST, "final": True, **assessed, **limits})

    # Scenes.

    def echo_sizes(self):
        """Evidence tells the sizes that arrived, so that the request's tensors can be checked."""
        sizes = [{"kind": "media", "start": len(element), "end": sum(element)} for element in self.media]
        self.label(0.125, evidence=sizes)

    def unmapped(self):
        self.label(0.875, final=False)
        self.categories([None, "hate", None, "hate"])

    def stranger(self):
        self.label(0.875, final=False)
        self.categories(["not-in-the-policy"])

    def wrong_sequence(self):
        self.label(0.125, sequence=3)

    def missing_final(self):
        self.label(0.875, final=False, last=True)

    def goes_on(self):
        self.label(0.125, last=False)
        self.categories([])

    def never_final(self):
        self.label(0.875, final=False)
        time.sleep(20)
        self.categories([])

    def other_tensor(self):
        self.label(0.125, tensor=0.25)

    def out_of_range(self):
        self.send({"kind": "label", "label": "unsafe", "unsafe": 1.5, "final": True}, 1.5)

    def no_json(self):
        self.send(b"\xff{ not json")

    def unknown_kind(self):
        self.send({"kind": "surprise", "final": True})

    def label_without_categories(self):
        self.label(0.875)

    def two_elements(self):
        raw = np.array([b"{}", b"{}"], dtype=np.object_)
        tensors = [pb.Tensor("EVENT", raw), pb.Tensor("UNSAFE", np.array([NAN], dtype=np.float32))]
        self.sender.send(pb.InferenceResponse(tensors), flags=FINAL)

    def errs(self, code):
        self.error(code)

    def raises(self):
        text = f"a secret of the content: {self.text}"
        self.sender.send(pb.InferenceResponse([], pb.TritonError(text)), flags=FINAL)

    def flaky(self, name, times):
        """UNAVAILABLE until asked often enough."""
        note = NOTES / f"flaky-{name}"
        seen = len(note.read_text()) if note.exists() else 0
        note.write_text("x" * (seen + 1))
        self.error("unavailable") if seen < int(times) else self.judge()

    def waits(self, name):
        """Waits to be cancelled, and notes it."""
        (NOTES / f"started-{name}").touch()
        end = time.monotonic() + 60
        while time.monotonic() < end and not self.sender.is_cancelled():
            time.sleep(0.01)
        if self.sender.is_cancelled():
            (NOTES / f"cancelled-{name}").touch()
        self.error("cancelled")

    def tells_deadline(self):
        self.label(0.125, evidence=[{"kind": "deadline_ms", "start": self.asked["deadline_ms"]}])

    def who(self, seconds):
        """Tells its process, a while later."""
        time.sleep(float(seconds))
        if self.asked["mode"] == "critique":
            self.send({"kind": "critique", "text": str(os.getpid()), "sequence": 0, "final": True})
        else:
            self.label(0.125, evidence=[{"kind": "process", "start": os.getpid()}])

    def dies(self):
        os._exit(3)


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            threading.Thread(target=Scene(request).run, daemon=True).start()
