#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Numbered, checksummed blocks: written under load, their acknowledgement noted
elsewhere, verified later.

  load DEVICE JOURNAL [--threads N] [--blocks N] [--first N] [--ordered] [--until FILE]
      Writes random blocks of DEVICE with O_DIRECT until FILE exists. JOURNAL
      gets "A BLOCK NUMBER" before each write and "D BLOCK NUMBER" once it is
      durable: every second thread writes with O_DSYNC (FUA), the others write up
      to eight blocks and then fdatasync (FLUSH). Exit status 1 at the first error.
      --ordered: one thread, one write at a time, numbered in the order written.
  verify DEVICE JOURNAL [--acknowledged JOURNAL] [--prefix]
      Every block has a content that was written to it, the newest acknowledged
      one or a later one; --acknowledged: by that earlier copy. --prefix (after --ordered): and the whole is what it
      was after some write, nothing later, nothing missing.
  count JOURNAL       prints how many writes have been acknowledged
  fill DEVICE FIRST COUNT NUMBER     writes COUNT blocks from FIRST on, and fsyncs
  trickle DEVICE BLOCK FILE          writes BLOCK ten times a second until FILE exists
  expect DEVICE FIRST COUNT NUMBER   reads each by itself: "right R wrong W eio E";
                                     --large: all (32 at most) by one read
