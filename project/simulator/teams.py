"""Who belongs to the simulated organization: its teams, and what their members may do to the repository."""

from dataclasses import dataclass, field

from project.simulator import names
from project.simulator.payloads import user_id

# Everybody else only contributes.
TEAMS: dict[str, tuple[str, ...]] = {
    "triagers": ("clover-nine", "fern-hollow", "ivy-lattice"),
    "tree-huggers": ("larchmont-sim", "oakapple", "rowan-ash"),
    "maintainers": ("cedarline", "willow-wisp"),
    "owners": ("juniper-q",),
}
PERMISSIONS = {"triagers": "triage", "tree-huggers": "write", "maintainers": "maintain", "owners": "admin"}
_FOLDED = {"triage": "read", "maintain": "write"}  # GitHub's older field knows four only

# What the site is given for them when it starts with the simulated GitHub: roles of `project.accounts`, by name.
ROLES = {"triagers": "triager", "tree-huggers": "tree_hugger", "maintainers": "maintainer", "owners": "admin"}


@dataclass
class Organization:
    """The teams as they are now: tests have people join, leave and rename themselves."""

    members: dict[str, list[str]] = field(default_factory=lambda: {team: list(who) for team, who in TEAMS.items()})
    renamed: dict[str, str] = field(default_factory=dict)  # first login → the one of today

    def people(self) -> list[str]:
        """First logins of all."""
        return sorted({*names.AUTHORS, *(login for members in self.members.values() for login in members)})

    def login(self, person: str) -> str:
        """What a person is called today."""
        return self.renamed.get(person, person)

    def named(self, login: str) -> str | None:
        """Who is called that today."""
        return next((one for one in self.people() if self.login(one).lower() == login.lower()), None)

    def numbered(self, number: int) -> str | None:
        """Whose number it is; it never changes."""
        return next((one for one in self.people() if user_id(one) == number), None)

    def teams_of(self, person: str) -> list[str]:
        return [team for team, members in self.members.items() if person in members]

    def role_name(self, person: str) -> str:
        """The highest permission that a team gives; of a public repository everybody may read."""
        held = [PERMISSIONS.get(team, "read") for team in self.teams_of(person)]
        return max(held, key=["read", "triage", "write", "maintain", "admin"].index, default="read")

    def permission(self, person: str) -> str:
        """The same in GitHub's older field."""
        role = self.role_name(person)
        return _FOLDED.get(role, role)
