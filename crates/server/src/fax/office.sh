# A small world for LibreOffice, in namespaces of its own: programs and fonts to read, one
# folder to work in, and nothing else of this machine. No file of ours, no other user's, no
# network, no other process can be named from inside.
#
# $1 the folder to work in, $2 the program's own folder or nothing, then the program
set -e
home=$1 own=$2
shift 2
root=$home/.world
mkdir "$root"
mount -t tmpfs -o mode=755,size=1m world "$root"
show() {
    if [ -L "$1" ]; then
        mkdir -p "$root${1%/*}"
        ln -s "$(readlink "$1")" "$root$1"
    elif [ -d "$1" ]; then
        mkdir -p "$root$1"
        mount --bind "$1" "$root$1"
        mount -o remount,bind,ro "$root$1"
    elif [ -e "$1" ]; then
        mkdir -p "$root${1%/*}"
        : >"$root$1"
        mount --bind "$1" "$root$1"
        mount -o remount,bind,ro "$root$1"
    fi
}
for place in /usr /bin /sbin /lib /lib32 /lib64 /libx32 /etc/alternatives /etc/fonts \
    /etc/ld.so.cache /etc/libreoffice /etc/localtime /var/cache/fontconfig; do
    show "$place"
done
[ -z "$own" ] || show "$own"
mkdir -p "$root/proc" "$root/dev" "$root$home"
mount -t proc proc "$root/proc"
for device in null zero random urandom; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount --bind "$home" "$root$home"
cd /
# Every right that this took is given up, so that nothing of it can be taken back.
exec chroot "$root" setpriv --no-new-privs --bounding-set=-all --inh-caps=-all -- \
    sh -c 'cd "$0" && exec "$@"' "$home" "$@"
