"""Drawings of the explanation as SVG text, which a page carries in itself and shows in its own colours."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from centernet.experiment.explain.findings import ClassFindings
from centernet.metrics.operating_points import RECALLS
from centernet.structures import Array

WIDTH, HEIGHT, LEFT, BELOW, ABOVE = 640, 400, 44, 40, 12  # of the large drawing, and its margins
NAMED = 12  # classes whose curves have colours of their own; more cannot be told apart
TURN = 137.508  # degrees between the hues of neighbours: far apart, however many there are


def curves(classes: Sequence[ClassFindings]) -> str:
    """Precision over recall of each class with objects, their mean, and where each is best cut."""
    shown = [one for one in classes if one.num_objects]
    if not shown:
        return "<p>No class has objects.</p>"
    parts = [_axes()]
    for i, one in enumerate(shown):
        color = f"hsl({i * TURN % 360:.0f} 65% 50%)" if len(shown) <= NAMED else "var(--faint)"
        name = escape(one.name)
        parts.append(f'<polyline points="{_points(np.array(one.precision))}" stroke="{color}"><title>{name}</title></polyline>')
        if one.point is not None:
            x, y = _place(one.point.recall, one.point.precision)
            told = f"{name}: F1 {one.point.f1:.3f} at score {one.threshold:g}"
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}"><title>{told}</title></circle>')
    mean = np.mean([one.precision for one in shown], axis=0)
    parts.append(f'<polyline class="mean" points="{_points(mean)}"><title>mean of the classes</title></polyline>')
    drawing = f'<svg class="curves" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Precision over recall">{"".join(parts)}</svg>'
    return drawing + _legend(shown)


def small_curve(one: ClassFindings) -> str:
    """A class's curve, small enough for a cell of a table."""
    if not one.num_objects:
        return ""
    places = " ".join(f"{recall * 80:.1f},{30 - 28 * level:.1f}" for recall, level in zip(RECALLS[::4], one.precision[::4], strict=True))
    point = "" if one.point is None else f'<circle cx="{one.point.recall * 80:.1f}" cy="{30 - 28 * one.point.precision:.1f}" r="2.5"/>'
    return f'<svg class="small" viewBox="-3 -2 86 34" aria-hidden="true"><path d="M0 0V30H80"/><polyline points="{places}"/>{point}</svg>'


def _legend(shown: Sequence[ClassFindings]) -> str:
    mean = '<span><i style="background:var(--ink)"></i>mean of the classes</span>'
    if len(shown) > NAMED:
        return f'<p class="legend">{mean}<span><i style="background:var(--faint)"></i>each class (point at it)</span></p>'
    named = [f'<span><i style="background:hsl({i * TURN % 360:.0f} 65% 50%)"></i>{escape(one.name)}</span>' for i, one in enumerate(shown)]
    return f'<p class="legend">{mean}{"".join(named)}</p>'


def _axes() -> str:
    lines, words = [], []
    for tenth in range(0, 11, 2):
        x, y = _place(tenth / 10, tenth / 10)
        lines.append(f"M{LEFT} {y:.1f}H{WIDTH - 12}M{x:.1f} {ABOVE}V{HEIGHT - BELOW}")
        words.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tenth / 10:g}</text>')
        words.append(f'<text x="{x:.1f}" y="{HEIGHT - BELOW + 16}" text-anchor="middle">{tenth / 10:g}</text>')
    middle = (ABOVE + HEIGHT - BELOW) / 2
    words.append(f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">recall</text>')
    words.append(f'<text transform="translate(12 {middle:.0f}) rotate(-90)" text-anchor="middle">precision</text>')
    return f'<path class="grid" d="{"".join(lines)}"/>{"".join(words)}'


def _points(precision: Array) -> str:
    reached = len(precision) if precision.all() else int(np.argmin(precision > 0)) + 1  # down to the axis, and no further
    places = [_place(recall, level) for recall, level in zip(RECALLS[:reached], precision[:reached], strict=True)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _place(recall: float, precision: float) -> tuple[float, float]:
    return LEFT + recall * (WIDTH - LEFT - 12), HEIGHT - BELOW - precision * (HEIGHT - BELOW - ABOVE)
