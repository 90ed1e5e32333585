"""Files that name other files or addresses, run as programs elsewhere, or are two things at once: nothing else may be opened."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import av

from hostile_media.case import ANY, DAMAGED, EXAMINED, REFUSED, UNSUPPORTED, Case, Outcome
from media_files.films import write
from media_files.pictures import animation, chunk, png, quarters, saved

FAMILY = "references"
_Cases = Iterator[tuple[str, bytes, frozenset[Outcome]]]


def cases(folder: Path, target: str) -> Iterator[Case]:
    """`target` is an address or a file that must stay untouched."""
    groups = (_playlists(target), _pages(target), _films(folder, target), _two_in_one(folder, target))
    for name, data, expect in (case for group in groups for case in group):
        yield Case(FAMILY, name, data, expect)


def _playlists(target: str) -> _Cases:
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n".encode()
    itself = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhostile\n#EXT-X-ENDLIST\n"
    sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    texts = {
        "hls": hls,
        "hls that names itself": itself,
        "hls with a key": hls.replace(b"#EXTINF", f'#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n#EXTINF'.encode()),
        "hls behind a byte order mark": b"\xef\xbb\xbf" + hls,
        "hls in UTF-16": hls.decode().encode("utf-16"),
        "concat": f"ffconcat version 1.0\nfile '{target}'\n".encode(),
        "concat that names itself": b"ffconcat version 1.0\nfile 'hostile'\n",
        "sdp": sdp.encode(),
        "dash": f'<?xml version="1.0"?><MPD><Period><BaseURL>{target}</BaseURL></Period></MPD>'.encode(),
        "data address": b"data:video/mp4;base64,AAAAIGZ0eXBpc29t",
        "pls": f"[playlist]\nFile1={target}\nNumberOfEntries=1\n".encode(),
        "asx": f'<asx version="3.0"><entry><ref href="{target}"/></entry></asx>'.encode(),
        "xspf": f"<playlist><trackList><track><location>{target}</location></track></trackList></playlist>".encode(),
        "smil": f'<smil><body><video src="{target}"/></body></smil>'.encode(),
        "real": f"rtsp://127.0.0.1/{target}".encode(),
        "cue sheet": f'FILE "{target}" WAVE\n TRACK 01 AUDIO\n INDEX 01 00:00:00\n'.encode(),
        "subtitles": f"1\n00:00:00,000 --> 00:00:09,000\n<img src='{target}'>\n".encode(),
        "webvtt": f"WEBVTT\n\n00:00.000 --> 00:09.000\n<v {target}>\n".encode(),
        "ass": f"[Script Info]\nVideo File: {target}\nAudio File: {target}\n".encode(),
        "image sequence": b"frame%03d.png",
        "lavfi": f"movie={target}".encode(),
        "edl": f"# mpv EDL v0\n{target},0,10\n".encode(),
        "metadata": f";FFMETADATA1\ntitle={target}\n".encode(),
        "path": target.encode(),
    }
    for name, data in texts.items():
        yield name, data, REFUSED if "UTF-16" in name else UNSUPPORTED
    yield "hls in an id3 tag", b"ID3\x04\x00\x00\x00\x00\x00\x00" + hls, UNSUPPORTED
    yield "hls behind an mp3 frame", b"\xff\xfb\x90\x00" + bytes(413) + hls, ANY
    for name, text in {"hls": hls, "concat": texts["concat"]}.items():
        yield f"{name} behind a transport stream's first bytes", (b"G" + b"\n" * 187) * 5 + text, REFUSED


def _pages(target: str) -> _Cases:
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>'
    entity = f'<!DOCTYPE svg [<!ENTITY x SYSTEM "{target}">]><svg>&x;</svg>'
    laughs = "<!DOCTYPE l [<!ENTITY a 'ha'>" + "".join(
        f"<!ENTITY {b} '{('&' + a + ';') * 10}'>" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    texts = {
        "svg": svg,
        "svg with an entity": entity,
        "svg of a billion laughs": laughs + "]><svg>&i;</svg>",
        "svg behind a declaration": f'<?xml version="1.0"?>{svg}',
        "html": f"<html><img src='{target}'><script>1</script>",
        "mathml": f"<math><maction actiontype='statusline#{target}'/></math>",
        "postscript": f"%!PS-Adobe-3.0\n({target}) (r) file\n",
        "eps": f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n({target}) run\n",
        "pdf": f"%PDF-1.7\n1 0 obj<</URI({target})>>",
        "msl": f'<image><read filename="{target}"/></image>',
        "mvg": f"push graphic-context\nimage over 0,0 0,0 '{target}'\n",
        "xpm": f'/* XPM */ static char *x[] = {{"1 1 1 1", "a c {target}"}};',
        "json": f'{{"uri": "{target}"}}',
        "shell": f"#!/bin/sh\ncat {target}\n",
    }
    for name, text in texts.items():
        yield name, text.encode(), UNSUPPORTED
    yield "svgz", b"\x1f\x8b\x08\x00" + bytes(6) + svg.encode(), UNSUPPORTED
    yield "wmf", struct.pack("<I", 0x9AC6CDD7) + bytes(90), UNSUPPORTED


def _films(folder: Path, target: str) -> _Cases:
    name = target.encode()
    film = write(folder / "r.mp4", seconds=1, fps=5, container_options={"movflags": "faststart"}).read_bytes()
    at = film.index(b"url ") - 4
    yield "mp4 whose data lie elsewhere", film[: at + 8] + b"\x00\x00\x00\x00" + film[at + 12 :], ANY
    alias = _box(b"alis", bytes(4) + name.ljust(150, b"\x00"))
    for word, reference in (
        ("url ", _box(b"url ", bytes(4) + name + b"\x00")),
        ("alis", alias),
        ("rsrc", _box(b"rsrc", bytes(4) + name)),
    ):
        yield f"mp4 whose data lie at a {word.strip()}", _referring(film, reference), ANY
    movie = _box(b"rmra", _box(b"rmda", _box(b"rdrf", bytes(4) + b"url " + struct.pack(">I", len(name)) + name)))
    yield "mov that refers to a movie", _box(b"ftyp", b"qt  " + bytes(4) + b"qt  ") + _box(b"moov", movie), REFUSED
    yield "mkv linked to its neighbours", _linked(folder, name), EXAMINED
    path = folder / "sub.mkv"
    made = write(folder / "s.mkv", seconds=1, fps=5)
    with av.open(str(made)) as source, av.open(str(path), "w") as out:
        tracks = {track.index: out.add_stream_from_template(track) for track in source.streams}
        out.add_attachment("a.ttf", "application/x-truetype-font", name * 50)
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = tracks[packet.stream.index]
                out.mux(packet)
    yield "mkv with a font", path.read_bytes(), ANY
    yield "jpeg with xmp that refers", _xmp(f'<rdf:RDF><x xlink:href="{target}"/></rdf:RDF>'), EXAMINED
    yield "tiff with xmp that refers", saved(quarters(), "TIFF", tiffinfo={700: name}), EXAMINED


def _two_in_one(folder: Path, target: str) -> _Cases:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.html", f"<img src='{target}'>")
    packed, page = out.getvalue(), f"<html><script src='{target}'></script>".encode()
    stills = {"JPEG": saved(quarters(), "JPEG"), "PNG": png(8, 8), "GIF": animation("GIF"), "BMP": saved(quarters(), "BMP")}
    stills["WEBP"] = saved(quarters(), "WEBP")
    for kind, data in stills.items():
        for what, tail in (("a zip", packed), ("a page", page), ("a pdf", b"%PDF-1.7\n"), ("a program", b"\x7fELF" + bytes(60))):
            yield f"{kind} before {what}", data + tail, EXAMINED
    for what, head in (("a zip", packed), ("a page", page), ("a pdf", b"%PDF-1.7\n"), ("a program", b"\x7fELF" + bytes(60))):
        yield f"JPEG behind {what}", head + stills["JPEG"], UNSUPPORTED
    yield "GIF that is a script", b"GIF89a/*" + animation("GIF")[8:] + b"*/=1;", ANY
    yield "PNG with a page in its text", png(8, 8, chunks=chunk(b"tEXt", b"c\x00" + page)), EXAMINED
    film = write(folder / "z.mp4", seconds=1, fps=5).read_bytes()
    yield "film before a zip", film + packed, EXAMINED
    yield "film before a page", film + page, EXAMINED
    song = write(folder / "z.mp3", seconds=1, video=None, audio="libmp3lame").read_bytes()
    yield "song before a zip", song + packed, EXAMINED
    wav = write(folder / "z.wav", seconds=1, video=None, audio="pcm_s16le").read_bytes()
    yield "sound before a picture", wav + stills["JPEG"], EXAMINED
    yield "picture before a film", stills["JPEG"] + film, EXAMINED
    yield "film in a picture's name", film[:4] + b"ftypheic" + film[12:], UNSUPPORTED | DAMAGED | EXAMINED


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def _referring(film: bytes, reference: bytes) -> bytes:
    """The film with another data reference; its offsets no longer fit, which is no matter: they would be another file's."""
    at = film.index(b"url ") - 4
    grown = len(reference) - int.from_bytes(film[at : at + 4], "big")
    data = bytearray(film[:at] + reference + film[at + 12 :])
    for name in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place = data.rindex(name, 0, at + 1) - 4
        data[place : place + 4] = struct.pack(">I", int.from_bytes(data[place : place + 4], "big") + grown)
    return bytes(data)


def _linked(folder: Path, name: bytes) -> bytes:
    data = write(folder / "l.mkv", seconds=1, fps=5).read_bytes()
    at = data.index(b"\xec")  # a void element has room for the names
    size = data[at + 1 :].find(b"\x15\x49\xa9\x66")
    link = b"\x3c\x83\xab" + bytes((0x80 | min(len(name), 60),)) + name[:60]
    return data if size < len(link) + 20 else data[:at] + link + b"\xec" + bytes((0x80 | 0,)) + data[at + len(link) + 2 :]


def _xmp(text: str) -> bytes:
    body = b"http://ns.adobe.com/xap/1.0/\x00" + text.encode()
    still = saved(quarters(), "JPEG")
    return still[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + still[2:]
