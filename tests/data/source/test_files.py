"""Sources: files found and told apart; broken ones named in a line each."""

import os
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.source.csv import Csv
from raypipe.data.source.files import SourceFile, list_files, state
from raypipe.data.source.parquet import Parquet
from raypipe.data.source.piece import NOTHING, Limit, Progress

ROWS = pa.table({"x": list(range(5000)), "s": [f"value {i % 97}" for i in range(5000)]})


@pytest.fixture
def project(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path


def write(path, table=ROWS, **options):
    pq.write_table(table, path, write_page_checksum=True, **options)
    return path


def new(source, project, progress=NOTHING, limit=None) -> Any:
    nothing: Any = None
    return source.new(Look("p", project, "p", "source", nothing, nothing), progress, limit)


def read(source, project, types=None):
    (piece,) = new(source, project).pieces
    return pa.concat_tables(list(source.batches(piece, types or {})))


def told(source, project):
    with pytest.raises(DataError) as error:
        read(source, project)
    return str(error.value)


def test_a_file_a_folder_and_a_pattern(project):
    write(project / "data" / "b.parquet")
    (project / "data" / "2013").mkdir()
    write(project / "data" / "2013" / "a.parquet", ROWS.slice(1))
    (project / "data" / "_SUCCESS").touch()
    (project / "data" / ".part").mkdir()
    (project / "data" / ".part" / "c.parquet").touch()

    def paths(path):
        return [f.path for f in list_files(Parquet(path), project, {})]

    assert paths("data") == ["data/2013/a.parquet", "data/b.parquet"]
    assert paths("data/b.parquet") == ["data/b.parquet"]
    assert paths("data/*.parquet") == paths(str(project / "data" / "*.parquet")) == ["data/b.parquet"]
    assert paths("data/**/*.parquet") == ["data/2013/a.parquet", "data/b.parquet"]


def test_a_file_outside_of_the_project_keeps_its_whole_path(project, tmp_path_factory):
    path = write(tmp_path_factory.mktemp("elsewhere") / "a.parquet")
    assert [f.path for f in list_files(Parquet(str(path)), project, {})] == [str(path)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("flights", "flights: there is no such file or folder, and nothing matches it as a pattern (looked in "),
        ("data/*.parquet", "nothing matches it as a pattern"),
        ("data", "data: the folder holds no file"),
    ],
)
def test_what_is_not_there_is_named(project, path, text):
    assert text in told(Parquet(path), project)


def test_files_of_another_kind_are_not_passed_over(project):
    write(project / "data" / "a.parquet")
    (project / "data" / "notes.md").write_text("hello")
    assert told(Parquet("data"), project) == "data: notes.md is no Parquet file. Name a pattern, e.g. data/*.parquet"
    (project / "data" / "more.md").write_text("hello")
    assert "2 files are no Parquet, the first is more.md" in told(Parquet("data"), project)


def test_folders_that_state_a_column_are_not_passed_over(project):
    (project / "data" / "year=2013").mkdir()
    write(project / "data" / "year=2013" / "a.parquet")
    assert told(Parquet("data"), project) == (
        "data: folders such as year=2013 state a column by their name: ask for it with partitions: {year: int64}, "
        "or leave it out with partitions: {year: null}"
    )


def test_an_empty_file_is_told_when_it_is_read(project):
    (project / "data" / "a.csv").touch()
    assert told(Csv("data"), project) == "data/a.csv: the file is empty (0 bytes)"


def test_two_files_of_one_content_are_told_unless_they_have_no_rows(project):
    write(project / "data" / "a.parquet")
    (project / "data" / "b.parquet").write_bytes((project / "data" / "a.parquet").read_bytes())
    assert new(Parquet("data"), project).doubles == {"data/b.parquet": "data/a.parquet"}
    taken = {file.path: file for file in list_files(Parquet("data"), project, {}) if file.path == "data/b.parquet"}
    assert new(Parquet("data"), project, Progress(files=taken)).doubles == {"data/a.parquet": "data/b.parquet"}
    for name in ("a.parquet", "b.parquet"):
        write(project / "data" / name, ROWS.slice(0, 0))
    assert new(Parquet("data"), project).doubles == {}
    for name in ("a.csv", "b.csv"):
        (project / name).write_text("x,s\n\n")
    assert new(Csv("*.csv"), project).doubles == {}


def test_new_files_are_those_that_were_not_taken_and_what_was_taken_is_compared(project):
    for number, name in enumerate("abcd"):
        write(project / "data" / f"{name}.parquet", ROWS.slice(number))
    files = {file.path: file for file in list_files(Parquet("data"), project, {})}
    taken = {path: file for path, file in files.items() if path != "data/d.parquet"}
    (project / "data" / "a.parquet").unlink()
    write(project / "data" / "b.parquet", ROWS.slice(7))
    found = new(Parquet("data"), project, Progress(files=taken))
    assert [piece.name for piece in found.pieces] == ["data/d.parquet"]
    assert [piece.name for piece in found.changed] == ["data/b.parquet"]
    assert (dict(found.gone), found.told) == ({"data/a.parquet": ""}, "1 new of 3 files")


