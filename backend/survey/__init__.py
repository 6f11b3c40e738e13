"""Pre-annotation of all tasks of a project or an import: `rsiseg preannotate`."""
