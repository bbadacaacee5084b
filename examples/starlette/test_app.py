"""The Starlette example: the rota that both promise, and its websocket."""

import json

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from examples.contract import RotaContract
from examples.server import Server


class TestRota(RotaContract):
    """The rota under uvicorn, bare and wrapped."""

    def test_the_websocket_answers_a_number_with_its_shift(self, server: Server) -> None:
        """Each number is answered with its shift, an unknown one with null."""
        with connect(server.websocket_url + "/live/", proxy=None) as socket:
            socket.send("2")
            assert json.loads(socket.recv(10)) == {"id": 2, "day": "Tuesday", "hours": 6, "worker": "scw1002"}
            socket.send("99999")
            assert json.loads(socket.recv(10)) is None

    def test_the_websocket_fails_at_what_is_no_number(self, server: Server) -> None:
        """An exception after the handshake ends the connection without a closing handshake, as uvicorn does."""
        with connect(server.websocket_url + "/live/", proxy=None) as socket:
            socket.send("abc")
            with pytest.raises(ConnectionClosedError):
                socket.recv(10)
        assert "invalid literal for int()" in server.output()
