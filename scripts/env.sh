# Sourced by the other scripts: makes .venv in the repository from a pinned requirements file, once per content of that
# file. Usage: make_env requirements.txt
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

find_python() {
    local name
    for name in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
        if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "error: CPython 3.11 to 3.14 is needed and was not found; set PYTHON=/path/to/python" >&2
    return 1
}

make_env() {
    local wanted="$root/$1" stamp="$root/.venv/.installed-$1"
    local digest
    digest="$(cat "$root"/requirements*.txt | sha256sum)"
    if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$digest" ]; then
        local python
        python="$(find_python)" || return 1
        echo "installing $1 into .venv" >&2
        [ -x "$root/.venv/bin/python" ] || "$python" -m venv "$root/.venv" || return 1
        "$root/.venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted" || return 1
        echo "$digest" > "$stamp"
    fi
}
