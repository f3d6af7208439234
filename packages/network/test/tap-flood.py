"""Sends frames as a virtual machine's guest whose root speaks raw: `tap-flood.py udp|arp COUNT`, in the machine's network namespace."""
import fcntl
import os
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
VNET_HEADER = bytes(10)
GUEST_MAC, GATEWAY_MAC = bytes.fromhex("026900000015"), bytes.fromhex("026900000016")
GUEST, GATEWAY = bytes([169, 254, 0, 21]), bytes([169, 254, 0, 22])


def checksum(header):
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def udp(i):
    """From another port each time: each is a connection of its own."""
    port, target = i % 60000, bytes([203, 0, 113, 1 + i // 60000])
    body = struct.pack("!HHHH", 1024 + port, 9, 8, 0)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), i & 0xFFFF, 0, 64, 17, 0) + GUEST + target
    return GATEWAY_MAC + GUEST_MAC + b"\x08\x00" + header[:10] + checksum(header) + header[12:] + body


def arp(i):
    """Asks in another's name each time: each is a neighbour of its own, if it is believed."""
    sender = bytes([169, 254, 1 + i // 250 % 250, 1 + i % 250])
    fields = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return b"\xff" * 6 + GUEST_MAC + b"\x08\x06" + fields + GUEST_MAC + sender + bytes(6) + GATEWAY


kind, count = {"udp": udp, "arp": arp}[sys.argv[1]], int(sys.argv[2])
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", b"tap0", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
for each in range(count):
    os.write(tap, VNET_HEADER + kind(each))
