"""An emulated Pub/Sub: topics, push and pull subscriptions, over gRPC and REST on one port.

`settings` and `filters` say what there can be, `backlog` and `state` decide what happens and when (pure: `now` is an
argument) in Google's own messages of `model`, `service` answers and pushes, `server` is what a test starts.
"""
