// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interface: what the kernel's network code sees, with a driver or without
 *
 * Owns the net_device: its making and end, and what it tells its driver (state that NET_STATE reads);
 * what it tells of itself is ethtool.c's. Nothing here waits for the driver: whatever the
 * system wants of it is written down, and the driver is woken.
 *
 * The hard part is the time without a driver. The interface stays as it is, with its queues stopped
 * and its carrier held for a while, so that nobody above notices; the kernel's own transmit watchdog
 * is not used, since it would warn of that.
 */
#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/nsproxy.h>
#include <linux/rtnetlink.h>
#include <net/net_namespace.h>
#include <net/rtnetlink.h>

#include "net.h"

static struct rtnl_link_ops netdev_link_ops;

/* ---- news for the driver ---- */

static void news_tell(struct udrv_net *net)
{
	struct udrv_net_session *s;

	rcu_read_lock();
	s = rcu_dereference(net->session);
	if (s) {
		/*
		 * What is new was written before: pairs with net_state(), which sees it, or else has
		 * not taken this back. Release is not enough where writes reach one processor after
		 * another (the litmus test R).
		 */
		smp_mb();
		WRITE_ONCE(s->news, 1);
		udrv_waiter_wake(&s->queues[0].waiter);
	}
	rcu_read_unlock();
}

/** udrv_net_state_read() - what the system wants of the interface; udrv_net_lock held */
void udrv_net_state_read(struct udrv_net *net, struct udrv_ioc_net_state *p)
{
	struct net_device *dev = net->dev;
	u32 size = p->size;

	memset(p, 0, sizeof(*p));
	p->size = size;
	p->mtu = READ_ONCE(dev->mtu);
	if (netif_running(dev))
		p->state_flags |= UDRV_NET_UP;
	if (dev->features & NETIF_F_RXCSUM)
		p->state_flags |= UDRV_NET_RXCSUM_ON;
	if (dev->features & NETIF_F_HW_VLAN_CTAG_RX)
		p->state_flags |= UDRV_NET_VLAN_RX_ON;
	spin_lock_bh(&net->mode_lock);
	memcpy(p->address, net->mode.address, ETH_ALEN);
	if (net->mode.promiscuous)
		p->state_flags |= UDRV_NET_PROMISC;
	if (net->mode.all_multicast)
		p->state_flags |= UDRV_NET_ALLMULTI;
	p->group_count = net->mode.group_count;
	memcpy(p->groups, net->mode.groups, sizeof(p->groups));
	spin_unlock_bh(&net->mode_lock);
}

/** udrv_net_link_state() - the driver says how the link is; udrv_net_lock held */
void udrv_net_link_state(struct udrv_net *net, const struct udrv_ioc_net_link *p)
{
	WRITE_ONCE(net->speed, p->speed);
	WRITE_ONCE(net->full_duplex, p->link & UDRV_NET_LINK_FULL);
	if (p->link & UDRV_NET_LINK_UP)
		netif_carrier_on(net->dev);
	else
		netif_carrier_off(net->dev);
}

/* ---- with a driver and without ---- */

/* Nobody has come to drive it. */
static void grace_over(struct work_struct *work)
{
	struct udrv_net *net = container_of(to_delayed_work(work), struct udrv_net, grace);

	mutex_lock(&udrv_net_lock);
	if (!rcu_access_pointer(net->session))
		netif_carrier_off(net->dev);
	mutex_unlock(&udrv_net_lock);
}

/*
 * The interface and its driver part, if it has one. When this returns the stack puts nothing into the
 * session's rings, and takes nothing from there. udrv_net_lock is held.
 */
