"""Predictor service: one load a process, damaged models, the queue in front of it."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from joblib import cpu_count

from tests.support.bundles import altered_sidecar
from tests.support.engines import RecordingEngine
from tests.support.serving import PAGE, model, radiograph, send, settings
from utils.errors import SetupError
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


def _other_self_test(path: Path) -> None:
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
def test_a_damaged_model_is_503_with_the_reason(tmp_path, damage, code):
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


@pytest.mark.slow
def test_a_model_failing_its_self_test_is_refused(tmp_path):
    path = copy_bundle(tmp_path)
    _other_self_test(path)
    with pytest.raises(SetupError, match="self-test"):
        service(path, engine="tensorflow").predictor()


def test_nothing_is_loaded_before_it_is_needed(tmp_path):
    app = create_app(settings(tmp_path, model=copy_bundle(tmp_path)))
    app.test_client().get("/")
    assert app.extensions["predictor_service"].label_meaning is None
    assert app.test_client().get("/readyz").status_code == 200
    assert app.extensions["predictor_service"].label_meaning is not None


def test_the_first_request_loads_the_model(tmp_path):
    client = create_app(settings(tmp_path, model=copy_bundle(tmp_path))).test_client()
    assert send(client, radiograph()).status_code == 200


def test_threads_share_one_predictor(tmp_path):
    loaded = service(copy_bundle(tmp_path))
    predictors: list[object] = []
    threads = [
        threading.Thread(target=lambda: predictors.append(loaded.predictor())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(predictors) == 4
    assert len({id(predictor) for predictor in predictors}) == 1


def test_a_probe_does_not_wait_for_the_load(tmp_path):
    loaded = service(tmp_path / "none.h5")
    with loaded._lock, pytest.raises(ModelLoading):
        loaded.predictor(wait=False)


def test_a_failed_model_is_retried_with_new_files(tmp_path, caplog):
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
    loaded = service(path)
    predictor = loaded.predictor()
    path.unlink()
    assert loaded.predictor() is predictor


def test_a_request_beyond_the_queue_is_503_unread(tmp_path):
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


def test_a_request_that_waits_too_long_is_503(tmp_path):
    app = create_app(
        settings(tmp_path, model=copy_bundle(tmp_path), concurrency=1, queue_seconds=0.1)
    )
    loaded = app.extensions["predictor_service"]
    loaded.predictor()
    done = threading.Event()
    busy = threading.Thread(target=loaded.queue.run, args=(lambda: done.wait(30),))
    busy.start()
    try:
        answer = send(app.test_client(), radiograph())
        assert (answer.status_code, answer.json["error"]["code"]) == (503, "overloaded")
        assert "Retry-After" in answer.headers
    finally:
        done.set()
        busy.join()
    assert send(app.test_client(), radiograph()).status_code == 200


def test_slots_come_free_after_an_error(tmp_path):
    app = create_app(settings(tmp_path, model=copy_bundle(tmp_path), concurrency=1, queue=0))
    for _ in range(3):
        assert send(app.test_client(), b"no picture").status_code == 415
        assert app.test_client().post("/predict").status_code == 400


def test_the_answer_has_its_time_in_the_queue(tmp_path):
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
def test_a_lone_radiograph_gets_all_cores(tmp_path, threads):
    loaded = service(copy_bundle(tmp_path), threads=threads)
    cores = cpu_count()
    loaded.share_cores(workers=cores)
    engine = loaded.predictor().engine
    assert (engine.threads, engine.lone_threads) == (1, 1 if threads else cores)


def test_a_request_is_alone_while_no_other_runs(tmp_path):
    app = create_app(settings(tmp_path, model=copy_bundle(tmp_path), concurrency=2))
    loaded = app.extensions["predictor_service"]
    engine = loaded.predictor().engine = RecordingEngine(loaded.predictor().engine)
    begun, done = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        done.wait(30)

    for busy in (False, True, False):
        other = threading.Thread(target=loaded.queue.run, args=(hold,))
        if busy:
            other.start()
            assert begun.wait(10)
        assert send(app.test_client(), radiograph()).status_code == 200
        if busy:
            done.set()
            other.join()
    assert engine.alone == [True, False, True]


def test_a_bad_request_needs_no_model(tmp_path):
    client = create_app(settings(tmp_path)).test_client()
    assert client.post("/predict", headers=PAGE).status_code == 400
    assert client.post("/predict").status_code == 400
