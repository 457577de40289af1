"""The mapping files that the demo's owners use: their columns become a capsule's tables."""

from __future__ import annotations

from demo.survey import CLIPS, ZONES

COMMUTERS = f"""\
[capsule]
data_class = "personal"
unit = "owner"
one_per = "casenum"

# Zone numbers become nine equal bands, called "secteur 1..9" and never a place.
[tables.commute]
columns.home_sector.type = "integer"
columns.home_sector.bins = {{ column = "hmzone", equal_bands = 9, minimum = 1, maximum = {ZONES} }}
columns.work_sector.type = "integer"
columns.work_sector.bins = {{ column = "wkzone", equal_bands = 9, minimum = 1, maximum = {ZONES} }}
columns.mode = {{ type = "integer", from = "altnum" }}
columns.persons = {{ type = "integer", constant = 1 }}

[tables.travel]
columns.distance = {{ type = "real", from = "dist" }}
columns.time = {{ type = "real", from = "tottime" }}
columns.cost = {{ type = "real", from = "totcost" }}
columns.income = {{ type = "real", from = "hhinc" }}
columns.vehicles = {{ type = "real", from = "numveh" }}
"""

# A company's own words for the same things.
COMPANIES = """\
[capsule]
data_class = "company"
unit = "person"
persons = { table = "commute", column = "persons" }

[tables.commute]
columns.home_sector = { type = "integer", from = "domicile" }
columns.work_sector = { type = "integer", from = "travail" }
columns.mode = { type = "integer", from = "moyen" }
columns.persons = { type = "integer", from = "personnes" }
"""

VARIABLES = tuple(CLIPS)
