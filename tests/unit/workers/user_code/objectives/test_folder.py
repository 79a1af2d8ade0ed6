"""Archives are untrusted: unpacking creates only plain files, and only inside the folder."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from workers.user_code.objectives.folder import FolderError, list_files, pack_folder, unpack_folder

pytestmark = pytest.mark.heavy


def archive_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", size: int = 1) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size if kind == tarfile.REGTYPE else 0
    return info


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    folder, back = tmp_path / "folder", tmp_path / "back"
    (folder / "deep" / "er").mkdir(parents=True)
    back.mkdir()
    contents = {"a": b"", "deep/b.bin": os.urandom(100_000), "deep/er/ü": b"\0"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    pack_folder(folder, tmp_path / "archive")
    unpack_folder(tmp_path / "archive", back)

    assert {name: (back / name).read_bytes() for name in contents} == contents
    assert list_files(back).keys() == contents.keys()


def test_links_and_pipes_are_left_out(tmp_path: Path) -> None:
    folder, back = tmp_path / "folder", tmp_path / "back"
    folder.mkdir()
    back.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "folder-link").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    (folder / "file").write_text("mine")
    pack_folder(folder, tmp_path / "archive")
    unpack_folder(tmp_path / "archive", back)

    assert [path.name for path in back.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "members",
    [
        [member("../outside")],
        [member("/tmp/outside")],
        [member("a/../../outside")],
        [member(".")],
        [member("link", tarfile.SYMTYPE, link="../outside")],
        [member("link", tarfile.SYMTYPE, link=".."), member("link/outside")],
        [member("hard", tarfile.LNKTYPE, link="../outside")],
        [member("device", tarfile.CHRTYPE)],
        [member("pipe", tarfile.FIFOTYPE)],
    ],
    ids=lambda members: members[0].name,
)
def test_an_archive_with_other_members_than_files_is_refused(tmp_path: Path, members: list[tarfile.TarInfo]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(FolderError, match="plain files"):
        unpack_folder(archive_of(tmp_path / "archive", *members), folder)
    assert not (tmp_path / "outside").exists()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no tar file", b"\x80\x04K\x01.", b"\x1f\x8b\x08\x00"])
def test_content_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "archive").write_bytes(content)
    with pytest.raises(FolderError, match="tar file"):
        unpack_folder(tmp_path / "archive", tmp_path)


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    members = [member(str(number), size=0) for number in range(10_001)]
    with pytest.raises(FolderError, match="10000 files"):
        unpack_folder(archive_of(tmp_path / "archive", *members), folder)


def test_a_folder_of_a_sparse_file_is_too_large(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with (folder / "sparse").open("wb") as file:
        file.truncate(2**30 + 1)
    with pytest.raises(FolderError, match="at most 1073741824 bytes"):
        pack_folder(folder, tmp_path / "archive")


def test_a_deep_path_is_refused_on_both_ways(tmp_path: Path) -> None:
    folder, name = tmp_path / "folder", "/".join(["d"] * 101)
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("x")
    with pytest.raises(FolderError, match="100 folders"):
        list_files(folder)
    with pytest.raises(FolderError, match="100 folders"):
        unpack_folder(archive_of(tmp_path / "archive", member(name)), tmp_path)
