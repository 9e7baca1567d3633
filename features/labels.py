"""Which label of a transaction counts: the newest by label time."""

import msgspec

Labelled = tuple[str, int, str]
"""What a label is about: transaction_id, event_time (ms), merchant_id. Labels that differ in any of them are about different things."""

_Entry = tuple[str, int, str, int, bool]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Entry]).decode


class LabelBook:
    """Remembers, per user and transaction, the label that counts, so that a repeated one changes nothing and a reversed one takes back.

    It may forget labels that reach no window of their user any more, for the windows take no further label of that age either.
    """

    def __init__(self) -> None:
        self._counting: dict[str, dict[Labelled, tuple[int, bool]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._counting.values()))

    def delta(self, user_id: str, labelled: Labelled, label_time: int, is_fraud: bool) -> int:
        """What this label adds to the fraud count of its transaction's tile: +1, 0 or −1.

        A label older (``label_time``, ms) than the one that counts is ignored; of equally old ones the later in the log counts.
        """
        of_user = self._counting.setdefault(user_id, {})
        known = of_user.get(labelled)
        if known is not None and label_time < known[0]:
            return 0
        of_user[labelled] = (label_time, is_fraud)
        return int(is_fraud) - int(known is not None and known[1])

    def encode(self, user_id: str, horizon: int) -> bytes:
        """A user's labels as bytes, in one canonical order; those of transactions before ``horizon`` (ms) are forgotten."""
        of_user = self._counting.get(user_id)
        if of_user is None:
            return b""
        for labelled in [labelled for labelled in of_user if labelled[1] < horizon]:
            del of_user[labelled]
        if not of_user:
            del self._counting[user_id]
            return b""
        return _encode(sorted((*labelled, *counting) for labelled, counting in of_user.items()))

    def restore(self, user_id: str, encoded: bytes) -> None:
        """Takes back what ``encode`` gave. Raises ValueError (msgspec's) if these are other bytes."""
        if encoded:
            self._counting[user_id] = {
                (transaction_id, event_time, merchant_id): (label_time, is_fraud)
                for transaction_id, event_time, merchant_id, label_time, is_fraud in _decode(encoded)
            }
