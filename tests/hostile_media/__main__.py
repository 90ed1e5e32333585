"""`python -m hostile_media [FAMILY]`: every file through the decoder process, one line each, then a table by family."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

from hostile_media import FAMILIES, Outcome
from hostile_media.reading import Result, results
from omniguard.adapters.decoder import ProcessDecoder


async def main(names: list[str]) -> int:
    """Print what became of each file; 1 where one of them ended otherwise than it must."""
    seen: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with ProcessDecoder(processes=1) as decoder:
            for family in names or FAMILIES:
                cases = FAMILIES[family](folder, "http://127.0.0.1:9/none")
                async for result in results(decoder, cases, folder):
                    seen.append(result)
                    _show(result)
    for line in table(seen):
        print(line)
    return 1 if any(result.wrong for result in seen) else 0


def table(seen: list[Result]) -> list[str]:
    """Files of each family by outcome, as Markdown."""
    lines = ["| family | files | " + " | ".join(Outcome) + " |", "|---|" + "---:|" * (1 + len(Outcome))]
    for family in dict.fromkeys(result.case.family for result in seen):
        counts = Counter(result.outcome for result in seen if result.case.family == family)
        lines.append(f"| {family} | {counts.total()} | " + " | ".join(str(counts[each]) for each in Outcome) + " |")
    total = Counter(result.outcome for result in seen)
    lines.append(f"| all | {total.total()} | " + " | ".join(str(total[each]) for each in Outcome) + " |")
    return lines


def _show(result: Result) -> None:
    stated = result.info.seconds if result.info and result.info.seconds is not None else 0.0
    figures = f"{result.segments} segments, {result.end:.2f} of {stated:.2f} s, {result.took * 1000:.0f} ms"
    print(f"{result.case.family:12} {result.case.name:32} {result.outcome:12} {figures} {result.message}")
    for each in result.wrong:
        print(f"    WRONG {each}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
