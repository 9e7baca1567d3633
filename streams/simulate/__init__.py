"""Simulated card transactions, after the method of Le Borgne, Siblini, Lebichot and Bontempi, *Reproducible Machine Learning for Credit
Card Fraud Detection* (2022), chapter 3, with devices, countries, account takeovers and a switch that lets behaviour drift.

Customers and terminals lie in a plane; a customer pays at the terminals within reach, a Poisson number of times a day (``population``,
``purchases``). Frauds are laid over that (``fraud``). A day depends on the seed and its date alone, so two simulations of the same
population agree on every day that both have.
"""

from streams.simulate.simulation import SIMULATED, simulate, simulate_chunks
from streams.simulate.spec import SimulationSpec

__all__ = ["SIMULATED", "SimulationSpec", "simulate", "simulate_chunks"]
