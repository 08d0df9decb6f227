"""How something grows: the exponent of measured points, and a plot of them as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

__all__ = ["Curve", "plot"]

_NOISE = 0.01  # seconds: what a size adds must be more
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _RIGHT, _TOP = 760, 420, 60, 40, 210, 16
_COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#000000",
    "#999999",
    "#7f3c8d",
    "#11a579",
)


@dataclass(kw_only=True)
class Curve:
    """What one command takes at several sizes.

    :param unit: of the sizes. `base`: seconds without any; they are not growth.
    :param points: (size, processor seconds, megabytes of the largest process).
    """

    name: str
    unit: str
    base: float
    points: list[tuple[int, float, float]] = field(default_factory=list)

    @property
    def exponent(self) -> float | None:
        """The slope of the seconds that the sizes add, by least squares in log-log; `None` below three points."""
        added = [(math.log(size), math.log(each - self.base)) for size, each, _ in self.points if self._counts(each)]
        if len(added) < 3:
            return None
        middle = [sum(values) / len(added) for values in zip(*added, strict=True)]
        spread = sum((x - middle[0]) ** 2 for x, _ in added)
        slope: float = sum((x - middle[0]) * (y - middle[1]) for x, y in added) / spread
        return slope

    @property
    def each(self) -> float:
        """Seconds that one more of the unit adds, at the largest size."""
        size, seconds, _ = self.points[-1]
        return (seconds - self.base) / size

    def _counts(self, seconds: float) -> bool:
        return seconds - self.base > _NOISE


def plot(curves: Sequence[Curve]) -> str:
    """An SVG with both axes logarithmic: sizes, and processor seconds."""
    sizes = [size for curve in curves for size, _, _ in curve.points]
    seconds = [each for curve in curves for _, each, _ in curve.points]
    x_first, x_last = math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes)))
    y_first, y_last = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))

    def x(size: float) -> float:
        return _LEFT + (math.log10(size) - x_first) / (x_last - x_first) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (math.log10(value) - y_first) / (y_last - y_first) * (_HEIGHT - _BOTTOM - _TOP)

    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
    parts = [f'{head} font-size="12">', '<rect width="100%" height="100%" fill="#fff"/>']
    for power in range(x_first, x_last + 1):
        at = f"{x(10.0**power):.0f}"
        parts.append(f'<path d="M{at} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text x="{at}" y="{_HEIGHT - 22}" text-anchor="middle">{10**power:,}</text>')
    for power in range(y_first, y_last + 1):
        at = f"{y(10.0**power):.0f}"
        parts.append(f'<path d="M{_LEFT} {at}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{at}" text-anchor="end" dy="4">{10.0**power:g} s</text>')
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">files, packages or wheels; processor seconds</text>')
    for number, curve in enumerate(curves):
        colour = _COLOURS[number % len(_COLOURS)]
        line = " ".join(f"{x(size):.0f},{y(each):.0f}" for size, each, _ in curve.points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        exponent = "" if curve.exponent is None else f" ({curve.exponent:.2f})"
        label = escape(f"{curve.name}{exponent}")
        row = _TOP + 14 + number * 20
        parts.append(f'<path d="M{_WIDTH - _RIGHT + 10} {row - 4}h18" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{_WIDTH - _RIGHT + 34}" y="{row}">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])
