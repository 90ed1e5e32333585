"""Records of a content topic that no honest producer sends: valid events, changed in a few ways, drawn by a seed."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from hostile_values import HEADERS, KEYS, NUMBERS, ODD, SECRET, STRINGS, TIMES
from media_files.pictures import quarters, saved
from omniguard.contracts.content_event import CONTENT_DELETED, CONTENT_EVENT, MAX_INLINE_BYTES

_PICTURE = base64.b64encode(saved(quarters(16, 16), "PNG")).decode()
_RAW = "@@raw@@"


@dataclass(slots=True)
class Hostile:
    """A record. `named` is True where the identity was left readable, False where it surely was not, None where it may be."""

    number: int
    event: dict[str, Any]
    content_id: str
    key: bytes | None
    headers: dict[str, bytes] = field(default_factory=dict)
    named: bool | None = True
    value: bytes | None = b""
    ways: list[str] = field(default_factory=list)


_Way = Callable[[Hostile, random.Random], None]


def hostile(seed: int, number: int) -> Hostile:
    """The record of that number; the same for one seed, on any machine."""
    chance = random.Random(f"{seed}/{number}")
    content_id = f"post-{number}"
    made = Hostile(number, _valid(chance, content_id), content_id, f"acme|{content_id}".encode())
    for way in chance.sample(_TREES, chance.choice((0, 1, 1, 2))):
        way(made, chance)
        made.ways.append(way.__name__)
    made.value = _text(made.event).encode("utf-8", "surrogatepass")
    for way in chance.sample(_BYTES, chance.choice((0, 0, 0, 1, 1, 2)) or (not made.ways)):
        way(made, chance)
        made.ways.append(way.__name__)
    return made


def _valid(chance: random.Random, content_id: str) -> dict[str, Any]:
    data: dict[str, Any] = {"tenant": "acme", "content_id": content_id, "content_version": 1}
    kind = CONTENT_DELETED if chance.random() < 0.05 else CONTENT_EVENT
    if kind == CONTENT_EVENT:
        parts: list[dict[str, Any]] = [{"id": "p0", "modality": "text", "text": SECRET, "role": "caption"}]
        if chance.random() < 0.1:
            parts.append({"id": "p1", "modality": "image", "data": _PICTURE, "media_type": "image/png"})
        if chance.random() < 0.1:
            parts.append({"id": "p2", "modality": "video", "uri": "s3://bucket/none", "sha256": "9f" * 32})
        data |= {"request": chance.choice((0, 3)), "cause": "upload", "parts": parts}
        if chance.random() < 0.3:
            data |= {"deadline": "2099-11-21T10:00:30Z", "context": [{"role": "user", "text": SECRET}]}
    return {"specversion": "1.0", "type": kind, "source": "/u", "id": "1", "time": "2026-11-21T10:00:00Z", "data": data}


def _text(event: Any) -> str:
    """JSON, in which what `_raw` marked stands as it is."""
    text = json.dumps(event, ensure_ascii=False)
    while (at := text.find(f'"{_RAW}')) >= 0:
        end = text.index(f'{_RAW}"', at + 1)
        inside = text[at + 1 + len(_RAW) : end]
        text = text[:at] + json.loads(f'"{inside}"') + text[end + len(_RAW) + 1 :]
    return text


def _odd(chance: random.Random) -> Any:
    return deepcopy(chance.choice(ODD))  # another way may change it again


def _raw(token: str) -> str:
    return f"{_RAW}{token}{_RAW}"


def _place(made: Hostile, chance: random.Random) -> tuple[Any, Any]:
    """A holder and a step in it, anywhere in the event."""
    holder: Any = made.event
    path: list[Any] = []
    while True:
        step = chance.choice(sorted(holder) if isinstance(holder, dict) else range(len(holder)))
        path.append(step)
        if isinstance(holder[step], dict | list) and holder[step] and chance.random() < 0.8:
            holder = holder[step]
            continue
        break
    if path[0] in ("specversion", "type") or path == ["data"] or path[-1] in ("tenant", "content_id", "content_version"):
        made.named = None
    return holder, step


def replaced(made: Hostile, chance: random.Random) -> None:
    holder, step = _place(made, chance)
    holder[step] = _odd(chance)


def replaced_by_an_odd_number(made: Hostile, chance: random.Random) -> None:
    holder, step = _place(made, chance)
    holder[step], made.named = _raw(chance.choice(NUMBERS)), None


def replaced_by_an_odd_text(made: Hostile, chance: random.Random) -> None:
    holder, step = _place(made, chance)
    holder[step], made.named = _raw(chance.choice(STRINGS)), None


def removed(made: Hostile, chance: random.Random) -> None:
    holder, step = _place(made, chance)
    del holder[step]


def doubled(made: Hostile, chance: random.Random) -> None:
    """A name that stands twice: which one counts is the parser's affair, and must be one of them."""
    holder, step = _place(made, chance)
    if isinstance(holder, dict):
        holder[step], made.named = (
            _raw(json.dumps(_odd(chance)) + f", {json.dumps(step)}: {json.dumps(holder[step])}"),
            None,
        )
    else:
        holder.append(holder[step])


def unknown_fields(made: Hostile, chance: random.Random) -> None:
    holder: Any = chance.choice((made.event, made.event.get("data")))
    if isinstance(holder, dict):
        holder[chance.choice(("stream", "", "Tenant", "__proto__", "data_base64", "dataschema", SECRET))] = _odd(chance)


