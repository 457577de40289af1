"""What the graph room refuses."""

from __future__ import annotations

from trust.problem import Kind, Problem


class GraphError(Problem):
    """Root of this package's refusals."""

    code = "graph"
    kind = Kind.INVALID


class PlanRefused(GraphError):
    """A build plan that says something wrong, or too little."""

    code = "graph-plan-refused"
    advice = "correct the line it names; docs/ontology.md shows a whole plan"


class TableRefused(GraphError):
    """An open data table that cannot be read as its plan says."""

    code = "graph-table-refused"
    advice = "correct the table, or the columns and codes that the build plan names for it"


class ReleaseUnfit(GraphError):
    """A release that is not signed, voted or shaped as the build plan expects."""

    code = "graph-release-unfit"
    kind = Kind.UNVERIFIED
    advice = (
        "give release, report and authorisation of one campaign, as `cadastre audit fetch` "
        "writes them"
    )


class GraphInvalid(GraphError):
    """A graph that breaks the ontology: a broken reference, a wrong unit, two spellings."""

    code = "graph-invalid"
    advice = "build it anew from its sources with `cadastre graph build`: graphs are not edited"


class ShapesRefused(GraphInvalid):
    """A graph that the ontology's SHACL shapes do not accept."""

    code = "graph-shapes-refused"


class CohortBroken(GraphInvalid):
    """An edge whose count is below its source's minimum, or is missing where there is one."""

    code = "graph-cohort-broken"
    kind = Kind.REFUSED
    advice = "do not publish it: build it anew from the releases, which leaves such edges out"


class NotTheAuthority(GraphError):
    """A key that the territory root does not name for the graph."""

    code = "not-the-authority"
    kind = Kind.REFUSED
    advice = "sign with the key whose .pub stands in the root under `graph`"


class GraphUnverified(GraphError):
    """A graph whose bytes are not those that the authority signed."""

    code = "graph-unverified"
    kind = Kind.UNVERIFIED
    advice = "get graph and signature again from the authority, byte for byte"


class GraphMissing(GraphError):
    """No graph, plan or release lies where the command looked."""

    code = "graph-missing"
    kind = Kind.NOT_FOUND
    advice = "check the path; a graph and its signature lie side by side"


class ExportUnavailable(GraphError):
    """A form of export whose Python package is not installed here."""

    code = "export-unavailable"
    kind = Kind.UNAVAILABLE


class PictureRefused(GraphError):
    """A picture that this graph has nothing to draw for."""

    code = "picture-refused"
    advice = "build the graph with located places and flows; `cadastre graph show` counts them"


class PotentialRefused(GraphError):
    """A graph that says too little to tell which links are worth strengthening."""

    code = "potential-refused"
    advice = (
        "build the graph with commuting flows by several ways of travel between located places; "
        "`cadastre graph show` counts them"
    )


class LearningUnavailable(GraphError):
    """A scorer whose Python packages are not installed here."""

    code = "learning-unavailable"
    kind = Kind.UNAVAILABLE
    advice = "pip install 'cadastre[learning]', or ask for `--scorer gravity`"
