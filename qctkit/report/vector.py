"""Figures as SVG inside a page, whose colours follow the page's light or dark theme."""

import html
import io
import re
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

INK, MUTED, LINE = "#0a0b0c", "#7a7b7c", "#dadbdc"
"""Colours that stand for the page's own."""

REAL, MADE, THIRD = "#1b6c7a", "#b3402a", "#6b5aa8"

THEME = {INK: "--ink", MUTED: "--muted", LINE: "--line", REAL: "--real", MADE: "--made",
         THIRD: "--third"}  # fmt: skip

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "qctkit",
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.labelcolor": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.linewidth": 1.6,
}


def as_svg(figure: Figure, words: str) -> str:
    """Return a figure as an ``<svg>`` element, described in words for those who cannot see it.

    The figure must be drawn within ``mpl.rc_context(STYLE)``, as ``drawn`` of the charts does.
    """
    stream = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Groups are named figure_1, axes_1, ... in every figure: names that a page may hold only once.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"\d+(?:\.\d+)?(?:px|pt) 'DejaVu Sans'[^;\"]*", _font, text)
    for colour, variable in THEME.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
    label = f'<svg role="img" aria-label="{html.escape(words)}"'
    return text.replace("<svg", label, 1)


def _font(found: re.Match[str]) -> str:
    return f"{found.group(0).split()[0]} system-ui, sans-serif"
