"""Which test holds each formula against a value that raresim did not compute.

Filled by hand: a function that is added to the table of `raresim.information` without such a test fails
``test_table.py``.
"""

OUTSIDE = {
    "self_information": "test_discrete.test_self_information_is_the_logarithm_to_many_digits",
    "entropy": "test_discrete.test_entropy_and_kl_are_scipys",
    "joint_entropy": "test_discrete.test_table_of_cover_and_thomas",
    "conditional_entropy": "test_discrete.test_table_of_cover_and_thomas",
    "mutual_information": "test_discrete.test_mutual_information_is_the_g_statistic",
    "perplexity": "test_discrete.test_horse_race_of_cover_and_thomas",
    "cross_entropy": "test_discrete.test_cross_entropy_is_the_length_of_the_wrong_code",
    "kl": "test_discrete.test_entropy_and_kl_are_scipys",
    "jensen_shannon": "test_discrete.test_jensen_shannon_is_the_square_of_scipys_distance",
    "renyi": "test_discrete.test_renyi_to_many_digits",
    "chi_square": "test_discrete.test_chi_square_is_pearsons_statistic",
    "classification_loss": "test_labels.test_loss_from_logits_is_scipys_log_softmax",
    "mean_classification_loss": "test_labels.test_mean_loss_to_many_digits",
    "entropy_normal": "test_normal.test_entropy_is_scipys",
    "kl_normal": "test_normal.test_kl_is_the_integral",
    "kl_low_rank": "test_normal.test_low_rank_kl_in_a_thousand_dimensions",
    "cross_entropy_normal": "test_normal.test_cross_entropy_is_the_integral",
    "renyi_normal": "test_normal.test_renyi_to_many_digits",
    "chi_square_normal": "test_normal.test_chi_square_to_many_digits",
    "differential_entropy": "test_laws.test_entropy_of_normal_and_student_t_laws_is_scipys",
    "cross_entropy_of_laws": "test_laws.test_cross_entropy_is_the_integral",
    "kl_of_laws": "test_laws.test_kl_is_the_integral",
    "jensen_shannon_of_laws": "test_laws.test_jensen_shannon_is_the_integral",
    "renyi_of_laws": "test_laws.test_renyi_is_the_integral",
    "chi_square_of_laws": "test_laws.test_chi_square_is_the_integral",
    "negative_log_likelihood": "test_laws.test_negative_log_likelihood_is_scipys",
    "empirical_cross_entropy": "test_laws.test_empirical_cross_entropy_is_scipys_nnlf_per_draw",
    "mixture_entropy_bounds": "test_mixtures.test_entropy_bounds_bracket_the_integral",
    "mixture_kl_bound": "test_mixtures.test_kl_bound_is_above_the_integral",
    "weighted_kl": "test_weighted.test_sums_of_the_shifted_normal_give_the_closed_form",
    "weighted_cross_entropy": "test_weighted.test_sums_of_the_shifted_normal_give_the_closed_form",
    "budget": "test_weighted.test_budget_of_five_sigma",
}
