"""From folders of pictures that are no supported radiographs to how the model answered them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.evaluation.evaluate import Evaluation
from utils.inference.certainty import CERTAINTIES, certainty_of
from utils.inference.predictor import Predictor
from utils.inference.runners.local import Answer, find_files, predict_files
from utils.model.bundle import Bundle
from utils.model.ood import CODES


@dataclass(frozen=True)
class OODFolder:
    """A folder of pictures that the model should doubt.

    Args:
        name: its own, without those of the folders around it.
        files: those below it that may be images, as ``scoring.find_files`` lists them; one or more.
    """

    name: str
    files: tuple[Path, ...]


def find_ood_folders(folders: Sequence[Path]) -> tuple[OODFolder, ...]:
    """List the pictures of some folders.

    Raises:
        InputError: a folder is missing, is a file, or holds no image.
    """
    return tuple(_strange_folder(folder) for folder in folders)


def evaluate_ood(
    evaluation: Evaluation,
    reader: Predictor,
    folders: Sequence[OODFolder],
    *,
    batch_size: int = 16,
    progress: bool = False,
) -> Evaluation:
    """Answer pictures as ``predict.py`` does, and add to an evaluation what was said of them.

    Args:
        evaluation: of the same model. Its decision, which may be a local one, says which answers are
            doubtful.
        reader: the loaded model.
        folders: as ``find_ood_folders`` lists them.
        batch_size: images a forward pass.
        progress: show a bar on stderr.

    Returns:
        The evaluation with ``report["strangers"]``, a record a folder: its name (``folder``), the files
        answered (``pictures``) and those that an error answers instead (``refused``); of the pictures,
        how many answers are of each of CERTAINTIES (``certainty``), how many carry each of CODES and any
        other warning (``warnings``), and how many carry none (``without_warning``).
    """
    from tqdm import tqdm

    total = sum(len(folder.files) for folder in folders)
    with tqdm(total=total, desc="strangers", unit="image", disable=not progress) as bar:

        def answers(files: Iterable[Path]) -> Iterator[Answer]:
            for answer in predict_files(reader, files, batch_size=batch_size):
                bar.update()
                yield answer

        told = [
            {"folder": folder.name, **_counted(answers(folder.files), evaluation.bundle)}
            for folder in folders
        ]
    return replace(evaluation, report={**evaluation.report, "strangers": told})


def _strange_folder(folder: Path) -> OODFolder:
    """List the pictures of one folder, or raise InputError where there are none."""
    if not folder.is_dir():
        found = f"{folder} is a file" if folder.is_file() else f"there is no folder {folder}"
        raise InputError(f"{found}; give folders of pictures that are no supported radiographs")
    files = find_files([folder])
    if files == [folder]:
        raise InputError(f"there is no image in the folder {folder}; give folders of pictures")
    return OODFolder(folder.resolve().name, tuple(files))


def _counted(answers: Iterable[Answer], bundle: Bundle) -> dict[str, Any]:
    """Count what is said in the answers of one folder, see ``evaluate_ood``."""
    certainty = Counter(dict.fromkeys(CERTAINTIES, 0))
    warnings = Counter(dict.fromkeys(CODES, 0))
    pictures = refused = without_warning = 0
    for answer in answers:
        if answer.reading is None:
            refused += 1
            continue
        codes = {notice.code for notice in answer.reading.warnings}
        probability = bundle.calibration.probability(answer.reading.logit)
        pictures += 1
        certainty[certainty_of(probability, bundle.doubt, codes)] += 1
        warnings.update(codes)
        without_warning += not codes
    return {
        "pictures": pictures,
        "refused": refused,
        "certainty": dict(certainty),
        "warnings": dict(warnings),
        "without_warning": without_warning,
    }
