#!/usr/bin/env python3
"""Reads event files of a run with TensorBoard's own package: read_tensorboard.py FOLDER (needs pip install tensorboard).

Prints one line a tag: name, steps and values as TensorBoard would show them, after its session-start purge.
"""
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

events = EventAccumulator(sys.argv[1])
events.Reload()
for tag in events.Tags()["scalars"]:
    print(tag, [(e.step, round(e.value, 6)) for e in events.Scalars(tag)])
