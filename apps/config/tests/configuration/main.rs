//! What flags and files lead to.

mod files;
mod flags;
mod readme;
mod settings;
#[path = "../../../kcptun/tests/support/mod.rs"]
mod support;
mod values;
