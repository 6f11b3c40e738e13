"""What `rsiseg doctor` looks at: one small check a line, in the order of `examination.CHECKS`."""
