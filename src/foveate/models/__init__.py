"""Architectures: one file per backbone, one file per head.

`registry` finds the backbones by name. Importing this package does not import torch.
"""

from foveate.models.catalog import entries as entries
from foveate.models.registry import INCLUDED as INCLUDED
from foveate.models.registry import PROBE as PROBE
from foveate.models.registry import Model as Model
from foveate.models.registry import Weights as Weights
from foveate.models.registry import all as all
from foveate.models.registry import build as build
from foveate.models.registry import check_name as check_name
from foveate.models.registry import find as find
from foveate.models.registry import initial_weights as initial_weights
from foveate.models.registry import list_models as list_models
from foveate.models.registry import self_contained_name as self_contained_name
