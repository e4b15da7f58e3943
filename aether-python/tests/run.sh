#!/usr/bin/env bash
# The Python half of the tests, on a clean machine: builds the wheel, installs it into fresh virtual environments, runs
# both commands and the suite from there, checks the types. Needs a Rust toolchain, Python and a package index.
#
#   aether-python/tests/run.sh [INTERPRETER…]      default: python3, and a newer one if it is found
#
# A free-threaded interpreter named by AETHER_FT_PYTHON gets a wheel of its own; without one that part is not run.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1 PYTHONDONTWRITEBYTECODE=1
unset VIRTUAL_ENV CONDA_PREFIX PYTHONPATH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

works() { "$1" -c 'import sys, venv; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; }

# The newest interpreter besides python3 itself: pyenv's, or one on the path.
newer() {
    local candidate
    for candidate in $(ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[3-9].*/bin/python3 2>/dev/null | sort -rV) \
        python3.15 python3.14 python3.13; do
        if works "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

if [ $# -gt 0 ]; then
    pythons=("$@")
else
    pythons=(python3)
    other=$(newer)
    if [ -n "$other" ] && [ "$("$other" --version)" != "$(python3 --version)" ]; then
        pythons+=("$other")
    fi
fi

echo "== wheel"
"${pythons[0]}" -m venv "$work/build"
"$work/build/bin/pip" install 'maturin>=1.9.4,<2'
# The profile of the Rust tests: what is compiled already is not compiled again.
"$work/build/bin/maturin" build --quiet --locked --profile dev --out "$work/wheels"
ls "$work/wheels"

# suite INTERPRETER WHEEL
suite() {
    local version environment
    version=$("$1" --version)
    environment="$work/$(echo "$version" | tr -c 'A-Za-z0-9.\n' '-')-$RANDOM"
    echo "== $version"
    "$1" -m venv "$environment"
    "$environment/bin/pip" install "aether-thread[jupyter] @ file://$2" pytest pytest-timeout nbclient nbformat ipykernel
    "$environment/bin/aether" --version
    "$environment/bin/aether-lint" check --quiet aether-python/python
    # From a folder of its own: what is tested is what was installed.
    (cd "$work" && "$environment/bin/python" -m pytest -q -p no:cacheprovider --timeout 600 \
        -c "$OLDPWD/pyproject.toml" --rootdir "$OLDPWD" "$OLDPWD/aether-python/tests")
    last="$environment"
}

for python in "${pythons[@]}"; do
    suite "$python" "$(ls "$work"/wheels/*abi3*.whl)"
done

echo "== types"
"$last/bin/pip" install mypy
"$last/bin/mypy" --config-file pyproject.toml
"$last/bin/mypy" --config-file pyproject.toml --python-version 3.13 aether-python/tests/typed/use.py
MYPYPATH=aether-python/python "$last/bin/python" -m mypy.stubtest aether --ignore-missing-stub

echo "== free-threaded"
if [ -n "${AETHER_FT_PYTHON:-}" ]; then
    "$work/build/bin/maturin" build --quiet --locked --profile dev --no-default-features \
        --interpreter "$AETHER_FT_PYTHON" --out "$work/free-threaded"
    suite "$AETHER_FT_PYTHON" "$(ls "$work"/free-threaded/*.whl)"
else
    echo "not run: AETHER_FT_PYTHON names no free-threaded interpreter"
fi
