"""A few plain HTML pages where GitHub would have its own, so that links from the product lead somewhere."""

import html
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from project.simulator.clock import iso
from project.simulator.gate import Simulator

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>body{{font:16px/1.5 system-ui;max-width:44rem;margin:3rem auto;padding:0 1rem}}
dt{{color:#666}}dd{{margin:0 0 .6rem;overflow-wrap:anywhere}}@media(prefers-color-scheme:dark){{body{{background:#111;
color:#ddd}}}}</style><h1>{title}</h1><p>This page stands for one of GitHub's. The project is simulated.</p>
<dl>{facts}</dl></html>"""


def _page(title: str, facts: Mapping[str, object], status: int = 200) -> Response:
    rows = "".join(f"<dt>{html.escape(key)}</dt><dd>{html.escape(str(value))}</dd>" for key, value in facts.items())
    return HTMLResponse(_PAGE.format(title=html.escape(title), facts=rows), status)


def routes(simulator: Simulator) -> list[Route]:
    world = simulator.world

    def missing() -> Response:
        return _page("Not found", {"Simulated project": world.full_name}, 404)

    def home(request: Request) -> Response:
        facts = {
            "Project": world.full_name, "Seed": world.seed, "Size": world.catalogue.scale,
            "Simulated time": iso(world.now()), "API": f"/repos/{world.full_name}",
        }  # fmt: skip
        return _page("A simulated GitHub", facts)

    def repository(request: Request) -> Response:
        return _page(world.full_name, {"About": world.catalogue.description})

    def commit(request: Request) -> Response:
        found = world.commit(request.path_params["sha"], world.now())
        if found is None:
            return missing()
        facts = {
            "Commit": found.sha, "Author": found.author, "Landed": iso(found.time), "Message": world.message(found),
        }  # fmt: skip
        return _page(world.title(found)[:300], facts)

    def run(request: Request) -> Response:
        found = world.run(int(request.path_params["run_id"]), world.now())
        if found is None:
            return missing()
        attempt = world.attempts(found, world.now())[-1]
        facts = {
            "Workflow": found.workflow.name, "Commit": found.commit.sha, "Attempt": attempt.number,
            "Status": attempt.status(world.now()),
        }  # fmt: skip
        return _page(f"{found.workflow.name} #{found.number}", facts)

    def job(request: Request) -> Response:
        found = world.job(int(request.path_params["job_id"]), world.now())
        if found is None:
            return missing()
        of, what = found
        status = what.status(world.now())
        facts = {
            "Workflow": of.workflow.name, "Commit": of.commit.sha, "Attempt": what.attempt, "Status": status,
            "Conclusion": what.conclusion if status == "completed" else "none yet",
        }  # fmt: skip
        return _page(what.name, facts)

    def pull(request: Request) -> Response:
        return _page(f"Pull request #{int(request.path_params['number'])}", {"Project": world.full_name})

    def avatar(request: Request) -> Response:
        hue = int(request.path_params["number"]) * 47 % 360
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8">'
            f'<rect width="8" height="8" fill="hsl({hue} 45% 45%)"/><circle cx="4" cy="4" r="2" fill="#fff"/></svg>'
        )
        return Response(svg, media_type="image/svg+xml", headers={"cache-control": "max-age=86400"})

    def here(handler: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def inner(request: Request) -> Response:
            params = request.path_params
            names = (world.full_name.lower(), world.catalogue.full_name.lower())
            if "owner" in params and f"{params['owner']}/{params['repo']}".lower() not in names:
                return missing()
            return handler(request)

        return inner

    at = "/{owner}/{repo}"
    return [
        Route("/", here(home)),
        Route("/avatars/u/{number:int}", here(avatar)),
        Route(at, here(repository)),
        Route(at + "/commit/{sha}", here(commit)),
        Route(at + "/actions/runs/{run_id:int}", here(run)),
        Route(at + "/actions/runs/{run_id:int}/attempts/{attempt:int}", here(run)),
        Route(at + "/actions/runs/{run_id:int}/job/{job_id:int}", here(job)),
        Route(at + "/pull/{number:int}", here(pull)),
        Route(at + "/tree/{branch:path}", here(repository)),
        Route(at + "/runs/{number:int}", here(repository)),
    ]
