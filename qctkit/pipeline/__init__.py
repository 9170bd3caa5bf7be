"""The only package that knows the order of the stages: one module a job.

Each job takes its inputs, a registry and a progress, and gives back what a command prints.
"""
