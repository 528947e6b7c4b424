// SPDX-License-Identifier: GPL-2.0
/*
 * Events from the module; see kernel_link.h. The controller's "notify" group
 * tells when the family comes (the module is loaded with the first table), so
 * the socket need not be opened anew then.
 */
#include "kernel_link.h"

#include <linux/genetlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdlib.h>

struct kernel_events {
	struct nl_sock *socket;
	int family;			/* -1: not there */
	void (*handler)(void *context, const struct kernel_event *event);
	void *context;
};

/* A second socket asks, so that no answer mixes with the events. */
static void join_family(struct kernel_events *events)
{
	struct nl_sock *ask = nl_socket_alloc();
	int group;

	if (ask && !genl_connect(ask)) {
		events->family = genl_ctrl_resolve(ask, SEXTANT_GENL_NAME);
		group = genl_ctrl_resolve_grp(ask, SEXTANT_GENL_NAME, SEXTANT_GENL_GROUP);
		if (group >= 0)
			nl_socket_add_membership(events->socket, group);
	}
	nl_socket_free(ask);
}

static void hand_over(struct kernel_events *events, const u8 *volume, u32 number)
{
	struct kernel_event event = { .event = number };

	if (volume)
		memcpy(event.volume, volume, sizeof(event.volume));
	events->handler(events->context, &event);
}

static void on_controller(struct kernel_events *events, struct nl_msg *message)
{
	struct nlattr *name = nlmsg_find_attr(nlmsg_hdr(message), GENL_HDRLEN,
					      CTRL_ATTR_FAMILY_NAME);

	if (genlmsg_hdr(nlmsg_hdr(message))->cmd != CTRL_CMD_NEWFAMILY || !name ||
	    nla_strcmp(name, SEXTANT_GENL_NAME))
		return;
	join_family(events);
	/* What happened before the group was joined was not heard. */
	hand_over(events, NULL, 0);
}

static int on_message(struct nl_msg *message, void *context)
{
	struct kernel_events *events = context;
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct nlattr *volume, *number;

	if (header->nlmsg_type == GENL_ID_CTRL) {
		on_controller(events, message);
		return NL_OK;
	}
	if (header->nlmsg_type != events->family ||
	    genlmsg_hdr(header)->cmd != SEXTANT_CMD_EVENT)
		return NL_OK;
	volume = nlmsg_find_attr(header, GENL_HDRLEN, SEXTANT_A_VOLUME);
	number = nlmsg_find_attr(header, GENL_HDRLEN, SEXTANT_A_EVENT);
	if (volume && nla_len(volume) == SEXTANT_UUID_BYTES && number && nla_len(number) >= 4)
		hand_over(events, nla_data(volume), nla_get_u32(number));
	return NL_OK;
}

struct kernel_events *kernel_events_open(void)
{
	struct kernel_events *events = calloc(1, sizeof(*events));
	int group;

	if (!events)
		return NULL;
	events->family = -1;
	events->socket = nl_socket_alloc();
	if (!events->socket || genl_connect(events->socket)) {
		kernel_events_close(events);
		errno = ENOTSUP;
		return NULL;
	}
	nl_socket_set_buffer_size(events->socket, 1 << 20, 0);
	group = genl_ctrl_resolve_grp(events->socket, "nlctrl", "notify");
	nl_socket_disable_seq_check(events->socket);
	nl_socket_modify_cb(events->socket, NL_CB_VALID, NL_CB_CUSTOM, on_message, events);
	nl_socket_set_nonblocking(events->socket);
	if (group >= 0)
		nl_socket_add_membership(events->socket, group);
	join_family(events);
	return events;
}

void kernel_events_close(struct kernel_events *events)
{
	if (!events)
		return;
	nl_socket_free(events->socket);
	free(events);
}

int kernel_events_fd(const struct kernel_events *events)
{
	return nl_socket_get_fd(events->socket);
}

void kernel_events_read(struct kernel_events *events,
			void (*handler)(void *context, const struct kernel_event *event),
			void *context)
{
	int error;

	events->handler = handler;
	events->context = context;
	do {
		error = nl_recvmsgs_default(events->socket);
	} while (error >= 0);
	if (error != -NLE_AGAIN)
		hand_over(events, NULL, 0);
}
