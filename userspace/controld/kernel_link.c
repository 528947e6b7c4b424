// SPDX-License-Identifier: GPL-2.0
/* Commands to the module; see kernel_link.h. */
#include "kernel_link.h"

#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "text.h"

#define MESSAGE_BYTES_MAX	65536

/* One command under way: what the kernel answered. */
struct exchange {
	struct kernel_link *kernel;
	int error;			/* negative errno */
	bool done;
	void (*answer)(struct exchange *exchange, struct nl_msg *message);
	void *context;
};

/* ---- sending and the answer ------------------------------------------- */

/* The sentence of the extended ack, if the kernel sent one. */
static const char *extended_ack(const struct nlmsgerr *error)
{
	const struct nlmsghdr *header = (const void *)((const u8 *)error - NLMSG_HDRLEN);
	size_t skip = sizeof(*error);
	struct nlattr *attr;

	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(header->nlmsg_flags & NLM_F_CAPPED))
		skip += error->msg.nlmsg_len - NLMSG_HDRLEN;
	skip = NLMSG_ALIGN(skip);
	if (header->nlmsg_len < NLMSG_HDRLEN + skip)
		return NULL;
	attr = nla_find((const struct nlattr *)((const u8 *)error + skip),
			(int)(header->nlmsg_len - NLMSG_HDRLEN - skip), NLMSGERR_ATTR_MSG);
	return attr && nla_len(attr) > 0 ? nla_get_string(attr) : NULL;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *error, void *context)
{
	struct exchange *exchange = context;
	const char *sentence = extended_ack(error);

	(void)from;
	exchange->error = error->error;
	exchange->done = true;
	snprintf(exchange->kernel->error, sizeof(exchange->kernel->error), "%s",
		 sentence ? sentence : strerror(-error->error));
	return NL_STOP;
}

static int on_end(struct nl_msg *message, void *context)
{
	struct exchange *exchange = context;

	(void)message;
	exchange->done = true;
	return NL_STOP;
}

static int on_answer(struct nl_msg *message, void *context)
{
	struct exchange *exchange = context;

	if (exchange->answer)
		exchange->answer(exchange, message);
	return NL_OK;
}

static struct nl_msg *begin(struct kernel_link *kernel, u8 command, int flags, const u8 *volume)
{
	struct nl_msg *message = nlmsg_alloc_size(MESSAGE_BYTES_MAX);

	if (!message)
		return NULL;
	if (!genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, kernel->family, 0, flags, command,
			 SEXTANT_GENL_VERSION) ||
	    (volume && nla_put(message, SEXTANT_A_VOLUME, SEXTANT_UUID_BYTES, volume))) {
		nlmsg_free(message);
		return NULL;
	}
	return message;
}

/* Sends a message (NULL or ill: it did not fit) and waits for ack or end of dump. */
static int transact(struct kernel_link *kernel, struct nl_msg *message, int ill,
		    struct exchange *exchange)
{
	struct nl_cb *callbacks;
	int error;

	exchange->kernel = kernel;
	if (!message || ill) {
		nlmsg_free(message);
		snprintf(kernel->error, sizeof(kernel->error), "the message does not fit");
		return -EMSGSIZE;
	}
	callbacks = nl_cb_alloc(NL_CB_DEFAULT);
	if (!callbacks) {
		nlmsg_free(message);
		return -ENOMEM;
	}
	nl_cb_err(callbacks, NL_CB_CUSTOM, on_error, exchange);
	nl_cb_set(callbacks, NL_CB_ACK, NL_CB_CUSTOM, on_end, exchange);
	nl_cb_set(callbacks, NL_CB_FINISH, NL_CB_CUSTOM, on_end, exchange);
	nl_cb_set(callbacks, NL_CB_VALID, NL_CB_CUSTOM, on_answer, exchange);
	error = nl_send_auto(kernel->socket, message);
	nlmsg_free(message);
	while (error >= 0 && !exchange->done)
		error = nl_recvmsgs(kernel->socket, callbacks);
	nl_cb_put(callbacks);
	if (exchange->error)
		return exchange->error;
	if (error < 0) {
		snprintf(kernel->error, sizeof(kernel->error), "netlink: %s", nl_geterror(error));
		return -EIO;
	}
	return 0;
}

static int command(struct kernel_link *kernel, struct nl_msg *message, int ill)
{
	struct exchange exchange = { .answer = NULL };

	return transact(kernel, message, ill, &exchange);
}

