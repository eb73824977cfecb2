"""The console of the commands."""

from __future__ import annotations

from collections.abc import Sequence

from foveate.console.terminal import TerminalReporter
from foveate.wording import escape_controls


class ConsoleReporter(TerminalReporter):
    """Lines and bars as everywhere, and tables."""

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows of text under a header."""
        from rich.table import Table

        table = Table(*header, box=None, pad_edge=False, header_style="dim")
        for row in rows:
            table.add_row(*map(escape_controls, row))
        self.console.print(table)
