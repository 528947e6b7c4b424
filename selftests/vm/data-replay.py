#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""usage: data-replay.py LOG-DEVICE MARK TARGET

Writes to TARGET (a new file) what dm-log-writes has noted on LOG-DEVICE up to
MARK: what a disk must still have after a power cut there, and nothing else; a
write that no flush had followed is lost. Prints how many entries that were.
"""
import struct
import sys

SUPER = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
MAGIC = 0x6A736677736872
DISCARD, MARK = 4, 8


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    mark = sys.argv[2].encode()
    with open(sys.argv[1], "rb") as log, open(sys.argv[3], "r+b") as target:
        magic, _, count, sector = SUPER.unpack(log.read(SUPER.size))
        if magic != MAGIC:
            sys.exit("this is no log of dm-log-writes")
        at = sector
        for number in range(count):
            log.seek(at)
            block = log.read(sector)
            place, sectors, flags, data_bytes = ENTRY.unpack(block[:ENTRY.size])
            at += sector
            if flags & MARK:
                if block[ENTRY.size:ENTRY.size + data_bytes].rstrip(b"\0") == mark:
                    print(number)
                    return
                continue
            target.seek(place * sector)
            if flags & DISCARD:
                left = sectors * sector
                while left:
                    part = min(left, 1 << 20)
                    target.write(bytes(part))
                    left -= part
                continue
            data = log.read(sectors * sector)
            at += len(data)
            # Zeros stay holes: the file is new.
            if any(data) or target_has(target, place * sector, len(data)):
                target.seek(place * sector)
                target.write(data)
        sys.exit(f"there is no mark '{sys.argv[2]}' among {count} entries")


def target_has(target, offset, size):
    target.seek(offset)
    return any(target.read(size))


if __name__ == "__main__":
    main()
