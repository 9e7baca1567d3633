#!/bin/sh
# Makes .venv with exactly what requirements.lock names, and the project itself in it. Run by `make setup`; may be run again at any time.
# PYTHON names the interpreter to use; by default the first of python3, python3.13, python3.12, python3.11 that fits.
set -eu
cd "$(dirname "$0")/../.."

fail() {
    echo "error: $*" >&2
    exit 1
}

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    fail "Tidemark needs Python 3.11, 3.12 or 3.13 and found none among: ${PYTHON:-python3 python3.13 python3.12 python3.11}; install one (apt-get install python3) or name it: make setup PYTHON=/path/to/python"
}

# Debian splits venv off; only the distribution's own interpreter can be repaired with the distribution's package.
ensure_venv() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 && return
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ]; then
        sudo=
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo="sudo -n"
    else
        fail "Python's venv is missing; run as root: apt-get install python${version}-venv"
    fi
    command -v apt-get >/dev/null || fail "Python's venv is missing in $1; install it with your system's packages, or install uv"
    echo "installing python${version}-venv"
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    $sudo apt-get -qq update && $sudo apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends "python${version}-venv" >/dev/null ||
        fail "python${version}-venv could not be installed; run as root: apt-get install python${version}-venv"
}

find_uv() {
    if command -v uv >/dev/null; then
        command -v uv
        return
    fi
    pinned=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' infra/setup/uv.txt)
    if [ "$(.uv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$pinned" ]; then
        ensure_venv "$1" >&2
        rm -rf .uv
        "$1" -m venv .uv
        .uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r infra/setup/uv.txt >&2 ||
            fail "uv could not be installed with pip; check the network, or install uv yourself"
    fi
    echo "$PWD/.uv/bin/uv"
}

python=$(find_python)
uv=$(find_uv "$python")

# The Python that is there is used, never one of uv's own; authorities that the system trusts are trusted.
UV_PYTHON_DOWNLOADS=never
UV_SYSTEM_CERTS=true
UV_NO_PROGRESS=1
export UV_PYTHON_DOWNLOADS UV_SYSTEM_CERTS UV_NO_PROGRESS

if ! fits .venv/bin/python || [ -n "${PYTHON:-}" ]; then
    rm -rf .venv
    "$uv" venv --quiet --python "$python" .venv
fi
echo "installing the packages of requirements.lock into .venv (2 GB on disk; some minutes the first time)"
# Compiled now: each of the many processes to come would else do it for itself where Python may not write beside its modules.
"$uv" pip sync --quiet --compile-bytecode --require-hashes --python .venv/bin/python requirements.lock
"$uv" pip install --quiet --no-deps --no-build-isolation --python .venv/bin/python --editable .
.venv/bin/python -m infra.local.prepare
