# Load a sample and look at it, showing each command: sh samples/demo.sh FILE
# BIN names the folder of the aircan command.
set -eu

show() {
    printf '\n$'
    for word in "$@"; do
        case $word in
            *[\ \"]*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n\n'
    command=$1
    shift
    PAGER='' "$BIN/$command" "$@"
}

show aircan load "$1"
show aircan db psql -c 'SELECT species, count(*), round(avg(height_m), 1) AS height_m
    FROM street_trees WHERE protected GROUP BY species ORDER BY count DESC LIMIT 5'
show aircan db psql -c 'SELECT tree_no, street, house_no, planted, height_m
    FROM street_trees WHERE _full_text @@ plainto_tsquery($$storm besançon$$) LIMIT 3'
