# GNU make 3.81 (macOS) or later. Nothing here needs root.

.DEFAULT_GOAL := help
.PHONY: help setup hooks browser servers demo test lint format bench bench-scrapyd fuzz chaos soak matrix audit docs pictures lock clean

BIN := .venv/bin
# Two stamps: what the product needs, and with it what tests, linters and benchmarks need.
READY := .venv/.ready
DEV := .venv/.ready-dev
# Empty: the newest Python 3.11 to 3.13 on the PATH that works.
PYTHON ?=
# What is left of a test run, say ARGS="-k writer -x".
ARGS ?=
QUICK ?=
# The Pythons of `make matrix`; empty: those on the PATH and pyenv's.
PYTHONS ?=
export QUICK PYTHONS
# A user's own settings that would break or redirect a virtual environment.
unexport PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
# With it each process that a test starts compiles all our modules anew: a tenth of a second.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo 'make demo            set up, then collect 50 parcels from all offices of the sandbox county and show them'
	@echo 'make test            set up, then ruff, mypy and the tests (ARGS="-k word": some of the tests, and no more)'
	@echo 'make browser         set up, then get a browser for the treasurer'\''s pages, unless there is one that runs'
	@echo 'make servers         get the servers of Debian that some tests want (root); without them these tests are skipped'
	@echo 'make lint            set up, then ruff and mypy; make hooks: the same at each commit, by pre-commit'
	@echo 'make format          set up, then lay the code out as `make lint` wants it'
	@echo 'make bench           set up, then all benchmarks, about an hour; one table of all figures in benchmarks/README.md'
	@echo 'make bench-assessor  that one alone; also bench-browser, bench-pace, bench-roll, bench-affidavits, bench-recorder, bench-export, bench-find, bench-lists, bench-jobs, bench-county, bench-refresh, bench-reparse, bench-scrapyd (QUICK=1: a short run of it)'
	@echo 'make docs            write docs/data.md, docs/arguments.md and the tiers of docs/sources.md anew from the code; make pictures: the pictures of README.md'
	@echo 'make fuzz            set up, then 100,000 broken answers for the parsers; make chaos: a job with every fault at once; make soak: 20 minutes (QUICK=1: short)'
	@echo 'make matrix          set up, then the unit tests and a crawl of each spider on each Python and Scrapy that is claimed (PYTHONS="/path/to/python ..." names them)'
	@echo 'make audit           known holes in the locked versions of the dependencies'
	@echo 'make lock            write requirements.txt and requirements-dev.txt anew from pyproject.toml'
	@echo 'make clean           remove .venv, builds and caches; never data'
	@echo
	@echo 'The set-up of make demo and make browser is what the product needs; the others add requirements-dev.txt.'
	@echo 'PYTHON=/path/to/python names the Python 3.11, 3.12 or 3.13 that a new .venv is made with.'

setup: $(DEV)

hooks: $(DEV)
	@$(BIN)/python -m pre_commit install

# For the treasurer's pages. Exit code 0: there is a browser that shows a page; 2: a setting is wrong; 3: there is none.
HAS_BROWSER = said=$$($(BIN)/python -m maricopa_scrapy.browser.find 2>&1); code=$$?
# What was tried in vain is tried again an hour later, in other circumstances, and by `make browser` itself.
TRIED := .venv/.browser-tried
browser: $(READY)
	@$(HAS_BROWSER); \
	if [ $$code -eq 3 ]; then \
	    now=$$(echo "$$(id -u):$$PATH:$$(command -v apt-get):$$http_proxy:$$https_proxy" | cksum); \
	    if [ -n '$(filter browser,$(MAKECMDGOALS))' ] || [ -z "$$(find $(TRIED) -mmin -60 2>/dev/null)" ] \
	        || [ "$$now" != "$$(cat $(TRIED))" ]; then \
	        : >.venv/browser.log; \
	        if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	            echo 'installing the Debian package chromium-headless-shell, for the treasurer'\''s pages'; \
	            { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium-headless-shell; } \
	                >>.venv/browser.log 2>&1 </dev/null || echo 'apt-get failed; see .venv/browser.log'; \
	            $(HAS_BROWSER); \
	        fi; \
	        if [ $$code -eq 3 ]; then \
	            echo 'installing Playwright'\''s own Chromium, for the treasurer'\''s pages'; \
	            PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT=10000 $(BIN)/python -m playwright install chromium-headless-shell \
	                >>.venv/browser.log 2>&1 </dev/null || echo 'playwright install failed; see .venv/browser.log'; \
	            $(HAS_BROWSER); \
	        fi; \
	        printf '%s\n' "$$now" >$(TRIED); \
	    fi; \
	fi; \
	[ -z "$$said" ] || printf '%s\n' "$$said" >&2; \
	case $$code in \
	    0) rm -f $(TRIED);; \
	    3) echo 'taxes are left out; `make browser` tries again to get a browser';; \
	    *) exit $$code;; \
	esac

