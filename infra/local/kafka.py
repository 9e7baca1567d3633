"""A real Apache Kafka broker: one node in KRaft mode, broker and controller in one process."""

import os
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from infra.local import jars, java, kafka_probe, processes
from infra.local.errors import ServiceError
from infra.local.ports import LOOPBACK
from infra.local.processes import Slot
from infra.local.service import Ports, Service

NAME = "kafka"
CONTROLLER = "kafka-controller"
LOG_SETTINGS = Path(__file__).with_name("kafka-log4j2.yaml")

# G1's background work took a fifth of the broker's CPU, where the cores are shared with all that uses it.
JVM_OPTIONS = ("-Xms512m", "-Xmx1g", "-XX:+UseParallelGC", "-Djava.awt.headless=true")
# Without the second compiler, which never pays within a second.
_SHORT_LIVED = ("-XX:TieredStopAtLevel=1",)

BROKER_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}

# one node
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1

# topics are created by those who know their settings, and take bad input of a few megabytes
auto.create.topics.enable=false
message.max.bytes=10485760

# a killed consumer or producer is noticed within seconds
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=300
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000

# a producer that began a transaction and died holds all readers back no longer than clients' default
transaction.max.timeout.ms=60000

# two cores, one gigabyte
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=67108864
"""


def requirements() -> None:
    """Find Java and fetch Kafka's jars if need be. Raises ServiceError."""
    java.for_broker()
    jars.KAFKA.ensure()


def start(home: Path, ports: Ports) -> None:
    """Start the broker as a background process; its storage is formatted if it never was, else kept."""
    settings = _prepare(home, ports[NAME], ports[CONTROLLER])
    processes.start(Slot(home, NAME), [*_java(home), "kafka.Kafka", settings], java.ANY_PATH)


def _prepare(home: Path, port: int, controller_port: int) -> Path:
    folder = home / NAME
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "server.properties"
    data = java.property_value(str(folder / "data"))
    settings.write_text(BROKER_SETTINGS.format(host=LOOPBACK, port=port, controller_port=controller_port, data=data), encoding="ascii")
    if (folder / "data" / "meta.properties").exists():
        return settings
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # With "=", for an id may begin with a dash and would be taken for an option.
    command = [*_java(home, *_SHORT_LIVED), "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", str(settings)]
    environment = {**os.environ, **java.ANY_PATH}
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout or "no reason given").strip().splitlines()
        cause = next((line for line in lines if "xception" in line), lines[-1])
        raise ServiceError(f"Kafka's storage {folder / 'data'} could not be formatted ({cause}); free its disk, or remove the folder")
    return settings


def cluster_id(home: Path) -> str | None:
    """The id under which the home's storage was formatted; None if it never was."""
    written = home / NAME / "data" / "meta.properties"
    if not written.exists():
        return None
    return dict(line.split("=", 1) for line in written.read_text().splitlines() if "=" in line)["cluster.id"]


def url(ports: Ports) -> str:
    """The address as clients take it."""
    return f"{LOOPBACK}:{ports[NAME]}"


def answers(servers: str, timeout: float, cluster: str | None = None) -> bool:
    """Whether a broker without TLS and SASL answers within `timeout` seconds; given `cluster`, whether it is of the cluster of that id."""
    found = kafka_probe.ask(servers, timeout)
    return found is not None and found.brokers > 0 and cluster in (None, found.id)


def _java(home: Path, *options: str) -> list[str]:
    classpath = f"{jars.KAFKA.ensure()}/*"
    logs = [
        f"-Dlog4j2.configurationFile={LOG_SETTINGS}",
        f"-Dtidemark.log={Slot(home, NAME).log_file}",
        f"-Dkafka.logs.dir={home / 'logs'}",
    ]
    return [str(java.for_broker().executable), *JVM_OPTIONS, *options, *logs, "-cp", classpath]


SERVICE = Service(
    name=NAME,
    title="Kafka",
    usual_ports={NAME: 9092, CONTROLLER: 9093},
    ready=requirements,
    start=start,
    answers=lambda home, ports, timeout: answers(url(ports), timeout, cluster_id(home)),
    url=url,
    reachable=answers,
    stop_patience=30.0,  # a clean stop writes snapshots of all partitions, so that the next start need not recover them
)
