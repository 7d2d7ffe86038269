"""Records of single items: found again by key, replaced by what was run last, each project's its own."""

from raypipe.core import items
from raypipe.core.artifact import File
from raypipe.core.item import Item
from raypipe.core.ledger import Ledger


def test_found_again_and_replaced(any_ledger: Ledger):
    first, second = File("p/s/1/a.arrow", 9, "aa"), File("p/s/2/b.arrow", 8, "bb")
    made = [Item(f"{n:04d}", first, "c", n, 1) for n in range(1200)] + [Item("none", None)]
    project = any_ledger.project
    with any_ledger.writing() as connection:
        items.keep(connection, project, "f1", "r1", made)
        items.keep(connection, project, "f2", "r2", [Item("0007", second, "c", 0, 5)])
        items.keep(connection, project, "f2", "r2", [])
    with any_ledger.reading() as connection:
        found = items.find(connection, project, [item.key for item in made] + ["another"])
        assert len(found) == 1201
        assert (found["0007"], found["0008"], found["none"]) == (Item("0007", second, "c", 0, 5), made[8], made[-1])
        assert list(items.find(connection, project, ["0007", "0008"], run="r2")) == ["0007"]
        assert (items.num_made(connection, project, "f1"), items.num_made(connection, project, "f2")) == (1200, 1)
        assert items.find(connection, "another", ["0007"]) == {}
        assert items.paths(connection, {project: {"0007"}}) >= {first.path}
