"""Image files with one table of all that is known of each, in CSV.

    images/<id>.<ext>    the images
    metadata.csv         file_name, id, label, label_index, prompt, seed, …: in UTF-8, with a line of names

`datasets` and Synthset read it as labelled images. A text that a spreadsheet would run as a formula has an apostrophe
in front, which is how people type such a text there; no other cell is changed.
"""

from __future__ import annotations

import csv
import logging
from pathlib import Path

from synthset.core.spreadsheets import begins_a_formula, cell
from synthset.dataset.export.config import ExportConfig
from synthset.dataset.export.material import Material

log = logging.getLogger("synthset")

TABLE, IMAGES = "metadata.csv", "images"


def write_csv(material: Material, root: Path, config: ExportConfig) -> None:
    """Write a folder of image files, and a table of them."""
    (root / IMAGES).mkdir(parents=True)
    names = ["file_name", "id", "label", "label_index", *material.columns]
    quoted = 0
    with (root / TABLE).open("w", encoding="utf-8", newline="") as text:
        table = csv.writer(text, lineterminator="\n")
        table.writerow(names)

        def write(row: int, stem: str, data: bytes, extension: str) -> None:
            nonlocal quoted
            file_name = f"{IMAGES}/{stem}.{extension}"
            (root / file_name).write_bytes(data)
            record = {"file_name": file_name, **material.describe(row)}
            quoted += sum(map(begins_a_formula, record.values()))
            table.writerow([cell(record[name]) for name in names])

        material.for_each(write)
    if quoted:
        log.warning(
            "%s cells of '%s' begin with an apostrophe that their texts do not have, so that no spreadsheet takes them "
            "for formulas.",
            *(f"{quoted:,}", TABLE),
        )
