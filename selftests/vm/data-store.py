#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Looks into a peer's store of a volume, and damages it.

  where FOLDER BLOCK            "log FILE OFFSET" or "base FILE OFFSET" of the newest
                                version's sealed block; "never" if there is none
  flip FOLDER BLOCK WHAT        turns one bit over and prints "FILE OFFSET".
                                WHAT: log-data or base-data (the sealed block),
                                log-seal or base-seal (its tag), log-header (the
                                magic of its batch). Exit status 3, and nothing is
                                changed, if it lies elsewhere in one of the FOLDERs
  flip-at FILE OFFSET           turns one bit over there, again
  swap FOLDER BLOCK OTHER       each block gets the other's LSN, seal and sealed
                                bytes, and every CRC is mended
  exchange FOLDER BLOCK OTHER   each keeps its LSN and gets the other's seal and
                                sealed bytes, and every CRC is mended
  places FOLDER COUNT SEED      COUNT places, "FILE OFFSET", anywhere in what was written
  sample FOLDER BLOCK           16 bytes of the sealed block, in hex
  find HEX FILE...              names the files with these bytes; status 1: none has them
  check FOLDER FIRST COUNT      reads the newest versions of these blocks as a peer does;
                                prints "log L base B never N bad N"

FOLDER is STORE/UUID; for flip, swap and exchange several may be named, with
commas between them, and the same is done to each. The format: Documentation/peer-store.rst.
"""
import glob
import os
import random
import struct
import sys

BLOCK = 4096
LOG = struct.Struct("<IIQII16s16sIIQQQQII24x")
RECORD = struct.Struct("<IB3xIIQIIQQI4x")
RECORD_BLOCK_AT = 40            # offset of record.block
SEAL = struct.Struct("<16sI4x")
ENTRY = struct.Struct("<B3xIIIQQ16sI4xII")
CHECKPOINT = struct.Struct("<QIIII16s16sQQIIQQQ24x")
LOG_MAGIC = 0x54414247584C5853
CHECKPOINT_MAGIC = 0x544E504B43545853
DATA = 1

CRC_TABLE = []
for _i in range(256):
    for _ in range(8):
        _i = _i >> 1 ^ (0x82F63B78 if _i & 1 else 0)
    CRC_TABLE.append(_i)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def read_at(path, offset, size):
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(size)


def write_at(path, offset, data):
    with open(path, "r+b", buffering=0) as file:
        file.seek(offset)
        file.write(data)
        os.fsync(file.fileno())


def flip_at(path, offset):
    write_at(path, offset, bytes([read_at(path, offset, 1)[0] ^ 0x10]))


class Version:
    """Of one block: where its bytes, its seal and what covers them lie."""

    def __init__(self, kind, path, data_offset, lsn):
        self.kind, self.path, self.data_offset, self.lsn = kind, path, data_offset, lsn


class Pg:
    def __init__(self, folder, volume_pg_blocks):
        self.folder = folder
        self.number = int(os.path.basename(folder)[3:], 16)
        self.first_block = self.number * volume_pg_blocks
        self.blocks = volume_pg_blocks
        self.base_tail, self.first_sequence = self.checkpoint()
        self.batches = self.records = self.bad = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def checkpoint(self):
        """Of the newest slot that holds."""
        best, self.checkpoint_offset = None, 0
        path = self.path("checkpoint")
        size = os.path.getsize(path) if os.path.exists(path) else 0
        for offset in range(0, size, BLOCK):
            data = read_at(path, offset, CHECKPOINT.size)
            if len(data) < CHECKPOINT.size:
                break
            header = CHECKPOINT.unpack(data)
            if header[0] != CHECKPOINT_MAGIC:
                continue
            whole = bytearray(read_at(path, offset, header[2]))
            whole[16:20] = bytes(4)
            if crc32c(whole) != header[3]:
                continue
            if best is None or header[7] > best[7]:
                best, self.checkpoint_offset = header, offset
        return (best[8], best[13]) if best else (0, 1)

    def log_batches(self):
        """(path, offset, header bytes as read) of each batch that counts."""
        for path in sorted(glob.glob(self.path("log-????????"))):
            size = os.path.getsize(path)
            offset = 0
            while offset < size:
                first = read_at(path, offset, BLOCK)
                header = LOG.unpack(first[:LOG.size])
                crc, header_bytes, magic = header[:3]
                if magic != LOG_MAGIC or header_bytes % BLOCK or header_bytes > 128 << 10:
                    offset += BLOCK
                    continue
                whole = read_at(path, offset, header_bytes)
                if crc32c(whole[4:]) != crc:
                    offset += BLOCK
                    continue
                if header[9] >= self.first_sequence:
                    yield path, offset, whole
                offset += header_bytes + header[14]

    def log_blocks(self):
        """Each data block in the log: (block, Version), in no order."""
        for path, offset, whole in self.log_batches():
            header = LOG.unpack(whole[:LOG.size])
            self.batches += 1
            at, data_offset = LOG.size, offset + header[1]
            for _ in range(header[13]):
                record = RECORD.unpack(whole[at:at + RECORD.size])
                _, kind, epoch, _, lsn, _, _, _, block, count = record
                self.records += 1
                seals_at = at + RECORD.size
                at = seals_at + SEAL.size * (count if kind == DATA else kind == 2)
                if kind != DATA:
                    continue
                for i in range(count):
                    version = Version("log", path, data_offset, lsn + i)
                    version.epoch = epoch
                    version.batch_offset = offset
                    version.batch_header_bytes = len(whole)
                    version.record_at, version.record_blocks = offset + at_of(seals_at), count
                    version.seal_offset = offset + seals_at + SEAL.size * i
                    yield block + i, version
                    data_offset += BLOCK

    def base_version(self, block):
        place = block - self.first_block
        path = self.path("meta")
        if not os.path.exists(path):
            return None
        data = read_at(path, place * ENTRY.size, ENTRY.size)
        if len(data) < ENTRY.size or not any(data):
            return None
        entry = ENTRY.unpack(data)
        if entry[0] != DATA:
            return None
        version = Version("base", self.path("base"), place * BLOCK, entry[4])
        version.entry_offset = place * ENTRY.size
        version.entry = entry
        return version

    def newest(self, block):
        best = self.base_version(block)
        for at, version in self.log_blocks():
            if at == block and version.lsn > self.base_tail and (
                    best is None or version.lsn > best.lsn):
                best = version
        return best


def at_of(seals_at):
    return seals_at - RECORD.size


def pgs_of(folder):
    """The PG's size is in the vote: pg_blocks, behind volume, incarnation, size."""
    vote = read_at(os.path.join(folder, "vote"), 0, 128)
    pg_blocks = struct.unpack("<I", vote[64:68])[0]
    return pg_blocks, [Pg(path, pg_blocks) for path in sorted(glob.glob(folder + "/pg-????????"))]


