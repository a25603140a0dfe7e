"""Which _id no row has, so that a row that has one later is a new one."""

from contextlib import closing

import psycopg
import pytest
from datastore import create, install_ckan
from hypothesis import given, settings
from hypothesis import strategies as st

from loader.copy import database as connections
from loader.copy import free_ids, gaps
from loader.copy.gaps import ALL, Free
from loader.copy.relation import Relation, name

SMALL = range(-10, 30)
NAMES = name("t")


def free_of(free: Free) -> set[int]:
    """Return which of some small numbers are free."""
    return {i for i in SMALL for low, high in free.gaps if low < i < high}


def runs_of(ids: set[int]) -> list[tuple[int, int]]:
    firsts = sorted(i for i in ids if i - 1 not in ids)
    lasts = sorted(i for i in ids if i + 1 not in ids)
    return list(zip(firsts, lasts, strict=True))


@given(st.lists(st.sets(st.sampled_from(SMALL)), max_size=4))
def test_what_is_taken_is_free_no_more(takings):
    free, left = ALL, set(SMALL)
    for taking in takings:
        new = taking & left  # in runs that no known taken number interrupts
        free, left = free.without(runs_of(new)), left - new
        assert free_of(free) == left
        assert free.exact
        assert list(free.gaps) == sorted(free.gaps)


@given(st.sets(st.sampled_from(SMALL)), st.integers(1, 5))
def test_of_many_gaps_the_largest_are_known(taken, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaps, "MOST_GAPS", most)
        free = ALL.without(runs_of(taken))
    assert free_of(free) <= set(SMALL) - taken
    assert len(free.gaps) <= most
    assert free.exact == (free_of(free) == set(SMALL) - taken and len(runs_of(taken)) < most)


def test_a_run_that_is_not_whole_reaches_over_what_was_taken():
    free = ALL.without([(5, 5), (10, 10)]).without([(3, 4), (6, 12)], exact=False)
    assert free_of(free) == set(SMALL) - set(range(3, 13))
    assert not free.exact


@pytest.mark.parametrize("key", ["_id serial PRIMARY KEY", "_id int NOT NULL"])
def test_those_of_a_table(datastore_url, database, key):
    install_ckan(database)
    is_unique = "PRIMARY" in key

    @settings(max_examples=25)
    @given(st.lists(st.sampled_from(SMALL), max_size=40, unique=is_unique), st.data())
    def check(ids, data) -> None:
        database.execute("TRUNCATE t")
        put(ids)
        with closing(connections.connect(datastore_url, "test")) as connection:
            relation = Relation(connection, NAMES)
            with connection.transaction():
                free = free_ids.of_table(relation, is_unique=is_unique)
            assert free_of(free) == set(SMALL) - set(ids)
            assert free.exact
            left = sorted(free_of(free))
            more = data.draw(st.sets(st.sampled_from(left))) if left else set()
            put(more)
            rows = free_ids.rows(relation, free)
            found = connection.execute(psycopg.sql.SQL("SELECT _id FROM ({}) AS l").format(rows))
            assert {row[0] for row in found} == more
            with connection.transaction():
                free = free_ids.still_free(relation, free)
            assert free_of(free) == set(left) - more

    def put(ids) -> None:
        database.execute("INSERT INTO t (_id) SELECT unnest(%s::int[])", (list(ids),))

    create(database, "t", "n bigint")
    if not is_unique:
        database.execute("ALTER TABLE t DROP CONSTRAINT t_pkey; CREATE INDEX ON t (_id)")
    check()


class Busy(psycopg.Connection):
    """Others commit rows before each of its statements."""

    def put(self) -> None:
        """Do what others do, once for each statement."""

    def execute(self, query, *arguments, **options):
        self.put()
        return super().execute(query, *arguments, **options)


@pytest.mark.parametrize("is_unique", [True, False])
@pytest.mark.parametrize("ids", [[], [1, 2, 3], [1, 2, 4], [1, 2, 3, 7]])
@pytest.mark.parametrize("step", [2, -2])
def test_what_is_free_is_so_at_one_moment(datastore_url, database, is_unique, ids, step):
    """Between two of its looks there may be more rows, on either side, one number left out."""
    install_ckan(database)
    create(database, "t", "n bigint")
    put = "INSERT INTO t (_id) SELECT unnest(%s::int[])"
    database.execute(put, (ids,))
    following = iter(range(5 * step, 50 * step, step))
    moments = [set(ids)]

    def come() -> None:
        more = next(following)
        database.execute(put, ([more],))
        moments.append(moments[-1] | {more})

    connecting = Busy.connect(datastore_url, autocommit=True)
    with closing(connecting) as connection, connection.transaction():
        connection.put = come
        free = free_ids.of_table(Relation(connection, NAMES), is_unique=is_unique)
    assert all(low < high for low, high in free.gaps)
    assert all(end <= begin for (_, end), (begin, _) in zip(free.gaps, free.gaps[1:], strict=False))
    taken = [i for i in range(-60, 120) if not any(low < i < high for low, high in free.gaps)]
    assert set(taken) in moments
