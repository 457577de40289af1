"""Campaigns and releases from a notebook: `from jobs.client import Campaigns`.

grid = Campaigns("https://grille.example", ca="ca.pem")   # token: a file or the environment
grid.list()
run = grid.wait("camp_68k2yank", progress=print)
release = grid.release(run.campaign)
release["flows"], release.band("flows"), release.provenance
"""

from jobs.client.campaigns import Campaign, Campaigns, Listed
from jobs.client.errors import GridError, GridRefused
from jobs.client.release import Release

__all__ = ["Campaign", "Campaigns", "GridError", "GridRefused", "Listed", "Release"]
