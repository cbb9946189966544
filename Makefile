# Builds bin/p2p-discovery, bin/p2p-peer, bin/p2p-ui, bin/p2p-relay, bin/p2p,
# build/<mode>/libp2pcore.a and build/<mode>/libp2pcore.so.0.
#   make [SAN=address,undefined|thread] [V=1] [WERROR=1] [CC=clang]
#   make check [T="test_bytes test_path"]    unit tests, and the fuzz corpora replayed
#   make fuzz FUZZ_TIME=60       libFuzzer (clang), each target in turn
#   make prove                   contracts of cursors, texts, names and frames, with Frama-C/WP
#   make compile_commands        compile_commands.json, for editors
#   make install [PREFIX=/usr/local] [LIBDIR=...] [DESTDIR=...], make uninstall
#   make bench format lint dist clean

PROGRAMS := p2p-discovery p2p-peer p2p-ui p2p-relay p2p
DIR_p2p-discovery := discovery
DIR_p2p-peer      := peer
DIR_p2p-ui        := ui
DIR_p2p-relay     := relay
DIR_p2p           := cli
# The HTTP daemons share src/http; the core does not know it. p2p-relay has /health and /metrics.
USES_HTTP := p2p-discovery p2p-ui p2p-relay

# make's own default for CC is cc, whatever that is.
ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
DESTDIR ?=
CFLAGS  ?= -O2 -g
SAN     ?=
WERROR  ?= 1
VERSION ?= $(shell cat VERSION)

comma := ,
empty :=
space := $(empty) $(empty)
# The folder of a compiler: gcc for "gcc" and "ccache gcc", gcc-m32 for "gcc -m32".
COMPILER := $(notdir $(lastword $(filter-out -%,$(CC))))$(subst $(space),,$(subst =,-,$(filter -%,$(CC))))
MODE  := $(COMPILER)$(if $(SAN),-$(subst $(comma),-,$(SAN)))
B     := build/$(MODE)
BIN   := $(if $(SAN),$(B)/bin,bin)

# Optional libraries add a feature and are left out, with a message, when missing.
has = $(shell pkg-config --exists $(1) && echo yes)
PKGS := libssl libcrypto libcurl sqlite3 uuid libcjson zlib
# Of all of them, what the core needs: for those who link libp2pcore.a.
CORE_PKGS := libssl libcrypto libcurl sqlite3 libcjson libzstd avahi-client libsystemd libseccomp miniupnpc
OPTIONAL := libzstd:ZSTD libqrencode:QRENCODE avahi-client:AVAHI hiredis:HIREDIS libsystemd:SYSTEMD gnutls:GNUTLS libseccomp:SECCOMP libjpeg:JPEG libpng:PNG libwebp:WEBP miniupnpc:MINIUPNPC
FEATURES := $(foreach o,$(OPTIONAL),$(if $(call has,$(firstword $(subst :, ,$(o)))),$(o)))
MISSING  := $(filter-out $(FEATURES),$(OPTIONAL))
OPT_PKGS := $(foreach o,$(FEATURES),$(firstword $(subst :, ,$(o))))
OPT_DEFS := $(foreach o,$(FEATURES),-DP2P_WITH_$(lastword $(subst :, ,$(o))))

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
        -Wmissing-prototypes -Wformat=2 -Wvla $(if $(filter clang%,$(COMPILER)),-Wthread-safety) $(if $(filter 1,$(WERROR)),-Werror)
# Of these the ones that the compiler has for this machine. Not with sanitizers: variables that
# begin with zeros would hide from them what was never written.
HARDEN_IF := -fstack-clash-protection -fcf-protection -mbranch-protection=standard \
        -ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr
HARDEN := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=3 $(shell for f in $(HARDEN_IF); do \
        $(CC) -Werror $$f -E -x c /dev/null >/dev/null 2>&1 && echo $$f; done))
