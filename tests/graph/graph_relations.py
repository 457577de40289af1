"""Small open tables of every relation but commuting, with the nodes that they join."""

from __future__ import annotations

from collections.abc import Mapping

# Beside a territory `vallee` with the places `a` and `b`.
PARTIES = """
[[nodes]]
id = "actor:verrerie"
name = "Verrerie"

[[nodes]]
id = "actor:regie"
name = "Régie"
kind = "authority"

[[nodes]]
id = "action:consigne"
name = "Consigne du verre"

[[resources]]
id = "resource:power"
name = { fr = "électricité", en = "electricity" }
kind = "energy"

[[resources]]
id = "resource:glass"
name = { fr = "verre", en = "glass" }
kind = "matter"
"""
YEAR = 'period = ["2026-01-01", "2026-12-31"]\n'
KWH = YEAR + 'unit = "kWh"\n'


def a_table(holds: str, columns: str, lines: str = "") -> str:
    """The plan's words on `HOLDS.csv`."""
    return f"""
[[tables]]
file = "{holds}.csv"
holds = "{holds}"
series = "{holds}"
title = "Table"
attribution = "essai"
licence = "Licence Ouverte 2.0"
columns = {{ {columns} }}
{lines}
"""


def files(tables: Mapping[str, str]) -> dict[str, bytes]:
    """The rows of each relation as the file that its plan names."""
    return {f"{holds}.csv": rows.encode() for holds, rows in tables.items()}


_ENDS = 'origin = "from", target = "to"'
_THROUGH = 'origin = "where", resource = "what", quantity = "kwh", count = "homes"'
RELATIONS = "".join(
    (
        a_table(
            "transaction",
            _ENDS + ', resource = "what", quantity = "t"',
            'codes.resource = { g = "resource:glass" }\nunit = "t"\nminimum = 0\n'
            'period = ["2025-01-01", "2025-06-30"]\n',
        ),
        a_table("production", _THROUGH, KWH),
        a_table("consumption", _THROUGH, KWH),
        a_table("belonging", _ENDS),
        a_table("participation", _ENDS),
        a_table("interest", _ENDS),
    )
)
TABLES = {
    "transaction": "from,to,what,t\nverrerie,regie,g,1.25\nregie,verrerie,g,3\n"
    "verrerie,regie,g,0.5\n",
    "production": "where,what,kwh,homes\nplace:a,power,900,12\nactor:regie,power,4e3,31\n"
    "place:a,power,100.50,8\n",
    "consumption": "where,what,kwh,homes\nplace:b,power,70,40\n",
    "belonging": "from,to\nplace:a,territory:vallee\nactor:regie,place:b\n",
    "participation": "from,to\nverrerie,consigne\nregie,consigne\nregie,consigne\n",
    "interest": "from,to\naction:consigne,objective:climate-change\n"
    "actor:verrerie,resource:glass\n",
}
