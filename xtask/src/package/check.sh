#!/bin/bash
# Installs a package in a copy of this system's files, starts a node from it as its user, asks it, and purges it.
#
# Takes the package; the copy is in memory, over the files of this system, and it has a network, processes and mounts of
# its own: started by `unshare --mount --net --pid --fork`, it leaves nothing behind.
set -euo pipefail
package=$(realpath "$1")
place=$(mktemp -d)
trap 'umount -l "$place"; rmdir "$place"' EXIT

mount -t tmpfs tmpfs "$place"
mkdir "$place/changes" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/changes,workdir=$place/work" "$place/root"
root=$place/root
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/run"
ip link set lo up
cp "$package" "$root/tapline.deb"

inside() {
    chroot "$root" "$@"
}
fail() {
    echo "error: $1" >&2
    exit 1
}

inside env DEBIAN_FRONTEND=noninteractive dpkg --install /tapline.deb
inside tapline --version
inside getent passwd tapline >/dev/null || fail "there is no user tapline"
inside test -e /etc/systemd/system/multi-user.target.wants/tapline.service && fail "it is started at each boot unasked"
inside dpkg --verify tapline
for page in tapline.1.gz tapline-run.1.gz; do
    inside test -s "/usr/share/man/man1/$page" || fail "the manual has no $page"
done

# As systemd does by the unit.
inside install -d -o tapline -g tapline -m 750 /var/lib/tapline /var/log/tapline /run/tapline
rights=+bpf,+perfmon,+net_admin,+net_raw
chroot "$root" setpriv --reuid=tapline --regid=tapline --init-groups --inh-caps=$rights --ambient-caps=$rights \
    tapline run --config /etc/tapline/node.toml &
node=$!
for _ in $(seq 100); do
    inside tapline status >/dev/null 2>&1 && break
    kill -0 $node 2>/dev/null || fail "the node has ended"
    sleep 0.1
done
inside tapline status
inside tapline status --node unix:/run/tapline/api.sock >/dev/null
kill -HUP $node
sleep 0.5
kill -TERM $node
wait $node || fail "the node has not ended well"
inside test -d /var/lib/tapline/queries || fail "the node keeps no queries"

inside dpkg --purge tapline
for left in /usr/bin/tapline /etc/tapline /var/lib/tapline /var/log/tapline /usr/share/doc/tapline; do
    inside test ! -e $left || fail "$left is left"
done
echo "The package was installed, its node ran, and nothing of it is left."
