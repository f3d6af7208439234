# Says what of sandboxes is on a machine, a line each: kind, then what. Run as root; `comm` compares two of its outputs.
for pid in /proc/[0-9]*; do
  command=$(tr '\0' ' ' 2>/dev/null <"$pid/cmdline") || continue
  case $command in
    *runsc* | *qemu-system* | *islet.mjs* | *envd* | *volume-server*) echo "process ${command%% *} $(tail -n 1 "$pid/cgroup" 2>/dev/null)" ;;
  esac
done
# Not iproute2's folder of namespaces, which it mounts with the first one on a machine, nor the sessions of users.
awk '$5 != "/run/netns" && $5 !~ "^/run/user/" { print "mount", $5 }' /proc/self/mountinfo
ls /run/netns 2>/dev/null | sed 's/^/namespace /'
ip -o link | awk -F': ' '{ sub("@.*", "", $2); print "link", $2 }'
nft list tables 2>/dev/null | sed 's/^/firewall /'
find /sys/fs/cgroup -type d -name '*islet*' | sed 's/^/cgroup /'
losetup --noheadings --output BACK-FILE 2>/dev/null | sed 's/^/loop /'
find /run/islet /dev/shm -type f -o -type s 2>/dev/null | sed 's/^/file /'
