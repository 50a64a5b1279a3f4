"""Payloads in GitHub's shape, with the fields that we read."""

from typing import Any

SHA = "0123456789abcdef0123456789abcdef01234567"
PARENT = "fedcba9876543210fedcba9876543210fedcba98"

REPOSITORY: dict[str, Any] = {
    "id": 65600975,
    "owner": {"login": "pytorch"},
    "name": "pytorch",
    "default_branch": "main",
    "html_url": "https://github.com/pytorch/pytorch",
    "private": False,
    "archived": False,
}
BRANCH: dict[str, Any] = {"name": "main", "commit": {"sha": SHA}, "protected": True}
COMMIT: dict[str, Any] = {
    "sha": SHA,
    "parents": [{"sha": PARENT}],
    "commit": {
        "message": "Fix the stride of a view (#1)\n\nLonger.",
        "author": {"name": "Ada", "date": "2025-03-01T10:00:00Z"},
        "committer": {"name": "GitHub", "date": "2025-03-01T11:00:00Z"},
    },
    "author": {"login": "ada"},
    "html_url": f"https://github.com/pytorch/pytorch/commit/{SHA}",
}
WORKFLOW_RUN: dict[str, Any] = {
    "id": 13_000_000_001,
    "name": "pull",
    "path": ".github/workflows/pull.yml",
    "event": "push",
    "head_sha": SHA,
    "head_branch": "main",
    "run_number": 17,
    "run_attempt": 2,
    "status": "completed",
    "conclusion": "failure",
    "created_at": "2025-03-01T11:00:00Z",
    "updated_at": "2025-03-01T12:00:00Z",
    "run_started_at": "2025-03-01T11:30:00Z",
    "check_suite_id": 34_000_000_001,
    "actor": {"login": "ada"},
    "html_url": "https://github.com/pytorch/pytorch/actions/runs/13000000001",
}
JOB: dict[str, Any] = {
    "id": 100_000_000_001,
    "run_id": 13_000_000_001,
    "run_attempt": 2,
    "workflow_name": "pull",
    "name": "linux-jammy-py3.10-gcc11 / test (default, 3, 5, linux.2xlarge)",
    "head_sha": SHA,
    "head_branch": "main",
    "status": "completed",
    "conclusion": "failure",
    "created_at": "2025-03-01T11:00:00Z",
    "started_at": "2025-03-01T11:05:00Z",
    "completed_at": "2025-03-01T11:45:00Z",
    "runner_name": "i-0abc",
    "labels": ["linux.2xlarge"],
    "html_url": "https://github.com/pytorch/pytorch/actions/runs/13000000001/job/100000000001",
}
CHECK_SUITE: dict[str, Any] = {
    "id": 34_000_000_001,
    "app": {"slug": "github-actions", "name": "GitHub Actions"},
    "head_sha": SHA,
    "status": "completed",
    "conclusion": "success",
    "updated_at": "2025-03-01T12:00:00Z",
}
CHECK_RUN: dict[str, Any] = {
    "id": 38_000_000_001,
    "name": "EasyCLA",
    "app": {"slug": "easycla", "name": "EasyCLA"},
    "head_sha": SHA,
    "status": "completed",
    "conclusion": "success",
    "started_at": "2025-03-01T11:00:00Z",
    "completed_at": "2025-03-01T11:00:09Z",
    "details_url": "https://easycla.example/1",
    "html_url": "https://github.com/pytorch/pytorch/runs/38000000001",
    "check_suite": {"id": 34_000_000_001},
}
STATUS: dict[str, Any] = {
    "id": 31_000_000_001,
    "context": "ci/circleci: build",
    "state": "error",
    "target_url": "https://circleci.example/1",
    "created_at": "2025-03-01T11:00:00Z",
    "updated_at": "2025-03-01T11:10:00Z",
}
