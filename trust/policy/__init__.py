"""May this bundle run on this capsule now? Small policies that hold or raise with a reason code."""

from trust.policy.all_of import RUN_POLICIES, AllOf, Permit
from trust.policy.orders import verify_orders
from trust.policy.request import BundleFacts, Exhibit, Held, Policy, RunRequest, Served
from trust.policy.standing import verify_status

__all__ = [
    "RUN_POLICIES",
    "AllOf",
    "BundleFacts",
    "Exhibit",
    "Held",
    "Permit",
    "Policy",
    "RunRequest",
    "Served",
    "verify_orders",
    "verify_status",
]
