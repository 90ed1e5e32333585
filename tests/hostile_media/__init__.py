"""Several hundred media files that ought not to be, made anew by each run; see `corpus`."""

from hostile_media.case import Case, Outcome
from hostile_media.corpus import FAMILIES, corpus

__all__ = ["FAMILIES", "Case", "Outcome", "corpus"]
