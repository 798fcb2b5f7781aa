"""The check of the documents finds each kind of fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

README = """# A title

Python 3.11, 3.12 or 3.13. This is not a medical device; it never replaces a reader. `make test`, and
[more](docs/more.md#a-part).

```sh
python train.py --data data \\
    --epochs 3
```
"""
MORE = """# A part

Back to [the title](../README.md). `{"prediction": "", "disclaimer": "", "label_meaning": ""}`
"""
SCRIPT = 'print("usage: [--data DATA] [--epochs N]")\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout whose documents are in order."""
    for name in ("Makefile", "LICENSE"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "docs" / "more.md").write_text(MORE)
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path


def faults(checkout: Path) -> list[str]:
    """Return what the check prints; its exit code agrees."""
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "check_documents.py", checkout],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert done.returncode == (0 if lines == ["2 documents checked"] else 1)
    return [] if done.returncode == 0 else lines


def test_documents_in_order_have_no_fault(checkout):
    assert faults(checkout) == []


@pytest.mark.parametrize(
    "name, old, new, fault",
    [
        (
            "docs/more.md",
            "../README.md",
            "../GONE.md",
            "more.md: the link ../GONE.md leads nowhere",
        ),
        ("README.md", "#a-part", "#b", "README.md: the link docs/more.md#b leads nowhere"),
        ("README.md", "docs/more.md#a-part", "LICENSE", "README.md: no link to docs/more.md"),
        ("README.md", "`make test`", "`make test` `make tea`", "README.md: no such verb: make tea"),
        ("README.md", "--epochs", "--epoch", "README.md: train.py has no flag --epoch"),
        ("README.md", "not a medical device", "", "README.md: does not say 'not a medical device'"),
        ("README.md", "never replaces", "", "README.md: does not say 'never replaces'"),
        ("README.md", "`make test`", "", "README.md: does not say 'make test'"),
        ("README.md", "3.12 or", "", "README.md: does not say 'python 3.11, 3.12 or 3.13'"),
        (
            "docs/more.md",
            '"disclaimer"',
            "",
            'more.md: shows a prediction without "disclaimer"',
        ),
        (
            "docs/more.md",
            '"label_meaning"',
            "",
            'more.md: shows a prediction without "label_meaning"',
        ),
        ("LICENSE", "END OF TERMS", "", "LICENSE: lacks 'END OF TERMS AND CONDITIONS'"),
        ("train.py", "usage", "/" + "home/me", "train.py: names /" + "home/"),
        ("train.py", "usage", "py" + "pi.org", "train.py: names py" + "pi.org"),
        (
            "Makefile",
            "clean: ## remove",
            "clean: # remove",
            "Makefile: clean needs a rule, a place in .PHONY and a line in `make help`",
        ),
        (
            "Makefile",
            " clean\n",
            "\n",
            "Makefile: clean needs a rule, a place in .PHONY and a line in `make help`",
        ),
    ],
)
def test_a_fault_is_one_line(checkout, name, old, new, fault):
    text = (checkout / name).read_text()
    assert text.count(old) == 1
    (checkout / name).write_text(text.replace(old, new))
    assert faults(checkout) == [fault]
