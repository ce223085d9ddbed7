"""Networks and their parts; `list()` says which have a name, and what is known of them."""

from centernet.models.catalogue import models as list

__all__ = ["list"]
