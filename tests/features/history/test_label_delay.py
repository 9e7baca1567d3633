"""A fraud is known a given time after it happened."""

import pytest

from features.errors import UserError
from features.history.columns import canonical_table, parse_mapping
from features.history.label_delay import parse_labels_after, with_label_times
from tests.made.transaction_files import NOON, file_of

MAPPING = parse_mapping("transaction_id=id,event_time=at,user_id=card,merchant_id=shop,amount=sum,currency=:EUR,is_fraud=bad", "minor")


@pytest.mark.parametrize(
    ("text", "labelled", "delay"),
    [
        (None, True, 7 * 86_400_000),
        (None, False, None),
        ("none", True, None),
        ("none", False, None),
        ("12h", True, 43_200_000),
        ("30m", True, 1_800_000),
        ("0s", True, 0),
    ],
)
def test_the_delay(text: str | None, labelled: bool, delay: int | None) -> None:
    assert parse_labels_after(text, labelled) == delay


@pytest.mark.parametrize(("text", "labelled"), [("7", True), ("-1d", True), ("4000d", True), ("week", True), ("7d", False)])
def test_what_is_no_delay_is_refused(text: str, labelled: bool) -> None:
    with pytest.raises(UserError, match=f"--labels-after {text} .*(use for example 7d|map it with --columns is_fraud=)"):
        parse_labels_after(text, labelled)


def test_only_frauds_get_a_label() -> None:
    table = canonical_table(file_of(bad=[1, 0, None]), MAPPING, "x.csv")
    assert with_label_times(table, 5)["label_time"].to_pylist() == [NOON + 5, None, None]
    assert with_label_times(with_label_times(table, 5), None)["label_time"].to_pylist() == [None] * 3
    assert with_label_times(table, 5).schema == table.schema
