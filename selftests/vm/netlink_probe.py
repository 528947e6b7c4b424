#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Malformed and misplaced messages to the netlink family "sextant".

  commands UUID     every command against a volume that nobody has attached
  powerless UUID    every command, as a process that lacks CAP_SYS_ADMIN
  listen UUID       prints "listening", then "event NUMBER" for each of that volume
  spec YAML HEADER  the specification says what the header says (needs python3-yaml)

commands, powerless and spec print "ok TEXT" or "not ok TEXT" a case and "# ..." lines; the test that calls
it counts them.
"""
import ctypes
import errno
import hashlib
import hmac
import os
import re
import socket
import struct
import sys

NLMSG_ERROR, NLMSG_DONE = 2, 3
F_REQUEST, F_ACK, F_DUMP = 1, 4, 0x300
F_CAPPED, F_ACK_TLVS = 0x100, 0x200
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 1, 10, 11
GENL_ID_CTRL = 16
NESTED = 0x8000

COMMANDS = ["UNSPEC", "VOLUME_GET", "ATTACH_BEGIN", "KEY_SET", "TABLE_SET", "TAIL_SET", "PEER_SET",
            "START", "STOP", "FENCE", "DISCARD", "EVENT"]
ATTRS = ["UNSPEC", "PAD", "VOLUME", "DEVICE", "DEVICE_NAME", "STATE", "MODE", "EPOCH", "ATTACH_ID",
         "GENERATION", "KEY_SERIAL", "ORIGIN", "COMMITMENT", "TABLE", "OFFSET", "TAILS",
         "SIZE_BLOCKS", "PG_BLOCKS", "VDL", "NEXT_LSN", "LEASE_MS", "LOCAL_AZ", "PLAIN", "PEER"]
PEER_ATTRS = ["UNSPEC", "PAD", "INDEX", "NAME", "AZ", "INCARNATION", "SOCKET"]
CMD = {name: i for i, name in enumerate(COMMANDS)}
A = {name: i for i, name in enumerate(ATTRS)}
A["HOLDER"] = 32
P = {name: i for i, name in enumerate(PEER_ATTRS)}
STATES = ["unattached", "attaching", "running", "stopping", "stopped", "fenced", "failed"]


def u32(value):
    return struct.pack("=I", value)


def u64(value):
    return struct.pack("=Q", value)


def attr(kind, payload):
    text = struct.pack("=HH", 4 + len(payload), kind) + payload
    return text + bytes(-len(text) % 4)


def peer(index=0, name=b"p\0", az=b"z\0", incarnation=bytes(16), socket_fd=None, more=b"",
         flags=NESTED):
    parts = b""
    if index is not None:
        parts += attr(P["INDEX"], u32(index))
    if name is not None:
        parts += attr(P["NAME"], name)
    if az is not None:
        parts += attr(P["AZ"], az)
    if incarnation is not None:
        parts += attr(P["INCARNATION"], incarnation)
    if socket_fd is not None:
        parts += attr(P["SOCKET"], u32(socket_fd))
    return attr(A["PEER"] | flags, parts + more)


def attrs(**values):
    """Attributes in the order given; numbers by the width that their name has."""
    text = b""
    for name, value in values.items():
        if isinstance(value, int):
            value = u64(value) if name in ("SIZE_BLOCKS", "VDL") else u32(value)
        text += attr(A[name], value)
    return text


class Netlink:
    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.socket.settimeout(20)
        self.sequence = 1
        self.family = self.group = 0
        self.find_family()

    def exchange(self, kind, command, body, flags=F_ACK, reserved=0, version=1):
        """(errno, sentence, replies)"""
        self.sequence += 1
        message = struct.pack("=BBH", command, version, reserved) + body
        message = struct.pack("=IHHII", 16 + len(message), kind, F_REQUEST | flags, self.sequence,
                              0) + message
        self.socket.send(message)
        replies = []
        while True:
            data = self.socket.recv(1 << 17)
            while data:
                length, what, nl_flags, sequence, _ = struct.unpack_from("=IHHII", data)
                body, data = data[16:length], data[(length + 3) & ~3:]
                if sequence != self.sequence:
                    continue
                if what == NLMSG_ERROR or what == NLMSG_DONE:
                    return self.ack(what, nl_flags, body) + (replies,)
                replies.append(body)

    @staticmethod
    def ack(what, flags, body):
        code = -struct.unpack_from("=i", body)[0]
        sentence = ""
        body = body[4 if what == NLMSG_DONE else 20:]
        if flags & F_ACK_TLVS:
            for kind, payload in walk(body):
                if kind == 1:
                    sentence = payload.rstrip(b"\0").decode()
        return code, sentence

    def find_family(self):
        code, _, replies = self.exchange(GENL_ID_CTRL, 3, attr(2, b"sextant\0"))
        if code:
            sys.exit("the family is not there: " + os.strerror(code))
        for kind, payload in walk(replies[0][4:]):
            if kind == 1:
                self.family = struct.unpack("=H", payload)[0]
            elif kind == 7:
                group = dict(walk(walk(payload)[0][1]))
                self.group = struct.unpack("=I", group[2])[0]

    def command(self, name, body, **more):
        number = CMD[name] if isinstance(name, str) else name
        return self.exchange(self.family, number, body, **more)


def walk(text):
    found = []
    while len(text) >= 4:
        length, kind = struct.unpack_from("=HH", text)
        found.append((kind & 0x3fff, text[4:length]))
        text = text[(length + 3) & ~3:]
    return found


def report(good, text, why=""):
    print(("ok " if good else "not ok ") + text)
    if not good and why:
        print("# " + why.replace("\n", "\n# "))
    sys.stdout.flush()


class Probe:
    def __init__(self, uuid):
        self.nl = Netlink()
        self.uuid = uuid
        self.volume = attr(A["VOLUME"], uuid)

    def seen(self):
        """VOLUME_GET's answer: what must not change."""
        code, sentence, replies = self.nl.command("VOLUME_GET", self.volume)
        if code or len(replies) != 1:
            return "errno %d %s" % (code, sentence)
        return replies[0]

    def state(self):
        seen = self.seen()
        return STATES[struct.unpack("=I", dict(walk(seen[4:]))[A["STATE"]])[0]]

    def refused(self, text, name, body, code, sentence, **more):
        before = self.seen()
        got = self.nl.command(name, body, **more)
        after = self.seen()
        good = got[0] == code and re.search(sentence, got[1]) and not got[2] and \
            (got[1] or not sentence)
        report(good and before == after, text,
               "got errno %d (%s) '%s'; wanted %d (%s) '%s'%s" % (
                   got[0], errno.errorcode.get(got[0]), got[1], code, errno.errorcode[code],
                   sentence, "" if before == after else "; and VOLUME_GET has changed"))

    def done(self, text, name, body):
        code, sentence, replies = self.nl.command(name, body)
        report(code == 0, text, "errno %d '%s'" % (code, sentence))
        return replies

    def attach_begin(self):
        code, _, replies = self.nl.command("ATTACH_BEGIN", self.volume)
        if code:
            return b""
        return dict(walk(replies[0][4:])).get(A["ATTACH_ID"], b"")

    def is_state(self, wanted, text):
        state = self.state()
        report(state == wanted, text, "the state is " + state)


