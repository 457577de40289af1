"""What an app's sources may not import, found without running them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping

from jobs.flower.errors import FlowerAppRefused

TORCH = "torch"
LIBRARIES = frozenset({"flwr", "numpy", TORCH})
# flwr's older programming model: no messages, so nothing to replay.
_OLD = ("flwr.server", "flwr.client", "flwr.simulation", "flwr.compat", "flwr.driver")
_SECURE = ("workflow", "secagg", "secure_aggregation")
_BANNED = {
    **dict.fromkeys(
        ("socket", "ssl", "http", "urllib", "ftplib", "smtplib", "asyncio", "xmlrpc", "imaplib"),
        "there is no network in the sandbox",
    ),
    **dict.fromkeys(
        ("subprocess", "multiprocessing", "threading", "concurrent", "ctypes", "signal"),
        "there are no other processes, threads or foreign libraries in the sandbox",
    ),
    **dict.fromkeys(
        ("pickle", "marshal", "shelve", "cloudpickle", "dill", "joblib"),
        "pickles run code when they are read; send arrays",
    ),
}


def screen(sources: Mapping[str, bytes]) -> frozenset[str]:
    """The libraries among LIBRARIES that the sources use. Raises FlowerAppRefused."""
    own = {path.split("/")[0].removesuffix(".py") for path in sources}
    used = set()
    for path, text in sources.items():
        try:
            tree = ast.parse(text, path)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            # The last two: brackets nested so deep that the reader gives up.
            raise FlowerAppRefused("source-unfit", f"{path} is no Python: {error}") from error
        for line, name, full in _imports(tree):
            if name in own:
                continue
            _check(f"{path}, line {line}", name, full)
            used |= {name} & LIBRARIES
    return frozenset(used)


def _imports(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """(line, top module, dotted name) of every import anywhere in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0], alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            for alias in node.names:
                yield node.lineno, node.module.split(".")[0], f"{node.module}.{alias.name}"


def _check(where: str, name: str, full: str) -> None:
    if any(full.startswith(("flwr.", "flwr_")) and word in full for word in _SECURE):
        raise FlowerAppRefused(
            "secure-aggregation",
            f"{where} imports {full}; Flower's SecAgg+ derives its masks from 28-bit seeds and "
            "needs single replies in four stages",
            remedy='leave it out: protection = "shared" does this with the grid\'s own shares',
        )
    if f"{full}.".startswith(tuple(f"{old}." for old in _OLD)):
        raise FlowerAppRefused(
            "old-interface",
            f"{where} imports {full}, of Flower's older interface",
            remedy="write the app with flwr.app, flwr.clientapp and flwr.serverapp",
        )
    if name in _BANNED:
        raise FlowerAppRefused("library-forbidden", f"{where} imports {full}: {_BANNED[name]}")
    if name not in LIBRARIES and name not in sys.stdlib_module_names:
        raise FlowerAppRefused(
            "library-forbidden",
            f"{where} imports {full}; the sandbox holds numpy, {TORCH}, flwr and the standard "
            "library",
            remedy="do without it; data comes from context.node_config['data-path']",
        )
