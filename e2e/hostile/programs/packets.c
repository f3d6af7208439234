// Sends what a sandbox must not get through to its host: packets to the host itself, under its own address and under
// addresses that are not its own, to everyone on the link, and ICMP redirects.
// Arguments: the gateway's address, a UDP port of the host, and how many packets of each kind.
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct in_addr gateway;
static int port;

static uint16_t sum(const void *bytes, int length) {
  uint32_t total = 0;
  for (const uint16_t *word = bytes; length > 1; length -= 2) total += *word++;
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return ~total;
}

// A socket of the ordinary kind: the kernel fills in the sandbox's own address.
static long honest(struct in_addr target, long count) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0), yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = target};
  long sent = 0;
  for (long i = 0; i < count; i++) sent += sendto(fd, "hello", 5, 0, (void *)&to, sizeof to) == 5;
  close(fd);
  return sent;
}

// A packet whose header is written here, source address included.
static long forged(struct in_addr source, uint8_t protocol, long count) {
  int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  char packet[64] = {0};
  struct iphdr *ip = (void *)packet;
  int body = protocol == IPPROTO_UDP ? sizeof(struct udphdr) + 5 : sizeof(struct icmphdr) + sizeof(struct iphdr);
  *ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = protocol, .tot_len = htons(sizeof *ip + body)};
  ip->saddr = source.s_addr;
  ip->daddr = gateway.s_addr;
  ip->check = sum(ip, sizeof *ip);
  if (protocol == IPPROTO_UDP) {
    struct udphdr *udp = (void *)(ip + 1);
    *udp = (struct udphdr){.source = htons(53), .dest = htons(port), .len = htons(body)};
    memcpy(udp + 1, "hello", 5);
  } else {
    struct icmphdr *icmp = (void *)(ip + 1);
    *icmp = (struct icmphdr){.type = ICMP_REDIRECT, .code = ICMP_REDIR_HOST, .un.gateway = source.s_addr};
    memcpy(icmp + 1, ip, sizeof *ip);
    icmp->checksum = sum(icmp, body);
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = gateway};
  long sent = 0;
  for (long i = 0; i < count; i++) {
    long length = sizeof *ip + body;
    sent += sendto(fd, packet, length, 0, (void *)&to, sizeof to) == length;
  }
  close(fd);
  return sent;
}

static struct in_addr address(const char *text) {
  struct in_addr parsed;
  if (inet_aton(text, &parsed) == 0) exit(2);
  return parsed;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  gateway = address(argv[1]);
  port = atoi(argv[2]);
  long count = atol(argv[3]);
  printf("own %ld\n", honest(gateway, count));
  printf("broadcast %ld\n", honest(address("255.255.255.255"), count));
  printf("multicast %ld\n", honest(address("224.0.0.1"), count));
  printf("loopback source %ld\n", forged(address("127.0.0.1"), IPPROTO_UDP, count));
  printf("neighbour's source %ld\n", forged((struct in_addr){.s_addr = htonl(ntohl(gateway.s_addr) + 5)}, IPPROTO_UDP, count));
  printf("redirect %ld\n", forged(gateway, IPPROTO_ICMP, count));
  return 0;
}
