"""The bytes of artifacts, in a folder or in an S3 bucket."""
