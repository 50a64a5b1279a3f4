"""GitHub's JSON for repositories, people, branches and commits.

Every function takes `base`, the address that the request came to (`http://127.0.0.1:8010`): API and page addresses
alike point back to the simulator.
"""

import base64
from functools import lru_cache
from typing import Any

from project.simulator import names
from project.simulator.clock import iso
from project.simulator.draws import digest
from project.simulator.files import Touch
from project.simulator.history import BESIDE, DAY, EPOCH_DAY, TRUNK, Commit
from project.simulator.world import World

Json = dict[str, Any]

_REPOSITORY_PATHS = {
    "archive_url": "/{archive_format}{/ref}", "assignees_url": "/assignees{/user}", "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}", "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}", "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}", "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors", "deployments_url": "/deployments", "downloads_url": "/downloads",
    "events_url": "/events", "forks_url": "/forks", "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}", "git_tags_url": "/git/tags{/sha}", "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}", "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}", "keys_url": "/keys{/key_id}", "labels_url": "/labels{/name}",
    "languages_url": "/languages", "merges_url": "/merges", "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}", "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}", "stargazers_url": "/stargazers", "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers", "subscription_url": "/subscription", "tags_url": "/tags",
    "teams_url": "/teams", "trees_url": "/git/trees{/sha}",
}  # fmt: skip
_USER_PATHS = {
    "followers_url": "/followers", "following_url": "/following{/other_user}", "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}", "subscriptions_url": "/subscriptions", "organizations_url": "/orgs",
    "repos_url": "/repos", "events_url": "/events{/privacy}", "received_events_url": "/received_events",
}  # fmt: skip


def node_id(kind: str, number: object) -> str:
    """Opaque, as GitHub's are."""
    return f"{kind}_{base64.urlsafe_b64encode(str(number).encode()).decode().rstrip('=')}"


def user_id(login: str) -> int:
    if login in names.AUTHORS:
        return 9_100_001 + names.AUTHORS.index(login)
    return 9_200_000 + int.from_bytes(digest("user", login)[:2])


@lru_cache(maxsize=512)
def user(login: str, base: str, kind: str = "User") -> Json:
    """A simple user. Callers must not change it: it is shared."""
    number = user_id(login)
    return {
        "login": login,
        "id": number,
        "node_id": node_id("U", number),
        "avatar_url": f"{base}/avatars/u/{number}",
        "gravatar_id": "",
        "url": f"{base}/users/{login}",
        "html_url": f"{base}/{login}",
        **{key: f"{base}/users/{login}{path}" for key, path in _USER_PATHS.items()},
        "type": kind,
        "user_view_type": "public",
        "site_admin": False,
    }


def person(login: str, base: str) -> Json:
    return user(login, base, "Bot" if login == names.BOT else "User")


def minimal_repository(world: World, base: str) -> Json:
    """The repository as it stands inside runs and suites. It never changes by itself, so neither do their ETags."""
    url = f"{base}/repos/{world.full_name}"
    return {
        "id": world.id,
        "node_id": node_id("R", world.id),
        "name": world.repo,
        "full_name": world.full_name,
        "private": False,
        "owner": user(world.owner, base, "Organization"),
        "html_url": f"{base}/{world.full_name}",
        "description": world.catalogue.description,
        "fork": False,
        "url": url,
        **{key: url + path for key, path in _REPOSITORY_PATHS.items()},
    }


def repository(world: World, base: str, now: float) -> Json:
    pushed = iso(max(head.time for _, head in world.branches(now)))
    html = f"{base}/{world.full_name}"
    return {
        **minimal_repository(world, base),
        "git_url": f"{html}.git",
        "ssh_url": f"{html}.git",
        "clone_url": f"{html}.git",
        "svn_url": html,
        "mirror_url": None,
        "homepage": None,
        "language": "C++",
        "forks_count": 812,
        "forks": 812,
        "stargazers_count": 4210,
        "watchers_count": 4210,
        "watchers": 4210,
        "size": 1_048_576,
        "default_branch": TRUNK,
        "open_issues_count": 640,
        "open_issues": 640,
        "is_template": False,
        "topics": ["arrays", "simulated"],
        "has_issues": True,
        "has_projects": True,
        "has_wiki": True,
        "has_pages": False,
        "has_downloads": True,
        "has_discussions": False,
        "archived": False,
        "disabled": False,
        "visibility": "public",
        "allow_forking": True,
        "web_commit_signoff_required": False,
        "pushed_at": pushed,
        "created_at": iso(EPOCH_DAY * DAY),
        "updated_at": pushed,
        "permissions": {"admin": False, "maintain": False, "push": True, "triage": True, "pull": True},
        "license": None,
        "temp_clone_token": None,
        "subscribers_count": 160,
        "network_count": 812,
        "organization": user(world.owner, base, "Organization"),
    }


