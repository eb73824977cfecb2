"""One file per architecture. Each lists its models in MODELS, where `registry` finds them."""
