"""From a URI to bytes: local files, http(s):// and gs://.

    stream      a URI -> a Source; the connection broke -> it is taken up again
    patience    how often, and after what wait
    limits      how many bytes it may have, and how slowly they may come
    pace        whether they come fast enough
    transport   what each of these gives:
      local     a path, or file://
      http      http:// and https://, through smart_open and requests
      gcs       gs://, through smart_open and Google's client
    guard       which addresses may be fetched from, where others wrote the URL
    session     how http asks: heeding the guard, and sending no other password
    failures    the network's exceptions -> ours
    identity    whether it is still the same source
    uri         its scheme, the file's name, and the secrets to mask

Memory: one read of 128 KiB over HTTP, three chunks of 4 MiB for Google Cloud Storage, nothing
for a local file.
"""

from loader.net.guard import ALLOWED_HOSTS, Guard
from loader.net.limits import Limits
from loader.net.patience import SourceSettings
from loader.net.uri import file_name, fingerprint, has_one_reading, mask_text, mask_uri
from loader.source.identity import Identity
from loader.source.stream import Source, open_source

__all__ = [
    "ALLOWED_HOSTS",
    "Guard",
    "Identity",
    "Limits",
    "Source",
    "SourceSettings",
    "file_name",
    "fingerprint",
    "has_one_reading",
    "mask_text",
    "mask_uri",
    "open_source",
]