def git_person(login: str, moment: int) -> Json:
    return {"name": login.replace("-", " ").title(), "email": f"{login}@users.example.org", "date": iso(moment)}


def commit(world: World, base: str, found: Commit) -> Json:
    url = f"{base}/repos/{world.full_name}"
    html = f"{base}/{world.full_name}"
    parent = world.parent(found)
    tree = world.trees.sha(found)
    committer = names.BOT if found.line != BESIDE else found.author
    return {
        "sha": found.sha,
        "node_id": node_id("C", found.sha),
        "commit": {
            "author": git_person(found.author, found.time - 60),
            "committer": git_person(committer, found.time),
            "message": world.message(found),
            "tree": {"sha": tree, "url": f"{url}/git/trees/{tree}"},
            "url": f"{url}/git/commits/{found.sha}",
            "comment_count": 0,
            "verification": {
                "verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None,
            },
        },
        "url": f"{url}/commits/{found.sha}",
        "html_url": f"{html}/commit/{found.sha}",
        "comments_url": f"{url}/commits/{found.sha}/comments",
        "author": person(found.author, base),
        "committer": person(committer, base),
        "parents": []
        if parent is None
        else [
            {
                "sha": parent.sha,
                "url": f"{url}/commits/{parent.sha}",
                "html_url": f"{html}/commit/{parent.sha}",
            }
        ],
    }  # fmt: skip


def commit_detail(world: World, base: str, found: Commit) -> Json:
    """A single commit, with statistics and files."""
    touches = world.trees.touches(found)
    added, removed = sum(touch.additions for touch in touches), sum(touch.deletions for touch in touches)
    return {
        **commit(world, base, found),
        "stats": {"total": added + removed, "additions": added, "deletions": removed},
        "files": [file(world, base, touch, found.sha) for touch in touches],
    }


def file(world: World, base: str, touch: Touch, sha: str) -> Json:
    """What a commit, up to and including `sha`, does to a file."""
    html = f"{base}/{world.full_name}"
    return {
        "sha": touch.blob or digest("gone", touch.name, sha).hex() + sha[:8],
        "filename": touch.name,
        "status": touch.status,
        "additions": touch.additions,
        "deletions": touch.deletions,
        "changes": touch.additions + touch.deletions,
        "blob_url": f"{html}/blob/{sha}/{touch.name}",
        "raw_url": f"{html}/raw/{sha}/{touch.name}",
        "contents_url": f"{base}/repos/{world.full_name}/contents/{touch.name}?ref={sha}",
        "patch": f"@@ -1,{touch.deletions} +1,{touch.additions} @@\n+// {sha[:10]}",
    }


def simple_commit(world: World, found: Commit) -> Json:
    """The head commit inside a run or a suite."""
    author = git_person(found.author, found.time)
    return {
        "id": found.sha,
        "tree_id": world.trees.sha(found),
        "message": world.message(found),
        "timestamp": iso(found.time),
        "author": {"name": author["name"], "email": author["email"]},
        "committer": {"name": author["name"], "email": author["email"]},
    }


def short_branch(world: World, base: str, name: str, head: Commit) -> Json:
    return {
        "name": name,
        "commit": {"sha": head.sha, "url": f"{base}/repos/{world.full_name}/commits/{head.sha}"},
        "protected": name == TRUNK,
    }


def branch(world: World, base: str, name: str, head: Commit) -> Json:
    url = f"{base}/repos/{world.full_name}/branches/{name}"
    guarded = name == TRUNK
    return {
        "name": name,
        "commit": commit(world, base, head),
        "_links": {"self": url, "html": f"{base}/{world.full_name}/tree/{name}"},
        "protected": guarded,
        "protection": {
            "enabled": guarded,
            "required_status_checks": {"enforcement_level": "off", "contexts": [], "checks": []},
        },
        "protection_url": f"{url}/protection",
    }


def comparison(
    world: World, base: str, from_: Commit, to: Commit, common: Commit, between: list[Commit], behind: int,
    touches: list[Touch],
) -> Json:  # fmt: skip
    """`common`: the merge base. `between`: the commits since then on the way to `to`, oldest first."""
    url = f"{base}/repos/{world.full_name}/compare/{from_.sha}...{to.sha}"
    html = f"{base}/{world.full_name}/compare/{from_.sha}...{to.sha}"
    status = "identical" if from_ == to else "ahead" if not behind else "diverged" if between else "behind"
    return {
        "url": url,
        "html_url": html,
        "permalink_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "base_commit": commit(world, base, from_),
        "merge_base_commit": commit(world, base, common),
        "status": status,
        "ahead_by": len(between),
        "behind_by": behind,
        "total_commits": len(between),
        "commits": [commit(world, base, found) for found in between[:250]],
        "files": [file(world, base, touch, to.sha) for touch in touches[:300]],
    }