# ---------------------------------------------------------------------- keys

libc = ctypes.CDLL(None, use_errno=True)
PROCESS_KEYRING = -2


def add_key(kind, name, payload):
    serial = libc.syscall(248, kind, name, payload, len(payload), PROCESS_KEYRING)
    if serial < 0:
        sys.exit("add_key: " + os.strerror(ctypes.get_errno()))
    return serial


def revoke(serial):
    libc.syscall(250, 3, serial)


def commitment(key, origin, generation):
    return hmac.new(key, b"sextant commit v1\0" + origin + struct.pack(">I", generation) + b"\1",
                    hashlib.sha256).digest()


# ------------------------------------------------------------------ commands

def complete(probe, attach_id=bytes(32)):
    """A whole and well-formed message for each command, less VOLUME."""
    entry = struct.pack("<QII", 1, 16, 0) + attach_id
    return {
        "ATTACH_BEGIN": {},
        "KEY_SET": {"GENERATION": 1, "KEY_SERIAL": 1, "ORIGIN": probe.uuid,
                    "COMMITMENT": bytes(32)},
        "TABLE_SET": {"OFFSET": 0, "TABLE": entry},
        "TAIL_SET": {"TAILS": struct.pack("<IIQ", 0, 16, 1)},
        "PEER_SET": {"PEER": None},
        "START": {"EPOCH": 16, "ATTACH_ID": attach_id, "SIZE_BLOCKS": 16384, "PG_BLOCKS": 4096,
                  "GENERATION": 1, "VDL": 0, "LEASE_MS": 2000},
        "STOP": {},
        "FENCE": {"EPOCH": 17},
        "DISCARD": {},
    }


