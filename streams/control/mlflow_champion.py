"""The serving model: the registry's champion, followed while its alias moves."""

import logging
import math
import threading
import time
from pathlib import Path

from features.definitions import FeatureSet
from models.experiments.variant import Variant
from models.registry import mlflow_registry
from models.scoring import Scorer
from streams.control.mlflow_kept_champion import KeptChampion

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 2.0
_REPORT_EVERY_S = 10.0
# The registry's client may wait for minutes for one that takes connections and doesn't answer.
_PATIENCE_S = 15.0


class Champion:
    """Loads the champion and looks every two seconds whether another has become it.

    A new one is loaded beside the old and takes over between two batches, so scoring never pauses. While the registry can't be reached the
    present one serves on; at a start, the one that was loaded last, which is kept in ``home`` (empty: none is).
    """

    def __init__(self, tracking_uri: str, feature_set: FeatureSet, home: str = "", *, patience: float = _PATIENCE_S) -> None:
        self._tracking_uri = tracking_uri
        self._feature_set = feature_set
        self._kept = KeptChampion(Path(home) if home else None)
        self._changing = threading.Lock()
        self._variant: Variant | None = None
        # Whether the registry itself has given what serves: a kept one may be another's of the same number.
        self._confirmed = False
        self._answered = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="champion", daemon=True)
        self._thread.start()
        threading.Thread(target=self._wait_for_an_answer, args=(patience,), name="kept champion", daemon=True).start()

    def current(self) -> Variant:
        """The model to score with now. Raises RuntimeError if none is loaded yet."""
        if self._variant is None:
            raise RuntimeError("no champion is loaded yet; see loaded")
        return self._variant

    @property
    def loaded(self) -> bool:
        """Whether there is a champion to score with."""
        return self._variant is not None

    def close(self) -> None:
        """Stops looking."""
        self._closing.set()
        self._answered.set()
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        reported = -math.inf
        while not self._closing.is_set():
            complaint = ""
            try:
                self._look()
                if self._variant is None:
                    complaint = f"the registry at {self._tracking_uri} has no champion yet; train one with tidemark train"
            except Exception as error:  # whatever the registry's client may raise, the present champion serves on
                complaint = f"the champion could not be loaded from {self._tracking_uri}, {self._instead()}: {error}"
            self._answered.set()
            if complaint and time.monotonic() >= reported + _REPORT_EVERY_S:
                reported = time.monotonic()
                logger.warning("%s", complaint)
            self._closing.wait(_LOOK_EVERY_S)

    def _look(self) -> None:
        version = mlflow_registry.champion_version(self._tracking_uri)
        if version is None or (self._confirmed and self.current().scorer.model_version == version):
            return
        began = time.monotonic()
        scorer, copy = mlflow_registry.fetch(version, self._tracking_uri)
        if self._is_foreign(scorer):
            raise ValueError(
                f"version {version} was trained on features {scorer.features_digest[:12]}, this worker computes {self._feature_set.name} "
                f"({self._feature_set.digest[:12]}); train one with --features {self._feature_set.name}"
            )
        with self._changing:
            known = self._variant
            if known is None or _identity(known.scorer) != _identity(scorer):
                self._variant = Variant(scorer)
            self._confirmed = True
        logger.info("version %s (%s) is champion, loaded in %.1f s", version, scorer.model_digest[:12], time.monotonic() - began)
        self._kept.keep(copy)

    def _wait_for_an_answer(self, patience: float) -> None:
        if not self._answered.wait(patience):
            logger.warning("the registry at %s doesn't answer, %s", self._tracking_uri, self._instead())

    def _instead(self) -> str:
        """What serves while the registry gives none; the kept one does from here on, if there is none else."""
        with self._changing:
            if self._variant is not None:
                return "the present one stays"
            kept = self._kept.read()
            if kept is None or self._is_foreign(kept):
                return "and none is kept that could serve instead"
            self._variant = Variant(kept)
        return f"version {kept.model_version} ({kept.model_digest[:12]}) serves, which is kept in {self._kept.file}"

    def _is_foreign(self, scorer: Scorer) -> bool:
        return scorer.features_digest != self._feature_set.digest


def _identity(scorer: Scorer) -> tuple[str, ...]:
    return scorer.model_name, scorer.model_version, scorer.model_digest, scorer.policy.digest
