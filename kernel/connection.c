// SPDX-License-Identifier: GPL-2.0
/* Connections come from user space as descriptors and go when either side says so. */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "compat.h"
#include "connection.h"
#include "event.h"
#include "read.h"
#include "record.h"

/*
 * TCP, established, and with TLS unless that is not asked for. The reference
 * that sockfd_lookup() takes is the connection's; user space closes its copy.
 */
static struct socket *socket_of(int fd, bool plain)
{
	struct socket *socket;
	int r;

	socket = sockfd_lookup(fd, &r);
	if (!socket)
		return ERR_PTR(r);
	r = -EPROTOTYPE;
	if (socket->type != SOCK_STREAM || socket->sk->sk_protocol != IPPROTO_TCP)
		goto refuse;
	r = -ENOTCONN;
	if (socket->sk->sk_state != TCP_ESTABLISHED)
		goto refuse;
	r = -EPROTO;
	if (!plain && !sextant_socket_has_tls(socket->sk))
		goto refuse;
	return socket;
refuse:
	sockfd_put(socket);
	return ERR_PTR(r);
}

/* Nothing this socket allocates may wait for I/O: it may be what I/O waits for. */
static void prepare_socket(struct sock *sk)
{
	lock_sock(sk);
	sk->sk_allocation = GFP_NOIO | __GFP_MEMALLOC;
	sk->sk_use_task_frag = false;
	release_sock(sk);
	sk_set_memalloc(sk);
	tcp_sock_set_nodelay(sk);
}

static void connection_free(struct sextant_connection *connection)
{
	if (connection->scratch)
		__free_page(connection->scratch);
	kvfree(connection->meta);
	kvfree(connection);
}

/**
 * sextant_connection_put() - let go of a connection
 * @connection: the caller's reference is gone afterwards
 *
 * With the last one both threads have ended and nobody looks at it any more.
 *
 * Context: no spinlock; does not wait.
 */
void sextant_connection_put(struct sextant_connection *connection)
{
	struct sextant_volume *volume = connection->volume;

	if (!refcount_dec_and_test(&connection->refs))
		return;
	sextant_batch_put(connection);
	sockfd_put(connection->socket);
	connection_free(connection);
	if (atomic_dec_and_test(&volume->connections))
		wake_up_all(&volume->connections_wait);
	sextant_volume_put(volume);
}

static struct sextant_connection *connection_alloc(struct sextant_volume *volume, u32 peer)
{
	struct sextant_connection *connection = kvzalloc(sizeof(*connection), GFP_KERNEL);

	if (!connection)
		return NULL;
	refcount_set(&connection->refs, 1);
	connection->volume = volume;
	connection->peer = peer;
	init_waitqueue_head(&connection->wait);
	INIT_LIST_HEAD(&connection->reads_queued);
	INIT_LIST_HEAD(&connection->reads_sent);
	connection->heard_jiffies = jiffies;
	connection->meta = kvmalloc(SEXTANT_RECEIVE_META, GFP_KERNEL);
	connection->scratch = alloc_page(GFP_KERNEL);
	if (connection->meta && connection->scratch)
		return connection;
	connection_free(connection);
	return NULL;
}

/* Lifecycle work: the threads end by themselves once the socket is shut down. */
static void connection_reap(struct work_struct *work)
{
	struct sextant_connection *connection =
		container_of(work, struct sextant_connection, reap_work);

	kthread_stop(connection->sender);
	kthread_stop(connection->receiver);
	put_task_struct(connection->sender);
	put_task_struct(connection->receiver);
	sextant_connection_put(connection);
}

static struct task_struct *make_thread(int (*function)(void *), struct sextant_connection *connection,
				       const char *what)
{
	const char *name = connection->volume->peers[connection->peer].name;
	struct task_struct *task = kthread_create(function, connection, "sextant_%s/%s", what, name);

	return IS_ERR(task) ? task : get_task_struct(task);
}

/* Puts a connection into its slot, ahead of whatever stood there. */
static void connection_install(struct sextant_connection *connection)
{
	struct sextant_volume *volume = connection->volume;
	struct sextant_peer *peer = &volume->peers[connection->peer];

	spin_lock(&volume->lock);
	peer->connection = connection;
	peer->stale = false;
	peer->last_status = SEXTANT_ST_OK;
	peer->lease_valid = false;
	connection->next = list_first_entry_or_null(&volume->records, struct sextant_record, link);
	sextant_quorum_update(volume);
	spin_unlock(&volume->lock);
}

/**
 * sextant_connection_open() - take a socket for a peer's slot
 * @volume: being attached or running
 * @peer: slot, set before; a connection that stands there is broken first
 * @fd: descriptor of the calling process
 * @plain: it need not have TLS
 *
 * Context: volume->config held, memalloc_noio; starts two threads.
 *
 * Return: 0; -EBADF or -ENOTSOCK (no socket), -EPROTOTYPE (not TCP), -ENOTCONN
 * (not established), -EPROTO (no TLS on it, and not plain),
 * -ENOMEM.
 */
