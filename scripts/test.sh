#!/bin/sh
# Everything a change has to pass, from a fresh clone: installs what is missing, then type check, lint and all tests.
# The last line alone is `N passed, N failed`; the exit status says whether everything passed.
set -eu
root=$(CDPATH='' cd "$(dirname "$0")/.." && pwd -P)
cd "$root"

if [ "$(id -u)" -ne 0 ]; then
  echo "the tests run sandboxes and need root; going through sudo" >&2
  exec sudo --preserve-env env "PATH=$PATH" "$root/scripts/test.sh" "$@"
fi

./islet setup --with-tests

status=0
step() {
  printf '\n== %s\n' "$1"
  shift
  "$@" || {
    status=1
    printf '== failed\n'
  }
}

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
reporter=./scripts/test-report.mjs
# vitest PROJECT [FILE…]
vitest() {
  ISLET_TEST_REPORT="$results/$1.json" npx --no-install vitest run --tagsFilter='!long' --project "$@" --reporter=default --reporter="$reporter"
}

step 'type check' npm run --silent typecheck
step 'lint' npm run --silent lint
# Most of these wait for a server, a build or a time limit most of the time: two workers a core keep the cores busy.
step 'unit and contract tests' vitest unit --maxWorkers="$(($(nproc) * 2))"
step 'the proxies on the oldest Node.js' env ISLET_TEST_REPORT="$results/oldest.json" scripts/oldest-node.sh packages/proxy \
  packages/client-proxy/test/floods.test.ts --reporter=default --reporter="$reporter"
step 'end-to-end tests' node scripts/end-to-end.mjs "$results"

printf '\n'
node scripts/count-tests.mjs "$results" "$status" || status=1
# A release wants to know which commit passed.
if [ $status = 0 ] && [ -z "$(git status --porcelain 2>&1)" ]; then git rev-parse HEAD >dist/.tested; fi
exit $status
