"""Score radiographs: files and folders in, one line of JSON or CSV a file out, in the order given.

A file that cannot be read gives a line with its error, the others go on, and the exit code is 2. Of a
folder every file below it is taken that begins like an image or is named like one, but no hidden ones.
"""

from __future__ import annotations

import csv
import json
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from utils.cli import DONE, INPUT_FAULT, Parser, run, whole_number

if TYPE_CHECKING:
    from utils.inference.runners.local import FileResult

PICTURES = ("heatmap", "overlay")
COLUMNS = (
    *("path", "prediction", "confidence", "probability", "threshold", "certainty"),
    *("predictive_value", "predictive_value_low", "predictive_value_high", "prevalence"),
    *("region", "region_probability", "peak_x", "peak_y", "boxes"),
    *("width", "height", "format", "warnings"),
    *("overlay_file", "error_code", "error_message"),
    *("label_meaning", "architecture", "sha256", "disclaimer"),
)


def main() -> int:
    """Parse the flags and score every file."""
    flags = parser().parse_args()

    from joblib import cpu_count
    from tqdm import tqdm

    from config import read_settings
    from utils.errors import InputError
    from utils.inference.predictor import load_predictor
    from utils.inference.runners.local import find_files, predict_files
    from utils.model.bundle import read_bundle

    settings = read_settings()
    # Faults of the flags are reported before the model takes its seconds to load.
    read_bundle(flags.model)
    files = find_files(flags.paths)
    if flags.overlays:
        try:
            flags.overlays.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                "inference.cannot_make_folder", path=flags.overlays, reason=error.strerror
            ) from error
    predictor = load_predictor(
        flags.model,
        limits=settings.limits,
        prevalence=settings.prevalence,
        engine=settings.engine,
        cache=settings.engine_cache,
        # Several files at a time, a core each, have a higher throughput than one at a time on all cores.
        streams=cpu_count(),
        precision=settings.precision,
    )
    # File names are bytes and may be no text; they are written as they are.
    cast(TextIOWrapper, sys.stdout).reconfigure(encoding="utf-8", errors="surrogateescape")
    write = _csv_writer(sys.stdout) if flags.format == "csv" else _json_writer(sys.stdout)
    faults = 0
    # No bar where stderr is no terminal: it would only fill a log.
    with tqdm(total=len(files), desc="scoring", unit="image", disable=None) as bar:
        overlay = flags.overlays is not None
        for result in predict_files(predictor, files, batch_size=flags.batch_size, overlay=overlay):
            faults += result.error is not None
            fields = as_fields(result, flags.overlays)
            with tqdm.external_write_mode(sys.stdout):
                write(fields)
                sys.stdout.flush()
            bar.update()
    if faults:
        print(f"predict.py: {faults} of {len(files)} files could not be scored", file=sys.stderr)
    return INPUT_FAULT if faults else DONE


def parser() -> Parser:
    """Describe the flags."""
    make = Parser(__doc__)
    add = make.add_argument
    add("paths", nargs="+", type=Path, metavar="PATH", help="file or folder")
    add("--model", type=Path, default=Path("models/best_model.h5"), help="the bundle to use")
    add("--format", choices=("json", "csv"), default="json", help="of the lines")
    add(
        "--overlays", type=Path, metavar="DIR", help="also write each map over its radiograph there"
    )
    add("--batch_size", type=whole_number(1), default=16, help="images a forward pass")
    return make


def as_fields(result: FileResult, overlays: Path | None) -> dict[str, Any]:
    """Return a file's JSON object; where ``overlays`` is a folder, write its overlay there."""
    from utils.errors import SetupError
    from utils.inference.runners.local import overlay_name

    fields: dict[str, Any] = {"path": str(result.path)}
    if result.error is not None:
        return fields | {"error": {"code": result.error.code, "message": str(result.error)}}
    assert result.prediction is not None
    content = result.prediction.as_json()
    fields |= {name: value for name, value in content.items() if name not in PICTURES}
    if overlays and result.prediction.overlay is not None:
        target = overlays / overlay_name(result.path)
        try:
            target.write_bytes(result.prediction.overlay)
        except OSError as fault:
            raise SetupError(
                "inference.cannot_write", path=target, reason=fault.strerror
            ) from fault
        fields["overlay_file"] = str(target)
    return fields


def _json_writer(stream: TextIO) -> Any:
    def write(fields: dict[str, Any]) -> None:
        stream.write(json.dumps(fields) + "\n")

    return write


def _csv_writer(stream: TextIO) -> Any:
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()

    def write(fields: dict[str, Any]) -> None:
        region, error = fields.get("region") or {}, fields.get("error") or {}
        peak = fields.get("peak") or (None, None)
        row = {name: fields[name] for name in COLUMNS if name in fields}
        value = fields.get("predictive_value") or {}
        row |= {"predictive_value": value.get("value"), "prevalence": value.get("prevalence")}
        row |= {f"predictive_value_{end}": value.get(end) for end in ("low", "high")}
        row |= {name: fields.get("image", {}).get(name) for name in ("width", "height", "format")}
        row |= {name: fields.get("model", {}).get(name) for name in ("architecture", "sha256")}
        row |= {"region": region.get("label"), "region_probability": region.get("probability")}
        row |= {"peak_x": peak[0], "peak_y": peak[1]}
        boxes = fields.get("boxes")
        row["boxes"] = None if boxes is None else json.dumps(boxes)
        row |= {"error_code": error.get("code"), "error_message": error.get("message")}
        row["warnings"] = " ".join(warning["code"] for warning in fields.get("warnings", ()))
        writer.writerow(row)

    return write


if __name__ == "__main__":
    run(main)
