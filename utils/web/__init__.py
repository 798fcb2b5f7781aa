"""The Flask app.

- admission: admission queue that bounds waiting and concurrent predictions
- app: app factory
- errors: table of error responses, and the handlers that use it
- health: blueprint of /healthz and /readyz
- metrics: Prometheus counts, and blueprint of /metrics
- middleware: request bodies, forms, logs, headers
- pages: view model of the result page, addresses of static files
- predict: blueprint of the upload page and POST /predict
- service: the process's predictor, loaded once
- uploads: file parts of a request, in memory or spooled
- workers: what the server's processes share
"""