int kernel_open(struct kernel_link *kernel)
{
	int one = 1, error;

	memset(kernel, 0, sizeof(*kernel));
	kernel->socket = nl_socket_alloc();
	if (!kernel->socket)
		return -ENOMEM;
	error = genl_connect(kernel->socket);
	if (error < 0) {
		snprintf(kernel->error, sizeof(kernel->error), "netlink: %s", nl_geterror(error));
		return -EIO;
	}
	nl_socket_set_buffer_size(kernel->socket, 1 << 20, 1 << 18);
	nl_socket_set_msg_buf_size(kernel->socket, MESSAGE_BYTES_MAX);
	setsockopt(nl_socket_get_fd(kernel->socket), SOL_NETLINK, NETLINK_EXT_ACK, &one,
		   sizeof(one));
	setsockopt(nl_socket_get_fd(kernel->socket), SOL_NETLINK, NETLINK_CAP_ACK, &one,
		   sizeof(one));
	kernel->family = genl_ctrl_resolve(kernel->socket, SEXTANT_GENL_NAME);
	if (kernel->family < 0) {
		snprintf(kernel->error, sizeof(kernel->error),
			 "the module dm-sextant is not loaded");
		return -ENOENT;
	}
	return 0;
}

void kernel_close(struct kernel_link *kernel)
{
	nl_socket_free(kernel->socket);
	kernel->socket = NULL;
}

/* ---- commands ---------------------------------------------------------- */

struct volume_list {
	struct kernel_volume *volumes;
	u32 count;
};

static void add_volume(struct exchange *exchange, struct nl_msg *message)
{
	struct volume_list *list = exchange->context;
	struct kernel_volume *grown;

	grown = realloc(list->volumes, (list->count + 1) * sizeof(*grown));
	if (!grown) {
		exchange->error = -ENOMEM;
		return;
	}
	list->volumes = grown;
	if (!kernel_volume_parse(message, &grown[list->count]))
		list->count++;
}

int kernel_dump(struct kernel_link *kernel, struct kernel_volume **volumes, u32 *count)
{
	struct volume_list list = { .count = 0 };
	struct exchange exchange = { .answer = add_volume, .context = &list };
	int error;

	error = transact(kernel, begin(kernel, SEXTANT_CMD_VOLUME_GET, NLM_F_DUMP, NULL), 0,
			 &exchange);
	if (error) {
		free(list.volumes);
		return error;
	}
	*volumes = list.volumes;
	*count = list.count;
	return 0;
}

int kernel_get(struct kernel_link *kernel, const u8 *volume, struct kernel_volume *answer)
{
	struct volume_list list = { .count = 0 };
	struct exchange exchange = { .answer = add_volume, .context = &list };
	int error;

	error = transact(kernel, begin(kernel, SEXTANT_CMD_VOLUME_GET, NLM_F_ACK, volume), 0,
			 &exchange);
	if (error == -ENOENT)
		error = -ENODEV;
	if (!error && !list.count)
		error = -ENODEV;
	if (!error)
		*answer = list.volumes[0];
	free(list.volumes);
	return error;
}

static void take_attach_id(struct exchange *exchange, struct nl_msg *message)
{
	struct nlattr *attr = nlmsg_find_attr(nlmsg_hdr(message), GENL_HDRLEN,
					      SEXTANT_A_ATTACH_ID);

	if (attr && nla_len(attr) == SEXTANT_ATTACH_ID_BYTES)
		memcpy(exchange->context, nla_data(attr), SEXTANT_ATTACH_ID_BYTES);
}

int kernel_attach_begin(struct kernel_link *kernel, const u8 *volume,
			u8 attach_id[SEXTANT_ATTACH_ID_BYTES])
{
	struct exchange exchange = { .answer = take_attach_id, .context = attach_id };
	int error;

	memset(attach_id, 0, SEXTANT_ATTACH_ID_BYTES);
	error = transact(kernel, begin(kernel, SEXTANT_CMD_ATTACH_BEGIN, NLM_F_ACK, volume), 0,
			 &exchange);
	if (!error && sextant_is_zero(attach_id, SEXTANT_ATTACH_ID_BYTES)) {
		snprintf(kernel->error, sizeof(kernel->error), "the kernel drew no attach id");
		return -EPROTO;
	}
	return error;
}

int kernel_key_set(struct kernel_link *kernel, const u8 *volume, u32 generation, u32 serial,
		   const u8 *origin, const u8 *commitment)
{
	struct nl_msg *m = begin(kernel, SEXTANT_CMD_KEY_SET, NLM_F_ACK, volume);
	int ill = m && (nla_put_u32(m, SEXTANT_A_GENERATION, generation) ||
			nla_put_u32(m, SEXTANT_A_KEY_SERIAL, serial) ||
			nla_put(m, SEXTANT_A_ORIGIN, SEXTANT_UUID_BYTES, origin) ||
			nla_put(m, SEXTANT_A_COMMITMENT, SEXTANT_COMMIT_BYTES, commitment));

	return command(kernel, m, ill);
}

