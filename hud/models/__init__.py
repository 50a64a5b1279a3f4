"""The tables, by what they are about. Import them from here."""

from hud.models.alerts import *  # noqa: F403
from hud.models.breaks import *  # noqa: F403
from hud.models.deliveries import *  # noqa: F403
from hud.models.last_good import *  # noqa: F403
from hud.models.logs import *  # noqa: F403
from hud.models.metrics import *  # noqa: F403
from hud.models.pulls import *  # noqa: F403
from hud.models.trunk import *  # noqa: F403
