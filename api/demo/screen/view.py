"""What is seen of a run: the screen on a terminal, a line elsewhere."""

from dataclasses import dataclass
from datetime import UTC, datetime

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from api.demo.traffic.tally import Remarkable, Tally
from api.demo.world import World
from models.policy import ACTIONS

_STYLES = {"approve": "green", "review": "yellow", "block": "red"}
_REASONS_SHOWN = 2


@dataclass(frozen=True)
class Scene:
    """What a run's figures are shown with. ``live_since`` in monotonic seconds, None while the windows are being warmed."""

    world: World
    rate: float
    model: str
    api: str
    live_since: float | None
    over: bool


def line(tally: Tally, scene: Scene, now: float) -> str:
    """The figures as one line."""
    phase = "warming" if scene.live_since is None else "live"
    rate = tally.rate(now)
    with tally.lock:
        parts = [
            f"{phase:<8}{tally.sent:,} sent, {tally.decided:,} decided, {tally.refused:,} dead letters, {rate:,.0f}/s",
            *([f"p50 and p99 {_pair(tally.latencies.recent(now, (0.5, 0.99)))}"] if scene.live_since is not None else []),
            *([f"fraud caught {tally.fraud.caught} of {tally.fraud.transactions}"] if tally.fraud.transactions else []),
        ]
    return ", ".join(parts)


def screen(tally: Tally, scene: Scene, now: float) -> RenderableType:
    """The figures as a screen of 80 × 24 characters or more."""
    rate = tally.rate(now)
    with tally.lock:
        columns = Table.grid(expand=True)
        columns.add_column(ratio=1)
        columns.add_column(ratio=1)
        columns.add_row(_panel(_stream(tally, rate, now), "stream"), _panel(_decisions(tally), "decisions"))
        return Group(_head(tally, scene, now), columns, _panel(_remarkable(tally), "flagged"), _dead_letters(tally), _foot(scene))


def _panel(content: RenderableType, title: str) -> Panel:
    return Panel(content, title=title, box=box.ROUNDED, border_style="dim")


def _head(tally: Tally, scene: Scene, now: float) -> Text:
    moment = "" if tally.newest is None else f"{datetime.fromtimestamp(tally.newest.event_time / 1000, UTC):%Y-%m-%d %H:%M}"
    text = Text.assemble((" Tidemark ", "bold reverse"), "  event time ", (moment, "bold"), "  ")
    if scene.over:
        return text.append("all sent")
    if scene.live_since is None:
        return text.append(f"warming: {min(tally.sent, scene.world.warming):,} of {scene.world.warming:,}", style="cyan")
    minutes, seconds = divmod(max(0, int(now - scene.live_since)), 60)
    return text.append(f"live {minutes}:{seconds:02}, a day takes {scene.world.a_day / scene.rate:.1f} s", style="green")


def _stream(tally: Tally, rate: float, now: float) -> Table:
    grid = _grid()
    grid.add_row("sent", f"{tally.sent:,}", f"+ {tally.labels:,} labels")
    grid.add_row("through API", f"{tally.api_calls:,}", "of these")
    grid.add_row("decided", f"{tally.decided:,}", f"{rate:,.0f}/s")
    grid.add_row("dead letters", f"{tally.refused:,}", "of bad records" if tally.refused else "")
    grid.add_row(Text("latency", style="dim"), Text("p50", style="dim"), Text("p99 last 10 s", style="dim"))
    grid.add_row("decision", *_times(tally.latencies.recent(now, (0.5, 0.99))))
    grid.add_row("API answer", *_times(tally.api_latencies.recent(now, (0.5, 0.99))))
    return grid


def _decisions(tally: Tally) -> Table:
    grid = _grid()
    for verdict in ACTIONS:
        count = tally.verdicts[verdict]
        grid.add_row(Text(verdict, style=_STYLES[verdict]), f"{count:,}", _share(count, tally.decided))
    fraud = tally.fraud
    grid.add_row("live frauds", f"{fraud.transactions:,}", "")
    grid.add_row("caught", f"{fraud.caught:,}", _share(fraud.caught, fraud.transactions))
    grid.add_row("false alarms", f"{fraud.flagged - fraud.caught:,}", f"of {fraud.flagged:,} flagged" if fraud.flagged else "")
    grid.add_row("EUR saved", f"{fraud.saved / 100:,.0f}", f"of {fraud.at_stake / 100:,.0f} at stake" if fraud.at_stake else "")
    return grid


def _remarkable(tally: Tally) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    for width in (7, 2, 12, 9, 9):
        grid.add_column(no_wrap=True, width=width)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    shown = list(tally.remarkable)
    for one in shown:
        decision = one.decision
        grid.add_row(
            Text(decision.decision, style=_STYLES[decision.decision]),
            str(decision.risk_score),
            Text(f"user {decision.user_id.removeprefix(f'{tally.run}-')}", overflow="ellipsis"),
            f"{decision.amount / 100:9,.2f}",
            _truth(one),
            Text(_reasons(one), style="dim"),
        )
    for _ in range((tally.remarkable.maxlen or 0) - len(shown)):
        grid.add_row("")
    return grid


def _dead_letters(tally: Tally) -> Text:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in tally.dead_letters.most_common())
    return Text(f" dead letters: {reasons or 'none yet'}", style="dim", no_wrap=True, overflow="ellipsis")


def _foot(scene: Scene) -> Text:
    return Text(f" {scene.model}  API docs {scene.api}/docs  Ctrl-C ends it all", style="dim", no_wrap=True, overflow="ellipsis")


def _truth(one: Remarkable) -> Text:
    if one.is_fraud is None:
        return Text("yours", style="magenta")
    return Text("fraud", style="bold") if one.is_fraud else Text("no fraud", style="dim")


def _reasons(one: Remarkable) -> str:
    return ", ".join(f"{reason.feature} {_value(reason.value)}" for reason in one.decision.reasons[:_REASONS_SHOWN])


def _value(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _grid() -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(no_wrap=True, width=12)
    grid.add_column(no_wrap=True, justify="right", width=9)
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    return grid


def _times(found: list[float] | None) -> tuple[str, str]:
    return ("–", "–") if found is None else (f"{found[0]:,.0f} ms", f"{found[1]:,.0f} ms")


def _pair(found: list[float] | None) -> str:
    return " and ".join(_times(found))


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"
