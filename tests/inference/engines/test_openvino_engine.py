"""OpenVINO engine: requests, threads and precision."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from joblib import cpu_count

from tests.support.bundles import tiny_bundle
from tests.support.outputs import assert_agree, assert_equal, drawn_inputs, exported_engine
from utils.inference.engines.engine import load_engine
from utils.inference.engines.openvino_engine import OpenVINOEngine


def test_a_batch_keeps_the_order_of_its_images(openvino):
    fitted = drawn_inputs(7)
    single = [openvino.run(image[None]).logit[0] for image in fitted]
    assert len(set(single)) == 7
    np.testing.assert_array_equal(openvino.run(fitted).logit, single)


def test_strided_images_give_equal_outputs(openvino):
    fitted = drawn_inputs(4)
    strided = np.repeat(fitted, 2, axis=2)[:, :, ::2]
    assert not strided.flags.c_contiguous
    assert_equal(openvino.run(strided), openvino.run(fitted))


@pytest.mark.parametrize("streams", [1, 2])
def test_concurrent_calls_get_their_own_outputs(model, cache, streams):
    engine = load_engine(model, cache=cache, threads=2, lone_threads=3, streams=streams)
    fitted = drawn_inputs(24)
    expected = engine.run(fitted).logit
    assert np.diff(np.sort(expected)).min() > 4e-6, "each radiograph has a logit of its own"

    def logits(row: int, count: int) -> np.ndarray:
        # Not really alone, as a caller may be wrong for a moment.
        return engine.run(fitted[row : row + count], alone=row % 2 == 1).logit

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: logits(row, 1)[0], range(24)))
        batches = list(pool.map(lambda row: logits(row, 3), range(21)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    for row, batch in enumerate(batches):
        np.testing.assert_allclose(batch, expected[row : row + 3], rtol=0, atol=1e-6)


def test_a_lone_forward_pass_gives_equal_outputs(shared):
    fitted = drawn_inputs(6)
    assert_equal(shared.run(fitted, alone=True), shared.run(fitted), atol=1e-5)


def test_a_lone_forward_pass_has_its_own_pool(shared):
    """An exhausted pool does not block the other one."""
    fitted = drawn_inputs(1)
    assert (shared.threads, shared.lone_threads) == (1, 2)
    for pool, other in ((shared._shared, True), (shared._lone, False)):
        taken = [pool._idle.get() for _ in range(2)]
        assert pool._idle.empty()
        with ThreadPoolExecutor(1) as threads:
            shared.run(fitted, alone=other)
            waits = threads.submit(shared.run, fitted, alone=not other)
            with pytest.raises(TimeoutError):
                waits.result(0.3)
            for request in taken:
                pool._idle.put(request)
            waits.result(30)


@pytest.mark.parametrize(("threads", "lone"), [(None, None), (2, None), (2, 1), (2, 2)])
def test_equal_thread_counts_share_one_pool(model, cache, threads, lone):
    engine = load_engine(model, cache=cache, threads=threads, lone_threads=lone)
    assert isinstance(engine, OpenVINOEngine)
    assert engine._lone is engine._shared
    assert engine.threads == engine.lone_threads == (threads or cpu_count())


def test_outputs_outlive_later_calls(openvino):
    fitted = drawn_inputs(3)
    first = openvino.run(fitted[:1])
    copy = first.map.copy()
    for _ in range(4):
        openvino.run(fitted[1:])
    np.testing.assert_array_equal(first.map, copy)


@pytest.mark.parametrize("alone", [False, True])
def test_a_wrong_shape_harms_no_later_call(shared, alone):
    fitted = drawn_inputs(1)
    expected = shared.run(fitted, alone=alone)
    for _ in range(5):
        with pytest.raises(RuntimeError):
            shared.run(np.zeros((3, 32, 32), np.uint8), alone=alone)
    assert_equal(shared.run(fitted, alone=alone), expected)


def test_bfloat16_gives_nearly_the_same(model, cache, openvino):
    engine = load_engine(model, cache=cache, precision="bfloat16")
    assert (engine.kind, engine.precision) == ("openvino", "bfloat16")
    fitted = drawn_inputs(5)
    assert_agree(engine.run(fitted), openvino.run(fitted), probability=2e-2, correlation=0.98)


@pytest.mark.slow
def test_a_network_without_regions_gives_none(tmp_path):
    engine = exported_engine(tiny_bundle(tmp_path, image_size=32, regions=()), tmp_path)
    assert engine.run(np.zeros((2, 32, 32), np.uint8)).region is None


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process")
def test_a_process_bound_to_one_core_counts_one():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from joblib import cpu_count; print(cpu_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
