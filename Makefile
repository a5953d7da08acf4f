# `make help` lists the targets. Every target that needs PostgreSQL finds or installs it first: scripts/postgres.sh.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench sqlx fmt lint doc db

# Finds or installs PostgreSQL, and sets the environment for the rest of the recipe line.
postgres = bin=$$(scripts/postgres.sh) && export OTPOST_PG_BIN="$$bin"

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: ## run everything on this machine: service, database, simulated providers
	@$(postgres) && cargo run -- demo

test: ## run all tests, on a throwaway PostgreSQL
	@$(postgres) && cargo test

check: ## run the gate: format, lints, documentation, dependencies, .sqlx, tests, demo
	@.ci/run

bench: ## measure the figures of the promises
	@$(postgres) && cargo bench

sqlx: ## regenerate .sqlx after a change of a query or a migration
	@scripts/sqlx.sh

fmt: ## format the code
	@cargo fmt --all

lint: ## run clippy; warnings are errors
	@cargo clippy --all-targets -- -D warnings

doc: ## build the documentation of the code; warnings are errors
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

db: ## open psql on the running demo's database
	@scripts/db.sh
