"""What becomes of benchmarks' figures: history, tables between markers, plots."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from features.errors import UserError
from tests.benchmarks.commands import bench
from tests.benchmarks.report import history, plots, report, tables
from tests.benchmarks.report.headlines import HEADLINES, headline

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "docs" / "results"


def made(**figures: Any) -> dict[str, Any]:
    about = {"date": "2026-11-24T01:00:00+00:00", "command": "tidemark bench stream", "commit": "0123456789abcdef+changes"}
    return {**about, "machine": {"cpu": "a CPU", "cores": 2}, **figures}


def rate(tx_per_s: float, **others: Any) -> dict[str, Any]:
    return {"tx_per_s": tx_per_s, "spread": {"median": tx_per_s, "least": tx_per_s - 10, "most": tx_per_s + 10}, "runs": [], **others}


STREAM = made(
    exactly_once=rate(100_000.0),
    bare_loop=rate(130_000.0, title="bare loop", leaves_out=["all features", "the model"]),
    peers={"faust": rate(9_000, title="Faust"), "flink": {"title": "Flink", "tx_per_s": None, "spread": None, "runs": []}},
)
LATENCY = made(rates={"1000": {"p50_ms": 30.0, "p90_ms": 45.0, "p99_ms": 70.25}})


def test_the_documents_tables_and_the_history_are_those_of_the_results() -> None:
    stale = [
        str(file.relative_to(ROOT))
        for file, content in report.rendered(RESULTS).items()
        # A plot's bytes are also matplotlib's matter; that it is there is ours.
        if not file.is_file() or (file.suffix != ".svg" and file.read_bytes() != content)
    ]
    assert not stale, f"run `python -m tests.benchmarks report --results docs/results`: {stale}"


def test_every_plot_that_a_document_shows_is_there() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    shown = [part.partition(")")[0] for part in text.split("](results/plots/")[1:]]
    assert "rates.svg" in shown
    assert all((RESULTS / "plots" / name).is_file() for name in shown)


def test_a_headline_has_what_the_figures_have() -> None:
    assert headline("stream", STREAM) == {
        "exactly_once.tx_per_s": 100_000.0,
        "bare_loop.tx_per_s": 130_000.0,
        "peers.faust.tx_per_s": 9_000.0,
    }
    assert headline("latency", LATENCY) == {"rates.1000.p50_ms": 30.0, "rates.1000.p99_ms": 70.25}
    assert headline("keys", {}) == {}


def test_a_measurement_is_noted_once() -> None:
    once = history.noted([], {"stream": STREAM, "latency": LATENCY})
    assert [one.benchmark for one in once] == ["latency", "stream"]
    assert history.noted(once, {"stream": STREAM}) == once
    later = {**STREAM, "date": "2026-11-25T01:00:00+00:00", "command": "tidemark bench stream --quick"}
    again = history.noted(once, {"stream": later})
    assert [(one.date[:10], one.quick) for one in again] == [("2026-11-24", False), ("2026-11-24", False), ("2026-11-25", True)]
    assert "2026-11-25" not in tables.of_history(again)


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert history.read(tmp_path) == []
    once = history.noted([], {"stream": STREAM})
    (tmp_path / history.FILE).write_bytes(history.written(once))
    assert history.read(tmp_path) == once
    (tmp_path / history.FILE).write_text("{}\n")
    with pytest.raises(UserError, match=history.FILE):
        history.read(tmp_path)


def test_a_table_shows_ours_beside_peers_and_what_those_leave_out() -> None:
    lines = tables.table("stream", STREAM).splitlines()
    assert lines[0].endswith("commit `0123456+`; 2026-11-24; a CPU, 2 cores.")
    assert lines[2] == "| way | tx/s | least – most | leaves out |"
    assert lines[4] == "| exactly once, the topic full beforehand | 100,000 | 99,990 – 100,010 |  |"
    assert lines[5] == "| bare loop | 130,000 | 129,990 – 130,010 | all features, the model |"
    assert lines[7] == "| Flink | failed |  |  |"


def test_a_table_has_no_column_that_nobody_measured() -> None:
    assert tables.table("latency", LATENCY).splitlines()[2:] == [
        "| offered | p50 | p90 | p99 |",
        "| --- | --- | --- | --- |",
        "| 1,000 tx/s | 30 ms | 45 ms | 70.2 ms |",
    ]


@pytest.mark.parametrize("benchmark", HEADLINES)
def test_figures_that_are_missing_are_left_out(benchmark: str) -> None:
    assert tables.table(benchmark, made()).startswith("`python -m tests.benchmarks stream`")


def test_the_handbooks_weeks_stand_above_their_mean() -> None:
    def found(auc: float) -> dict[str, dict[str, float]]:
        return {name: {"value": auc, "low": auc - 0.01, "high": auc + 0.01} for name in ("auc", "ap", "cp100")}

    models = {"tidemark": found(0.9), "handbook's features": found(0.8)}
    lines = tables.table("handbook", made(weeks=[{"test_start": "2018-07-11", **models}], mean=models)).splitlines()
    interval = "0.900 (0.890 – 0.910)"
    assert lines[-2:] == [
        f"| {week} | {interval} | {interval} | {interval} | 0.800 / 0.800 / 0.800 |" for week in ("2018-07-11", "mean of 1")
    ]


def test_a_command_names_no_folder() -> None:
    typed = "tidemark bench stream --data ../shared/data/handbook.parquet --columns handbook --json docs/results/stream.json --runs 1"
    assert tables.command(typed) == "python -m tests.benchmarks stream --data handbook.parquet --columns handbook --runs 1"


def test_only_what_lies_between_markers_changes() -> None:
    latency = "<!-- bench latency -->\nold\n<!-- end of bench latency -->"
    text = f"# A\n\n{latency}\n\nprose\n\n<!-- bench stream -->\nkept\n<!-- end of bench stream -->\n"
    filled = report.filled(text, "a.md", {"latency": LATENCY}, [])
    assert filled.startswith("# A\n\n<!-- bench latency -->\n\n`python -m")
    assert "old" not in filled
    assert "\n\nprose\n\n<!-- bench stream -->\nkept\n" in filled
    assert report.filled(filled, "a.md", {"latency": LATENCY}, []) == filled
    assert "![latency](results/plots/latency.svg)" in report.filled(text, "a.md", {"latency": LATENCY}, [], {"latency.svg"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- bench latency -->\n", "markers of latency"),
        ("<!-- bench latency -->\n<!-- end of bench stream -->\n", "markers of latency"),
        ("<!-- bench speed -->\n<!-- end of bench speed -->\n", "no benchmark"),
    ],
)
def test_markers_that_don_t_match_are_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        report.filled(text, "a.md", {}, [])


def test_the_same_figures_are_drawn_alike() -> None:
    results = {"stream": STREAM, "latency": LATENCY, "api": LATENCY}
    past = history.noted([], results)
    drawn = plots.plots(results, past)
    assert sorted(drawn) == ["api.svg", "history.svg", "latency.svg", "rates.svg"]
    assert drawn == plots.plots(results, past)
    assert b"100,000" in drawn["rates.svg"]
    assert b"Flink" not in drawn["rates.svg"]
    assert plots.plots({}, []) == {}


def test_a_report_writes_history_tables_and_plots_and_then_nothing_more(tmp_path: Path) -> None:
    results = tmp_path / "docs" / "results"
    results.mkdir(parents=True)
    (results / "stream.json").write_text(json.dumps(STREAM))
    (results.parent / "a.md").write_text("<!-- bench stream -->\n<!-- end of bench stream -->\n")
    app = bench.program()
    said = CliRunner().invoke(app, ["report", "--results", str(results)], catch_exceptions=False)
    assert said.exit_code == 0
    assert "100,000" in (results.parent / "a.md").read_text()
    assert len(history.read(results)) == 1
    assert (results / "plots" / "rates.svg").is_file()
    assert CliRunner().invoke(app, ["report", "--results", str(results)], catch_exceptions=False).output == ""
    (results / "stream.json").write_text("{}")
    with pytest.raises(UserError, match="not written by"):
        CliRunner().invoke(app, ["report", "--results", str(results)], catch_exceptions=False)
