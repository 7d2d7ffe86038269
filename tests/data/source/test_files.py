"""Sources: files found and told apart; broken ones named in a line each."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.core.errors import DataError
from raypipe.data.source.csv import Csv
from raypipe.data.source.files import SourceFile, list_files, read_batches, state
from raypipe.data.source.parquet import Parquet

ROWS = pa.table({"x": list(range(5000)), "s": [f"value {i % 97}" for i in range(5000)]})


@pytest.fixture
def project(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path


def write(path, table=ROWS, **options):
    pq.write_table(table, path, write_page_checksum=True, **options)
    return path


def read(source, project, types=None):
    (file,) = list_files(source, project, {})
    return pa.concat_tables(list(read_batches(source, project, file, types or {})))


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
    assert "folders such as year=2013 state a column by their name, which is not read" in told(Parquet("data"), project)


def test_empty_files_are_named_all_at_once(project):
    for name in ("a.csv", "b.csv"):
        (project / "data" / name).touch()
    assert told(Csv("data"), project) == "data/a.csv: the file is empty (0 bytes)\ndata/b.csv: the file is empty (0 bytes)"


def test_two_files_of_one_content_are_refused_unless_they_have_no_rows(project):
    write(project / "data" / "a.parquet")
    (project / "data" / "b.parquet").write_bytes((project / "data" / "a.parquet").read_bytes())
    assert told(Parquet("data"), project).startswith("data/b.parquet: has the same content as data/a.parquet, so that its rows would be")
    for name in ("a.parquet", "b.parquet"):
        write(project / "data" / name, ROWS.slice(0, 0))
    assert len(list_files(Parquet("data"), project, {})) == 2
    for name in ("a.csv", "b.csv"):
        (project / name).write_text("x,s\n\n")
    assert len(list_files(Csv("*.csv"), project, {})) == 2


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
    (file,) = list_files(Parquet("data"), project, {})
    write(path, ROWS.slice(1))
    with pytest.raises(DataError, match=r"data/a\.parquet: is being written: it has changed since the run began\. Run again"):
        list(read_batches(Parquet("data"), project, file, {}))
    path.unlink()
    with pytest.raises(DataError, match="was there when the run began, and is not any more"):
        list(read_batches(Parquet("data"), project, file, {}))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Parquet(""), "path is empty"),
        (Parquet("s3://bucket/a"), "path is s3://bucket/a: sources are read from the file system"),
        (Parquet("a", columns=[]), "columns is empty"),
        (Csv("a", delimiter=";;"), "delimiter is ';;', expected one character"),
        (Csv("a", types={"x": "int"}), "types.x: 'int' is no type"),
    ],
)
def test_bad_settings_are_told(source, text):
    assert text in "\n".join(source.problems())
