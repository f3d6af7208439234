#!/bin/sh
# Runs tests on the oldest Node.js that Islet starts with, which npm has as a package: scripts/oldest-node.sh [FILE…]
# By default those of the proxies, where its HTTP servers differ most from newer ones.
set -eu
root=$(CDPATH='' cd "$(dirname "$0")/.." && pwd -P)
cd "$root"

VERSION=$(sed -n 's/.*"node": ">=\([0-9.]*\)".*/\1/p' package.json).0
case $(uname -m) in
  aarch64) arch=arm64 ;;
  *) arch=x64 ;;
esac
dir=$root/dist/node-$VERSION
node=$dir/node_modules/node-linux-$arch/bin/node

[ -x "$node" ] || npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$dir" "node-linux-$arch@$VERSION"
[ $# -gt 0 ] || set -- packages/proxy packages/client-proxy/test/floods.test.ts
exec "$node" node_modules/vitest/vitest.mjs run --project unit "$@"
