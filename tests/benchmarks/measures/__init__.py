"""Benchmarks: each brings its own services up in a temporary folder, measures, and ends them.

A benchmark is a module with a frozen ``Spec`` of what was asked and ``run(spec, report) -> dict`` of what was measured;
``tests/benchmarks/commands/bench.py`` adds what it was measured on (``provenance``) and writes the JSON.
"""
