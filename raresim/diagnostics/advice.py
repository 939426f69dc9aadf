"""What to do about checks that are not passed."""

from __future__ import annotations

from raresim.record.verdict import Check, Status

ADVICE = {
    "grid": "give the method a smaller step, or raise stop.max_evaluations so that a finer grid is tried",
    "audit": "run again with another seed and audit: full, or use method auto: part of the event may be missed",
    "soundings": "run again with method auto, or give each limit state separately (loss.limit_states and "
    "loss.system): part of the event may be missed",
    "soundings_level": "run again with method auto, or give each limit state separately (loss.limit_states and "
    "loss.system): part of the event may be missed",
    "audit_level": "run again with another seed and audit: full, or use method auto: part of the event may be missed",
    "audit_agreement": "run again with method auto: the replicates may all miss the same part of the event",
    "audit_error": "raise stop.max_evaluations, or use another method: a few rare rows with large weights "
    "are missing from the reported error",
    "nominal_hits": "run again with another seed, or with method auto: draws of the target hit a region that the "
    "search does not know",
    "canary": "do not use the number: the draws of the proposal do not follow its density; report it as a bug",
    "uncovered": "run again with another seed: the proposal does not cover all of the event that the search found",
    "unseen_regions": "raise stop.max_evaluations, so that more walks uphill can be made",
    "replicates": "raise stop.max_evaluations: the error is estimated from the spread of the replicates",
    "batches": "raise stop.max_evaluations: the error is estimated from the spread of the batches",
    "failures": "replay failed_rows.npz and correct the loss, or have failed rows tried again: loss.on_failure and "
    "loss.retries",
    "threshold": "give the threshold in loss units, or sigma as a number; or raise stop.max_evaluations: up to a "
    "fiftieth of it may be used to estimate mean and standard deviation",
    "hits": "raise stop.max_evaluations, or ask for a smaller stop.relative_error",
    "ess": "raise stop.max_evaluations, or ask for a smaller stop.relative_error",
    "sections": "raise stop.max_evaluations: the rows are too few for the error to be known",
    "relative_error": "raise stop.max_evaluations: the budget ended before the error was small enough",
    "khat": "add a defensive share, or choose a proposal with heavier tails: a few weights decide the answer",
    "max_share": "raise stop.max_evaluations or add a defensive share: one weight carries too much of the estimate",
    "shrinkage": "compare with fit.covariance: sample, use more rows, or fewer columns",
    "simple_returns": "fit log returns (fit.returns: log) and value positions with loss.revalue: exp",
    "log_returns": "value positions with loss.revalue: exp, or confirm with loss.revalue: none that the loss is "
    "linear in log returns",
    "control": "compare what the control assumes with the portfolio, and run again with another seed",
    "columns": "leave out such columns with fit.columns, or use more rows",
    "interrupted": "run it again with --resume: it continues where it stopped",
    "surrogate_sight": "declare loss.smooth: true if the loss has no kinks and no jumps, or raise "
    "stop.max_evaluations to 1,200: half of it may then pay for a search that evaluates the loss itself",
    "surrogate_limit_states": "raise stop.max_evaluations: some limit states were never evaluated where they may fail",
    "surrogate_failures": "raise stop.max_evaluations: the surrogate learnt from too few evaluations in the event",
    "surrogate_steps": "use method auto: a surrogate needs a loss without steps",
    "surrogate_unsure": "raise stop.max_evaluations: the surrogate has learnt from too few evaluations",
    "surrogate_pool": "raise stop.max_evaluations, or use method auto: the pool does not cover the event well",
    "surrogate_inputs": "use method auto, or leave out inputs that hardly matter: in many inputs a surrogate can miss "
    "most of an event",
    "surrogate_evaluations": "raise stop.max_evaluations: the surrogate has learnt from too few evaluations for so "
    "many inputs",
    "surrogate_afar": "remove loss.smooth: true, and use method auto or a budget of 1,200 evaluations: the loss has "
    "a part that the surrogate does not expect",
    "surrogate_calibration": "raise stop.max_evaluations, or use method auto: the losses do not agree with what "
    "the surrogate predicted",
    "surrogate_spread": "raise stop.max_evaluations, or use method auto: the surrogate understates its uncertainty",
    "surrogate_agreement": "raise stop.max_evaluations, or use method auto: the surrogate is far from the loss",
    "search": "let the method search from more starts, or use method auto, and compare with a run of another seed",
}

MISSING = {
    "audit": "leave evaluations for the audit, or raise stop.max_evaluations: nothing has looked for missed regions",
    "soundings": "raise stop.max_evaluations: the audit had too few evaluations to say what the estimate misses",
    "canary": "compare with method crude, or with a proposal of fewer or wider components, whose weights are more even",
    "unseen_regions": "compare with method crude or with another seed: these walks are too few to count the regions",
    "khat": "raise stop.max_evaluations: the tail of the weights can be seen only with more draws in the event",
}
"""Advice for a check that could not be made, which warns and has no value."""


def advice_on(checks: tuple[Check, ...]) -> tuple[str, ...]:
    """What would improve the status; where evidence is missing, how to get it."""
    wanting = [c for c in checks if c.status is not Status.TRUSTED]
    return tuple(dict.fromkeys((MISSING if c.value is None else {}).get(c.name, ADVICE[c.name]) for c in wanting))
