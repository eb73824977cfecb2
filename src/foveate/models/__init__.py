"""Architectures. One file each, with the paper it comes from; `registry` finds them. Imports no torch until asked."""

from foveate.models.registry import Model as Model
from foveate.models.registry import Weights as Weights
from foveate.models.registry import all as all
from foveate.models.registry import build as build
from foveate.models.registry import find as find
from foveate.models.registry import names as names
from foveate.models.registry import portable as portable
from foveate.models.registry import start as start
