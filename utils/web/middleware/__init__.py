"""Layers around the Flask app: bodies, forms, logs, headers, content negotiation.

- body: time limits of a request's body, and draining of what the app leaves unread
- forms: multipart parser that accepts file names in any encoding
- logs: JSON log lines, one a request
- negotiation: choice between a page and JSON
- security: security and cache headers
"""
