"""Answers to out-of-distribution samples: folders of pictures that are no supported radiographs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from utils.errors import InputError
from utils.evaluation.report_schema import CertaintyCounts, OODFolderRecord
from utils.evaluation.scored_images import Evaluation
from utils.inference.input_warnings import ANSWER_CODES, CERTAINTIES, certainty_of
from utils.inference.predictor import Predictor
from utils.inference.runners.local import FileResult, find_files, predict_files
from utils.model.bundle import Bundle


@dataclass(frozen=True)
class OODFolder:
    """A folder of out-of-distribution samples: its name, and one or more files below it."""

    name: str
    files: tuple[Path, ...]


def find_ood_folders(folders: Sequence[Path]) -> tuple[OODFolder, ...]:
    """List the images of some folders.

    Raises:
        InputError: a folder is missing, is a file, or holds no image.
    """
    return tuple(_list_images(folder) for folder in folders)


def evaluate_ood(
    evaluation: Evaluation,
    predictor: Predictor,
    folders: Sequence[OODFolder],
    *,
    batch_size: int = 16,
    progress: bool = False,
) -> Evaluation:
    """Answer out-of-distribution samples as ``predict.py`` does, and add the counts to an evaluation.

    Args:
        evaluation: of the same model. Its decision, which may be a recalibrated one, determines which
            answers are doubtful.
        predictor: the loaded model.
        folders: as ``find_ood_folders`` lists them.
        batch_size: images a forward pass.
        progress: show a bar on stderr.

    Returns:
        The evaluation with ``report.ood_folders``, a record a folder.
    """
    from tqdm import tqdm

    total = sum(len(folder.files) for folder in folders)
    with tqdm(total=total, desc="OOD samples", unit="image", disable=not progress) as bar:

        def count(folder: OODFolder) -> OODFolderRecord:
            results = []
            for result in predict_files(predictor, folder.files, batch_size=batch_size):
                bar.update()
                results.append(result)
            return _counted(folder.name, results, evaluation.bundle)

        records = tuple(count(folder) for folder in folders)
    report = evaluation.report.model_copy(update={"ood_folders": records})
    return replace(evaluation, report=report)


def _list_images(folder: Path) -> OODFolder:
    """List the images of one folder, or raise InputError where there are none."""
    if not folder.is_dir():
        fault = "ood_file" if folder.is_file() else "no_ood_folder"
        raise InputError(f"evaluation.{fault}", folder=folder)
    files = find_files([folder])
    if files == [folder]:
        raise InputError("evaluation.no_ood_image", folder=folder)
    return OODFolder(folder.resolve().name, tuple(files))


def _counted(name: str, results: Iterable[FileResult], bundle: Bundle) -> OODFolderRecord:
    """Count the results of the files of one folder by certainty and warnings."""
    certainty = Counter(dict.fromkeys(CERTAINTIES, 0))
    warnings = Counter(dict.fromkeys(ANSWER_CODES, 0))
    pictures = refused = without_warning = 0
    for result in results:
        if result.prediction is None:
            refused += 1
            continue
        codes = {warning.code for warning in result.prediction.warnings}
        probability = bundle.calibration.probability(result.prediction.logit)
        pictures += 1
        certainty[certainty_of(probability, bundle.doubt, codes)] += 1
        warnings.update(codes)
        without_warning += not codes
    return OODFolderRecord(
        folder=name,
        pictures=pictures,
        refused=refused,
        certainty=CertaintyCounts(**certainty),
        warnings=dict(warnings),
        without_warning=without_warning,
    )
