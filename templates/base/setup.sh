#!/bin/sh
# Runs as root inside the new root file system, after the packages and files/ are in it. Needs no network.
set -eu

# Who commands run as unless they say otherwise. The uid is fixed: clients and volumes rely on 1000.
groupadd --gid 1000 user
useradd --create-home --uid 1000 --gid 1000 --shell /bin/bash user
chmod 0755 /home/user
usermod --append --groups sudo user
for file in .bashrc .profile; do
  cp /etc/skel/$file /root/$file
done
chmod 0440 /etc/sudoers.d/user
visudo --check --quiet

# Keep the marker from coming back when the package is upgraded: it makes pip refuse to install.
for marker in /usr/lib/python3*/EXTERNALLY-MANAGED; do
  [ -e "$marker" ] && dpkg-divert --local --rename --divert "$marker.dist" --add "$marker"
done

# fd is called fdfind in Debian; agents call it by its own name.
ln -sf /usr/bin/fdfind /usr/local/bin/fd

# pip and npm install here for everybody: agents install as `user` without sudo.
python=$(python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
mkdir -p "/usr/local/lib/$python/dist-packages" /usr/local/lib/node_modules /code
chmod 0777 /code
chmod -R 0777 /usr/local

# What ties a root file system to the machine that made it, or is made again on first use.
rm -f /etc/apt/sources.list /etc/apt/apt.conf.d/99mmdebstrap
rm -f /etc/apt/trusted.gpg.d/debian-archive-*.asc
rm -f /etc/machine-id /var/lib/dbus/machine-id /etc/ssh/ssh_host_*
: > /etc/machine-id
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /var/cache/apt/*.bin /var/log/*.log /var/log/apt/*
