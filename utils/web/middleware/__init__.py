"""What surrounds the Flask app: bodies, forms, logs, headers, refusals."""
