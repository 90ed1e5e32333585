"""What a user writes, names or hides in a file is in no log, metric, span or dead letter's header of a worker and its Triton."""

from __future__ import annotations

import base64
import gzip
import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from PIL import Image

from faults.harness import TENANTS, Installation
from faults.nursery import Nursery
from marker import MARK, keep, leaks
from omniguard.domain.taxonomy import TEST_PHRASE

pytestmark = [pytest.mark.stack, pytest.mark.triton]


@pytest.fixture
def spans(tmp_path: Path) -> Iterator[str]:
    """Where OTLP spans go: to files that are kept."""

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            keep(tmp_path, "spans", gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    server.shutdown()
    thread.join()
    server.server_close()


def picture() -> dict[str, Any]:
    """An inline PNG that says the mark in its metadata."""
    image, out = Image.new("RGB", (64, 48), "red"), io.BytesIO()
    exif = image.getexif()
    exif[0x010E] = MARK
    image.save(out, "PNG", exif=exif)
    return {"id": "p1", "modality": "image", "data": base64.b64encode(out.getvalue()).decode()}


UPLOADS: dict[str, list[dict[str, Any]]] = {
    "harmful": [{"id": "p0", "modality": "text", "text": f"{TEST_PHRASE} {MARK}", "role": "caption"}],
    "picture": [{"id": "p0", "modality": "text", "text": MARK}, picture()],
    "not-listed": [{"id": "p0", "modality": "image", "uri": f"s3://{MARK}/{MARK}.png"}],
    "missing": [{"id": "p0", "modality": "video", "uri": f"file:///etc/{MARK}.mp4"}],
    "refused-host": [{"id": "p0", "modality": "image", "uri": f"http://127.0.0.1:9/{MARK}?token={MARK}"}],
    "broken": [{"id": "p0", "modality": "audio", "data": base64.b64encode(b"RIFF" + MARK.encode() * 9).decode()}],
    "odd-type": [{"id": "p0", "modality": "image", "media_type": MARK, "data": base64.b64encode(MARK.encode()).decode()}],
    "odd-part": [{"id": "p0", "modality": MARK, "text": MARK}],
}


async def test_nothing_of_it_is_told(
    nursery: Nursery, kafka_url: str, triton_url: str, topic_prefix: str, tmp_path: Path, seed: int, spans: str
) -> None:
    async with Installation(nursery, kafka_url, topic_prefix, tmp_path, seed=seed, tenants=TENANTS) as made:
        await made.create(1)
        for name, parts in UPLOADS.items():
            await made.upload(name, "", parts=parts)
        await made.raw(b"acme|unreadable", orjson.dumps({"specversion": "1.0", "type": MARK, "source": MARK, "data": MARK}))
        await made.raw(MARK.encode(), b"{" + MARK.encode(), headers=[("x-from-producer", MARK.encode())])
        worker = await made.start(triton__addresses=triton_url, telemetry__otlp_endpoint=spans, telemetry__log_level="DEBUG")
        await made.all_ended(len(UPLOADS), seconds=120)
        letters = (await made.observer.read()).dead_letters
        keep(tmp_path, "metrics", await worker.page("metrics"))
        worker.signal(15)
        await worker.gone()
    assert b"omniguard_events_finished_total" in said(tmp_path, "metrics")
    assert b"omniguard.lane" in said(tmp_path, "spans")
    assert b"origin_topic" in said(tmp_path, "headers")
    assert len(letters) >= 6
    assert "consuming" in worker.tail()
    assert leaks([tmp_path]) == []


def said(folder: Path, name: str) -> bytes:
    """All that was kept under a name."""
    return b"".join(path.read_bytes() for path in folder.glob(f"kept-{name}-*"))
