"""What the decoder process gives up for good before it opens a file. Why these means: docs/adr/0015-decoder-sandbox.md."""

from omniguard.media.sandbox.confine import PARTS, confine

__all__ = ["PARTS", "confine"]
