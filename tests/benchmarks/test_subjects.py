"""Models and settings of the benchmarks."""

from __future__ import annotations

import pytest

from benchmarks.subjects import settings_of
from utils.errors import InputError


def test_settings_are_name_and_value():
    assert settings_of(["FRACTURE_THREADS=2"]) == {"FRACTURE_THREADS": "2"}
    for wrong in ("THREADS=2", "FRACTURE_THREADS"):
        with pytest.raises(InputError):
            settings_of([wrong])
