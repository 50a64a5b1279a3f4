"""What the documents say exists: settings, addresses, files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.urls import resolve

from hud import live_views

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
VARIABLE = re.compile(r"\bARBORIST_[A-Z][A-Z_]*[A-Z]\b")
# Set by the programs themselves; the image; what the embedded servers and `make run` alone need.
NOT_FOR_COMPOSE = {
    "ARBORIST_EMBEDDED", "ARBORIST_PROCESS", "ARBORIST_TESTING", "ARBORIST_DEBUG",
    "ARBORIST_BIND", "ARBORIST_PORT", "ARBORIST_VAR_DIR", "ARBORIST_STATIC_ROOT",
}  # fmt: skip
BESIDE_DJANGO = {"/webhooks/github"}  # see project/asgi.py
# One value for each placeholder of an address.
SAMPLES = {
    "owner": "grove", "repo": "orchard", "branch": "release/2.1", "number": "12", "sha": "0123abc", "slot": "3",
    "id": "45678", "key": "0" * 32, "page": "1",
}  # fmt: skip


def settings_read() -> set[str]:
    """Every variable that project/settings.py asks the environment for."""
    source = (ROOT / "project" / "settings.py").read_text()
    return set(re.findall(r'\benv\.\w+\(\s*"(ARBORIST_[A-Z_]*[A-Z])"', source))


def addresses() -> list[str]:
    """What stands in the first column of the README's table of addresses."""
    table = (ROOT / "README.md").read_text().partition("## Addresses")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [address for cell in cells for address in re.findall(r"`(/[^`]*)`", cell)]


def test_every_setting_is_in_the_deployers_table_and_nothing_else_is() -> None:
    read = settings_read()
    assert "ARBORIST_SECRET_KEY" in read
    text = (ROOT / "docs" / "deploy.md").read_text()
    table = set(re.findall(r"^\| `(ARBORIST_[A-Z_]+)` \|", text, re.MULTILINE))
    internal = set(VARIABLE.findall(text.partition("Three more are set by the programs")[2].partition("\n\n")[0]))
    assert len(internal) == 3
    assert table | internal == read


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_setting_that_does_not_exist(document: Path) -> None:
    assert set(VARIABLE.findall(document.read_text())) <= settings_read()


def test_the_containers_get_every_setting() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    given = set(re.findall(r"^    (ARBORIST_[A-Z_]+): ", compose, re.MULTILINE))
    assert given == settings_read() - NOT_FOR_COMPOSE


def test_every_address_of_the_readme_leads_somewhere() -> None:
    found = addresses()
    assert len(found) >= 20
    for address in found:
        path = re.sub(r"<(\w+)>", lambda name: SAMPLES[name[1]], address)
        if path in BESIDE_DJANGO:
            continue
        match = resolve(path)
        # The grid's address takes any branch, so a page that is gone would look like a branch.
        if not address.endswith("<branch>"):
            assert match.url_name != "grid", address


def test_every_page_of_a_repository_is_in_the_readme() -> None:
    from hud.urls import urlpatterns

    named = {re.sub(r"<\w+>", "", address.removeprefix("/hud/<owner>/<repo>/")) for address in addresses()}
    # Parts of pages, what is pressed, and where one is only led through.
    parts = {"trunk", "go", "live", "home", "cell", "group", "last-good-badge", "grid"}
    for pattern in urlpatterns:
        route = str(pattern.pattern)
        if pattern.name in parts or pattern.name is None:
            continue
        page = re.sub(r"<[\w:]+>", "", route.removeprefix("hud/<str:owner>/<str:repo>/"))
        acts = ("revert", "rerun", "opinion", "unstable", "lines", "find", "again")
        if page.endswith(acts) or pattern.name in ("act", "revert-plan"):
            continue
        assert page in named, f"{route} is not in the README"


def test_streams_are_where_the_documents_say() -> None:
    assert live_views.ADDRESS.match("/hud/grove/orchard/live")
    assert "/hud/<owner>/<repo>/live" in (ROOT / "docs" / "deploy.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if not target.startswith(("https://", "http://", "#")):
            assert (document.parent / target.partition("#")[0]).exists(), target


def test_the_modules_that_the_house_names_exist_and_none_is_forgotten() -> None:
    text = (ROOT / "docs" / "house.md").read_text()
    for name in set(re.findall(r"`?\bhud\.([a-z_]+)\b", text)) - {"models", "public", "pytorch"}:
        assert (ROOT / "hud" / f"{name}.py").exists(), name
    words = set(re.findall(r"[a-z_]+", text))
    modules = {path.stem for path in (ROOT / "hud").glob("*.py")} - {"__init__"}
    assert {name for name in modules if name not in words and not name.endswith("urls")} == set()


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150
