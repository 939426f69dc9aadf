"""Parts of the insurance model: lines, frequencies, contracts, event tables, schemes and exact controls."""
