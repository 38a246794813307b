"""An emulated Pub/Sub: topics, push and pull subscriptions, over gRPC and REST on one port.

`names` and `model` say what there is, `backlog` and `state` decide what happens and when (pure: `now` is an
argument), `service` and `rest` translate, `dispatch` pushes, `serving` shares one port, `server` ties it together.
"""
