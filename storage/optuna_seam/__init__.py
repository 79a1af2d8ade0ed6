"""Everything that Narrows uses of Optuna and of its dashboard beyond their public API.

No other product code touches these privates. `tests/contracts/test_optuna_seam.py` checks each of them, so that file
shows first what a new version of Optuna breaks.
"""