def find(folder, block):
    _, pgs = pgs_of(folder)
    for pg in pgs:
        if pg.first_block <= block < pg.first_block + pg.blocks:
            version = pg.newest(block)
            if version:
                version.pg = pg
            return version
    return None


def need(folder, block):
    version = find(folder, block)
    if not version:
        sys.exit(f"block {block} was never written in {folder}")
    return version


def mend_batch(version):
    whole = read_at(version.path, version.batch_offset, version.batch_header_bytes)
    write_at(version.path, version.batch_offset, struct.pack("<I", crc32c(whole[4:])))


def mend_entry(version, entry):
    meta = version.pg.path("meta")
    data = ENTRY.pack(*entry[:-1], 0)
    write_at(meta, version.entry_offset, data[:-4] + struct.pack("<I", crc32c(data[:-4])))


def content(version):
    """(lsn, epoch, generation, tag, crc, sealed bytes)"""
    data = read_at(version.path, version.data_offset, BLOCK)
    if version.kind == "base":
        _, epoch, generation, _, lsn, _, tag, crc, _, _ = version.entry
        return lsn, epoch, generation, tag, crc, data
    tag, crc = SEAL.unpack(read_at(version.path, version.seal_offset, SEAL.size))
    return version.lsn, version.epoch, None, tag, crc, data


