"""``tidemark alerts act``: does what alerts ask for."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import msgspec
import typer

from api.cli.conventions import write_summary
from api.cli.models.alerting import alerting
from api.settings import Settings
from features.errors import UserError
from infra.local.lease import Lease
from streams.alerts import kafka_alerts
from streams.alerts.policy import Policy, due, is_news, policy_in
from streams.kafka.client import KafkaClients
from streams.messages.events import Alert, AlertAction
from streams.messages.seal import Seal

_LEASE_S = 6 * 3_600


def run(policy: Path | None, summary: Path | None) -> None:
    """As ``tidemark alerts act`` promises."""
    settings = Settings.resolve(require_services=False)
    wanted = Policy() if policy is None else policy_in(_read(policy), str(policy))
    with alerting(settings) as (kafka, seal), Lease(settings.home / "act.lease", _LEASE_S) as lease:
        if lease.held_by is not None:
            write_summary(summary, {"actions": [], "owner": lease.held_by})
            typer.echo(f"{lease.held_by} is already at it; nothing to do")
            return
        taken = _act(kafka, seal, wanted)
    write_summary(summary, {"actions": msgspec.to_builtins(taken)})
    for action in taken:
        typer.echo(f"alert {action.alert_id}: {action.action} {action.status.replace('_', ' ')}; {action.sentence}")
    if not taken:
        typer.echo("no open alert asks for anything that isn't done")
    if any(action.status == "failed" for action in taken):
        raise typer.Exit(1)


def _act(kafka: KafkaClients, seal: Seal, policy: Policy) -> list[AlertAction]:
    before = kafka_alerts.actions(kafka, seal)
    found = []
    for alert, put_off in due(kafka_alerts.read(kafka, seal), before, policy, _now()):
        if put_off is not None:
            action = _action(alert, "put_off", put_off)
            if is_news(action, before):
                kafka_alerts.note(kafka, seal, action)
        else:
            kafka_alerts.note(kafka, seal, _action(alert, "begun", alert.sentence))
            action = _retrain(alert, policy)
            kafka_alerts.note(kafka, seal, action)
        found.append(action)
    return found


def _retrain(alert: Alert, policy: Policy) -> AlertAction:
    """In a process of its own, which ends with this one: training takes gigabytes."""
    with tempfile.TemporaryDirectory(prefix="tidemark-act-") as scratch:
        report = Path(scratch) / "retrain.json"
        command = [
            *(sys.executable, "-m", "api.cli.child", str(os.getpid()), "retrain"),
            *("--reason", f"alert {alert.alert_id}: {alert.sentence}", "--json", str(report), *policy.retrain.arguments),
        ]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode or not report.exists():
            lines = done.stderr.strip().splitlines()
            return _action(alert, "failed", lines[-1].removeprefix("error: ") if lines else f"it ended with status {done.returncode}")
        said: dict[str, Any] = json.loads(report.read_text())
    if said["status"] == "running":
        return _action(alert, "put_off", f"{said['owner']} is training already")
    return _action(alert, "done", f"{said['status']}: {said['sentence']}", said.get("version"))


def _action(alert: Alert, status: Literal["begun", "done", "failed", "put_off"], sentence: str, version: str | None = None) -> AlertAction:
    return AlertAction(
        alert_id=alert.alert_id,
        opened_at=alert.opened_at,
        action="retrain",
        status=status,
        at=_now(),
        sentence=sentence,
        model_version=version,
    )


def _now() -> int:
    return int(time.time() * 1000)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--policy {file} can't be read ({getattr(error, 'strerror', None) or error}); name a TOML file") from None
