#!/usr/bin/env bash
# Makes web/vendor of the packages that package-lock.json names: one file a library, licence texts, SHA-256 of all.
# `cargo xtask vendor-web` runs it; nobody who compiles does. Needs npm, and a registry at which it finds the packages.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
vendor="$here/../../web/vendor"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp -r "$here/package.json" "$here/package-lock.json" "$here/entries" "$here/licenses.mjs" "$here/types.mjs" "$work"
cd "$work"
npm ci --silent --no-audit --no-fund
mkdir out
npx esbuild entries/*.js --bundle --minify --format=esm --target=es2022 --legal-comments=none --charset=utf8 \
    --log-level=warning --metafile=meta.json --outdir=out
node types.mjs
cp node_modules/uplot/dist/uPlot.min.css out/uplot.css
node licenses.mjs > out/LICENSES
(cd out && sha256sum -- * > SHA256SUMS)
rm -rf "$vendor"
mkdir -p "$vendor"
cp out/* "$vendor"
