"""Public data sets by name, each with the form its files are published in. `hub_core.datasets` has them all."""
