# Everything a contributor runs. `make demo` and `make test` set up what they need from a bare clone.
PYTHON := .venv/bin/python
READY := .venv/ready
export OMP_WAIT_POLICY := PASSIVE

.PHONY: help demo test coverage lint format bench screenshots clean

help:  ## List the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(READY): pyproject.toml constraints.txt napari.yaml scripts/setup.sh
	@sh scripts/setup.sh

demo: $(READY)  ## Run the whole loop on the built-in sample; results in demo-output/
	$(PYTHON) -m napari_medseg demo --output demo-output --overwrite

# A wait for the window that ran out of time, and nothing else, is tried once more: computers do stall. Three at a time, as
# tests wait for other processes.
test: $(READY)  ## Run the whole test suite
	$(PYTHON) -m pytest -n 3 --dist loadfile --no-loadscope-reorder --reruns 1 --only-rerun "timed out in|not emitted after"

coverage: $(READY)  ## Run the whole test suite and say which lines it does not reach
	$(PYTHON) -m pytest -n 2 --dist loadfile --cov=napari_medseg --cov-report=term:skip-covered

lint: $(READY)  ## Style, types and the import contract
	$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy && .venv/bin/lint-imports

format: $(READY)  ## Mend style where a tool can
	$(PYTHON) -m ruff check --fix . ; $(PYTHON) -m ruff format .

bench: $(READY)  ## Measure speed, and accuracy where MEDSEG_DATA has the real image sets
	$(PYTHON) benchmarks/inference.py
	$(PYTHON) benchmarks/main_job.py

screenshots: $(READY)  ## Make the pictures of the docs from the real window
	$(PYTHON) scripts/screenshots.py docs/images
	$(PYTHON) scripts/open_screenshots.py docs/images
	$(PYTHON) scripts/compare_screenshot.py docs/images --minutes 8
	$(PYTHON) scripts/system_screenshots.py docs/images lungs-xray brain-tumour nuclei-he bone-ct

clean:  ## Remove what was built
	rm -rf .venv build dist demo-output .coverage
