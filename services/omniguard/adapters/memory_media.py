"""The in-memory twin of the media store: the same checks over a dictionary."""

from __future__ import annotations

from collections.abc import Mapping

from omniguard.adapters.media_store import PartStore
from omniguard.adapters.sink import Sink
from omniguard.domain.fetching import FetchRules
from omniguard.domain.reason import Reason
from omniguard.errors import BadContent

CHUNK = 64 * 1024


class MemoryFetcher:
    """Reads URIs from a dictionary, whatever the rules say about places."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        """`objects` maps a URI to its bytes; it may change later."""
        self._objects = objects

    async def __call__(self, uri: str, rules: FetchRules, sink: Sink) -> None:
        """Write the object into `sink`.

        Raises:
            BadContent: not_found, too_large.

        """
        del rules
        if uri not in self._objects:
            raise BadContent(Reason.NOT_FOUND, "no such object; expected one that was put there")
        view = memoryview(self._objects[uri])
        for start in range(0, len(view), CHUNK):
            sink.write(view[start : start + CHUNK])


def memory_media_store(objects: Mapping[str, bytes]) -> PartStore:
    """A `ports.MediaStore` whose http, https, s3 and file URIs are all looked up in `objects`."""
    return PartStore(dict.fromkeys(("http", "https", "s3", "file"), MemoryFetcher(objects)))
