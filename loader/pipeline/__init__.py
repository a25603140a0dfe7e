"""One load, from a source's URI to the rows that readers see; ``load`` has the order of its steps.

    load          the steps, and which destination is opened
    portal        the CKAN that the options name
    intake        a source -> its rows in the destination, read until its columns settle
    rejects_file  where its bad rows go
    registration  a table -> CKAN told of it, or the table dropped where its resource was deleted
    reported      how a load ended, in its report and its error
    separate      the steps that may have a process of their own, as in the data factory

Memory: what ``intake`` and the destination hold.
"""
