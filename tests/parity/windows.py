"""The window table, restated, and the oracle that goes by it; the product's own takes its windows from the definitions."""

from collections.abc import Iterable, Mapping

from features.oracle import Oracle, OracleWindow
from tests.parity.logs import DAY, HOUR, MINUTE, SECOND

AMOUNT_WINDOWS: Mapping[str, OracleWindow] = {
    "5m": OracleWindow(5 * MINUTE, 5 * SECOND),
    "1h": OracleWindow(1 * HOUR, 1 * MINUTE),
    "24h": OracleWindow(24 * HOUR, 30 * MINUTE),
    "7d": OracleWindow(7 * DAY, 3 * HOUR),
    "14d": OracleWindow(14 * DAY, 3 * HOUR),
    "30d": OracleWindow(30 * DAY, 12 * HOUR),
}
FRAUD_WINDOWS: Mapping[str, OracleWindow] = {
    "1d": OracleWindow(1 * DAY, 3 * HOUR, delay=7 * DAY),
    "7d": OracleWindow(7 * DAY, 3 * HOUR, delay=7 * DAY),
    "30d": OracleWindow(30 * DAY, 12 * HOUR, delay=7 * DAY),
}


def restated(devices: bool = False, extra: Mapping[str, OracleWindow] | None = None, large: Iterable[tuple[int, str]] = ()) -> Oracle:
    """The oracle of ``fraud_v1``, or with ``devices`` of ``fraud_v2``; ``extra`` adds windows, of frauds if delayed, else of amounts, and
    ``large`` says what amounts to count in which, in percent of the mean before."""
    extra = extra or {}
    return Oracle(
        {**AMOUNT_WINDOWS, **{name: window for name, window in extra.items() if not window.delay}},
        {**FRAUD_WINDOWS, **{name: window for name, window in extra.items() if window.delay}},
        devices,
        large=large,
    )
