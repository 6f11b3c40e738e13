"""One file per `rsiseg` command; `backend.cli` imports the one that was asked for."""
