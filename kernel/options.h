/* SPDX-License-Identifier: GPL-2.0 */
/* The optional arguments of a table line. */
#ifndef SEXTANT_OPTIONS_H
#define SEXTANT_OPTIONS_H

#include <linux/device-mapper.h>

#include "volume.h"

int sextant_options_parse(struct dm_target *ti, struct dm_arg_set *args,
			  struct sextant_options *options);

#endif
