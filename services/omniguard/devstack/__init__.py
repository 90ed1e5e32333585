"""Genuine Kafka, Valkey and Triton for a developer's machine and the tests; no container, nothing installed by hand.

A leaf package: only entry points and tests import it.
"""

from omniguard.devstack.errors import DevStackError, MissingPrerequisite, PartFailed
from omniguard.devstack.report import PartStatus, StackUrls
from omniguard.devstack.stack import PARTS, Stack

__all__ = ["PARTS", "DevStackError", "MissingPrerequisite", "PartFailed", "PartStatus", "Stack", "StackUrls"]
