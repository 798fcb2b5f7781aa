"""Turns a command's function into an exit code: faults as one line on stderr, never a traceback.

Exit codes: 0 done, 2 the input or a flag is at fault, 3 the setup is, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from utils.errors import FractureError, InputError

DONE, INPUT_FAULT, SETUP_FAULT, INTERRUPTED = 0, 2, 3, 130


class Parser(argparse.ArgumentParser):
    """An argument parser whose faults are one line that names the choices."""

    def __init__(self, description: str | None) -> None:
        super().__init__(
            description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )

    def error(self, message: str) -> NoReturn:
        """Exit with the input's code after one line on stderr."""
        self.exit(INPUT_FAULT, f"{self.prog}: {message} (see --help)\n")

    def add_dataset(self, layouts: Iterable[str]) -> None:
        """Add the flags that say which images are meant; ``layouts`` are the names of the readers."""
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
    """Return the type of a flag that takes a whole number of at least ``least``."""

    def convert(text: str) -> int:
        if not (text.isdecimal() and text.isascii()) or not least <= int(text) < 2**31:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return int(text)

    return convert


def run(command: Callable[[], int]) -> NoReturn:
    """Run a command and exit with what became of it."""
    quieten()
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
        # What was interrupted while it was made, a progress bar say, complains when it is taken apart.
        sys.unraisablehook = lambda _: None
        code = INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    except OSError as error:
        # A full disk, a folder without permission: the machine is at fault, not the code.
        print(f"{program}: {error}", file=sys.stderr)
        code = SETUP_FAULT
    sys.exit(code)


def quieten() -> None:
    """Keep the chatter of TensorFlow, absl and pydicom off the terminal; what matters is raised as well."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
