from pathlib import Path

import pytest

from workers.data.downloads import read_or_download


class Source:
    """Data that is there after it was downloaded; remembers what it was download_flags for."""

    def __init__(self, *, present: bool) -> None:
        self.present = present
        self.download_flags: list[bool] = []

    def read(self, download: bool) -> str:
        self.download_flags.append(download)
        self.present = self.present or download
        if not self.present:
            raise RuntimeError("Dataset not found")
        return "images"


def test_data_that_is_present_is_not_downloaded(tmp_path: Path) -> None:
    source = Source(present=True)
    assert read_or_download(source.read, tmp_path) == "images"
    assert source.download_flags == [False]


def test_missing_data_is_downloaded_once(tmp_path: Path) -> None:
    source = Source(present=False)
    root = tmp_path / "new" / "folder"
    assert [read_or_download(source.read, root) for _ in range(2)] == ["images"] * 2
    assert source.download_flags.count(True) == 1
    assert root.is_dir()


def test_a_failed_download_says_why(tmp_path: Path) -> None:
    def read(download: bool) -> str:
        raise OSError("no network" if download else "not found")

    with pytest.raises(OSError, match="no network"):
        read_or_download(read, tmp_path)
