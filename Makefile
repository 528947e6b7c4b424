# SPDX-License-Identifier: GPL-2.0
# Sextant: the kernel module, the programs, the tests. `make help` says what
# can be made. Everything made goes under build/; no source folder is touched.

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:

# ------------------------------------------------------------------ kernels
# A kernel can be built for when its headers are installed.
KERNELS   := $(shell ls -d /lib/modules/*/build/Makefile 2>/dev/null | \
	       cut -d/ -f4 | sort -V)
newest     = $(lastword $(filter $(1),$(KERNELS)))
KVER      ?= $(lastword $(KERNELS))
KVER_6_1  := $(call newest,6.1.%-amd64)
KVER_6_12 := $(call newest,6.12.%-amd64)

# --------------------------------------------------------------- user space
CC        := gcc
AR        := gcc-ar
DB        ?= postgres
PREFIX    ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR   ?= $(PREFIX)/lib/systemd/system
DESTDIR   ?=
export DESTDIR PREFIX UNITDIR SYSCONFDIR

# SAN=asan,ubsan or SAN=tsan: the same programs under sanitizers, beside the
# ordinary ones.
SAN       ?=
comma     := ,
san_names := $(subst asan,address,$(subst tsan,thread,$(subst ubsan,undefined,$(SAN))))
SAN_FLAGS := $(if $(SAN),-fsanitize=$(san_names) -fno-sanitize-recover=all -fno-omit-frame-pointer)
OBJ       := build/user$(if $(SAN),-$(SAN))
BIN       := build/bin$(if $(SAN),-$(SAN))

PKGS      := liburing libnl-3.0 libnl-genl-3.0 devmapper libcrypto jansson \
	     libsystemd inih libisal
# kernel/core is compiled as the kernel compiles it: without strict aliasing.
CFLAGS    := -std=gnu11 -O2 -g -Wall -Wextra -Werror -fno-strict-aliasing \
	     -pthread -D_GNU_SOURCE $(SAN_FLAGS)
CPPFLAGS   = -Ikernel/uapi -Ikernel/core -Iuserspace/lib \
	     $(shell pkg-config --cflags $(PKGS))
LDFLAGS   := -pthread $(SAN_FLAGS) -Wl,--as-needed
LDLIBS     = $(shell pkg-config --libs $(PKGS)) -lkeyutils

objects    = $(patsubst %.c,$(OBJ)/%.o,$(wildcard $(1)/*.c))

# Each folder of userspace/ with C files is one program, but for lib, which
# (with kernel/core) all of them share.
DIRS      := $(filter-out lib,$(patsubst userspace/%/,%,$(sort $(dir $(wildcard userspace/*/*.c)))))
name_controld := sextantd
name_cli      := sextant
program    = $(or $(name_$(1)),sextant-$(1))
PROGRAMS  := $(foreach d,$(DIRS),$(BIN)/$(call program,$(d)))
LIBSEXTANT := $(OBJ)/libsextant.a
UNIT_TESTS := $(patsubst selftests/unit/%.c,$(BIN)/unit/%,$(wildcard selftests/unit/*.c))
ARCHIVES  := $(foreach d,$(DIRS),$(OBJ)/$(d).a) $(LIBSEXTANT)
MAN_PAGES := $(patsubst Documentation/man/%.rst,build/man/%,$(wildcard Documentation/man/*.[1-9].rst))

.PHONY: all
all: module user ## the module for one kernel (newest, or KVER=) and all programs

.PHONY: module
module: ## build/KVER/dm-sextant.ko for the newest kernel headers, or KVER=
	@tools/make.d/kbuild "$(KVER)" W=1 KCFLAGS=-Werror

.PHONY: modules
modules: ## the module for both supported kernels, 6.1 and 6.12
	@tools/make.d/kbuild "$(KVER_6_1)" W=1 KCFLAGS=-Werror
	@tools/make.d/kbuild "$(KVER_6_12)" W=1 KCFLAGS=-Werror

.PHONY: user
user: $(PROGRAMS) ## all programs, into build/bin (SAN=asan,ubsan or tsan: build/bin-$SAN)

.PHONY: unit-tests
unit-tests: $(UNIT_TESTS) ## the unit tests' programs, into build/bin/unit

.PHONY: sparse
sparse: ## check the module with sparse; any warning fails
	@tools/make.d/kbuild --sparse "$(KVER)"

define program_rules
$(OBJ)/$(1).a: $(call objects,userspace/$(1))
$(BIN)/$(call program,$(1)): $(call objects,userspace/$(1)) $(LIBSEXTANT)
endef
$(foreach d,$(DIRS),$(eval $(call program_rules,$(d))))
$(LIBSEXTANT): $(call objects,kernel/core) $(call objects,userspace/lib)

$(PROGRAMS):
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# A test has its own main(); of the archives the linker takes only the members
# the test calls, so a program's main() is never among them.
$(UNIT_TESTS): $(BIN)/unit/%: $(OBJ)/selftests/unit/%.o $(ARCHIVES)
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	@$(CC) $(LDFLAGS) -o $@ $< -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(LDLIBS)

$(ARCHIVES):
	@mkdir -p $(@D)
	@rm -f $@
	@$(AR) rcs $@ $^

$(OBJ)/selftests/%.o: CPPFLAGS += -Iselftests/lib -Iuserspace
$(OBJ)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
.SECONDARY:
-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)

# ---------------------------------------------------------------------- tests
# tools/setup runs first and make starts anew after it, because what pkg-config
# and the kernel headers answer above may be new.
.PHONY: setup
setup: ## install the Debian packages needed (as root, else says what to type)
	@tools/setup

.PHONY: test-build
test-build: modules user unit-tests ## everything the tests run

.PHONY: check
check: setup ## the whole test suite: unit, VM on 6.1, shorter set on 6.12
	@$(MAKE) --no-print-directory test-build
	@selftests/run unit vm vm-6.12

.PHONY: check-unit
check-unit: setup ## the unit tests, on this host
	@$(MAKE) --no-print-directory user unit-tests
	@selftests/run unit

.PHONY: check-slow
check-slow: setup ## the long VM tests that are not part of check, on Linux 6.1
	@$(MAKE) --no-print-directory test-build
	@selftests/run vm-slow

.PHONY: check-vm
check-vm: setup ## the VM tests on Linux 6.1
	@$(MAKE) --no-print-directory modules user
	@selftests/run vm

.PHONY: check-vm-6.12
check-vm-6.12: setup ## the shorter set of VM tests on Linux 6.12
	@$(MAKE) --no-print-directory modules user
	@selftests/run vm-6.12

.PHONY: demo
demo: setup ## a database on an encrypted six-copy volume, in a VM (DB=postgres|mariadb)
	@$(MAKE) --no-print-directory modules user
	@tools/demo $(DB)

.PHONY: bench
bench: setup ## speed beside six nbd + md RAID 1 + dm-crypt, in one VM boot
	@$(MAKE) --no-print-directory modules user
	@tools/bench

# -------------------------------------------------------------------- install
build/man/%: Documentation/man/%.rst
	@mkdir -p $(@D)
	@rst2man $< $@

.PHONY: install
install: user $(MAN_PAGES) ## install programs, units, completion, manual (PREFIX, DESTDIR)
	@tools/make.d/install add $(PROGRAMS) $(MAN_PAGES)

.PHONY: modules_install
modules_install: module ## install the module for KVER (needs root)
	install -D -m 644 build/$(KVER)/dm-sextant.ko \
		$(DESTDIR)/lib/modules/$(KVER)/updates/dm-sextant.ko
	$(if $(DESTDIR),,depmod $(KVER))

.PHONY: uninstall
uninstall: ## remove what install put there, but no configuration file
	@tools/make.d/install remove $(PROGRAMS) $(MAN_PAGES)

.PHONY: clean
clean: ## remove build/
	rm -rf build

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z0-9_.-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 18
