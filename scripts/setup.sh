#!/bin/sh
# Makes .venv ready to run and test the project from a bare clone: system libraries, Python packages, the package itself.
set -eu
cd "$(dirname "$0")/.."

if [ "$(uname -s)" != Linux ]; then
    echo "This script is for Linux. On Windows and macOS, in an environment of Python 3.11 or newer:" >&2
    echo '    pip install -c constraints.txt -e ".[all]" --group dev && python -m pytest' >&2
    exit 1
fi

# Shared libraries Qt and OpenGL load at run time, each with the Debian package that holds it.
libraries="
libGL.so.1:libgl1 libEGL.so.1:libegl1 libGLX_mesa.so.0:libglx-mesa0
libxcb-cursor.so.0:libxcb-cursor0 libxcb-icccm.so.4:libxcb-icccm4 libxcb-keysyms.so.1:libxcb-keysyms1
libxcb-image.so.0:libxcb-image0 libxcb-render-util.so.0:libxcb-render-util0 libxcb-randr.so.0:libxcb-randr0
libxcb-shape.so.0:libxcb-shape0 libxcb-xkb.so.1:libxcb-xkb1 libxcb-xfixes.so.0:libxcb-xfixes0
libxkbcommon-x11.so.0:libxkbcommon-x11-0 libdbus-1.so.3:libdbus-1-3 libfontconfig.so.1:libfontconfig1
libglib-2.0.so.0:libglib2.0-0"

missing=""
known=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p)
for pair in $libraries; do
    case "$known" in *"${pair%%:*}"*) ;; *) missing="$missing ${pair#*:}" ;; esac
done
command -v Xvfb >/dev/null || missing="$missing xvfb libgl1-mesa-dri"

python=""
for candidate in python3.13 python3.12 python3.11 python3; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || missing="$missing python3 python3-venv"

if [ -n "$missing" ]; then
    install="apt-get install -y --no-install-recommends$missing"
    if ! command -v apt-get >/dev/null; then
        echo "Install what these Debian packages hold, then run make again:$missing" >&2
        exit 1
    elif [ "$(id -u)" = 0 ]; then
        apt-get update -q && DEBIAN_FRONTEND=noninteractive $install
    elif command -v sudo >/dev/null && sudo -v; then
        sudo apt-get update -q && sudo DEBIAN_FRONTEND=noninteractive $install
    else
        echo "System libraries are missing. Run this as root, then make again:" >&2
        echo "    $install" >&2
        exit 1
    fi
    [ -n "$python" ] || python=python3
fi

[ -x .venv/bin/python ] || "$python" -m venv .venv
# Groups of pyproject.toml need pip 25.1. Torch goes first, pinned, so that nothing else pulls another build of it.
.venv/bin/python -m pip install -q --upgrade "pip>=25.1"
.venv/bin/python -m pip install -q -c constraints.txt torch
.venv/bin/python -m pip install -q -c constraints.txt -e ".[pyqt6]" --group dev
touch .venv/ready
