"""``python -m streams.metrics.prometheus_docs`` writes the table of docs/metrics.md anew."""

from pathlib import Path

from streams.metrics.catalogue import table

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
BEGIN, END = "<!-- the catalogue -->\n", "<!-- its end -->\n"


def page(text: str) -> str:
    """The page with the table of today."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