ALL_CFLAGS := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DP2P_VERSION='"$(VERSION)"' -Iinclude -Isrc $(WARN) $(HARDEN) \
        $(OPT_DEFS) $(shell pkg-config --cflags $(PKGS) libmicrohttpd $(OPT_PKGS)) \
        -pthread -fvisibility=hidden -MMD -MP $(CFLAGS) \
        $(if $(SAN),-DP2P_LOCK_ORDER -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed -pthread $(LDFLAGS) $(if $(SAN),-fsanitize=$(SAN))
LIBS      := $(shell pkg-config --libs $(PKGS) $(OPT_PKGS))
HTTP_LIBS := $(shell pkg-config --libs libmicrohttpd)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

objs      = $(patsubst %.c,$(B)/%.o,$(wildcard $(1)))
CORE_OBJ := $(call objs,src/core/*/*.c)
HTTP_OBJ := $(call objs,src/http/*.c src/http/*/*.c)
CORE      := $(B)/libp2pcore.a
# The number changes when a program that was linked with the library would not run any longer.
SONAME    := libp2pcore.so.0
SHARED    := $(if $(SAN),,$(B)/$(SONAME))
HTTP      := $(B)/libp2phttp.a
TESTS     := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
TEST_BIN  := $(addprefix $(B)/tests/,$(TESTS))

# The dashboard's texts, compressed once: p2p-ui sends these copies to browsers.
PACKED := $(addsuffix .gz,$(wildcard $(foreach at,web/* web/*/* web/*/*/*, \
        $(foreach kind,html css js json svg webmanifest,$(at).$(kind)))))

all: $(addprefix $(BIN)/,$(PROGRAMS)) $(SHARED) $(PACKED)
ifneq ($(strip $(MISSING)),)
	@echo "  note  built without: $(foreach o,$(MISSING),$(firstword $(subst :, ,$(o))))"
endif

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) $(PIC) -c -o $@ $<

$(PACKED): %.gz: %
	$(call say,GZIP,$<)
	$(Q)gzip -9nc $< >$@.$$$$ && chmod 644 $@.$$$$ && mv -f $@.$$$$ $@

# Tests look into structs on one thread, without their locks.
$(B)/tests/%.o: ALL_CFLAGS += -Wno-thread-safety

# Built into p2p-ui by the assembler, which -MMD does not see.
$(B)/src/ui/openapi.o: docs/openapi.yaml
$(B)/src/http/link_page.o: $(wildcard web/link/*)

# The same objects for both libraries. The headers in include/p2p make what they declare visible;
# p2pcore.map gives it a version.
$(CORE_OBJ): PIC := -fPIC -fno-semantic-interposition
$(CORE_OBJ): Makefile
$(SHARED): $(CORE_OBJ) src/core/p2pcore.map
	$(call say,LD,$@)
	$(Q)$(CC) -shared -o $@ $(CORE_OBJ) -Wl,-soname,$(SONAME),--version-script=src/core/p2pcore.map \
	    -Wl,-Bsymbolic,-z,defs $(filter-out -pie,$(ALL_LDFLAGS)) $(LIBS)

$(CORE): $(CORE_OBJ)
$(HTTP): $(HTTP_OBJ)
$(CORE) $(HTTP):
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

# A program is its main.c, a library of the rest of its folder (which unit tests link, too), the
# core, and src/http where it speaks HTTP.
prog_main = $(B)/src/$(DIR_$(1))/main.o
prog_lib  = $(B)/lib$(1).a
prog_objs = $(filter-out $(call prog_main,$(1)),$(call objs,src/$(DIR_$(1))/*.c src/$(DIR_$(1))/*/*.c))
define program
$(call prog_lib,$(1)): $(call prog_objs,$(1))
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
$(BIN)/$(1): $(call prog_main,$(1)) $(call prog_lib,$(1)) $(if $(filter $(1),$(USES_HTTP)),$(HTTP)) $(CORE)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) -o $$@ $$^ $(ALL_LDFLAGS) $(if $(filter $(1),$(USES_HTTP)),$(HTTP_LIBS)) $(LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# Copies of the daemons that attack their own sandbox (tests/hooks/attack.c). Prints where they are.
HOOKED := $(addprefix $(B)/hooked/,$(filter-out p2p,$(PROGRAMS)))
define hooked_program
$(B)/hooked/$(1): $(B)/tests/hooks/attack.o $(call prog_main,$(1)) $(call prog_lib,$(1)) $(if $(filter $(1),$(USES_HTTP)),$(HTTP)) $(CORE)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) -o $$@ $$^ -Wl,--wrap=p2p_service_ready $(ALL_LDFLAGS) $(if $(filter $(1),$(USES_HTTP)),$(HTTP_LIBS)) $(LIBS)
endef
$(foreach p,$(filter-out p2p,$(PROGRAMS)),$(eval $(call hooked_program,$(p))))
hooked: $(HOOKED)
	@echo $(CURDIR)/$(B)/hooked

