"""PyTorch checkpoints written without PyTorch: zip archives, and the format before 1.6."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np

KINDS = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def write_checkpoint(path: Path, state: Mapping[str, Any], *, zipped: bool) -> Path:
    """Write a state dict as PyTorch does: a view keeps its base as storage, its offset and its strides.

    Args:
        path: of the file.
        state: arrays by name; anything else is pickled as it is.
        zipped: a zip archive, not the format before 1.6.
    """
    with _torch_names() as names:
        stream, bases = io.BytesIO(), {}
        pickler = _Pickler(stream, names, bases, zipped=zipped)
        pickler.dump(OrderedDict((name, pickler.wrapped(item)) for name, item in state.items()))
    data = {key: base.ravel(order="K").tobytes() for key, base in bases.items()}
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", stream.getvalue())
            archive.writestr("archive/byteorder", "little")
            for key, storage in data.items():
                archive.writestr(f"archive/data/{key}", storage)
        return path
    head = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True})
    with path.open("wb") as file:
        for item in head:
            pickle.dump(item, file, protocol=2)
        file.write(stream.getvalue())
        pickle.dump(list(data), file, protocol=2)
        for key, storage in data.items():
            file.write(struct.pack("<q", bases[key].size) + storage)
    return path


class _Storage:
    """What the pickle refers to by a persistent id."""

    def __init__(self, base: np.ndarray) -> None:
        self.base = base


class _Tensor:
    """An array that is pickled as a call of ``torch._utils._rebuild_tensor_v2``."""

    def __init__(self, array: np.ndarray, rebuild: Any) -> None:
        self.array, self.rebuild = array, rebuild

    def __reduce__(self) -> tuple[Any, ...]:
        array = self.array
        base = array if array.base is None else array.base
        assert isinstance(base, np.ndarray)
        assert base.flags.forc
        offset = (array.ctypes.data - base.ctypes.data) // array.itemsize
        strides = tuple(stride // array.itemsize for stride in array.strides)
        facts = (_Storage(base), offset, array.shape, strides, False, OrderedDict())
        return self.rebuild, facts


class _Pickler(pickle.Pickler):
    """Pickler that collects the storages beside the pickle."""

    def __init__(
        self, file: io.BytesIO, names: Mapping[str, Any], bases: dict[str, np.ndarray], zipped: bool
    ) -> None:
        super().__init__(file, protocol=2)
        self.names, self.bases, self.zipped = names, bases, zipped

    def wrapped(self, item: Any) -> Any:
        return _Tensor(item, self.names["rebuild"]) if isinstance(item, np.ndarray) else item

    def persistent_id(self, item: Any) -> tuple[Any, ...] | None:
        if not isinstance(item, _Storage):
            return None
        known = [key for key, base in self.bases.items() if base is item.base]
        key = known[0] if known else str(len(self.bases))
        self.bases[key] = item.base
        kind = self.names[KINDS[item.base.dtype.name]]
        described = ("storage", kind, key, "cpu", item.base.size)
        return described if self.zipped else (*described, None)


@contextmanager
def _torch_names() -> Iterator[dict[str, Any]]:
    """Put modules in place by whose names PyTorch's functions and storages are pickled."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")

    def _rebuild_tensor_v2() -> None:
        """Never called: pickled by name."""

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = (
        "torch._utils",
        "_rebuild_tensor_v2",
    )
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    kinds = {name: type(name, (), {"__module__": "torch"}) for name in KINDS.values()}
    for name, kind in kinds.items():
        setattr(torch, name, kind)
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        yield {"rebuild": _rebuild_tensor_v2, **kinds}
