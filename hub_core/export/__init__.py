"""From a module to a graph that answers without torch."""
