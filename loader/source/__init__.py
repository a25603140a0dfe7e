"""From a URI to bytes: local files, http(s):// and gs://.

    content     a URI -> its content, unpacked
    stream      a URI -> a Source; the connection broke -> it is taken up again
    unpack      what is Stored -> its content: gzip, bz2, xz, zstd, or a zip with one file in it
    stored      what unpack knows of a source
    identity    whether it is still the same source
    transport   what each of these gives:
      local     a path, or file://
      http      http:// and https://, through smart_open and requests
      gcs       gs://, through smart_open and Google's client

Memory: one read of 128 KiB over HTTP, three chunks of 4 MiB for Google Cloud Storage, nothing
for a local file; and what ``unpack`` says of packed content.
"""
