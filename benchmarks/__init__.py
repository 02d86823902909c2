"""Speed and agreement beside peers: each file measures one thing."""
