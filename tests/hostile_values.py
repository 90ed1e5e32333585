"""What stands in hostile records: values, keys and headers at the edge of what a format allows, and beyond it."""

from __future__ import annotations

from typing import Any

from omniguard.contracts.content_event import CONTENT_EVENT

SECRET = "correct horse battery staple"
"""Is in every text; no reason may repeat it."""
TIMES = (
    *("0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z"),
    *("2016-12-31T23:59:60Z", "2026-02-30T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21T10:00:00", "2026-11-21", "now"),
    *("2026-11-21T10:00:00+99:99", "2026-11-21T10:00:00.1234567890123Z", "٢٠٢٦-11-21T10:00:00Z", "2026-11-21T10:00:00z", "-1"),
    *(0, 1e308, -1e308, 1764000000, True),
)
NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "1e308",
    "-1e308",
    "9" * 400,
    "-0",
    "01",
    "0x10",
    "1_000",
    ".5",
    "1.",
    "1e-400",
)
STRINGS = (
    *('"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\u0000' + SECRET + '"', '"\x00"', '"\\x41"', '"\\u202e\\u2066"', "'a'"),
    *(
        '"' + "a" * 5_000 + '"',
        '"' + "\\ud83d\\ude00" * 300 + '"',
        '"é' * 2,
        "[" * 3_000 + "]" * 3_000,
        '{"a":' * 300 + "1" + "}" * 300,
    ),
)
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.0, 1.5, 2**31, 2**63 - 1, 2**63, 2**64, "", " ", "x", "\t", SECRET, [], {}, [[]], [None]),
    *({"": ""}, {"text": SECRET}, ["a"] * 70, "../passwd", "acme|post", "${jndi:x}", "a" * 300, "é" * 300, "\uff1c", "\ufeff"),
)
KEYS: tuple[bytes | None, ...] = (
    *(None, b"", b"|", b"acme", b"acme|", b"|post", b"ACME|post", b"acme|post ", b"acme|post\x00", b"\xff\xfe", b"acme||post"),
    *(b"other|post", b"acme|" + b"p" * 10_000, b'"acme|post"', "acme|pöst".encode("latin-1")),
)
HEADERS: dict[str, tuple[bytes, ...]] = {
    "content-type": (
        b"",
        b"\xff",
        b"application/cloudevents+avro",
        b"application/cloudevents-batch+json",
        b"text/html",
        b"application/json",
    ),
    "Content-Type": (b"application/cloudevents+json; charset=utf-16", b"APPLICATION/CLOUDEVENTS+JSON"),
    "ce_specversion": (b"1.0", b"2.0", b"", b"\xff"),
    "ce_type": (CONTENT_EVENT.encode(), b"x", b"", b"\xc0\xaf"),
    "ce_time": (b"0000", b"\x00", b"9999-12-31T23:59:59-23:59"),
    "traceparent": (b"", b"00-" + b"0" * 32, b"\xff" * 55, b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01", b"x" * 5_000),
    "tracestate": (b"a=" + b"b" * 5_000, SECRET.encode(), b"\x00"),
    "baggage": (SECRET.encode(),),
    "omniguard-error": (SECRET.encode(), b"\xff"),
    "omniguard-replay-of": (b"t/0/1", b"../../x", SECRET.encode(), b"\xff"),
    "omniguard-origin-offset": (b"-1",),
    "": (b"", b"x"),
    "x" * 2_000: (b"y",),
    "é\u202e": (b"\x00",),
}
