"""Parts of the market models: sensitivities, their files, the exact law of a quadratic loss, twists, option prices."""
