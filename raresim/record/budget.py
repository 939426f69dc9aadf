"""What an event costs, as a record."""

from __future__ import annotations

from dataclasses import dataclass

from raresim.record.codec import Infinite


@dataclass(frozen=True)
class Budget:
    """What an event costs crude Monte Carlo and a proposal, in nats, bits and draws; infinite without a hit.

    Parameters
    ----------
    event_nats, event_bits : float
        Self-information ``-log P`` of the event, equal to KL(optimal || target).
    crude_draws : float
        ``exp(event_nats)``: draws of the target for about one effective hit.
    proposal_nats, proposal_bits : float
        KL(optimal || proposal).
    proposal_draws : float
        ``exp(proposal_nats)``: draws of the proposal for about one effective hit.
    saved_share : float
        ``1 - KL(optimal || proposal) / -log P``: the share of the cost that tuning saved.
    """

    event_nats: Infinite
    event_bits: Infinite
    crude_draws: Infinite
    proposal_nats: float
    proposal_bits: float
    proposal_draws: Infinite
    saved_share: float
