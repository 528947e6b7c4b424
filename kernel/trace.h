/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: the way of a write (submit, seal, send, ack, complete) and of a
 * read (submit, read, fault, complete). Devices are numbers, as in block:*.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM sextant

#if !defined(SEXTANT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define SEXTANT_TRACE_H

#include <linux/tracepoint.h>

#include "read.h"
#include "record.h"
#include "volume.h"

TRACE_EVENT(sextant_submit,
	TP_PROTO(const struct sextant_volume *volume, const struct bio *bio),
	TP_ARGS(volume, bio),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, sector)
		__field(u32, sectors)
		__field(u32, opf)
	),
	TP_fast_assign(
		__entry->dev = volume->device;
		__entry->sector = bio->bi_iter.bi_sector;
		__entry->sectors = bio_sectors(bio);
		__entry->opf = (__force u32)bio->bi_opf;
	),
	TP_printk("%d,%d sector %llu sectors %u opf %#x", MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->sector, __entry->sectors, __entry->opf)
);

DECLARE_EVENT_CLASS(sextant_record,
	TP_PROTO(const struct sextant_volume *volume, int value,
		 const struct sextant_record *record),
	TP_ARGS(volume, value, record),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(int, value)
		__field(u64, first_lsn)
		__field(u64, last_lsn)
		__field(u64, block)
	),
	TP_fast_assign(
		__entry->dev = volume->device;
		__entry->value = value;
		__entry->first_lsn = record->quorum.first_lsn;
		__entry->last_lsn = record->quorum.last_lsn;
		__entry->block = record->block_first;
	),
	TP_printk("%d,%d lsn %llu-%llu block %llu value %d", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->first_lsn, __entry->last_lsn, __entry->block,
		  __entry->value)
);

/* value: 0, or the error that made the record a VOID */
DEFINE_EVENT(sextant_record, sextant_seal,
	TP_PROTO(const struct sextant_volume *volume, int value,
		 const struct sextant_record *record),
	TP_ARGS(volume, value, record)
);

/* value: the peer's slot */
DEFINE_EVENT(sextant_record, sextant_send,
	TP_PROTO(const struct sextant_volume *volume, int value,
		 const struct sextant_record *record),
	TP_ARGS(volume, value, record)
);

TRACE_EVENT(sextant_ack,
	TP_PROTO(const struct sextant_volume *volume, u32 peer, u32 pg, u64 end_lsn, u32 records),
	TP_ARGS(volume, peer, pg, end_lsn, records),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, peer)
		__field(u32, pg)
		__field(u64, end_lsn)
		__field(u32, records)
	),
	TP_fast_assign(
		__entry->dev = volume->device;
		__entry->peer = peer;
		__entry->pg = pg;
		__entry->end_lsn = end_lsn;
		__entry->records = records;
	),
	TP_printk("%d,%d peer %u pg %u end %llu records %u", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->peer, __entry->pg, __entry->end_lsn,
		  __entry->records)
);

TRACE_EVENT(sextant_complete,
	TP_PROTO(const struct sextant_volume *volume, const struct bio *bio, u64 lsn,
		 blk_status_t status),
	TP_ARGS(volume, bio, lsn, status),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, sector)
		__field(u64, lsn)
		__field(u32, opf)
		__field(u32, status)
	),
	TP_fast_assign(
		__entry->dev = volume->device;
		__entry->sector = bio->bi_iter.bi_sector;
		__entry->lsn = lsn;
		__entry->opf = (__force u32)bio->bi_opf;
		__entry->status = (__force u32)status;
	),
	TP_printk("%d,%d sector %llu opf %#x lsn %llu status %u", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->sector, __entry->opf, __entry->lsn,
		  __entry->status)
);

TRACE_EVENT(sextant_read,
	TP_PROTO(const struct sextant_volume *volume, const struct sextant_read *read),
	TP_ARGS(volume, read),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, block)
		__field(u32, count)
		__field(u32, peer)
		__field(u32, state)
		__field(u64, read_point_lsn)
	),
	TP_fast_assign(
		__entry->dev = volume->device;
		__entry->block = read->block;
		__entry->count = read->count;
		__entry->peer = read->peer;
		__entry->state = read->state;
		__entry->read_point_lsn = read->read_point_lsn;
	),
	TP_printk("%d,%d block %llu count %u peer %u state %u point %llu", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->block, __entry->count, __entry->peer,
		  __entry->state, __entry->read_point_lsn)
);

/* error: -ETIMEDOUT, -EAGAIN (refused), -EIO (damaged), -EBADMSG (does not verify), -ESTALE (an old version) */
TRACE_EVENT(sextant_fault,
	TP_PROTO(const struct sextant_volume *volume, u32 peer, u64 block, int error),
	TP_ARGS(volume, peer, block, error),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, peer)
		__field(u64, block)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->dev = volume->device;
		__entry->peer = peer;
		__entry->block = block;
		__entry->error = error;
	),
	TP_printk("%d,%d peer %u block %llu error %d", MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->peer, __entry->block, __entry->error)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
