"""Pies."""

from .numbers import rounded


def of(wedges):
    """Angles in degrees."""
    return [
        {"label": str(wedge.get_label()), "angle": rounded(abs(wedge.theta2 - wedge.theta1)), "radius": rounded(wedge.r)}
        for wedge in wedges
    ]
