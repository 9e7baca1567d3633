"""``python -m infra.grafana`` writes the dashboards anew. Needs grafana-foundation-sdk, which `make setup` installs."""

from itertools import count
from pathlib import Path

from grafana_foundation_sdk.builders.common import GraphThresholdsStyleConfig, ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row, ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Value
from grafana_foundation_sdk.builders.timeseries import Panel as Lines
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphThresholdsStyleMode, LegendDisplayMode, TimeZoneBrowser
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode

from infra.grafana.panels import BOARDS, Board, Panel

FOLDER = Path(__file__).with_name("dashboards")

# Of Grafana's 24 columns.
_WIDE, _NARROW, _HEIGHT, _LOW = 8, 6, 8, 4
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


def dashboard(board: Board) -> str:
    """The dashboard as the JSON that Grafana reads."""
    made = (
        Dashboard(board.title)
        .uid(f"tidemark-{board.name}")
        .tags(["tidemark"])
        .refresh("10s")
        .time("now-30m", "now")
        .timezone(TimeZoneBrowser)
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    numbers = count(1)
    for title, panels in board.rows:
        made = made.with_row(Row(title).id(next(numbers)))
        for panel in panels:
            shown = _value(panel) if panel.shown == "value" else _lines(panel)
            made = made.with_panel(shown.id(next(numbers)))
    return f"{JSONEncoder(sort_keys=True, indent=2).encode(made.build())}\n"


def _lines(panel: Panel) -> Lines:
    made = (
        Lines()
        .title(panel.title)
        .description(panel.says)
        .unit(panel.unit)
        .datasource(_SOURCE)
        .span(_WIDE)
        .height(_HEIGHT)
        .min(0)
        .line_width(1)
        .fill_opacity(10)
        .legend(VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(True))
    )
    if panel.line is not None:
        steps = [Threshold(value=None, color="transparent"), Threshold(value=panel.line, color="red")]
        made = made.thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)).thresholds_style(
            GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.LINE)
        )
    for name, query in zip("ABC", panel.queries, strict=False):
        made = made.with_target(Dataquery().ref_id(name).expr(query.expression).legend_format(query.legend).datasource(_SOURCE))
    return made


def _value(panel: Panel) -> Value:
    made = Value().title(panel.title).description(panel.says).unit(panel.unit).datasource(_SOURCE).span(_NARROW).height(_LOW)
    made = made.reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    for name, query in zip("ABC", panel.queries, strict=False):
        made = made.with_target(Dataquery().ref_id(name).expr(query.expression).instant().datasource(_SOURCE))
    return made


def main() -> None:
    """Writes them all."""
    FOLDER.mkdir(exist_ok=True)
    for board in BOARDS:
        (FOLDER / f"{board.name}.json").write_text(dashboard(board))


if __name__ == "__main__":
    main()
