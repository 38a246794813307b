"""The documentation's diagram is the code's table."""

from tools.diagram import PAGE, diagram, page_with


def test_the_diagram_in_the_documentation_is_drawn_from_the_table() -> None:
    """The page holds exactly what the generator draws today."""
    text = PAGE.read_text(encoding="utf-8")

    assert page_with(text, diagram()) == text


def test_a_stale_diagram_is_noticed() -> None:
    """A page whose drawing was changed by hand is not what the generator draws."""
    text = PAGE.read_text(encoding="utf-8").replace("RUNNING --> RUNNING", "RUNNING --> FAILED")

    assert page_with(text, diagram()) != text
