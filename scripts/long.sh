#!/bin/sh
# The tests that `npm test` leaves out for their length, after `npm test` or `./islet setup --with-tests` has made what they need:
# scripts/long.sh [PATH…], of these files and folders alone.
set -eu
root=$(CDPATH='' cd "$(dirname "$0")/.." && pwd -P)
cd "$root"

[ $# -gt 0 ] || set -- packages e2e
status=0
# long PROJECT [FILE…]
long() {
  project=$1
  shift
  [ $# -gt 0 ] || return 0
  printf '\n== %s\n' "$project"
  npx --no-install vitest run --tagsFilter=long --project "$project" "$@" || status=1
}

files=$(grep -rl --include='*.test.ts' --exclude-dir=node_modules "tags: 'long'" "$@" | sort)
# The names of files have no spaces.
# shellcheck disable=SC2046
{
  long unit $(printf '%s\n' "$files" | grep -v ^e2e/)
  long e2e $(printf '%s\n' "$files" | grep ^e2e/ | grep -v ^e2e/microvm/)
  export ISLET_ISOLATION=microvm
  long microvm $(printf '%s\n' "$files" | grep ^e2e/microvm/)
}
exit $status
