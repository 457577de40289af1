"""Distances between central points."""

from __future__ import annotations

import math

# Mean radius of the Earth, IUGG; within 0.5 % of the ellipsoid, far below a centroid's error.
EARTH_KM = 6371.0088


def haversine_km(
    longitude: float, latitude: float, other_longitude: float, other_latitude: float
) -> float:
    """Great-circle distance in kilometres between two points in degrees (WGS 84)."""
    phi, psi = math.radians(latitude), math.radians(other_latitude)
    half_phi = math.sin((psi - phi) / 2)
    half_lambda = math.sin(math.radians(other_longitude - longitude) / 2)
    chord = half_phi**2 + math.cos(phi) * math.cos(psi) * half_lambda**2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, chord)))
