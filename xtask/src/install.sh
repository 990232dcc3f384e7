#!/bin/sh
# Install the named Debian packages without starting a service; what policy the machine had stays.
set -eu
policy=/usr/sbin/policy-rc.d
kept=$policy.kept-by-xtask

restore() {
    rm -f "$policy"
    if [ -e "$kept" ]; then mv "$kept" "$policy"; fi
}

if [ -e "$policy" ] && [ ! -e "$kept" ]; then mv "$policy" "$kept"; fi
trap restore EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
lists=/var/lib/apt/lists
if [ -z "$(find "$lists" -name '*_Packages*' -print -quit)" ] ||
    [ -z "$(find "$lists" "$lists/partial" -maxdepth 0 -mtime -1 -print -quit)" ]; then
    apt-get update -q
fi
if ! apt-get install -q -y --no-install-recommends "$@"; then
    apt-get update -q
    apt-get install -q -y --no-install-recommends "$@"
fi
