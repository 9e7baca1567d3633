"""Day by day to canonical tables."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from features.arrays import Bool, Int64
from features.history.columns import CANONICAL, MAPPABLE
from streams.simulate.fraud import FraudScenarios
from streams.simulate.population import COUNTRIES, MCCS, Population, populate
from streams.simulate.purchases import NO_DEVICE, DayLog, purchases
from streams.simulate.spec import DAY_MS, SimulationSpec

# What a simulated file holds: when labels arrive is settled when it is read (preset "tidemark", --labels-after).
SIMULATED = pa.schema([CANONICAL.field(name) for name in MAPPABLE])

_ROWS_AT_ONCE = 500_000
_PURCHASES_A_DAY = 2  # on average, of a user
# transaction_id = day number × this + place in the day.
_IDS_A_DAY = 10**9
_CURRENCY = "EUR"
_CHANNELS = ("pos", "online")


def simulate(spec: SimulationSpec) -> pa.Table:
    """The simulated transactions as one canonical table ordered by event_time, is_fraud known everywhere, label_time null."""
    table = pa.concat_tables(simulate_chunks(spec)).combine_chunks()
    return table.append_column(CANONICAL.field("label_time"), pa.nulls(table.num_rows, pa.int64()))


def simulate_chunks(spec: SimulationSpec) -> Iterator[pa.Table]:
    """The same in tables of some half a million rows (schema SIMULATED), each of whole days. The same spec gives the same tables."""
    population = populate(spec)
    scenarios = FraudScenarios(population)
    days_at_once = max(1, _ROWS_AT_ONCE // (_PURCHASES_A_DAY * spec.users))
    for first in range(spec.first_day, spec.last_day + 1, days_at_once):
        days = range(first, min(first + days_at_once, spec.last_day + 1))
        yield _table(population, [(day, _day(population, scenarios, day)) for day in days])


def _day(population: Population, scenarios: FraudScenarios, day: int) -> DayLog:
    log = scenarios.lay_over(purchases(population, day), day)
    return log.take(np.argsort(log.time, kind="stable"))


def _table(population: Population, days: list[tuple[int, DayLog]]) -> pa.Table:
    log = DayLog(*(np.concatenate(columns) for columns in zip(*(vars(log).values() for _, log in days), strict=True)))
    number = np.concatenate([day * _IDS_A_DAY + np.arange(len(log)) for day, log in days])
    midnight = np.concatenate([np.full(len(log), day * DAY_MS) for day, log in days])
    fields = {
        "transaction_id": _ids(number),
        "event_time": pa.array(midnight + log.time),
        "user_id": _ids(log.user),
        "merchant_id": _ids(log.merchant),
        "amount": pa.array(np.rint(log.amount * 100).astype(np.int64)),
        "currency": pa.repeat(pa.scalar(_CURRENCY), len(log)),
        "device_id": _ids(log.device, log.device == NO_DEVICE),
        "country": _named(population.country[log.merchant], COUNTRIES),
        "channel": _named(log.online.astype(np.int64), _CHANNELS),
        "mcc": _named(population.mcc[log.merchant], MCCS),
        "is_fraud": pa.array(log.fraud),
    }
    return pa.table([fields[name] for name in SIMULATED.names], schema=SIMULATED)


def _ids(number: Int64, absent: Bool | None = None) -> pa.StringArray:
    return pa.array(number, mask=absent).cast(pa.string())


def _named(index: Int64, names: tuple[str, ...]) -> pa.StringArray:
    return pa.array(names).take(pa.array(index))
