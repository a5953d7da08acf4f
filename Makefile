# `make help` lists what there is. Every target that needs PostgreSQL finds or gets it first: scripts/postgres.sh.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench sqlx fmt lint db

# Finds or gets PostgreSQL, then leaves the rest of the recipe line to the environment it made.
postgres = bin=$$(scripts/postgres.sh) && export OTPOST_PG_BIN="$$bin"

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: ## everything on this machine: service, database, simulated providers
	@$(postgres) && cargo run --release -- demo

test: ## all tests, on a throwaway PostgreSQL
	@$(postgres) && cargo test

check: ## what the gate runs: format, lints, tests, .sqlx, demo
	@.ci/run

bench: ## the figures of the promises
	@$(postgres) && cargo bench

sqlx: ## write .sqlx anew, after a change of a query or a migration
	@scripts/sqlx.sh

fmt: ## format the code
	@cargo fmt

lint: ## clippy, warnings are errors
	@cargo clippy --all-targets -- -D warnings

db: ## psql into the running demo's database
	@scripts/db.sh
