"""An emulated Pub/Sub: topics, push and pull subscriptions, over gRPC and REST on one port.

`names`, `settings` and `limits` say what there can be, `backlog` and `state` decide what happens and when (pure: `now`
is an argument) in Google's own messages, `service` waits for it, `serving` carries it, `dispatch` pushes,
`server` ties it together.
"""
