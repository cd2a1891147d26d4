"""What kind of file system a journal would lie on: its locks and its durability hang on that."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tierlens.cli.finding import Finding

MOUNTS: Final = Path("/proc/self/mountinfo")

# Locks and appends of two hosts, or of a host and its guest, need not see each other there.
_NETWORK: Final = frozenset(
    {"afs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
)
_GUEST: Final = frozenset({"9p", "prl_fs", "vboxsf", "virtiofs", "vmhgfs"})
# Those that are local after all.
_LOCAL_FUSE: Final = frozenset({"fuseblk", "fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuse.mergerfs", "fuse.bindfs"})
_CONTAINER: Final = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})
_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system, and where it is mounted."""

    point: str
    kind: str


def mount_of(place: str, mountinfo: str) -> Mount | None:
    """The mount that an absolute path without symbolic links lies on.

    Args:
        mountinfo: lines as in proc(5); of two mounts at one point the later hides the earlier.
    """
    found: Mount | None = None
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        # Blanks, tabs and newlines stand there as three octal digits.
        point = re.sub(r"\\([0-7]{3})", lambda digits: chr(int(digits[1], 8)), fields[4])
        if _holds(point, place) and (found is None or len(point) >= len(found.point)):
            found = Mount(point, after.split(" ")[0])
    return found


def filesystem_findings(place: Path, mounts: Path = MOUNTS) -> Iterator[Finding]:
    """What there is to say of the file system of ``place``; nothing where the system has no list of mounts."""
    try:
        mountinfo = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    mount = mount_of(os.path.realpath(place), mountinfo)
    if mount is None:
        return
    found = f"{place} is on {mount.kind} (mounted at {mount.point})"
    fault, mend = _fault(mount.kind)
    yield Finding("file system", "warn" if fault else "ok", found + fault, mend)


def _fault(kind: str) -> tuple[str, str]:
    mend = "set TIERLENS_JOURNAL_DIR to a folder on a"
    if kind in _NETWORK | _GUEST or (kind.startswith("fuse") and kind not in _LOCAL_FUSE):
        return ": locks and appends may fail there, so spans may be lost or sent twice", f"{mend} local disk"
    if kind in _CONTAINER:
        return ": what is not delivered goes with the container", f"{mend} volume"
    if kind in _MEMORY:
        return ": what is not delivered goes at a restart, and takes memory till then", f"{mend} disk"
    return "", ""


def _holds(point: str, place: str) -> bool:
    return point == "/" or place == point or place.startswith(point + "/")
