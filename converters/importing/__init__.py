"""Rasters become display chips and Label Studio tasks, at the size of a survey; `survey.import_rasters` is the entrance."""