int sextant_connection_open(struct sextant_volume *volume, u32 peer, int fd, bool plain)
{
	struct socket *socket = socket_of(fd, plain);
	struct sextant_connection *connection;
	int r = -ENOMEM;

	lockdep_assert_held(&volume->config);
	if (IS_ERR(socket))
		return PTR_ERR(socket);
	connection = connection_alloc(volume, peer);
	if (!connection)
		goto put_socket;
	connection->socket = socket;
	connection->plain = plain;
	INIT_WORK(&connection->reap_work, connection_reap);
	connection->sender = make_thread(sextant_sender, connection, "tx");
	if (IS_ERR(connection->sender)) {
		r = PTR_ERR(connection->sender);
		goto free_connection;
	}
	connection->receiver = make_thread(sextant_receiver, connection, "rx");
	if (IS_ERR(connection->receiver)) {
		r = PTR_ERR(connection->receiver);
		goto stop_sender;
	}
	prepare_socket(socket->sk);
	kref_get(&volume->refs);
	atomic_inc(&volume->connections);
	sextant_connection_break_slot(volume, peer, false);
	connection_install(connection);
	wake_up_process(connection->receiver);
	wake_up_process(connection->sender);
	sextant_reads_unpark(volume);
	return 0;

stop_sender:
	kthread_stop(connection->sender);
	put_task_struct(connection->sender);
free_connection:
	connection_free(connection);
put_socket:
	sockfd_put(socket);
	return r;
}

/**
 * sextant_connection_break() - give a connection up
 * @connection: any number of callers may find it broken; one does the work
 * @status: why, an enum sextant_wire_status; OK for "it ended"
 *
 * Takes it off its peer, hands its reads to other peers, ends its threads by
 * shutting the socket down, and leaves the rest to lifecycle work.
 *
 * Context: no locks; does not wait. The caller is one of its threads or holds
 * a reference.
 */
void sextant_connection_break(struct sextant_connection *connection, u32 status)
{
	struct sextant_volume *volume = connection->volume;
	struct sextant_peer *peer = &volume->peers[connection->peer];

	spin_lock(&volume->lock);
	if (connection->broken) {
		spin_unlock(&volume->lock);
		return;
	}
	connection->broken = true;
	connection->next = NULL;
	if (peer->connection == connection)
		peer->connection = NULL;
	if (status != SEXTANT_ST_OK)
		peer->last_status = status;
	peer->stale = status == SEXTANT_ST_NOT_ACCEPTED;
	peer->lease_valid = false;
	sextant_quorum_update(volume);
	sextant_reads_of_broken(connection);
	if (volume->state == SEXTANT_VOLUME_RUNNING || volume->state == SEXTANT_VOLUME_STOPPING)
		sextant_event(volume, peer->stale ? SEXTANT_EVENT_PEER_STALE :
			      SEXTANT_EVENT_PEER_DOWN, connection->peer);
	spin_unlock(&volume->lock);
	kernel_sock_shutdown(connection->socket, SHUT_RDWR);
	wake_up(&connection->wait);
	queue_work(sextant_lifecycle_wq, &connection->reap_work);
}

/**
 * sextant_connection_break_slot() - give up what stands in a peer's slot
 * @volume: whose
 * @peer: slot
 * @silent: only if nothing was heard there for the length of a lease
 *
 * Context: no locks; does not wait.
 */
void sextant_connection_break_slot(struct sextant_volume *volume, u32 peer, bool silent)
{
	struct sextant_connection *connection;

	spin_lock(&volume->lock);
	connection = volume->peers[peer].connection;
	if (connection && silent &&
	    time_before(jiffies, connection->heard_jiffies + msecs_to_jiffies(volume->lease_ms)))
		connection = NULL;
	if (connection)
		refcount_inc(&connection->refs);
	spin_unlock(&volume->lock);
	if (!connection)
		return;
	sextant_connection_break(connection, SEXTANT_ST_OK);
	sextant_connection_put(connection);
}

/**
 * sextant_connections_break() - give all of a volume's connections up
 * @volume: stopping, fenced or being attached anew
 *
 * Context: no locks but volume->config.
 */
void sextant_connections_break(struct sextant_volume *volume)
{
	u32 peer;

	for (peer = 0; peer < SEXTANT_PEERS; peer++)
		sextant_connection_break_slot(volume, peer, false);
}

/**
 * sextant_connections_drain() - wait until every broken connection is gone
 * @volume: with no connection standing, and nobody to open one (config)
 *
 * Context: may sleep, for as long as a thread needs to see its socket shut down.
 */
void sextant_connections_drain(struct sextant_volume *volume)
{
	wait_event(volume->connections_wait, !atomic_read(&volume->connections));
}

/* The senders have something to look at. Context: volume->lock held. */
void sextant_connections_wake(struct sextant_volume *volume)
{
	u32 peer;

	lockdep_assert_held(&volume->lock);
	for (peer = 0; peer < SEXTANT_PEERS; peer++)
		if (volume->peers[peer].connection)
			wake_up(&volume->peers[peer].connection->wait);
}
