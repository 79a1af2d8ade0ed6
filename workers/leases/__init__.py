"""The worker's end of the service's leases: claims in, reports and outcomes out."""