def message(values):
    values = dict(values)
    tail = b""
    if "PEER" in values:
        del values["PEER"]
        tail = peer()
    return attrs(**values) + tail


def try_framing(probe):
    """What no command accepts, whatever the state."""
    whole = complete(probe)
    for name in ["VOLUME_GET"] + list(whole):
        body = message(whole.get(name, {}))
        probe.refused(name + " without VOLUME", name, body, errno.EINVAL, "^VOLUME is missing$")
        probe.refused(name + " of a volume that is not there", name,
                      attr(A["VOLUME"], bytes(15) + b"\1") + body, errno.ENODEV,
                      "^No device has a table with this volume$")
        probe.refused(name + " with an unknown attribute", name,
                      probe.volume + body + attr(200, u32(1)), errno.EINVAL, "nknown attribute")
        probe.refused(name + " with an attribute that only answers have", name,
                      probe.volume + body + attr(A["STATE"], u32(1)), errno.EINVAL,
                      "nsupported attribute|nknown attribute")
        probe.refused(name + " with bytes left over", name, probe.volume + body + b"\1\0",
                      errno.EINVAL, "leftover")
    for size in (0, 15, 17):
        probe.refused("VOLUME of %d bytes" % size, "STOP", attr(A["VOLUME"], bytes(size)),
                      errno.ERANGE, "out of range")
    probe.refused("a reserved field that is not 0", "STOP", probe.volume, errno.EINVAL, "reserved",
                  reserved=1)
    for number in (0, CMD["EVENT"], CMD["EVENT"] + 1, 255):
        probe.refused("command number %d" % number, number, probe.volume, errno.EOPNOTSUPP, "")


def try_values(probe):
    """Lengths and ranges that the policy refuses, so before any state counts."""
    whole = complete(probe)
    good = lambda name: {**whole[name]}
    for name, key, value, code, sentence in (
            ("KEY_SET", "GENERATION", 0, errno.ERANGE, "out of range"),
            ("KEY_SET", "GENERATION", b"\1\0", errno.EINVAL, "length"),
            ("KEY_SET", "GENERATION", bytes(8), errno.EINVAL, "length"),
            ("KEY_SET", "KEY_SERIAL", b"", errno.EINVAL, "length"),
            ("KEY_SET", "ORIGIN", bytes(15), errno.ERANGE, "out of range"),
            ("KEY_SET", "COMMITMENT", bytes(33), errno.ERANGE, "out of range"),
            ("TABLE_SET", "OFFSET", 16384, errno.ERANGE, "out of range"),
            ("TABLE_SET", "TABLE", bytes(48 * 513), errno.ERANGE, "length|polic"),
            ("TAIL_SET", "TAILS", bytes(16 * 2049), errno.ERANGE, "length|polic"),
            ("START", "EPOCH", 0, errno.ERANGE, "out of range"),
            ("START", "ATTACH_ID", bytes(31), errno.ERANGE, "out of range"),
            ("START", "VDL", bytes(4), errno.EINVAL, "length"),
            ("START", "LEASE_MS", 499, errno.ERANGE, "out of range"),
            ("START", "LEASE_MS", 60001, errno.ERANGE, "out of range"),
            ("START", "LOCAL_AZ", b"z" * 64 + b"\0", errno.EINVAL, "length|polic"),
            ("START", "LOCAL_AZ", b"az1", errno.EINVAL, "NUL|null|length|polic"),
            ("START", "PLAIN", u32(1), errno.ERANGE, "length|polic"),
            ("FENCE", "EPOCH", 0, errno.ERANGE, "out of range"),
            ("FENCE", "HOLDER", b"h" * 64 + b"\0", errno.EINVAL, "length|polic")):
        shown = value if isinstance(value, int) else "of %d bytes" % len(value)
        probe.refused("%s with %s %s" % (name, key, shown), name,
                      probe.volume + attrs(**{**good(name), key: value}), code, sentence)
    for text, body, code, sentence in (
            ("no nested attribute", peer(flags=0), errno.EINVAL, "NESTED"),
            ("slot 6", peer(index=6), errno.ERANGE, "out of range"),
            ("a name of 64 bytes", peer(name=b"n" * 64 + b"\0"), errno.EINVAL, "length|polic"),
            ("a name without its end", peer(name=b"name"), errno.EINVAL, "NUL|null|length|polic"),
            ("an incarnation of 15 bytes", peer(incarnation=bytes(15)), errno.ERANGE,
             "out of range"),
            ("an unknown attribute inside", peer(more=attr(99, u32(1))), errno.EINVAL,
             "nknown attribute"),
            ("a socket of 8 bytes", peer(more=attr(P["SOCKET"], bytes(8))), errno.EINVAL,
             "length"),
            ("no index", peer(index=None), errno.EINVAL, "^P_INDEX is missing$"),
            ("no name", peer(name=None), errno.EINVAL, "^P_NAME is missing$"),
            ("no AZ", peer(az=None), errno.EINVAL, "^P_AZ is missing$"),
            ("no incarnation", peer(incarnation=None), errno.EINVAL,
             "^P_INCARNATION is missing$")):
        probe.refused("PEER_SET with " + text, "PEER_SET", probe.volume + body, code, sentence)


