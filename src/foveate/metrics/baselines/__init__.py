"""The simplest methods that could work. A model that does not beat them has learnt nothing."""
