"""How do events move, and how is nothing lost?

A transaction's way through the files, to be read in this order:

1. ``streams/workers/faust_app.py``: a stage's Faust agent, and ``streams/kafka/reader.py``, which reads for it;
2. ``streams/workers/partitions.py``: what was read makes a turn;
3. ``streams/stages/kafka_ingest.py``: INGEST's turn, around the pure ``streams/ingest.py``;
4. ``streams/messages/batches.py``: what INGEST sends to SCORE;
5. ``streams/stages/kafka_score.py``: SCORE's turn, around the pure ``streams/score.py``;
6. ``streams/delivery/kafka_delivery.py``: what a turn sends, its positions and its saved states become one whole;
7. ``streams/online/feast_projector.py``: the online store follows.

Both stages keep their states in ``streams/state/`` and share ``streams/stages/kafka_stateful.py``.
"""