def test_a_file_that_was_left_out_is_new_again_with_another_content(project):
    write(project / "data" / "a.parquet")
    files = {file.path: file for file in list_files(Parquet("data"), project, {})}
    progress = Progress(files=files, left_out=frozenset(files))
    assert new(Parquet("data"), project, progress).pieces == []
    write(project / "data" / "a.parquet", ROWS.slice(1))
    found = new(Parquet("data"), project, progress)
    assert ([piece.name for piece in found.pieces], found.changed) == (["data/a.parquet"], [])


def test_a_limit_leaves_the_rest_for_later_and_the_state_says_so(project):
    for number, name in enumerate("abc"):
        write(project / "data" / f"{name}.parquet", ROWS.slice(number))
    first = new(Parquet("data"), project, limit=Limit(num_bytes=1))
    assert ([piece.name for piece in first.pieces], first.more, first.lag) == (["data/a.parquet"], True, {"files": 2})
    taken = Progress(files={piece.name: piece.file for piece in first.pieces})
    rest = new(Parquet("data"), project, taken, Limit(num_bytes=10**9))
    assert (len(rest.pieces), rest.more, rest.state) == (2, False, new(Parquet("data"), project).state)
    assert first.state == {"files": 1, "state": state([piece.file for piece in first.pieces])}


def test_a_known_file_is_not_read_again(project):
    path = write(project / "data" / "a.parquet")
    found = path.stat()
    known = SourceFile("data/a.parquet", found.st_size, found.st_mtime_ns, "told before")
    assert list_files(Parquet("data"), project, {known.path: known}) == [known]
    os.utime(path, ns=(0, 0))
    (again,) = list_files(Parquet("data"), project, {known.path: known})
    assert (again.mtime_ns, len(again.sha256)) == (0, 64)


def test_the_state_is_of_content_not_of_times(project):
    path = write(project / "data" / "a.parquet")
    before = state(list_files(Parquet("data"), project, {}))
    os.utime(path, ns=(0, 0))
    assert state(list_files(Parquet("data"), project, {})) == before
    write(path, ROWS.slice(1))
    assert state(list_files(Parquet("data"), project, {})) != before


def test_parquet_is_read_as_it_is(project):
    write(project / "data" / "a.parquet", row_group_size=1000)
    assert read(Parquet("data"), project).equals(ROWS)
    assert read(Parquet("data", columns=["s"]), project).column_names == ["s"]
    assert told(Parquet("data", columns=["z"]), project) == "data/a.parquet: no column 'z'. Valid: s, x."


def test_a_parquet_file_that_is_cut_off_is_named(project):
    path = write(project / "data" / "a.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    text = told(Parquet("data"), project)
    assert text.startswith("data/a.parquet: cannot be read as Parquet: ")
    assert text.endswith("It may be cut off or damaged: fetch it again.")


def test_every_flipped_bit_in_a_page_is_noticed(project):
    path = write(project / "data" / "a.parquet", compression="none", use_dictionary=False)
    good = path.read_bytes()
    for place in range(200, 60_000, 7919):
        path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        assert told(Parquet("data"), project).startswith("data/a.parquet: cannot be read as Parquet: ")


def test_a_file_that_is_no_parquet_is_named(project):
    (project / "data" / "a.parquet").write_text("x,s\n1,2\n")
    assert told(Parquet("data"), project).startswith("data/a.parquet: cannot be read as Parquet: ")


def test_a_file_that_is_still_being_written_is_refused(project):
    path = write(project / "data" / "a.parquet")
    (piece,) = new(Parquet("data"), project).pieces
    write(path, ROWS.slice(1))
    with pytest.raises(DataError, match=r"data/a\.parquet: is being written: it has changed since the run began\. Run again"):
        list(Parquet("data").batches(piece, {}))
    path.unlink()
    with pytest.raises(DataError, match="was there when the run began, and is not any more"):
        list(Parquet("data").batches(piece, {}))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Parquet(""), "path is empty"),
        (Parquet("a", partitions={"year": "int"}), "partitions.year: 'int' is no type"),
        (Parquet("a", columns=["year"], partitions={"year": "int64"}), "columns names 'year', which partitions adds"),
        (Parquet("a", columns=[]), "columns is empty"),
        (Csv("a", delimiter=";;"), "delimiter is ';;', expected one character"),
        (Csv("a", types={"x": "int"}), "types.x: 'int' is no type"),
    ],
)
def test_bad_settings_are_told(source, text):
    assert text in "\n".join(source.problems())
