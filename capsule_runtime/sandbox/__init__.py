"""The sandbox: an algorithm runs as a pure function of one capsule, behind 26 system calls."""

from capsule_runtime.sandbox.model import Job, Limits, Outcome, OutputField, Status
from capsule_runtime.sandbox.packing import LoadedJob
from capsule_runtime.sandbox.timing import next_slot
from capsule_runtime.sandbox.zygote import Zygote

__all__ = ["Job", "Limits", "LoadedJob", "Outcome", "OutputField", "Status", "Zygote", "next_slot"]
