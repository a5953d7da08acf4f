//! A new migration is a reason to build: `sqlx::migrate!` reads the folder while it is expanded.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
