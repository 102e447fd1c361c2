"""Findings: every finding of the papers as an experiment that one command runs, with a verdict by a written rule."""
