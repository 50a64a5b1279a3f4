"""Where the things of GitHub are found in a browser. What follows from ids is not stored."""

from __future__ import annotations

from hud.cells import RunKind


def run_url(github: str, run_id: int, workflow_run_id: int | None, url: str) -> str:
    """The page of a run. `github` is the repository's address on GitHub, `run_id` is `Run.id`, `url` is `Run.url`.

    Empty for a check run or status whose app named no page of the web.
    """
    if url.startswith(("https://", "http://")):
        return url
    if workflow_run_id is None:
        return ""
    address = f"{github}/actions/runs/{workflow_run_id}"
    return f"{address}/job/{run_id >> 2}" if run_id & 3 == RunKind.JOB else address


def log_url(github: str, sha: str, run_id: int) -> str:
    """The raw log of a job, which GitHub shows to people who are signed in; empty for what has none."""
    return f"{github}/commit/{sha}/checks/{run_id >> 2}/logs" if run_id & 3 == RunKind.JOB else ""
