// SPDX-License-Identifier: GPL-2.0
/* dm-sextant: an encrypted block volume that is kept on six peers. */
#include <linux/module.h>

#include "crc32c.h"
#include "netlink.h"
#include "record.h"
#include "seal.h"
#include "target.h"
#include "volume.h"

static int __init sextant_init(void)
{
	int r;

	sextant_crc32c_init();
	r = sextant_record_cache_init();
	if (r)
		return r;
	r = sextant_volumes_init();
	if (r)
		goto exit_cache;
	r = sextant_selftest_seal();
	if (r)
		goto exit_volumes;
	r = sextant_netlink_init();
	if (r)
		goto exit_volumes;
	r = sextant_target_init();
	if (r)
		goto exit_netlink;
	return 0;

exit_netlink:
	sextant_netlink_exit();
exit_volumes:
	sextant_volumes_exit();
exit_cache:
	sextant_record_cache_exit();
	return r;
}

static void __exit sextant_exit(void)
{
	sextant_target_exit();
	sextant_netlink_exit();
	sextant_volumes_exit();
	sextant_record_cache_exit();
}

module_init(sextant_init);
module_exit(sextant_exit);
MODULE_DESCRIPTION("Encrypted block volume with six copies");
MODULE_SOFTDEP("pre: aesni_intel libcrc32c");
MODULE_LICENSE("GPL");