# For the tests alone: a Postgres, a PgBouncer and a clock that can be set, of Debian's packages, not started as services.
SERVERS := postgresql pgbouncer faketime
servers:
	@missing=$$(for package in $(SERVERS); do dpkg -s $$package >/dev/null 2>&1 || printf '%s ' $$package; done); \
	if [ -n "$$missing" ]; then \
	    if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	        echo "on Debian or Ubuntu run: sudo apt-get install $$missing" >&2; exit 1; \
	    fi; \
	    echo "installing the Debian packages $$missing"; \
	    said=$$(apt-get update 2>&1 && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing 2>&1 </dev/null) \
	        || { printf '%s\n' "$$said" >&2; exit 1; }; \
	fi

demo: browser
	@$(BIN)/maricopa demo

# All steps run whatever became of the ones before; $$code is that of the first to fail.
CHECKS = code=0; \
	for step in 'ruff check --quiet .' 'ruff format --check --quiet .' mypy; do \
	    echo "$$step"; \
	    $(BIN)/python -m $$step || { failed=$$?; [ $$code -ne 0 ] || code=$$failed; }; \
	done

# pytest comes last, so that its summary, with what was skipped and why, is the last thing. Most tests wait, and do so side by side; first come those that measure time.
PYTEST := $(BIN)/python -m pytest -rsR
ALL = $(PYTEST) -m timed || { failed=$$?; [ $$code -ne 0 ] || code=$$failed; }; $(PYTEST) -m 'not timed' -n 4 --dist loadgroup
test: $(DEV) browser
ifneq ($(strip $(ARGS)),)
	@echo pytest; exec $(PYTEST) $(ARGS)
else
	@$(CHECKS); \
	[ $$code -eq 0 ] || echo 'the checks failed (see above); the tests run all the same'; \
	echo pytest; \
	$(ALL) || { failed=$$?; [ $$code -ne 0 ] || code=$$failed; }; \
	exit $$code
endif

lint: $(DEV)
	@$(CHECKS); exit $$code

format: $(DEV)
	@$(BIN)/python -m ruff check --fix --quiet .; $(BIN)/python -m ruff format .

bench: $(DEV) browser
	@$(BIN)/python -m benchmarks.summary run

bench-browser bench-refresh: $(DEV) browser
	@$(BIN)/python -m benchmarks.$(@:bench-%=%)

# Proofs: what they do is in benchmarks/README.md.
fuzz soak: $(DEV)
	@$(BIN)/python -m benchmarks.$@

chaos matrix: $(DEV) browser
	@$(BIN)/python -m benchmarks.$@

# Known holes in the locked versions; needs the network.
audit: $(DEV)
	@$(BIN)/python -m benchmarks.audit

bench-scrapyd: $(DEV)
	@$(BIN)/python -m benchmarks.scrapyd_nodes

bench-%: $(DEV)
	@$(BIN)/python -m benchmarks.$*

docs: $(DEV)
	@$(BIN)/python -m maricopa_scrapy.database.data_dictionary >docs/data.md
	@$(BIN)/python -m maricopa_scrapy.sources.parser_strictness docs/sources.md
	@$(BIN)/scrapy arguments --markdown >docs/arguments.md

# docs/progress.svg and docs/report.png, of a job in the sandbox.
pictures: $(DEV) browser
	@$(BIN)/python -m docs.pictures

