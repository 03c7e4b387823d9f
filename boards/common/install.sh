#!/bin/sh
# Install Debian/Ubuntu packages as root or with sudo; where neither is possible, print the line to run.
set -eu
line="apt-get install -y --no-install-recommends $*"
if ! command -v apt-get >/dev/null; then
    echo "hmdc needs these packages (Debian names): $*" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    root=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    root="sudo"
else
    echo "hmdc needs system packages; run this, then try again:" >&2
    echo "    sudo apt-get update && sudo $line" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
$root apt-get update -qq
$root $line -qq