static void netdev_part(struct udrv_net *net)
{
	struct udrv_net_session *s =
		rcu_dereference_protected(net->session, lockdep_is_held(&udrv_net_lock));
	u32 i;

	if (!s)
		return;
	WRITE_ONCE(s->ended, true);
	rcu_assign_pointer(net->session, NULL);
	/* Under each queue's lock: whoever transmits has done so, and who comes finds it stopped. */
	netif_tx_disable(net->dev);
	for (i = 0; i < s->queue_count; i++) {
		struct udrv_net_queue *q = &s->queues[i];

		mutex_lock(&q->lock);
		q->linked = false;
		udrv_net_rx_forget(q);
		mutex_unlock(&q->lock);
		cancel_delayed_work(&q->watch.work); /* if it runs, it finds that, or has called us */
		netdev_tx_reset_queue(netdev_get_tx_queue(net->dev, i));
		udrv_waiter_wake(&q->waiter);
	}
	s->net = NULL;
	/* It is over before the interface is: netdev_uninit(). */
	schedule_delayed_work(&net->grace, msecs_to_jiffies(net->grace_ms));
}

/** udrv_net_unlink() - a driver is about to end: part it from its interface; may have parted before */
void udrv_net_unlink(struct udrv_net_session *session)
{
	mutex_lock(&udrv_net_lock);
	WRITE_ONCE(session->ended, true);
	if (session->net)
		netdev_part(session->net);
	mutex_unlock(&udrv_net_lock);
}

/* ---- the interface's operations ---- */

static int netdev_open(struct net_device *dev)
{
	struct udrv_net *net = netdev_priv(dev);
	u32 i;

	for (i = 0; i < net->queue_count; i++)
		napi_enable(&net->napi[i]);
	mutex_lock(&udrv_net_lock); /* its driver may be about to end */
	if (rcu_access_pointer(net->session))
		netif_tx_start_all_queues(dev);
	mutex_unlock(&udrv_net_lock);
	news_tell(net);
	return 0;
}

static int netdev_stop(struct net_device *dev)
{
	struct udrv_net *net = netdev_priv(dev);
	u32 i;

	netif_tx_disable(dev);
	for (i = 0; i < net->queue_count; i++)
		napi_disable(&net->napi[i]);
	news_tell(net);
	return 0;
}

/* Context: the address lists' lock is held. */
static void netdev_set_rx_mode(struct net_device *dev)
{
	struct udrv_net *net = netdev_priv(dev);
	struct netdev_hw_addr *group;

	spin_lock_bh(&net->mode_lock);
	net->mode.promiscuous = dev->flags & IFF_PROMISC || !netdev_uc_empty(dev);
	net->mode.all_multicast = dev->flags & IFF_ALLMULTI ||
				  netdev_mc_count(dev) > UDRV_NET_GROUPS_MAX;
	net->mode.group_count = 0;
	memset(net->mode.groups, 0, sizeof(net->mode.groups));
	if (!net->mode.all_multicast)
		netdev_for_each_mc_addr(group, dev)
			ether_addr_copy(net->mode.groups[net->mode.group_count++], group->addr);
	spin_unlock_bh(&net->mode_lock);
	news_tell(net);
}

static void mode_set_address(struct udrv_net *net)
{
	spin_lock_bh(&net->mode_lock);
	ether_addr_copy(net->mode.address, net->dev->dev_addr);
	spin_unlock_bh(&net->mode_lock);
}

static int netdev_set_mac_address(struct net_device *dev, void *address)
{
	int ret = eth_mac_addr(dev, address);

	if (ret)
		return ret;
	mode_set_address(netdev_priv(dev));
	news_tell(netdev_priv(dev));
	return 0;
}

static int netdev_change_mtu(struct net_device *dev, int mtu)
{
	WRITE_ONCE(dev->mtu, mtu);
	news_tell(netdev_priv(dev));
	return 0;
}

static netdev_features_t netdev_fix_features(struct net_device *dev, netdev_features_t features)
{
	struct udrv_net *net = netdev_priv(dev);

	/* Most devices have one switch for both, and this is the one that the driver is told of. */
	if (net->features & UDRV_NET_VLAN_RX && !(features & NETIF_F_HW_VLAN_CTAG_RX))
		features &= ~NETIF_F_HW_VLAN_CTAG_TX;
	return features;
}

