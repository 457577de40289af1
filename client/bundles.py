"""`cadastre bundle submit | authorise | suspend | list`: what authors and members hand in."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from client.session import Session, within
from client.verbs import read_file, remote
from protos.cadastre.v1 import bundles_pb2, bundles_pb2_grpc
from terminal import exits
from terminal.arguments import Verbs
from terminal.output import Output
from trust.ids import Digest
from wire import blobs
from wire.errors import BadMessage
from wire.limits import MAXIMUM_BLOB_BYTES

SIGNATURE_SUFFIX = ".sig"


def add_bundles(verbs: Verbs) -> None:
    """Verbs about bundles that need the scheduler."""
    parser = remote(
        verbs,
        "submit",
        submit,
        summary="hand in a signed bundle",
        example="cadastre bundle submit commute_flows-1.0.0.cadastre",
    )
    parser.add_argument("bundle", type=Path, help="the archive; its .sig stands beside it")
    parser = remote(
        verbs,
        "authorise",
        authorise,
        summary="hand in the college's authorisation",
        example="cadastre bundle authorise authorisation.json",
    )
    parser.add_argument("authorisation", type=Path)
    parser = remote(
        verbs,
        "suspend",
        suspend,
        summary="hand in the college's suspension",
        example="cadastre bundle suspend suspension.json",
    )
    parser.add_argument("suspension", type=Path)
    remote(
        verbs,
        "list",
        list_all,
        summary="list the bundles that the scheduler knows and their standing",
        example="cadastre bundle list",
    )


def submit(arguments: argparse.Namespace) -> int:
    """Put the archive as a blob, then submit the author's statement about it."""
    archive = read_file(arguments.bundle, limit=MAXIMUM_BLOB_BYTES)
    statement = read_file(arguments.bundle.with_name(arguments.bundle.name + SIGNATURE_SUFFIX))

    async def visit(session: Session) -> Any:
        digest = await blobs.put(session.channel, archive)
        stub = bundles_pb2_grpc.BundlesStub(session.channel)
        request = bundles_pb2.SubmitBundleRequest(bundle=digest, statement=statement)
        view = await session.call(stub.Submit, request)
        # The college votes on the digest that is printed here.
        if view.bundle != digest:
            raise BadMessage("the scheduler answered about another bundle than the one sent")
        return view

    return _show(arguments, within(arguments.identity, visit))


def authorise(arguments: argparse.Namespace) -> int:
    """Hand in an authorisation."""
    raw = read_file(arguments.authorisation)

    async def visit(session: Session) -> Any:
        stub = bundles_pb2_grpc.BundlesStub(session.channel)
        return await session.call(stub.Authorise, bundles_pb2.AuthoriseRequest(authorisation=raw))

    code = _show(arguments, within(arguments.identity, visit))
    _how_to_prove(arguments, raw)
    return code


def suspend(arguments: argparse.Namespace) -> int:
    """Hand in a suspension."""
    raw = read_file(arguments.suspension)

    async def visit(session: Session) -> Any:
        stub = bundles_pb2_grpc.BundlesStub(session.channel)
        return await session.call(stub.Suspend, bundles_pb2.SuspendRequest(suspension=raw))

    code = _show(arguments, within(arguments.identity, visit))
    _how_to_prove(arguments, raw)
    return code


def list_all(arguments: argparse.Namespace) -> int:
    """Print a table of bundles."""

    async def visit(session: Session) -> Any:
        stub = bundles_pb2_grpc.BundlesStub(session.channel)
        return await session.call(stub.List, bundles_pb2.ListBundlesRequest())

    answer = within(arguments.identity, visit)
    Output(as_json=arguments.json).table(
        ["bundle", "name", "version", "standing", "authorisation"],
        [
            [view.bundle, view.name, view.version, view.standing, view.authorisation or None]
            for view in answer.bundles
        ],
    )
    return exits.OK


def _how_to_prove(arguments: argparse.Namespace, raw: bytes) -> None:
    """What the scheduler says above is its word; whether it acted stands in the log."""
    Output(as_json=arguments.json).line(f"to be sure: cadastre log prove {Digest.of(raw)}")


def _show(arguments: argparse.Namespace, view: Any) -> int:
    Output(as_json=arguments.json).record(
        {
            "bundle": view.bundle,
            "name": view.name,
            "version": view.version,
            "author": view.author,
            "standing": view.standing,
            "authorisation": view.authorisation or None,
        }
    )
    return exits.OK
