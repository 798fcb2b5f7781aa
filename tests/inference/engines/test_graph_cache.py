"""Graph cache: one export by a child process, into a folder that nobody else can write to."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.bundles import altered_sidecar, tiny_bundle
from tests.support.graphs import start_engine
from tests.support.processes import running
from utils.errors import BundleError
from utils.inference.engines.graph_cache import Graph, _key, _read, _store, load_graph
from utils.inference.engines.openvino_runtime import EngineUnavailable
from utils.model.bundle import read_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundle"), image_size=32)


@pytest.fixture(scope="module")
def kept(model, tmp_path_factory) -> Path:
    """A cache that holds the model's graph."""
    cache = tmp_path_factory.mktemp("cache")
    assert load_graph(read_bundle(model), cache).fresh
    return cache


def entry(cache: Path) -> Path:
    (path,) = cache.glob("*.graph")
    return path


def same(one: Graph, other: Graph) -> bool:
    return one.xml == other.xml and np.array_equal(one.weights, other.weights)


def drawn_graph(seed: int = 0) -> Graph:
    rng = np.random.default_rng(seed)
    return Graph(rng.bytes(5000), rng.integers(0, 256, 3000, np.uint8), fresh=True)


@pytest.mark.slow
def test_the_second_load_reads_the_entry(model, kept):
    again = load_graph(read_bundle(model), kept)
    assert not again.fresh
    assert b"<net" in again.xml
    assert again.weights.size > 1000


@pytest.mark.slow
def test_an_export_leaves_the_entry_and_its_lock(kept):
    assert sorted(path.suffix for path in kept.iterdir()) == [".graph", ".lock"]


def test_an_entry_comes_back_as_it_was_stored(tmp_path):
    graph = drawn_graph()
    _store(graph, tmp_path / "a.graph")
    found = _read(tmp_path / "a.graph")
    assert found is not None
    assert same(found, graph)
    assert not found.fresh


@pytest.mark.parametrize(
    "place", [0, 39, 45, 3050, -1], ids=["checksum", "length", "weights", "graph", "end"]
)
def test_an_altered_entry_is_not_used(tmp_path, place, caplog):
    path = tmp_path / "a.graph"
    _store(drawn_graph(), path)
    content = bytearray(path.read_bytes())
    assert int.from_bytes(content[32:40]) == 3000
    content[place] ^= 1
    path.write_bytes(content)
    assert _read(path) is None
    assert "damaged" in caplog.text


@pytest.mark.parametrize("length", [0, 10, 32, 40, 5000, 8039])
def test_an_entry_cut_short_is_not_used(tmp_path, length):
    path = tmp_path / "a.graph"
    _store(drawn_graph(), path)
    whole = path.read_bytes()
    assert length < len(whole) == 8040
    path.write_bytes(whole[:length])
    assert _read(path) is None


@pytest.mark.slow
def test_a_damaged_entry_is_exported_again(model, kept, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(kept, cache)
    cache.chmod(0o700)
    path = entry(cache)
    with path.open("r+b") as stream:
        stream.truncate(6000)
    graph = load_graph(read_bundle(model), cache)
    assert graph.fresh
    whole = _read(path)
    assert whole is not None
    assert same(whole, graph)


def test_the_eight_newest_entries_stay(tmp_path):
    long_ago = time.time() - 7200
    for number in range(12):
        path = tmp_path / f"{number}.graph"
        path.write_bytes(b"")
        os.utime(path, (long_ago + number, long_ago + number))
    _store(drawn_graph(), tmp_path / "new.graph")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"new.graph", *(f"{number}.graph" for number in range(5, 12))}


@pytest.mark.slow
def test_the_key_changes_with_the_network(tmp_path):
    keys = set()
    for number, options in enumerate(
        ({}, {"seed": 1}, {"image_size": 48}, {"regions": ()}, {"regions": ("a", "b", "c")})
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        keys.add(_key(read_bundle(tiny_bundle(folder, **{"image_size": 32, **options}))))
    assert len(keys) == 5


@pytest.mark.slow
def test_a_folder_open_to_others_is_not_used(model, kept, tmp_path, caplog):
    cache = tmp_path / "open"
    cache.mkdir()
    bundle = read_bundle(model)
    planted = cache / f"{_key(bundle)}.graph"
    _store(drawn_graph(), planted)
    cache.chmod(0o777)
    graph = load_graph(bundle, cache)
    assert graph.fresh
    assert same(graph, load_graph(bundle, kept))
    assert "others can write" in caplog.text
    assert "cannot be cached" in caplog.text
    assert sorted(cache.iterdir()) == [planted]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no folder that is read-only")
def test_a_graph_that_cannot_be_stored_is_used(model, kept, caplog):
    graph = load_graph(read_bundle(model), Path("/proc/self"))
    assert graph.fresh
    assert same(graph, load_graph(read_bundle(model), kept))
    assert "cannot be cached" in caplog.text


@pytest.mark.slow
def test_an_entry_in_a_read_only_folder_is_used(model, kept, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    shutil.copy(entry(kept), cache)
    cache.chmod(0o500)
    with start_engine(model, cache) as worker:
        output, log = worker.communicate(timeout=60)
    assert json.loads(output.splitlines()[-1])[0] == "openvino"
    assert "exported" not in log
    assert [path.suffix for path in cache.iterdir()] == [".graph"]


HOLD = """
import fcntl, sys, time
stream = open(sys.argv[1], "ab")
fcntl.flock(stream, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_a_lock_ends_with_its_process(model, kept, tmp_path):
    bundle = read_bundle(model)
    lock = tmp_path / f"{_key(bundle)}.lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    with running(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with start_engine(model, tmp_path) as waiting:
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(timeout=4)
            # The entry that the other one was exporting.
            shutil.copy(entry(kept), tmp_path)
            holder.kill()
            output, log = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, log
    assert json.loads(output.splitlines()[-1])[0] == "openvino"
    assert "exported" not in log


@pytest.mark.slow
def test_weights_that_do_not_fit_are_refused(tmp_path):
    model = tiny_bundle(tmp_path, image_size=32, regions=("a", "b"))
    with altered_sidecar(model) as sidecar:
        sidecar["model"]["heads"]["region"] = ["a", "b", "c"]
    with pytest.raises(BundleError, match="do not fit custom"):
        load_graph(read_bundle(model), tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*.graph")) == []


@pytest.mark.slow
def test_a_failed_export_gives_its_last_line(model, tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "tensorflow.py").write_text("raise ImportError('this library is too old')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    with pytest.raises(EngineUnavailable, match="this library is too old"):
        load_graph(read_bundle(model), tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.mark.slow
def test_no_folder_of_the_user_reaches_the_log(model, kept, caplog):
    with caplog.at_level(logging.DEBUG):
        load_graph(read_bundle(model), kept)
    assert str(model.parent) not in caplog.text
