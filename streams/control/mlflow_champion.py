"""The serving model: the registry's champion, followed while its alias moves."""

import logging
import math
import threading
import time

from features.definitions import FeatureSet
from models.experiments.variant import Variant
from models.registry import mlflow_registry
from models.registry.record import MODEL_NAME

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 2.0
_REPORT_EVERY_S = 10.0


class Champion:
    """Loads the champion and looks every two seconds whether another has become it.

    A new one is loaded beside the old and takes over between two batches, so scoring never pauses. While the registry can't be reached the
    present one serves on.
    """

    def __init__(self, tracking_uri: str, feature_set: FeatureSet) -> None:
        self._tracking_uri = tracking_uri
        self._feature_set = feature_set
        self._variant: Variant | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="champion", daemon=True)
        self._thread.start()

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
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        reported = -math.inf
        while not self._closing.is_set():
            try:
                self._look()
                if self._variant is None and time.monotonic() >= reported + _REPORT_EVERY_S:
                    reported = time.monotonic()
                    logger.warning("the registry at %s has no champion yet; train one with tidemark train", self._tracking_uri)
            except Exception as error:  # whatever the registry's client may raise, the present champion serves on
                logger.warning("the champion could not be loaded from %s, the present one stays: %s", self._tracking_uri, error)
            self._closing.wait(_LOOK_EVERY_S)

    def _look(self) -> None:
        version = mlflow_registry.champion_version(self._tracking_uri)
        if version is None or (self._variant is not None and self._variant.scorer.model_version == version):
            return
        began = time.monotonic()
        scorer = mlflow_registry.load(f"models:/{MODEL_NAME}/{version}", self._tracking_uri)
        if scorer.features_digest != self._feature_set.digest:
            raise ValueError(
                f"version {version} was trained on features {scorer.features_digest[:12]}, this worker computes {self._feature_set.name} "
                f"({self._feature_set.digest[:12]}); train one with --features {self._feature_set.name}"
            )
        self._variant = Variant(scorer)
        logger.info("version %s (%s) is champion, loaded in %.1f s", version, scorer.model_digest[:12], time.monotonic() - began)
