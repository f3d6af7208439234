"""Charts of bars, upright or lying."""

import re

from matplotlib.container import BarContainer

from .axis import AxisScale
from .numbers import rounded


def of(axes, rectangles):
    """An element for each bar; those that were drawn together are a group."""
    elements = []
    known = set()
    for container in axes.containers:
        if isinstance(container, BarContainer):
            known.update(map(id, container.patches))
            upright = getattr(container, "orientation", None) != "horizontal"
            elements += _bars(axes, container.patches, _group(container.get_label()), upright)
    # Drawn one by one, nothing says which way they go, but for the side that they all share.
    single = [rectangle for rectangle in rectangles if id(rectangle) not in known]
    lying = len(single) > 1 and len({rectangle.get_height() for rectangle in single}) == 1
    return elements + _bars(axes, single, "Group 0", not lying)


def _bars(axes, rectangles, group, upright):
    scale = AxisScale(axes.xaxis if upright else axes.yaxis)
    elements = []
    for bar in rectangles:
        if upright:
            position, value = bar.get_x() + bar.get_width() / 2, bar.get_height()
        else:
            position, value = bar.get_y() + bar.get_height() / 2, bar.get_width()
        elements.append({"label": scale.name_at(position), "group": group, "value": rounded(value)})
    return elements


def _group(label):
    """Matplotlib numbers what has no name."""
    unnamed = re.fullmatch(r"_container(\d+)", str(label))
    return f"Group {unnamed.group(1)}" if unnamed else str(label)
