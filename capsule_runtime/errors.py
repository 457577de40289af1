"""Everything that the capsule runtime can refuse."""

from __future__ import annotations

from trust.problem import Kind, Problem


class CapsuleError(Problem):
    """Root of this package's refusals."""

    code = "capsule"
    kind = Kind.REFUSED


# --- sandbox ---


class SandboxError(CapsuleError):
    """Root of what the sandbox itself refuses or fails at."""

    code = "sandbox"


class PlatformRefused(SandboxError):
    """The system-call tables are for another processor or operating system than this one."""

    code = "platform-refused"


class RootUidRefused(SandboxError):
    """The sandbox would have run with the machine's own uid 0."""

    code = "root-uid-refused"


class RuntimeUnreadable(SandboxError):
    """The interpreter or a library lies where the sandbox's unprivileged user cannot read it."""

    code = "runtime-unreadable"


class LibraryMissing(SandboxError):
    """A library that the bundle declares is not installed beside this program."""

    code = "library-missing"
    kind = Kind.NOT_FOUND


class SandboxUnavailable(SandboxError):
    """This machine cannot build the sandbox: nothing native may run on it."""

    code = "sandbox-unavailable"
    kind = Kind.UNAVAILABLE


class SandboxStartFailed(SandboxUnavailable):
    """bubblewrap or the zygote stopped before it was ready; the sentence carries its words."""

    code = "sandbox-start-failed"


class JobRefused(SandboxError):
    """A job whose sources, entry, outputs or limits are out of bounds."""

    code = "job-refused"
    kind = Kind.INVALID
