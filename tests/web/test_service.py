"""The model is loaded once a process, told honestly when it is not, and tried again when it changes."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from tests.support.bundles import altered_sidecar
from tests.support.engines import Noting
from tests.support.serving import PAGE, model, radiograph, send, settings
from utils.errors import SetupError
from utils.inference.cores import usable_cores
from utils.web.app import create_app
from utils.web.service import ModelLoading, PredictorService


def copy_bundle(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for path in model().parent.glob(f"{model().stem}.*"):
        shutil.copy(path, folder / path.name)
    return folder / model().name


def service(path: Path, **changes: object) -> PredictorService:
    found = create_app(settings(path.parent, model=path, **changes)).extensions["predictor_service"]
    assert isinstance(found, PredictorService)
    return found


def _missing(path: Path) -> None:
    path.unlink()


def _without_sidecar(path: Path) -> None:
    path.with_suffix(".json").unlink()


def _truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _bit_flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _other_golden_answer(path: Path) -> None:
    with altered_sidecar(path) as sidecar:
        sidecar["golden"]["outputs"]["logit"][0] += 1


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (_missing, "model_missing"),
        (_without_sidecar, "bundle_error"),
        (_truncated, "bundle_error"),
        (_bit_flipped, "bundle_error"),
        (_a_folder, None),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_model_at_fault_is_not_ready_with_the_reason_and_never_predicts(tmp_path, damage, code):
    path = copy_bundle(tmp_path)
    damage(path)
    client = create_app(settings(tmp_path, model=path)).test_client()
    for answer in (client.get("/readyz"), send(client, radiograph())):
        assert answer.status_code == 503
        assert set(answer.json) == {"error"}
        assert code is None or answer.json["error"]["code"] == code
        assert len(answer.json["error"]["message"]) > 20
        assert int(answer.headers["Retry-After"]) > 0
    page = send(client, radiograph(), page=True)
    assert page.status_code == 503
    assert client.get("/readyz").json["error"]["code"] in page.text
    assert client.get("/healthz").status_code == 200


def test_a_network_that_no_longer_gives_its_golden_answer_is_not_ready(tmp_path):
    path = copy_bundle(tmp_path)
    _other_golden_answer(path)
    with pytest.raises(SetupError, match="golden"):
        service(path).predictor()


def test_nothing_is_loaded_before_it_is_asked_for(tmp_path):
    app = create_app(settings(tmp_path, model=copy_bundle(tmp_path)))
    app.test_client().get("/")
    assert app.extensions["predictor_service"].label_meaning is None
    assert app.test_client().get("/readyz").status_code == 200
    assert app.extensions["predictor_service"].label_meaning is not None


def test_the_first_request_loads_the_model_where_nobody_did(tmp_path):
    client = create_app(settings(tmp_path, model=copy_bundle(tmp_path))).test_client()
    assert send(client, radiograph()).status_code == 200


def test_threads_that_ask_together_share_one_reader(tmp_path):
    asked = service(copy_bundle(tmp_path))
    readers: list[object] = []
    threads = [threading.Thread(target=lambda: readers.append(asked.predictor())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(readers) == 4
    assert len({id(reader) for reader in readers}) == 1


def test_a_probe_does_not_wait_for_a_load_that_has_begun(tmp_path):
    asked = service(tmp_path / "none.h5")
    with asked._lock, pytest.raises(ModelLoading):
        asked.predictor(wait=False)


def test_a_model_that_failed_is_tried_again_only_once_its_files_change(tmp_path, caplog):
    whole = copy_bundle(tmp_path / "whole")
    path = copy_bundle(tmp_path / "served")
    _truncated(path)
    client = create_app(settings(tmp_path, model=path)).test_client()
    with caplog.at_level("ERROR"):
        for _ in range(3):
            assert client.get("/readyz").status_code == 503
    assert sum("not usable" in record.message for record in caplog.records) == 1
    os.replace(whole, path)
    assert client.get("/readyz").status_code == 200


def test_a_loaded_model_stays_when_its_file_goes(tmp_path):
    path = copy_bundle(tmp_path)
    asked = service(path)
    reader = asked.predictor()
    path.unlink()
    assert asked.predictor() is reader


def test_a_request_beyond_the_queue_is_told_to_come_back_before_it_is_read(tmp_path):
    app = create_app(settings(tmp_path, model=copy_bundle(tmp_path), concurrency=1, queue=0))
    client = app.test_client()
    with app.extensions["predictor_service"].queue.slot():
        # Not even what is wrong with it is looked at.
        for answer in (send(client, radiograph()), client.post("/predict")):
            assert (answer.status_code, answer.json["error"]["code"]) == (503, "overloaded")
            assert "Retry-After" in answer.headers
        page = send(client, radiograph(), page=True)
        assert page.status_code == 503
        assert "overloaded" in page.text
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
    assert send(client, radiograph()).status_code == 200


def test_a_request_that_gets_no_turn_in_time_is_told_to_come_back(tmp_path):
    app = create_app(
        settings(tmp_path, model=copy_bundle(tmp_path), concurrency=1, queue_seconds=0.1)
    )
    asked = app.extensions["predictor_service"]
    asked.predictor()
    done = threading.Event()
    busy = threading.Thread(target=asked.queue.run, args=(lambda: done.wait(30),))
    busy.start()
    try:
        answer = send(app.test_client(), radiograph())
        assert (answer.status_code, answer.json["error"]["code"]) == (503, "overloaded")
        assert "Retry-After" in answer.headers
    finally:
        done.set()
        busy.join()
    assert send(app.test_client(), radiograph()).status_code == 200


def test_places_and_turns_come_free_after_a_fault(tmp_path):
    app = create_app(settings(tmp_path, model=copy_bundle(tmp_path), concurrency=1, queue=0))
    for _ in range(3):
        assert send(app.test_client(), b"no picture").status_code == 415
        assert app.test_client().post("/predict").status_code == 400


def test_the_answer_says_how_long_it_waited_for_its_turn(tmp_path):
    app = create_app(settings(tmp_path, model=copy_bundle(tmp_path), concurrency=1))
    queue = app.extensions["predictor_service"].queue
    app.extensions["predictor_service"].predictor()
    quick = send(app.test_client(), radiograph()).json["timing_ms"]
    started = threading.Event()

    def hold() -> None:
        started.set()
        time.sleep(0.3)

    busy = threading.Thread(target=queue.run, args=(hold,))
    busy.start()
    started.wait()
    waited = send(app.test_client(), radiograph()).json["timing_ms"]
    busy.join()
    assert quick["queue"] < 100 < waited["queue"] < 1000


@pytest.mark.parametrize("threads", [0, 1])
def test_a_lone_radiograph_gets_all_cores_unless_the_operator_chose(tmp_path, threads):
    asked = service(copy_bundle(tmp_path), threads=threads)
    cores = usable_cores()
    asked.share_cores(workers=cores)
    engine = asked.predictor().engine
    assert (engine.threads, engine.lone_threads) == (1, 1 if threads else cores)


def test_a_request_is_computed_alone_only_while_no_other_is_read(tmp_path):
    app = create_app(settings(tmp_path, model=copy_bundle(tmp_path), concurrency=2))
    asked = app.extensions["predictor_service"]
    engine = asked.predictor().engine = Noting(asked.predictor().engine)
    begun, done = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        done.wait(30)

    for busy in (False, True, False):
        other = threading.Thread(target=asked.queue.run, args=(hold,))
        if busy:
            other.start()
            assert begun.wait(10)
        assert send(app.test_client(), radiograph()).status_code == 200
        if busy:
            done.set()
            other.join()
    assert engine.alone == [True, False, True]


def test_what_is_wrong_with_a_request_is_said_before_the_model_is_needed(tmp_path):
    client = create_app(settings(tmp_path)).test_client()
    assert client.post("/predict", headers=PAGE).status_code == 400
    assert client.post("/predict").status_code == 400
