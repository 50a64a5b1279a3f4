"""Says whether a running site shows commits: `python -m tests.smoke http://localhost:8000/` ends with 0 if it does.

The start page leads to the grid of the only repository, and a commit there is a link to GitHub's page of it.
"""

import re
import sys

import requests

COMMIT = re.compile(r"/commit/[0-9a-f]{40}")


def commits_shown(address: str) -> int:
    """How many different commits the page shows."""
    answer = requests.get(address, timeout=30)
    answer.raise_for_status()
    return len(set(COMMIT.findall(answer.text)))


if __name__ == "__main__":
    shown = commits_shown(sys.argv[1])
    print(f"{shown} commits")
    sys.exit(shown < 10)