int kernel_table_set(struct kernel_link *kernel, const u8 *volume,
		     const struct sextant_table *table)
{
	u32 offset = 0;
	int error;

	do {
		u32 chunk = table->count - offset;
		struct nl_msg *m = begin(kernel, SEXTANT_CMD_TABLE_SET, NLM_F_ACK, volume);

		if (chunk > SEXTANT_TABLE_CHUNK)
			chunk = SEXTANT_TABLE_CHUNK;
		error = command(kernel, m, m && (nla_put_u32(m, SEXTANT_A_OFFSET, offset) ||
				nla_put(m, SEXTANT_A_TABLE, (int)(chunk * sizeof(table->entries[0])),
					table->entries + offset)));
		offset += chunk;
	} while (!error && offset < table->count);
	return error;
}

int kernel_tail_set(struct kernel_link *kernel, const u8 *volume,
		    const struct sextant_wire_pg_tail *tails, u32 count)
{
	u32 offset = 0;
	int error = 0;

	while (!error && offset < count) {
		u32 chunk = count - offset;
		struct nl_msg *m = begin(kernel, SEXTANT_CMD_TAIL_SET, NLM_F_ACK, volume);

		if (chunk > SEXTANT_TAIL_CHUNK)
			chunk = SEXTANT_TAIL_CHUNK;
		error = command(kernel, m, m && nla_put(m, SEXTANT_A_TAILS,
				(int)(chunk * sizeof(tails[0])), tails + offset));
		offset += chunk;
	}
	return error;
}

int kernel_peer_set(struct kernel_link *kernel, const struct sextant_manifest *manifest,
		    u32 index, int fd)
{
	const struct sextant_manifest_peer *peer = &manifest->peers[index];
	bool plain = manifest->transport == SEXTANT_TRANSPORT_PLAIN;
	struct nl_msg *m = begin(kernel, SEXTANT_CMD_PEER_SET, NLM_F_ACK, manifest->volume);
	struct nlattr *nest = m ? nla_nest_start(m, SEXTANT_A_PEER) : NULL;
	int ill = !nest || nla_put_u32(m, SEXTANT_P_INDEX, index) ||
		  nla_put_string(m, SEXTANT_P_NAME, peer->name) ||
		  nla_put_string(m, SEXTANT_P_AZ, peer->az) ||
		  nla_put(m, SEXTANT_P_INCARNATION, SEXTANT_UUID_BYTES, peer->incarnation) ||
		  (fd >= 0 && nla_put_u32(m, SEXTANT_P_SOCKET, (u32)fd)) ||
		  nla_nest_end(m, nest) || (plain && nla_put_flag(m, SEXTANT_A_PLAIN));

	return command(kernel, m, ill);
}

int kernel_start(struct kernel_link *kernel, const u8 *volume, const struct kernel_start *start)
{
	struct nl_msg *m = begin(kernel, SEXTANT_CMD_START, NLM_F_ACK, volume);
	int ill = m && (nla_put_u32(m, SEXTANT_A_EPOCH, start->ballot.epoch) ||
			nla_put(m, SEXTANT_A_ATTACH_ID, SEXTANT_ATTACH_ID_BYTES,
				start->ballot.attach_id) ||
			nla_put_u64(m, SEXTANT_A_SIZE_BLOCKS, start->size_blocks) ||
			nla_put_u32(m, SEXTANT_A_PG_BLOCKS, start->pg_blocks) ||
			nla_put_u32(m, SEXTANT_A_GENERATION, start->generation) ||
			nla_put_u64(m, SEXTANT_A_VDL, start->vdl) ||
			nla_put_u32(m, SEXTANT_A_LEASE_MS, start->lease_ms) ||
			(start->local_az && start->local_az[0] &&
			 nla_put_string(m, SEXTANT_A_LOCAL_AZ, start->local_az)) ||
			(start->plain && nla_put_flag(m, SEXTANT_A_PLAIN)));

	return command(kernel, m, ill);
}

int kernel_stop(struct kernel_link *kernel, const u8 *volume)
{
	return command(kernel, begin(kernel, SEXTANT_CMD_STOP, NLM_F_ACK, volume), 0);
}

int kernel_fence(struct kernel_link *kernel, const u8 *volume, u32 epoch, const char *holder)
{
	struct nl_msg *m = begin(kernel, SEXTANT_CMD_FENCE, NLM_F_ACK, volume);
	int ill = m && (nla_put_u32(m, SEXTANT_A_EPOCH, epoch) ||
			(holder[0] && nla_put_string(m, SEXTANT_A_HOLDER, holder)));

	return command(kernel, m, ill);
}

int kernel_discard(struct kernel_link *kernel, const u8 *volume)
{
	return command(kernel, begin(kernel, SEXTANT_CMD_DISCARD, NLM_F_ACK, volume), 0);
}
