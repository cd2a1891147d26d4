"""An exit waits for delivery while there is hope."""

from __future__ import annotations

import pytest

from tierlens.shipping.health import Health, Standing, hopeless


@pytest.mark.parametrize(
    ("standing", "waited", "hopes"),
    [
        (Standing(ships=False, health=None), 0.0, False),
        (Standing(ships=True, health=None), 0.4, True),
        (Standing(ships=True, health=None), 2.1, False),
        (Standing(ships=True, health=Health(failing=True)), 0.0, False),
        (Standing(ships=True, health=Health(asked_at=100.0)), 0.4, True),
        (Standing(ships=True, health=Health(asked_at=100.0)), 0.6, False),
        (Standing(ships=True, health=Health(asked_at=100.0, ever_took=True)), 0.6, True),
        (Standing(ships=True, health=Health(asked_at=100.0, ever_took=True)), 2.1, False),
        (Standing(ships=True, health=Health(asked_at=102.0)), 2.1, True),
        (Standing(ships=True, health=Health(asked_at=40.0)), 0.4, True),
    ],
)
def test_an_exit_waits_while_there_is_hope(standing: Standing, waited: float, hopes: bool) -> None:
    assert hopeless(standing, began=100.0, now=100.0 + waited, silence_s=0.5) is not hopes
