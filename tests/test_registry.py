"""Families and their members."""

import dataclasses

import pytest

from raresim import registry
from raresim.errors import FieldError
from tests.helpers import python

METHODS = (
    "asmussen_kroese, auto, cross_entropy, crude, design_point, directional_sampling, importance, "
    "improved_cross_entropy, line_sampling, sequential_importance, splitting, subset_simulation, surrogate"
)
EVERY_MEMBER = [(family, kind, cls) for family in registry.FAMILIES for kind, cls in registry.members(family).items()]


@pytest.mark.parametrize(("family", "kind", "cls"), EVERY_MEMBER, ids=[f"{f}-{k}" for f, k, _ in EVERY_MEMBER])
def test_member_is_a_documented_frozen_dataclass_with_examples(family, kind, cls):
    assert cls.kind == kind
    assert registry.lookup(family, kind) is cls
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen
    assert cls.__doc__.count("Parameters") == 1 or not [f for f in dataclasses.fields(cls) if f.init]
    assert cls.examples()


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_the_file_of_every_kind_is_found_by_its_text(family):
    """Else looking up the kind would import all files of the family."""
    for kind, cls in registry.members(family).items():
        package, _, _ = cls.__module__.rpartition(".")
        if package.startswith("raresim."):  # not a plug-in of another test
            assert cls.__module__ in registry._homes(package)[kind]


def test_looking_up_a_kind_imports_no_other_file():
    code = "import sys; from raresim.registry import lookup; found = lookup('marginal', 'gumbel'); print(found.kind, "
    assert python(f"{code} {{'raresim.marginals.beta', 'numba'}} & set(sys.modules))") == "gumbel set()"


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_members_are_listed_in_order(family):
    assert list(registry.members(family)) == sorted(registry.members(family))
    assert registry.members(family)


@pytest.mark.parametrize(
    ("family", "given", "message"),
    [
        ("method", "crud", "kind: unknown method kind 'crud'; did you mean 'crude'?"),
        ("proposal_family", "gausian", "kind: unknown proposal family kind 'gausian'; did you mean 'gaussian'?"),
        ("loss", "xyz", "kind: unknown loss kind 'xyz' (allowed: "),
        ("method", None, f"kind: unknown method kind None (allowed: {METHODS})"),
        ("method", ["crude"], "kind: unknown method kind ['crude']"),
    ],
)
def test_unknown_kind_is_answered_with_the_nearest(family, given, message):
    with pytest.raises(FieldError) as caught:
        registry.lookup(family, given)
    assert str(caught.value).startswith(message)


def test_a_kind_cannot_be_registered_twice():
    class Another:
        kind = "crude"

    with pytest.raises(TypeError, match="method: kind 'crude' is registered twice"):
        registry.member("method")(Another)
