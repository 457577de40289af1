"""Who may use a route: declared beside it, checked before it runs, missing nowhere.

    @router.get("/workers", dependencies=[needs(Role.OPERATOR, Role.VIEWER)])
    @router.post("/workers/{id}/ban", dependencies=[needs(Role.OPERATOR, delicate=True)])
    @router.get("/log/{index}", dependencies=[anybody()])

A program with a route that declares nothing does not start (`require_declared`, which the gate
runs), and should a route slip past, no answer of it leaves (the gate asks `Visit.decided`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import Depends, routing
from fastapi.params import Depends as Dependency
from starlette.requests import Request
from starlette.routing import BaseRoute

from trust.clock import Clock
from web import files, visitors
from web.application import ALIVE, OPENAPI
from web.signin import lifetimes, visits
from web.signin.errors import AccessUndeclared, NotSignedIn, RoleMissing, SignInStale
from web.signin.roles import Role

CLOCK = "cadastre.sign-in.clock"
DOOR = "cadastre.sign-in.door"  # makes the visitor whose forms the door cookie protects


@dataclass(frozen=True)
class Requirement:
    """What a route asks of whoever uses it."""

    roles: frozenset[Role] = frozenset()  # any of them; empty: anybody at all
    signed_in: bool = False  # somebody, whatever their roles
    delicate: bool = False  # a person who proved lately who they are; never a program
    forms: bool = False  # the page has forms for people who are not signed in


_Check = Callable[[Request], Awaitable[None]]
_DECLARED: WeakKeyDictionary[Any, Requirement] = WeakKeyDictionary()


def needs(*roles: Role, delicate: bool = False) -> Dependency:
    """For people with one of `roles`. Raises ValueError for none: that would be everybody."""
    if not roles:
        raise ValueError("name the roles, or say `somebody()` or `anybody()`")
    return _declared(Requirement(frozenset(roles), signed_in=True, delicate=delicate))


def somebody(*, delicate: bool = False) -> Dependency:
    """For whoever is signed in, as a page about themselves."""
    return _declared(Requirement(signed_in=True, delicate=delicate))


def anybody(*, forms: bool = False) -> Dependency:
    """For everybody. With `forms`, whoever is not signed in may send the page's forms."""
    return _declared(Requirement(forms=forms))


def enforce(requirement: Requirement, request: Request) -> None:
    """Raises NotSignedIn, RoleMissing or SignInStale unless the visitor meets `requirement`."""
    visit = visits.of(request)
    clock: Clock = request.scope[CLOCK]
    if requirement.signed_in and visit.person is None:
        raise NotSignedIn
    if requirement.roles and (visit.person is None or not visit.person.roles & requirement.roles):
        raise RoleMissing
    recent = visit.proved is not None and clock.now() - visit.proved <= lifetimes.FRESH
    if requirement.delicate and not recent:
        raise SignInStale
    if requirement.forms and visit.person is None:
        request.scope[visitors.KEY] = request.scope[DOOR]()
    visit.decided = True


def open_to_all(path: str) -> bool:
    """Whether the gate looks away: styles, scripts, the API's description, whether we are alive."""
    return path.startswith(files.PREFIX) or path in {OPENAPI, ALIVE}


def require_declared(routes: Iterable[BaseRoute]) -> None:
    """Raises AccessUndeclared, naming the routes that say nothing; also for kinds unknown here."""
    silent = sorted(path for path, found in declarations(routes) if not found)
    if silent:
        raise AccessUndeclared(", ".join(silent))


def declarations(routes: Iterable[BaseRoute]) -> Iterator[tuple[str, list[Requirement]]]:
    """Every route's path with what it declares, routers within routers included."""
    for route in routing.iter_route_contexts(list(routes)):
        path = _path(route)
        if open_to_all(path):
            continue
        dependant = getattr(route, "dependant", None)
        calls = [each.call for each in getattr(dependant, "dependencies", [])]
        yield path, [_DECLARED[call] for call in calls if call in _DECLARED]


def _path(route: Any) -> str:
    """Where a route answers; for one that does not say so, what it is."""
    for each in (
        route,
        getattr(route, "starlette_route", None),
        getattr(route, "original_route", None),
    ):
        if found := getattr(each, "path", ""):
            return str(found)
    return type(route).__name__


def _declared(requirement: Requirement) -> Dependency:
    async def check(request: Request) -> None:
        enforce(requirement, request)

    _DECLARED[check] = requirement
    dependency: Dependency = Depends(check)
    return dependency