# Unit tests link the core and src/http. What else a test needs stands in its first line: files,
# and programs for their libraries: "// uses tests/unit/vectors.c p2p-discovery".
used = $(call objs,$(filter-out $(PROGRAMS),$(1))) $(foreach p,$(filter $(PROGRAMS),$(1)),$(call prog_lib,$(p)))
uses = $(call used,$(shell sed -n '1s|^// uses ||p' tests/unit/$(1).c))
define unit_test
$(B)/tests/$(1): $(B)/tests/unit/$(1).o $(call uses,$(1)) $(HTTP) $(CORE)
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) -o $$@ $$^ $(ALL_LDFLAGS) -lcmocka $(HTTP_LIBS) $(LIBS)
endef
$(foreach t,$(TESTS),$(eval $(call unit_test,$(t))))

# Each test prints cmocka's own lines; the first failing program stops the run. With -j several
# run at once (add -O to keep their lines together). RUNNER starts them: an emulator, for another machine.
RUNNER ?=
# A program that does not end is ended after so many seconds; what it waits for may take half of them
# (tests/unit/patience.h).
LIMIT_S ?= 600
CHECKS := $(addprefix check/,$(TESTS))
check: $(if $(T),$(addprefix check/,$(T)),$(CHECKS))
$(CHECKS): check/%: $(B)/tests/%
	$(Q)echo "== $<"; LIMIT_S=$(LIMIT_S) timeout --foreground -k 10 $(LIMIT_S) $(RUNNER) $<

include tests/fuzz/fuzz.mk tests/bench/bench.mk

# The contracts of tests/formal/contracts, with Frama-C/WP.
prove:
	tests/formal/prove.sh

format:
	clang-format -i $$(git ls-files '*.c' '*.h')
# cppcheck reads the macros of sys/queue.h only when told to; clang-tidy's checks are in .clang-tidy.
QUEUE_H := /usr/include/$(shell $(CC) -print-multiarch)/sys/queue.h
lint:
	cppcheck -q --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --suppress=missingIncludeSystem --include=$(QUEUE_H) -Iinclude -Isrc src
	clang-tidy --quiet $$(git ls-files 'src/*.c') -- $(filter-out -MMD -MP,$(ALL_CFLAGS)) 2>/dev/null

