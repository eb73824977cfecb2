"""The commands, thin: each reads its options, calls one function, and prints what came of it."""
