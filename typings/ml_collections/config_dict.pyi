from typing import Any

from ml_collections import ConfigDict as ConfigDict
from ml_collections import FieldReference as FieldReference

def placeholder(field_type: type, required: bool = False) -> Any: ...
