# `make demo` and `make test` do all the set-up themselves; second runs skip it.
.PHONY: demo test lint setup setup-dev clean

demo: setup
	@mkdir -p results
	.venv/bin/vasa-jax generate -s examples/portrait.jpg -a examples/speech.flac -o results/demo.mp4 --config demo

test: setup-dev
	.venv/bin/python -m pytest -n auto --dist loadfile $(PYTEST_ARGS)

lint: setup-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	scripts/typecheck.sh

setup:
	@sh scripts/setup.sh run

setup-dev:
	@sh scripts/setup.sh dev

clean:
	rm -rf .venv build results
