/* SPDX-License-Identifier: MIT */
/*
 * offload.c - checksums and TCP segmentation on the way out
 *
 * Owns the translation from what the system asks for (struct virtio_net_hdr: "the checksum starts
 * here and goes there; cut this into segments of that size") into the card's context descriptor
 * [3.3.6] and its options [3.3.7]. The hard part is what the card expects in the headers of a frame
 * that it is to cut [3.5]: it adds the length of each piece to the pseudo header's sum, so there
 * the sum is to be without it.
 */
#include <endian.h>
#include <netinet/in.h>
#include <string.h>
#include "e1000.h"

#define TCP_CHECKSUM 16u /* bytes from the start of the header */
#define UDP_CHECKSUM 6u
#define IPV4_LENGTH 2u
#define IPV4_CHECKSUM 10u
#define IPV4_ADDRESSES 12u

/* Where a frame's headers are; zero protocol: not TCP or UDP directly over IP. */
struct headers {
	uint32_t ip; /* offset of the IP header */
	uint32_t l4; /* offset of the TCP or UDP header */
	bool ipv6;
	uint8_t protocol;
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* The sum of RFC 1071, not inverted; an odd last byte counts as if a zero followed. */
static uint32_t add(uint32_t sum, const uint8_t *data, uint32_t length)
{
	for (; length > 1; data += 2, length -= 2) {
		sum += get16(data);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	if (length)
		sum += (uint32_t)data[0] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Ethernet, up to two VLAN tags, IP without extension headers. */
static struct headers parse(const struct port_frame *frame)
{
	struct headers h = { .ip = ETH_HLEN };
	const uint8_t *data = frame->data;

	while (h.ip <= ETH_HLEN + 4 && frame->length >= h.ip + 4 &&
	       (get16(data + h.ip - 2) == ETHERTYPE_VLAN || get16(data + h.ip - 2) == 0x88a8))
		h.ip += 4;
	if (frame->length < h.ip + 40)
		return h;
	if (get16(data + h.ip - 2) == ETHERTYPE_IP) {
		h.l4 = h.ip + (data[h.ip] & 0xfu) * 4;
		h.protocol = data[h.ip + 9];
	} else if (get16(data + h.ip - 2) == ETHERTYPE_IPV6) {
		h.l4 = h.ip + 40;
		h.protocol = data[h.ip + 6];
		h.ipv6 = true;
	}
	if (h.protocol != IPPROTO_TCP && h.protocol != IPPROTO_UDP)
		h.protocol = 0;
	return h;
}

/* For what is beyond the card: headers inside headers, or too far from the start. */
static void checksum(struct e1000_tx *tx, const struct port_frame *frame, uint32_t start,
		     uint32_t place)
{
	uint16_t sum;

	if (place + 2 > frame->length)
		return;
	sum = (uint16_t)~fold(add(0, frame->data + start, frame->length - start));
	/* 0 in UDP would say "no checksum"; 0xffff is the same number. */
	put16(frame->data + place, sum ? sum : 0xffff);
	tx->software_checksums++;
}

/* Headers as [3.5] wants them: lengths zero, pseudo header's sum without a length. */
static void prepare_segmentation(struct port_frame *frame, const struct headers *h)
{
	uint8_t *ip = frame->data + h->ip;

	put16(ip + IPV4_LENGTH, 0);
	put16(ip + IPV4_CHECKSUM, 0);
	put16(frame->data + h->l4 + TCP_CHECKSUM, fold(add(IPPROTO_TCP, ip + IPV4_ADDRESSES, 8)));
}

uint8_t e1000_offload(struct e1000_tx *tx, struct port_frame *frame, struct e1000_tx_context *context)
{
	const struct virtio_net_hdr *wanted = &frame->offload;
	uint32_t start = wanted->csum_start, place = start + wanted->csum_offset;
	uint32_t header_length, payload;
	struct headers h;

	memset(context, 0, sizeof(*context));
	if (!(wanted->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return 0;

	h = parse(frame);
	if (h.protocol && h.l4 == start && place <= UINT8_MAX &&
	    wanted->csum_offset == (h.protocol == IPPROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM)) {
		context->tucss = (uint8_t)start;
		context->tucso = (uint8_t)place;
		context->command = E1000_TXD_DEXT |
				   (h.protocol == IPPROTO_TCP ? E1000_TXD_TCP : 0) |
				   (h.ipv6 ? 0 : E1000_TXD_IPV4);
	} else {
		checksum(tx, frame, start, place);
		return 0;
	}
	if (wanted->gso_type != VIRTIO_NET_HDR_GSO_TCPV4 || h.protocol != IPPROTO_TCP || h.ipv6 ||
	    frame->length < h.l4 + 20)
		return E1000_TXD_TXSM;

	header_length = h.l4 + (frame->data[h.l4 + 12] >> 4) * 4u;
	payload = frame->length - header_length;
	if (header_length > UINT8_MAX || header_length > frame->length ||
	    payload <= wanted->gso_size)
		return E1000_TXD_TXSM;
	prepare_segmentation(frame, &h);
	context->command |= E1000_TXD_TSE | payload;
	context->header_length = (uint8_t)header_length;
	context->mss = wanted->gso_size;
	context->ipcss = (uint8_t)h.ip;
	context->ipcso = (uint8_t)(h.ip + IPV4_CHECKSUM);
	context->ipcse = (uint16_t)(h.l4 - 1);
	return E1000_TXD_TXSM | E1000_TXD_IXSM;
}
