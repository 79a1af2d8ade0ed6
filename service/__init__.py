"""The service: HTTP API, sampling, pruning, leases, final evaluations and events. Only `narrows.cli.serve` starts it.

It imports `storage`. `service.client` and `service.schemas` import nothing else of the service, so that workers and
commands can use them alone.
"""
