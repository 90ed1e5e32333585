"""One question to one server, without any."""

from __future__ import annotations

import pytest

from omniguard.adapters.triton_channels import Access, Channels
from omniguard.adapters.triton_exchange import Unavailable, Unreachable, ask, encode
from omniguard.guard.wire import GuardRequest, Mode


async def test_a_channel_that_was_closed_before_the_request_costs_another_try_and_no_verdict() -> None:
    """Its address went away between the look-up of a request and its turn; that says nothing of a server that is still there."""
    channels = Channels(["127.0.0.1:1"], access=Access())
    (server,) = await channels.servers()
    await channels.close()
    with pytest.raises(Unavailable, match="closed") as caught:
        await ask(server.infer, encode("omniguard", GuardRequest(mode=Mode.CAPABILITIES), ()), timeout=5, traceparent=None)
    assert not isinstance(caught.value, Unreachable)
