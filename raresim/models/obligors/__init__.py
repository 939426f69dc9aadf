"""Parts of the credit model: tape, factors, defaults and ratings, schemes and exact controls."""
