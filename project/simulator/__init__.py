"""A simulated GitHub: a separate process that speaks GitHub's REST API over real HTTP.

The modules, from the inside out:

- `clock`: simulated time. `draws`: random numbers that depend only on a key.
- `names`, `catalogue`, `failures`: what the world is made of (people, titles, workflows, ways to fail).
- `history`: commits, branches and breaks. `plans`: workflow runs, attempts, jobs, other checks. Both are pure.
- `world`: everything above as it stands at one moment, with what a test changed on top, and the truth.
- `payloads`, `ci_payloads`: GitHub's JSON. `pages`: a few HTML pages, so that no link is dead.
- `limits`, `faults`: rate limits and trouble on request. `gate`: what every request passes through.
- `repository_routes`, `ci_routes`, `account_routes`, `control`: the endpoints. `server`: the application.
- `running`: starts it in a thread for tests and benchmarks.

Nothing is stored. The state at any moment is computed from the seed, so a restart continues the same world.
"""