def try_missing(probe, names):
    for name in names:
        whole = complete(probe)[name]
        for key in whole:
            body = message({k: v for k, v in whole.items() if k != key})
            probe.refused("%s without %s" % (name, key), name, probe.volume + body, errno.EINVAL,
                          "^%s is missing$" % key)


def try_unattached(probe):
    whole = complete(probe)
    for name in ("KEY_SET", "TABLE_SET", "TAIL_SET", "START"):
        probe.refused(name + " before ATTACH_BEGIN", name, probe.volume + message(whole[name]),
                      errno.EINVAL, "^No attach has begun$")
    probe.refused("STOP of what is not attached", "STOP", probe.volume, errno.ENOTCONN,
                  "^The volume is not attached here$")
    probe.refused("FENCE of what is not attached", "FENCE", probe.volume + message(whole["FENCE"]),
                  errno.ENOTCONN, "^The volume is not attached here$")
    probe.refused("DISCARD of what is not attached", "DISCARD", probe.volume, errno.ENOTCONN,
                  "^The volume has nothing to discard$")


def try_keys(probe):
    origin = probe.uuid
    key = bytes(range(32))
    logon = add_key(b"logon", b"sextant:probe", key)
    right = {"GENERATION": 1, "KEY_SERIAL": logon, "ORIGIN": origin,
             "COMMITMENT": commitment(key, origin, 1)}

    def refused(text, code, sentence, **change):
        probe.refused("KEY_SET of " + text, "KEY_SET", probe.volume + attrs(**{**right, **change}),
                      code, sentence)

    refused("a serial that is no key", errno.ENOKEY, "^No such key", KEY_SERIAL=0x7ffffff0)
    refused("serial 0", errno.EINVAL, ".", KEY_SERIAL=0)
    refused("a keyring of the caller (serial -2)", errno.EINVAL, ".", KEY_SERIAL=0xfffffffe)
    refused("a key that user space can read", errno.EINVAL, ".",
            KEY_SERIAL=add_key(b"user", b"sextant-probe-user", key))
    refused("a key of 31 bytes", errno.EINVAL, ".",
            KEY_SERIAL=add_key(b"logon", b"sextant:short", key[:31]))
    gone = add_key(b"logon", b"sextant:revoked", key)
    revoke(gone)
    refused("a revoked key", errno.EKEYREVOKED, "^The key has been revoked$", KEY_SERIAL=gone)
    wrong = "^The key is not the one the manifest commits to$"
    refused("another key", errno.EKEYREJECTED, wrong,
            KEY_SERIAL=add_key(b"logon", b"sextant:other", bytes(32)))
    refused("another generation's", errno.EKEYREJECTED, wrong, GENERATION=2)
    refused("another volume's", errno.EKEYREJECTED, wrong, ORIGIN=bytes(16))
    probe.done("KEY_SET of the key that the commitment is for", "KEY_SET",
               probe.volume + attrs(**right))
    refused("a generation that is there", errno.EEXIST, ".")
    return right


