"""The embedded broker behind a network that fails: a listener more, which is reached through a proxy that resets, holds or passes."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import msgspec

from infra.local import kafka as broker
from infra.local import ports
from streams.config import DeploymentConfig
from tests.run.deployment import Deployment, deployed

_AT_ONCE = struct.pack("ii", 1, 0)
_CHUNK = 1 << 16


class FlakyNetwork:
    """Between clients, who connect to ``port``, and whoever listens at ``target``. It passes at first."""

    def __init__(self, port: int, target: int) -> None:
        self._port, self._target = port, target
        self._writers: set[asyncio.StreamWriter] = set()
        self._refusing = False
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="flaky network", daemon=True)
        self._thread.start()
        self._open.set()
        self._server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._connected, ports.LOOPBACK, port), self._loop).result(10)

    def reset(self) -> None:
        """Resets every connection, and each new one."""
        self._do(self._reset)

    def hold(self) -> None:
        """Takes connections and bytes, and lets none through."""
        self._do(self._hold)

    def let_pass(self) -> None:
        """Passes what comes, and what was held."""
        self._do(self._let_pass)

    def close(self) -> None:
        """Ends all connections and the thread."""
        self._do(self._server.close)
        self._do(self._reset)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _do(self, action: object) -> None:
        async def act() -> None:
            action()  # type: ignore[operator]

        asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)

    def _reset(self) -> None:
        self._refusing = True
        self._open.set()
        for writer in list(self._writers):
            _abort(writer)

    def _hold(self) -> None:
        self._refusing = False
        self._open.clear()

    def _let_pass(self) -> None:
        self._refusing = False
        self._open.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            _abort(writer)
            return
        there, back = await asyncio.open_connection(ports.LOOPBACK, self._target)
        both = {writer, back}
        self._writers |= both
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            self._writers -= both
            for each in both:
                each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                await self._open.wait()
                writer.write(chunk)
                await writer.drain()
        writer.close()


def _abort(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()


@dataclass(frozen=True)
class FlakyKafka:
    """A deployment, whose own address is direct, and ``config``, that of whoever is behind the network."""

    deployment: Deployment
    network: FlakyNetwork
    config: DeploymentConfig


@contextmanager
def flaky(home: Path) -> Iterator[FlakyKafka]:
    """The services with such a broker; ended after the block."""
    taken: set[int] = set()
    listening = ports.choose([], taken)
    taken.add(listening)
    reached = ports.choose([], taken)
    settings = broker.BROKER_SETTINGS
    settings = settings.replace("PLAINTEXT://{host}:{port},", f"PLAINTEXT://{{host}}:{{port}},FLAKY://{{host}}:{listening},")
    settings = settings.replace(
        "advertised.listeners=PLAINTEXT://{host}:{port}",
        f"advertised.listeners=PLAINTEXT://{{host}}:{{port}},FLAKY://{{host}}:{reached}",
    )
    settings = settings.replace("CONTROLLER:PLAINTEXT", "CONTROLLER:PLAINTEXT,FLAKY:PLAINTEXT")
    network = FlakyNetwork(reached, listening)
    try:
        with mock.patch.object(broker, "BROKER_SETTINGS", settings), deployed(home) as deployment:
            config = msgspec.structs.replace(deployment.config, kafka=f"{ports.LOOPBACK}:{reached}")
            yield FlakyKafka(deployment, network, config)
    finally:
        network.close()
