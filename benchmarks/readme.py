"""Tables of the README that benchmarks make."""


def with_table(text: str, source: str, table: str) -> str:
    """The README with the table from `source` made again.  Raises ValueError where its place is not marked."""
    before, begin, rest = text.partition(f"<!-- from {source} -->\n")
    _, end, after = rest.partition("<!-- end -->")
    if not end:
        raise ValueError(f"README.md has no place for a table from {source}")
    return before + begin + table + end + after
