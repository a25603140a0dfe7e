"""The data factory: a load in steps, each a task of a DAG in a process of its own.

    conf          what a DagRun is asked for -> Conf
    environment   the operators' settings    -> values, or what is wrong with them
    connections   Airflow's Connections      -> CKAN and the DataStore, secrets included
    stores        the URI of a BASE          -> files in a folder or a bucket
    artifacts     BASE/dag_id/run_id/task_id -> where a step leaves what the next one reads
    artifact_schemas  a JSON artifact        -> checked: it is what a step leaves
    descriptors   what CKAN says             -> frictionless descriptors
    run           one task of a DagRun: its conf, its place, what it may use
    tasks         prepare -> convert -> load -> register -> report; validate
    idempotency   an append that is done again -> its rows are added once
    status        what a step does           -> aircan_status_update of CKAN
    disclosure    a status -> what of it a CKAN hears that the conf brings
    selection     what is to be loaded again -> a mapped task for each resource
    ending        a run that was stopped     -> the status of each of its resources
    cleanup       what nobody needs any more -> deleted

    failed        what runs left             -> resources whose newest load did not end well
    retention     artifacts of old runs      -> deleted

Of Airflow know only ``dag_parts``, which the DAG files use, ``on_airflow``, which their tasks call,
and ``listener``, which hears of runs that were stopped.
"""
