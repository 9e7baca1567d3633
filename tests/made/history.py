"""Small simulated histories, as files for ``--columns tidemark``."""

from pathlib import Path

from features.definitions import DAY
from features.history.datafile import write_transactions
from streams.simulate import SIMULATED, SimulationSpec, simulate_chunks

BEGIN = 20_089 * DAY  # 2025-01-01


def simulated(file: Path, days: int, *, seed: int = 1, users: int = 400, merchants: int = 300, takeovers: float = 20) -> Path:
    """So many days from 2025-01-01, written to the file."""
    spec = SimulationSpec(seed=seed, users=users, merchants=merchants, start_ms=BEGIN, days=days, takeovers=takeovers)
    write_transactions(file, simulate_chunks(spec), SIMULATED)
    return file
