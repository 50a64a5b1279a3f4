"""Which way imports may point, kept by reading every syntax tree, imports inside functions included.

Also the names that no module may have, and no Django signals between our own parts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("hud", "triage", "rotation")
COMPOSITION = ("project.settings", "project.urls", "project.asgi", "project.celery")
BAD_NAMES = {"utils", "util", "helpers", "helper", "services", "service", "common", "misc"}
DJANGO_SIGNALS = ("django.dispatch", "django.db.models.signals", "django.core.signals", "django.db.backends.signals")
# Rooms of project/ that know no app at all; the rest of project/ obeys the same rule, except the composition root.
MODELLESS = ("project.github",)


def files() -> list[Path]:
    return sorted(
        path
        for room in (*APPS, "project")
        for path in (ROOT / room).rglob("*.py")
        if "migrations" not in path.relative_to(ROOT).parts
    )


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """(line, full name) of everything imported, relative and dynamic imports with a fixed name included.

    `from a import b` yields `a.b`: only a look at the disk could tell whether b is a module, and a rule about `a.b`
    holds either way.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def within(name: str, *rooms: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def complaint(module: str, imported: str) -> str | None:
    """Why `module` may not import `imported`; None if it may."""
    if within(imported, "tests"):
        return "the product doesn't import its tests"
    if within(module, *COMPOSITION):
        return None
    if within(imported, *COMPOSITION):
        return "nothing imports the composition root back"
    if within(module, "project"):
        if within(imported, *APPS):
            return "project imports no app"
        if within(module, *MODELLESS) and within(imported, "django.db", "project.accounts", "project.audit"):
            return "project.github knows no models"
        return None
    if within(module, "hud", "rotation"):
        own = module.split(".")[0]
        if within(imported, *(app for app in APPS if app != own)):
            return f"{own} imports only project"
        return None
    if within(module, "triage"):
        for other in ("hud", "rotation"):
            if within(imported, other) and not within(imported, f"{other}.public"):
                return f"triage sees of {other} only {other}.public"
    return None


def test_imports_point_one_way() -> None:
    found = []
    for path in files():
        module = module_name(path)
        for line, imported in imports(path.read_text(), module, is_package=path.name == "__init__.py"):
            if reason := complaint(module, imported):
                found.append(f"{path.relative_to(ROOT)}:{line} imports {imported}: {reason}")
    assert not found, "\n".join(found)


def test_no_signals_between_own_parts() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {imported}"
        for path in files()
        for line, imported in imports(path.read_text(), module_name(path), is_package=path.name == "__init__.py")
        if within(imported, *DJANGO_SIGNALS)
    ]
    assert not found, "\n".join(found)


def test_modules_are_named_for_what_they_make() -> None:
    found = [str(path.relative_to(ROOT)) for path in files() if BAD_NAMES & set(module_name(path).split("."))]
    assert not found, f"say what it makes instead: {found}"


@pytest.mark.parametrize(
    ("module", "imported", "allowed"),
    [
        ("project.urls", "hud.views", True),
        ("project.github.client", "hud.models", False),
        ("project.github.client", "django.db.models", False),
        ("project.github.client", "project.settings.REDIS_URL", False),
        ("project.embedded.keeper", "project.embedded.places", True),
        ("hud.views", "project.github.client", True),
        ("hud.views", "project.celery.app", False),
        ("hud.views", "rotation.models", False),
        ("hud.grid", "hud.cells", True),
        ("rotation.calendar", "triage.public", False),
        ("triage.board", "hud.public.marks", True),
        ("triage.board", "hud.models", False),
        ("triage.board", "hud.publication", False),
        ("hud.views", "tests.factories", False),
    ],
)
def test_the_rule_itself(module: str, imported: str, allowed: bool) -> None:
    assert (complaint(module, imported) is None) is allowed


def test_imports_are_found_wherever_they_hide() -> None:
    source = """
import os.path
def f():
    from ..github import client
    from . import grid
    import importlib; importlib.import_module("hud.models")
"""
    found = {name for _, name in imports(source, "project.audit.log")}
    assert found == {"os.path", "project.github.client", "project.audit.grid", "importlib", "hud.models"}
    assert dict(imports("from . import x", "hud", is_package=True)) == {1: "hud.x"}
