"""The usual recipe, compared with the reference engine on the same weights."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.support.pictures import draw_radiograph, encode
from tests.support.processes import ROOT
from tests.support.serving import model

pytestmark = pytest.mark.slow

# The recipe loads its model when it is imported, so it answers in a separate process.
SCRIPT = """
import io, json, sys
sys.path.insert(0, "benchmarks")
import recipe
answer = recipe.app.test_client().post(
    "/predict", data={"file": (io.BytesIO(open(sys.argv[1], "rb").read()), "a")}
)
print(json.dumps(answer.get_json()))
"""


def test_the_recipe_answers_as_the_reference_engine(tmp_path):
    from utils.inference.predictor import load_predictor

    # A square, so that the recipe's squeezing and our letterbox give the network the same picture.
    content = encode(draw_radiograph(64, 64), "PNG")
    (tmp_path / "a.png").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "a.png"],
        cwd=ROOT,
        env={**os.environ, "RECIPE_MODEL": str(model())},
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    ours = load_predictor(Path(model()), engine="tensorflow").predict(content, pictures=False)
    assert answer["prediction"] == ours.prediction
    assert answer["confidence"] == pytest.approx(ours.confidence, abs=1e-4)
    kind, _, overlay = answer["overlay"].partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(overlay))) as opened:
        assert opened.size == (64, 64)
        assert opened.mode == "RGB"
