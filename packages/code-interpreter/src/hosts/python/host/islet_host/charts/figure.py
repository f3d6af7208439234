"""The chart of a figure: one for each axes."""

from matplotlib.collections import PathCollection
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle, Wedge
from matplotlib.text import Text

from . import bars, boxes, points, wedges
from .axis import labels_of


def chart_of(figure):
    """The chart of a figure's axes, a superchart if it has several, an empty dict if it has none."""
    charts = [_chart_of_axes(axes) for axes in figure.axes if axes.get_label() != "<colorbar>"]
    if not charts:
        return {}
    if len(charts) == 1:
        return charts[0]
    return {"type": "superchart", "title": figure.get_suptitle() or None, "elements": charts}


def _chart_of_axes(axes):
    artists = [artist for artist in axes._children if not isinstance(artist, Text) and not _is_guide(axes, artist)]
    title = axes.get_title() or None

    def consists_of(*kinds):
        return all(isinstance(artist, kinds) for artist in artists)

    if consists_of(Line2D):
        return {"type": "line", "title": title, **points.details(axes), "elements": points.of_lines(axes, artists)}
    if consists_of(PathPatch, Line2D):
        return {"type": "box_and_whisker", "title": title, **labels_of(axes), "elements": boxes.of(axes, artists)}
    if consists_of(PathCollection):
        return {"type": "scatter", "title": title, **points.details(axes), "elements": points.of_collections(axes, artists)}
    if consists_of(Wedge):
        return {"type": "pie", "title": title, "elements": wedges.of(artists)}
    if consists_of(Rectangle):
        return {"type": "bar", "title": title, **labels_of(axes), "elements": bars.of(axes, artists)}
    return {"type": "unknown", "title": title, "elements": []}


def _is_guide(axes, artist):
    """Lines of a grid, and others that cross the whole axes whatever the data are (`axhline`)."""
    return isinstance(artist, Line2D) and artist.get_transform() != axes.transData