def try_table(probe, attach_id):
    def entry(lsn, epoch, who=bytes(32)):
        return struct.pack("<QII", lsn, epoch, 0) + who

    def refused(text, offset, table, sentence, code=errno.EINVAL):
        probe.refused("TABLE_SET " + text, "TABLE_SET",
                      probe.volume + attrs(OFFSET=offset, TABLE=table), code, sentence)

    order = "^OFFSET does not continue the table$"
    refused("that begins at 1", 1, entry(1, 16), order)
    refused("of no entry", 0, b"", "^TABLE is not a number of table entries$")
    refused("of 47 bytes", 0, entry(1, 16)[:47], "^TABLE is not a number of table entries$")
    refused("of 49 bytes", 0, entry(1, 16) + b"\0", "^TABLE is not a number of table entries$")
    probe.done("TABLE_SET, the first chunk", "TABLE_SET",
               probe.volume + attrs(OFFSET=0, TABLE=entry(1, 8) + entry(5, 16)))
    refused("with a gap", 3, entry(9, 24), order)
    refused("that goes back", 1, entry(9, 24), order)
    probe.refused("TAIL_SET of 15 bytes", "TAIL_SET", probe.volume + attrs(TAILS=bytes(15)),
                  errno.EINVAL, "^TAILS is not a number of PG tails$")
    return entry


def tcp_pair():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(8)
    one = socket.create_connection(listener.getsockname())
    other, _ = listener.accept()
    return listener, one, other


def try_sockets(probe):
    listener, one, other = tcp_pair()
    unconnected = socket.socket()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.connect(listener.getsockname())
    unix, _ = socket.socketpair()
    with open("/dev/null", "rb") as plain_file:
        for text, fd, code, sentence in (
                ("a number that is no descriptor", 9999, errno.EBADF,
                 "^P_SOCKET is not a socket of the caller$"),
                ("a descriptor of -1", 0xffffffff, errno.EBADF,
                 "^P_SOCKET is not a socket of the caller$"),
                ("a file", plain_file.fileno(), errno.ENOTSOCK,
                 "^P_SOCKET is not a socket of the caller$"),
                ("a UDP socket", udp.fileno(), errno.EPROTOTYPE, "^P_SOCKET is not a TCP socket$"),
                ("a Unix socket", unix.fileno(), errno.EPROTOTYPE,
                 "^P_SOCKET is not a TCP socket$"),
                ("an unconnected TCP socket", unconnected.fileno(), errno.ENOTCONN,
                 "^P_SOCKET is not connected$"),
                ("a listening TCP socket", listener.fileno(), errno.ENOTCONN,
                 "^P_SOCKET is not connected$")):
            for slot, plain in ((0, b""), (1, attr(A["PLAIN"], b""))):
                probe.refused("PEER_SET with " + text + (", plain" if plain else ""), "PEER_SET",
                              probe.volume + peer(index=slot, socket_fd=fd) + plain, code, sentence)
    # A refusal that had PLAIN in it has made nothing plain.
    probe.refused("PEER_SET with a TCP socket without TLS", "PEER_SET",
                  probe.volume + peer(socket_fd=one.fileno()), errno.EPROTO, "^P_SOCKET has no TLS")
    other.close()
    wait_closed(one)
    probe.refused("PEER_SET with a connection that the other end has closed", "PEER_SET",
                  probe.volume + peer(socket_fd=one.fileno()) + attr(A["PLAIN"], b""),
                  errno.ENOTCONN, "^P_SOCKET is not connected$")


def wait_closed(one):
    one.settimeout(10)
    one.recv(1)


def set_peers(probe, indices):
    for index in indices:
        probe.nl.command("PEER_SET", probe.volume + peer(index=index, name=b"p%d\0" % index))


