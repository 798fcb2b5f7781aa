"""Checks of the documents: links, commands, flags, required notices, addresses of one machine.

    python .ci/check_documents.py [CHECKOUT]

Prints a line for each fault and exits with 1 where there is any.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# Made on this machine, or the user's own.
NOT_OURS = {"data", "runs", "reports", "uploads", "instance", "__pycache__"}
# Spelled in pieces, so that this file passes its own check.
HOSTS = ("py" + "pi.org", "python" + "hosted", "index" + "-url")
PLACES = ("/" + "root/", "/" + "work/", "/" + "home/")
# uv's flag that keeps the index's address out of a lock.
ALLOWED = {"Makefile": {"index" + "-url"}}
# What a document has to say, and why.
README_SAYS = ("not a medical device", "never replaces", "make test")
BESIDE_A_PREDICTION = ('"disclaimer"', '"label_meaning"')
LICENCE_SAYS = ("Version 2.0, January 2004", "END OF TERMS AND CONDITIONS")

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"make ([a-z_-]+)\b")
SCRIPT = re.compile(r"\bpython (app|train|evaluate|predict)\.py(.*)")
GIVEN_FLAG = re.compile(r"(?<!\S)--?[a-z]\w*")
HELP_FLAG = re.compile(r"(?<![\w-])--?[a-z]\w*")


class Checkout:
    """A checkout of the project: its documents, its Makefile and its root scripts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.documents = sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")])
        self.makefile = self.text("Makefile")
        self.flags = cache(self._flags)

    def text(self, name: str) -> str:
        """Return a file's text."""
        return (self.root / name).read_text(encoding="utf-8")

    def files(self) -> Iterator[Path]:
        """Yield the project's own files."""
        for folder, folders, files in os.walk(self.root):
            folders[:] = [f for f in folders if f not in NOT_OURS and (f == ".ci" or f[0] != ".")]
            yield from (Path(folder, name) for name in files if not name.startswith(".coverage"))

    def verbs(self) -> set[str]:
        """Return the verbs that the Makefile declares."""
        phony = re.search(r"^\.PHONY: (.+)$", self.makefile, re.MULTILINE)
        return set(phony[1].split()) if phony else set()

    def _flags(self, script: str) -> set[str]:
        """Return the flags in a root script's help."""
        command = [sys.executable, f"{script}.py", "--help"]
        shown = subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, timeout=60, check=True
        )
        return set(HELP_FLAG.findall(shown.stdout))


def dead_links(checkout: Checkout) -> Iterator[str]:
    """Find links between documents that lead nowhere."""
    for document in checkout.documents:
        for link in _links(document):
            if re.match(r"[a-z]+:", link):
                continue
            place, _, anchor = link.partition("#")
            target = document.parent / place if place else document
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                yield f"{document.name}: the link {link} leads nowhere"


def unlinked_documents(checkout: Checkout) -> Iterator[str]:
    """Find documents that the README does not lead to."""
    links = _links(checkout.root / "README.md")
    linked = {(checkout.root / link.partition("#")[0]).resolve() for link in links}
    for document in checkout.documents:
        if document.parent.name == "docs" and document.resolve() not in linked:
            yield f"README.md: no link to docs/{document.name}"


def unknown_commands(checkout: Checkout) -> Iterator[str]:
    """Find verbs of make and flags of the root scripts that a document shows and that do not exist."""
    for document in checkout.documents:
        for command in _commands(document):
            verb, script = MAKE.match(command), SCRIPT.search(command)
            if verb and verb[1] not in checkout.verbs():
                yield f"{document.name}: no such verb: {command}"
            if script:
                flags = set(GIVEN_FLAG.findall(script[2]))
                for flag in sorted(flags - checkout.flags(script[1])):
                    yield f"{document.name}: {script[1]}.py has no flag {flag}"


def unlisted_verbs(checkout: Checkout) -> Iterator[str]:
    """Find verbs that `make help` leaves out, or that are not declared."""
    rules = set(re.findall(r"^([a-z-]+):", checkout.makefile, re.MULTILINE))
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=checkout.root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    listed = re.findall(r"^make ([a-z-]+) +\S", shown, re.MULTILINE)
    if len(listed) != len(shown.splitlines()):
        yield "Makefile: a line of `make help` has no description"
    for verb in sorted(rules | checkout.verbs() | set(listed)):
        if verb not in rules & checkout.verbs() & set(listed):
            yield f"Makefile: {verb} needs a rule, a place in .PHONY and a line in `make help`"


def missing_notices(checkout: Checkout) -> Iterator[str]:
    """Find documents that leave out what they have to say."""
    readme = checkout.text("README.md")
    versions = re.search(r"^RANGE := (.+)$", checkout.makefile, re.MULTILINE)
    needed = [*README_SAYS, f"python {versions[1]}" if versions else "Python"]
    yield from (f"README.md: does not say {w!r}" for w in needed if w not in readme.lower())
    for document in checkout.documents:
        text = document.read_text(encoding="utf-8")
        if '"prediction"' in text:
            for field in BESIDE_A_PREDICTION:
                if field not in text:
                    yield f"{document.name}: shows a prediction without {field}"
    licence = checkout.text("LICENSE")
    yield from (f"LICENSE: lacks {words!r}" for words in LICENCE_SAYS if words not in licence)


def foreign_addresses(checkout: Checkout) -> Iterator[str]:
    """Find package registries' hosts and paths of one machine, in any file."""
    for path in checkout.files():
        content, name = path.read_bytes(), str(path.relative_to(checkout.root))
        for word in (*HOSTS, *PLACES):
            if word.encode() in content and word not in ALLOWED.get(name, set()):
                yield f"{name}: names {word}"


CHECKS = (
    dead_links,
    unlinked_documents,
    unknown_commands,
    unlisted_verbs,
    missing_notices,
    foreign_addresses,
)


def _links(document: Path) -> list[str]:
    return LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8")))


def _anchors(document: Path) -> set[str]:
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _commands(document: Path) -> list[str]:
    """Return the command lines of a document, in blocks and in the running text."""
    text = document.read_text(encoding="utf-8")
    blocks = [block.replace("\\\n", " ") for _, block in FENCE.findall(text)]
    return [row for block in blocks for row in block.split("\n")] + INLINE.findall(
        FENCE.sub("", text)
    )


def main() -> int:
    """Run every check and print what it finds."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]
    checkout = Checkout(root)
    faults = [fault for check in CHECKS for fault in check(checkout)]
    print("\n".join(faults) or f"{len(checkout.documents)} documents checked")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
