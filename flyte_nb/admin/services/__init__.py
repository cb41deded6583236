"""One file a noun: what FlyteAdmin checks, in its order and with its words, then the store."""
