"""One row of the bench's table: a measure, its floor from the same run, and the ratio that was promised."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`value` and `floor` are in `unit`; what is promised is a bound on value / floor."""

    what: str
    value: float
    unit: str
    floor: float
    bound: str  # "<=" or ">="
    promised: float
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.value / self.floor if self.floor else float("inf")

    @property
    def kept(self) -> bool:
        return self.ratio <= self.promised if self.bound == "<=" else self.ratio >= self.promised


def printed(rows: Iterable[Row]) -> str:
    """The table as text."""
    lines = [f"{'what':<58} {'value':>12} {'floor':>12} {'ratio':>7}  promised  kept"]
    lines += [
        f"{row.what:<58} {row.value:>12,.2f} {row.floor:>12,.2f} {row.ratio:>7.2f}  {row.bound} {row.promised:<6g}"
        f" {'yes' if row.kept else 'NO':<4} {row.unit}{'; ' + row.note if row.note else ''}"
        for row in rows
    ]
    return "\n".join(lines)


def as_json(rows: Iterable[Row]) -> str:
    """The table for machines."""
    return json.dumps(
        [{**row.__dict__, "ratio": round(row.ratio, 4), "kept": row.kept} for row in rows], indent=1, ensure_ascii=False
    )
