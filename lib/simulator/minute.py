"""The path inside one minute: straight lines from open over the nearer extreme and the other one to close.

A rising minute visits its low first, a falling one its high. Lines between the four vertices take a third each.
"""

from __future__ import annotations

Vertices = tuple[float, float, float, float]


def value_at(vertices: Vertices, elapsed: int, width: int = 60_000) -> float:
    """Return the value `elapsed` milliseconds into a span of `width` milliseconds."""
    position = elapsed * 3 / width
    leg = min(2, int(position))
    share = position - leg
    if share == 0.0:
        return vertices[leg]
    if share == 1.0:
        return vertices[leg + 1]
    return vertices[leg] + (vertices[leg + 1] - vertices[leg]) * share


def span_extremes(vertices: Vertices, start: int, end: int, width: int = 60_000) -> tuple[float, float, float, float]:
    """Return first, highest, lowest and last value of [start, end] (milliseconds into the span)."""
    first, last = value_at(vertices, start, width), value_at(vertices, end, width)
    inside = [vertices[leg] for leg in (1, 2) if start * 3 < leg * width < end * 3]
    return first, max(first, last, *inside), min(first, last, *inside), last
