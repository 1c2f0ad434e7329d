"""`python -m harness VERB` is `tokenswarm VERB`."""

from harness.cli import main

main()
