"""HTTP: which addresses may be asked, retries, and the errors of a network.

uri         its scheme, the file's name, and the secrets to mask
guard       which addresses may be fetched from, where others wrote the URL
limits      how many bytes there may be, and how slowly they may come
settings    how long to wait and how often to try, with both of these
retry       the wait before another try, or the end of them: of any work, not of HTTP only
pace        whether the bytes come fast enough
target      one thing to open
session     how HTTP asks: only where the guard allows it, and with no other password
failures    the network's exceptions -> ours
"""
