"""What one version wrote, the next ones read, to exactly the same values, or refuse with a sentence.

A folder a version (``0.2.0/``) holds what that version wrote, and beside it the values that were in it. The newest folder also binds: what
this program writes must be its bytes. Whoever means to change a format adds a folder for the version that will write it
(``python -m tests.upgrade.make 0.3.0``) and leaves the others alone; what can't be read any more goes into ``REFUSED`` of the test, with
its sentence. ``0.1.0/`` was written by that version's own code: from before the state layout 2, and before rows named the code they rest
on.
"""
