"""The server processes: what they share, and their answers to requests that the app never gets.

- cpu_share: a worker's share of the machine's cores
- gunicorn_worker: gunicorn's threaded worker with errors in JSON
- prometheus_folder: private folder in which all workers count
- raw_errors: error responses as bytes; handler of the development server
- secret_key: the session's signing key, the same in all workers
"""
