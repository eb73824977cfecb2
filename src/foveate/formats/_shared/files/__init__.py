"""Which files of a folder belong together: names that are written, stems, splits, lists."""
