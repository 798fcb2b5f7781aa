"""Tensors of a PyTorch checkpoint (``.pth``), read without PyTorch and without running its pickle.

Source:
    PyTorch, torch/serialization.py: ``_legacy_save`` (before 1.6) and ``_save`` (zip archive).
"""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from utils.errors import SetupError

ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
# Types of the elements by PyTorch's name of the storage, little-endian.
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


@dataclass(frozen=True)
class _Storage:
    """Where the elements of a tensor lie; several tensors may share one."""

    key: str
    dtype: np.dtype
    elements: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.elements * self.dtype.itemsize


@dataclass(frozen=True)
class _Tensor:
    """A tensor whose elements are still to be read; offset and strides in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, data: bytes) -> np.ndarray:
        """Return the tensor's own elements; numpy holds offset and strides against the data.

        Raises:
            ValueError: it reaches beyond its storage, or repeats elements.
        """
        dtype = self.storage.dtype
        if math.prod(self.shape) > self.storage.elements:
            raise ValueError("a tensor is larger than its storage")
        strides = tuple(stride * dtype.itemsize for stride in self.strides)
        offset = self.offset * dtype.itemsize
        return np.ndarray(self.shape, dtype, data, offset, strides).copy()


def read_torch_weights(path: Path) -> dict[str, np.ndarray]:
    """Read a state dict: the arrays of a checkpoint by name.

    Args:
        path: zip archive, or the format that PyTorch wrote before 1.6.

    Raises:
        SetupError: it is no state dict of plain tensors, is damaged, or names anything but tensors.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
            file.seek(0)
            return _zip_arrays(file) if zipped else _legacy_arrays(file)
    except _ForbiddenGlobal as error:
        raise SetupError("model.checkpoint_beyond_tensors", path=path, name=error) from error
    except Exception as error:  # a damaged pickle raises any kind
        raise SetupError("model.unreadable_checkpoint", path=path, reason=error) from error


class _ForbiddenGlobal(Exception):
    """The pickle names a class or function that makes no tensor."""


class _Unpickler(pickle.Unpickler):
    """Unpickler that knows tensors, storages and ordered dicts, and imports nothing."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in for one of PyTorch's names."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in STORAGES:
            return name
        raise _ForbiddenGlobal(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the storage that a persistent id describes.

        Args:
            pid: "storage", kind, key, device, number of elements, and before 1.6 None or a view.
        """
        _, kind, key, _, elements, *view = pid
        if any(view):
            raise ValueError("a storage is a view of another one")
        return _Storage(str(key), np.dtype(STORAGES[kind]), int(elements))


def _rebuild(storage: _Storage, offset: int, shape: Any, strides: Any, *_: object) -> _Tensor:
    """Stand in for ``torch._utils._rebuild_tensor_v2``; gradients and hooks are left out."""
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _tensors(state: object) -> dict[str, _Tensor]:
    """Return an unpickled state dict with its types checked."""
    if not isinstance(state, dict) or not state:
        raise ValueError("it holds no state dict")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise ValueError(f"{name!r} is no tensor")
    return dict(state)


def _zip_arrays(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Read a zip archive: ``NAME/data.pkl``, and ``NAME/data/KEY`` for each storage."""
    with zipfile.ZipFile(file) as archive:
        pickled = next((n for n in archive.namelist() if n.endswith("/data.pkl")), "")
        if not pickled:
            raise ValueError("it holds no data.pkl")
        folder = pickled.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist():
            _require_little_endian(archive.read(f"{folder}byteorder") == b"little")
        with archive.open(pickled) as stream:
            tensors = _tensors(_Unpickler(stream).load())
        arrays = {}
        for name, tensor in tensors.items():
            with archive.open(f"{folder}data/{tensor.storage.key}") as stream:
                arrays[name] = tensor.array(_read_exactly(stream, tensor.storage.size))
    return arrays


def _legacy_arrays(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Read five pickles (magic number, protocol, byte order, state dict, keys), then the storages."""
    if _Unpickler(file).load() != LEGACY_MAGIC or _Unpickler(file).load() != LEGACY_PROTOCOL:
        raise ValueError("it is no PyTorch checkpoint")
    _require_little_endian(_Unpickler(file).load()["little_endian"])
    tensors = _tensors(_Unpickler(file).load())
    keys = _Unpickler(file).load()
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    data = {}
    for key in keys:
        (elements,) = struct.unpack("<q", _read_exactly(file, 8))
        if elements != storages[key].elements:
            raise ValueError(f"storage {key} has another length than its tensors say")
        data[key] = _read_exactly(file, storages[key].size)
    return {name: tensor.array(data[tensor.storage.key]) for name, tensor in tensors.items()}


def _require_little_endian(little: bool) -> None:
    """Refuse the other byte order."""
    if not little:
        raise ValueError("it was written by a big-endian machine")


def _read_exactly(file: IO[bytes], size: int) -> bytes:
    """Read bytes, no fewer."""
    data = file.read(size)
    if len(data) != size:
        raise ValueError("it ends early")
    return data
