"""Datasets of labelled radiographs on disk, read into samples by the reader of their layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from utils.datasets.readers import folder, fracatlas, mura
from utils.datasets.readers.dataset_reader import DatasetReader, contents
from utils.datasets.sample import Dataset
from utils.errors import DatasetError
from utils.registry import Registry

AUTO = "auto"

# In the order in which "auto" asks them: the particular layouts before the general one.
READERS: Registry[DatasetReader] = Registry(
    "dataset",
    {reader.name: reader for reader in (mura.READER, fracatlas.READER, folder.READER)},
)


def read_dataset(root: Path, name: str = AUTO, regions: Sequence[str] = ()) -> Dataset:
    """Read a folder of labelled radiographs.

    Args:
        root: the dataset's folder or the one around it.
        name: a reader in READERS, or "auto" for the first whose layout is there.
        regions: body parts to keep ("wrist"; MURA's "XR_WRIST" too); empty keeps all.

    Returns:
        The dataset, its samples sorted by id, with images of both classes.

    Raises:
        DatasetError: no such folder, a layout or table that is not as it should be, an empty class.
        UnknownName: no reader of that name, or no such region in the dataset.
    """
    root = Path(root)
    reader = None if name == AUTO else READERS[name]
    if not root.is_dir():
        found = f"{root} is a file" if root.is_file() else f"there is no folder {root}"
        raise DatasetError(f"{found}; give the folder that holds the dataset")
    try:
        return (reader or _detected(root)).read(root, regions)
    except OSError as fault:
        raise DatasetError(f"{fault.filename or root} cannot be read: {fault.strerror}") from fault


def _detected(root: Path) -> DatasetReader:
    """Return the reader whose layout is in a folder.

    Raises:
        DatasetError: there is none; the message says what was looked for and what is there.
    """
    for reader in READERS.values():
        if reader.detect(root):
            return reader
    layouts = "; or ".join(f"{reader.looks_for} ({reader.name})" for reader in READERS.values())
    raise DatasetError(f"{root} holds no dataset: looked for {layouts}; found {contents(root)}")
