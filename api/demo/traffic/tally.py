"""What a run has sent and what came of it. Threads share one tally; clocks are arguments (seconds, monotonic)."""

import base64
import threading
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

from api.demo.traffic.latency import Latencies
from api.demo.traffic.offers import Offer, Way
from models.costs import Costs
from streams.messages.events import DeadLetter, Decision

_RATE_OVER_S = 5.0
_REMARKABLE_KEPT = 8
_COSTS = Costs()


@dataclass
class Fraud:
    """Live transactions that the simulation made fraud, and how many of them were caught (reviewed or blocked); ``flagged`` counts what
    was caught of fraud or not. ``at_stake`` is what all would have cost had every payment been let through, ``saved`` what decisions saved
    of it, less what reviews and payments wrongly blocked cost (minor units, ``models.costs.Costs``). Only decided ones count."""

    transactions: int = 0
    caught: int = 0
    flagged: int = 0
    at_stake: float = 0.0
    saved: float = 0.0


@dataclass(frozen=True)
class Remarkable:
    """A decision worth showing: flagged, or one that the user asked the API for, of whose truth nobody knows (None)."""

    decision: Decision
    is_fraud: bool | None


@dataclass
class Tally:
    """The run's own counts. ``sent`` is what broker or API acknowledged, bad records included, labels not."""

    run: str
    sent: int = 0
    labels: int = 0
    api_calls: int = 0
    decided: int = 0
    repeated: int = 0
    newest: Offer | None = None  # the last transaction that was to be sent
    verdicts: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    fraud: Fraud = field(default_factory=Fraud)
    latencies: Latencies = field(default_factory=Latencies)
    api_latencies: Latencies = field(default_factory=Latencies)
    remarkable: deque[Remarkable] = field(default_factory=lambda: deque(maxlen=_REMARKABLE_KEPT))
    models: Counter[tuple[str, str]] = field(default_factory=Counter)
    last_arrival: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    _undecided: dict[str, tuple[Offer, float]] = field(default_factory=dict)
    _arrivals: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def refused(self) -> int:
        """The dead letters of this run."""
        return self.dead_letters.total()

    @property
    def outstanding(self) -> int:
        """Transactions sent of which nothing has been heard yet."""
        return self.sent - self.decided - self.refused

    def expect(self, offer: Offer, due: float) -> None:
        """Notes a transaction before it is sent; ``due`` is when it was meant to be, from which its latency counts."""
        with self.lock:
            self._undecided[offer.transaction_id] = (offer, due)
            self.newest = offer

    def acknowledged(self, way: Way) -> None:
        """Notes that the broker has what was sent."""
        with self.lock:
            if way is Way.LABEL:
                self.labels += 1
            else:
                self.sent += 1

    def answered(self, now: float, due: float) -> None:
        """Notes that the API has given its decision on a transaction that was ``due`` then."""
        with self.lock:
            self.sent += 1
            self.api_calls += 1
            self.api_latencies.add(now, 1000 * (now - due))

    def take_decision(self, decision: Decision, now: float) -> None:
        """Counts a decision, if it is of this run; shows those that somebody else asks the API for."""
        with self.lock:
            if not decision.transaction_id.startswith(f"{self.run}-"):
                if decision.origin == "api":
                    self.remarkable.append(Remarkable(decision, None))
                return
            self.decided += 1
            self.last_arrival = now
            self.verdicts[decision.decision] += 1
            self.models[decision.model_version, decision.model_digest] += 1
            offer, due = self._undecided.pop(decision.transaction_id, (None, now))
            if offer is None:
                self.repeated += 1
            elif offer.live:
                self._take_live(decision, offer, now, due)

    def take_dead_letter(self, letter: DeadLetter, now: float) -> None:
        """Counts a dead letter, if it is of this run: even a bad record says whose it is."""
        try:
            value = base64.b64decode(letter.value_base64 or "")
        except ValueError:
            return
        if f'"{self.run}-'.encode() in value:
            with self.lock:
                self.dead_letters[letter.reason] += 1
                self.last_arrival = now

    def rate(self, now: float) -> float:
        """Decisions a second, of the last five seconds or so; call it some times a second."""
        with self.lock:
            self._arrivals.append((now, self.decided))
            while len(self._arrivals) > 2 and self._arrivals[1][0] <= now - _RATE_OVER_S:
                self._arrivals.popleft()
            (then, before), (last, decided) = self._arrivals[0], self._arrivals[-1]
        return (decided - before) / (last - then) if last > then else 0.0

    def _take_live(self, decision: Decision, offer: Offer, now: float, due: float) -> None:
        self.latencies.add(now, 1000 * (now - due))
        flagged = decision.decision != "approve"
        self.fraud.transactions += offer.is_fraud
        self.fraud.flagged += flagged
        self.fraud.caught += flagged and offer.is_fraud
        amount, is_fraud = np.array([decision.amount]), np.array([offer.is_fraud])
        reviewed, blocked = (np.array([decision.decision == verdict]) for verdict in ("review", "block"))
        self.fraud.at_stake += float(_COSTS.lost(amount, is_fraud)[0])
        self.fraud.saved += float(_COSTS.saved(amount, is_fraud, reviewed, blocked)[0])
        if flagged:
            self.remarkable.append(Remarkable(decision, offer.is_fraud))
