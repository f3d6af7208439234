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
# vitest PROJECT [FILE…]
vitest() {
  npx --no-install vitest run --project "$@" --reporter=default --reporter=json --outputFile.json="$results/$1.json"
}

step 'type check' npm run --silent typecheck
step 'lint' npm run --silent lint
# vitest would take a core less than there are; half of these tests wait for a build or a sandbox most of the time.
step 'unit and contract tests' vitest unit --maxWorkers="$(nproc)"
step 'the proxies on the oldest Node.js' scripts/oldest-node.sh packages/proxy packages/client-proxy/test/floods.test.ts \
  --reporter=default --reporter=json --outputFile.json="$results/oldest.json"
if [ -n "$(find e2e -name '*.test.ts' ! -path '*/node_modules/*')" ]; then
  step 'end-to-end tests' vitest e2e
  # All of the SDK's tests run so with `npm run test:modes`.
  for mode in resumed forked; do
    step "some tests of the SDK, on $mode sandboxes" vitest $mode e2e/sdk/watch.test.ts e2e/sdk/stdin.test.ts
  done
  export ISLET_ISOLATION=microvm
  step 'end-to-end tests on virtual machines' vitest microvm
fi

printf '\n'
node scripts/count-tests.mjs "$results" || status=1
# A release wants to know which commit passed.
if [ $status = 0 ] && [ -z "$(git status --porcelain 2>&1)" ]; then git rev-parse HEAD >dist/.tested; fi
exit $status
