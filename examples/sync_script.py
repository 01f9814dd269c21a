"""A synchronous caller, such as a Django view or a script: the blocking client sends and waits.

It needs a broker and a worker: ``actorq worker examples.quickstart:system --embedded`` prints the broker's URL; then
``NATS_URL=... python -m examples.sync_script``.
"""

from __future__ import annotations

from examples.quickstart import digest, system


def main() -> None:
    with system.blocking() as client:
        print(client.ask("greet", "Riga"))
        handles = client.send_many(digest, [("one",), ("two",)])
        for handle in handles:
            print(client.result(handle, timeout=10)[:12])


if __name__ == "__main__":
    main()
