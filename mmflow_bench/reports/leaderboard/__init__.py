"""Many checkpoints side by side: a folder of pages and files that any web server can show."""

from mmflow_bench.reports.leaderboard.writing import write_leaderboard

__all__ = ["write_leaderboard"]