def try_start(probe, attach_id, entry, key):
    start = complete(probe, attach_id)["START"]
    whole = lambda **change: probe.volume + attrs(**{**start, **change})
    end = "^The table does not end with this attach at VDL \\+ 1$"

    def table(*entries):
        probe.nl.command("TABLE_SET", probe.volume + attrs(OFFSET=0, TABLE=b"".join(entries)))

    probe.refused("START with a table that is another's", "START", whole(), errno.EINVAL, end)
    table(entry(5, 8), entry(4, 16, attach_id))
    probe.refused("START with a table whose LSNs fall", "START", whole(VDL=3), errno.EINVAL,
                  "^The epoch table is missing or not a valid one$")
    table(entry(1, 16, attach_id))
    set_peers(probe, range(5))
    probe.refused("START with another attach id", "START", whole(ATTACH_ID=bytes(32)),
                  errno.EINVAL, "^ATTACH_ID is not the one drawn last, or was used$")
    probe.refused("START with another epoch than the table's", "START", whole(EPOCH=24),
                  errno.EINVAL, end)
    probe.refused("START at another VDL than the table's", "START", whole(VDL=1), errno.EINVAL,
                  end)
    for blocks in (0, 33, 31):
        probe.refused("START with PGs of %d blocks" % blocks, "START", whole(PG_BLOCKS=blocks),
                      errno.EINVAL, "^PG_BLOCKS is not a multiple of a record's blocks$")
    for blocks in (0, 1, 1 << 62):
        probe.refused("START with a volume of %d blocks" % blocks, "START",
                      whole(SIZE_BLOCKS=blocks), errno.ERANGE,
                      "^The device's table is longer than the volume$")
    probe.refused("START with five peers", "START", whole(), errno.EINVAL,
                  "^Not all six peers have been set$")
    set_peers(probe, [5])
    probe.refused("START with a generation whose key is not there", "START", whole(GENERATION=7),
                  errno.ENOKEY, "^The data key of GENERATION has not been set$")
    probe.is_state("attaching", "after all that was refused, the volume still waits for START")

    # That try may have burned its id; a new one, done right.
    first = attach_id
    attach_id = probe.attach_begin()
    report(len(attach_id) == 32 and attach_id != first, "each ATTACH_BEGIN draws another id")
    probe.nl.command("KEY_SET", probe.volume + attrs(**key))
    table(entry(1, 16, attach_id))
    set_peers(probe, range(6))
    start["ATTACH_ID"] = attach_id
    probe.refused("START with the id drawn before", "START", whole(ATTACH_ID=first), errno.EINVAL,
                  "^ATTACH_ID is not the one drawn last, or was used$")
    probe.done("START", "START", whole())
    probe.is_state("running", "the volume runs")
    probe.refused("START, replayed while it runs", "START", whole(), errno.EINVAL,
                  "^No attach has begun$")
    probe.refused("ATTACH_BEGIN while it runs", "ATTACH_BEGIN", probe.volume, errno.EBUSY,
                  "^The volume is attached here already$")
    for name in ("KEY_SET", "TABLE_SET", "TAIL_SET"):
        probe.refused(name + " while it runs", name,
                      probe.volume + message(complete(probe)[name]), errno.EINVAL,
                      "^No attach has begun$")
    probe.refused("PEER_SET without a socket while it runs", "PEER_SET", probe.volume + peer(),
                  errno.EINVAL, "^P_SOCKET is missing$")
    for epoch in (1, 15, 16):
        probe.refused("FENCE by epoch %d, not above the writer's" % epoch, "FENCE",
                      probe.volume + attrs(EPOCH=epoch), errno.EINVAL,
                      "^EPOCH is not above the writer's$")
    probe.done("STOP", "STOP", probe.volume)
    for _ in range(200):
        if probe.state() == "stopped":
            break
        os.sched_yield()
        select_pause()
    probe.is_state("stopped", "the volume has stopped")
    probe.refused("START, replayed after the stop", "START", whole(), errno.EINVAL,
                  "^No attach has begun$")
    probe.attach_begin()
    probe.refused("START with the id that was used", "START", whole(), errno.EINVAL,
                  "^ATTACH_ID is not the one drawn last, or was used$")


def select_pause():
    import select
    select.select([], [], [], 0.1)


def commands(uuid):
    probe = Probe(uuid)
    code, _, replies = probe.nl.command("VOLUME_GET", b"", flags=F_DUMP)
    report(code == 0 and len(replies) == 1, "a dump shows the one volume")
    try_framing(probe)
    try_values(probe)
    try_missing(probe, ("KEY_SET", "TABLE_SET", "TAIL_SET", "PEER_SET", "START", "FENCE"))
    try_unattached(probe)
    probe.is_state("unattached", "the volume is still unattached")
    attach_id = probe.attach_begin()
    report(len(attach_id) == 32 and any(attach_id), "ATTACH_BEGIN draws 32 bytes")
    probe.is_state("attaching", "an attach has begun")
    probe.refused("START without a table", "START",
                  probe.volume + message(complete(probe, attach_id)["START"]), errno.EINVAL,
                  "^The epoch table is missing or not a valid one$")
    try_missing(probe, ("KEY_SET", "TABLE_SET", "TAIL_SET", "START"))
    key = try_keys(probe)
    entry = try_table(probe, attach_id)
    try_sockets(probe)
    try_start(probe, attach_id, entry, key)


