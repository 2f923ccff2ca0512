"""From notebooks to a book, on any data: run the chapters, stage the pages, build the HTML."""

from skullnb.report.build import Report, build_report, find_assets

__all__ = ["Report", "build_report", "find_assets"]
