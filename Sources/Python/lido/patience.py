"""How long a pool waits for a service that is away or busy, before what it asked for fails."""

import time
from typing import Optional

from lido.errors import LidoError, ServiceError, Unreachable

#: How long a service that is away, or refuses for now, is waited for.
AWAY_SECONDS_MAX = 300.0

#: The pause where nobody says one, and where a service is ending: the next one is there soon.
_PAUSE = 0.5

#: The longest pause, whatever an answer says.
_PAUSE_MAX = 30.0

#: 503s without a `Retry-After` which waiting does not mend.
_FINAL = ("pool_not_started", "too_many_names", "too_many_pools")


def pause_after(error: LidoError) -> Optional[float]:
    """For how many seconds to wait before what failed so is tried again; None: that is in vain.

    What stands before a service answers 502, 504, or 503 without `Retry-After` while it is away.
    """
    if isinstance(error, Unreachable):
        return _PAUSE
    if not isinstance(error, ServiceError):
        return None
    if error.status in (429, 503) and error.retry_after is not None and error.code != "draining":
        return min(error.retry_after, _PAUSE_MAX)
    is_away = error.status in (429, 502, 503, 504) and error.code not in _FINAL
    return _PAUSE if is_away else None


class Patience:
    """Since when one thing has been tried in vain. For one thread; others may look at `since`."""

    def __init__(self, since: Optional[float] = None) -> None:
        """`since`: when the service was found away already; of the monotonic clock."""
        self.since = since

    def renew(self) -> None:
        """The service has answered."""
        self.since = None

    def is_over(self, wanted_since: float = 0.0) -> bool:
        """Notes a failure; whether it was waited for long enough by who has wanted something since
        then."""
        now = time.monotonic()
        if self.since is None:
            self.since = now
        return now - max(self.since, wanted_since) > AWAY_SECONDS_MAX
