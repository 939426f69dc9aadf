"""From YAML to an experiment."""
