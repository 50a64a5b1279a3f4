"""The tables, by what they are about. Import them from here."""

from hud.models.breaks import *  # noqa: F403
from hud.models.trunk import *  # noqa: F403
