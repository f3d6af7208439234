#!/bin/sh
# Stands for Firecracker's jailer in tests: takes the arguments that it takes (docs/jailer.md of Firecracker) and no others, and
# lays the jail out as it does. Entering it is left to the program, which could not start inside.
set -eu
refuse() {
  echo "jailer: $*" >&2
  exit 1
}
if [ "${1-}" = --version ]; then
  echo "Jailer v${FIRECRACKER_VERSION-1.14.1}"
  exit
fi
while [ $# -gt 0 ]; do
  case $1 in
    --id) id=$2 ;;
    --exec-file) exec_file=$(realpath "$2") ;;
    --uid) uid=$2 ;;
    --gid) gid=$2 ;;
    --chroot-base-dir) base=$(realpath -e "$2") ;;
    --netns) netns=$2 ;;
    --) shift && break ;;
    *) refuse "unexpected argument $1" ;;
  esac
  shift 2
done
case $id in '' | *[!A-Za-z0-9-]*) refuse "bad id $id" ;; esac
[ ${#id} -le 64 ] || refuse "the id is too long"
name=${exec_file##*/}
case $name in *firecracker*) ;; *) refuse "$name is not firecracker" ;; esac
[ "$uid" -gt 0 ] && [ "$gid" = "$uid" ] || refuse "would run as $uid:$gid"
root=$base/$name/$id/root
mkdir -p "$root/dev/net" "$root/run"
cp "$exec_file" "$root/$name"
mknod "$root/dev/net/tun" c 10 200
for path in '' /dev /dev/net /run /dev/net/tun; do chown "$uid:$gid" "$root$path"; done
chmod 700 "$root" "$root/dev" "$root/dev/net" "$root/run"
echo $$ >"$root/$name.pid"
exec nsenter --net="$netns" env -i "JAIL_ROOT=$root" "JAIL_UID=$uid" \
  "$exec_file" --id "$id" --start-time-us 0 --start-time-cpu-us 0 "$@"
