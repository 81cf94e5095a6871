//! Whether the code that runs belongs to the machines, for counting what they allocate.

use std::cell::Cell;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside a call of an endpoint, and not in the harness.
#[must_use]
pub fn is_inside_machine() -> bool {
    INSIDE.with(Cell::get)
}

/// Calls an endpoint.
pub(crate) fn inside<R>(call: impl FnOnce() -> R) -> R {
    INSIDE.with(|inside| inside.set(true));
    let result = call();
    INSIDE.with(|inside| inside.set(false));
    result
}
