"""`backstop`, the command line: messages in, results out, Spanner as the record; no server and no store of its own.

It publishes the commands that anybody may publish, and reads what anybody may read. Nothing that it does is needed for
correctness: it may be killed at any moment. It is never deployed, and the function knows nothing of it.
"""
