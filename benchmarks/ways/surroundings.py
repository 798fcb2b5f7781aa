"""Ways that set the radiograph into a larger picture: borders, pages, screenshots."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.ways.files import jpeg, to_bytes
from benchmarks.ways.way import Change, Way

KIND = "surroundings"


def write(picture: np.ndarray, text: str, place: tuple[int, int], scale: float, ink: int) -> None:
    """Write a line of text into a picture."""
    colour = (ink,) * 3 if picture.ndim == 3 else (ink,)
    thickness = max(1, round(scale * 2))
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(picture, text, place, font, scale, colour, thickness, cv2.LINE_AA)


def inset(grey: np.ndarray, canvas: np.ndarray, top: int, left: int) -> np.ndarray:
    """Return the canvas with the radiograph in it."""
    height, width = grey.shape
    canvas[top : top + height, left : left + width] = grey if canvas.ndim == 2 else grey[..., None]
    return canvas


def in_noise(level: float, deviation: float, times: float) -> Change:
    """Return the inset into the middle of Gaussian noise, ``times`` the height and width."""

    def change(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
        height, width = grey.shape
        shape = (round(height * times), round(width * times))
        noise = level + deviation * random.standard_normal(shape, np.float32)
        return inset(grey, to_bytes(noise), (shape[0] - height) // 2, (shape[1] - width) // 2)

    return change


def in_gradient(low: float, high: float) -> Change:
    """Return the inset into a grey gradient, twice the height and width."""

    def change(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
        height, width = grey.shape
        slope = np.add.outer(np.linspace(low, high, 2 * height), np.linspace(0, 80, 2 * width))
        return inset(grey, to_bytes(slope), height // 2, width // 3)

    return change


def in_plain_border(level: int) -> Change:
    """Return the inset into one level, a third of the side all around."""
    return lambda grey, _: np.pad(
        grey, [(side // 3, side // 3) for side in grey.shape], constant_values=level
    )


def screenshot(ground: int, panel: int, ink: int, panels: int = 1) -> Change:
    """Return the inset into a viewer's window: title bar, side panels with text, status bar."""
    lines = ("Patient list", "12.03.2024", "Hand a.p.", "W 4096 L 2048", "Zoom 100 %", "Series 2/3")

    def change(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
        height, width = grey.shape
        rows, columns, scale = int(1.35 * height), int((1.6 + 0.3 * panels) * width), height / 700
        window = np.full((rows, columns, 3), ground, np.uint8)
        edge = columns // 5
        window[: rows // 20] = window[-rows // 30 :] = window[:, :edge] = panel
        if panels == 2:
            window[:, -edge:] = panel
        for number, line in enumerate((*lines, "Invert", "Rotate", "Measure")):
            for left in (8, columns - edge + 8)[:panels]:
                write(window, line, (left, int((90 + 60 * number) * scale)), 0.5 * scale, ink)
        return inset(grey, window, rows // 10, edge + columns // 16)

    return change


def phone_screenshot(level: int) -> Change:
    """Return the inset between the bars of a phone's screen, with a clock."""

    def change(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
        height, width = grey.shape
        bars = max(int(0.15 * height), (int(2.1 * width) - height) // 2)
        screen = np.pad(grey, ((bars, bars), (0, 0)), constant_values=level)
        place = (width // 12, max(12, bars // 3))
        write(screen, "12:41", place, width / 900, 255 - level)
        return screen

    return change


def on_page(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Set the radiograph below a few lines of text on white paper."""
    height, width = grey.shape
    page, scale = np.full((int(1.8 * height), int(1.3 * width)), 255, np.uint8), width / 500
    lines = ("Radiology report", "Name: ________", "Findings: see image below.", "No remarks.")
    for number, line in enumerate(lines):
        place = (int(20 * scale), int((40 + 35 * number) * scale))
        write(page, line, place, 0.7 * scale, 0)
    return inset(grey, page, int(0.55 * height), int(0.15 * width))


def on_desktop(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Set the radiograph as a window over a colourful desktop."""
    height, width = grey.shape
    size = (int(2.2 * width), int(1.7 * height))
    colours = to_bytes(random.uniform(30, 220, (6, 8, 3)))
    desktop = cv2.resize(colours, size, interpolation=cv2.INTER_CUBIC)
    top, left = int(0.3 * height), int(0.7 * width)
    desktop[max(0, top - 12) : top, left - 4 : left + width + 4] = 240
    return inset(grey, desktop, top, left)


def labelled(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Burn a side marker, a name and exposure values into the radiograph."""
    height, width = grey.shape
    burnt, scale = grey.copy(), min(height, width) / 400
    write(burnt, "L", (width // 20, height // 8), 1.4 * scale, 255)
    write(burnt, "DOE JANE 1970", (width // 30, height - height // 30), 0.6 * scale, 255)
    write(burnt, "120kV 4mAs", (width // 2, height // 16), 0.6 * scale, 255)
    return burnt


def annotated(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw a red arrow, a yellow ring and a green measure, as a colleague who asks does."""
    height, width = grey.shape
    picture, line = np.dstack([grey] * 3), max(2, min(grey.shape) // 150)
    start, end = (width // 8, height // 4), (width // 3, height // 3)
    cv2.arrowedLine(picture, start, end, (255, 40, 40), 2 * line, cv2.LINE_AA, tipLength=0.3)
    middle = (int(0.7 * width), int(0.75 * height))
    cv2.circle(picture, middle, width // 10, (255, 230, 0), line, cv2.LINE_AA)
    cv2.line(
        picture,
        (width // 10, height - height // 8),
        (width // 2, height - height // 7),
        (0, 220, 80),
        line,
    )
    return picture


def behind_shutter(round_one: bool) -> Change:
    """Return the change to black outside a slanted or an elliptic shutter."""

    def change(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
        height, width = grey.shape
        shutter = np.zeros_like(grey)
        middle, size = (width / 2, height / 2), (0.96 * width, 0.96 * height)
        if round_one:
            cv2.ellipse(shutter, (middle, (1.1 * width, 1.1 * height), 0.0), 1, -1)
        else:
            corners = cv2.boxPoints((middle, size, 6.0))
            cv2.fillPoly(shutter, [corners.astype(np.int32)], 1)
        return grey * shutter

    return change


def framed(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Draw a thin white frame and a grey margin around the radiograph."""
    line = np.pad(grey, 3, constant_values=255)
    margin = max(8, min(grey.shape) // 10)
    return np.pad(line, margin, constant_values=90)


WAYS = (
    Way(KIND, "border of faint noise, three times the size", in_noise(12, 6, 3), jpeg),
    Way(KIND, "border of fainter noise, twice the size", in_noise(4, 2, 2), jpeg),
    Way(KIND, "border of grey noise, twice the size", in_noise(128, 10, 2)),
    Way(KIND, "border of light noise, 1.5 times the size", in_noise(210, 20, 1.5), jpeg),
    Way(KIND, "border of strong noise, 1.5 times the size", in_noise(70, 40, 1.5), jpeg),
    Way(KIND, "in a grey gradient", in_gradient(20, 120)),
    Way(KIND, "in a dark gradient", in_gradient(0, 30)),
    Way(KIND, "in a light gradient", in_gradient(90, 170)),
    Way(KIND, "on a black page", in_plain_border(0)),
    Way(KIND, "on a grey page", in_plain_border(128)),
    Way(KIND, "on a white page", in_plain_border(255)),
    Way(KIND, "in a thin frame", framed),
    Way(KIND, "behind a slanted shutter", behind_shutter(False)),
    Way(KIND, "behind a round shutter", behind_shutter(True)),
    Way(KIND, "viewer's screenshot, dark", screenshot(30, 48, 200)),
    Way(KIND, "viewer's screenshot, light", screenshot(236, 210, 40)),
    Way(KIND, "viewer's screenshot, black, two panels", screenshot(0, 60, 220, 2), jpeg),
    Way(KIND, "phone's screenshot, black bars", phone_screenshot(0)),
    Way(KIND, "phone's screenshot, white bars", phone_screenshot(255), jpeg),
    Way(KIND, "on a page with text", on_page, jpeg),
    Way(KIND, "window on a desktop", on_desktop, jpeg),
    Way(KIND, "burnt-in labels", labelled),
    Way(KIND, "coloured annotations", annotated),
)
