"""A bundle's graph is exported once, by another process, into a folder that nobody else can write to."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.support.bundles import altered_sidecar, tiny_bundle
from tests.support.processes import ROOT, running
from utils.errors import BundleError
from utils.files import check_private_folder
from utils.inference.graph_cache import Graph, _key, _read, _store, load_graph
from utils.inference.graph_export import BUNDLE_FAULT, GRAPH, WEIGHTS, export
from utils.inference.openvino_runtime import EngineUnavailable, import_openvino
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


def test_the_second_load_reads_what_the_first_exported(model, kept):
    again = load_graph(read_bundle(model), kept)
    assert not again.fresh
    assert b"<net" in again.xml
    assert again.weights.size > 1000


def test_an_export_leaves_nothing_but_the_entry_and_its_lock(kept):
    assert sorted(path.suffix for path in kept.iterdir()) == [".graph", ".lock"]


def test_the_graph_holds_float32_weights_and_takes_bytes(model, tmp_path):
    export(read_bundle(model), tmp_path)
    graph = import_openvino().Core().read_model(tmp_path / GRAPH)
    assert [port.get_any_name() for port in graph.inputs] == ["fitted"]
    assert graph.inputs[0].get_element_type().to_dtype() == np.uint8
    names = {port.get_any_name() for port in graph.outputs}
    assert names == {"logit", "map", "embedding", "region"}
    constants = [node for node in graph.get_ops() if node.get_type_name() == "Constant"]
    kinds = {node.get_element_type().get_type_name() for node in constants}
    assert "f32" in kinds
    assert kinds & {"f16", "bf16"} == set()
    assert (tmp_path / WEIGHTS).stat().st_size > 1000


def test_an_entry_comes_back_as_it_was_kept(tmp_path):
    graph = drawn_graph()
    _store(graph, tmp_path / "a.graph")
    found = _read(tmp_path / "a.graph")
    assert found is not None
    assert same(found, graph)
    assert not found.fresh


@pytest.mark.parametrize(
    "place", [0, 15, 40, 5000, -1], ids=["header", "length", "checksum", "weights", "graph"]
)
def test_an_altered_entry_is_none(tmp_path, place, caplog):
    path = tmp_path / "a.graph"
    _store(drawn_graph(), path)
    content = bytearray(path.read_bytes())
    assert content[12:16] == b"3000"
    content[place] ^= 1
    path.write_bytes(content)
    assert _read(path) is None
    assert "damaged" in caplog.text


@pytest.mark.parametrize("length", [0, 10, 4096, 5000, 12095])
def test_an_entry_cut_short_is_none(tmp_path, length):
    path = tmp_path / "a.graph"
    _store(drawn_graph(), path)
    whole = path.read_bytes()
    assert length < len(whole) == 12096
    path.write_bytes(whole[:length])
    assert _read(path) is None


def test_a_damaged_entry_is_exported_anew(model, kept, tmp_path):
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


def test_old_entries_and_abandoned_work_are_removed_and_recent_ones_stay(tmp_path):
    long_ago = time.time() - 7200
    for number in range(12):
        path = tmp_path / f"{number}.graph"
        path.write_bytes(b"")
        os.utime(path, (long_ago + number, long_ago + number))
    for name, age in (("export-old", 7200), ("export-now", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "frozen.pb").write_bytes(b"")
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    _store(drawn_graph(), tmp_path / "new.graph")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"new.graph", *(f"{number}.graph" for number in range(5, 12)), "export-now"}


def test_the_key_changes_with_weights_size_and_heads(tmp_path):
    keys = set()
    for number, options in enumerate(
        ({}, {"seed": 1}, {"image_size": 48}, {"regions": ()}, {"regions": ("a", "b", "c")})
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        keys.add(_key(read_bundle(tiny_bundle(folder, **{"image_size": 32, **options}))))
    assert len(keys) == 5


def test_the_folder_is_made_for_this_user_alone(tmp_path):
    check_private_folder(tmp_path / "made" / "here")
    assert (tmp_path / "made" / "here").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_folder_that_others_can_write_to_is_not_trusted(tmp_path, mode):
    tmp_path.chmod(mode)
    with pytest.raises(PermissionError, match="others can write"):
        check_private_folder(tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_or_link_of_another_user_is_not_trusted(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, 12345, -1)
    with pytest.raises(PermissionError, match="another user"):
        check_private_folder(theirs)
    mine, link = tmp_path / "mine", tmp_path / "link"
    mine.mkdir(mode=0o700)
    link.symlink_to(mine)
    check_private_folder(link)
    os.chown(link, 12345, -1, follow_symlinks=False)
    with pytest.raises(PermissionError, match="another user"):
        check_private_folder(link)


def test_a_graph_that_others_could_have_put_there_is_not_used(model, kept, tmp_path, caplog):
    cache = tmp_path / "open"
    cache.mkdir()
    bundle = read_bundle(model)
    planted = cache / f"{_key(bundle)}.graph"
    _store(drawn_graph(), planted)
    cache.chmod(0o777)
    graph = load_graph(bundle, cache)
    assert graph.fresh
    assert not same(graph, drawn_graph())
    assert "others can write" in caplog.text
    assert sorted(cache.iterdir()) == [planted]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no folder that is read-only")
@pytest.mark.parametrize("folder", ["/proc/nowhere", "/proc/self"])
def test_where_nothing_can_be_kept_the_graph_is_used_all_the_same(model, kept, folder, caplog):
    graph = load_graph(read_bundle(model), Path(folder))
    assert graph.fresh
    assert same(graph, load_graph(read_bundle(model), kept))
    assert "cannot be cached" in caplog.text


def test_an_entry_in_a_folder_that_is_only_read_is_used(model, kept, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    shutil.copy(entry(kept), cache)
    cache.chmod(0o500)
    with start(model, cache) as worker:
        output, said = worker.communicate(timeout=60)
    assert json.loads(output.splitlines()[-1])[0] == "openvino"
    assert "exported" not in said
    assert [path.suffix for path in cache.iterdir()] == [".graph"]


LOAD = """
import json, logging, sys
from pathlib import Path
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
from utils.inference.engine import load_engine
from utils.model.self_test import self_test_input
engine = load_engine(Path(sys.argv[1]), cache=Path(sys.argv[2]))
logit = float(engine.run(self_test_input(32)).logit[0])
print(json.dumps([engine.kind, logit, "tensorflow" in sys.modules]))
"""


def start(
    model: Path, cache: Path, environment: dict[str, str] | None = None
) -> AbstractContextManager[subprocess.Popen[str]]:
    return running(
        [sys.executable, "-c", LOAD, str(model), str(cache)],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_workers_that_start_at_once_export_once_and_none_imports_tensorflow(model, tmp_path):
    with ExitStack() as stack:
        workers = [stack.enter_context(start(model, tmp_path / "cache")) for _ in range(3)]
        ends = [worker.communicate(timeout=110) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], ends
    answers = {output.splitlines()[-1] for output, _ in ends}
    assert len(answers) == 1
    kind, logit, imported = json.loads(answers.pop())
    self_test = read_bundle(model).sidecar.self_test.outputs["logit"][0]
    assert (kind, imported) == ("openvino", False)
    assert logit == pytest.approx(self_test, abs=1e-4)
    assert sum(said.count("exported ") for _, said in ends) == 1


HOLD = """
import fcntl, sys, time
stream = open(sys.argv[1], "ab")
fcntl.flock(stream, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


def test_a_killed_exporter_blocks_nobody_and_a_living_one_is_waited_for(model, kept, tmp_path):
    bundle = read_bundle(model)
    lock = tmp_path / f"{_key(bundle)}.lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    with running(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with start(model, tmp_path) as waiting:
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(timeout=4)
            # What the other one was making: the waiting one takes it.
            shutil.copy(entry(kept), tmp_path)
            holder.kill()
            output, said = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, said
    assert json.loads(output.splitlines()[-1])[0] == "openvino"
    assert "exported" not in said


def test_weights_that_do_not_fit_are_the_bundles_fault(tmp_path):
    model = tiny_bundle(tmp_path, image_size=32, regions=("a", "b"))
    with altered_sidecar(model) as sidecar:
        sidecar["model"]["heads"]["region"] = ["a", "b", "c"]
    with pytest.raises(BundleError, match="do not fit custom"):
        load_graph(read_bundle(model), tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*.graph")) == []


def test_a_bundle_replaced_meanwhile_is_refused(model, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "utils.inference.graph_export", str(model), "0" * 64, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == BUNDLE_FAULT
    assert "was replaced" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_fails_otherwise_is_told_with_its_last_line(model, tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "tensorflow.py").write_text("raise ImportError('this library is too old')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    with pytest.raises(EngineUnavailable, match="this library is too old"):
        load_graph(read_bundle(model), tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


# Every process of a run, the export's child too, imports this first; what is asked for goes to a file.
WATCH = """
import os, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        with open(os.environ["WATCH"], "a") as file:
            file.write(f"{event} {arguments[-1]!r}\\n")
        raise PermissionError(event)
    if event == "import" and arguments[0] == "tensorflow":
        with open(os.environ["WATCH"], "a") as file:
            file.write("tensorflow\\n")
sys.addaudithook(watch)
"""


def watched(folder: Path) -> dict[str, str]:
    folder.joinpath("sitecustomize.py").write_text(WATCH)
    folder.joinpath("home").mkdir()
    seen = folder / "seen"
    seen.touch()
    environment = {"PYTHONPATH": str(folder), "WATCH": str(seen), "HOME": str(folder / "home")}
    # Set in CI, where OpenVINO would keep quiet by itself.
    return {**environment, **dict.fromkeys(("CI", "TF_BUILD", "JENKINS_URL"), "")}


def test_neither_the_export_nor_the_engine_calls_anybody(model, tmp_path):
    environment = watched(tmp_path)
    with start(model, tmp_path / "cache", environment) as worker:
        output, said = worker.communicate(timeout=110)
    assert json.loads(output.splitlines()[-1])[0] == "openvino", said
    # The one line is the child's import: the watch was there.
    assert set((tmp_path / "seen").read_text().splitlines()) == {"tensorflow"}
    assert not (tmp_path / "home" / "intel").exists()


def test_the_watch_sees_a_call(tmp_path):
    subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 80))"],
        env={**os.environ, **watched(tmp_path)},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert "socket" in (tmp_path / "seen").read_text()


def test_a_failed_export_is_logged_by_no_file_name_of_the_user(model, kept, caplog):
    with caplog.at_level(logging.DEBUG):
        load_graph(read_bundle(model), kept)
    assert str(model.parent) not in caplog.text
