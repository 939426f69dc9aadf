"""Every word, column and number that a run shows, explained once: for ``raresim explain`` and for the report."""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from raresim.errors import FieldError

__all__ = ["TERMS", "Term", "explain", "find", "listing", "page", "spelling"]


@dataclass(frozen=True)
class Term:
    """One word of raresim.

    Parameters
    ----------
    name : str
        As the word stands in a sentence.
    aliases : tuple of str
        Other spellings: column heads, keys of ``result.json`` (``parent.key`` where the key alone is ambiguous), rows
        of the shell's table.
    definition : str
        Two to four sentences.
    formula : str
        In ASCII; empty where there is none.
    unit : str
        Of the number; empty for a word that is not one.
    where : str
        Where it appears in a run.
    reading : str
        What is good, what is bad, what to do.
    """

    name: str
    aliases: tuple[str, ...]
    definition: str
    formula: str
    unit: str
    where: str
    reading: str


def explain(term: str, others: Iterable[str] = ()) -> Term:
    """The entry for a name or an alias; case, spaces, underscores, hyphens and punctuation do not matter.

    Parameters
    ----------
    term : str
        What is looked for.
    others : iterable of str
        Further words that can be explained: one of them may be the nearest.

    Raises
    ------
    FieldError
        When there is none, with the nearest name.
    """
    found = find(term)
    if found is None:
        key = spelling(term)
        near = difflib.get_close_matches(key, [*_BY_SPELLING, *others], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise FieldError("term", f"unknown term {(key or term)[:100]!r}{hint} (`raresim explain` lists all terms)")
    return found


def find(term: str) -> Term | None:
    """As `explain`, None where there is no such term."""
    return _BY_SPELLING.get(spelling(term))


def spelling(term: str) -> str:
    """``term`` without case, punctuation or a leading confidence (``95 % interval``): what `explain` compares."""
    return re.sub(r"[^a-z0-9]+", " ", re.sub(r"^\s*(nominal )?[\d.]+\s*%", "", term.casefold())).strip()


def page(term: Term, width: int = 80) -> str:
    """All that is known of a term, as plain text of ``width`` columns."""
    parts = [
        _wrapped("", f"{term.name} (also: {', '.join(term.aliases)})" if term.aliases else term.name, width),
        _wrapped("", term.definition, width),
    ]
    facts = {"Formula": term.formula, "Unit": term.unit, "Where": term.where, "Reading": term.reading}
    parts.append("\n".join(_wrapped(f"{head:<9}", text, width) for head, text in facts.items() if text))
    return "\n\n".join(parts)


def listing(width: int = 80) -> str:
    """All terms with the first sentence of each definition, as plain text of ``width`` columns."""
    longest = max(len(term.name) for term in TERMS) + 2
    return "\n".join(
        _wrapped(f"{term.name:<{longest}}", re.split(r"(?<=[.])\s", term.definition)[0], width) for term in TERMS
    )


def _wrapped(head: str, text: str, width: int) -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


_INFORMATION = (
    Term(
        name="self-information",
        aliases=(
            "surprise",
            "surprise -log P",
            "self-information of the event",
            "self_information_nats",
            "self_information_bits",
            "event_nats",
            "event_bits",
            "KL(optimal || target)",
            "kl_target_optimal",
        ),
        definition=(
            "How surprising the event is: minus the logarithm of its probability. It equals KL(optimal || target), how"
            " far the target is from the law that produces nothing but the event. That is why crude Monte Carlo needs"
            " about exp of it draws for one hit. The run computes it from its own estimate of the probability."
        ),
        formula="-log P = KL(optimal || target)",
        unit="nats or bits",
        where=(
            "report: information budget; shell: 'surprise -log P'; result.json: information.event_nats and event_bits,"
            " diagnostics.self_information_nats and _bits, diagnostics.kl_target_optimal (the same number)"
        ),
        reading=(
            "It belongs to the question, not to the run: no method lowers it. One in a thousand is 6.9 nats or 10"
            " bits, one in a million 13.8 nats or 19.9 bits. Every further bit doubles what crude Monte Carlo pays."
        ),
    ),
    Term(
        name="entropy",
        aliases=("entropy.optimal", "H(optimal)", "differential entropy", "entropy floor"),
        definition=(
            "The mean surprise of the draws of a law under that same law. In a row of the iterations it is the entropy"
            " of the target restricted to the level, estimated from the elites. No law drawn from can have a smaller"
            " cross-entropy, so it is the floor of tuning."
        ),
        formula="H(optimal) = -E_optimal[log optimal(u)] = H(optimal, q) - KL(optimal || q)",
        unit="nats",
        where=(
            "report: information budget, iterations, figure entropy; iterations.csv; result.json: iterations.entropy,"
            " diagnostics.entropy.optimal (of the last level)"
        ),
        reading=(
            "It is the entropy of a density: it depends on the coordinates, grows with their number and may be"
            " negative. Read only its distance to the cross-entropy of the same row. That it falls from level to level"
            " says that the event gets narrower, not that tuning succeeds."
        ),
    ),
    Term(
        name="cross-entropy",
        aliases=(
            "cross_entropy_target",
            "cross_entropy_proposal",
            "H(optimal, target)",
            "H(optimal, proposal)",
            "H(optimal, q)",
        ),
        definition=(
            "The mean surprise of the draws of one law under another. Tuning makes it smaller: a weighted maximum"
            " likelihood fit to the elites is the law of smallest cross-entropy within the family. A row of the"
            " iterations compares the target restricted to the level with the law that the level was drawn from, before"
            " the refit."
        ),
        formula="H(optimal, q) = -E_optimal[log q(u)] = H(optimal) + KL(optimal || q)",
        unit="nats",
        where=(
            "report: information budget, iterations, figure entropy; iterations.csv; result.json:"
            " iterations.cross_entropy, diagnostics.entropy.cross_entropy_target (nothing tuned: entropy plus"
            " self-information) and cross_entropy_proposal (the law of the last level)"
        ),
        reading=(
            "Read the distance to the entropy of the same row: that is KL(optimal || proposal), and it should shrink"
            " towards zero at the last levels. The drop from cross_entropy_target to cross_entropy_proposal is what"
            " tuning achieved up to the draw of the last level; the final refit is not in it yet."
        ),
    ),
    Term(
        name="KL(optimal || proposal)",
        aliases=(
            "kl_optimal_proposal",
            "KL(optimal||q)",
            "proposal_nats",
            "proposal_bits",
            "KL",
            "Kullback-Leibler divergence",
            "relative entropy",
        ),
        definition=(
            "How far the proposal is from the optimal one: the mean, over the optimal proposal, of the log ratio of"
            " their densities. It is what this proposal still pays: about exp of it draws for one effective hit. It is"
            " estimated from the weights of the hits, so a part of the event that no draw reached is not in it."
        ),
        formula="sum w log w / sum w - log(sum w / n), w over the hits among n draws",
        unit="nats or bits",
        where=(
            "report: information budget, iterations, figures; shell: 'KL(optimal||q)'; iterations.csv; result.json:"
            " information.proposal_nats and proposal_bits, diagnostics.kl_optimal_proposal,"
            " iterations.kl_optimal_proposal (of the level, for the law it was drawn from)"
        ),
        reading=(
            "Zero is perfect; crude Monte Carlo pays the whole self-information. In the iterations the first level has"
            " exactly -log(rarity), and later ones stay near it until the threshold is reached, then fall. A last"
            " value of several nats: give the proposal family more freedom or more samples per level."
        ),
    ),
    Term(
        name="KL(proposal || target)",
        aliases=("kl_proposal_target",),
        definition=(
            "How far the proposal has moved from the model: the mean, over the proposal, of the log ratio of proposal"
            " and target. It is computed where it has a closed form, between two normal laws, and for the proposal"
            " without its defensive share. It is empty for a mixture of several regions."
        ),
        formula="E_q[log q(u) - log p(u)]",
        unit="nats",
        where="report: information budget; result.json: diagnostics.kl_proposal_target",
        reading=(
            "Neither large nor small is good. The optimal proposal is as far from the target as the self-information"
            " says, so a number of that size is to be expected; one much smaller hints that the proposal falls short"
            " of the event, one much larger that it went past it."
        ),
    ),
    Term(
        name="KL step",
        aliases=("kl_step",),
        definition=(
            "How far one refit moved the proposal: the divergence from the fitted law to the law that the level was"
            " drawn from. It is empty for the first level, which all starts share, and for a pooled law of several"
            " regions, which has no closed form."
        ),
        formula="KL(fitted || drawn from)",
        unit="nats",
        where="report: iterations; iterations.csv; result.json: iterations.kl_step",
        reading=(
            "It should fall to a small fraction of a nat by the pooled level: the tuning has then settled. A large last"
            " step says that one more level would have moved the proposal again; 0 beside a note of degenerate weights"
            " says that the elites were worth too little to refit."
        ),
    ),
    Term(
        name="information budget",
        aliases=("information", "budget"),
        definition=(
            "What the event costs and who pays it, in one currency. The event is worth its self-information, which"
            " crude Monte Carlo pays in full; a proposal pays KL(optimal || proposal) only. Each amount stands for"
            " about exp of it draws for one effective hit."
        ),
        formula="event: -log P; proposal: KL(optimal || proposal); saved: 1 - KL / (-log P)",
        unit="nats and bits",
        where="report: section of that name; shell: last rows of each estimate; result.json: estimates.information",
        reading=(
            "Look at the saved share first, then at the draws that the proposal implies. It says how costly the number"
            " was, not whether it is right: that is the verdict's business."
        ),
    ),
    Term(
        name="saved share",
        aliases=("saved_share", "saved", "share saved"),
        definition=(
            "The part of the event's self-information that the proposal did not have to pay. It is a share on the log"
            " scale: 90 % of 15 nats is a factor of exp(13.5) in draws. Crude Monte Carlo saves nothing."
        ),
        formula="1 - KL(optimal || proposal) / (-log P)",
        unit="dimensionless",
        where="report: information budget; shell: 'saved'; result.json: information.saved_share",
        reading=(
            "Close to 100 % is good. Compare it between runs of the same event only: the rarer the event, the larger"
            " the share that the same remaining KL leaves. Below zero the proposal is worse than none: use another."
        ),
    ),
    Term(
        name="implied draws",
        aliases=("crude_draws", "proposal_draws", "draws implied"),
        definition=(
            "The number of draws that an amount of information stands for: exp of it in nats. About so many draws are"
            " needed, and suffice, before an estimate from that law starts to settle (Chatterjee and Diaconis, 2018)."
            " For crude Monte Carlo it is one over the probability."
        ),
        formula="exp(-log P) by crude Monte Carlo; exp(KL(optimal || proposal)) by the proposal",
        unit="draws",
        where=(
            "report: information budget; shell: 'saved'; result.json: information.crude_draws and proposal_draws"
            " (crude_draws is null above exp(700))"
        ),
        reading=(
            "An order of magnitude, not a plan. What the variance of this run says is 'draws per effective hit', which"
            " is never smaller; a gap of more than a few times between the two says that a few heavy weights matter."
        ),
    ),
    Term(
        name="bits and nats",
        aliases=("bits", "nats", "bit", "nat"),
        definition=(
            "Two units of information: nats with the natural logarithm, bits with the logarithm to base two. A nat is a"
            " factor e = 2.718 in probability or draws, a bit a factor two. Ten bits are a factor of about a thousand."
        ),
        formula="1 nat = 1 / log(2) bits = 1.4427 bits",
        unit="nats or bits",
        where="report: every amount of information; result.json: keys that end in _nats or _bits, otherwise nats",
        reading="To compare two numbers make sure of the unit first: 2.3 nats and 3.3 bits are both a factor of ten.",
    ),
    Term(
        name="log probability",
        aliases=("log P", "log_probability", "log_value"),
        definition=(
            "The natural logarithm of an estimated probability: of the event, or of an intermediate level. It stays"
            " exact where the probability itself is below the smallest double."
        ),
        formula="log(sum w / n)",
        unit="nats",
        where="report: iterations; iterations.csv; result.json: estimates.log_value, iterations.log_probability",
        reading=(
            "In the iterations it falls with every level. Starts that reached the same threshold should agree within"
            " their few elites; one far from the others has found another region, or less of it."
        ),
    ),
)

_MODEL = (
    Term(
        name="target",
        aliases=("p", "nominal law"),
        definition=(
            "The law p that the question is about: the inputs as modelled. Draws are made on the independent standard"
            " normals behind them, or on the risk factors themselves when the method says physical space. The event's"
            " probability is a probability under the target, whatever law was drawn from."
        ),
        formula="P = P_p(loss >= threshold)",
        unit="",
        where="report: figure losses, information budget; config: inputs",
        reading="The answer is as good as this law: no diagnostic of the sampling says whether the model is right.",
    ),
    Term(
        name="proposal",
        aliases=("q", "importance distribution"),
        definition=(
            "The law q that is drawn from instead of the target, so that the event is common. Every draw is corrected"
            " by its weight p/q. It comes from tuning, or the user states it, and it is frozen before the estimate"
            " stage begins."
        ),
        formula="P = E_q[1{loss >= threshold} p(u)/q(u)]",
        unit="",
        where="report: figure losses, information budget; config: method.proposal",
        reading=(
            "It must reach every part of the event: where q has no draws the run says nothing, and no weight tells."
            " KL(optimal || proposal) says how good it is where it went."
        ),
    ),
    Term(
        name="optimal proposal",
        aliases=("optimal", "optimal law", "zero-variance proposal"),
        definition=(
            "The target restricted to the event. One draw from it would give the exact probability, which is why"
            " nobody can draw from it: its density contains the number that is asked for. A proposal is judged by its"
            " divergence from it."
        ),
        formula="p(u) 1{loss(u) >= threshold} / P",
        unit="",
        where="report: information budget, figures levels and entropy; as 'optimal' in names of numbers",
        reading="The yardstick of tuning; a proposal is good when it is close to it on the whole event.",
    ),
    Term(
        name="inputs",
        aliases=("risk factors",),
        definition=(
            "The joint law of the risk factors, together with the map from independent standard normals to them. Where"
            " it was fitted to data, the description says to which and how."
        ),
        formula="x = T(u), u standard normal",
        unit="that of the factors",
        where="report: model and method; result.json: description.inputs; config: inputs",
        reading=(
            "Check the first line against what you meant: dimension, law, data. The tail of the inputs moves the answer"
            " more than anything else."
        ),
    ),
    Term(
        name="loss",
        aliases=("loss model", "limit state"),
        definition=(
            "The number that the model makes of one draw of the inputs; larger is worse. The event is a loss at or"
            " beyond the threshold, or at or below it for a limit state."
        ),
        formula="event: loss >= threshold (direction above) or loss <= threshold (below)",
        unit="the user's",
        where="report: model and method, figure losses; arrays.npz; result.json: description.loss; config: loss",
        reading="Check the sign: losses are positive when bad. The figure of losses shows where the target puts them.",
    ),
    Term(
        name="threshold",
        aliases=("threshold_note", "direction", "above", "below"),
        definition=(
            "The loss at which the event begins, in the unit of the loss. The direction says on which side the event"
            " lies. The note says how the number was resolved when it was given in standard deviations."
        ),
        formula="P(loss >= threshold) or P(loss <= threshold)",
        unit="that of the loss",
        where="report: headline, figures; shell; result.json: estimates.threshold, threshold_note and direction",
        reading=(
            "The first thing to check: a threshold in another unit answers another question. One beyond which more than"
            " half of all losses lie is no question about a tail, and the note says so: often a sign is wrong."
        ),
    ),
    Term(
        name="k sigma",
        aliases=("sigma", "5 sigma", "threshold_error", "threshold_draws", "threshold_khat"),
        definition=(
            "A threshold given as a number of standard deviations of the loss from its mean. The standard deviation is"
            " that of the loss under the target: in closed form where there is one, otherwise from a pilot sample of"
            " 10,000 draws, or of up to a fiftieth of the budget where the asked error needs more. What that leaves of"
            " error in the threshold is in the interval and in the relative error (threshold_error: its part). A number"
            " given as sigma is used instead, around a mean of zero."
        ),
        formula="mean + k std (above), mean - k std (below)",
        unit="standard deviations of the loss",
        where="report and shell: beside the threshold; result.json: estimates.threshold_note; config: above or below",
        reading=(
            "Five sigma is 2.9e-07 for a normal loss only; heavy tails can make it thousands of times likelier. A pilot"
            " sample makes the threshold itself random: state it as a number where its part of the error matters. A"
            " loss without a fourth moment (threshold_khat 0.5 and more) has no error of its standard deviation."
        ),
    ),
    Term(
        name="measure",
        aliases=("label", "kind"),
        definition=(
            "What is asked about the loss, and under which name the answer stands: the probability of a threshold, a"
            " value at risk, an expected shortfall and others, which 'raresim list measures' names. A run may have"
            " several; its headline, and the diagnostics of the whole run, are those of the rarest."
        ),
        formula="",
        unit="",
        where="report: tables of estimates; result.json: estimates.kind and label; config: measures",
        reading="Compare the label with your question, sign and side included.",
    ),
    Term(
        name="method",
        aliases=("crude Monte Carlo", "crude", "importance sampling", "cross-entropy method"),
        definition=(
            "How the law to draw from is chosen. Crude draws from the target and counts, importance draws from a"
            " proposal that the user states, cross_entropy tunes one level by level; 'raresim list methods' has them"
            " all. The estimate is then a mean of independent rows for each of them."
        ),
        formula="",
        unit="",
        where="report: title, model and method; result.json: method and description.method; config: method",
        reading=(
            "Crude needs no trust and many draws: about 100 over the probability for ten per cent of error. The others"
            " need few draws, and the verdict."
        ),
    ),
    Term(
        name="log weight",
        aliases=("log_weight", "weight", "weights"),
        definition=(
            "The logarithm of the factor that corrects one draw of the proposal. It is zero for every draw of crude"
            " Monte Carlo. With a defensive share s no log weight is above -log(s): 3.0 at 5 %."
        ),
        formula="log w = log p(u) - log q(u)",
        unit="nats",
        where="report: figure weights; shell: 'weights'; arrays.npz: log_weight, top_log_weight",
        reading="The hits should have weights of similar size. Look at k-hat and max share when they do not.",
    ),
    Term(
        name="defensive share",
        aliases=("defensive", "defensive mixture"),
        definition=(
            "The part of the proposal's draws that comes from the target itself. It bounds every weight by one over"
            " the share, so that a region which the tuned law misses cannot carry unbounded weights (Hesterberg,"
            " 1995)."
        ),
        formula="q = (1 - s) tuned + s p, hence w <= 1/s",
        unit="dimensionless, a share of the draws",
        where="report: model and method; config: method.defensive",
        reading=(
            "The cross-entropy method has 5 % by default, a stated proposal none; it costs that share of the draws."
            " Raise it when k-hat or max share complain. It does not find a rare region by itself: it draws from the"
            " target, as crude Monte Carlo does."
        ),
    ),
)

_SAMPLING = (
    Term(
        name="stage",
        aliases=("stages",),
        definition=(
            "A part of a run with random streams of its own. In the cost table it is one of explore, tune, estimate and"
            " audit; in the log every level of every start has a number. No draw belongs to two stages."
        ),
        formula="",
        unit="",
        where="report: cost; result.json: evaluations; log.jsonl",
        reading=(
            "Only the draws of the estimate stage are in the numbers. A run that spends most of its evaluations on"
            " tuning asks for less precision than tuning could give."
        ),
    ),
    Term(
        name="explore",
        aliases=("exploration", "pilot"),
        definition=(
            "The stage before tuning. Where a threshold is given in sigma and the loss has no closed form for them,"
            " 10,000 draws of the target give mean and standard deviation of the loss. For a value at risk or an"
            " expected shortfall a search finds about where the quantile is."
        ),
        formula="",
        unit="evaluations",
        where="report: cost; shell: evaluations; result.json: evaluations.explore",
        reading=(
            "Zero where thresholds are numbers, or in sigma of a linear loss. For a quantile it is part of the price."
        ),
    ),
    Term(
        name="tune",
        aliases=("tuning",),
        definition=(
            "The stage that fits the proposal: levels of draws, each refitted to the draws beyond it. None of its draws"
            " enters the estimate. Fits replay their draws from the streams, so a tuning draw is evaluated once."
        ),
        formula="",
        unit="evaluations",
        where="report: cost, iterations; shell: evaluations; result.json: evaluations.tune",
        reading=(
            "Zero for crude Monte Carlo and for a stated proposal. Climbing ends at half of max_evaluations, whether"
            " or not the threshold is reached."
        ),
    ),
    Term(
        name="estimate stage",
        aliases=("evaluations.estimate",),
        definition=(
            "The stage behind the numbers: fresh draws from the frozen proposal, until the asked relative error or the"
            " budget is reached. Every estimate, interval and diagnostic is computed from these draws alone."
        ),
        formula="",
        unit="evaluations",
        where="report: cost; shell: evaluations; result.json: evaluations.estimate; convergence.csv",
        reading="Its count is the n in every formula of the estimate.",
    ),
    Term(
        name="audit",
        aliases=(
            "evaluations.audit",
            "audit.extent",
            "audit.climbs",
            "audit_uncovered",
            "audit_climbs",
            "audit_found",
            "extent",
            "audit.why",
            "why",
            "audit.needed",
            "needed",
            "audit.samples",
            "audit.reached",
            "climbs",
        ),
        definition=(
            "Samplers that have never seen the proposal look for failing draws that the estimate would hardly make:"
            " soundings, which do not follow the loss, and climbs of subset simulation, which do. Each failing draw is"
            " asked what share of the estimate one row there would have added. Where that is more than a tenth, the"
            " draw is uncovered: rows there are rare and heavy, and that none was drawn says nothing. Where rows are"
            " replicates it is uncovered when all but three lie much farther from it than most lie from each other."
        ),
        formula="uncovered: w / (n P) > 0.1; the check's value is the uncovered share of a climb's failing probability",
        unit="dimensionless",
        where="config: audit; report: checks, cost, tuning; result.json: search.audit, diagnostics, evaluations.audit",
        reading=(
            "As a check, of the climbs: the worst under 1 % and three relative errors is trusted, under 20 % caution,"
            " else untrusted; caution where none was made or found the event. There is no need of an audit where every"
            " row comes from the target itself."
        ),
    ),
    Term(
        name="audit level",
        aliases=("audit_level", "audit_log_ratio", "audit_log_ratio_error", "audit_failing"),
        definition=(
            "What the climbs of the audit make of the probability, beside the estimate. A climb is a rough estimate by"
            " itself, the rougher the fewer draws a level has. Only an estimate that is far too small can be told."
        ),
        formula="mean over climbs of log(P of the climb / P)",
        unit="nats",
        where="report: checks; result.json: diagnostics",
        reading="As a check: trusted below 0.8 nats or three of its errors, caution below 1.6 or four, else untrusted.",
    ),
    Term(
        name="audit error ratio",
        aliases=("audit_error", "audit_error_ratio"),
        definition=(
            "The error by the failing draws of the audit, over the one that is reported. Draws, lines and rays through"
            " them are met as often as they weigh, so that the few heavy ones show, of which a small sample mostly"
            " has none: its spread, and with it its error, is then too small."
        ),
        formula="sqrt((E[w] / P - 1) / n) / relative error: E[w] of rows through failing draws, P two errors above it",
        unit="dimensionless",
        where="report: checks; result.json: diagnostics",
        reading=(
            "As a check of lines and rays: below 2 trusted, below 4 caution, else untrusted. Below 1.25 the error of"
            " any rows is known whatever k-hat says, and one weight may carry 5 %."
        ),
    ),
    Term(
        name="soundings",
        aliases=(
            "audit.soundings",
            "soundings_uncovered",
            "soundings_width",
            "soundings_draws",
            "soundings_hits",
            "soundings_regions",
            "soundings_whole",
            "soundings_failing",
            "soundings.width",
            "soundings.draws",
            "soundings.hits",
            "soundings.regions",
            "soundings.climbs",
            "soundings.ended",
        ),
        definition=(
            "The part of the audit that does not follow the loss. Draws of the target, widened so far that some are in"
            " the event (the width is their standard deviation), are asked only whether they are: no slope of the loss"
            " hides a region from them. From each of these hits that lies in no known region, the point of the event"
            " nearest to the origin is looked for, and typical failing draws around it are asked what share of the"
            " estimate one row there would have added. The value is what lies at draws that would add more than a"
            " tenth."
        ),
        formula="probability at uncovered draws around the points / P",
        unit="dimensionless; width: standard deviations",
        where="report: checks, tuning; result.json: search.audit.soundings, diagnostics",
        reading=(
            "As a check: nothing is trusted, under 20 % is caution, more is untrusted. A little counts, because a few"
            " draws around the nearest point of a region that bends see only a small part of it. It is caution, too,"
            " where no typical failing draw was found, or where the evaluations left for them were spent before they"
            " were whole. Without a hit they say nothing, and the climbs of the audit"
            " decide. Give the limit states by themselves, or use method auto."
        ),
    ),
    Term(
        name="soundings level",
        aliases=("soundings_level", "soundings_log_ratio", "soundings_error"),
        definition=(
            "What the failing draws of the soundings make of the probability, beside the estimate, and the relative"
            " error of that. It is a rough number from a few dozen draws for each region. Only an estimate that is too"
            " small can be told: regions that soundings did not find are missing in theirs."
        ),
        formula="log(P of the soundings / P)",
        unit="nats; error: dimensionless",
        where="report: checks; result.json: diagnostics",
        reading=(
            "As a check: their probability, less three of its errors, below 1.1 times the estimate is trusted, below"
            " twice caution, else untrusted."
        ),
    ),
    Term(
        name="rounds",
        aliases=(
            "round",
            "evaluations.rounds",
            "search.rounds",
            "rounds.values",
            "rounds.missed",
            "rounds.estimate",
            "rounds.audit",
        ),
        definition=(
            "Where the audit finds failing draws that the estimate hardly makes, these begin another round: the search"
            " goes on from them, and an estimate and an audit with fresh draws follow. With method auto, weights too"
            " heavy to be trusted do the same: the round begins with the failing draws at which one row would be"
            " heaviest, and its estimate has as many rows at least. Listed are the rounds before the"
            " last: the estimates that came out (values), the failing draws that began the next one (missed), and the"
            " evaluations of estimate and audit, of which no number of the result is read. A round that missed nothing"
            " was an audit on the way: the same estimate went on."
        ),
        formula="evaluations.rounds = sum of estimate + audit of the rounds before the last",
        unit="evaluations",
        where="report: cost; shell: evaluations; result.json: search.rounds, evaluations.rounds",
        reading=(
            "None in most runs. At most three are made, within the budget, and the verdict is that of the last alone."
            " A value far below the final estimate shows how much the first search had missed."
        ),
    ),
    Term(
        name="evaluations",
        aliases=("evaluations.total", "total", "cost"),
        definition=(
            "How often the loss model was computed, by stage and in all. A replayed draw is not counted, because its"
            " loss was kept."
        ),
        formula="total = explore + tune + estimate + audit + rounds + exhibits",
        unit="evaluations of the loss",
        where=(
            "report: cost, iterations, figure convergence; shell: 'evaluations'; convergence.csv; result.json:"
            " evaluations"
        ),
        reading="The price of a run when the loss is slow. Compare methods by their total, tuning included.",
    ),
    Term(
        name="block",
        aliases=("blocks",),
        definition=(
            "Up to a few hundred thousand draws that are made and summarised together. The stage's plan"
            " alone cuts the blocks, and their summaries merge in block order. Workers therefore cannot change a digit."
        ),
        formula="rows = min(4 MiB of draws, max(a sixteenth of the stage, 256), 262,144)",
        unit="",
        where="report: last line; log.jsonl; messages about a loss that failed",
        reading="A failing loss names its stage and block: those two and the seed bring the same draws back.",
    ),
    Term(
        name="stream",
        aliases=("bit_generator", "stream_version", "random stream"),
        definition=(
            "The random numbers of one block, started from seed, stage and block number. The bit generator is NumPy's"
            " PCG64DXSM. The stream version changes when the same seed would give other draws."
        ),
        formula="PCG64DXSM(SeedSequence(seed, spawn_key=(stage, block)))",
        unit="",
        where="report: provenance; manifest.json: bit_generator and stream_version",
        reading="Two runs with the same seed and configuration but another stream version are independent runs.",
    ),
    Term(
        name="iteration",
        aliases=("iterations",),
        definition=(
            "The number of a level within its start. Iteration 0 is the level that all starts share; the pooled level"
            " counts from 0 again."
        ),
        formula="",
        unit="",
        where="report: iterations, figures levels and entropy; iterations.csv; result.json: iterations",
        reading="Many iterations with little progress mean that the proposal family does not fit the event.",
    ),
    Term(
        name="level",
        aliases=("levels",),
        definition=(
            "An intermediate threshold of the tuning: the loss that the best share of a level's draws reaches, never"
            " beyond the threshold itself. The next proposal is fitted to the draws beyond it. In an estimate the key"
            " level is the confidence of a value at risk or an expected shortfall, such as 0.999, and null for others."
        ),
        formula="min(threshold, (1 - rarity) quantile of the losses)",
        unit="that of the loss",
        where="report: iterations, figure levels; iterations.csv; result.json: iterations.level, estimates.level",
        reading=(
            "It should move towards the threshold in every iteration and end on it. A start whose level stands still"
            " for three iterations is given up."
        ),
    ),
    Term(
        name="rarity",
        aliases=(),
        definition=(
            "The share of a level's draws that lie at or beyond it. The method's setting of that name, 10 % by default,"
            " is the share that sets the next level; the table shows the share that came out."
        ),
        formula="elites / draws of the level",
        unit="dimensionless",
        where="report: iterations; iterations.csv; result.json: iterations.rarity; config: method.rarity",
        reading=(
            "Near the setting until the threshold caps the level, then larger. Larger before that means that many"
            " losses are equal."
        ),
    ),
    Term(
        name="elites",
        aliases=("elite",),
        definition=(
            "The draws of a level at or beyond it, to which the next proposal is fitted. A level takes enough draws"
            " for five of them per free parameter of the proposal family, and at least 1,000."
        ),
        formula="",
        unit="draws",
        where="report: iterations; iterations.csv; result.json: iterations.elites",
        reading=(
            "Their effective number, in the column beside, is what counts. A level whose elites are worth too little"
            " is drawn again at the same size and added, up to three times; below 20 effective elites the start ends."
        ),
    ),
    Term(
        name="start",
        aliases=("starts", "all", "reached"),
        definition=(
            "One climb of the tuning from the first level to the threshold. Several are made so that several failure"
            " regions can be found. The row named all is the first level, which they share; where its elites lie in"
            " several regions, the starts divide the regions among them. A method without starts names its stages here."
        ),
        formula="",
        unit="",
        where=(
            "report: iterations, figure levels; iterations.csv; result.json: iterations.start, search.starts (climbs"
            " begun) and search.reached (climbs that came to the threshold)"
        ),
        reading="At least four starts, of which half reach the threshold, are asked for a trusted search.",
    ),
    Term(
        name="pooled",
        aliases=("pooled level",),
        definition=(
            "The last level of the tuning: drawn at the threshold from the mixture of all regions that starts have"
            " found, the defensive share included. Shares and components are refitted to its elites once more. It is"
            " left out when three quarters of max_evaluations would be spent."
        ),
        formula="",
        unit="",
        where="report: iterations, last row, and figures levels and entropy; result.json: iterations.start",
        reading=(
            "The row to look at: many effective elites and a small KL step mean that the proposal is ready. Its draws"
            " are not in the estimate, but their variance sets the size of the estimate stage."
        ),
    ),
    Term(
        name="row",
        aliases=(
            "rows",
            "search.unit",
            "estimator",
            "line",
            "lines",
            "lines in the event",
            "directions",
            "directions in the event",
        ),
        definition=(
            "What an estimate is the mean of: independent rows of one kind, each with a weight for the event. A row is"
            " a draw, a line with the probability of the event along it, a direction with that of the event beyond the"
            " origin, or a replicate. A line or a direction takes several evaluations and knows more than a draw."
        ),
        formula="estimate = sum w / n over n rows",
        unit="rows",
        where="report: estimates, figures; result.json: search.unit, diagnostics.rows",
        reading=(
            "Words such as effective hits and k-hat speak of rows. To compare runs whose rows differ, take evaluations"
            " and the work-normalised variance."
        ),
    ),
    Term(
        name="decisions",
        aliases=("how the method decided", "trace", "search.decisions"),
        definition=(
            "What the method chose on its way and why, a sentence each, in their order. The figure and the tables"
            " beside them hold what it went by; they are stored in trace.json. A method without a choice leaves none."
        ),
        formula="",
        unit="",
        where="report: how the method decided; shell: 'Decisions'; result.json: search.decisions; trace.json",
        reading=(
            "Read them when a method took more evaluations than expected, or another one than you would have taken: set"
            " method to overrule them."
        ),
    ),
    Term(
        name="note",
        aliases=(),
        definition=(
            "Why a start ended where it did, when that was not the threshold: degenerate weights, a level that stood"
            " still, or the limit on levels. On the first level it says why there was nothing to climb. A start that"
            " had no evaluations left is named in the outcome of the search only. On other levels it says what a fit"
            " lacks of the components or covariances that were asked for, because there were too few elites."
        ),
        formula="",
        unit="",
        where="report: iterations; iterations.csv; result.json: iterations.note",
        reading="Empty is good. A note on one start of several is repeated in the check of the search.",
    ),
)

_NUMBERS = (
    Term(
        name="estimate",
        aliases=("estimates", "value"),
        definition=(
            "The number that was asked for: the mean, over all draws of the estimate stage, of the weight of a hit and"
            " zero for a miss. It is unbiased when the proposal reaches every part of the event and the size of the"
            " stage was planned. Without a hit it is zero, and only its upper bound says anything."
        ),
        formula="sum w / n, w over the hits among n draws",
        unit="dimensionless for a probability",
        where="report: headline, estimates, figure convergence; shell: 'estimate'; result.json: estimates.value",
        reading="Read it together with the interval and after the verdict, never alone.",
    ),
    Term(
        name="standard error",
        aliases=("std_error", "SE"),
        definition=(
            "The standard deviation that the estimate would show over repeated runs, estimated from the spread of the"
            " weights. It comes from the same draws as the estimate: heavy weights that have not arrived yet are"
            " missing from both."
        ),
        formula="estimate * relative error",
        unit="that of the estimate",
        where="report: headline; result.json: estimates.std_error; convergence.csv",
        reading="Believe it when k-hat is below 0.5; above that it is optimistic. Null without a hit.",
    ),
    Term(
        name="relative error",
        aliases=("relative_error", "rel. error"),
        definition=(
            "The standard error divided by the estimate. It is the size by which rare-event runs are compared, because"
            " a fixed number of effective hits gives the same relative error at any probability."
        ),
        formula="sqrt((n sum w^2 / (sum w)^2 - 1) / (n - 1)), close to sqrt(1/ess - 1/n)",
        unit="dimensionless",
        where="report: headline, estimates, checks; shell: 'relative error'; result.json: estimates.relative_error",
        reading=(
            "As a check: up to 10 % is trusted, up to 30 % caution, beyond that untrusted. Four times the draws halve"
            " it; raise max_evaluations when the budget ended first."
        ),
    ),
    Term(
        name="interval",
        aliases=(
            "confidence interval",
            "interval_kind",
            "log scale",
            "exact",
            "exact (Clopper-Pearson)",
            "lower",
            "upper",
            "holds_confidence",
            "nominal confidence",
            "log scale of the odds",
            "gamma law of the few draws outside",
            "betting",
        ),
        definition=(
            "A range that contains the true value in the stated share of repeated runs. Crude counts get the exact"
            " binomial interval (Clopper-Pearson), or the exact one of the gamma law where the run has a guarantee."
            " Weighted estimates get an interval that is symmetric on the log scale, so it stays positive, and from a"
            " k-hat of 0.3 on it has the quantile of Student's t with 15 degrees of freedom; an event that the target"
            " itself hits often is read from the weights inside and outside of it, on the log scale of the odds or from"
            " the gamma law of the few draws outside."
            " These are widened when the run chose its own size, see looks; one from bets (interval: betting) holds at"
            " every look as it is, where the weights have a bound, and is about twice as wide."
        ),
        formula="log scale: [P exp(-z r), P exp(+z r)], r the relative error; exact: beta quantiles",
        unit="that of the estimate",
        where="report: headline, estimates, figure convergence; shell; result.json: estimates.interval, interval_kind",
        reading=(
            "It covers sampling error only: neither the model nor a region that no draw reached. Where it is called"
            " nominal, or 'not at 95 %', it is too narrow: the weights may have no variance. In convergence.csv the"
            " intervals are those of a sample of fixed size, not widened."
        ),
    ),
    Term(
        name="guarantee",
        aliases=("guaranteed_error", "hits_wanted", "gamma law"),
        definition=(
            "For crude Monte Carlo: the run stops at a number of hits that was fixed beforehand, k, and the estimate is"
            " off by more than a stated share with at most a stated probability, for any number of draws and whatever"
            " the answer is. The draws up to the last of these hits are timed by a clock with independent exponential"
            " steps, which makes the law of the relative error known. Where the budget ends first there is none."
        ),
        formula="(k - 1) / t, p t having the gamma law of k; guaranteed_error = z r, r the asked relative error",
        unit="dimensionless",
        where="YAML: method.guarantee; shell and report: beside the interval; result.json: diagnostics.hits_wanted",
        reading="An error of 9.8 % at 95 % takes 402 hits, about what the same error costs without the guarantee.",
    ),
    Term(
        name="upper bound",
        aliases=("bound", "zero hits"),
        definition=(
            "What is left when no draw hit the event. For crude Monte Carlo it is the exact upper limit, about 3/n at"
            " 95 %. For a weighted run it is 1, because a proposal that misses the event proves nothing."
        ),
        formula="1 - (1 - confidence)^(1/n) for n draws of the target",
        unit="that of the estimate",
        where="report: headline with a sign of <=; shell: 'upper bound'; result.json: estimates.interval, kind 'bound'",
        reading="The probability may be anywhere below it. Never quote the estimate of zero.",
    ),
    Term(
        name="confidence",
        aliases=("confidence level",),
        definition=(
            "The share of repeated runs whose interval is meant to contain the true value. It is 0.95 unless the"
            " measure says otherwise."
        ),
        formula="",
        unit="dimensionless",
        where="report: beside each interval; shell: the row of the interval; result.json: estimates.confidence",
        reading="One interval in twenty misses at 95 %, also in perfect runs.",
    ),
    Term(
        name="looks",
        aliases=("planned", "interval_inflation", "widened"),
        definition=(
            "How often the run held its own result against the asked error before it ended. A run whose size was"
            " planned from tuning draws and that needed one look has not chosen its size by its result. Any other has,"
            " and its intervals are widened by 5 % of their length on the log scale."
        ),
        formula="interval_inflation = 1 if planned and looks = 1, else 1.05",
        unit="looks; the inflation is dimensionless",
        where="result.json: stopping.looks, stopping.planned, stopping.interval_inflation",
        reading="One planned look is best. Many looks mean that the variance was hard to foresee: check k-hat.",
    ),
    Term(
        name="stopping rule",
        aliases=("stopping", "stopping.relative_error", "max_evaluations", "stop"),
        definition=(
            "When a run ends: at the first look at which every measure has the asked relative error, or when the budget"
            " of evaluations is spent. The budget holds for the whole run, tuning included. An asked error of null"
            " spends it all."
        ),
        formula="",
        unit="relative error dimensionless; budget in evaluations",
        where="result.json: stopping.relative_error and stopping.max_evaluations; config: stop",
        reading="A relative error in the result above the one asked for says that the budget ended the run.",
    ),
    Term(
        name="reference",
        aliases=("reference.value", "source"),
        definition=(
            "A value from elsewhere to compare with, and where it comes from. The run never uses it; it is drawn into"
            " the figures and compared in the tables."
        ),
        formula="",
        unit="that of the estimate",
        where="report: headline, estimates, figure convergence; shell: 'reference'; result.json: estimates.reference",
        reading="Worth as much as its source: a closed form is a test, another simulation is a second opinion.",
    ),
    Term(
        name="reference difference",
        aliases=("difference", "difference in standard errors", "standard errors away", "standard_errors"),
        definition=(
            "The estimate minus the reference, in standard errors of the estimate. Where there is no standard error,"
            " the report says whether the reference lies in the interval."
        ),
        formula="(estimate - reference) / standard error",
        unit="standard errors",
        where="report: headline, estimates; shell: 'reference'",
        reading=(
            "Within 2 in 95 of 100 sound runs, which the report calls agreement; up to 3 is borderline, beyond that"
            " disagreement. Large differences with a good k-hat point to a missed region or to another model."
        ),
    ),
    Term(
        name="unit",
        aliases=("dimensionless",),
        definition=(
            "The unit of an estimate. Probabilities are dimensionless; thresholds and levels are in the unit of the"
            " loss, which raresim takes as it is given."
        ),
        formula="",
        unit="",
        where="report: behind a value that has one; result.json: estimates.unit",
        reading="Units are never guessed or converted.",
    ),
    Term(
        name="odds",
        aliases=("in odds",),
        definition=(
            "The estimated probability written as one in so many. If a draw stands for a day, it is the mean number of"
            " days between events."
        ),
        formula="1 in 1/P",
        unit="draws",
        where="report: headline",
        reading="Easier to say than a power of ten, and as uncertain as the estimate.",
    ),
    Term(
        name="speed-up over crude",
        aliases=("speedup_over_crude", "against crude", "speed-up"),
        definition=(
            "How many times more evaluations crude Monte Carlo would need for the same relative error. The evaluations"
            " of the whole run count, tuning included. For a run of several measures it is that of the rarest."
        ),
        formula="((1 - P) / (P r^2)) / total evaluations, r the relative error",
        unit="dimensionless",
        where="report: cost, estimates; shell: 'against crude'; result.json: speedup_over_crude, also in diagnostics",
        reading=(
            "Below 1 the run was slower than counting. It uses the run's own relative error, so it is flattering when"
            " k-hat is high."
        ),
    ),
    Term(
        name="work-normalised variance",
        aliases=("work", "error^2 x evaluations"),
        definition=(
            "The squared relative error times the evaluations of the whole run, tuning included. It is the number of"
            " evaluations per unit of precision: a run that goes on twice as long halves the square and keeps the"
            " product, once tuning is paid for."
        ),
        formula="r^2 * total evaluations, r the relative error",
        unit="evaluations",
        where="shell: raresim compare, column 'work'; compare.json, compare.csv: work",
        reading=(
            "Smaller is better; divided by the square of the error you want, it is about what that costs. Crude Monte"
            " Carlo has about one over the probability. Compare trusted runs only: an error that is itself"
            " underestimated looks cheap."
        ),
    ),
    Term(
        name="spread over seeds",
        aliases=("spread", "spreads", "seeds", "runs", "mean", "between", "reported", "covers", "covered"),
        definition=(
            "What several runs of one method say that differ in the seed alone: the mean of their estimates, the"
            " standard deviation between them over that mean, the relative error that they report, and how many"
            " intervals contain the reference. A run without a hit counts as zero. Their work uses the spread, not the"
            " error that the runs report."
        ),
        formula="between = sd(estimates) / mean; reported = sqrt(mean r^2); work = between^2 * mean evaluations",
        unit="dimensionless; work in evaluations",
        where="shell: raresim compare, second table; compare.json: spreads; compare.csv: covers, of each run",
        reading=(
            "Spread and reported should be alike; a spread that is much larger says that the runs do not know their own"
            " error. From n seeds the spread itself is known to about 1/sqrt(2 n) only: 35 % from four."
        ),
    ),
    Term(
        name="seconds",
        aliases=("seconds.total", "compile", "duration"),
        definition=(
            "Time from start to result on this machine, and how much of it went into compiling kernels. Compiled"
            " kernels are kept on disk, so a second run compiles little or nothing."
        ),
        formula="",
        unit="seconds",
        where="report: cost, provenance; shell: 'seconds'; result.json: seconds; manifest.json",
        reading="The one number that differs between two runs of the same configuration.",
    ),
)

_TRUST = (
    Term(
        name="verdict",
        aliases=("status", "result", "asked"),
        definition=(
            "Whether to believe a number: the worst of its checks. The verdict of a run is that of its worst estimate"
            " among those that were asked for; points that a curve adds of itself (asked: false) have a verdict each."
            " It is computed from stored numbers alone, and a check that could not run counts as caution."
        ),
        formula="trusted < caution < untrusted < bound_only, the worst check decides",
        unit="",
        where="report: top, estimates, checks; shell: first line; result.json: verdict; exit code",
        reading="Read it before the number, and its scope with it: it speaks of the draws, not of the model.",
    ),
    Term(
        name="trusted",
        aliases=(),
        definition=(
            "Every check passed: the interval can be relied on within the scope. It does not say that no other failure"
            " region exists; the hidden-mass bound says what is left open."
        ),
        formula="",
        unit="",
        where="report and shell: the verdict; exit code 0",
        reading="Use the number with its interval and its scope.",
    ),
    Term(
        name="caution",
        aliases=(),
        definition=(
            "At least one check warned or could not run, and none failed. The number is usable with the reservation"
            " that the check states."
        ),
        formula="",
        unit="",
        where="report and shell: the verdict; exit code 0, or 10 with --require trusted",
        reading="Read the reasons, follow the advice, run again with another seed and compare.",
    ),
    Term(
        name="untrusted",
        aliases=(),
        definition=(
            "At least one check failed: too few hits, an error too large, weights without a variance, a weight that"
            " decides alone, or a search that reached nothing. The interval does not hold."
        ),
        formula="",
        unit="",
        where="report and shell: the verdict; exit code 20",
        reading="Do not use the number. The advice says what to change.",
    ),
    Term(
        name="bound only",
        aliases=("bound_only",),
        definition=(
            "No draw hit the event, so there is no estimate. All that is known is an upper bound, and for a weighted"
            " run not even that."
        ),
        formula="",
        unit="",
        where="report and shell: the verdict; exit code 21",
        reading="Raise max_evaluations, or use the cross-entropy method; check that the threshold can be reached.",
    ),
    Term(
        name="check",
        aliases=("checks", "checks.name", "checks.value", "message", "data"),
        definition=(
            "One reason of a verdict: what was looked at, what was seen, what follows. The checks are hits, ess,"
            " relative_error, khat, max_share and search; of replicates, replicates, relative_error and search. Without"
            " any hit they are replaced by data, which says that nothing was seen, and search."
        ),
        formula="",
        unit="that of the quantity looked at",
        where="report: verdict and checks; shell: those that did not pass; result.json: verdict.checks",
        reading="Look at the worst first. Each message names the value that is wanted.",
    ),
    Term(
        name="advice",
        aliases=("what to do",),
        definition="What would improve the verdict, a line for each check that did not pass. It is empty when all did.",
        formula="",
        unit="",
        where="report: verdict; shell: lines with an arrow; result.json: verdict.advice",
        reading="Start with the first line. More draws help against noise, not against a wrong proposal.",
    ),
    Term(
        name="nominal hits",
        aliases=("nominal_hits", "audit_nominal", "audit_nominal_hits", "audit_nominal_chance"),
        definition=(
            "Draws of the target that hit the event, among those with which the climbs of the audit begin. They owe"
            " nothing to the search. More of them than the estimate allows for mean that part of the event was missed."
        ),
        formula="chance of as many: P(N >= hits), N Poisson with mean n P",
        unit="draws",
        where="report: checks; result.json: diagnostics",
        reading="As a check: a chance above 1 in 1,000 is trusted, above 1 in 100,000 caution, else untrusted.",
    ),
    Term(
        name="shrinkage",
        aliases=("correlation_moved", "loss_std_ratio", "assumptions", "search.assumptions", "Ledoit-Wolf"),
        definition=(
            "How far the default fit of a normal or Student t law pulls the correlations of the sample towards 0, after"
            " Ledoit and Wolf: each is multiplied by one minus the shrinkage. Volatilities stay those of the sample, in"
            " whatever units the columns are. The check compares the standard deviation of a linear loss with that of"
            " the sample; of another loss, the correlation that moved most."
        ),
        formula="1 - fitted correlation / correlation of the sample",
        unit="dimensionless; as a check: relative change of the standard deviation, or change of a correlation",
        where="report: model, checks; shell: caution; result.json: description.inputs, search.assumptions",
        reading=(
            "As a check: a change of 5 %, or of 0.1 of a correlation, is trusted, else caution. Compare with"
            " fit.covariance: sample, use more rows, or fewer columns."
        ),
    ),
    Term(
        name="log returns",
        aliases=("log_returns", "share_of_gross", "gross", "revalue"),
        definition=(
            "Logarithms of price ratios, which add up over days. In a linear loss they count as if they were simple: a"
            " position then loses x of its value where it loses 1 - exp(-x), and can lose more than all of it. With"
            " loss.revalue: exp each position is valued by exp(x) - 1 instead; with none the log returns themselves are"
            " meant, and nothing is said."
        ),
        formula="as a check: half of |loss| / sum of |w_i|",
        unit="dimensionless, a share of the loss",
        where="report: checks; shell: check, caution; result.json: search.assumptions; config: loss.revalue",
        reading="As a check: a share up to 10 % is trusted, else caution.",
    ),
    Term(
        name="simple returns",
        aliases=("simple_returns", "below_total_loss"),
        definition=(
            "Price ratios less one: what a position gains, never less than -100 %. A normal or t law, and most others,"
            " draws some below that, which no price can do. The check compares how likely that is for any of the long"
            " positions with the probability of the event."
        ),
        formula="sum of P(x_i <= -1) over long positions / P(event)",
        unit="dimensionless, at most this share of the event",
        where="report: checks; shell: check, caution; result.json: search.assumptions",
        reading=(
            "As a check: a share up to 5 % is trusted, else caution. Fit log returns, with loss.revalue: exp, which"
            " cannot fall so far."
        ),
    ),
    Term(
        name="dependent columns",
        aliases=("dependent_columns", "columns"),
        definition=(
            "Columns of the data that are a copy or a linear combination of others, or more columns than the rows can"
            " tell apart. A fit with shrinkage treats them as different risks, which makes a portfolio look better"
            " spread than it is. A sample covariance and a copula of ranks refuse them."
        ),
        formula="",
        unit="columns",
        where="report: model, checks; shell: caution; result.json: description.inputs, search.assumptions",
        reading="As a check: any is caution. Leave such columns out with fit.columns, or use more rows.",
    ),
    Term(
        name="canary",
        aliases=("canary.z", "canary.ratio", "canary.regions", "canary.draws", "z", "ratio", "search.canary"),
        definition=(
            "Regions around the components of the proposal whose probability under the target is known, estimated from"
            " draws and weights of the run. A density that is wrong by a factor makes every weight wrong by it, and no"
            " diagnostic of the weights can see that; these regions come out wrong too. No loss is evaluated."
        ),
        formula="z = (mean of estimate / probability - 1) / its standard error",
        unit="standard errors",
        where="report: checks; result.json: search.canary",
        reading=(
            "As a check: within 4 standard errors is trusted, within 5 caution, else untrusted; caution where the"
            " weights are too uneven to tell. Only in standard normal space."
        ),
    ),
    Term(
        name="scope",
        aliases=("one_region", "search.one_region"),
        definition=(
            "What a verdict speaks about. Crude Monte Carlo speaks about all failure regions, a stated proposal about"
            " those that it covers, a tuned one about those that widened draws of the audit meet with a stated"
            " probability, or that can be reached by climbing in the loss from the first level's draws. Where the"
            " event is proven to be one region, such as a half-space, it is all of them (one_region says why)."
        ),
        formula="",
        unit="",
        where="report: verdict; shell: 'Scope'; result.json: verdict.scope, search.one_region",
        reading="Ask whether the loss may fail somewhere that smaller losses do not lead to; then compare with crude.",
    ),
    Term(
        name="hidden-mass bound",
        aliases=("hidden_mass_bound", "hidden mass", "nominal"),
        definition=(
            "The largest probability that an isolated failure region can have when none of the nominal draws fell into"
            " it, at 95 % confidence. The nominal draws are those that tuning took from the target itself. It does not"
            " depend on the proposal, and only plain draws can lower it."
        ),
        formula="-log(0.05) / nominal, about 3 / nominal",
        unit="dimensionless, a probability",
        where="report: verdict; result.json: verdict.hidden_mass_bound, search.nominal",
        reading=(
            "Often far above the estimate: then the estimate holds only if the scope does. Knowledge of the loss, or"
            " more draws of the target, closes the gap. Null where nothing can hide (crude) or nothing was searched."
        ),
    ),
    Term(
        name="failed rows",
        aliases=(
            "failed",
            "failed.rows",
            "failed_rows.npz",
            "failed_searching",
            "failed_estimating",
            "failed.searching",
            "failed.estimating",
            "failed.share",
            "failed.kinds",
            "failed.kept",
            "kinds",
            "kinds.raised",
            "kinds.timeout",
            "kinds.nan",
            "kinds.infinite",
            "kinds.died",
            "retried",
            "on_failure",
        ),
        definition=(
            "Rows to which the user's loss gave no finite number: it raised, took too long, returned NaN or an"
            " infinity, or ended the process of its worker. By default such a row ends the run; with on_failure: bound"
            " it is outside the event for the estimate and the lower end of the interval, and inside for the upper end."
            " In a search it is never beyond a level. Rows that gave a loss when they were tried again are counted as"
            " retried."
        ),
        formula="",
        unit="rows",
        where="shell; report: what it cost; result.json: failed; failed_rows.npz: the first 1,000 of them",
        reading="Replay them: failed_rows.npz holds the rows as the function was given them, with its messages.",
    ),
    Term(
        name="failures",
        aliases=("widening",),
        definition=(
            "The check on failed rows: how much wider they make the interval. Where a search met failed rows and the"
            " estimate hardly any, the proposal may avoid them, and the check says so."
        ),
        formula="(upper end with failed rows - upper end without them) / width without them",
        unit="dimensionless",
        where="report: checks, what it cost; result.json: diagnostics.widening",
        reading="Up to 0.1 it hardly matters, beyond it is caution; above 1 the failed rows decide: untrusted.",
    ),
    Term(
        name="replicates",
        aliases=("replicate", "replicates in the event"),
        definition=(
            "Independent samples, each of which gives an estimate of the event by itself, while the draws within it"
            " depend on each other. The run reports their mean, and the error comes from their spread alone. A"
            " replicate that did not reach the event counts as zero."
        ),
        formula="mean and standard deviation over n replicates; interval by Student's t with n - 1 degrees of freedom",
        unit="as a check: replicates that reached the event",
        where="report: estimates, checks, figure weights; shell: 'replicates'; result.json: diagnostics.hits and rows",
        reading=(
            "As a check: ten replicates, nine tenths of which reached the event, are trusted; half of them, and four at"
            " least, are caution. With fewer, raise max_evaluations."
        ),
    ),
    Term(
        name="search",
        aliases=(
            "search.kind",
            "outcome",
            "search.weighted",
            "regions",
            "search.regions",
            "search.facts",
            "facts",
            "searched",
        ),
        definition=(
            "How failure regions were looked for. It is none for draws from the target, stated for a proposal that the"
            " user gave, tuned for climbs before the estimate, replicates for an estimate whose runs each climb by"
            " themselves. The check of that name judges it."
        ),
        formula="",
        unit="as a check: starts that reached the threshold",
        where="report: checks; result.json: search",
        reading=(
            "Tuned: trusted with at least four starts, half of which reached the threshold, and two starts a region:"
            " where each start ends in a region of its own, there may be more. Untrusted when none reached it. A stated"
            " proposal was not searched for: caution. Where two climbs of the audit with at least 100 draws a level"
            " found the event, they stand in for both. Replicates are judged by how many of them reached the event."
        ),
    ),
    Term(
        name="uncovered",
        aliases=("uncovered mass", "facts.uncovered"),
        definition=(
            "The share of the failing probability, as all draws of the tuning weigh it, at points where the proposal"
            " hardly draws. One draw of the estimate stage at such a point would change the estimate by a tenth or"
            " more. It is known for method auto, which keeps its draws."
        ),
        formula="sum of w over uncovered failing draws / sum of w over failing draws",
        unit="dimensionless",
        where="report: checks; result.json: search.facts",
        reading="As a check: under 5 % is trusted, under 20 % caution, else untrusted. Run again with another seed.",
    ),
    Term(
        name="unseen regions",
        aliases=("unseen_regions", "unseen_walks"),
        definition=(
            "The share of failure regions that walks uphill have probably not found. Walks that nearly all end in"
            " regions of their own leave many to be found (Boender and Rinnooy Kan, 1987). It is zero where all ended"
            " in one. Few walks (unseen_walks) cannot tell: the check then says that evidence is missing, and"
            " warns."
        ),
        formula="w (w + 1) / (L (L - 1)), L walks in w regions",
        unit="dimensionless",
        where="report: checks; result.json: search.facts",
        reading="As a check: under 10 % is trusted, under 50 % caution, else untrusted. More walks take more budget.",
    ),
    Term(
        name="grid",
        aliases=("grid_step", "grid_change", "step"),
        definition=(
            "Where a line or a ray is looked at before the boundaries of the event are found on it. What lies between"
            " two points of the grid unseen is missed. A trial halves its step, grid_step, until its estimates stay;"
            " grid_change is the last relative change."
        ),
        formula="largest |estimate(step) / estimate(step / 2) - 1| of the trial",
        unit="step: standard deviations; change: dimensionless",
        where="report: checks; result.json: search.facts; config: method.step",
        reading=(
            "As a check: a change of up to 1 % is trusted, up to 10 % caution, else untrusted; caution where no finer"
            " grid was tried. Give a smaller step for events made of thin parts."
        ),
    ),
    Term(
        name="hits",
        aliases=("hit",),
        definition=(
            "Draws of the estimate stage that fell into the event, counted without their weights. Under a proposal they"
            " are common; what they are worth is the number of effective hits."
        ),
        formula="",
        unit="draws",
        where="report: estimates, checks; shell: 'weights'; result.json: diagnostics.hits",
        reading="As a check: 100 are trusted, 30 caution, fewer untrusted. Raise max_evaluations for more.",
    ),
    Term(
        name="effective hits",
        aliases=("ess", "effective sample size", "effective elites"),
        definition=(
            "The number of equally weighted hits that would give the same precision (Kish). In a row of the iterations"
            " it counts the elites of the level in the same way. It is the number of hits when all weights are equal."
        ),
        formula="(sum w)^2 / sum w^2, w over the hits",
        unit="hits",
        where="report: estimates, checks, iterations; shell: 'weights'; result.json: diagnostics.ess, iterations.ess",
        reading=(
            "As a check: 50 are trusted, 20 caution, fewer untrusted. Far fewer than hits means uneven weights: the"
            " proposal is wrong in shape, and better tuning helps more than draws."
        ),
    ),
    Term(
        name="max share",
        aliases=("max_share", "largest share"),
        definition=(
            "The share of the estimate that its largest weight carries. A large one means that another draw like it"
            " would change the answer by as much."
        ),
        formula="max w / sum w, w over the hits",
        unit="dimensionless",
        where="report: estimates, checks, figure weights; shell: 'weights'; result.json: diagnostics.max_share",
        reading=(
            "As a check: under 2 % is trusted (5 % where the audit knows the error, see audit error ratio), under 5 %"
            " caution, else untrusted. Draw more, or defensively."
        ),
    ),
    Term(
        name="k-hat",
        aliases=("khat", "tail index", "tail shape", "PSIS", "max_to_mean", "diagnostics.weights"),
        definition=(
            "The tail index of the weights: the shape of a generalised Pareto law fitted to the largest weights of the"
            " hits (Vehtari and others, 2024). Below 0.5 the weights have a variance; above, the standard error is not"
            " an error bar, unless the largest weight is only a few times the mean (max_to_mean, of so many weights):"
            " then the tail has a bound; or unless rows through failing draws say the same, see audit error"
            " ratio. It sees only weights that were drawn, not a region that was missed."
        ),
        formula="shape fitted to the largest min(n/5, 3 sqrt(n)) weights of n hits, shrunk towards 0.5",
        unit="dimensionless",
        where=(
            "report: estimates, checks, figure weights; shell: 'weights'; result.json: diagnostics.khat, max_to_mean"
            " and weights"
        ),
        reading=(
            "As a check: below 0.5 is trusted, below 0.7 caution, else untrusted; trusted at any shape where"
            " max_to_mean is under a fifth of the root of the number of weights, and under 10. Add a defensive share or"
            " heavier tails. Empty for equal weights, which is fine, or for too few different ones, which is caution."
        ),
    ),
    Term(
        name="draws per effective hit",
        aliases=("draws_per_effective_hit",),
        definition=(
            "Draws of the estimate stage divided by effective hits: what one equally weighted hit cost. Its logarithm"
            " is the Renyi divergence of order two of the optimal proposal from this one, so it is never below exp of"
            " KL(optimal || proposal)."
        ),
        formula="n / ess",
        unit="draws",
        where="report: estimates; result.json: diagnostics.draws_per_effective_hit",
        reading=(
            "One is perfect, one over the probability is crude Monte Carlo. Times 1/r^2 it is about the number of"
            " draws for a relative error r."
        ),
    ),
)

_FIT = (
    Term(
        name="goodness of fit",
        aliases=("evidence", "how well the inputs fit"),
        definition=(
            "What the fit of the inputs to their data shows for itself: parameters with standard errors, criteria, and"
            " plots of the data against the law. The run estimates under the fitted law and takes it as given."
        ),
        formula="",
        unit="",
        where="report: how well the inputs fit; evidence.json, where inputs were fitted",
        reading=(
            "Look at the tails first: a rare event is decided where the data are few. A parameter that is uncertain by"
            " ten percent can move a small probability by far more; run again with it moved by a standard error."
        ),
    ),
    Term(
        name="margin",
        aliases=("margins", "marginal", "marginals", "evidence.column", "evidence.law"),
        definition=(
            "The law of one input alone, fitted to its own column of the data. The copula joins the margins to the"
            " joint law."
        ),
        formula="F_j(x) = P(X_j <= x)",
        unit="",
        where="report: how well the inputs fit; evidence.json",
        reading="Judge each by its quantile plot; the one that drives the loss matters most.",
    ),
    Term(
        name="parameter",
        aliases=("parameters", "evidence.value"),
        definition=(
            "A number that picks one law of its family, found by maximum likelihood. Its value is on the scale of the"
            " data or dimensionless, as the family has it."
        ),
        formula="argmax of the log likelihood",
        unit="that of the data, or dimensionless",
        where="report: how well the inputs fit; evidence.json",
        reading="Read it with its standard error. Shapes and degrees of freedom decide the tail, the others less.",
    ),
    Term(
        name="standard error of a parameter",
        aliases=("evidence.std error",),
        definition=(
            "The standard deviation that a fitted parameter would show over other samples of the same size, from the"
            " curvature of the log likelihood at its maximum. It takes the family as true, and is empty where the"
            " curvature gives none, as at the edge of what is allowed."
        ),
        formula="sqrt of the diagonal of (-d^2 log L)^-1",
        unit="that of the parameter",
        where="report: how well the inputs fit; evidence.json",
        reading=(
            "About two of them on each side are a 95 % interval. It is not in the interval of the estimate. Serial"
            " dependence in the data makes it too small."
        ),
    ),
    Term(
        name="log likelihood",
        aliases=("log_likelihood", "maximum likelihood"),
        definition=(
            "The logarithm of the density of the data under the fitted law, summed over the observations. Maximum"
            " likelihood takes the parameters that make it largest."
        ),
        formula="log L = sum log f(x_i)",
        unit="nats",
        where="report: how well the inputs fit; evidence.json",
        reading=(
            "Only differences between laws for the same data mean anything. A family with more parameters reaches more;"
            " AIC and BIC charge for them. The bulk of the data decides it, not the tail."
        ),
    ),
    Term(
        name="AIC",
        aliases=("Akaike information criterion",),
        definition=(
            "Minus twice the log likelihood plus two for each parameter (Akaike, 1974). Up to a constant it estimates"
            " twice the divergence of the fitted law from the truth, for new data of the same size."
        ),
        formula="2 k - 2 log L, k parameters",
        unit="twice nats",
        where="report: how well the inputs fit; evidence.json",
        reading="Smaller is better; under 2 apart is a tie, over 10 is clear. The best of bad laws is still bad.",
    ),
    Term(
        name="BIC",
        aliases=("Bayesian information criterion", "Schwarz criterion"),
        definition=(
            "Minus twice the log likelihood plus the logarithm of the sample size for each parameter (Schwarz, 1978)."
            " From eight observations on it charges more for a parameter than AIC."
        ),
        formula="k log n - 2 log L, k parameters, n observations",
        unit="twice nats",
        where="report: how well the inputs fit; evidence.json",
        reading="Smaller is better; over 10 apart is clear. Where it disagrees with AIC, compare the quantile plots.",
    ),
    Term(
        name="copula",
        aliases=("copulas", "evidence.pair"),
        definition=(
            "The dependence of the inputs without their margins: the joint law of their ranks, as uniform numbers."
            " Fitted to ranks, it does not depend on how the margins were fitted."
        ),
        formula="P(X <= x) = C(F_1(x_1), ..., F_d(x_d)) (Sklar)",
        unit="",
        where="report: how well the inputs fit; evidence.json",
        reading="For joint extremes, its tail dependence matters more than its correlations.",
    ),
    Term(
        name="Kendall's tau",
        aliases=("kendalls tau", "kendall", "tau", "rank correlation"),
        definition=(
            "The probability that two observations of a pair are ordered alike, minus that they are ordered unlike. It"
            " depends on the copula alone, not on the margins."
        ),
        formula="P((X - X')(Y - Y') > 0) - P((X - X')(Y - Y') < 0); elliptical copulas: (2/pi) asin(rho)",
        unit="dimensionless, from -1 to 1",
        where="report: how well the inputs fit; evidence.json",
        reading="Zero for independent inputs. It speaks of the bulk: pairs of equal tau can differ in the tails.",
    ),
    Term(
        name="tail dependence",
        aliases=("lower tail dependence", "upper tail dependence"),
        definition=(
            "The chance that one input of a pair is extreme, given that the other is, in the limit of ever rarer"
            " extremes. Lower is for joint small values, upper for joint large ones. It depends on the copula alone."
        ),
        formula="lower: lim P(U_2 <= q | U_1 <= q), q -> 0; upper: lim P(U_2 > q | U_1 > q), q -> 1",
        unit="dimensionless, from 0 to 1",
        where="report: how well the inputs fit; evidence.json",
        reading=(
            "Zero means that joint extremes die out, as for a normal copula below correlation one. The data say little"
            " about a limit: it is mostly the choice of the family."
        ),
    ),
    Term(
        name="quantile plot",
        aliases=("quantile plots", "QQ plot", "fit-quantiles"),
        definition=(
            "Ordered observations against the quantiles that the fitted law has at the same ranks. Points of a good fit"
            " lie on the identity line. The band shows how far chance alone may move a point."
        ),
        formula="x_(i) against F^-1(p_i), p_i about i/n",
        unit="that of the data",
        where="report: figure fit-quantiles; evidence.json: plots of form quantiles",
        reading=(
            "Points that leave the band at an end say that the law of that tail is wrong: beyond the line outwards, the"
            " data are heavier. Choose a law with heavier tails, or fit the tail by itself."
        ),
    ),
    Term(
        name="threshold stability",
        aliases=("stability plot", "threshold stability plot", "fit-stability"),
        definition=(
            "The shape of a generalised Pareto tail, fitted again with other shares of the sample in the tail. Excesses"
            " over a threshold that follow this law follow it with the same shape over every higher one, so the right"
            " share lies where the shape no longer moves."
        ),
        formula="P(X - u > y | X > u) = (1 + xi y / beta_u)^(-1/xi)",
        unit="dimensionless",
        where="report: figure fit-stability; evidence.json: plots of form stability",
        reading=(
            "Take the largest share before the shape drifts. Above 0 the tail is a power law without moments beyond"
            " 1/xi, at 0 it is exponential, below 0 it ends. The fits share data, so neighbours move together."
        ),
    ),
)

_PROVENANCE = (
    Term(
        name="run folder",
        aliases=("run", "name", "description", "schema_version", "diagnostics", "checkpoint", "partial"),
        definition=(
            "What a run leaves: its configuration, its numbers, its draws for the figures, this report, and the"
            " checkpoint that 'extend' goes on from. It appears whole or not at all; until then DIR.partial holds the"
            " checkpoint that 'run --resume' goes on from. The schema version says how result.json is laid out; the"
            " name is the configuration's."
        ),
        formula="",
        unit="",
        where="the folder given with --out; result.json: name, description, schema_version",
        reading="Keep the folder, not the page: 'raresim report' rebuilds the page from it.",
    ),
    Term(
        name="interrupted",
        aliases=("search.interrupted",),
        definition=(
            "The run did not end by its own rule: the numbers are the estimate so far. They may be right, but nobody"
            " chose when to stop before seeing them, so the interval is widened as for a further look."
        ),
        formula="",
        unit="",
        where="report of an unfinished run: checks",
        reading="As a check: always caution. Run it again with --resume.",
    ),
    Term(
        name="seed",
        aliases=(),
        definition=(
            "The number that all random streams start from. It has no default: the same seed, configuration, versions"
            " and kind of CPU give the same digits."
        ),
        formula="0 <= seed < 2^64",
        unit="",
        where="report: title, provenance; result.json: seed; config: seed",
        reading="Run a second seed when a number matters: two runs that disagree say more than any diagnostic.",
    ),
    Term(
        name="config hash",
        aliases=("config_sha256", "configuration SHA-256"),
        definition=(
            "A fingerprint of the resolved configuration, every default filled in and execution left out. Runs with"
            " the same hash were asked the same thing with the same seed. A run that was started from Python has none."
        ),
        formula="SHA-256",
        unit="",
        where="report: provenance; manifest.json: config_sha256; in the default name of the run folder",
        reading="Compare it before comparing numbers. Data and code files have hashes of their own under input files.",
    ),
    Term(
        name="input files",
        aliases=("files", "file", "bytes", "sha256", "content"),
        definition=(
            "The data and code files that a run read: name, size, SHA-256 and, for a table, its extent. They are"
            " named without their folder."
        ),
        formula="",
        unit="bytes",
        where="report: provenance; manifest.json: files",
        reading="A changed hash is changed data: the digits need not repeat.",
    ),
    Term(
        name="provenance",
        aliases=("raresim", "python", "packages", "platform", "cpu", "started", "versions"),
        definition=(
            "What the run was made with: versions of raresim, Python and packages, platform, kind of CPU, time of the"
            " start. Equal digits are promised for equal versions on one kind of CPU."
        ),
        formula="",
        unit="",
        where="report: provenance; manifest.json",
        reading="Look here first when two runs of the same hash differ in their last digits.",
    ),
    Term(
        name="executor",
        aliases=("workers", "execution"),
        definition=(
            "Where the blocks were computed, serially, in threads or in processes, and with how many workers. It cannot"
            " change a digit."
        ),
        formula="",
        unit="",
        where="report: provenance; manifest.json: executor and workers; config: execution",
        reading="A matter of time only.",
    ),
)

_MEASURES = (
    Term(
        name="value at risk",
        aliases=("VaR", "value_at_risk", "estimates.level"),
        definition=(
            "The smallest loss that is exceeded with at most the probability 1 - level. The level is the confidence,"
            " such as 0.999; the arithmetic uses its tail."
        ),
        formula="min {x: P(loss > x) <= 1 - level}",
        unit="of the loss",
        where="report: estimates; shell: 'VaR'; result.json: estimates of kind value_at_risk",
        reading=(
            "Its relative error is that of the probability beyond it divided by the steepness of the tail, so it is the"
            " smaller of the two."
        ),
    ),
    Term(
        name="expected shortfall",
        aliases=("ES", "expected_shortfall", "CVaR", "TVaR"),
        definition=(
            "The mean of the worst share 1 - level of all outcomes. It is the value at risk plus the mean of what a"
            " loss has beyond it, divided by that share: right also for losses that have a probability of their own."
        ),
        formula="VaR + E[(loss - VaR)+] / (1 - level)",
        unit="of the loss",
        where="report: estimates; shell: 'ES'; result.json: estimates of kind expected_shortfall",
        reading="Never below the value at risk; far above it where the tail is heavy.",
    ),
    Term(
        name="unexpected loss",
        aliases=("UL", "unexpected_loss", "expected loss", "EL"),
        definition=(
            "The value at risk less the expected loss, the mean of the loss. Capital rules that cover expected losses"
            " elsewhere ask for it."
        ),
        formula="UL = VaR - EL",
        unit="of the loss",
        where="report: expected and unexpected loss; unexpected_loss.csv",
        reading="Its error has that of the mean in it, unless the mean has a closed form.",
    ),
    Term(
        name="exceedance curve",
        aliases=("exceedance", "band lower", "band upper", "simultaneous band"),
        definition=(
            "The probability of a larger loss at many thresholds. The interval of a point holds for that point; the"
            " band holds for the whole curve at once, and is wider."
        ),
        formula="P(loss > x)",
        unit="dimensionless",
        where="report: exceedance curve; exceedance.csv",
        reading="Read several points of one curve by the band, a single one by its interval.",
    ),
    Term(
        name="return period",
        aliases=("return_period",),
        definition=(
            "Years in which a larger loss is met once in the mean. A draw of the loss is a year unless the measure says"
            " how many draws make one."
        ),
        formula="1 / P(loss > x)",
        unit="years",
        where="report: exceedance curve; exceedance.csv",
        reading="A loss with a return period of 200 years has a probability of 0.5 % each year.",
    ),
    Term(
        name="contributions",
        aliases=("contribution", "incremental"),
        definition=(
            "What each part of the portfolio adds to the value at risk and to the expected shortfall. The parts add up"
            " to the whole. Marginal is the contribution divided by the weight, incremental how much smaller the number"
            " would be without the part."
        ),
        formula="E[L_i | L = VaR], and the mean of L_i in the tail",
        unit="of the loss",
        where="report: contributions; contributions.csv",
        reading=(
            "A part whose interval reaches over 0 is not told from nothing. An incremental number is left out where the"
            " run hardly drew the losses that count without the part; a further value_at_risk with a larger tail has"
            " them drawn."
        ),
    ),
    Term(
        name="limit states",
        aliases=("limit_states", "decisive", "system"),
        definition=(
            "What a loss is made of where it returns a column for each desk, book or mode of failure; any, all or so"
            " many of them make the event. The share of one is the probability that it fails, given the event."
            " Decisive is the part of it in which the event would not have happened otherwise."
        ),
        formula="P(limit state k fails | event)",
        unit="dimensionless",
        where="report: limit states in the event; limit_states.csv",
        reading="Shares that add up to more than one fail together; a share that is all decisive fails alone.",
    ),
    Term(
        name="scenarios",
        aliases=("scenario", "most likely scenario", "reverse stress test", "radius", "medoid"),
        definition=(
            "What a large loss looks like in the risk factors: the likeliest point of the event, a typical draw and the"
            " mean of each failure mode, and the nearest days of the history."
            " The radius is the distance from the origin in standard normal space."
        ),
        formula="",
        unit="",
        where="report: scenarios; scenarios.csv and the files beside it",
        reading="The likeliest point is nearer than a typical draw of the event, the more so in many dimensions.",
    ),
    Term(
        name="exhibits",
        aliases=("evaluations.exhibits",),
        definition=(
            "Tables and figures that a measure shows beside its numbers. Some of them evaluate the loss after the"
            " estimate, such as the search for the most likely scenario. Each has the verdict of its number."
        ),
        formula="",
        unit="evaluations",
        where="report: a section each; a CSV file each in the run folder; result.json: evaluations.exhibits",
        reading="Not part of the estimate, and within stop.max_evaluations.",
    ),
    Term(
        name="tail error",
        aliases=("tail_error",),
        definition=(
            "The relative error of the probability beyond a value at risk, or of the mean excess beyond it for an"
            " expected shortfall, whichever is larger. The check of the relative error looks at it."
        ),
        formula="",
        unit="dimensionless",
        where="result.json: estimates.diagnostics",
        reading="At most 10 % for a trusted number; above it the interval rests on too few draws.",
    ),
    Term(
        name="sections",
        aliases=("sections_error_ratio",),
        definition=(
            "The standard error of a quantile read from sixteen parts of the rows, divided by the reported one. The two"
            " are found in different ways."
        ),
        formula="sqrt(sum (part - all)^2 / (16 x 15)) / reported",
        unit="dimensionless",
        where="report: checks; result.json: estimates.diagnostics",
        reading="Near 1; from 2 on the reported error is not believed.",
    ),
    Term(
        name="resolution",
        aliases=(),
        definition=(
            "How exactly a quantile is known from the bins that hold very many losses. It is the distance between the"
            " bins beside it."
        ),
        formula="",
        unit="of the loss",
        where="result.json: estimates.diagnostics, of runs that kept more than a million losses",
        reading="Far below the standard error.",
    ),
    Term(
        name="preset",
        aliases=("description.preset",),
        definition=(
            "A name for the levels, the horizon and the measures of a rule for capital. It fills in what the config"
            " leaves out and changes no number; a run is not thereby one that a supervisor accepts."
        ),
        formula="",
        unit="",
        where="config: preset; report: model; raresim check --show prints what it filled in",
        reading="The inputs and the loss have to be those of the horizon.",
    ),
)

_BACKTEST = (
    Term(
        name="VaR exceedance",
        aliases=("exceedances", "VaR exception", "VaR violation"),
        definition=(
            "A day whose realised loss is larger than the VaR that was forecast for it. Of a right VaR at 99 % one day"
            " in a hundred is expected, and one says nothing about the next. The accepted numbers are those that the"
            " Kupiec test does not reject."
        ),
        formula="loss > VaR",
        unit="days",
        where="raresim backtest: 'exceedances', marks of the figure; JSON: exceedances",
        reading="Too many: the VaR is too small. Too few: it is too large, and ties up capital for nothing.",
    ),
    Term(
        name="Kupiec test",
        aliases=("kupiec", "Kupiec: number", "proportion of failures"),
        definition=(
            "Whether the number of exceedances fits the level of the VaR, in both directions. The p-value that decides"
            " is the exact one of the binomial law; that of the likelihood ratio is asymptotic and stands beside it."
        ),
        formula="2 T KL(x / T || 1 - level), x exceedances in T days",
        unit="dimensionless",
        where="raresim backtest: table of tests; JSON: tests",
        reading="In 250 days at 99 % any number from 0 to 5 is accepted: one year says little.",
    ),
    Term(
        name="Christoffersen tests",
        aliases=("independence", "Christoffersen: clusters", "conditional_coverage", "both together"),
        definition=(
            "Whether an exceedance makes one on the next day more or less likely, alone and together with the number of"
            " exceedances. The exact p-values count the arrangements of exceedances among the days that have at least"
            " so large a ratio."
        ),
        formula="2 sum_i n_i KL(p_i1 || p_1), i: whether the day before exceeds",
        unit="dimensionless",
        where="raresim backtest: table of tests; JSON: tests, exceedances.transitions",
        reading="A rejection says that the VaR follows the volatility too slowly. It sees neighbouring days only.",
    ),
    Term(
        name="traffic light",
        aliases=("traffic_light", "capital add-on", "Basel zones"),
        definition=(
            "The zones of the Basel Committee for the number of exceedances. Yellow begins where so many or fewer have"
            " a probability of 95 % under a right VaR, red at 99.99 %. The add-ons to the capital multiplier are stated"
            " for 250 days at 99 % alone, and shown there alone."
        ),
        formula="P(X <= x), X binomial(T, 1 - level)",
        unit="",
        where="raresim backtest: 'traffic light', 'capital add-on'; JSON: traffic_light",
        reading="One-sided: a VaR that is far too large is green. This is arithmetic, not a statement of compliance.",
    ),
    Term(
        name="Acerbi-Szekely tests",
        aliases=(
            "acerbi_szekely_1",
            "acerbi_szekely_2",
            "minimally_biased",
            "minimally biased",
            "Acerbi-Szekely Z1",
            "Acerbi-Szekely Z2",
            "Z1",
            "Z2",
        ),
        definition=(
            "Three tests of expected shortfall. Z1 looks at the size of losses beyond the VaR, Z2 at number and size"
            " together, the minimally biased one at the ES with little regard to errors of the VaR. Critical values and"
            " p-values come from simulated histories of right forecasts, which need a law beyond the VaR: the tail law."
        ),
        formula="Z1 = 1 - sum(L / ES) / N, Z2 = 1 - sum(L / ES) / (T (1 - level)), over the N days that exceed",
        unit="dimensionless",
        where="raresim backtest: tables of tests and of tail laws; JSON: tests, tails",
        reading=(
            "Zero is expected, less than the critical value says that the ES is too small. Z2 hardly depends on the"
            " tail law; where the other two change sides between laws, they have nothing to say."
        ),
    ),
)

TERMS: tuple[Term, ...] = tuple(
    sorted(
        _INFORMATION + _MODEL + _SAMPLING + _NUMBERS + _TRUST + _FIT + _PROVENANCE + _MEASURES + _BACKTEST,
        key=lambda term: spelling(term.name),
    )
)
"""All terms, in alphabetical order."""

_BY_SPELLING = {spelling(text): term for term in TERMS for text in (term.name, *term.aliases)}
_NAMES = [term.name for term in TERMS]