static int netdev_set_features(struct net_device *dev, netdev_features_t features)
{
	/* The core takes them over after this: told again then would be too early now. */
	dev->features = features;
	news_tell(netdev_priv(dev));
	return 1;
}

static void netdev_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	struct udrv_net *net = netdev_priv(dev);
	u64 v[UDRV_NET_COUNTERS];
	u32 i;

	for (i = 0; i < net->queue_count; i++) {
		udrv_net_counters_read(net, i, v);
		stats->rx_packets += v[UDRV_NET_RX_PACKETS];
		stats->rx_bytes += v[UDRV_NET_RX_BYTES];
		stats->rx_dropped += v[UDRV_NET_RX_DROPPED];
		stats->rx_errors += v[UDRV_NET_RX_ERRORS];
		stats->tx_errors += v[UDRV_NET_TX_DONE_ERRORS];
		stats->tx_packets += v[UDRV_NET_TX_PACKETS];
		stats->tx_bytes += v[UDRV_NET_TX_BYTES];
		stats->tx_dropped += v[UDRV_NET_TX_DROPPED];
	}
}

/* Under rtnl, after the interface was stopped. */
static void netdev_uninit(struct net_device *dev)
{
	struct udrv_net *net = netdev_priv(dev);

	mutex_lock(&udrv_net_lock);
	netdev_part(net);
	mutex_unlock(&udrv_net_lock);
	cancel_delayed_work_sync(&net->grace);
	list_del_init(&net->node);
}

static const struct net_device_ops netdev_ops = {
	.ndo_uninit = netdev_uninit,
	.ndo_open = netdev_open,
	.ndo_stop = netdev_stop,
	.ndo_start_xmit = udrv_net_xmit,
	.ndo_features_check = udrv_net_features_check,
	.ndo_fix_features = netdev_fix_features,
	.ndo_set_features = netdev_set_features,
	.ndo_set_rx_mode = netdev_set_rx_mode,
	.ndo_set_mac_address = netdev_set_mac_address,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_change_mtu = netdev_change_mtu,
	.ndo_get_stats64 = netdev_get_stats64,
};

/* A NAPI that the driver's call runs; here comes who flushes it by a timer, or polls it busily. */
static int netdev_poll(struct napi_struct *napi, int budget)
{
	napi_complete_done(napi, 0);
	return 0;
}

static netdev_features_t netdev_features(u32 features, bool copies)
{
	netdev_features_t f = 0;

	if (!copies)
		f |= NETIF_F_SG | NETIF_F_HIGHDMA;
	if (features & UDRV_NET_CSUM)
		f |= NETIF_F_HW_CSUM;
	if (features & UDRV_NET_TSO4 && !copies)
		f |= NETIF_F_TSO;
	if (features & UDRV_NET_TSO6 && !copies)
		f |= NETIF_F_TSO6;
	if (features & UDRV_NET_RXCSUM)
		f |= NETIF_F_RXCSUM;
	if (features & UDRV_NET_VLAN_TX)
		f |= NETIF_F_HW_VLAN_CTAG_TX;
	if (features & UDRV_NET_VLAN_RX)
		f |= NETIF_F_HW_VLAN_CTAG_RX;
	return f;
}

static u32 attach_mtu(const struct udrv_net_session *s, const struct udrv_ioc_net_attach *p)
{
	return s->copies ? min(p->max_mtu, 2000U) : p->max_mtu;
}

/* rtnl held. A new interface in the caller's network namespace, or an ERR_PTR. */
static struct udrv_net *netdev_create(struct udrv_net_session *s, struct udrv_ioc_net_attach *p)
{
	struct net *ns = current->nsproxy->net_ns;
	struct udrv_device *udev = s->client ? s->client->udev : NULL;
	struct net_device *dev;
	struct udrv_net *net;
	u32 i;
	int ret;

	if (!ns_capable(ns->user_ns, CAP_NET_ADMIN))
		return ERR_PTR(-EPERM);
	if (!is_valid_ether_addr(p->address) || !dev_valid_name(p->name))
		return ERR_PTR(-EINVAL);
	dev = alloc_etherdev_mqs(sizeof(*net), p->queue_count, p->queue_count);
	if (!dev)
		return ERR_PTR(-ENOMEM);

