"""What is measured: a folder for each table of a paper and each benchmark.

Scripts are run from the repository: `python -m experiments.<folder>.<script>`.
"""
