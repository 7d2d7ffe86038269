"""Listings of this machine's disks: in order, without what leads elsewhere, and quick."""

import os

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.source.csv import Csv
from raypipe.data.source.files import SourceFile
from raypipe.data.source.listing import list_below, translated
from raypipe.data.source.piece import NOTHING, Progress


@pytest.fixture
def project(tmp_path):
    (tmp_path / "project" / "data").mkdir(parents=True)
    return tmp_path / "project"


def put(project, name, text="x\n1\n"):
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(path, project):
    return [os.path.relpath(file.where, project) for file in list_below(path, project)[1]]


def told(path, project):
    with pytest.raises(DataError) as error:
        list_below(path, project)
    return str(error.value)


def look(project):
    nothing: object = None
    return Look("p", project, "p", "source", nothing, nothing)  # type: ignore[arg-type]


def test_the_order_is_that_of_folders(project):
    for name in ("data/2013-b.csv", "data/2013/a.csv", "data/a.csv", "data/B.csv"):
        put(project, name)
    assert names("data", project) == ["data/2013/a.csv", "data/2013-b.csv", "data/B.csv", "data/a.csv"]
    assert names("data/**/*.csv", project) == names("data", project)


@pytest.mark.parametrize(
    "name", ["a=b.csv", "with space.csv", "übung.csv", "日本.csv", "[1].csv", "a#b?.csv", "%2e%2e.csv", "..b.csv", "new\nline.csv"]
)
def test_any_name_is_read(project, name):
    put(project, f"data/{name}")
    if name.startswith("."):
        assert told("data", project) == f"data: the folder holds no file (looked in {project})"
        return
    (piece,) = Csv("data").new(look(project), NOTHING).pieces
    assert piece.name == f"data/{name}"
    assert pa.concat_tables(Csv("data").batches(piece, {}))["x"].to_pylist() == [1]  # type: ignore[arg-type]
    assert names(f"data/{name}", project) == [f"data/{name}"]


def test_a_name_that_is_no_utf8_is_refused(project):
    with open(os.fsencode(project / "data") + b"/a\xff.csv", "w") as file:
        file.write("x\n1\n")
    assert told("data", project).endswith("data/a\\udcff.csv': the name is not UTF-8: rename the file")
    assert Csv("a\0b").problems() == ["path has a NUL character in it"]


def test_a_path_out_of_the_project_is_one_that_the_config_names(project):
    put(project, "../elsewhere/a.csv")
    (piece,) = Csv("../elsewhere").new(look(project), NOTHING).pieces
    assert piece.name == str(project.parent / "elsewhere" / "a.csv")


def test_links_that_lead_out_are_refused(project):
    secret = put(project, "../secret.csv")
    (project / "data" / "a.csv").symlink_to(secret)
    lies = f"{project}/data/a.csv is, or lies behind, a symbolic link that leads out of {project}/data"
    assert told("data", project) == f"data: {lies}, to {secret.resolve()}. Copy the file in"
    assert "leads out of" in told("data/*.csv", project)
    assert names("data/a.csv", project) == ["data/a.csv"]


def test_links_that_lead_nowhere_or_to_folders_are_refused(project):
    (project / "data" / "a.csv").symlink_to("b.csv")
    assert "a.csv is a symbolic link that leads nowhere" in told("data", project)
    put(project, "data/b.csv")
    assert names("data", project) == ["data/a.csv", "data/b.csv"]
    put(project, "other/c.csv")
    (project / "data" / "c").symlink_to(project / "other")
    assert told("data", project).endswith(
        f"is a symbolic link to a folder, which is not followed. Name that folder as the path: {project}/other"
    )
    assert "leads out of" in told("data/**/*.csv", project)
    assert names("data/c", project) == ["data/c/c.csv"]


