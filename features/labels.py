"""Which label of a transaction counts: the newest by label time."""


class LabelBook:
    """Remembers, per transaction, the label that counts, so that a repeated one changes nothing and a reversed one takes back."""

    def __init__(self) -> None:
        self._counting: dict[tuple[str, str], tuple[int, bool]] = {}

    def __len__(self) -> int:
        return len(self._counting)

    def delta(self, user_id: str, transaction_id: str, label_time: int, is_fraud: bool) -> int:
        """What this label adds to the fraud count of its transaction's tile: +1, 0 or −1.

        A label older (``label_time``, ms) than the one that counts is ignored; of equally old ones the later in the log counts.
        """
        known = self._counting.get((user_id, transaction_id))
        if known is not None and label_time < known[0]:
            return 0
        self._counting[user_id, transaction_id] = (label_time, is_fraud)
        return int(is_fraud) - int(known is not None and known[1])
