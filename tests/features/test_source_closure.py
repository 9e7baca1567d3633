"""What a module runs, found in its source: all that it imports when it runs, wherever the import stands, and nothing else."""

import pytest

from features.source_closure import closure, digest, imported

TREE = {
    "ours/__init__.py": b"",
    "ours/step.py": b"import numpy\nfrom ours import shared\nfrom ours.deep.kernel import run\n",
    "ours/shared.py": b"import ours.step\n",
    "ours/deep/__init__.py": b"from ours.exported import thing\n",
    "ours/deep/kernel.py": b"from theirs.library import help\n",
    "ours/exported.py": b"",
    "ours/apart.py": b"from ours import step\n",
    "theirs/library.py": b"",
}


def test_it_is_what_is_imported_and_the_packages_it_lies_in_however_far_away() -> None:
    assert list(closure(["ours.step"], ["ours"], TREE.get)) == [
        "ours/__init__.py",
        "ours/deep/__init__.py",
        "ours/deep/kernel.py",
        "ours/exported.py",
        "ours/shared.py",
        "ours/step.py",
    ]


def test_other_packages_are_left_out_unless_asked_for() -> None:
    assert "theirs/library.py" not in closure(["ours.step"], ["ours"], TREE.get)
    assert "theirs/library.py" in closure(["ours.step"], ["ours", "theirs"], TREE.get)


@pytest.mark.parametrize(
    "source",
    [
        "import a.b",
        "from a import b",
        "from a import (\n    c,\n    b as d,\n)",
        "def later():\n    from a import b",
        "try:\n    pass\nexcept OSError:\n    from a import b",
        "if True:\n    pass\nelse:\n    from a import b",
        "with open('x'):\n    import a.b as c",
        "match 1:\n    case _:\n        from a import b",
        "if TYPE_CHECKING:\n    from a import c\nelse:\n    from a import b",
    ],
)
def test_an_import_counts_wherever_it_stands(source: str) -> None:
    assert "a.b" in imported(source.encode())


@pytest.mark.parametrize("source", ["'''\nimport a.b\n'''", "# import a.b", "if TYPE_CHECKING:\n    import a.b"])
def test_what_never_runs_is_not_imported(source: str) -> None:
    assert not imported(source.encode())


def test_the_digest_changes_with_a_source_its_path_and_their_number() -> None:
    digests = [digest(sources) for sources in ({"a": b"1"}, {"a": b"2"}, {"b": b"1"}, {"a": b"1", "b": b""}, {"a": b"", "b": b"1"})]
    assert len(set(digests)) == len(digests)
    assert digest({"a": b"1", "b": b"2"}) == digest({"b": b"2", "a": b"1"})
