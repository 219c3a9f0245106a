"""`python -m mmflow_bench`, for environments whose scripts are not on the path."""

from mmflow_bench.cli.main import main

main(prog_name="mmflow")
