"""That the file is here lets the folders below import `oracle`."""
