"""Dataset readers: one for each layout on disk.

- ``dataset_reader``: what a reader is, and the names of folders and body parts
- ``tables``: CSV files of a dataset
- ``mura``, ``fracatlas``, ``folder``: the layouts
- ``annotations``: the table ``labels.csv`` beside class folders
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from utils.datasets.readers import folder, fracatlas, mura
from utils.datasets.readers.dataset_reader import DatasetReader, contents
from utils.datasets.sample import Dataset
from utils.errors import DatasetError
from utils.registry import Registry

AUTO = "auto"

# In the order that "auto" tries them: the particular layouts before the general one.
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
    readers = tuple(READERS.values()) if name == AUTO else (READERS[name],)
    if not root.is_dir():
        found = "datasets.root_is_file" if root.is_file() else "datasets.no_root"
        raise DatasetError(found, root=root)
    try:
        for reader in readers:
            if located := reader.locate(root):
                return reader.read(located, regions)
        found = contents(root)
    except OSError as error:
        raise DatasetError(
            "datasets.root_unreadable", path=error.filename or root, reason=error.strerror
        ) from error
    if name != AUTO:
        layout = READERS[name].layout
        raise DatasetError(
            "datasets.other_layout", root=root, name=name, layout=layout, found=found
        )
    layouts = "; or ".join(f"{reader.layout} ({reader.name})" for reader in readers)
    raise DatasetError("datasets.no_dataset", root=root, layouts=layouts, found=found)
