// SPDX-License-Identifier: MIT
/*
 * card.c - cards, their interfaces and drivers, and frames for them
 *
 * Owns what a person would type: modules, binding, addresses, starting the driver. What is measured is
 * in bench_net.c. The hard part is that nothing else may talk on the wire: no IPv6, no ARP.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "card.h"
#include "device.h"

#define COMMAND 4
#define COMMAND_MASTER 4
/* As drivers/e1000 does, for every card that the kernel has: at most so many interrupts a second. */
#define RATE "InterruptThrottleRate=20000,20000,20000"
/* Nobody on the hub has this address. */
#define NOBODY "52:54:00:00:00:99"
#define SOCKET_BUFFER (8 << 20)

__attribute__((format(printf, 1, 2))) static void sh(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	fflush(stdout);
	if (system(command))
		die("failed: %s", command);
}

static void pause_ms(long ms)
{
	const struct timespec t = { .tv_nsec = ms * 1000000 };

	nanosleep(&t, NULL);
}

void card_setup(const char *devices, bool confined)
{
	sh("sysctl -q net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
	sh("modprobe -r e1000 && modprobe e1000 %s && modprobe -a tun dummy", RATE);
	sh("for d in %s; do udrv bind %s $d; done", devices, confined ? "" : "--lazy");
}

/* ---- interfaces ---- */

unsigned long card_file(const char *name, const char *file)
{
	unsigned long value = 0;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, file);
	f = fopen(path, "r");
	if (f && fscanf(f, "%lu", &value) != 1)
		value = 0;
	if (f)
		fclose(f);
	return value;
}

/* The name of the interface of a PCI device, with or without a virtio device between. */
static void interface_of(const char *address, char *name)
{
	char pattern[128];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/0000:%s/{virtio*/,}net/*", address);
	if (glob(pattern, GLOB_BRACE, NULL, &found) || found.gl_pathc != 1)
		die("%s has not one interface", address);
	strcpy(name, strrchr(found.gl_pathv[0], '/') + 1);
	globfree(&found);
}

static void rename_interface(const char *address, const char *name)
{
	char old[IFNAMSIZ];

	interface_of(address, old);
	sh("ip link set %s down && ip link set %s name %s", old, old, name);
}

int packet_socket(unsigned int index, unsigned int protocol)
{
	const struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)index,
		.sll_protocol = htons((uint16_t)protocol),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), bytes = SOCKET_BUFFER;

	REQUIRE(fd >= 0);
	REQUIRE(!bind(fd, (const struct sockaddr *)&address, sizeof(address)));
	REQUIRE(!setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)));
	return fd;
}

static int udp_socket(unsigned int number)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(CARD_PORT),
		.sin_addr.s_addr = htonl(0x0a000001 | number << 8),
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), bytes = SOCKET_BUFFER;

	REQUIRE(fd >= 0);
	REQUIRE(!bind(fd, (struct sockaddr *)&address, sizeof(address)));
	address.sin_addr.s_addr = htonl(0x0a000002 | number << 8);
	REQUIRE(!connect(fd, (struct sockaddr *)&address, sizeof(address)));
	REQUIRE(!setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)));
	REQUIRE(!setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)));
	return fd;
}

/* Up, with everything that is needed to use it. */
static void card_up(struct card *card)
{
	static unsigned int count;
	const int on = 1;

	card->number = ++count;
	/* The same simple queue for all. */
	sh("ip addr add 10.0.%u.1/24 dev %s && ip link set %s up && "
	   "tc qdisc replace dev %s root pfifo_fast && "
	   "ip neigh replace 10.0.%u.2 lladdr " NOBODY " nud permanent dev %s",
	   card->number, card->name, card->name, card->name, card->number, card->name);
	for (int tries = 0; card->address && !card_file(card->name, "carrier"); tries++) {
		if (tries > 10000)
			die("%s has no link", card->name);
		pause_ms(10);
	}
	card->udp = udp_socket(card->number);
	card->raw = packet_socket(if_nametoindex(card->name), 0);
	REQUIRE(!setsockopt(card->raw, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)));
}

static void open_config(struct card *card)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/0000:%s/config", card->address);
	card->config_fd = open(path, O_RDWR | O_CLOEXEC);
	REQUIRE(card->config_fd >= 0);
	REQUIRE(pread(card->config_fd, &card->command, 2, COMMAND) == 2);
	REQUIRE(card->command & COMMAND_MASTER);
}

static void command_write(const struct card *card, uint16_t command)
{
	REQUIRE(pwrite(card->config_fd, &command, 2, COMMAND) == 2);
}

void card_hold(const struct card *card)
{
	command_write(card, card->command & ~COMMAND_MASTER);
}

void card_release(const struct card *card)
{
	command_write(card, card->command);
}

/* ---- drivers ---- */

void card_start(struct card *card, const char *port, bool confined)
{
	card->driver = fork();
	REQUIRE(card->driver >= 0);
	if (card->driver)
		return;
	if (confined)
		prctl(PR_CAPBSET_DROP, CAP_SYS_RAWIO);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execl("drivers/e1000/e1000", "e1000", port, card->name, card->address, NULL);
	_exit(127);
}

void card_open_kernel(struct card *card, const char *address)
{
	*card = (struct card){ .name = "kernel", .address = address };
	rename_interface(address, card->name);
	card_up(card);
	open_config(card);
	card->irq = device_irq(card->name);
}