# Whatever the umask is: all may read what is installed. Folders that exist keep their modes.
DEST  := $(DESTDIR)$(PREFIX)
SHARE := $(DEST)/share
LIB   := $(DESTDIR)$(LIBDIR)
HEADERS := $(wildcard include/p2p/*.h)
MANUALS := $(wildcard docs/man/*.1)
BASH := $(SHARE)/bash-completion/completions
ZSH  := $(SHARE)/zsh/site-functions
FISH := $(SHARE)/fish/vendor_completions.d
install: all
	umask 022 && mkdir -p "$(DEST)/bin" "$(DEST)/include/p2p" "$(LIB)/pkgconfig" "$(SHARE)/p2p" \
	    "$(SHARE)/man/man1" "$(BASH)" "$(ZSH)" "$(FISH)"
	install -m 755 $(addprefix $(BIN)/,$(PROGRAMS)) "$(DEST)/bin"
	find web -type d -exec install -d -m 755 "$(SHARE)/p2p/{}" ';'
	find web -type f -exec install -p -m 644 "{}" "$(SHARE)/p2p/{}" ';'
	install -m 644 $(MANUALS) "$(SHARE)/man/man1"
	install -m 644 completions/p2p.bash "$(BASH)/p2p"
	install -m 644 completions/_p2p "$(ZSH)"
	install -m 644 completions/p2p.fish "$(FISH)"
	for f in $(filter-out p2p,$(PROGRAMS)); do \
	    ln -sf p2p "$(BASH)/$$f" && ln -sf p2p.fish "$(FISH)/$$f.fish" || exit 1; done
	install -m 644 $(HEADERS) "$(DEST)/include/p2p"
	install -m 644 $(CORE) $(SHARED) "$(LIB)"
	ln -sf $(SONAME) "$(LIB)/libp2pcore.so"
	printf '%s\n' "$$PKG_CONFIG_FILE" >"$(LIB)/pkgconfig/p2pcore.pc"
	chmod 644 "$(LIB)/pkgconfig/p2pcore.pc"

# pkg-config wants a backslash before a space. The headers need no other library's, so no package is
# required; Libs.private is for those who link libp2pcore.a.
escaped = $(subst $(space),\$(space),$(1))
define PKG_CONFIG_FILE
prefix=$(call escaped,$(PREFIX))
libdir=$(call escaped,$(LIBDIR))
includedir=$${prefix}/include

Name: p2pcore
Description: Peer-to-peer file sharing: identities, encrypted connections, verified downloads
Version: $(VERSION)
Libs: -L$${libdir} -lp2pcore
Libs.private: $(shell pkg-config --libs $(filter $(CORE_PKGS),$(PKGS) $(OPT_PKGS))) -pthread
Cflags: -I$${includedir}
endef
install: export PKG_CONFIG_FILE := $(PKG_CONFIG_FILE)

# What install puts there, and the folders that only it uses.
uninstall:
	for f in $(PROGRAMS); do rm -f "$(DEST)/bin/$$f"; done
	for f in $(notdir $(MANUALS)); do rm -f "$(SHARE)/man/man1/$$f"; done
	for f in $(notdir $(HEADERS)); do rm -f "$(DEST)/include/p2p/$$f"; done
	for f in $(PROGRAMS); do rm -f "$(BASH)/$$f" "$(FISH)/$$f.fish"; done
	rm -f "$(ZSH)/_p2p" "$(LIB)/pkgconfig/p2pcore.pc" \
	    "$(LIB)/libp2pcore.a" "$(LIB)/libp2pcore.so" "$(LIB)/$(SONAME)"
	rm -rf "$(SHARE)/p2p/web"
	for d in "$(SHARE)/p2p" "$(DEST)/include/p2p"; do [ ! -d "$$d" ] || rmdir "$$d" 2>/dev/null || true; done
# What is committed, as a tarball.
dist:
	packaging/source-tarball.sh "build/p2p-$(VERSION).tar.gz"
clean:
	rm -rf build bin $(PACKED)

# For editors, clangd and clang-tidy: how each file is compiled.
compile_commands: export HOW := $(CC) $(subst ",\",$(filter-out -MMD -MP,$(ALL_CFLAGS)))
compile_commands:
	@sep='['; find src/ tests/ -name '*.c' | LC_ALL=C sort | while read -r f; do \
	    printf '%s\n{"directory": "%s", "file": "%s", "command": "%s -c %s"}' \
	        "$$sep" "$(CURDIR)" "$$f" "$$HOW" "$$f"; sep=','; done >compile_commands.json
	@printf '\n]\n' >>compile_commands.json

.PHONY: all check compile_commands prove hooked format lint install uninstall dist clean $(CHECKS)
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
