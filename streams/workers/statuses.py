"""The exit statuses of a stage's process, as its worker reads them."""

# Its work is done; nobody knows why it failed, as with any other status; only an operator can fix it; it may pass by itself (as
# ``sysexits.h`` has it).
DONE, FAILED, REFUSED, UNAVAILABLE = 0, 1, 2, 75
