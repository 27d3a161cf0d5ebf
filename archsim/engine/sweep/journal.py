"""Finished runs, appended durably: one JSON line each, on the disk before it counts as done.

A line that a crash cut short is dropped when the journal is opened again; a failed append leaves the file as it was.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from archsim.errors import RunError

NAME = "journal.jsonl"
Record = dict[str, Any]


class Journal:
    """A journal of a study folder, locked against a second sweep. RunError if it can't be opened or is locked."""

    def __init__(self, folder: Path, name: str = NAME) -> None:
        self.path = folder / name
        self.dropped = 0  # lines that a crash had damaged
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise RunError(f"{folder}: another sweep is writing there") from None
        self.records = self._recover()
        _sync_folder(folder)

    def _recover(self) -> dict[str, Record]:
        """Records by key, later ones winning; the cut-short end of a crash is taken off the file."""
        records: dict[str, Record] = {}
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            self.dropped += 1
            os.ftruncate(self._file, len(whole))
        for line in whole.splitlines():
            record = _parse(line)
            if record is None:
                self.dropped += 1
            else:
                records[record["key"]] = record
        return records

    def append(self, record: Record) -> None:
        """Write one record; on return it survives a crash. RunError (disk full...): the file is as it was before."""
        data = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        end = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, end)
            raise RunError(
                f"{self.path}: cannot be written: {error.strerror or error}; the {len(self.records)} finished runs "
                "in it are kept, the same command goes on from there"
            ) from None
        self.records[record["key"]] = record

    def close(self) -> None:
        """Give up the lock."""
        os.close(self._file)


def read_records(folder: Path) -> dict[str, Record]:
    """Records of a journal that may still be written to, by key. RunError if there is none."""
    try:
        lines = (folder / NAME).read_bytes().splitlines()
    except OSError as error:
        raise RunError(f"{folder / NAME}: can't be read: {error.strerror or error}") from None
    records = [record for record in map(_parse, lines) if record is not None]
    return {record["key"]: record for record in records}


def _parse(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("key"), str) else None


def _sync_folder(folder: Path) -> None:
    """So that the journal's name survives a crash too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
