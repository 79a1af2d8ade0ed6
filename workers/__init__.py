"""Trains trials on the devices of one machine.

The package imports `service.schemas` and `service.client`, and nothing else of the other packages.
`tests/docs/test_layers.py` holds this rule and the layers inside this package.
"""
