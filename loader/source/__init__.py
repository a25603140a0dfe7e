"""From a URI to bytes."""

from loader.source.stream import Identity, Source, SourceSettings, mask_uri, open_source

__all__ = ["Identity", "Source", "SourceSettings", "mask_uri", "open_source"]
