"""One file per kind of place events can go to; the file name is the `type` in the rules file."""
