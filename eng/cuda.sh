#!/usr/bin/env bash
# On a machine with an NVIDIA GPU: builds with the CUDA backend, runs the tests that need a GPU, measures the models at the papers' sizes, and writes all of it to one
# JSON file. It takes about eight minutes, most of which is the first restore of libtorch for CUDA (2 GB).
#
#     bash eng/cuda.sh [--libtorch DIR] [--no-build] [--rehearse] [--json FILE]
#
#     --libtorch DIR   a folder with libtorch.so and libtorch_cuda.so, such as lib of an unpacked libtorch or torch/lib of an installed PyTorch, in place of the package;
#                      of the release that Directory.Packages.props names, or near it
#     --no-build       runs what an earlier call, or another machine, has built in this folder
#     --rehearse       without a GPU: the same steps with the CPU's libtorch and small sizes
#     --json FILE      where the results go; cuda-results.json by default
#
# Ends with 0 if everything ran and no test failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec < /dev/null
export DOTNET_CLI_UI_LANGUAGE=en DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

libtorch='' build=1 rehearse='' json=cuda-results.json backend=cuda-linux
while [ $# -gt 0 ]; do
  case "$1" in
    --libtorch) libtorch=$(cd "${2:?a folder}" && pwd) || exit 2; backend=none; shift 2 ;;
    --no-build) build=0; shift ;;
    --rehearse) rehearse=--rehearse; shift ;;
    --json) json=${2:?a file}; shift 2 ;;
    *) echo "unknown argument '$1'; see the head of $0" >&2; exit 2 ;;
  esac
done
[ -z "$rehearse" ] || [ -n "$libtorch" ] || backend=cpu
if [ -n "$libtorch" ]; then
  [ -e "$libtorch/libtorch_cpu.so" ] || { echo "there is no libtorch_cpu.so in $libtorch" >&2; exit 2; }
  # PyTorch keeps CUDA's own libraries in folders beside it; what is in $libtorch itself is linked into the programs' folders below.
  export LD_LIBRARY_PATH="$libtorch$(printf ':%s' "$libtorch"/../../nvidia/*/lib)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi

projects='Microsoft.ML.MoE.Tests Estimators.Tests Benchmarks'
if [ $build -eq 1 ]; then
  for project in $projects; do
    dotnet build -c Release "test/$project" -p:TorchBackend=$backend || exit 1
  done
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
program() { find "test/$1/bin/Release" -name "$1.dll" -not -path '*/ref*' | head -n 1; }

if [ -n "$libtorch" ]; then
  for project in $projects; do ln -sf "$libtorch"/*.so* "$(dirname "$(program $project)")"; done
fi

failures=0
for project in Microsoft.ML.MoE.Tests Estimators.Tests; do
  timeout 240 dotnet "$(program $project)" --filter 'TestCategory=Cuda' 2>&1 | tee "$work/$project"
  [ "${PIPESTATUS[0]}" -eq 0 ] || failures=1
done
count() { cat "$work"/*.Tests | sed -n 's/^ *'"$1"': \([0-9][0-9]*\)$/\1/p' | awk '{ sum += $1 } END { print sum + 0 }'; }

timeout 240 dotnet "$(program Benchmarks)" device $rehearse --json "$work/device.json" || failures=1

{
  printf '{\n"tests": { "passed": %d, "failed": %d, "skipped": %d },\n"device": ' "$(count succeeded)" "$(count failed)" "$(count skipped)"
  if [ -s "$work/device.json" ]; then cat "$work/device.json"; else echo null; fi
  printf '}\n'
} > "$json.tmp" && mv "$json.tmp" "$json"
echo "results: $json"
exit $failures
