// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an interface tells of itself: driver, link, rings, queues, counters
 */
#include <linux/ethtool.h>

#include "net.h"

/** udrv_net_counters_read() - what @queue has counted, by UDRV_NET_RX_PACKETS and following, to @v */
void udrv_net_counters_read(struct udrv_net *net, u32 queue, u64 *v)
{
	struct udrv_net_counters *rx = &net->rx[queue], *tx = &net->tx[queue];
	unsigned int start;

	do {
		start = u64_stats_fetch_begin(&rx->sync);
		v[UDRV_NET_RX_PACKETS] = u64_stats_read(&rx->packets);
		v[UDRV_NET_RX_BYTES] = u64_stats_read(&rx->bytes);
		v[UDRV_NET_RX_DROPPED] = u64_stats_read(&rx->dropped);
		v[UDRV_NET_RX_ERRORS] = u64_stats_read(&rx->errors);
		v[UDRV_NET_TX_DONE_ERRORS] = u64_stats_read(&rx->done_errors);
	} while (u64_stats_fetch_retry(&rx->sync, start));
	do {
		start = u64_stats_fetch_begin(&tx->sync);
		v[UDRV_NET_TX_PACKETS] = u64_stats_read(&tx->packets);
		v[UDRV_NET_TX_BYTES] = u64_stats_read(&tx->bytes);
		v[UDRV_NET_TX_DROPPED] = u64_stats_read(&tx->dropped);
	} while (u64_stats_fetch_retry(&tx->sync, start));
}

static void ethtool_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	struct udrv_net *net = netdev_priv(dev);

	strscpy(info->driver, "udrv", sizeof(info->driver));
	if (net->udev)
		strscpy(info->bus_info, pci_name(net->udev->pdev), sizeof(info->bus_info));
}

static int ethtool_link_ksettings(struct net_device *dev, struct ethtool_link_ksettings *settings)
{
	struct udrv_net *net = netdev_priv(dev);
	u32 speed = READ_ONCE(net->speed);
	bool known = netif_carrier_ok(dev) && speed;

	settings->base.speed = known ? speed : SPEED_UNKNOWN;
	settings->base.duplex = !known ? DUPLEX_UNKNOWN :
				READ_ONCE(net->full_duplex) ? DUPLEX_FULL : DUPLEX_HALF;
	settings->base.port = PORT_OTHER;
	settings->base.autoneg = AUTONEG_DISABLE;
	return 0;
}

static void ethtool_ringparam(struct net_device *dev, struct ethtool_ringparam *ring,
			      struct kernel_ethtool_ringparam *kernel_ring,
			      struct netlink_ext_ack *extack)
{
	struct udrv_net *net = netdev_priv(dev);
	struct udrv_net_session *s;

	ring->rx_max_pending = UDRV_NET_SLOTS_MAX;
	ring->tx_max_pending = UDRV_NET_SLOTS_MAX;
	mutex_lock(&udrv_net_lock);
	s = rcu_dereference_protected(net->session, lockdep_is_held(&udrv_net_lock));
	if (s) {
		ring->rx_pending = s->rx_slots;
		ring->tx_pending = s->tx_slots;
	}
	mutex_unlock(&udrv_net_lock);
}

static void ethtool_channels(struct net_device *dev, struct ethtool_channels *channels)
{
	struct udrv_net *net = netdev_priv(dev);

	channels->max_combined = net->queue_count;
	channels->combined_count = net->queue_count;
}

static const char *const ethtool_names[UDRV_NET_COUNTERS] = {
	[UDRV_NET_RX_PACKETS] = "rx_packets", [UDRV_NET_RX_BYTES] = "rx_bytes", [UDRV_NET_RX_DROPPED] = "rx_dropped",
	[UDRV_NET_RX_ERRORS] = "rx_errors", [UDRV_NET_TX_DONE_ERRORS] = "tx_done_errors",
	[UDRV_NET_TX_PACKETS] = "tx_packets", [UDRV_NET_TX_BYTES] = "tx_bytes", [UDRV_NET_TX_DROPPED] = "tx_dropped",
};

/* Of the interface, behind those of its queues. */
static const char *const ethtool_own_names[] = { "driver_hangs", "tx_stalls" };

static int ethtool_sset_count(struct net_device *dev, int set)
{
	struct udrv_net *net = netdev_priv(dev);

	if (set != ETH_SS_STATS)
		return -EOPNOTSUPP;
	return net->queue_count * UDRV_NET_COUNTERS + ARRAY_SIZE(ethtool_own_names);
}

static void ethtool_strings(struct net_device *dev, u32 set, u8 *data)
{
	struct udrv_net *net = netdev_priv(dev);
	u32 queue, i;

	if (set != ETH_SS_STATS)
		return;
	for (queue = 0; queue < net->queue_count; queue++)
		for (i = 0; i < UDRV_NET_COUNTERS; i++, data += ETH_GSTRING_LEN)
			snprintf(data, ETH_GSTRING_LEN, "queue_%u_%s", queue, ethtool_names[i]);
	for (i = 0; i < ARRAY_SIZE(ethtool_own_names); i++, data += ETH_GSTRING_LEN)
		strscpy(data, ethtool_own_names[i], ETH_GSTRING_LEN);
}

static void ethtool_stats(struct net_device *dev, struct ethtool_stats *stats, u64 *data)
{
	struct udrv_net *net = netdev_priv(dev);
	u32 i;

	for (i = 0; i < net->queue_count; i++, data += UDRV_NET_COUNTERS)
		udrv_net_counters_read(net, i, data);
	data[0] = atomic_read(&net->driver_hangs);
	data[1] = atomic_read(&net->tx_stalls);
}

const struct ethtool_ops udrv_net_ethtool_ops = {
	.get_drvinfo = ethtool_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_link_ksettings = ethtool_link_ksettings,
	.get_ringparam = ethtool_ringparam,
	.get_channels = ethtool_channels,
	.get_sset_count = ethtool_sset_count,
	.get_strings = ethtool_strings,
	.get_ethtool_stats = ethtool_stats,
	.get_ts_info = ethtool_op_get_ts_info,
};
