"""XGBoost, imported in half of the time: ``from models.xgboost_import import xgb`` wherever something must start soon."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or "xgboost" in sys.modules or "sklearn" in sys.modules:
    import xgboost as xgb
else:
    # It would import scikit-learn, for classes in that library's manner which we don't use: 1.2 s of CPU in every process that scores. For
    # this import alone it isn't there, and XGBoost does without, as it does where it isn't installed.
    sys.modules["sklearn"] = None
    try:
        import xgboost as xgb
    finally:
        del sys.modules["sklearn"]

__all__ = ["xgb"]
