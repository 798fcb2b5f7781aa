"""Folders of drawn radiographs."""

from __future__ import annotations

from pathlib import Path

from tests.support.pictures import draw_radiograph, encode

COUNT = 7


def picture_folder(parent: Path) -> Path:
    """Make a folder of drawn radiographs of several sizes, with a folder inside it."""
    folder = parent / "pictures"
    (folder / "inner").mkdir(parents=True)
    for number in range(COUNT):
        picture = draw_radiograph(80 + 7 * number, 60, seed=number, fractured=number % 2 == 0)
        place = folder / "inner" if number > 4 else folder
        (place / f"{number}.png").write_bytes(encode(picture))
    return folder
