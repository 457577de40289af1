"""What must hold between the parts of a manifest before anybody votes on it."""

from __future__ import annotations

import math
from decimal import Decimal

from jobs.schema import PERSONS, Manifest
from protection.ckks.profile import check_admission, profile_of
from protection.errors import ProtectionError
from protection.layout import Layout
from protection.products import factors_of
from protection.ring import require_room
from trust.documents.rules import DataClass, PrivacyUnit, Protection

# A frame of 16 MiB is all that the sandbox carries; the aggregate (each cell with its variance)
# then takes half of the column format's 64 MiB.
MAXIMUM_CELLS = 1 << 21
_MOST_PROTECTED_FIRST = (DataClass.PERSONAL, DataClass.COMPANY, DataClass.PUBLIC)


def mistakes_of(manifest: Manifest) -> list[str]:
    """Every inconsistency, one line each; none for a manifest that may be admitted."""
    return [
        *_units(manifest),
        *_protections(manifest),
        *_products(manifest),
        *_noise(manifest),
        *_ring(manifest),
        *_frame(manifest),
        *_rounds(manifest),
        *_state(manifest),
        *_reports(manifest),
        *_mock(manifest),
    ]


def _units(manifest: Manifest) -> list[str]:
    units = {choice.unit for choice in manifest.release.values()}
    if len(units) > 1:
        return ["release: every release of a bundle has the same unit; write owner or person"]
    if units != {PrivacyUnit.PERSON}:
        return []
    tables = manifest.needs.tables
    if len(tables) != 1 or PERSONS not in next(iter(tables.values())):
        return [
            (
                f'needs.tables: unit = "person" takes one table with a column {PERSONS}; '
                f'write for example commute = ["mode", "{PERSONS}"]'
            )
        ]
    return []


def _protections(manifest: Manifest) -> list[str]:
    found = {choice.protection.value for choice in manifest.release.values()}
    if len(found) == 1:
        return []
    # A partial is one document, and one institution or two open it.
    mixed = " and ".join(sorted(found))
    return [f"release: {mixed} in one bundle; write the same protection for every release"]


def _products(manifest: Manifest) -> list[str]:
    try:
        factors = factors_of(manifest.rules())
    except ProtectionError as error:
        return [f"release: {error.sentence}; {error.remedy}"]
    if factors is None or set(manifest.needs.classes) == {DataClass.PUBLIC}:
        return []
    return [
        (
            'needs.classes: products are for public capsules only; write needs.classes = ["public"]'
            ", or send products as sums of their own"
        )
    ]


def _noise(manifest: Manifest) -> list[str]:
    if set(manifest.needs.classes) == {DataClass.PUBLIC}:
        return []
    return [
        f"release.{name}.noise: only bundles for public data may do without noise; write noise = "
        '{ mechanism = "discrete_gaussian", rho = "0.1" }, or needs.classes = ["public"]'
        for name, choice in manifest.release.items()
        if choice.noise.mechanism.value == "none"
    ]


def _ring(manifest: Manifest) -> list[str]:
    if {rules.protection for rules in manifest.rules()} == {Protection.ENCRYPTED}:
        # What is no product was told already, with what to write instead.
        return [] if _products(manifest) else _ciphertext(manifest)
    found = []
    for rules in manifest.rules():
        try:
            require_room(rules, manifest.rounds.maximum)
        except ProtectionError as error:
            found.append(f"release.{error.sentence}; {error.remedy}")
    if not found and {rules.protection for rules in manifest.rules()} == {Protection.SHARED}:
        try:
            Layout.of(manifest.rules(), manifest.rounds.maximum)
        except ProtectionError as error:
            found.append(f"release: {error.sentence}; {error.remedy}")
    return found


def _ciphertext(manifest: Manifest) -> list[str]:
    """What one ciphertext cannot carry: one line, for all releases share its slots."""
    data_class = min(manifest.needs.classes, key=_MOST_PROTECTED_FIRST.index)
    try:
        check_admission(profile_of(manifest.rules()), manifest.rules(), data_class)
    except ProtectionError as error:
        return [f"release: {error.sentence}; {error.remedy}"]
    return []


def _frame(manifest: Manifest) -> list[str]:
    if sum(math.prod(choice.shape) for choice in manifest.release.values()) <= MAXIMUM_CELLS:
        return []
    # Found at the first run it would be too late: everybody has paid by then.
    return [f"release: more than {MAXIMUM_CELLS} numbers in all; write smaller shapes"]


def _rounds(manifest: Manifest) -> list[str]:
    least = max(choice.minimum_workers for choice in manifest.release.values())
    if manifest.rounds.quorum < least:
        return [
            (
                f"rounds.quorum: {manifest.rounds.quorum} workers can't satisfy minimum_workers; "
                f"write quorum = {least}"
            )
        ]
    if manifest.rounds.deadline_seconds < manifest.needs.wall_seconds:
        return [
            (
                "rounds.deadline_seconds: shorter than one run; write deadline_seconds = "
                f"{10 * manifest.needs.wall_seconds}"
            )
        ]
    return []


def _state(manifest: Manifest) -> list[str]:
    found = []
    if (manifest.rounds.maximum > 1) != bool(manifest.state):
        found.append(
            "rounds.maximum: several rounds and a [state.NAME] to carry between them go together; "
            "write both, or rounds.maximum = 1 and no state"
        )
    if sum(math.prod(array.shape) for array in manifest.state.values()) > MAXIMUM_CELLS // 2:
        found.append(f"state: more than {MAXIMUM_CELLS // 2} numbers in all; write smaller shapes")
    taken = {*manifest.report, "stop"} & {*manifest.state}
    if taken or (manifest.state and "stop" in manifest.report):
        found.append(
            f"state: {', '.join(sorted(taken or {'stop'}))} is returned by conclude already; "
            "choose another name"
        )
    if manifest.state and (own := {"state", "round", "rounds"} & {*manifest.parameters}):
        found.append(
            f"parameters: {', '.join(sorted(own))} is what every round is told; choose another name"
        )
    if Decimal(manifest.rounds.draw) != 1 and manifest.unit is not PrivacyUnit.PERSON:
        found.append('rounds.draw: goes with unit = "person" alone; remove it')
    return found


def _reports(manifest: Manifest) -> list[str]:
    found = []
    if sum(math.prod(report.shape) for report in manifest.report.values()) > MAXIMUM_CELLS:
        found.append(f"report: more than {MAXIMUM_CELLS} numbers in all; write smaller arrays")
    for name, report in manifest.report.items():
        if report.release is not None and report.release not in manifest.release:
            known = ", ".join(manifest.release)
            found.append(f"report.{name}.release: {report.release} is none of: {known}")
        if report.of is None:
            continue
        value = manifest.report.get(report.of)
        if value is None or value.kind != "value" or value.shape != report.shape:
            found.append(
                f"report.{name}.of: {report.of} is no report of kind value with the shape "
                f"{list(report.shape)}"
            )
    return found


def _mock(manifest: Manifest) -> list[str]:
    return [
        f"mock.{table}: not one of the needed tables: {', '.join(manifest.needs.tables)}"
        for table in manifest.mock
        if table not in manifest.needs.tables
    ] + [
        f"mock.{table}.columns.{column}: not one of the needed columns: "
        f"{', '.join(manifest.needs.tables[table])}"
        for table, mock in manifest.mock.items()
        if table in manifest.needs.tables
        for column in mock.columns
        if column not in manifest.needs.tables[table]
    ]