# uv makes the locks and so is in none. They serve every system and Python from 3.11 on, and name no index. The second holds what it adds.
COMPILE = UV_NO_CONFIG=1 UV_CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/python -m uv pip compile pyproject.toml --extra editable \
	--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --upgrade --quiet
lock: $(READY)
	@echo 'resolving the dependencies of pyproject.toml'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(COMPILE) --output-file requirements.txt
	@$(COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.txt \
	    $$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.txt)
	@! grep -nE '://|file:|index-url|find-links' requirements.txt requirements-dev.txt
	@for lock in requirements.txt requirements-dev.txt; do echo "$$lock: $$(grep -c '==' $$lock) packages"; done
	@echo 'the next make installs them'

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up. The stamp is written last, and a .venv without it, cut short, is made anew.
FITS = import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
FIND_PYTHON = python='$(PYTHON)'; \
	if [ -z "$$python" ]; then \
	    ifs=$$IFS; IFS=:; \
	    for name in python3.13 python3.12 python3.11 python3; do for folder in $$PATH; do \
	        [ -x "$$folder/$$name" ] && "$$folder/$$name" -c '$(FITS)' >/dev/null 2>&1 || continue; \
	        [ -n "$$python" ] || python=$$folder/$$name; \
	        "$$folder/$$name" -c 'import ensurepip' >/dev/null 2>&1 && python=$$folder/$$name && break 2; \
	    done; done; \
	    IFS=$$ifs; \
	    [ -n "$$python" ] || { echo 'No Python 3.11, 3.12 or 3.13 was found; install one (Debian, Ubuntu: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python' >&2; exit 1; }; \
	elif ! "$$python" -c '$(FITS)' >/dev/null 2>&1; then \
	    echo "PYTHON=$$python is not a working Python 3.11, 3.12 or 3.13." >&2; exit 1; \
	fi
# Debian and Ubuntu have ensurepip in a package of its own.
GET_VENV = if ! "$$python" -c 'import ensurepip' >/dev/null 2>&1; then \
	    package=$$("$$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])'); \
	    if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	        echo "$$python cannot make virtual environments; on Debian or Ubuntu run: sudo apt-get install $$package" >&2; exit 1; \
	    fi; \
	    echo "[1/3] installing the Debian package $$package"; \
	    said=$$(apt-get update 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$$package" 2>&1) \
	        || { printf '%s\n' "$$said" >&2; exit 1; }; \
	fi
# Where uv is on the PATH it installs, several times as fast; what it cannot do, say by pip's own settings of an index, pip tries.
INSTALL = install() { \
	    if command -v uv >/dev/null 2>&1; then \
	        uv pip install --quiet --python $(BIN)/python "$$@" >.venv/pip.log 2>&1 && return; \
	    fi; \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check "$$@" >.venv/pip.log 2>&1; \
	}; \
	or_say() { cat .venv/pip.log >&2; echo "$$1 could not be installed; what pip said of it is above." >&2; exit 1; }

$(READY): requirements.txt pyproject.toml
	@if [ -f $@ ] && $(BIN)/python -c '$(FITS)' >/dev/null 2>&1 && $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    echo "[1/3] keeping .venv with $$($(BIN)/python -V)"; \
	    rm -f $@; \
	else \
	    $(FIND_PYTHON); \
	    $(GET_VENV); \
	    echo "[1/3] creating .venv with $$("$$python" -V) ($$python)"; \
	    rm -rf .venv; \
	    said=$$("$$python" -m venv .venv 2>&1) || { printf '%s\n' "$$said" >&2; exit 1; }; \
	fi
	@echo "[2/3] installing $$(grep -c '==' requirements.txt) packages (up to a minute the first time)"
	@$(INSTALL); install --require-hashes -r requirements.txt || or_say 'The packages'
	@echo '[3/3] installing maricopa_scrapy from this folder'
	@$(INSTALL); install --no-deps --no-build-isolation -e . || or_say maricopa_scrapy
	@touch $@

$(DEV): $(READY) requirements-dev.txt
	@echo "installing $$(grep -c '==' requirements-dev.txt) packages for tests, linters and benchmarks"
	@$(INSTALL); install --require-hashes -r requirements.txt -r requirements-dev.txt || or_say 'The packages'
	@touch $@