	net = netdev_priv(dev);
	net->dev = dev;
	net->udev = udev;
	net->owner = current_euid();
	net->features = p->features;
	net->copies = s->copies;
	net->queue_count = p->queue_count;
	INIT_LIST_HEAD(&net->node);
	INIT_DELAYED_WORK(&net->grace, grace_over);
	spin_lock_init(&net->mode_lock);
	for (i = 0; i < UDRV_NET_QUEUES_MAX; i++) {
		u64_stats_init(&net->rx[i].sync);
		u64_stats_init(&net->tx[i].sync);
	}

	dev_net_set(dev, ns);
	strscpy(dev->name, p->name, IFNAMSIZ);
	eth_hw_addr_set(dev, p->address);
	mode_set_address(net);
	dev->name_assign_type = NET_NAME_USER;
	dev->netdev_ops = &netdev_ops;
	dev->ethtool_ops = &udrv_net_ethtool_ops;
	dev->rtnl_link_ops = &netdev_link_ops;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = attach_mtu(s, p);
	dev->mtu = min_t(u32, ETH_DATA_LEN, dev->max_mtu);
	dev->hw_features = netdev_features(p->features, s->copies);
	dev->features = dev->hw_features;
	dev->vlan_features = dev->hw_features &
			     ~(NETIF_F_HW_VLAN_CTAG_TX | NETIF_F_HW_VLAN_CTAG_RX);
	dev->needs_free_netdev = true;
	/*
	 * It would poll in the middle of rx_batch(), which is not where it expects us: then the NAPI
	 * stays taken, and napi_disable() waits for ever. And only the process sees what was sent.
	 */
	dev->priv_flags |= IFF_DISABLE_NETPOLL;
	if (udev)
		SET_NETDEV_DEV(dev, &udev->pdev->dev);
	/* A packet is given away or copied: nobody else may hold it then. */
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	for (i = 0; i < net->queue_count; i++) {
		/* There is nothing to poll for: frames come by the driver's call. */
		set_bit(NAPI_STATE_NO_BUSY_POLL, &net->napi[i].state);
		netif_napi_add(dev, &net->napi[i], netdev_poll);
	}

	netif_carrier_off(dev); /* before anybody is told of it */
	ret = register_netdevice(dev);
	if (ret) {
		free_netdev(dev);
		return ERR_PTR(ret);
	}
	netif_tx_disable(dev); /* until it has a driver */
	if (udev)
		list_add(&net->node, &udev->nets);
	return net;
}

/* rtnl held. The device's interface that @p names, or NULL. A pattern names any that nobody drives. */
static struct udrv_net *netdev_find(struct udrv_device *udev, const struct udrv_ioc_net_attach *p)
{
	bool any = strchr(p->name, '%');
	struct udrv_net *net;

	list_for_each_entry(net, &udev->nets, node)
		if (any ? !rcu_access_pointer(net->session) : !strcmp(net->dev->name, p->name))
			return net;
	return NULL;
}

