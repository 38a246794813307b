"""Two kinds of plots as SVG: points on logarithmic axes, and steps over the hours of a night."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 50, 60
COLOURS = ("#0b57d0", "#b3261e", "#146c2e", "#8e5b00", "#5f6368")

_STYLE = (
    "text{font:13px sans-serif;fill:#5f6368}.title{font-size:16px;font-weight:bold}.axis{stroke:#9aa0a6}"
    ".grid{stroke:#9aa0a6;stroke-opacity:.3}"
)
"""Greys that can be read on white and on a dark page alike."""


@dataclass(frozen=True, slots=True)
class Point:
    """A labelled point.

    Attributes:
        x: To the right, above 0.
        y: Upwards, above 0.
        label: Beside it.
        colour: One of `COLOURS`, by its number.
        left: Whether the label is on its left.
        raised: How many pixels the label is moved upwards, away from another one.
    """

    x: float
    y: float
    label: str
    colour: int = 4
    left: bool = False
    raised: int = 0


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis from its least to its largest value.

    Attributes:
        title: What it counts, and in what unit.
        low: Where it begins.
        high: Where it ends.
        ticks: The values that are marked, with their texts.
        logarithmic: Whether equal distances are equal ratios.
    """

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    logarithmic: bool = False

    def part(self, value: float) -> float:
        """How far along a value is, from 0 to 1."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def points(title: str, x: Axis, y: Axis, marks: Iterable[Point], curves: Iterable[tuple[str, Sequence[Point]]]) -> str:
    """Labelled points, and curves that are named at their last point."""
    body = []
    for name, curve in curves:
        body.append(_line(x, y, curve, "#9aa0a6", dashed=True))
        at_x, at_y = _x(x, curve[-1].x) - 8, _y(y, curve[-1].y)
        body.append(f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="end">{escape(name)}</text>')
    for mark in marks:
        at_x, at_y = _x(x, mark.x), _y(y, mark.y)
        colour = COLOURS[mark.colour]
        anchor, text_x = ("end", at_x - 8) if mark.left else ("start", at_x + 8)
        body.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="5" fill="{colour}"/>')
        body.append(
            f'<text x="{text_x:.1f}" y="{at_y + 4 - mark.raised:.1f}" text-anchor="{anchor}" style="fill:{colour}">'
            f"{escape(mark.label)}</text>"
        )
    return _frame(title, x, y, body)


def steps(title: str, x: Axis, y: Axis, lines: Sequence[tuple[str, Sequence[Point]]]) -> str:
    """Lines, each with its name in the legend."""
    body = []
    for number, (name, line) in enumerate(lines):
        body.append(_line(x, y, line, COLOURS[number]))
        legend_y = TOP + 18 + 18 * number
        body.append(
            f'<text x="{WIDTH - RIGHT - 8}" y="{legend_y}" text-anchor="end" style="fill:{COLOURS[number]}">'
            f"{escape(name)}</text>"
        )
    return _frame(title, x, y, body)


def _line(x: Axis, y: Axis, line: Sequence[Point], colour: str, *, dashed: bool = False) -> str:
    path = " ".join(f"{_x(x, point.x):.1f},{_y(y, point.y):.1f}" for point in line)
    dash = ' stroke-dasharray="5 5"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'


def _frame(title: str, x: Axis, y: Axis, body: Iterable[str]) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="26">{escape(title)}</text>',
    ]
    for value, text in x.ticks:
        at = _x(x, value)
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{bottom}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 20}" text-anchor="middle">{escape(text)}</text>')
    for value, text in y.ticks:
        at = _y(y, value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    parts += [
        f'<line class="axis" x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}"/>',
        f'<line class="axis" x1="{LEFT}" y1="{TOP}" x2="{LEFT}" y2="{bottom}"/>',
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x.title)}</text>',
        (
            f'<text x="18" y="{(TOP + bottom) / 2}" text-anchor="middle" '
            f'transform="rotate(-90 18 {(TOP + bottom) / 2})">{escape(y.title)}</text>'
        ),
        *body,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.part(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.part(value) * (HEIGHT - TOP - BOTTOM)
