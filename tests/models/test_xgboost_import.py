"""XGBoost without scikit-learn: what scores starts sooner, what trains has both."""

import subprocess
import sys

import pytest

SCORES = "import streams.stages.kafka_score, sys; assert 'xgboost' in sys.modules and 'sklearn' not in sys.modules"
TRAINS_AFTERWARDS = """
import numpy as np
from models.xgboost_import import xgb
from sklearn.linear_model import LogisticRegression

rows, fraud = np.arange(40.0).reshape(20, 2), np.arange(20) > 9
assert LogisticRegression().fit(rows, fraud).predict(rows).any()
assert xgb.train({"objective": "binary:logistic"}, xgb.DMatrix(rows, fraud), 2).inplace_predict(rows).shape == (20,)
"""
HAS_IT_ALREADY = """
import sklearn
from models.xgboost_import import xgb

assert issubclass(xgb.XGBClassifier, sklearn.base.BaseEstimator)
"""


@pytest.mark.parametrize("program", [SCORES, TRAINS_AFTERWARDS, HAS_IT_ALREADY])
def test_a_process_of_its_own(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
