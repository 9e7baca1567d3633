"""The last champion, kept in the deployment's home: with it SCORE and the API start while the registry can't be reached."""

import contextlib
import logging
import os
import threading
from pathlib import Path

from features.errors import UserError
from models.registry.mlflow_folder import scorer_of
from models.registry.model_copy import ModelCopy, from_bytes, to_bytes
from models.scoring import Scorer

logger = logging.getLogger(__name__)


class KeptChampion:
    """One file; workers and API of a home write it alike, each as a whole. ``home`` None: nothing is kept."""

    def __init__(self, home: Path | None) -> None:
        self.file = None if home is None else home / "kept" / "champion"

    def keep(self, copy: ModelCopy) -> None:
        """Makes this the one that is kept; where it can't be written, that is logged and the former stays."""
        if self.file is None:
            return
        new = self.file.with_name(f"{self.file.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with new.open("wb") as file:
                file.write(to_bytes(copy))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.file)
        except OSError as error:
            logger.warning("version %s could not be kept in %s for times without the registry: %s", copy.version, self.file, error)
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)

    def read(self) -> Scorer | None:
        """The scorer that is kept, exactly as it was registered; None if there is none, or, which is logged, none that can be used."""
        if self.file is None:
            return None
        try:
            copy = from_bytes(self.file.read_bytes())
            return scorer_of(copy.files, copy.name, copy.version, copy.digests)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, UserError) as error:
            logger.warning("the champion kept in %s is ignored, for it can't be used: %s", self.file, error)
            return None
