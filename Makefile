# `make demo` and `make test` need nothing but Python 3.11 or newer and a package index.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types unit test-long clean

demo: $(VENV)/.installed
	$(BIN)/hub run bilstm-ner-zh \
	  '新华社北京5月7日电国务院副总理李岚清今天在中南海会见了美国前商务部长芭芭拉·弗兰克林。' \
	  '华裔作家韩素音女士曾三次到大足，称“大足石窟是一座未被开发的金矿”。'
	$(BIN)/hub run mini-sentiment-zh \
	  '房间干净，服务员很热情，早餐也丰富，下次还会住这里。' \
	  '隔音太差，空调不制冷，前台态度恶劣，再也不会来了。'

test: lint types unit

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

# One process computes on one thread: two of them fill two cores.
unit: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered -m 'not slow'

# The longer checks: many random interruptions, full-size training, every fixture at full length.
test-long: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m slow

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