def exchange(folder, block, other, with_lsn):
    versions = need(folder, block), need(folder, other)
    contents = [content(version) for version in versions]
    if contents[0][5] == contents[1][5]:
        sys.exit("the two blocks are the same")
    if versions[0].kind != versions[1].kind:
        sys.exit("one of the blocks is in the base, the other in the log")
    if with_lsn and versions[0].kind == "log":
        if versions[0].record_blocks != 1 or versions[1].record_blocks != 1:
            sys.exit("a block in the log has a record with others")
        for version, at in zip(versions, (other, block)):
            write_at(version.path, version.record_at + RECORD_BLOCK_AT, struct.pack("<Q", at))
            mend_batch(version)
        return
    for version, (lsn, epoch, generation, tag, crc, data) in zip(versions, reversed(contents)):
        write_at(version.path, version.data_offset, data)
        if version.kind == "base":
            entry = list(version.entry)
            if with_lsn:
                entry[1], entry[2], entry[4] = epoch, generation, lsn
            entry[6], entry[7] = tag, crc
            mend_entry(version, entry)
        else:
            write_at(version.path, version.seal_offset, SEAL.pack(tag, crc))
            mend_batch(version)


def flip(folders, block, what):
    where, _, what = what.partition("-")
    versions = [need(folder, block) for folder in folders]
    if any(version.kind != where for version in versions):
        print(f"block {block} is not in the {where}:", *(version.kind for version in versions))
        sys.exit(3)
    for version in versions:
        path = version.path
        if what == "data":
            offset = version.data_offset + 1234
        elif what == "seal" and where == "log":
            offset = version.seal_offset + 5
        elif what == "seal":
            path, offset = version.pg.path("meta"), version.entry_offset + 37
        elif what == "header" and where == "log":
            offset = version.batch_offset + 9
        else:
            sys.exit(f"there is no {where}-{what} to flip")
        flip_at(path, offset)
        print(path, offset)


def written_ranges(folder):
    """(path, offset, length) of all that holds something."""
    yield os.path.join(folder, "vote"), 0, os.path.getsize(os.path.join(folder, "vote"))
    _, pgs = pgs_of(folder)
    for pg in pgs:
        for path, offset, whole in pg.log_batches():
            yield path, offset, len(whole) + LOG.unpack(whole[:LOG.size])[14]
        for name in "base", "meta", "checkpoint":
            path = pg.path(name)
            size = os.path.getsize(path) if os.path.exists(path) else 0
            with open(path, "rb") as file:
                for offset in range(0, size, BLOCK):
                    file.seek(offset)
                    if any(file.read(BLOCK)):
                        yield path, offset, BLOCK


def places(folder, count, seed):
    """Files in turn, so that the small ones get their share."""
    rng = random.Random(seed)
    by_name = {}
    for path, offset, length in written_ranges(folder):
        by_name.setdefault(os.path.basename(path)[:4], []).append((path, offset, length))
    names = sorted(by_name)
    for i in range(count):
        path, offset, length = rng.choice(by_name[names[i % len(names)]])
        print(path, offset + rng.randrange(length))


def find_bytes(wanted, paths):
    found = []
    for path in paths:
        with open(path, "rb") as file:
            before = b""
            while data := file.read(4 << 20):
                if wanted in before + data:
                    found.append(path)
                    break
                before = data[-len(wanted):]
    for path in found:
        print(path)
    return found


def check(folder, first, count):
    """What a peer, without a key, can see: CRCs."""
    number = {"log": 0, "base": 0, "never": 0, "bad": 0}
    for block in range(first, first + count):
        version = find(folder, block)
        if not version:
            number["never"] += 1
            continue
        number[version.kind] += 1
        _, _, _, _, crc, data = content(version)
        good = crc32c(data) == crc
        if version.kind == "base":
            meta = read_at(version.pg.path("meta"), version.entry_offset, ENTRY.size)
            good = good and crc32c(meta[:-4]) == version.entry[-1]
        number["bad"] += not good
    print(*(f"{name} {number[name]}" for name in number))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    verb, *args = sys.argv[1:]
    if verb == "where":
        version = find(args[0], int(args[1]))
        print(f"{version.kind} {version.path} {version.data_offset}" if version else "never")
    elif verb == "flip":
        flip(args[0].split(","), int(args[1]), args[2])
    elif verb == "flip-at":
        flip_at(args[0], int(args[1]))
    elif verb in ("swap", "exchange"):
        for folder in args[0].split(","):
            exchange(folder, int(args[1]), int(args[2]), verb == "swap")
    elif verb == "places":
        places(args[0], int(args[1]), int(args[2]))
    elif verb == "sample":
        print(content(need(args[0], int(args[1])))[5][1000:1016].hex())
    elif verb == "find":
        sys.exit(0 if find_bytes(bytes.fromhex(args[0]), args[1:]) else 1)
    elif verb == "check":
        check(args[0], int(args[1]), int(args[2]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
