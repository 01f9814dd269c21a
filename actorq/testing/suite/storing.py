"""Storing and reading: what a confirmation means, what is refused, and what can be read back."""

from __future__ import annotations

import pytest

from actorq.model.message import Expect, Refused, Stored
from actorq.ports.transport import Transport
from actorq.testing.suite.harness import PATIENCE, Place, SuiteFixtures, store


@pytest.mark.anyio
class StoringTests(SuiteFixtures):
    async def test_a_confirmed_message_can_be_read_by_anybody(
        self, place: Place, transport: Transport, other: Transport
    ) -> None:
        """A confirmation means: stored, unchanged, under this sequence, for every connection."""
        publication = place.task("a", bytes(range(256)), headers={"Name": "value: with colon"})
        (sequence,) = await store(transport, publication)
        found = await other.get(publication.subject)
        assert found is not None
        assert (found.subject, found.body) == (publication.subject, publication.body)
        assert (dict(found.headers), found.sequence) == ({"Name": "value: with colon"}, sequence)

    async def test_expect_zero_stores_only_the_first(self, place: Place, transport: Transport) -> None:
        """Where nothing may be there yet, the second message is refused and changes nothing."""
        expect = Expect(0, place.task("a").subject)
        await store(transport, place.task("a", b"first", expect=expect))
        (answer,) = await transport.publish([place.task("a", b"second", expect=expect)], timeout=PATIENCE)
        assert answer == Refused()
        found = await transport.get(expect.subject)
        assert found is not None
        assert found.body == b"first"

    async def test_a_repeated_msg_id_stores_nothing(self, place: Place, transport: Transport) -> None:
        """A repeat within the window is confirmed with the sequence of the first, and not stored."""
        (sequence,) = await store(transport, place.task("a", b"first", msg_id="one"))
        (answer,) = await transport.publish([place.task("b", b"second", msg_id="one")], timeout=PATIENCE)
        assert answer == Stored(sequence, duplicate=True)
        assert await transport.get(place.task("b").subject) is None
