#!/bin/sh
# Unpack the kernel of a Debian suite into a folder, and make the guest's first file system. Nothing is installed.
# Arguments: suite, folder, init program.
set -eu
suite=$1 folder=$2 init=$3
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v '^ *#' |
    grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')
mirror=${mirror:-http://deb.debian.org/debian}

apt=$folder/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$folder/tree/usr/lib" "$folder/initrd"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$apt/sources.list"
for setting in Dir::Etc::sourcelist="$apt/sources.list" Dir::Etc::sourceparts=/dev/null Dir::State::lists="$apt/lists" \
    Dir::Cache="$apt/cache" APT::Sandbox::User=root Acquire::Languages=none; do
    key=${setting%%=*} value=${setting#*=}
    echo "$key \"$value\";"
done >"$apt/apt.conf"
export APT_CONFIG="$apt/apt.conf"

depends() {
    apt-cache depends "$1" | sed -n "s/^ *Depends: \($2.*\)/\1/p"
}

apt-get update -q
image=$(depends linux-image-amd64 'linux-image-[0-9]')
(cd "$apt" && apt-get download -q "$image" $(depends "$image" 'linux-\(modules\|binary\|base\)-[0-9]'))
for package in "$apt"/*.deb; do dpkg -x "$package" "$folder/tree"; done
rm -rf "$apt"

# Some suites have the modules in /lib, others in /usr/lib; the kernel is in /boot or with them.
[ -d "$folder/tree/lib" ] || ln -s usr/lib "$folder/tree/lib"
version=$(ls "$folder/tree/lib/modules")
cp "$(find "$folder/tree" -name vmlinuz -o -name "vmlinuz-$version" | head -n 1)" "$folder/kernel"
depmod -b "$folder/tree" "$version"

mkdir -p "$folder/initrd/bin" "$folder/initrd/modules"
cp /bin/busybox "$folder/initrd/bin/busybox"
cp "$init" "$folder/initrd/init"
chmod 755 "$folder/initrd/init"
modprobe -d "$folder/tree" -S "$version" -a --show-depends virtio_pci 9pnet_virtio 9p overlay |
    while read -r kind module _; do
        [ "$kind" = insmod ] || continue
        name=${module##*/}
        case $name in
        *.xz) xz -dc "$module" >"$folder/initrd/modules/${name%.xz}" ;;
        *.zst) zstd -dc "$module" >"$folder/initrd/modules/${name%.zst}" ;;
        *) cp "$module" "$folder/initrd/modules/$name" ;;
        esac
        name=${name%.xz}
        name=${name%.zst}
        grep -qxs "$name" "$folder/initrd/modules/order" || echo "$name" >>"$folder/initrd/modules/order"
    done
(cd "$folder/initrd" && find . | cpio -o -H newc --quiet | gzip -1) >"$folder/initrd.gz"
rm -rf "$folder/initrd"
