"""The head of the grid's table, as HTML: built once for a set of columns, then kept."""

from __future__ import annotations

from hashlib import blake2b
from html import escape
from typing import NamedTuple
from urllib.parse import quote

from hud.address import Address
from hud.layout import Kept, Shape

HEADERS = Kept(32)
LABEL_ROOM = 22  # characters


class Header(NamedTuple):
    """`middles[i]` is what stands between the sha in a link of column i and the sha in its label."""

    columns: bytes
    names: bytes
    counts: bytes
    key: str
    middles: list[bytes]


def plain(text: str) -> str:
    """GitHub's text as HTML. Control characters become spaces: `hud.grid` has uses of its own for those bytes."""
    return escape(text).translate(_NO_CONTROLS)


_NO_CONTROLS = dict.fromkeys(range(32), " ")


def shortened(label: str) -> str:
    """A label that has room above its column. Its end stays: that is where compiler and suite stand."""
    return label if len(label) <= LABEL_ROOM else f"…{label[1 - LABEL_ROOM :].lstrip(' -/')}"


def of(shape: Shape, address: Address, path: str, suffix: str) -> Header:
    """The header for these columns in this view. A `Shape` is itself kept, so its identity stands for its columns.

    `path` is the page's address; `suffix` what a cell's address ends with.
    """
    key = (shape, address.query(at="", page=1), path, suffix)
    return HEADERS.get(key, lambda: _build(shape, address, path, suffix))


def _build(shape: Shape, address: Address, path: str, suffix: str) -> Header:
    columns, names, counts, middles = [], [], [], []
    skip = 0
    for column in shape.columns:
        name, key = plain(column.name), quote(column.key)
        middles.append(f'/{key}{suffix}" data-g="{name}" aria-label="{name}, '.encode())
        columns.append("<col class=k>" if not column.single else '<col class="k mem">')
        toggle = ""
        if len(column.members) > 1:
            toggle = escape(path + address.query(open=address.toggled(column.group.slug), at=""))
        label = plain(shortened(column.members[0].label if column.single else column.group.name))
        title = plain(column.members[0].full_name) if len(column.members) == 1 else name
        mark = " class=mem" if column.single else " class=exp" if column.unfolded else ""
        inner = (
            f'<a href="{toggle}" tabindex=-1><bdi>{label}</bdi></a>' if toggle else f"<span><bdi>{label}</bdi></span>"
        )
        names.append(f'<th scope=col{mark} data-c="{key}" data-n="{name}" title="{title}">{inner}')
        if skip:
            skip -= 1
        elif column.unfolded:
            skip = len(column.members)
            counts.append(
                f'<th scope=colgroup class=open colspan={skip + 1}><a href="{toggle}" aria-expanded=true data-open='
                f'"{plain(column.group.slug)}"><span><bdi>{name}</bdi> · {len(column.members)}</span></a>'
            )
        elif toggle:
            counts.append(
                f'<th scope=col><a href="{toggle}" aria-expanded=false data-open="{plain(column.group.slug)}" '
                f'aria-label="Show the {len(column.members)} configurations of {name}">{len(column.members)}</a>'
            )
        else:
            counts.append("<th scope=col>1")
    head = "".join(names).encode()
    key = blake2b(head + suffix.encode(), digest_size=12).hexdigest()
    return Header("".join(columns).encode(), head, "".join(counts).encode(), key, middles)