def powerless(uuid):
    probe = Probe(uuid)
    with open("/proc/self/status") as status:
        effective = int(re.search(r"CapEff:\s*([0-9a-f]+)", status.read()).group(1), 16)
    with open("/proc/self/uid_map") as uid_map:
        own = uid_map.read().split() == ["0", "0", "1"]
    if own:
        report(effective & 1 << 21, "with CAP_SYS_ADMIN in a user namespace of its own only")
    else:
        report(effective & 1 << 12 and not effective & 1 << 21,
               "with CAP_NET_ADMIN, without CAP_SYS_ADMIN")
    whole = complete(probe)
    for name in ["VOLUME_GET"] + list(whole):
        code, sentence, replies = probe.nl.command(name, probe.volume + message(whole.get(name, {})))
        report((code, sentence, replies) == (errno.EPERM, "This needs CAP_SYS_ADMIN", []),
               name + " is refused", "errno %d '%s'" % (code, sentence))
    code, _, replies = probe.nl.command("VOLUME_GET", b"", flags=F_DUMP)
    report(code == errno.EPERM and not replies, "a dump is refused", "errno %d" % code)
    try:
        probe.nl.socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, probe.nl.group)
        report(False, "listening to events is refused")
    except PermissionError:
        report(True, "listening to events is refused")


def listen(uuid):
    nl = Netlink()
    nl.socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, nl.group)
    nl.socket.settimeout(None)
    print("listening", flush=True)
    while True:
        data = nl.socket.recv(1 << 17)
        if struct.unpack_from("=IH", data)[1] != nl.family or data[16] != CMD["EVENT"]:
            continue
        event = dict(walk(data[20:]))
        if event.get(A["VOLUME"]) == uuid:
            print("event %d" % struct.unpack("=I", event[33])[0], flush=True)


# ---------------------------------------------------------------------- spec

def header_names(text, prefix):
    return [(name, line) for line in text.splitlines()
            for name in re.findall(r"^\t(%s[A-Z0-9_]+)\b" % prefix, line)]


def spec(yaml_path, header_path):
    import yaml
    with open(yaml_path) as f:
        family = yaml.safe_load(f)
    with open(header_path) as f:
        header = f.read()
    upper = lambda words: words.upper().replace("-", "_")

    def same(text, wanted, prefix, skip=("UNSPEC",)):
        body = header[header.index("\n" + text):]
        body = body[:body.index("};")]
        got = [name[len(prefix):] for name, _ in header_names(body, prefix)]
        got = [name for name in got if name not in skip]
        report(got == wanted, "the specification has %s as the header does" % text,
               "header %s\nspecification %s" % (got, wanted))

    sets = {s["name"]: [upper(a["name"]) for a in s["attributes"]] for s in family["attribute-sets"]}
    enums = {d["name"]: [upper(e["name"] if isinstance(e, dict) else e) for e in d["entries"]]
             for d in family["definitions"]}
    same("enum sextant_cmd ", [upper(o["name"]) for o in family["operations"]["list"]], "SEXTANT_CMD_")
    same("enum sextant_attr ", sets["volume"], "SEXTANT_A_")
    same("enum sextant_peer_attr ", sets["peer"], "SEXTANT_P_")
    same("enum sextant_volume_state ", enums["volume-state"], "SEXTANT_VOLUME_", ())
    same("enum sextant_cache_mode ", enums["cache-mode"], "SEXTANT_MODE_", ())
    same("enum sextant_peer_state ", enums["peer-state"], "SEXTANT_PEER_", ())
    same("enum sextant_event ", enums["event"], "SEXTANT_EVENT_", ())
    report([c for c in COMMANDS[1:]] == [upper(o["name"]) for o in family["operations"]["list"]] and
           ATTRS[1:] == sets["volume"][:len(ATTRS) - 1] and
           PEER_ATTRS[1:] == sets["peer"][:len(PEER_ATTRS) - 1], "and so has this probe")


def main():
    if len(sys.argv) == 3 and sys.argv[1] in ("commands", "powerless", "listen"):
        {"commands": commands, "powerless": powerless, "listen": listen}[sys.argv[1]](
            bytes.fromhex(sys.argv[2].replace("-", "")))
    elif len(sys.argv) == 4 and sys.argv[1] == "spec":
        spec(sys.argv[2], sys.argv[3])
    else:
        sys.exit(__doc__)


main()