void card_open_udrv(struct card *card, const char *address, const char *port, bool confined)
{
	bool net = !strcmp(port, "--net");
	char irq[64];

	*card = (struct card){ .name = net ? "udrv" : "tap", .address = address };
	card_start(card, port, confined);
	for (int tries = 0; !if_nametoindex(card->name); tries++) {
		if (tries > 10000 || waitpid(card->driver, NULL, WNOHANG))
			die("the driver of %s does not start", address);
		pause_ms(10);
	}
	card_up(card);
	open_config(card);
	snprintf(irq, sizeof(irq), "udrv-%s-intx", address);
	card->irq = device_irq(irq);
}

void card_open_source(struct card *card)
{
	*card = (struct card){ .name = "source" };
	sh("ip link add %s type dummy", card->name);
	card_up(card);
}

int card_reload_kernel(const struct card *card)
{
	char path[256], name[IFNAMSIZ];
	struct ifreq request = { 0 };
	struct utsname kernel;
	int fd, flags = 0, index;

	REQUIRE(!uname(&kernel));
	snprintf(path, sizeof(path), "/lib/modules/%s/kernel/drivers/net/ethernet/intel/e1000/e1000.ko",
		 kernel.release);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		strcat(path, ".xz");
		flags = 4; /* MODULE_INIT_COMPRESSED_FILE */
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	REQUIRE(fd >= 0);
	REQUIRE(!syscall(SYS_delete_module, "e1000", O_NONBLOCK));
	REQUIRE(!syscall(SYS_finit_module, fd, RATE, flags));
	close(fd);

	interface_of(card->address, name);
	strcpy(request.ifr_name, name);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	REQUIRE(fd >= 0);
	REQUIRE(!ioctl(fd, SIOCGIFFLAGS, &request));
	request.ifr_flags |= IFF_UP;
	REQUIRE(!ioctl(fd, SIOCSIFFLAGS, &request));
	REQUIRE(!ioctl(fd, SIOCGIFINDEX, &request));
	index = request.ifr_ifindex;
	close(fd);
	return index;
}

/* ---- the wire, and what is on it ---- */

int wire_open(const char *address)
{
	rename_interface(address, "wire");
	sh("ip link set wire up && tc qdisc replace dev wire root pfifo_fast");
	for (int tries = 0; !card_file("wire", "carrier"); tries++) {
		if (tries > 10000)
			die("the wire has no link");
		pause_ms(10);
	}
	return packet_socket(if_nametoindex("wire"), 0);
}

void interface_address(const char *name, uint8_t *address)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(request.ifr_name, name);
	REQUIRE(!ioctl(fd, SIOCGIFHWADDR, &request));
	memcpy(address, request.ifr_hwaddr.sa_data, ETH_ALEN);
	close(fd);
}

static uint16_t ip_checksum(const struct iphdr *ip)
{
	const uint16_t *word = (const uint16_t *)ip;
	uint32_t sum = 0;

	for (unsigned int i = 0; i < sizeof(*ip) / 2; i++)
		sum += word[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void ip_header(struct iphdr *ip, unsigned int bytes, uint8_t protocol, uint32_t from, uint32_t to)
{
	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = htons((uint16_t)bytes),
		.ttl = 64,
		.protocol = protocol,
		.saddr = htonl(from),
		.daddr = htonl(to),
	};
	ip->check = ip_checksum(ip);
}

void card_frame(const struct card *card, uint8_t *frame, unsigned int length)
{
	static const uint8_t nobody[] = { 0x52, 0x54, 0, 0, 0, 0x99 };
	struct ether_header *ethernet = (void *)frame;
	struct iphdr *ip = (void *)(ethernet + 1);
	struct udphdr *udp = (void *)(ip + 1);
	uint32_t network = 0x0a000000 | card->number << 8;

	memset(frame, 0, length);
	interface_address(card->name, ethernet->ether_dhost);
	memcpy(ethernet->ether_shost, nobody, sizeof(nobody));
	ethernet->ether_type = htons(ETHERTYPE_IP);
	ip_header(ip, length - sizeof(*ethernet), IPPROTO_UDP, network | 2, network | 1);
	udp->source = udp->dest = htons(CARD_PORT);
	/* No checksum: QEMU's card looks at none, and the same work for the stack would be added to all. */
	udp->len = htons((uint16_t)(length - sizeof(*ethernet) - sizeof(*ip)));
}

void card_frame_tcp(const struct card *card, uint8_t *frame, unsigned int length)
{
	static const uint8_t nobody[] = { 0x52, 0x54, 0, 0, 0, 0x99 };
	struct ether_header *ethernet = (void *)frame;
	struct iphdr *ip = (void *)(ethernet + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	uint32_t network = 0x0a000000 | card->number << 8;

	memset(frame, 0, length);
	memcpy(ethernet->ether_dhost, nobody, sizeof(nobody));
	interface_address(card->name, ethernet->ether_shost);
	ethernet->ether_type = htons(ETHERTYPE_IP);
	ip_header(ip, length - sizeof(*ethernet), IPPROTO_TCP, network | 1, network | 2);
	tcp->source = tcp->dest = htons(CARD_PORT);
	tcp->doff = sizeof(*tcp) / 4;
	tcp->ack = 1;
}
