"""Ingest: read every part of an upload into the event's own folder, hashed and sniffed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from omniguard.domain.content import FetchedPart, Part, Upload
from omniguard.domain.deadline import Deadline
from omniguard.domain.decision import Problem
from omniguard.domain.fetching import FetchRules
from omniguard.errors import BadContent, Retryable
from omniguard.ports import Clock, MediaStore
from omniguard.stages.findings import Findings
from omniguard.stages.shares import Shares


class Ingest:
    """Fetches at most `concurrency` parts at once over all events of the process, and half as many of one tenant.

    Whoever uploads chooses the server, and it may send as slowly as the deadline lets it: that costs others nothing.
    """

    def __init__(self, media: MediaStore, clock: Clock, *, concurrency: int) -> None:
        """`media` reads by reference and inline alike."""
        self._media = media
        self._slots = Shares(concurrency, clock, long=True)

    async def ingest(
        self, upload: Upload, rules: FetchRules, folder: Path, deadline: Deadline, findings: Findings
    ) -> list[FetchedPart]:
        """Fetch all parts side by side, in the upload's order; a part that cannot be had becomes a problem in `findings`."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._fetch(upload.identity.tenant, part, rules, folder, deadline, findings))
                for part in upload.parts
            ]
        return [fetched for task in tasks if (fetched := task.result()) is not None]

    async def _fetch(
        self, tenant: str, part: Part, rules: FetchRules, folder: Path, deadline: Deadline, findings: Findings
    ) -> FetchedPart | None:
        try:
            if part.uri is None:  # nobody is waited for
                return await self._media.fetch(part, rules, folder, deadline)
            async with self._slots.held(tenant):
                return await self._media.fetch(part, rules, folder, deadline)
        except (BadContent, Retryable) as error:
            findings.fail(Problem(error.reason, str(error), part.id, "fetch"))
            return None