def test_a_file_that_goes_while_the_folder_is_read_was_never_there(project, monkeypatch):
    put(project, "data/a.csv")
    put(project, "data/b.csv")
    real = os.scandir

    def scandir(path):
        found = real(path)
        (project / "data" / "a.csv").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(os, "scandir", scandir)
    assert names("data", project) == ["data/b.csv"]


def test_a_file_that_goes_before_it_is_read_is_named(project):
    path = put(project, "data/a.csv")
    (piece,) = Csv("data").new(look(project), NOTHING).pieces
    path.unlink()
    with pytest.raises(DataError, match=r"^data/a\.csv: was there when the run began, and is not any more\. Run again\.$"):
        list(Csv("data").batches(piece, {}))  # type: ignore[arg-type]


def test_folders_as_columns(project):
    put(project, "data/year=2013/month=01/a.csv", "x\n1\n2\n")
    put(project, "data/year=2014/month=__HIVE_DEFAULT_PARTITION__/a.csv", "x\n3\n")
    source = Csv("data", partitions={"year": "int16", "month": "string"})
    rows = pa.concat_tables([t for p in source.new(look(project), NOTHING).pieces for t in source.batches(p, {})])  # type: ignore[arg-type]
    assert rows.to_pydict() == {"x": [1, 2, 3], "year": [2013, 2013, 2014], "month": ["01", "01", None]}
    assert rows.schema.field("year").type == pa.int16()
    some = Csv("data/year=2013", partitions={"year": None, "month": "int64"})
    (piece,) = some.new(look(project), NOTHING).pieces
    assert pa.concat_tables(some.batches(piece, {})).to_pydict() == {"x": [1, 2], "month": [1, 1]}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "partitions", "text"),
    [
        ("year=soon/a.csv", {"year": "int64"}, "folder year=soon: 'soon' is no int64, which partitions states for 'year'"),
        ("year=2013/a.csv", {"year": "int64", "month": "int64"}, "no folder states 'month', as month=... would"),
        ("a.csv", {"year": "int64"}, "no folder states 'year', as year=... would"),
        ("x=1/a.csv", {"x": "int64"}, "column 'x' is in the file and in the name of its folder: set partitions: {x: null}"),
    ],
)
def test_folders_that_do_not_state_what_is_asked_for(project, name, partitions, text):
    put(project, f"data/{name}")
    source = Csv("data", partitions=partitions)
    (piece,) = source.new(look(project), NOTHING).pieces
    with pytest.raises(DataError) as error:
        list(source.batches(piece, {}))  # type: ignore[arg-type]
    assert str(error.value) == f"data/{name}: {text}." or str(error.value).startswith(f"data/{name}: {text}")


def test_files_that_are_known_are_not_read_again(project):
    for number in range(300):
        with open(project / "data" / f"part-{number:05d}.csv", "w") as file:
            file.write(f"x\n{number}\n")
    found = {}
    for file in list_below("data", project)[1]:
        name = os.path.relpath(file.where, project)
        found[name] = SourceFile(name, file.size, file.mtime_ns, name)
    # With these digests every one of them would have changed, were it read.
    new = Csv("data").new(look(project), Progress(files=found))
    assert (len(new.pieces), len(new.changed), new.told) == (0, 0, "0 new of 300 files")


def test_patterns_of_an_object_store():
    assert translated("/a*.c[s5]v").replace("\\", "") == "/a[^/]*.c[s5]v"


@pytest.mark.parametrize(
    ("path", "left_out"),
    [
        ("data", "; 2 files and 1 folder whose names begin with _ or . are left out"),
        ("data/*.csv", "; 1 file whose name begins with _ or . is left out"),
        ("data/a.csv", ""),
    ],
)
def test_files_that_are_left_out_for_their_names_are_counted(project, path, left_out):
    for name in ("a.csv", "_b.csv", ".c.csv", "_SUCCESS", ".a.csv.crc", "_date=1/d.csv"):
        put(project, f"data/{name}")
    assert Csv(path).new(look(project), NOTHING).told == f"1 new of 1 file{left_out}"
