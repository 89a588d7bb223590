# make demo    install, run the ablation on rendered faces, render the report
# make test    install, run the tests, WORKERS at a time
# make check   ruff and mypy
# make docs    the site of docs/, into site/; a link that leads nowhere is an error
PYTHON ?= python3
BIN := .venv/bin
# A test takes one thread, or starts processes that take more: one worker for each of two cores.
WORKERS ?= 2

.PHONY: demo test check docs clean

demo: .venv/installed
	$(BIN)/odnbench run ablation
	$(BIN)/odnbench report --format markdown

test: .venv/installed
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed
	$(BIN)/mkdocs build --quiet --strict

# opencv-python needs libGL, glib and libxcb, which slim images lack. Where they are missing, the
# headless wheel of the same release takes its place: it gives the same cv2 and needs none of them.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,docs]"
	@$(BIN)/python -c "import cv2" 2>/dev/null || { \
	  echo "cv2 needs libGL, glib and libxcb here; taking opencv-python-headless instead"; \
	  version=$$(sed -n 's/^opencv-python==//p' constraints.txt); \
	  $(BIN)/python -m pip uninstall --quiet --yes opencv-python; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps "opencv-python-headless==$$version"; }
	@touch $@

clean:
	rm -rf .venv dist build site reports/out
