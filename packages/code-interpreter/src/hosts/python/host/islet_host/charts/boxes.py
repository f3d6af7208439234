"""Boxes with whiskers, upright or lying: read from where their parts are."""

from matplotlib.patches import PathPatch

from .axis import AxisScale
from .numbers import rounded

_CLOSE = 1e-9


def of(axes, artists):
    """An element for each box. Lines belong to the box whose middle they lie on."""
    boxes = [artist for artist in artists if isinstance(artist, PathPatch)]
    lines = [artist.get_xydata() for artist in artists if not isinstance(artist, PathPatch)]
    lines = [line for line in lines if len(line)]
    turned = [line[:, ::-1] for line in lines]
    standing = sum(len(_whiskers(_extent(box, 1), lines)) for box in boxes)
    lying = sum(len(_whiskers(_extent(box, 0), turned)) for box in boxes)
    upright = standing >= lying
    along, lines = (1, lines) if upright else (0, turned)
    scale = AxisScale(axes.xaxis if upright else axes.yaxis)
    return [_element(scale, _extent(box, along), lines) for box in boxes]


def _extent(box, along):
    """(middle across, lower quartile, upper quartile, half of the width) of a box that stands along an axis."""
    vertices = box.get_path().vertices
    across = vertices[:, 1 - along]
    values = vertices[:, along]
    return (across.min() + across.max()) / 2, values.min(), values.max(), (across.max() - across.min()) / 2


def _whiskers(extent, lines):
    """Lines of two points that begin at a quartile and lead away from it, over the middle of the box."""
    middle, lower, upper, _ = extent
    return [
        line
        for line in lines
        if len(line) == 2
        and all(_same(x, middle) for x in line[:, 0])
        and (_leads(line, lower, -1) or _leads(line, upper, 1))
    ]


def _leads(line, start, direction):
    return _same(line[0, 1], start) and (line[1, 1] - start) * direction >= -_CLOSE


def _element(scale, extent, lines):
    middle, lower, upper, half_width = extent
    ends = [line[1, 1] for line in _whiskers(extent, lines)] + [lower, upper]
    smallest, largest = min(ends), max(ends)
    medians = [
        line[0, 1]
        for line in lines
        if len(line) == 2
        and _same(line[0, 1], line[1, 1])
        and _same(abs(line[1, 0] - line[0, 0]) / 2, half_width)
        and _same((line[0, 0] + line[1, 0]) / 2, middle)
        and lower <= line[0, 1] <= upper
    ]
    outliers = [
        rounded(y)
        for line in lines
        for x, y in line
        if all(_same(x, middle) for x in line[:, 0]) and not smallest <= y <= largest
    ]
    return {
        "label": scale.name_at(middle),
        "min": rounded(smallest),
        "first_quartile": rounded(lower),
        "median": rounded(medians[0]) if medians else None,
        "third_quartile": rounded(upper),
        "max": rounded(largest),
        "outliers": outliers,
    }


def _same(one, other):
    return abs(one - other) <= _CLOSE * max(1.0, abs(one), abs(other))
