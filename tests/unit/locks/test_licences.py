"""No package comes in with a licence that nobody has agreed to, and the page says what the locks say."""

from __future__ import annotations

from email.message import Message
from typing import Any

import pytest

from locks.licences import ALLOWED, NotAgreed, current, licence


def metadata(**fields: str) -> Any:
    said = Message()
    for name, value in fields.items():
        said[name.replace("_", "-")] = value
    return said


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License_Expression": "MIT OR Apache-2.0", "License": "GPL"}, "MIT OR Apache-2.0"),
        ({"License_Expression": "Apache-2.0 WITH LLVM-exception"}, "Apache-2.0 WITH LLVM-exception"),
        ({"License": "Apache License, Version 2.0"}, "Apache-2.0"),
        ({"License": "3-Clause BSD License"}, "BSD-3-Clause"),
        ({"Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
        ({"License": "MIT License\n\nCopyright (c) somebody, and the whole text of it, which is long"}, "MIT"),
        ({"License": "UNKNOWN", "Classifier": "License :: OSI Approved :: BSD License"}, "BSD-3-Clause"),
    ],
)
def test_a_licence_is_read(fields: dict[str, str], expected: str) -> None:
    assert licence("some-package", metadata(**fields)) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"License_Expression": "AGPL-3.0-only"},
        {"License_Expression": "MIT AND GPL-2.0-or-later"},
        {"License": "GNU General Public License v3 (GPLv3)"},
        {"Classifier": "License :: Other/Proprietary License"},
        {"License": "free for us"},
        {},
    ],
)
def test_another_licence_or_none_is_not_taken(fields: dict[str, str]) -> None:
    with pytest.raises(NotAgreed, match=r"^some-package: found .*, expected"):
        licence("some-package", metadata(**fields))


def test_a_package_of_which_nothing_is_known_is_not_taken() -> None:
    with pytest.raises(NotAgreed):
        licence("some-package", None)


def test_an_agreement_is_for_one_package() -> None:
    assert licence("soxr", None) == "LGPL-2.1-or-later"
    assert not [name for name in ALLOWED if "GPL" in name]


def test_the_page_is_as_the_locks_of_worker_and_lite_engine() -> None:
    assert current(), "run `make licences`"
