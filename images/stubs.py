"""Puts stand-ins in the place of libraries inside wheels that nothing of ours calls, and which an image had better not hold.

    stubs.py ENVIRONMENT PARTS.json

PyAV's wheel links x264 and x265, which are under the GPL and only encode; OpenCV's links an FFmpeg and an OpenSSL 1.1 of its own
to open videos, whereas OCR hands it arrays. A stand-in has the library's name and the symbols that are linked; each answers 0, so
that an encoder cannot be opened. PARTS.json gets the list for the image's SBOM.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from elftools.elf.elffile import ELFFile

STOOD_FOR = {
    "av.libs": ("libx264-", "libx265-"),
    "opencv_python_headless.libs": ("libavcodec-", "libavformat-", "libavutil-", "libswscale-"),
}
# Linked by those above alone.
REMOVED = {"opencv_python_headless.libs": ("libcrypto-", "libssl-", "libswresample-", "libvpx-")}


def main(environment: Path, parts: Path) -> None:
    """Replace and remove what of it is there."""
    (site,) = environment.glob("lib/python3.*/site-packages")
    replaced = _files(site, STOOD_FOR)
    removed = _files(site, REMOVED)
    left = [file for file in site.rglob("*.so*") if file.is_file() and file not in {*replaced, *removed}]
    needed = [(file, _needed(file)) for file in left]
    for file in removed:
        if kept := [user.name for user, names in needed if file.name in names]:
            raise SystemExit(f"stubs: {file.name} is needed by {', '.join(kept)}, expected only what is replaced to need it")
        file.unlink()
    for file in replaced:
        users = [user for user, names in needed if file.name in names]
        _compile(file, _asked(file, users))
        print(f"stubs: {file.relative_to(site)} stands in, for {', '.join(user.name for user in users)}")
    parts.write_text(json.dumps([_component(file.relative_to(site)) for file in replaced]), encoding="utf-8")


def _files(site: Path, named: Mapping[str, tuple[str, ...]]) -> list[Path]:
    return [
        file for folder, starts in named.items() for file in sorted((site / folder).glob("*")) if file.name.startswith(starts)
    ]


def _needed(file: Path) -> set[str]:
    with file.open("rb") as stream:
        if stream.read(4) != b"\x7fELF":
            return set()
        dynamic = ELFFile(stream).get_section_by_name(".dynamic")
        return {tag.needed for tag in dynamic.iter_tags("DT_NEEDED")} if dynamic else set()


def _asked(library: Path, users: list[Path]) -> dict[str, tuple[str, str]]:
    """Kind and version of every symbol of `library` that `users` link."""
    wanted = set().union(*(_symbols(user, defined=False) for user in users))
    return {name: told for name, told in _symbols(library, defined=True).items() if name in wanted}


def _symbols(file: Path, *, defined: bool) -> dict[str, tuple[str, str]]:
    with file.open("rb") as stream:
        elf = ELFFile(stream)
        versions, names = elf.get_section_by_name(".gnu.version"), {}
        if (definitions := elf.get_section_by_name(".gnu.version_d")) is not None:
            names = {entry["vd_ndx"]: next(iter(words)).name for entry, words in definitions.iter_versions()}
        found = {}
        for index, symbol in enumerate(elf.get_section_by_name(".dynsym").iter_symbols()):
            if (symbol["st_shndx"] != "SHN_UNDEF") == defined and symbol.name:
                number = versions.get_symbol(index)["ndx"] if versions is not None else 0
                version = names.get(number & 0x7FFF, "") if isinstance(number, int) else ""
                found[symbol.name] = (symbol["st_info"]["type"], version)
        return found


def _compile(library: Path, symbols: Mapping[str, tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, script = Path(folder) / "stub.c", Path(folder) / "versions"
        # Data is left empty: a table that ends at once.
        source.write_text(
            "".join(
                f"const char {name}[4096] = {{0}};\n" if kind == "STT_OBJECT" else f"void *{name}(void) {{ return 0; }}\n"
                for name, (kind, _) in sorted(symbols.items())
            ),
            encoding="ascii",
        )
        groups = defaultdict(list)
        for name, (_, version) in symbols.items():
            groups[version].append(name)
        script.write_text(
            "".join(f"{version} {{ global: {'; '.join(names)}; }};\n" for version, names in groups.items() if version),
            encoding="ascii",
        )
        versions = [f"-Wl,--version-script={script}"] if any(groups) else []
        library.unlink()
        compiler = (sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-gnu", "-shared", "-nostdlib", "-fPIC", "-s")
        output = (f"-Wl,-soname,{library.name}", *versions, str(source), "-o", str(library))
        subprocess.run([*compiler, *output], check=True)  # noqa: S603


def _component(file: Path) -> dict[str, object]:
    return {
        "type": "file",
        "bom-ref": f"stub:{file}",
        "name": str(file),
        "description": "an empty library with the name of the one that the wheel holds; nothing of that one",
    }


if __name__ == "__main__":
    main(*(Path(name) for name in sys.argv[1:3]))
