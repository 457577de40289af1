"""`cadastre bundle init | sign | show`: an author's commands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from terminal.arguments import leaf

if TYPE_CHECKING:
    from terminal.arguments import Verbs
    from terminal.output import Cell


def add_bundle(verbs: Verbs) -> None:
    """Give `verbs` the verbs init, sign and show of `cadastre bundle`."""
    init = leaf(
        verbs,
        "init",
        _init,
        summary="write a small bundle that works, to start from",
        example="cadastre bundle init my_bundle",
    )
    init.add_argument("folder", type=Path, metavar="DIR", help="a new folder; its name is the name")
    init.add_argument(
        "--like", default="example", metavar="NAME", help="a built-in bundle to copy instead"
    )
    sign = leaf(
        verbs,
        "sign",
        _sign,
        summary="pack a bundle and sign its exact bytes",
        example="cadastre bundle sign my_bundle --key author.key --new-key",
    )
    sign.add_argument("folder", type=Path, metavar="DIR")
    sign.add_argument("--key", type=Path, required=True, metavar="FILE", help="the author's key")
    sign.add_argument("--new-key", action="store_true", help="make the key first")
    sign.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="default: here")
    show = leaf(
        verbs,
        "show",
        _show,
        summary="print a bundle's digest, rules, bits per release and tables",
        example="cadastre bundle show my_bundle-0.1.0.cadastre",
    )
    show.add_argument("bundle", type=Path, metavar="DIR|FILE")


def _init(arguments: argparse.Namespace) -> int:
    from durable.files import make_directory, write_atomic
    from jobs import manifest, opening
    from jobs.archive import MANIFEST, pack_folder
    from jobs.errors import ArchiveRefused
    from terminal import exits
    from terminal.output import Output

    folder: Path = arguments.folder
    source = opening.built_in_folder(arguments.like)
    if folder.exists() and any(folder.iterdir()):
        raise ArchiveRefused(f"{folder} exists and is not empty", remedy="name a new folder")
    files = {path.name: path.read_bytes() for path in sorted(source.iterdir()) if path.is_file()}
    line = f'\nname = "{arguments.like}"\n'
    files[MANIFEST] = files[MANIFEST].replace(
        line.encode(), f'\nname = "{folder.resolve().name}"\n'.encode(), 1
    )
    manifest.read(files[MANIFEST])  # the folder's name may be no name for a bundle
    make_directory(folder.resolve())
    for name, data in files.items():
        write_atomic(folder / name, data)
    bundle = pack_folder(folder)
    output = Output(as_json=arguments.json)
    if arguments.json:
        output.record({"folder": str(folder), "files": sorted(bundle.files)})
    else:
        output.line(f"wrote {', '.join(sorted(bundle.files))} in {folder}")
        output.line(f"next: cadastre bundle try {folder}")
    return exits.OK


def _sign(arguments: argparse.Namespace) -> int:
    from durable.files import make_directory, write_atomic
    from durable.keyfile import read_key, write_key
    from jobs import archive, statement
    from terminal import exits
    from terminal.output import Output
    from trust import clock, entropy
    from trust.keys import PrivateKey

    bundle = archive.pack_folder(arguments.folder)
    if arguments.new_key:
        write_key(arguments.key, PrivateKey.generate(entropy.SYSTEM))
    signed = statement.sign(bundle, read_key(arguments.key), clock.SystemClock())
    out: Path = arguments.out
    make_directory(out.resolve())
    # The signature first: a bundle that is there without one was never signed.
    target = out / bundle.filename
    write_atomic(target.with_name(target.name + statement.SUFFIX), signed.envelope.raw)
    write_atomic(target, bundle.raw)
    Output(as_json=arguments.json).record(
        {
            "bundle": str(target),
            "signature": f"{target}{statement.SUFFIX}",
            "digest": str(bundle.digest),
            "author": str(signed.document.author),
        }
    )
    return exits.OK


def _show(arguments: argparse.Namespace) -> int:
    from jobs import description, opening
    from terminal import exits
    from terminal.output import Output

    bundle = opening.open_bundle(arguments.bundle)
    signature = opening.signature_of(arguments.bundle, bundle)
    manifest, output = bundle.manifest, Output(as_json=arguments.json)
    about = {
        "digest": str(bundle.digest),
        "manifest": str(bundle.manifest_digest),
        "name": f"{manifest.bundle.name} {manifest.bundle.version}",
        "title": manifest.bundle.title.fr,
        "purpose": manifest.bundle.purpose,
        "author": str(signature.document.author) if signature else "not signed",
        "data classes": [data_class.value for data_class in manifest.needs.classes],
        "bytes": len(bundle.raw),
        **description.carried(manifest),
    }
    tables: list[dict[str, Cell]] = [
        {"table": table, "columns": ", ".join(names)}
        for table, names in manifest.needs.tables.items()
    ]
    bounds: list[dict[str, Cell]] = [
        {
            "parameter": name,
            "type": bound.type,
            "minimum": bound.minimum,
            "maximum": bound.maximum,
            "choices": ", ".join(bound.choices),
        }
        for name, bound in manifest.bounds().items()
    ]
    files: list[dict[str, Cell]] = [
        {"file": name, "bytes": len(data)} for name, data in bundle.files.items()
    ]
    if arguments.json:
        output.record(
            {
                **about,
                "privacy": description.privacy(manifest),
                "releases": description.releases(manifest),
                "tables": tables,
                "parameters": bounds,
                "files": files,
            }
        )
        return exits.OK
    output.record(about)
    output.line("")
    description.show_privacy(output, manifest)
    for rows in (tables, bounds, files):
        if rows:
            output.line("")
            output.table(list(rows[0]), [list(row.values()) for row in rows])
    return exits.OK
