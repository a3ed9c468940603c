"""The model of docs/protocol.md: a few small machines, and a checker that follows every schedule of each."""