def odd_times(made: Hostile, chance: random.Random) -> None:
    holder: Any = chance.choice((made.event, made.event.get("data")))
    if isinstance(holder, dict):
        holder["time" if holder is made.event else "deadline"] = chance.choice(TIMES)


def odd_versions(made: Hostile, chance: random.Random) -> None:
    step, values = chance.choice(
        (
            (
                "type",
                (
                    CONTENT_EVENT[:-1] + "2",
                    CONTENT_EVENT[:-1] + "0",
                    CONTENT_EVENT + "9" * 30,
                    CONTENT_EVENT.upper(),
                    CONTENT_EVENT + "\n",
                ),
            ),
            ("specversion", ("2.0", "0.3", "1.0 ", "1.", 1.0, 1, "1.0\x00")),
        )
    )
    made.event[step], made.named = chance.choice(values), None


def odd_inline(made: Hostile, chance: random.Random) -> None:
    data = made.event.get("data")
    if not isinstance(data, dict):
        return
    size = chance.choice((MAX_INLINE_BYTES - 100, MAX_INLINE_BYTES, MAX_INLINE_BYTES + 1, 2 * MAX_INLINE_BYTES))
    data["parts"] = chance.choice(
        (
            [{"id": "p0", "modality": "text", "text": ("a" if chance.random() < 0.5 else "é") * size}],
            [{"id": f"p{n}", "modality": "text", "text": SECRET} for n in range(chance.choice((64, 65, 300)))],
            [{"id": "p0", "modality": "image", "data": base64.b64encode(bytes(size)).decode()}],
            [
                {
                    "id": "p0",
                    "modality": "image",
                    "data": chance.choice(("A", "AAAA\n", "AA=A", "-_-_", "====", "é" * 4, "A" * 4_001, _PICTURE[:-9])),
                }
            ],
            [
                {
                    "id": "p0",
                    "modality": "text",
                    "text": chance.choice((" ", "\u200b", "\u202e" + SECRET, "a\u0300" * 9_000, "\x00", "\ufffe")),
                }
            ],
        )
    )


def compressed(made: Hostile, chance: random.Random) -> None:
    made.value, made.named = gzip.compress(made.value or b"", mtime=0), False


def truncated(made: Hostile, chance: random.Random) -> None:
    made.value, made.named = (made.value or b"")[: chance.randrange(max(1, len(made.value or b"")))], False


def noisy(made: Hostile, chance: random.Random) -> None:
    data = bytearray(made.value or b"{}")
    for _ in range(chance.choice((1, 3, 30))):
        data[chance.randrange(len(data))] = chance.randrange(256)
    made.value, made.named = bytes(data), None


def badly_encoded(made: Hostile, chance: random.Random) -> None:
    text = (made.value or b"").decode("utf-8", "replace")
    odd = (b"\xc0\xaf", b"\xed\xa0\x80", b"\xff", b"\xf8\x88\x80\x80\x80", b"\xe2\x82", b"\x00", b"\xef\xbb\xbf")
    word = SECRET.encode()
    made.value = chance.choice(
        (
            (made.value or b"").replace(word, word[:5] + chance.choice(odd) + word[5:]),
            chance.choice(odd) + (made.value or b""),
            text.encode("utf-16"),
            text.encode("utf-32-be"),
            text.encode("utf-7"),
        )
    )
    made.named = None


def surrounded(made: Hostile, chance: random.Random) -> None:
    value = made.value or b""
    made.value = chance.choice(
        (value + b"\x00", value + value, b" " * 200_000 + value, b"[" + value + b"]", value + b"garbage", b"\x1e" + value)
    )
    made.named = None


def something_else(made: Hostile, chance: random.Random) -> None:
    made.value = chance.choice(
        (
            None,
            b"",
            b"[" * 100_000,
            b'{"data":' * 20_000,
            b"null",
            b"0",
            b'""',
            chance.randbytes(60),
            b"\x00\x00\x00\x00\x01",
            b"<x/>",
        )
    )
    made.named = False


def other_key(made: Hostile, chance: random.Random) -> None:
    made.key = chance.choice(KEYS)


def odd_headers(made: Hostile, chance: random.Random) -> None:
    for name in chance.sample(sorted(HEADERS), chance.choice((1, 3, 6))):
        made.headers[name] = chance.choice(HEADERS[name])
    if chance.random() < 0.1:
        made.headers |= {f"h{n}": b"v" * 20 for n in range(300)}
    if any(name.lower().startswith(("content-type", "ce_")) for name in made.headers):
        made.named = None


def binary_mode(made: Hostile, chance: random.Random) -> None:
    attributes = {k: v for k, v in made.event.items() if k != "data" and isinstance(v, str)}
    made.headers |= {f"ce_{k}": v.encode("utf-8", "replace") for k, v in attributes.items()}
    made.value, made.named = _text(made.event.get("data")).encode("utf-8", "surrogatepass"), None


_TREES: list[_Way] = [
    *(replaced, replaced, replaced, replaced_by_an_odd_number, replaced_by_an_odd_text, removed, doubled, unknown_fields),
    *(odd_times, odd_versions, odd_inline),
]
_BYTES: list[_Way] = [
    *(compressed, truncated, noisy, badly_encoded, surrounded, something_else, other_key, odd_headers, odd_headers, binary_mode),
]
