"""``tidemark demo``: the whole main path at work on simulated transactions, with services, model, workers and API of its own.

``show`` wires it: ``backstage`` brings up what it runs on, ``performance`` is the run. ``world`` and ``traffic`` say what is sent,
``kafka_sender`` and ``api_caller`` send it, ``kafka_observer`` reads what came of it, ``tally`` adds it up and ``screen`` shows it.
"""
