"""Each marked line has to be an error under mypy (`M:` its code) and pyright (`P:` its rule)."""

from __future__ import annotations

from actorq import ActorSystem
from actorq.runtime.target import Background

system = ActorSystem("typed")


class Geocoder:
    async def setup(self, background: Background) -> None:
        background.start_soon(self.refresh, "often")  # M: arg-type  P: reportArgumentType

    async def refresh(self, every: float) -> None: ...

    async def locate(self, address: str) -> tuple[float, float]:
        return (len(address), 0.0)


@system.actor
class Decorated(Geocoder):
    pass


geocoder = system.actor(Geocoder)


async def use() -> None:
    number: int = geocoder()  # M: assignment  P: reportAssignmentType
    geocoder.locate("Riga")  # M: operator  P: reportCallIssue
    geocoder.send(number)  # M: operator  P: reportCallIssue
    geocoder.locate.options(prioriti=3)  # M: call-arg  P: reportCallIssue
    system.supervisor("media", strateg="one_for_all")  # M: call-arg  P: reportCallIssue
    system.supervisor("media", strategy="one")  # M: arg-type  P: reportArgumentType
    system.supervisor("media", children=[use])  # M: list-item  P: reportArgumentType
    # mypy takes no notice of what a decorator makes of a class: there it has to be called as a function.
    await Decorated.locate.ask("Riga")  # M: attr-defined