/* rtnl held. May the caller's driver take it over? */
static int netdev_take_over(struct udrv_net *net, struct udrv_net_session *s,
			    const struct udrv_ioc_net_attach *p)
{
	struct net_device *dev = net->dev;

	if (!uid_eq(net->owner, current_euid()) &&
	    !ns_capable(dev_net(dev)->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	if (rcu_access_pointer(net->session))
		return -EBUSY;
	if (net->features != p->features || net->queue_count != p->queue_count ||
	    net->copies != s->copies || dev->mtu > attach_mtu(s, p))
		return -EINVAL;
	dev->max_mtu = attach_mtu(s, p);
	return 0;
}

/* rtnl held. From here on they work together. */
static int netdev_link(struct udrv_net *net, struct udrv_net_session *s,
		       const struct udrv_ioc_net_attach *p)
{
	u32 i;
	int ret = 0;

	mutex_lock(&udrv_net_lock);
	if (READ_ONCE(s->ended)) { /* its client, meanwhile */
		ret = -ENODEV;
		goto out;
	}
	net->grace_ms = p->grace_ms ?: UDRV_NET_GRACE_MS;
	s->net = net; /* before a queue is linked: its watch may look at once */
	for (i = 0; i < s->queue_count; i++) {
		mutex_lock(&s->queues[i].lock);
		s->queues[i].linked = true;
		udrv_net_watch_link(&s->queues[i]);
		mutex_unlock(&s->queues[i].lock);
	}
	cancel_delayed_work(&net->grace); /* if it runs, it finds a driver */
	s->news = 1;
	rcu_assign_pointer(net->session, s);
	/* Each is a barrier: pairs with udrv_net_xmit(). */
	if (netif_running(net->dev))
		netif_tx_wake_all_queues(net->dev);
out:
	mutex_unlock(&udrv_net_lock);
	return ret;
}

/**
 * udrv_net_link() - make the interface that @p names, or take it over, and link it to its driver
 * @session: the driver's, its client's if there is one
 * @p: the call, our copy: answers are written there
 *
 * Context: process, no lock held.
 * Return: as for NET_ATTACH
 */
int udrv_net_link(struct udrv_net_session *session, struct udrv_ioc_net_attach *p)
{
	struct udrv_device *udev = session->client ? session->client->udev : NULL;
	struct udrv_net *net = NULL;
	bool made = false;
	int ret = 0;

	if (strnlen(p->name, sizeof(p->name)) == sizeof(p->name))
		return -EINVAL;
	p->state = 0;

	rtnl_lock();
	/* Once it is gone, nobody would remove what is made here. */
	if (udev && READ_ONCE(udev->gone)) {
		ret = -ENODEV;
		goto out;
	}
	if (udev)
		net = netdev_find(udev, p);
	if (net) {
		ret = netdev_take_over(net, session, p);
		p->state = UDRV_NET_TAKEN_OVER;
	} else {
		net = netdev_create(session, p);
		ret = PTR_ERR_OR_ZERO(net);
		made = !ret;
	}
	if (ret)
		goto out;
	ret = netdev_link(net, session, p);
	if (ret) {
		if (made)
			unregister_netdevice(net->dev);
		goto out;
	}
	strscpy(p->name, net->dev->name, sizeof(p->name));
	p->ifindex = net->dev->ifindex;
out:
	rtnl_unlock();
	return ret;
}

/** udrv_net_delete() - the session's interface goes, if they have not parted; no lock held */
void udrv_net_delete(struct udrv_net_session *session)
{
	struct udrv_net *net;

	rtnl_lock();
	mutex_lock(&udrv_net_lock);
	net = session->net;
	mutex_unlock(&udrv_net_lock);
	if (net) /* they may part now, but only under rtnl does it go */
		unregister_netdevice(net->dev);
	rtnl_unlock();
}

/**
 * udrv_net_remove() - a device is being unbound: its interfaces go
 * @udev: the device, with @gone set and nobody's client
 */
void udrv_net_remove(struct udrv_device *udev)
{
	struct udrv_net *net, *next;
	LIST_HEAD(devices);

	rtnl_lock();
	list_for_each_entry_safe(net, next, &udev->nets, node)
		unregister_netdevice_queue(net->dev, &devices);
	unregister_netdevice_many(&devices);
	rtnl_unlock();
}

/*
 * With its network namespace an interface goes, too (no netns_refund): the namespace may have been
 * any user's own, and the initial one is not for all to put interfaces into.
 */
static struct rtnl_link_ops netdev_link_ops = {
	.kind = "udrv",
	.dellink = unregister_netdevice_queue,
};

/** udrv_net_netdev_init() - the kind of interface */
int udrv_net_netdev_init(void)
{
	return rtnl_link_register(&netdev_link_ops);
}

/** udrv_net_netdev_exit() - undo it */
void udrv_net_netdev_exit(void)
{
	rtnl_link_unregister(&netdev_link_ops);
}
