"""Generated sections of docs/performance.md."""

from __future__ import annotations

import pytest

from benchmarks import performance


def test_only_the_section_is_replaced():
    text = "before\n<!-- a: generated -->\nold\n<!-- a: end -->\nafter\n"
    made = performance.filled(text, "a", r"new \1")
    assert made == "before\n<!-- a: generated -->\nnew \\1\n<!-- a: end -->\nafter\n"
    assert performance.filled(made, "a", r"new \1") == made
    with pytest.raises(ValueError, match="no section"):
        performance.filled(text, "b", "new")


def test_the_document_has_every_section():
    text = performance.DOCUMENT.read_text(encoding="utf-8")
    for name in performance.SECTIONS:
        performance.filled(text, name, "")
