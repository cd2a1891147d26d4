from __future__ import annotations

from pathlib import Path

import pytest

from tierlens.cli.filesystem import Mount, filesystem_findings, mount_of

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
40 22 0:40 / /mnt/team rw,relatime shared:12 master:3 - nfs4 nas:/export/team rw,vers=4.2
41 40 254:1 / /mnt/team/scratch rw - xfs /dev/vdb rw
42 22 0:42 / /mnt/two\\040words rw - cifs //nas/share rw
43 22 0:43 / /data rw - 9p host rw
44 22 254:2 / /data rw - btrfs /dev/vdc rw
45 22 0:45 / /tmp rw - tmpfs tmpfs rw
46 22 0:46 / /s3 rw - fuse.s3fs s3fs rw
47 22 0:47 / /usb rw - fuseblk /dev/sdb rw
a line that is none
"""


@pytest.mark.parametrize(
    ("place", "mount"),
    [
        ("/home/ana/journal", Mount("/", "ext4")),
        ("/mnt/team/journal", Mount("/mnt/team", "nfs4")),
        ("/mnt/team", Mount("/mnt/team", "nfs4")),
        ("/mnt/teams/journal", Mount("/", "ext4")),
        ("/mnt/team/scratch/journal", Mount("/mnt/team/scratch", "xfs")),
        ("/mnt/two words/journal", Mount("/mnt/two words", "cifs")),
        ("/data/journal", Mount("/data", "btrfs")),
    ],
)
def test_the_innermost_and_latest_mount_of_a_path_is_found(place: str, mount: Mount) -> None:
    assert mount_of(place, MOUNTS) == mount


def test_without_mounts_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert mount_of("/x", "") is None
    assert list(filesystem_findings(tmp_path, tmp_path / "missing")) == []


@pytest.mark.parametrize(
    ("kind", "fault", "mend"),
    [
        ("ext4", "", ""),
        ("fuseblk", "", ""),
        ("nfs4", "may be lost or sent twice", "set TIERLENS_JOURNAL_DIR to a folder on a local disk"),
        ("9p", "may be lost or sent twice", "set TIERLENS_JOURNAL_DIR to a folder on a local disk"),
        ("cifs", "may be lost or sent twice", "set TIERLENS_JOURNAL_DIR to a folder on a local disk"),
        ("fuse.sshfs", "may be lost or sent twice", "set TIERLENS_JOURNAL_DIR to a folder on a local disk"),
        ("overlay", "goes with the container", "set TIERLENS_JOURNAL_DIR to a folder on a volume"),
        ("tmpfs", "goes at a restart", "set TIERLENS_JOURNAL_DIR to a folder on a disk"),
    ],
)
def test_a_file_system_that_a_journal_cannot_rely_on_is_a_warning(
    tmp_path: Path, kind: str, fault: str, mend: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 254:0 / / rw - {kind} source rw\n")

    (finding,) = filesystem_findings(tmp_path, mounts)

    assert (finding.status, finding.mend) == ("warn" if fault else "ok", mend)
    assert finding.found.startswith(f"{tmp_path} is on {kind} (mounted at /)")
    assert fault in finding.found


def test_a_link_is_followed_to_where_the_files_are(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 a rw\n2 1 0:2 / {tmp_path.resolve()}/disk rw - nfs b rw\n")

    (finding,) = filesystem_findings(tmp_path / "link", mounts)

    assert finding.status == "warn"
