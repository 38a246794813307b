"""An emulator of Cloud Tasks: queues, named tasks that are due later, HTTP dispatch with retries.

Google has none. What it covers, and where it differs from the service, is in TASKS.md.

Three kinds of sources stand behind its behaviour, and the code says which where it matters:

- documented: https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2
- recorded: answers of the real service that another project has captured through the official client, at
  https://github.com/aertje/cloud-tasks-emulator/tree/main/test/conformance/golden (errors.json, dispatch.json)
- inferred: neither; a test must not take it for Google's behaviour.
"""
