"""Benchmarks' figures as SVG drawings. Pure: the same figures give the same bytes, with one version of matplotlib."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.benchmarks.report.history import Measured
from tests.benchmarks.report.tables import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figures = Mapping[str, Any]
_OURS, _OTHERS = "#1f6f8b", "#b0b7bd"
_SHADES = {"p50_ms": "#9ecae1", "p90_ms": "#4292c6", "p99_ms": "#08519c"}
_WAYS = {
    "exactly_once": "exactly once",
    "online": "with online store",
    "many_keys": "many keys",
    "garbage": "10 % garbage",
    "at_least_once": "at least once",
}
# Beyond this ratio the least would be no more than a line.
_WIDE = 100
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tidemark",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def plots(results: Mapping[str, Figures], history: Sequence[Measured]) -> dict[str, bytes]:
    """SVG files by name, those whose figures are there."""
    drawn = {}
    if rates := _rates(results.get("stream", {})):
        drawn["rates.svg"] = _drawn(lambda axes: _bars(axes, rates), height=0.4 * len(rates) + 0.8)
    for name, title in (("latency", "decision after the transaction was due"), ("api", "answer of POST /v1/score")):
        if found := results.get(name, {}).get("rates"):
            drawn[f"{name}.svg"] = _drawn(lambda axes, found=found, title=title: _percentiles(axes, found, title))
    if past := [one for one in history if one.benchmark == "stream" and not one.quick]:
        drawn["history.svg"] = _drawn(lambda axes: _line(axes, past))
    return drawn


def _rates(stream: Figures) -> list[tuple[str, float, bool]]:
    """Title, transactions a second and whether it is ours, fastest last."""
    ours = [(title, stream[name]["tx_per_s"], True) for name, title in _WAYS.items() if name in stream]
    peers = {**({"bare_loop": stream["bare_loop"]} if "bare_loop" in stream else {}), **stream.get("peers", {})}
    others = [(peer.get("title", name), peer["tx_per_s"], False) for name, peer in peers.items()]
    return sorted(((title, rate, our) for title, rate, our in (*ours, *others) if rate), key=lambda bar: bar[1])


def _bars(axes: "Axes", bars: Sequence[tuple[str, float, bool]]) -> None:
    drawn = axes.barh([title for title, _, _ in bars], [rate for _, rate, _ in bars], color=[_OURS if our else _OTHERS for *_, our in bars])
    axes.bar_label(drawn, [f"{rate:,.0f}" for _, rate, _ in bars], padding=3)
    axes.set_xlabel("transactions a second")
    axes.margins(x=0.12)


def _percentiles(axes: "Axes", rates: Mapping[str, Figures], title: str) -> None:
    width = 0.8 / len(_SHADES)
    for place, (name, shade) in enumerate(_SHADES.items()):
        values = [found[name] for found in rates.values()]
        drawn = axes.bar([at + (place - 1) * width for at in range(len(rates))], values, width, color=shade, label=name.removesuffix("_ms"))
        axes.bar_label(drawn, [f"{value:,.0f}" for value in values], padding=2)
    shown = [found[name] for found in rates.values() for name in _SHADES]
    if max(shown) > _WIDE * max(min(shown), 0.1):
        axes.set_yscale("log")
    axes.set_xticks(range(len(rates)), [f"{int(rate):,} a second" for rate in rates])
    axes.set_ylabel(f"ms: {title}")
    axes.legend(frameon=False)


def _line(axes: "Axes", past: Sequence[Measured]) -> None:
    for path, title in (("exactly_once.tx_per_s", "exactly once"), ("bare_loop.tx_per_s", "bare loop, the limit")):
        points = [(at, one.headline[path]) for at, one in enumerate(past) if path in one.headline]
        if points:
            color = _OURS if path.startswith("exactly") else _OTHERS
            axes.plot([at for at, _ in points], [rate for _, rate in points], "o-", color=color, label=title)
    axes.set_xticks(range(len(past)), [f"{short(one.commit)}\n{one.date[:10]}" for one in past], rotation=45, ha="right")
    axes.set_ylabel("transactions a second")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)


def _drawn(draw: Any, height: float = 3.2) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(7.5, height), layout="constrained")
        draw(figure.add_subplot())
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
