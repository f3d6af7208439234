#!/bin/sh
# The tests that `npm test` leaves out for their length, after `npm test` or `./islet setup --with-tests` has made what they need.
# Words that follow are given to vitest: scripts/long.sh [PATH…].
set -eu
root=$(CDPATH='' cd "$(dirname "$0")/.." && pwd -P)
cd "$root"

status=0
for project in unit e2e microvm; do
  printf '\n== %s\n' "$project"
  isolation=
  [ "$project" = microvm ] && isolation=ISLET_ISOLATION=microvm
  env $isolation npx --no-install vitest run --tagsFilter=long --passWithNoTests --project "$project" "$@" || status=1
done
exit $status
