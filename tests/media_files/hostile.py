"""Files that ought not to be: each must end in segments or in a clear reason, never in a crash or a hang."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from media_files.films import write
from media_files.pictures import animation, chunk, png, quarters, saved

_HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n"
_SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"


def corpus(folder: Path, target: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every hostile file. `target` is an address or a file that no playlist may open."""
    yield from _truncated(folder)
    yield from _playlists(target)
    yield from _pictures()
    yield from _sounds(folder)
    yield from _films(folder)
    yield from _nonsense()


def _truncated(folder: Path) -> Iterator[tuple[str, bytes]]:
    film = write(folder / "whole.mp4", seconds=8, container_options={"movflags": "faststart"}).read_bytes()
    matroska = write(folder / "whole.mkv", seconds=8).read_bytes()
    webm = write(folder / "whole.webm", seconds=8, video="libvpx", audio="libopus").read_bytes()
    flac = write(folder / "whole.flac", seconds=8, video=None, audio="flac").read_bytes()
    wav = write(folder / "whole.wav", seconds=8, video=None, audio="pcm_s16le").read_bytes()
    stills = {kind: saved(quarters(640, 480), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")}
    for percent in (1, 10, 50, 90, 99):
        yield f"mp4-{percent}", film[: len(film) * percent // 100]
    for name, data in {"mkv": matroska, "webm": webm, "flac": flac, "wav": wav, **stills}.items():
        for percent in (3, 50):
            yield f"{name.lower()}-{percent}", data[: len(data) * percent // 100]
    yield "mp4-moov-lost", write(folder / "last.mp4", seconds=4).read_bytes()[:-400]
    yield "gif-animation-50", (gif := animation("GIF"))[: len(gif) // 2]


def _playlists(target: str) -> Iterator[tuple[str, bytes]]:
    yield "hls", _HLS.format(target=target).encode()
    yield "hls-in-id3", b"ID3\x04\x00\x00\x00\x00\x00\x00" + _HLS.format(target=target).encode()
    yield "concat", f"ffconcat version 1.0\nfile '{target}'\n".encode()
    yield "sdp", _SDP.encode()
    yield "dash", f'<?xml version="1.0"?><MPD><Period><BaseURL>{target}</BaseURL></Period></MPD>'.encode()
    yield "data-url", b"data:video/mp4;base64,AAAAIGZ0eXBpc29t"
    yield "svg", f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>'.encode()
    yield "ram-pls", f"[playlist]\nFile1={target}\nNumberOfEntries=1\n".encode()


def _pictures() -> Iterator[tuple[str, bytes]]:
    yield "one-pixel", png(1, 1)
    yield "png-bomb", png(20_000, 20_000, colour=0)
    yield "png-claims-max", png(2**31 - 1, 2**31 - 1, zlib.compress(b"\x00"))
    yield "png-zero-size", png(0, 0, zlib.compress(b"\x00"))
    yield "png-text-bomb", png(8, 8, chunks=chunk(b"zTXt", b"k\x00\x00" + zlib.compress(bytes(200_000_000), 9)))
    yield "png-wrong-crc", png(8, 8)[:-20] + bytes(20)
    yield "gif-bomb", b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b";"
    yield "gif-many-frames", animation("GIF", frames=2, size=(2, 2))[:-1] + _gif_frames(4_000) + b";"
    yield "gif-no-frames", b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b";"
    yield "bmp-negative", b"BM" + struct.pack("<IIIIiiHHIIiiII", 90, 0, 54, 40, -8, -8, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(40)
    yield "strip", saved(Image.new("RGB", (60_000, 1), "red"), "PNG")
    yield "jpeg-in-png-name", saved(quarters(), "JPEG")
    yield "webp-lossless-alpha", saved(quarters().convert("RGBA"), "WEBP", lossless=True)
    yield "tiff-self-reference", b"II*\x00" + struct.pack("<IHI", 8, 0, 8)
    yield "heic", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(64)


def _gif_frames(count: int) -> bytes:
    one = b"!\xf9\x04\x00\x01\x00\x00\x00" + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return one * count


def _sounds(folder: Path) -> Iterator[tuple[str, bytes]]:
    yield "wav-60-channels", wav(channels=60, samples=16_000)
    yield "wav-no-samples", wav(channels=1, samples=0)
    yield "wav-claims-4gb", wav(channels=1, samples=8_000, claimed=0xFFFFFF00)
    yield "wav-rate-zero", wav(channels=1, samples=8_000, rate=0)
    yield "wav-rate-huge", wav(channels=1, samples=8_000, rate=2**31 - 1)
    yield "wav-no-channels", wav(channels=0, samples=8_000)
    sound = bytearray(write(folder / "noisy.mp3", video=None, audio="libmp3lame", seconds=6).read_bytes())
    for at in range(2_000, len(sound), 97):
        sound[at] ^= 0x5A
    yield "mp3-noise", bytes(sound)
    yield "mp3-header-only", b"ID3\x04\x00\x00\x00\x00\x00\x00\xff\xfb\x90\x00"


def wav(*, channels: int, samples: int, rate: int = 16_000, claimed: int | None = None) -> bytes:
    """A PCM16 file, right or wrong."""
    data = bytes(2 * channels * samples)
    size = len(data) if claimed is None else claimed
    block = 2 * channels
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * block & 0xFFFFFFFF, block, 16)
    return (
        b"RIFF"
        + struct.pack("<I", (size + 36) & 0xFFFFFFFF)
        + b"WAVEfmt \x10\x00\x00\x00"
        + form
        + b"data"
        + struct.pack("<I", size)
        + data
    )


def _films(folder: Path) -> Iterator[tuple[str, bytes]]:
    film = bytearray(write(folder / "one-key.mkv", seconds=6, gop=1_000).read_bytes())
    yield "mkv-first-key-frame-lost", bytes(film[:700] + film[2_500:])
    noisy = bytearray(write(folder / "noisy.mp4", seconds=6, container_options={"movflags": "faststart"}).read_bytes())
    for at in range(len(noisy) // 4, len(noisy), 61):
        noisy[at] ^= 0xA5
    yield "mp4-noise", bytes(noisy)
    codec = bytearray(write(folder / "codec.mkv", seconds=2).read_bytes())
    at = codec.index(b"V_MPEG4/ISO/AVC")
    codec[at : at + 15] = b"V_NOBODYKNOWSIT"
    yield "mkv-unknown-codec", bytes(codec)
    boxes = bytearray(write(folder / "boxes.mp4", seconds=2).read_bytes())
    at = boxes.index(b"stsz") + 12
    boxes[at : at + 4] = b"\x7f\xff\xff\xff"
    yield "mp4-claims-samples", bytes(boxes)
    transport = write(folder / "cut.ts", seconds=6).read_bytes()
    yield "ts-from-the-middle", transport[len(transport) // 188 // 2 * 188 :]


def _nonsense() -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    yield "one-byte", b"\xff"
    yield "zeros", bytes(10_000)
    yield "text", b"this is not a picture" * 50
    yield "elf", b"\x7fELF" + bytes(200)
    yield "zip", b"PK\x03\x04" + bytes(200)
    yield "pdf", b"%PDF-1.7\n" + bytes(200)
    yield "magic-jpeg", b"\xff\xd8\xff" + bytes(500)
    yield "magic-webm", b"\x1aE\xdf\xa3\x9fB\x82\x84webm" + bytes(500)
    yield "magic-ogg", b"OggS" + bytes(500)
    yield "magic-mp4", b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41" + bytes(500)
    yield "magic-avi", b"RIFF\xff\xff\xff\xffAVI LIST" + bytes(500)
    yield "magic-ts", (b"G" + bytes(187)) * 20
