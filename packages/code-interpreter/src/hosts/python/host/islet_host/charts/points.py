"""Charts of points: lines and scatters."""

import re

import numpy

from .axis import AxisScale, labels_of


def details(axes):
    """Labels, scales and ticks of both axes."""
    x, y = AxisScale(axes.xaxis), AxisScale(axes.yaxis)
    (x_ticks, x_texts), (y_ticks, y_texts) = x.ticks(), y.ticks()
    return {
        **labels_of(axes),
        "x_ticks": x_ticks,
        "x_tick_labels": x_texts,
        "x_scale": x.name,
        "y_ticks": y_ticks,
        "y_tick_labels": y_texts,
        "y_scale": y.name,
    }


def of_lines(axes, lines):
    return [
        {
            "label": _label(line, "Line", position),
            "points": _points(axes, line.get_xdata(orig=False), line.get_ydata(orig=False), line),
        }
        for position, line in enumerate(lines)
    ]


def of_collections(axes, collections):
    elements = []
    for position, collection in enumerate(collections):
        offsets = numpy.ma.getdata(collection.get_offsets())
        label = _label(collection, "Group", position)
        elements.append({"label": label, "points": _points(axes, offsets[:, 0], offsets[:, 1])})
    return elements


def _points(axes, xs, ys, line=None):
    x_values = AxisScale(axes.xaxis).values(numpy.asarray(xs), line.get_xdata(orig=True) if line else ())
    y_values = AxisScale(axes.yaxis).values(numpy.asarray(ys), line.get_ydata(orig=True) if line else ())
    return [[x, y] for x, y in zip(x_values, y_values)]


def _label(artist, kind, position):
    """Matplotlib numbers what has no name, and begins what is no name with a line."""
    label = str(artist.get_label())
    unnamed = re.fullmatch(r"_child(\d+)", label)
    if unnamed:
        return f"{kind} {unnamed.group(1)}"
    return f"{kind} {position}" if label.startswith("_") else label