"""
import argparse
import errno
import mmap
import os
import random
import struct
import sys
import threading
import time
import zlib

BLOCK = 4096
LARGE = 32                      # blocks in a large read
HEADER = struct.Struct("<8sQQI")
MAGIC = b"SXTBLOCK"


def content(block, number):
    body = struct.pack("<QQ", block * 0x9E3779B97F4A7C15 & (1 << 64) - 1, number) * 255
    body = body[:BLOCK - HEADER.size]
    return HEADER.pack(MAGIC, block, number, zlib.crc32(body)) + body


def decode(data, block):
    """The number written there; 0 for a block of zeros; None for anything else."""
    magic, at, number, crc = HEADER.unpack(data[:HEADER.size])
    if data == bytes(BLOCK):
        return 0
    if magic != MAGIC or at != block or data != content(block, number):
        return None
    return number


class Device:
    """Each thread has one: the buffers are its own."""

    def __init__(self, path, flags):
        self.fd = os.open(path, flags | os.O_DIRECT)
        self.buffer = mmap.mmap(-1, BLOCK)
        self.large = mmap.mmap(-1, LARGE * BLOCK)

    def write(self, block, number):
        self.buffer[:] = content(block, number)
        if os.pwrite(self.fd, self.buffer, block * BLOCK) != BLOCK:
            raise OSError(errno.EIO, "short write")

    def read(self, block):
        if os.preadv(self.fd, [self.buffer], block * BLOCK) != BLOCK:
            raise OSError(errno.EIO, "short read")
        return bytes(self.buffer)

    def read_all(self, blocks):
        """(block, data or the OSError) of each, by large reads where they succeed."""
        for group in sorted({block // LARGE for block in blocks}):
            first = group * LARGE
            try:
                if os.preadv(self.fd, [self.large], first * BLOCK) != LARGE * BLOCK:
                    raise OSError(errno.EIO, "short read")
                data = bytes(self.large)
            except OSError:
                data = None
            for block in range(first, first + LARGE):
                if block not in blocks:
                    continue
                if data:
                    yield block, data[(block - first) * BLOCK:][:BLOCK]
                    continue
                try:
                    yield block, self.read(block)
                except OSError as error:
                    yield block, error

    def sync(self):
        os.fdatasync(self.fd)


class Load:
    def __init__(self, args):
        self.args = args
        self.journal = os.open(args.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.failed = []
        # A later load goes on counting where the one before it stopped.
        self.number = max((number for _, number in read_journal(args.journal)[0]), default=0)

    def note(self, kind, writes):
        lines = "".join(f"{kind} {block} {number}\n" for block, number in writes)
        os.write(self.journal, lines.encode())

    def going_on(self):
        return not self.failed and not (self.args.until and os.path.exists(self.args.until))

    def run_one(self, index):
        args = self.args
        flags = os.O_WRONLY | (os.O_DSYNC if index % 2 else 0)
        device = Device(args.device, flags)
        rng = random.Random(index)
        mine = range(args.first + index, args.first + args.blocks, args.threads)
        number = self.number
        while self.going_on():
            count = 1 if index % 2 else rng.randint(1, 8)
            writes = []
            for block in rng.sample(mine, min(count, len(mine))):
                number += 1
                writes.append((block, number))
                self.note("A", writes[-1:])
                device.write(block, number)
            if not index % 2:
                device.sync()
            self.note("D", writes)

    def thread(self, index):
        try:
            self.run_one(index)
        except Exception as error:  # whatever it is, the load has not gone through
            self.failed.append(f"thread {index}: {error!r}")

    def run(self):
        threads = [threading.Thread(target=self.thread, args=(i,))
                   for i in range(self.args.threads)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        for each in self.failed:
            print(each)
        return 1 if self.failed else 0


def read_journal(path):
    attempts, done = [], {}
    with open(path, encoding="ascii") as journal:
        for line in journal:
            words = line.split()
            if len(words) != 3 or not line.endswith("\n"):
                break               # cut short by a crash
            block, number = int(words[1]), int(words[2])
            if words[0] == "A":
                attempts.append((block, number))
            else:
                done[block] = max(done.get(block, 0), number)
    return attempts, done


def verify(args):
    attempts, done = read_journal(args.journal)
    if args.acknowledged:
        done = read_journal(args.acknowledged)[1]
    device = Device(args.device, os.O_RDONLY)
    allowed, found, bad = {}, {}, []
    for block, number in attempts:
        allowed.setdefault(block, {0}).add(number)
    for block, data in device.read_all(allowed):
        numbers = allowed[block]
        if isinstance(data, OSError):
            bad.append(f"block {block}: {data}")
            continue
        found[block] = decode(data, block)
        if found[block] not in numbers:
            bad.append(f"block {block}: has {found[block]}, which was never written there")
        elif found[block] < done.get(block, 0):
            bad.append(f"block {block}: has write {found[block]}, "
                       f"but {done[block]} was acknowledged")
    if args.prefix and not bad:
        last, state = max(found.values()), dict.fromkeys(found, 0)
        for block, number in attempts:
            if number <= last:
                state[block] = number
        bad += [f"block {block}: has write {found[block]}, but the volume is as of write "
                f"{last}, when it was {state[block]}" for block in state
                if state[block] != found[block]]
    print(f"{len(done)} blocks with acknowledged writes, {len(attempts)} writes tried, "
          f"{len(bad)} blocks wrong")
    for each in bad[:10]:
        print(each)
    return 1 if bad or not done else 0


def count(args):
    with open(args.journal, "rb") as journal:
        print(sum(line.startswith(b"D") for line in journal))
    return 0


def fill(args):
    device = Device(args.device, os.O_WRONLY)
    for block in range(args.first, args.first + args.count):
        device.write(block, args.number)
    device.sync()
    return 0


def trickle(args):
    device, number = Device(args.device, os.O_WRONLY), 0
    while not os.path.exists(args.until):
        number += 1
        device.write(args.block, number)
        device.sync()
        time.sleep(0.1)
    return 0


def expect_large(args):
    device, size = Device(args.device, os.O_RDONLY), args.count * BLOCK
    try:
        if os.preadv(device.fd, [memoryview(device.large)[:size]], args.first * BLOCK) != size:
            raise OSError(errno.EIO, "short read")
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        print(f"right 0 wrong 0 eio {args.count}")
        return 0
    right = sum(device.large[i * BLOCK:(i + 1) * BLOCK] == content(args.first + i, args.number)
                for i in range(args.count))
    print(f"right {right} wrong {args.count - right} eio 0")
    return 0


def expect(args):
    if args.large:
        return expect_large(args)
    device = Device(args.device, os.O_RDONLY)
    right = eio = 0
    wrong = []
    for block in range(args.first, args.first + args.count):
        try:
            data = device.read(block)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            eio += 1
            continue
        if data == content(block, args.number):
            right += 1
        else:
            wrong.append(block)
    print(f"right {right} wrong {len(wrong)} eio {eio}")
    if wrong:
        print("wrong are:", *wrong[:20], file=sys.stderr)
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("load")
    verb.add_argument("device")
    verb.add_argument("journal")
    verb.add_argument("--threads", type=int, default=4)
    verb.add_argument("--blocks", type=int, default=4096)
    verb.add_argument("--first", type=int, default=0)
    verb.add_argument("--ordered", action="store_true")
    verb.add_argument("--until")
    verb = verbs.add_parser("verify")
    verb.add_argument("device")
    verb.add_argument("journal")
    verb.add_argument("--prefix", action="store_true")
    verb.add_argument("--acknowledged")
    verb = verbs.add_parser("count")
    verb.add_argument("journal")
    for name in "fill", "expect":
        verb = verbs.add_parser(name)
        verb.add_argument("device")
        for number in "first", "count", "number":
            verb.add_argument(number, type=int)
        if name == "expect":
            verb.add_argument("--large", action="store_true")
    verb = verbs.add_parser("trickle")
    verb.add_argument("device")
    verb.add_argument("block", type=int)
    verb.add_argument("until")
    args = parser.parse_args()
    if args.verb == "load":
        if args.ordered:
            args.threads = 1
        return Load(args).run()
    return {"verify": verify, "count": count, "fill": fill, "trickle": trickle,
            "expect": expect}[args.verb](args)


if __name__ == "__main__":
    sys.exit(main())
