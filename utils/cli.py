"""Command lines of the root scripts: flags, one-line errors on stderr, exit codes.

Exit codes: 0 done, 2 the input or a flag is at fault, 3 the setup is, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from utils.errors import FractureError, InputError

DONE, INPUT_FAULT, SETUP_FAULT, INTERRUPTED = 0, 2, 3, 130


class Parser(argparse.ArgumentParser):
    """Argument parser whose errors are one line that names the choices."""

    def __init__(self, description: str | None) -> None:
        super().__init__(
            description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )

    def error(self, message: str) -> NoReturn:
        """Exit with INPUT_FAULT after one line on stderr."""
        self.exit(INPUT_FAULT, f"{self.prog}: {message} (see --help)\n")

    def add_dataset(self, layouts: Iterable[str]) -> None:
        """Add the flags of a dataset; ``layouts`` are the names of the dataset readers."""
        self.add_argument("--data", type=Path, default=Path("data"), help="the dataset's folder")
        self.add_argument(
            "--dataset", default="auto", help=f"its layout: auto, {', '.join(layouts)}"
        )
        self.add_argument(
            "--region",
            nargs="+",
            default=[],
            metavar="PART",
            help="body parts to keep; all if not given",
        )


def whole_number(least: int) -> Callable[[str], int]:
    """Return the argparse type of a whole number of at least ``least``."""

    def convert(text: str) -> int:
        if not (text.isdecimal() and text.isascii()) or not least <= int(text) < 2**31:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return convert


def number(least: float, most: float, description: str) -> Callable[[str], float]:
    """Return the argparse type of a number from ``least`` to ``most``, described in its error."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not {description}")
        return value

    return convert


# Of neither end: the first and the last float between 0 and 1.
share = number(math.ulp(0.0), math.nextafter(1.0, 0.0), "a number above 0 and below 1")


def run(command: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its code, or with that of the error it raised."""
    _quiet_libraries()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    program = Path(sys.argv[0]).name
    try:
        code = command()
        sys.stdout.flush()
    except FractureError as error:
        print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
        code = INPUT_FAULT if isinstance(error, InputError) else SETUP_FAULT
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        # A half-constructed object, a progress bar say, may raise once more in its destructor.
        sys.unraisablehook = lambda _: None
        code = INTERRUPTED
    except BrokenPipeError:
        # The process that read our output has ended; without this Python reports it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    except OSError as error:
        # A full disk, a folder without permission.
        print(f"{program}: {error}", file=sys.stderr)
        code = SETUP_FAULT
    sys.exit(code)


def _quiet_libraries() -> None:
    """Keep log lines of TensorFlow, absl and pydicom off the terminal; what matters is raised as well."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
