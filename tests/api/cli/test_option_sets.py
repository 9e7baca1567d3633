"""Commands that share their options have the same ones."""

from dataclasses import dataclass
from typing import Annotated

import typer
from typer.main import get_command
from typer.testing import CliRunner

from api.cli.commands import app_of
from api.cli.option_sets import with_option_sets


@dataclass(frozen=True)
class Place:
    x: Annotated[int, typer.Option("--across", help="How far.")]
    y: Annotated[int, typer.Option(min=0)] = 7


def test_a_dataclass_is_an_option_a_field() -> None:
    app = typer.Typer()

    @app.command()
    @with_option_sets
    def place(name: str, at: Place, loud: bool = False) -> None:
        """Put it there."""
        typer.echo(f"{name} {at} {loud}")

    def output(*arguments: str) -> str:
        return CliRunner().invoke(app, arguments).output

    assert output("it", "--across", "3") == "it Place(x=3, y=7) False\n"
    assert output("it", "--across", "3", "--y", "8", "--loud") == "it Place(x=3, y=8) True\n"
    assert "Missing option '--across'" in output("it")
    assert "Put it there." in output("--help")


def options(command: str) -> dict[str, object]:
    return {option.opts[0]: option.default for option in get_command(app_of(command)).params}


def test_retraining_takes_what_training_takes() -> None:
    """But for baselines, of which nothing is registered."""
    train, retrain = options("train"), options("retrain")
    assert train.pop("--model") == "xgboost"
    assert {name: retrain[name] for name in train} == train
    assert retrain.keys() - train.keys() == {"--reason", "--weeks", "--lease-hours"}


def test_replay_and_backtest_read_a_file_alike() -> None:
    replay, backtest = options("replay"), options("backtest")
    for name in ("--columns", "--amount-unit", "--from", "--to", "--labels-after"):
        assert replay[name] == backtest[name]
